/* The tree as text again: how the filter was understood. */
#include <string.h>

#include "proto/filter/filter_tree.h"

struct printer {
    char *out;
    size_t capacity, length;
    bool ok;
};

static void put_bytes(struct printer *p, const char *text, size_t length)
{
    p->ok = p->ok && length < p->capacity - p->length; /* and a NUL */
    if (p->ok) {
        memcpy(p->out + p->length, text, length);
        p->length += length;
    }
}

static void put(struct printer *p, const char *text)
{
    put_bytes(p, text, strlen(text));
}

static void put_quoted(struct printer *p, const struct filter_node *term)
{
    put(p, "\"");
    for (uint32_t i = 0; i < term->text_length; i++) {
        if (term->text[i] == '"' || term->text[i] == '\\') {
            put(p, "\\");
        }
        put_bytes(p, term->text + i, 1);
    }
    put(p, "\"");
}

static void put_field(struct printer *p, const struct filter_node *term)
{
    const char *name = filter_fields[term->field].name;
    if (term->label[0] != '\0') {
        put_bytes(p, name, strlen(name) - strlen("KEY"));
        put(p, term->label);
    } else {
        put(p, name);
    }
}

static void put_term(struct printer *p, const struct filter_node *term, bool is_negated)
{
    static const char *const operators[] = {
        [OPERATOR_EQUAL] = " = ",   [OPERATOR_NOT_EQUAL] = " != ",
        [OPERATOR_LESS] = " < ",    [OPERATOR_LESS_EQUAL] = " <= ",
        [OPERATOR_GREATER] = " > ", [OPERATOR_GREATER_EQUAL] = " >= ",
        [OPERATOR_HAS] = " : ",
    };
    if (term->field == FIELD_ANY) {
        put_quoted(p, term);
        return;
    }
    put_field(p, term);
    put(p, is_negated ? " != " : operators[term->compare]);
    if (term->kind == KIND_TEXT || term->kind == KIND_ADDRESS) {
        put_quoted(p, term);
    } else {
        put_bytes(p, term->text, term->text_length);
    }
}

static void put_node(struct printer *p, const struct filter_node *node,
                     enum filter_node_type parent)
{
    if (node->type == NODE_TERM) {
        put_term(p, node, false);
        return;
    }
    if (node->type == NODE_NOT) {
        const struct filter_node *inner = node->left;
        if (inner->type == NODE_TERM && inner->compare == OPERATOR_EQUAL) {
            put_term(p, inner, true);
            return;
        }
        put(p, "NOT ");
        put_node(p, inner, NODE_NOT);
        return;
    }
    /* Also an AND inside an OR, which needs none: so it is seen what belongs together. */
    const bool has_parentheses = parent != node->type;
    put(p, has_parentheses ? "(" : "");
    put_node(p, node->left, node->type);
    put(p, node->type == NODE_AND ? " AND " : " OR ");
    put_node(p, node->right, node->type);
    put(p, has_parentheses ? ")" : "");
}

size_t filter_to_text(const struct filter *filter, char *out, size_t capacity)
{
    if (capacity == 0) {
        return 0;
    }
    struct printer p = {.out = out, .capacity = capacity, .ok = true};
    if (filter->root != NULL) {
        put_node(&p, filter->root, filter->root->type);
    }
    out[p.ok ? p.length : 0] = '\0';
    return p.ok ? p.length : 0;
}
