#include "collector-ui/api/json_reader.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct parsing {
    struct json_reader *r;
    size_t at;
    unsigned depth;
};

static void skip_space(struct parsing *p)
{
    while (p->at < p->r->length && strchr(" \t\r\n", p->r->text[p->at]) != NULL &&
           p->r->text[p->at] != '\0') {
        p->at++;
    }
}

static char peek(const struct parsing *p)
{
    if (p->at >= p->r->length) {
        return '\0';
    }
    return p->r->text[p->at];
}

static struct json_value *value_new(struct parsing *p, enum json_type type)
{
    if (p->r->count == JSON_VALUES_MAX) {
        return NULL;
    }
    struct json_value *const value = &p->r->values[p->r->count++];
    *value = (struct json_value){.type = type, .start = (uint32_t)p->at, .after = p->r->count};
    return value;
}

static bool parse_string(struct parsing *p)
{
    p->at++;
    struct json_value *const value = value_new(p, JSON_STRING);
    if (value == NULL) {
        return false;
    }
    for (; p->at < p->r->length; p->at++) {
        const unsigned char c = (unsigned char)p->r->text[p->at];
        if (c == '"') {
            value->end = (uint32_t)p->at++;
            return true;
        }
        if (c < 0x20) {
            return false;
        }
        if (c == '\\') {
            p->at++;
        }
    }
    return false;
}

static bool parse_number(struct parsing *p)
{
    char text[64];
    struct json_value *const value = value_new(p, JSON_NUMBER);
    size_t length = 0;
    while (p->at < p->r->length && length + 1 < sizeof text &&
           (isdigit((unsigned char)peek(p)) || strchr("+-.eE", peek(p)) != NULL)) {
        text[length++] = p->r->text[p->at++];
    }
    text[length] = '\0';
    if (value == NULL || length == 0 || (text[0] != '-' && !isdigit((unsigned char)text[0]))) {
        return false;
    }
    char *end = NULL;
    value->number = strtod(text, &end);
    value->end = (uint32_t)p->at;
    return *end == '\0';
}

static bool parse_word(struct parsing *p)
{
    static const struct {
        const char *text;
        enum json_type type;
        double number;
    } words[] = {{"null", JSON_NULL, 0}, {"true", JSON_BOOL, 1}, {"false", JSON_BOOL, 0}};
    for (unsigned i = 0; i < 3; i++) {
        const size_t length = strlen(words[i].text);
        if (p->r->length - p->at >= length &&
            memcmp(p->r->text + p->at, words[i].text, length) == 0) {
            struct json_value *const value = value_new(p, words[i].type);
            p->at += length;
            if (value != NULL) {
                value->end = (uint32_t)p->at;
                value->number = words[i].number;
            }
            return value != NULL;
        }
    }
    return false;
}

static bool parse_value(struct parsing *p);

static bool parse_members(struct parsing *p, bool is_object)
{
    const char closing = is_object ? '}' : ']';
    const uint32_t index = p->r->count;
    if (value_new(p, is_object ? JSON_OBJECT : JSON_ARRAY) == NULL || p->depth == 16) {
        return false;
    }
    p->depth++;
    p->at++;
    skip_space(p);
    bool is_first = true;
    while (peek(p) != closing) {
        if (!is_first) {
            if (peek(p) != ',') {
                return false;
            }
            p->at++;
            skip_space(p);
        }
        is_first = false;
        if (is_object) {
            if (peek(p) != '"' || !parse_string(p)) {
                return false;
            }
            skip_space(p);
            if (peek(p) != ':') {
                return false;
            }
            p->at++;
        }
        if (!parse_value(p)) {
            return false;
        }
        skip_space(p);
    }
    p->at++;
    p->depth--;
    p->r->values[index].end = (uint32_t)p->at;
    p->r->values[index].after = p->r->count;
    return true;
}

/* Recursion is bounded by the depth above. */
static bool parse_value(struct parsing *p) /* NOLINT(misc-no-recursion) */
{
    skip_space(p);
    switch (peek(p)) {
    case '{':
        return parse_members(p, true);
    case '[':
        return parse_members(p, false);
    case '"':
        return parse_string(p);
    case 't':
    case 'f':
    case 'n':
        return parse_word(p);
    default:
        return parse_number(p);
    }
}

bool json_read(struct json_reader *reader, const char *text, size_t length)
{
    reader->text = text;
    reader->length = length;
    reader->count = 0;
    struct parsing p = {reader, 0, 0};
    if (!parse_value(&p)) {
        return false;
    }
    skip_space(&p);
    return p.at == length;
}

const struct json_value *json_member(const struct json_reader *reader,
                                     const struct json_value *object, const char *key)
{
    if (object == NULL || object->type != JSON_OBJECT) {
        return NULL;
    }
    const size_t length = strlen(key);
    uint32_t at = (uint32_t)(object - reader->values) + 1;
    while (at + 1 < object->after) {
        const struct json_value *const name = &reader->values[at];
        const struct json_value *const value = &reader->values[at + 1];
        if (name->end - name->start == length &&
            memcmp(reader->text + name->start, key, length) == 0) {
            return value;
        }
        at = value->after;
    }
    return NULL;
}

static size_t put_utf8(unsigned code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0U | code >> 6);
        out[1] = (char)(0x80U | (code & 0x3fU));
        return 2;
    }
    out[0] = (char)(0xe0U | code >> 12);
    out[1] = (char)(0x80U | (code >> 6 & 0x3fU));
    out[2] = (char)(0x80U | (code & 0x3fU));
    return 3;
}

bool json_string(const struct json_reader *reader, const struct json_value *value, char *out,
                 size_t room)
{
    if (value == NULL || value->type != JSON_STRING || room < 5) {
        return false;
    }
    size_t length = 0;
    for (uint32_t at = value->start; at < value->end; at++) {
        char c = reader->text[at];
        if (length + 5 > room) {
            return false;
        }
        if (c != '\\') {
            out[length++] = c;
            continue;
        }
        c = reader->text[++at];
        static const char from[] = "\"\\/bfnrt";
        static const char to[] = "\"\\/\b\f\n\r\t";
        const char *const known = c == '\0' ? NULL : strchr(from, c);
        if (known != NULL) {
            out[length++] = to[known - from];
        } else if (c == 'u' && at + 4 < value->end + 0U + 1U) {
            char digits[5] = {0};
            memcpy(digits, reader->text + at + 1, 4);
            const unsigned code = (unsigned)strtoul(digits, NULL, 16);
            if (code == 0 || strspn(digits, "0123456789abcdefABCDEF") != 4) {
                return false;
            }
            length += put_utf8(code, out + length);
            at += 4;
        } else {
            return false;
        }
    }
    out[length] = '\0';
    return true;
}
