/* The grammar by recursive descent:
 *
 *   any    = all { OR all }
 *   all    = one { [AND] one }
 *   one    = ( NOT | '-' ) one | '(' any ')' | term
 *   term   = field operator value | field IN '(' value { ',' value } ')' | value
 */
#include <errno.h>
#include <string.h>

#include "proto/filter/filter_tree.h"

struct parser {
    struct filter *filter;
    const char *begin, *at, *end;
    struct error *err;
    uint32_t position;
    char label[FLOW_LABEL_KEY_BYTES + 1]; /* of the field that is read */
    char unquoted[FILTER_TEXT_MAX];
};

struct value {
    const char *at; /* where it stands */
    const char *text;
    size_t length;
    bool is_quoted;
};

static const struct filter_node *parse_any(struct parser *p, unsigned depth);

/* With what error_set says before it. */
static const struct filter_node *fail(struct parser *p, const char *at)
{
    p->position = (uint32_t)(at - p->begin);
    error_prefix(p->err, "column %u", p->position + 1);
    return NULL;
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end && strchr(" \t\r\n", *p->at) != NULL && *p->at != '\0') {
        p->at++;
    }
}

static char peek(struct parser *p)
{
    skip_space(p);
    return (char)(p->at < p->end ? *p->at : '\0');
}

static bool take(struct parser *p, char c)
{
    if (p->at == p->end || peek(p) != c || p->at == p->end) {
        return false;
    }
    p->at++;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_value_char(char c)
{
    return !is_space(c) && c != '(' && c != ')' && c != ',' && c != '"';
}

static bool is_field_char(char c)
{
    return is_value_char(c) && strchr("=!<>:", c) == NULL && c != '\0';
}

/* The run of characters from here for which `is_part` holds. */
static size_t run(const struct parser *p, bool (*is_part)(char))
{
    const char *at = p->at;
    while (at < p->end && is_part(*at)) {
        at++;
    }
    return (size_t)(at - p->at);
}

/* A word of the language, if it stands here as a whole. */
static bool take_keyword(struct parser *p, const char *keyword)
{
    skip_space(p);
    const size_t length = strlen(keyword);
    if (run(p, is_value_char) != length || strncasecmp(p->at, keyword, length) != 0) {
        return false;
    }
    p->at += length;
    return true;
}

static bool at_keyword(struct parser *p, const char *keyword)
{
    const char *at = p->at;
    const bool found = take_keyword(p, keyword);
    p->at = at;
    return found;
}

/* "..." with \" and \\. */
static bool read_quoted(struct parser *p, struct value *out)
{
    size_t length = 0;
    p->at++;
    while (p->at < p->end && *p->at != '"') {
        if (*p->at == '\\' && p->at + 1 < p->end) {
            p->at++;
        }
        p->unquoted[length++] = *p->at++;
    }
    if (p->at == p->end) {
        (void)error_set(p->err, EINVAL, "this quote has no end");
        (void)fail(p, out->at);
        return false;
    }
    p->at++;
    out->text = p->unquoted;
    out->length = length;
    out->is_quoted = true;
    return true;
}

static bool read_value(struct parser *p, const char *behind, struct value *out)
{
    const char c = peek(p);
    *out = (struct value){.at = p->at};
    if (c == '"') {
        return read_quoted(p, out);
    }
    out->text = p->at;
    out->length = run(p, is_value_char);
    p->at += out->length;
    if (out->length == 0) {
        (void)error_set(p->err, EINVAL, "expected a value behind '%s'", behind);
        (void)fail(p, out->at);
    }
    return out->length > 0;
}

static bool take_operator(struct parser *p, enum filter_operator *compare, const char **text)
{
    static const struct {
        const char *text;
        enum filter_operator compare;
    } operators[] = {
        {"!=", OPERATOR_NOT_EQUAL}, {"<=", OPERATOR_LESS_EQUAL}, {">=", OPERATOR_GREATER_EQUAL},
        {"=", OPERATOR_EQUAL},      {"<", OPERATOR_LESS},        {">", OPERATOR_GREATER},
        {":", OPERATOR_HAS},
    };
    skip_space(p);
    for (size_t i = 0; i < ARRAY_COUNT(operators); i++) {
        const size_t length = strlen(operators[i].text);
        if ((size_t)(p->end - p->at) >= length && memcmp(p->at, operators[i].text, length) == 0) {
            p->at += length;
            *compare = operators[i].compare;
            *text = operators[i].text;
            return true;
        }
    }
    return false;
}

static const struct filter_node *add(struct parser *p, enum filter_field_id field,
                                     enum filter_operator compare, const struct value *value)
{
    const bool is_not = compare == OPERATOR_NOT_EQUAL;
    struct error err = {0};
    struct filter_node *term = filter_add_term(p->filter, field, is_not ? OPERATOR_EQUAL : compare,
                                               value->text, value->length, &err);
    if (term == NULL) {
        (void)error_set(p->err, EINVAL, "%s", err.message);
        return fail(p, value->at);
    }
    if (field >= FIELD_LABEL && field <= FIELD_SERVER_LABEL) {
        memcpy(term->label, p->label, sizeof(term->label));
    }
    return is_not ? filter_negate(p->filter, term) : term;
}

/* ( a, b, c ) behind IN */
static const struct filter_node *parse_list(struct parser *p, enum filter_field_id field)
{
    const struct filter_node *all = NULL;
    if (!take(p, '(')) {
        (void)error_set(p->err, EINVAL, "expected '(' behind IN");
        return fail(p, p->at);
    }
    do {
        struct value value;
        const struct filter_node *term =
            read_value(p, "(", &value) ? add(p, field, OPERATOR_EQUAL, &value) : NULL;
        if (term == NULL) {
            return NULL;
        }
        all = filter_join(p->filter, NODE_OR, all, term);
    } while (take(p, ','));
    if (!take(p, ')')) {
        (void)error_set(p->err, EINVAL, "expected ',' or ')' in the list");
        return fail(p, p->at);
    }
    return all;
}

static const struct filter_node *parse_bare(struct parser *p, const char *at)
{
    struct value value;
    p->at = at;
    return read_value(p, "", &value) ? add(p, FIELD_ANY, OPERATOR_HAS, &value) : NULL;
}

/* fe80::1, 1:LQU9...=: a colon inside a bare word is no operator. */
static bool is_bare_address(const struct parser *p)
{
    struct ip_prefix prefix;
    return prefix_parse(p->at, run(p, is_value_char), &prefix);
}

static const struct filter_node *parse_term(struct parser *p)
{
    const char *at = p->at;
    if (*at == '"' || is_bare_address(p)) {
        return parse_bare(p, at);
    }
    const size_t length = run(p, is_field_char);
    const enum filter_field_id field = filter_field_find(at, length, p->label);
    const char *word_end = at + length;
    p->at = word_end;
    enum filter_operator compare = OPERATOR_EQUAL;
    const char *operator_text = "";
    const bool is_in = at_keyword(p, "IN");
    if (is_in ? field == FIELD_COUNT : !take_operator(p, &compare, &operator_text)) {
        if (length == 0) {
            (void)error_set(p->err, EINVAL, "expected a field or a value, not '%c'", *at);
            return fail(p, at);
        }
        return parse_bare(p, at);
    }
    if (length == 0) {
        (void)error_set(p->err, EINVAL, "expected a field before '%s'", operator_text);
        return fail(p, at);
    }
    if (field == FIELD_COUNT) {
        const char *near = filter_field_near(at, length);
        (void)(near == NULL ? error_set(p->err, EINVAL, "unknown field '%.*s'",
                                        (int)(length < 60 ? length : 60), at)
                            : error_set(p->err, EINVAL, "unknown field '%.*s'; did you mean '%s'?",
                                        (int)length, at, near));
        return fail(p, at);
    }
    if (is_in) {
        (void)take_keyword(p, "IN");
        return parse_list(p, field);
    }
    struct value value;
    return read_value(p, operator_text, &value) ? add(p, field, compare, &value) : NULL;
}

static const struct filter_node *parse_one(struct parser *p, unsigned depth)
{
    if (depth >= FILTER_DEPTH_MAX) {
        (void)error_set(p->err, EINVAL, "nested deeper than %d", FILTER_DEPTH_MAX);
        return fail(p, p->at);
    }
    const char c = peek(p);
    if (p->at == p->end) {
        (void)error_set(p->err, EINVAL, "expected a field or a value");
        return fail(p, p->at);
    }
    if (take_keyword(p, "NOT") || (c == '-' && take(p, '-'))) {
        const struct filter_node *negated = parse_one(p, depth + 1);
        return filter_negate(p->filter, negated);
    }
    if (take(p, '(')) {
        const struct filter_node *inner = parse_any(p, depth + 1);
        if (inner != NULL && !take(p, ')')) {
            (void)error_set(p->err, EINVAL, "expected ')'");
            return fail(p, p->at);
        }
        return inner;
    }
    if (at_keyword(p, "AND") || at_keyword(p, "OR")) {
        (void)error_set(p->err, EINVAL, "expected a field or a value before '%.*s'",
                        (int)run(p, is_value_char), p->at);
        return fail(p, p->at);
    }
    return parse_term(p);
}

static bool at_end_of_all(struct parser *p)
{
    skip_space(p);
    return p->at == p->end || *p->at == ')' || at_keyword(p, "OR");
}

static const struct filter_node *parse_all(struct parser *p, unsigned depth)
{
    const struct filter_node *all = parse_one(p, depth);
    while (all != NULL && !at_end_of_all(p)) {
        (void)take_keyword(p, "AND");
        const struct filter_node *next = parse_one(p, depth);
        if (next == NULL) {
            return NULL;
        }
        all = filter_join(p->filter, NODE_AND, all, next);
    }
    return all;
}

static const struct filter_node *parse_any(struct parser *p, unsigned depth)
{
    const struct filter_node *any = parse_all(p, depth);
    while (any != NULL && take_keyword(p, "OR")) {
        const struct filter_node *next = parse_all(p, depth);
        if (next == NULL) {
            return NULL;
        }
        any = filter_join(p->filter, NODE_OR, any, next);
    }
    return any;
}

bool filter_parse(struct filter *filter, const char *text, size_t length,
                  const struct filter_node **root, struct error *err, uint32_t *position)
{
    struct parser p = {
        .filter = filter, .begin = text, .at = text, .end = text + length, .err = err};
    *root = NULL;
    if (length > FILTER_TEXT_MAX) {
        (void)error_set(err, E2BIG, "a filter has at most %d bytes", FILTER_TEXT_MAX);
        return false;
    }
    skip_space(&p);
    if (p.at == p.end) {
        return true; /* matches all */
    }
    *root = parse_any(&p, 0);
    if (*root != NULL && p.at != p.end) {
        (void)error_set(err, EINVAL, "expected nothing behind the filter, not '%c'", *p.at);
        *root = fail(&p, p.at);
    }
    if (*root == NULL && position != NULL) {
        *position = p.position;
    }
    return *root != NULL;
}

struct filter *filter_compile(const char *text, size_t length, struct error *err,
                              uint32_t *position)
{
    return filter_build(NULL, 0, NULL, 0, text, length, err, position);
}
