/* The condition for SQLite. No part of it is ever NULL, so that NOT means what it says; a term
 * without a column is true where that makes the whole weaker, which under NOT is false. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/filter/filter_tree.h"

struct sql {
    char *out;
    size_t capacity, length;
    struct filter_value *values;
    uint32_t values_max, count;
    bool is_exact, ok;
};

static void put(struct sql *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct sql *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(s->out + s->length, s->capacity - s->length, format, arguments);
    va_end(arguments);
    s->ok = s->ok && length >= 0 && (size_t)length < s->capacity - s->length;
    if (s->ok) {
        s->length += (size_t)length;
    }
}

static void bind(struct sql *s, struct filter_value value)
{
    s->ok = s->ok && s->count < s->values_max;
    if (s->ok) {
        s->values[s->count++] = value;
    }
}

static void put_unknown(struct sql *s, bool is_positive)
{
    s->is_exact = false;
    put(s, "%d", is_positive);
}

static void bind_bytes(struct sql *s, const void *bytes, unsigned length)
{
    bind(s, (struct filter_value){.type = FILTER_VALUE_BYTES, .bytes = bytes, .length = length});
}

/* The addresses of a prefix lie in a row, since blobs compare byte by byte. */
static void put_address(struct sql *s, const char *column, const struct filter_node *term)
{
    const struct ip_prefix *prefix = &term->prefix;
    const unsigned bytes = prefix->address.version == 4 ? 4 : 16;
    if (prefix->prefix_bits == bytes * 8) {
        put(s, "%s IS ?", column);
        bind_bytes(s, prefix->address.bytes, bytes);
        return;
    }
    put(s, "(ip_version IS %u AND %s IS NOT NULL AND %s >= ? AND %s <= ?)", prefix->address.version,
        column, column, column);
    bind_bytes(s, prefix->address.bytes, bytes);
    bind_bytes(s, term->last_address, bytes);
}

static const char *operator_of(const struct filter_node *term)
{
    switch (term->compare) {
    case OPERATOR_LESS:
        return "<";
    case OPERATOR_LESS_EQUAL:
        return "<=";
    case OPERATOR_GREATER:
        return ">";
    case OPERATOR_GREATER_EQUAL:
        return ">=";
    default:
        return "IS";
    }
}

static void put_number(struct sql *s, const char *column, const struct filter_node *term)
{
    const bool is_less = term->compare == OPERATOR_LESS || term->compare == OPERATOR_LESS_EQUAL;
    if (term->number > INT64_MAX && term->kind != KIND_FLOW_ID) {
        put(s, is_less ? "(%s) IS NOT NULL" : "0", column); /* SQL's integers end there */
        return;
    }
    const char *compare = operator_of(term);
    if (strcmp(compare, "IS") == 0) {
        put(s, "(%s) IS ?", column);
    } else {
        put(s, "((%s) IS NOT NULL AND (%s) %s ?)", column, column, compare);
    }
    bind(s, (struct filter_value){.type = FILTER_VALUE_U64, .u64 = term->number});
}

static void put_text(struct sql *s, const char *column, const struct filter_node *term)
{
    if (term->like != NULL) {
        put(s, "(%s IS NOT NULL AND %s <> '' AND %s LIKE ? ESCAPE '\\')", column, column, column);
        bind(s, (struct filter_value){.type = FILTER_VALUE_TEXT,
                                      .bytes = term->like,
                                      .length = (uint32_t)strlen(term->like)});
    } else if (term->text_length == 0) {
        put(s, "0"); /* an empty text is one that is not there */
    } else {
        put(s, "(%s IS NOT NULL AND %s = ? COLLATE NOCASE)", column, column);
        bind(s, (struct filter_value){
                    .type = FILTER_VALUE_TEXT, .bytes = term->text, .length = term->text_length});
    }
}

static void put_either(struct sql *s, const struct filter_node *term, const char *client,
                       const char *server)
{
    put(s, "(");
    if (term->kind == KIND_NUMBER) {
        put_number(s, client, term);
    } else {
        put_address(s, client, term);
    }
    put(s, " OR ");
    if (term->kind == KIND_NUMBER) {
        put_number(s, server, term);
    } else {
        put_address(s, server, term);
    }
    put(s, ")");
}

static void put_term(struct sql *s, const struct filter_node *term, bool is_positive)
{
    if (term->field == FIELD_IP || (term->field == FIELD_ANY && term->is_address)) {
        put_either(s, term, "client_ip", "server_ip");
        return;
    }
    if (term->field == FIELD_PORT) {
        put_either(s, term, "client_port", "server_port");
        return;
    }
    const char *column = term->field == FIELD_ANY ? NULL : filter_fields[term->field].column;
    if (column == NULL) {
        put_unknown(s, is_positive);
        return;
    }
    switch (term->kind) {
    case KIND_ADDRESS:
        put_address(s, column, term);
        break;
    case KIND_TEXT:
        put_text(s, column, term);
        break;
    default: /* a clock that stepped back gives no negative duration */
        put_number(s, term->field == FIELD_DURATION ? "MAX(end_ns - start_ns, 0)" : column, term);
        break;
    }
}

static void put_node(struct sql *s, const struct filter_node *node, bool is_positive)
{
    switch (node->type) {
    case NODE_TERM:
        put_term(s, node, is_positive);
        break;
    case NODE_NOT:
        put(s, "NOT (");
        put_node(s, node->left, !is_positive);
        put(s, ")");
        break;
    default:
        put(s, "(");
        put_node(s, node->left, is_positive);
        put(s, node->type == NODE_AND ? " AND " : " OR ");
        put_node(s, node->right, is_positive);
        put(s, ")");
        break;
    }
}

bool filter_to_sql(const struct filter *filter, char *sql, size_t capacity,
                   struct filter_value *values, uint32_t values_max, uint32_t *values_count,
                   bool *exact)
{
    struct sql s = {.out = sql,
                    .capacity = capacity,
                    .values = values,
                    .values_max = values_max,
                    .is_exact = true,
                    .ok = true};
    if (filter->root == NULL) {
        put(&s, "1");
    } else {
        put_node(&s, filter->root, true);
    }
    *values_count = s.count;
    *exact = s.is_exact;
    return s.ok;
}
