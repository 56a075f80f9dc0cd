#include "proto/json/text_reader.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

bool text_reader_init(struct text_reader *r, const char *text, size_t length, struct error *err)
{
    *r = (struct text_reader){.begin = text, .at = text, .end = text + length, .err = err};
    r->unescaped = malloc(length + 1); /* unescaping never makes it longer */
    if (r->unescaped == NULL) {
        (void)error_set(err, ENOMEM, "no memory for JSON of %zu bytes", length);
        return false;
    }
    return true;
}

void text_reader_fini(struct text_reader *r)
{
    free(r->unescaped);
    r->unescaped = NULL;
}

bool text_fail(struct text_reader *r, const char *at, const char *message)
{
    unsigned line = 1;
    unsigned column = 1;
    for (const char *c = r->begin; c < at; c++) {
        column++;
        if (*c == '\n') {
            line++;
            column = 1;
        }
    }
    (void)error_set(r->err, EINVAL, "line %u column %u: %s", line, column, message);
    return false;
}

const char *text_next(struct text_reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) {
        r->at++;
    }
    return r->at;
}

char text_peek(struct text_reader *r)
{
    return (char)(text_next(r) < r->end ? *r->at : '\0');
}

bool text_take(struct text_reader *r, char c)
{
    if (text_next(r) == r->end || *r->at != c) {
        return false;
    }
    r->at++;
    return true;
}

static bool is_word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
           c == '-' || c == '.' || c == '_';
}

size_t text_word(struct text_reader *r)
{
    const char *begin = text_next(r);
    while (r->at < r->end && is_word_char(*r->at)) {
        r->at++;
    }
    return (size_t)(r->at - begin);
}

bool text_take_word(struct text_reader *r, const char *word)
{
    const char *begin = text_next(r);
    const size_t length = text_word(r);
    if (length == strlen(word) && memcmp(begin, word, length) == 0) {
        return true;
    }
    r->at = begin;
    return false;
}

/* The four hexadecimal digits behind "\u". */
static bool read_hex4(struct text_reader *r, uint32_t *code)
{
    *code = 0;
    if (r->end - r->at < 4) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        const char c = *r->at++;
        const char lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9') {
            *code = *code << 4 | (uint32_t)(c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            *code = *code << 4 | (uint32_t)(lower - 'a' + 10);
        } else {
            return false;
        }
    }
    return true;
}

static char *put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    } else {
        *out++ = (char)(0xf0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    }
    return out;
}

static bool read_unicode_escape(struct text_reader *r, uint32_t *code)
{
    if (!read_hex4(r, code)) {
        return false;
    }
    if (*code < 0xd800 || *code > 0xdfff) {
        return true;
    }
    uint32_t low; /* a surrogate comes with its other half (RFC 8259 section 7) */
    if (*code > 0xdbff || r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u') {
        return false;
    }
    r->at += 2;
    if (!read_hex4(r, &low) || low < 0xdc00 || low > 0xdfff) {
        return false;
    }
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* What stands behind a backslash. */
static bool read_escape(struct text_reader *r, char **out)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end) {
        return false;
    }
    const char c = *r->at++;
    if (c == 'u') {
        uint32_t code;
        if (!read_unicode_escape(r, &code)) {
            return false;
        }
        *out = put_utf8(*out, code);
        return true;
    }
    const char *found = c == '\0' ? NULL : strchr(from, c);
    if (found == NULL) {
        return false;
    }
    *(*out)++ = to[found - from];
    return true;
}

bool text_string(struct text_reader *r, const char **text, size_t *length)
{
    const char *begin = text_next(r);
    char *out = r->unescaped;
    r->at++; /* the caller has seen the quote */
    while (r->at < r->end && *r->at != '"') {
        const char *at = r->at;
        if (*at == '\\') {
            r->at++;
            if (!read_escape(r, &out)) {
                return text_fail(r, at, "no such escape");
            }
            continue;
        }
        uint32_t code;
        const unsigned bytes = utf8_read((const uint8_t *)at, (size_t)(r->end - at), &code);
        if (bytes == 0 || code < 0x20) {
            return text_fail(r, at, "a string holds UTF-8, control characters as \\u escapes");
        }
        memcpy(out, at, bytes);
        out += bytes;
        r->at += bytes;
    }
    if (r->at == r->end) {
        return text_fail(r, begin, "this string has no end");
    }
    r->at++;
    *out = '\0';
    *text = r->unescaped;
    *length = (size_t)(out - r->unescaped);
    return true;
}
