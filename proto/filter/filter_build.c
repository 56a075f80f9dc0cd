/* FlowFilter messages -> the same tree as text. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/filter/filter_tree.h"

struct builder {
    struct filter *filter;
    struct error *err;
    const char *list; /* "include" or "exclude" */
    size_t index;
    bool ok;
};

static void fail(struct builder *b, const char *field, size_t value)
{
    b->ok = false;
    error_prefix(b->err, "%s[%zu].%s[%zu]", b->list, b->index, field, value);
}

/* One of the values, in one of the fields. */
static const struct filter_node *texts(struct builder *b, const char *name,
                                       const enum filter_field_id *fields, size_t fields_count,
                                       const char *const *values, size_t count)
{
    const struct filter_node *any = NULL;
    for (size_t i = 0; b->ok && i < count; i++) {
        for (size_t j = 0; b->ok && j < fields_count; j++) {
            const struct filter_node *term = filter_add_term(b->filter, fields[j], OPERATOR_EQUAL,
                                                             values[i], strlen(values[i]), b->err);
            if (term == NULL) {
                fail(b, name, i);
                return NULL;
            }
            any = filter_join(b->filter, NODE_OR, any, term);
        }
    }
    return any;
}

static const struct filter_node *numbers(struct builder *b, const char *name,
                                         enum filter_field_id field, const uint32_t *values,
                                         size_t count)
{
    const struct filter_node *any = NULL;
    for (size_t i = 0; b->ok && i < count; i++) {
        char text[16];
        const int length = snprintf(text, sizeof text, "%u", values[i]);
        const struct filter_node *term =
            filter_add_term(b->filter, field, OPERATOR_EQUAL, text, (size_t)length, b->err);
        if (term == NULL) {
            fail(b, name, i);
            return NULL;
        }
        any = filter_join(b->filter, NODE_OR, any, term);
    }
    return any;
}

/* An empty FlowFilter matches all: *is_all. */
static const struct filter_node *build_spec(struct builder *b, const struct filter_spec *s,
                                            bool *is_all)
{
    static const enum filter_field_id ip[] = {FIELD_IP};
    static const enum filter_field_id client_ip[] = {FIELD_CLIENT_IP};
    static const enum filter_field_id server_ip[] = {FIELD_SERVER_IP};
    static const enum filter_field_id protocol[] = {FIELD_PROTOCOL};
    static const enum filter_field_id name[] = {FIELD_SERVER_NAME, FIELD_TLS_SNI, FIELD_HTTP_HOST};
    static const enum filter_field_id app[] = {FIELD_APP};
    const struct filter_node *const parts[] = {
        texts(b, "ip", ip, 1, s->ip, s->ip_count),
        texts(b, "client_ip", client_ip, 1, s->client_ip, s->client_ip_count),
        texts(b, "server_ip", server_ip, 1, s->server_ip, s->server_ip_count),
        numbers(b, "port", FIELD_PORT, s->port, s->port_count),
        numbers(b, "server_port", FIELD_SERVER_PORT, s->server_port, s->server_port_count),
        texts(b, "protocol", protocol, 1, s->protocol, s->protocol_count),
        texts(b, "name", name, ARRAY_COUNT(name), s->name, s->name_count),
        texts(b, "app", app, 1, s->app, s->app_count),
    };
    const struct filter_node *all = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        all = filter_join(b->filter, NODE_AND, all, parts[i]);
    }
    *is_all = all == NULL;
    return all;
}

/* One of the specs; *is_all when one of them is empty. */
static const struct filter_node *build_list(struct builder *b, const struct filter_spec *specs,
                                            size_t count, bool *is_all)
{
    const struct filter_node *any = NULL;
    *is_all = false;
    for (b->index = 0; b->ok && b->index < count; b->index++) {
        bool is_empty;
        const struct filter_node *one = build_spec(b, &specs[b->index], &is_empty);
        if (!b->ok) {
            break;
        }
        *is_all = *is_all || is_empty;
        any = filter_join(b->filter, NODE_OR, any, one);
    }
    return any;
}

static size_t spec_bytes(const struct filter_spec *specs, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct filter_spec *s = &specs[i];
        const char *const *const lists[] = {s->ip,       s->client_ip, s->server_ip,
                                            s->protocol, s->name,      s->app};
        const size_t counts[] = {s->ip_count,       s->client_ip_count, s->server_ip_count,
                                 s->protocol_count, s->name_count,      s->app_count};
        for (size_t j = 0; j < ARRAY_COUNT(lists); j++) {
            for (size_t k = 0; k < counts[j]; k++) {
                bytes += 3 * (strlen(lists[j][k]) + 1); /* a name goes to three fields */
            }
        }
        bytes += 16 * (s->port_count + s->server_port_count);
    }
    return bytes;
}

struct filter *filter_build(const struct filter_spec *include, size_t include_count,
                            const struct filter_spec *exclude, size_t exclude_count,
                            const char *text, size_t text_length, struct error *err,
                            uint32_t *position)
{
    if (position != NULL) {
        *position = 0;
    }
    const size_t bytes = spec_bytes(include, include_count) + spec_bytes(exclude, exclude_count);
    AUTO(filter)
    filter =
        filter_new(bytes + (text_length < FILTER_TEXT_MAX ? text_length : FILTER_TEXT_MAX), err);
    if (filter == NULL) {
        return NULL;
    }
    const struct filter_node *root = NULL;
    if (text != NULL && !filter_parse(filter, text, text_length, &root, err, position)) {
        return NULL;
    }
    struct builder b = {.filter = filter, .err = err, .list = "include", .ok = true};
    bool is_all;
    const struct filter_node *included = build_list(&b, include, include_count, &is_all);
    if (b.ok && !is_all) {
        root = filter_join(filter, NODE_AND, included, root);
    }
    b.list = "exclude";
    const struct filter_node *excluded =
        b.ok ? build_list(&b, exclude, exclude_count, &is_all) : NULL;
    if (!b.ok) {
        return NULL;
    }
    if (is_all && exclude_count > 0) {
        (void)error_set(err, EINVAL, "exclude: an empty filter would exclude everything");
        return NULL;
    }
    filter->root = filter_join(filter, NODE_AND, root, filter_negate(filter, excluded));
    return TAKE(filter);
}
