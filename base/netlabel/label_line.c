/* A line: a prefix, and KEY=VALUE for each of its labels, or its name; what has blanks stands in
 * quotes. */
#include <errno.h>
#include <string.h>

#include "base/netlabel/netlabel_private.h"
#include "base/utf8.h"

#define SHOWN_BYTES 60 /* of what a message quotes */

struct cursor {
    const char *at, *end;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == ',';
}

static void skip_blanks(struct cursor *cursor)
{
    while (cursor->at < cursor->end && is_blank(*cursor->at)) {
        cursor->at++;
    }
    if (cursor->at < cursor->end && *cursor->at == '#') {
        cursor->at = cursor->end;
    }
}

static int shown(size_t length)
{
    return (int)(length < SHOWN_BYTES ? length : SHOWN_BYTES);
}

static bool text_is_good(const char *text, size_t length, size_t length_max)
{
    if (length == 0 || length > length_max) {
        return false;
    }
    for (size_t i = 0; i < length;) {
        uint32_t code;
        const unsigned bytes = utf8_read((const uint8_t *)text + i, length - i, &code);

        if (bytes == 0 || utf8_is_control(code)) {
            return false;
        }
        i += bytes;
    }
    return true;
}

bool netlabel_value_is_good(const char *text, size_t length)
{
    return text_is_good(text, length, NETLABEL_VALUE_BYTES);
}

static bool key_is_good(const char *key, size_t length)
{
    if (length == 0 || length > NETLABEL_KEY_BYTES || key[0] < 'a' || key[0] > 'z') {
        return false;
    }
    for (size_t i = 1; i < length; i++) {
        if (!(key[i] >= 'a' && key[i] <= 'z') && !(key[i] >= '0' && key[i] <= '9') &&
            key[i] != '_') {
            return false;
        }
    }
    return true;
}

/* What stands up to the next blank. */
static size_t word_length(const struct cursor *cursor)
{
    size_t length = 0;

    while (cursor->at + length < cursor->end && !is_blank(cursor->at[length])) {
        length++;
    }
    return length;
}

/* A word, or what stands in quotes. False: the quote has no end. */
static bool read_text(struct cursor *cursor, const char **text, size_t *length)
{
    if (cursor->at == cursor->end || *cursor->at != '"') {
        *text = cursor->at;
        *length = word_length(cursor);
        cursor->at += *length;
        return true;
    }
    const char *begin = ++cursor->at;
    const char *quote = memchr(begin, '"', (size_t)(cursor->end - begin));

    if (quote == NULL) {
        return false;
    }
    *text = begin;
    *length = (size_t)(quote - begin);
    cursor->at = quote + 1;
    return true;
}

static int read_value(struct cursor *cursor, struct netlabel *label, struct error *err)
{
    size_t length;

    if (!read_text(cursor, &label->value, &length)) {
        return error_set(err, EINVAL, "label '%.*s': the quote of its value has no end",
                         (int)label->key_length, label->key);
    }
    if (!netlabel_value_is_good(label->value, length)) {
        return error_set(err, EINVAL,
                         "label '%.*s': its value must be 1 to %d bytes of UTF-8 without control "
                         "characters",
                         (int)label->key_length, label->key, NETLABEL_VALUE_BYTES);
    }
    label->value_length = (uint8_t)length;
    return 0;
}

static int read_label(struct cursor *cursor, struct netlabel *label, struct error *err)
{
    const size_t word = word_length(cursor);
    const char *equals = memchr(cursor->at, '=', word);
    const size_t length = equals == NULL ? 0 : (size_t)(equals - cursor->at);

    if (equals == NULL || !key_is_good(cursor->at, length)) {
        return error_set(err, EINVAL,
                         "'%.*s' is no label such as site=berlin (a key has 1 to %d of a-z, 0-9 "
                         "and _, and begins with a letter)",
                         shown(word), cursor->at, NETLABEL_KEY_BYTES);
    }
    label->key = cursor->at;
    label->key_length = (uint8_t)length;
    cursor->at = equals + 1;
    return read_value(cursor, label, err);
}

/* 1: the cursor is behind the prefix; 0: nothing is in the line. */
static int read_prefix(struct cursor *cursor, struct netlabel_line *out, struct error *err)
{
    out->count = 0;
    skip_blanks(cursor);
    if (cursor->at == cursor->end) {
        return 0;
    }
    const size_t word = word_length(cursor);

    if (!prefix_parse(cursor->at, word, &out->prefix)) {
        return error_set(err, EINVAL, "'%.*s' is no prefix such as 10.0.0.0/8", shown(word),
                         cursor->at);
    }
    cursor->at += word;
    return 1;
}

int netlabel_name_read(const char *text, size_t length, struct netlabel_line *out,
                       struct error *err)
{
    struct cursor cursor = {text, text + length};
    struct netlabel *name = &out->items[0];
    const int is_there = read_prefix(&cursor, out, err);
    size_t name_length;

    if (is_there <= 0) {
        return is_there;
    }
    skip_blanks(&cursor);
    if (cursor.at == cursor.end) {
        return error_set(err, EINVAL, "no name behind the address, such as 10.20.0.5 printer");
    }
    if (!read_text(&cursor, &name->value, &name_length)) {
        return error_set(err, EINVAL, "the quote of the name has no end");
    }
    if (!text_is_good(name->value, name_length, NETLABEL_NAME_BYTES)) {
        return error_set(err, EINVAL,
                         "a name must be 1 to %d bytes of UTF-8 without control characters",
                         NETLABEL_NAME_BYTES);
    }
    name->key = name->value;
    name->key_length = 0;
    name->value_length = (uint8_t)name_length;
    out->count = 1; /* what follows are further names, as in a hosts file */
    return 0;
}

int netlabel_line_read(const char *text, size_t length, struct netlabel_line *out,
                       struct error *err)
{
    struct cursor cursor = {text, text + length};
    const int is_there = read_prefix(&cursor, out, err);

    if (is_there <= 0) {
        return is_there;
    }
    for (skip_blanks(&cursor); cursor.at < cursor.end; skip_blanks(&cursor)) {
        if (out->count == NETLABEL_MAX) {
            return error_set(err, EINVAL, "more than %d labels", NETLABEL_MAX);
        }
        if (read_label(&cursor, &out->items[out->count], err) != 0) {
            return -EINVAL;
        }
        out->count++;
    }
    if (out->count == 0) {
        return error_set(err, EINVAL, "no label behind the prefix, such as site=berlin");
    }
    return 0;
}
