/* The condition for ClickHouse: weaker than the filter, and the same for all records of a flow. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/filter/filter_tree.h"

struct sql {
    char *out;
    size_t capacity, length;
    bool has_sensors; /* terms about sensors are asked for */
    bool is_all;      /* and those about the ids that they give flows */
    bool ok;
};

static void put(struct sql *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct sql *s, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const int length = vsnprintf(s->out + s->length, s->capacity - s->length, format, arguments);

    va_end(arguments);
    s->ok = s->ok && length >= 0 && (size_t)length < s->capacity - s->length;
    s->length += s->ok ? (size_t)length : 0;
}

/* Digits alone: nothing in a text can end the literal. */
static void put_literal(struct sql *s, const char *text, size_t length)
{
    put(s, "unhex('");
    for (size_t i = 0; i < length; i++) {
        put(s, "%02x", (uint8_t)text[i]);
    }
    put(s, "')");
}

/* Without regard to ASCII case, as filters compare. */
static void put_equal_text(struct sql *s, const char *column, const struct filter_node *term)
{
    put(s, "lower(%s) = lower(", column);
    put_literal(s, term->text, term->text_length);
    put(s, ")");
}

/* The bytes of a column of type IPv6, which has IPv4 as ::ffff:0:0/96. */
static void put_ipv6(struct sql *s, const uint8_t *bytes, unsigned version)
{
    put(s, "toIPv6(IPv6NumToString(toFixedString(unhex('%s",
        version == 4 ? "00000000000000000000ffff" : "");
    for (unsigned i = 0; i < (version == 4 ? 4U : 16U); i++) {
        put(s, "%02x", bytes[i]);
    }
    put(s, "'), 16)))");
}

static void put_range(struct sql *s, const char *column, const struct filter_node *term)
{
    const unsigned version = term->prefix.address.version;
    const unsigned bits = version == 4 ? 32 : 128;

    if (term->prefix.prefix_bits == bits) {
        put(s, "%s = ", column);
        put_ipv6(s, term->prefix.address.bytes, version);
        return;
    }
    put(s, "%s BETWEEN ", column);
    put_ipv6(s, term->prefix.address.bytes, version);
    put(s, " AND ");
    put_ipv6(s, term->last_address, version);
}

static void put_number(struct sql *s, const char *column, const struct filter_node *term)
{
    static const char *const operators[] = {[OPERATOR_LESS] = "<",
                                            [OPERATOR_LESS_EQUAL] = "<=",
                                            [OPERATOR_GREATER] = ">",
                                            [OPERATOR_GREATER_EQUAL] = ">="};
    const char *compare = term->compare < ARRAY_COUNT(operators) ? operators[term->compare] : NULL;

    put(s, "%s %s %" PRIu64, column, compare == NULL ? "=" : compare, term->number);
}

/* Sensors may take either end for the client. */
static bool put_ends(struct sql *s, const struct filter_node *term)
{
    const bool is_address = term->kind == KIND_ADDRESS || term->is_address;
    void (*const put_end)(struct sql * s, const char *column, const struct filter_node *term) =
        is_address ? put_range : put_number;

    put(s, "(");
    put_end(s, is_address ? "client_ip" : "client_port", term);
    put(s, " OR ");
    put_end(s, is_address ? "server_ip" : "server_port", term);
    put(s, ")");
    return true;
}

/* False: nothing can be said, and nothing was written. */
static bool put_known(struct sql *s, const struct filter_node *term)
{
    const bool is_whole_text = term->compare == OPERATOR_EQUAL && term->text_length > 0 &&
                               memchr(term->text, '*', term->text_length) == NULL;

    switch (term->field) {
    case FIELD_IP:
    case FIELD_CLIENT_IP:
    case FIELD_SERVER_IP:
    case FIELD_PORT:
    case FIELD_CLIENT_PORT:
    case FIELD_SERVER_PORT:
        return put_ends(s, term);
    case FIELD_ANY:
        return term->is_address && put_ends(s, term);
    case FIELD_PROTOCOL:
        put_number(s, "ip_protocol", term);
        return true;
    case FIELD_COMMUNITY_ID:
        if (is_whole_text) {
            put_equal_text(s, "community_id", term);
        }
        return is_whole_text;
    case FIELD_FLOW_ID:
        if (s->is_all && term->kind == KIND_FLOW_ID) {
            put_number(s, "flow_id", term);
        }
        return s->is_all && term->kind == KIND_FLOW_ID;
    case FIELD_SENSOR:
        if (s->has_sensors && is_whole_text) {
            put_equal_text(s, "sensor_id", term);
        }
        return s->has_sensors && is_whole_text;
    default:
        return false;
    }
}

/* What is known is weaker than the term, so under NOT it says nothing. */
static void put_node(struct sql *s, const struct filter_node *node, bool is_positive)
{
    switch (node->type) {
    case NODE_TERM:
        if (!is_positive || !put_known(s, node)) {
            put(s, "%d", is_positive);
        }
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

static bool is_of_sensors(const struct filter_node *node)
{
    switch (node->type) {
    case NODE_TERM:
        return node->field == FIELD_SENSOR;
    case NODE_NOT:
        return is_of_sensors(node->left);
    default:
        return is_of_sensors(node->left) && is_of_sensors(node->right);
    }
}

/* A part that must hold in any case and speaks of sensors alone rules out those that the filter
 * does not admit; elsewhere a sensor that does not match may have seen a flow of one that does. */
static void put_part(struct sql *s, const struct filter_node *node)
{
    if (node->type == NODE_AND) {
        put(s, "(");
        put_part(s, node->left);
        put(s, " AND ");
        put_part(s, node->right);
        put(s, ")");
        return;
    }
    s->has_sensors = s->is_all || is_of_sensors(node);
    put_node(s, node, true);
}

bool filter_to_clickhouse(const struct filter *filter, bool is_all, char *sql, size_t capacity)
{
    struct sql s = {.out = sql, .capacity = capacity, .is_all = is_all, .ok = true};

    if (filter->root == NULL) {
        put(&s, "1");
    } else {
        put_part(&s, filter->root);
    }
    return s.ok;
}
