/* Terms from text, and the tree around them. */
#include "proto/filter/filter_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX (3 * FILTER_TERMS_MAX + 2 * FILTER_TEXT_MAX / 4)
#define SHOWN_MAX 60

struct filter *filter_new(size_t text_bytes, struct error *err)
{
    struct filter *filter = calloc(1, sizeof *filter);
    if (filter != NULL) {
        filter->memory = arena_new(NODES_MAX * sizeof(struct filter_node) + 4 * text_bytes +
                                   (size_t)16 * FILTER_TERMS_MAX);
    }
    if (filter == NULL || filter->memory == NULL) {
        (void)error_set(err, ENOMEM, "no memory for a filter");
        filter_free(filter);
        return NULL;
    }
    return filter;
}

void filter_free(struct filter *filter)
{
    if (filter != NULL) {
        arena_free(filter->memory);
        free(filter);
    }
}

static struct filter_node *new_node(struct filter *filter, enum filter_node_type type)
{
    struct filter_node *node =
        arena_take(filter->memory, sizeof *node, _Alignof(struct filter_node));
    if (node == NULL) {
        abort(); /* the bounds of text and terms leave room for every tree */
    }
    *node = (struct filter_node){.type = type};
    return node;
}

const struct filter_node *filter_join(struct filter *filter, enum filter_node_type type,
                                      const struct filter_node *left,
                                      const struct filter_node *right)
{
    if (left == NULL || right == NULL) {
        return left == NULL ? right : left;
    }
    struct filter_node *node = new_node(filter, type);
    node->left = left;
    node->right = right;
    return node;
}

const struct filter_node *filter_negate(struct filter *filter, const struct filter_node *node)
{
    if (node == NULL) {
        return NULL;
    }
    if (node->type == NODE_NOT) {
        return node->left;
    }
    struct filter_node *negated = new_node(filter, NODE_NOT);
    negated->left = node;
    return negated;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

/* "1.5" before a unit, in thousandths of a millionth: enough for nanoseconds of a second. */
static bool read_decimal(const char **at, const char *end, uint64_t *whole, uint64_t *billionths)
{
    const char *begin = *at;
    *whole = 0;
    *billionths = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        if (__builtin_mul_overflow(*whole, 10, whole) ||
            __builtin_add_overflow(*whole, (uint64_t)(**at - '0'), whole)) {
            return false;
        }
    }
    if (*at == begin) {
        return false;
    }
    if (*at < end && **at == '.') {
        uint64_t unit = 1000000000;
        begin = ++*at;
        for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
            unit /= 10;
            *billionths += unit * (uint64_t)(**at - '0');
        }
        return *at != begin;
    }
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {
    {"", 1},
    {"b", 1},
    {"kb", 1000},
    {"mb", 1000000},
    {"gb", 1000000000},
    {"tb", UINT64_C(1000000000000)},
    {"kib", 1024},
    {"mib", 1048576},
    {"gib", 1073741824},
    {"tib", UINT64_C(1099511627776)},
};

static const struct unit time_units[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", UINT64_C(60000000000)},
    {"h", UINT64_C(3600000000000)},
    {"d", UINT64_C(86400000000000)},
};

static bool read_quantity(const char *text, size_t length, const struct unit *units, size_t count,
                          uint64_t *value)
{
    const char *at = text;
    const char *end = text + length;
    uint64_t whole;
    uint64_t billionths;
    if (!read_decimal(&at, end, &whole, &billionths)) {
        return false;
    }
    if (at == end && whole == 0 && billionths == 0) {
        *value = 0; /* zero needs no unit */
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_word(at, (size_t)(end - at), units[i].name)) {
            if (__builtin_mul_overflow(whole, units[i].factor, value)) {
                return false;
            }
            const double rest = (double)billionths * 1e-9 * (double)units[i].factor;
            return !__builtin_add_overflow(*value, (uint64_t)(rest + 0.5), value);
        }
    }
    return false;
}

static bool read_number(const char *text, size_t length, uint64_t *value)
{
    const char *at = text;
    uint64_t billionths;
    return read_decimal(&at, text + length, value, &billionths) && at == text + length &&
           billionths == 0;
}

static const struct unit protocols[] = {{"icmp", 1},  {"igmp", 2},  {"tcp", 6}, {"udp", 17},
                                        {"gre", 47},  {"esp", 50},  {"ah", 51}, {"icmpv6", 58},
                                        {"ospf", 89}, {"sctp", 132}};

const char *filter_protocol_name(uint8_t number)
{
    for (size_t i = 0; i < ARRAY_COUNT(protocols); i++) {
        if (protocols[i].factor == number) {
            return protocols[i].name;
        }
    }
    return NULL;
}

static bool read_protocol(const char *text, size_t length, uint64_t *value)
{
    for (size_t i = 0; i < ARRAY_COUNT(protocols); i++) {
        if (is_word(text, length, protocols[i].name)) {
            *value = protocols[i].factor;
            return true;
        }
    }
    return read_number(text, length, value) && *value <= UINT8_MAX;
}

static bool read_choice(enum filter_field_id field, const char *text, size_t length,
                        uint64_t *value)
{
    for (unsigned i = 1; filter_choice_name(field, i) != NULL; i++) {
        if (is_word(text, length, filter_choice_name(field, i))) {
            *value = i;
            return true;
        }
    }
    return false;
}

static bool read_flow_id(const char *text, size_t length, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < length; i++) {
        const char c = (char)(text[i] | 0x20);
        const bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (!is_digit && (c < 'a' || c > 'f')) {
            return false;
        }
        *value = *value << 4 | (uint64_t)(is_digit ? text[i] - '0' : c - 'a' + 10);
    }
    return length > 0 && length <= 16;
}

static bool read_prefix(const char *text, size_t length, struct filter_node *term)
{
    if (!prefix_parse(text, length, &term->prefix)) {
        return false;
    }
    for (unsigned bit = 0; bit < 128; bit++) {
        const uint8_t mask = (uint8_t)(0x80 >> bit % 8);
        term->last_address[bit / 8] |=
            bit < term->prefix.prefix_bits ? term->prefix.address.bytes[bit / 8] & mask : mask;
    }
    return true;
}

/* A number that no flow can have finds nothing for ever, and is a slip of who typed it. With an
 * order it may be a bound ("port < 65536"). NULL, or what was expected. */
static const char *read_bounded(struct filter_node *term, const char *text, size_t length)
{
    static const struct {
        enum filter_field_id field;
        uint64_t max;
        const char *expected;
    } bounds[] = {{FIELD_PORT, 65535, "a port, 0 to 65535"},
                  {FIELD_CLIENT_PORT, 65535, "a port, 0 to 65535"},
                  {FIELD_SERVER_PORT, 65535, "a port, 0 to 65535"},
                  {FIELD_VLAN, 4095, "a VLAN id, 0 to 4095"},
                  {FIELD_IP_VERSION, 6, "4 or 6"}};

    if (!read_number(text, length, &term->number)) {
        return "a whole number";
    }
    for (size_t i = 0; i < ARRAY_COUNT(bounds); i++) {
        if (bounds[i].field == term->field && term->number > bounds[i].max &&
            (term->compare == OPERATOR_EQUAL || term->compare == OPERATOR_NOT_EQUAL ||
             term->compare == OPERATOR_HAS)) {
            return bounds[i].expected;
        }
    }
    return NULL;
}

/* Fills the value of `term`; NULL, or what was expected. */
static const char *read_value(struct filter_node *term, const char *text, size_t length)
{
    switch (term->kind) {
    case KIND_ADDRESS:
        return read_prefix(text, length, term)
                   ? NULL
                   : "an address or prefix without bits behind it, as 10.0.0.0/8";
    case KIND_NUMBER:
        return read_bounded(term, text, length);
    case KIND_BYTES:
        return read_quantity(text, length, byte_units, ARRAY_COUNT(byte_units), &term->number)
                   ? NULL
                   : "bytes, as 1500 or 1MiB";
    case KIND_DURATION:
        return read_quantity(text, length, time_units, ARRAY_COUNT(time_units), &term->number)
                   ? NULL
                   : "a duration with its unit, as 80ms";
    case KIND_CHOICE:
        return read_choice(term->field, text, length, &term->number)
                   ? NULL
                   : filter_fields[term->field].help;
    case KIND_PROTOCOL:
        return read_protocol(text, length, &term->number) ? NULL : filter_fields[term->field].help;
    case KIND_FLOW_ID:
        return read_flow_id(text, length, &term->number) ? NULL : "1 to 16 hexadecimal digits";
    case KIND_TEXT:
        term->is_address = term->field == FIELD_ANY && read_prefix(text, length, term);
        return NULL;
    }
    return "something else";
}

/* Only what has an order can be less or greater. */
static bool has_order(enum filter_field_id field)
{
    switch (filter_field_kind(field)) {
    case KIND_NUMBER:
    case KIND_BYTES:
    case KIND_DURATION:
        return true;
    default:
        return false;
    }
}

/* '*' becomes '%'; with ':' and no '*' any part will do. */
static const char *like_pattern(struct filter *filter, const struct filter_node *term)
{
    const bool is_glob = memchr(term->text, '*', term->text_length) != NULL;
    if (!is_glob && term->compare != OPERATOR_HAS) {
        return NULL;
    }
    char *pattern = arena_take(filter->memory, 2 * (size_t)term->text_length + 3, 1);
    if (pattern == NULL) {
        abort(); /* filter_new took the room for it */
    }
    char *at = pattern;
    if (!is_glob) {
        *at++ = '%';
    }
    for (uint32_t i = 0; i < term->text_length; i++) {
        const char c = term->text[i];
        if (c == '%' || c == '_' || c == '\\') {
            *at++ = '\\';
        }
        *at++ = (char)(c == '*' ? '%' : c);
    }
    if (!is_glob) {
        *at++ = '%';
    }
    *at = '\0';
    return pattern;
}

struct filter_node *filter_add_term(struct filter *filter, enum filter_field_id field,
                                    enum filter_operator compare, const char *text, size_t length,
                                    struct error *err)
{
    if (++filter->terms > FILTER_TERMS_MAX) {
        (void)error_set(err, E2BIG, "more than %d terms", FILTER_TERMS_MAX);
        return NULL;
    }
    const bool is_order = compare != OPERATOR_EQUAL && compare != OPERATOR_HAS;
    if (is_order && !has_order(field)) {
        (void)error_set(err, EINVAL,
                        "'%s' has no order: use =, != or :", filter_fields[field].name);
        return NULL;
    }
    struct filter_node *term = new_node(filter, NODE_TERM);
    term->field = field;
    term->kind = filter_field_kind(field);
    term->compare = compare;
    const char *expected = read_value(term, text, length);
    if (expected != NULL) {
        (void)error_set(err, EINVAL, "'%.*s' does not fit '%s': expected %s",
                        (int)(length < SHOWN_MAX ? length : SHOWN_MAX), text,
                        filter_fields[field].name, expected);
        return NULL;
    }
    term->text = arena_copy_text(filter->memory, text, length);
    term->text_length = (uint32_t)length;
    if (term->text == NULL) {
        abort(); /* filter_new took the room for it */
    }
    if (term->kind == KIND_TEXT) {
        term->like = like_pattern(filter, term);
    }
    return term;
}
