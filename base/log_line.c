/* One line in each of its forms, and how values are written in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_line.h"
#include "base/utf8.h"

/* A line in the making; what finds no room is left out, the newline always has its place. */
struct line {
    char *out;
    size_t capacity;
    size_t length;
};

static bool put(struct line *line, const char *bytes, size_t length)
{
    if (length > line->capacity - line->length) {
        line->capacity = line->length; /* no later, shorter piece may follow a gap */
        return false;
    }
    memcpy(line->out + line->length, bytes, length);
    line->length += length;
    return true;
}

/* `text` with controls and bytes that are no UTF-8 as \n, \t or \xNN; inside quotes also '"' and
 * '\\'. */
static void put_escaped(struct line *line, const char *text, bool is_quoted)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);
    bool is_put = true;
    while (left > 0 && is_put) {
        uint32_t code = 0;
        const unsigned count = utf8_read(at, left, &code);
        const unsigned taken = count > 0 ? count : 1;
        if (count > 0 && !utf8_is_control(code)) {
            const bool is_escaped = is_quoted && (code == '"' || code == '\\');
            is_put = (!is_escaped || put(line, "\\", 1)) && put(line, (const char *)at, count);
        } else if (code == '\n') {
            is_put = put(line, "\\n", 2);
        } else if (code == '\t') {
            is_put = put(line, "\\t", 2);
        } else {
            for (unsigned i = 0; i < taken && is_put; i++) {
                char escape[8];
                (void)snprintf(escape, sizeof(escape), "\\x%02x", at[i]);
                is_put = put(line, escape, 4);
            }
        }
        at += taken;
        left -= taken;
    }
}

static bool is_bare(const char *text)
{
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 0x7f || *text == '"' || *text == '=' || *text == '\\') {
            return false;
        }
    }
    return true;
}

static void put_value(struct line *line, const char *text)
{
    if (is_bare(text)) {
        (void)put(line, text, strlen(text));
        return;
    }
    if (line->capacity - line->length < 2) {
        return;
    }
    (void)put(line, "\"", 1);
    line->capacity--; /* the closing quote has its place */
    const size_t capacity = line->capacity;
    put_escaped(line, text, true);
    const bool is_cut = line->capacity != capacity;
    line->capacity++;
    (void)put(line, "\"", 1);
    if (is_cut) {
        line->capacity = line->length;
    }
}

const char *log_quote(const char *text, char *out, uint32_t out_bytes)
{
    if (out_bytes > 0) {
        struct line line = {.out = out, .capacity = out_bytes - 1};
        put_value(&line, text);
        out[line.length] = '\0';
    }
    return out;
}

/* ---- forms ---- */

static void put_text(struct line *line, const char *text)
{
    (void)put(line, text, strlen(text));
}

static void put_json_text(struct line *line, const char *text, size_t length)
{
    char escape[8];
    const uint8_t *at = (const uint8_t *)text;

    (void)put(line, "\"", 1);
    while (length > 0) {
        uint32_t code = 0;
        const unsigned count = utf8_read(at, length, &code);
        const unsigned taken = count > 0 ? count : 1;
        if (count > 0 && code >= 0x20 && code != '"' && code != '\\' && code != 0x7f) {
            (void)put(line, (const char *)at, count);
        } else {
            (void)snprintf(escape, sizeof(escape), "\\u%04x", count > 0 ? (unsigned)code : at[0]);
            (void)put(line, escape, 6);
        }
        at += taken;
        length -= taken;
    }
    (void)put(line, "\"", 1);
}

/* The value at `*at` (bare, or quoted as log_quote does) without its quotes into `out`; `*at` moves
 * behind it. */
static size_t take_value(const char **at, char *out, size_t out_bytes)
{
    size_t length = 0;
    const bool is_quoted = **at == '"';

    *at += is_quoted;
    while (**at != '\0' && (is_quoted ? **at != '"' : **at != ' ')) {
        char byte = *(*at)++;
        if (byte == '\\' && is_quoted && **at != '\0') {
            byte = *(*at)++;
            if (byte == 'x' && (*at)[0] != '\0' && (*at)[1] != '\0') {
                const char digits[3] = {(*at)[0], (*at)[1], '\0'};
                byte = (char)strtoul(digits, NULL, 16);
                *at += 2;
            } else {
                byte = (char)(byte == 'n' ? '\n' : byte == 't' ? '\t' : byte);
            }
        }
        if (length < out_bytes) {
            out[length++] = byte;
        }
    }
    *at += is_quoted && **at == '"';
    return length;
}

static bool is_number(const char *text, size_t length)
{
    if (length == 0 || length > 15 || (text[0] == '0' && length > 1)) {
        return false; /* RFC 8259 knows no leading zero; longer ones lose digits in readers */
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    return true;
}

static void put_json_pairs(struct line *line, const char *pairs)
{
    char value[LINE_BYTES];

    while (*pairs != '\0') {
        const size_t key = strcspn(pairs, "= ");
        if (pairs[key] != '=') { /* a word without a value */
            pairs += key + (pairs[key] != '\0');
            continue;
        }
        (void)put(line, ",", 1);
        put_json_text(line, pairs, key);
        (void)put(line, ":", 1);
        pairs += key + 1;
        const bool is_bare_value = *pairs != '"';
        const size_t length = take_value(&pairs, value, sizeof(value));
        if (is_bare_value && is_number(value, length)) {
            (void)put(line, value, length);
        } else {
            put_json_text(line, value, length);
        }
        pairs += *pairs == ' ';
    }
}

static void put_json_line(struct line *line, const char *time, const char *level, const char *part,
                          const char *message, const char *pairs)
{
    const struct {
        const char *key, *value;
    } members[] = {
        {"{\"time\":", time}, {",\"level\":", level}, {",\"part\":", part}, {",\"msg\":", message}};

    line->capacity--; /* the brace has its place */
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        put_text(line, members[i].key);
        put_json_text(line, members[i].value, strlen(members[i].value));
    }
    /* Pairs that do not fit are left out as a whole: the line stays an object. */
    const struct line before = *line;
    put_json_pairs(line, pairs);
    if (line->length == line->capacity) { /* full: something may be missing */
        *line = before;
    }
    line->capacity++;
    (void)put(line, "}", 1);
}

static void put_logfmt_line(struct line *line, const char *time, const char *level,
                            const char *part, const char *message, const char *pairs)
{
    put_text(line, "time=");
    put_text(line, time);
    put_text(line, " level=");
    put_text(line, level);
    put_text(line, " part=");
    put_value(line, part);
    put_text(line, " msg=");
    put_value(line, message);
    if (pairs[0] != '\0') {
        put_text(line, " ");
        put_escaped(line, pairs, false);
    }
}

static void put_text_line(struct line *line, const char *time, const char *level, const char *part,
                          const char *message, const char *pairs)
{
    /* 2026-01-02T03:04:05.678Z: the day is known to whoever sits there. */
    (void)put(line, time + 11, strlen(time) >= 19 ? 8 : 0);
    put_text(line, " ");
    put_text(line, level);
    put_text(line, " ");
    put_escaped(line, part, false);
    put_text(line, ": ");
    put_escaped(line, message, false);
    if (pairs[0] != '\0') {
        put_text(line, "  ");
        put_escaped(line, pairs, false);
    }
}

size_t log_line_make(const struct log_line_parts *parts, enum log_format format, char *out,
                     size_t capacity)
{
    struct line line = {.out = out, .capacity = capacity - 1};
    static const char *const names[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug", "trace"};
    const char *level = names[parts->level];

    if (format == LOG_JSON) {
        put_json_line(&line, parts->time, level, parts->part, parts->message, parts->pairs);
    } else if (format == LOG_TEXT) {
        put_text_line(&line, parts->time, level, parts->part, parts->message, parts->pairs);
    } else {
        put_logfmt_line(&line, parts->time, level, parts->part, parts->message, parts->pairs);
    }
    out[line.length] = '\n';
    return line.length + 1;
}
