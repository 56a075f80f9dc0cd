#include "base/json_writer.h"

#include <string.h>

#include "base/attributes.h"
#include "base/utf8.h"
#include "base/wire_format.h"

#define JSON_DEPTH_MAX 63

/* Room for `bytes` more, or NULL with overflow set: then nothing is written any more. */
static char *reserve(struct json_writer *w, size_t bytes)
{
    if (UNLIKELY(w->overflow || bytes > w->capacity - w->length)) {
        w->overflow = true;
        return NULL;
    }
    char *at = w->out + w->length;
    w->length += bytes;
    return at;
}

static inline void put(struct json_writer *w, const void *bytes, size_t length)
{
    char *at = reserve(w, length);
    if (at != NULL && length > 0) {
        wire_copy((uint8_t *)at, bytes, length);
    }
}

static void put_char(struct json_writer *w, char c)
{
    char *at = reserve(w, 1);
    if (at != NULL) {
        *at = c;
    }
}

/* The comma before a value or a key, where one is due. */
static void begin_value(struct json_writer *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    const uint64_t bit = UINT64_C(1) << w->depth;
    if ((w->has_member & bit) != 0 && w->depth > 0) {
        put_char(w, ',');
    }
    w->has_member |= bit;
}

void json_init(struct json_writer *w, char *out, size_t capacity)
{
    *w = (struct json_writer){.out = out, .capacity = capacity};
}

static void open_level(struct json_writer *w, char bracket)
{
    begin_value(w);
    if (w->depth >= JSON_DEPTH_MAX) {
        w->overflow = true;
        return;
    }
    put_char(w, bracket);
    w->depth++;
    w->has_member &= ~(UINT64_C(1) << w->depth);
}

static void close_level(struct json_writer *w, char bracket)
{
    put_char(w, bracket);
    if (w->depth > 0) {
        w->depth--;
    }
}

void json_object_begin(struct json_writer *w)
{
    open_level(w, '{');
}

void json_object_end(struct json_writer *w)
{
    close_level(w, '}');
}

void json_array_begin(struct json_writer *w)
{
    open_level(w, '[');
}

void json_array_end(struct json_writer *w)
{
    close_level(w, ']');
}

void json_key(struct json_writer *w, const char *key)
{
    begin_value(w);
    put_char(w, '"');
    put(w, key, strlen(key));
    put(w, "\":", 2);
    w->after_key = true;
}

/* Bytes at the start of `text` that go out as they are: printable ASCII without '"' and '\\'. Eight
 * at a time: names and addresses are nearly always clean. */
static size_t clean_run(const uint8_t *text, size_t length)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = ones << 7;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t x;
        memcpy(&x, text + i, sizeof(x));
        const uint64_t quote = x ^ ones * '"';
        const uint64_t slash = x ^ ones * '\\';
        const uint64_t below_space = x - ones * 0x20;
        const uint64_t is_delete = x + ones; /* 0x7f gets its top bit */
        /* Borrows and carries can only mark a byte behind one that is marked rightly: no miss, and
         * a false mark costs only the byte-wise look below. */
        if (((below_space | (quote - ones) | (slash - ones) | is_delete | x) & tops) != 0) {
            break;
        }
    }
    while (i < length && text[i] >= 0x20 && text[i] < 0x7f && text[i] != '"' && text[i] != '\\') {
        i++;
    }
    return i;
}

static void put_u_escape(struct json_writer *w, uint32_t code)
{
    static const char hex[] = "0123456789abcdef";
    char *at = reserve(w, 6);
    if (at != NULL) {
        at[0] = '\\';
        at[1] = 'u';
        for (unsigned i = 0; i < 4; i++) {
            at[2 + i] = hex[code >> (12 - 4 * i) & 15];
        }
    }
}

static void put_escape(struct json_writer *w, uint8_t c)
{
    static const char letters[256] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                      ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    if (letters[c] != 0) {
        const char escape[2] = {'\\', letters[c]};
        put(w, escape, sizeof(escape));
    } else {
        put_u_escape(w, c);
    }
}

/* The first byte of `text` is no clean one; returns how many bytes were dealt with. */
static size_t put_special(struct json_writer *w, const uint8_t *text, size_t length)
{
    if (text[0] < 0x80) {
        put_escape(w, text[0]);
        return 1;
    }
    uint32_t code;
    const unsigned count = utf8_read(text, length, &code);
    if (count == 0) {
        put(w, "\xef\xbf\xbd", 3);
        return 1;
    }
    if (utf8_is_control(code)) {
        put_u_escape(w, code); /* all of them are below U+10000 */
    } else {
        put(w, text, count);
    }
    return count;
}

static void put_escaped(struct json_writer *w, const uint8_t *text, size_t length)
{
    for (size_t i = 0; i < length && !w->overflow;) {
        const size_t run = clean_run(text + i, length - i);
        put(w, text + i, run);
        i += run;
        if (i < length) {
            i += put_special(w, text + i, length - i);
        }
    }
}

static void put_string(struct json_writer *w, const uint8_t *text, size_t length)
{
    put_char(w, '"');
    put_escaped(w, text, length);
    put_char(w, '"');
}

void json_key_bytes(struct json_writer *w, const void *key, size_t length)
{
    begin_value(w);
    put_string(w, key, length);
    put_char(w, ':');
    w->after_key = true;
}

void json_text(struct json_writer *w, const char *text)
{
    json_text_bytes(w, text, strlen(text));
}

void json_text_bytes(struct json_writer *w, const void *text, size_t length)
{
    begin_value(w);
    put_string(w, text, length);
}

void json_text_begin(struct json_writer *w)
{
    begin_value(w);
    put_char(w, '"');
}

void json_text_part(struct json_writer *w, const void *text, size_t length)
{
    put_escaped(w, text, length);
}

void json_text_end(struct json_writer *w)
{
    put_char(w, '"');
}

void json_bool(struct json_writer *w, bool value)
{
    begin_value(w);
    put(w, value ? "true" : "false", value ? 4 : 5);
}

void json_null(struct json_writer *w)
{
    begin_value(w);
    put(w, "null", 4);
}

void json_raw(struct json_writer *w, const void *text, size_t length)
{
    begin_value(w);
    put(w, text, length);
}

void json_members_raw(struct json_writer *w, const char *text, size_t length)
{
    if (length == 0) {
        return;
    }
    const uint64_t bit = UINT64_C(1) << w->depth;
    const bool is_first = (w->has_member & bit) == 0;
    put(w, text + is_first, length - is_first);
    w->has_member |= bit;
}

void json_key_raw(struct json_writer *w, const char *text, size_t length)
{
    json_members_raw(w, text, length);
    w->after_key = true;
}

void json_base64(struct json_writer *w, const void *bytes, size_t length)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    begin_value(w);
    if (length > SIZE_MAX / 2) {
        w->overflow = true;
        return;
    }
    const uint8_t *in = bytes;
    char *at = reserve(w, (length + 2) / 3 * 4 + 2);
    if (at == NULL) {
        return;
    }
    *at++ = '"';
    for (; length >= 3; length -= 3, in += 3, at += 4) {
        const uint32_t x = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        at[0] = alphabet[x >> 18];
        at[1] = alphabet[x >> 12 & 63];
        at[2] = alphabet[x >> 6 & 63];
        at[3] = alphabet[x & 63];
    }
    if (length > 0) {
        const uint32_t x = (uint32_t)in[0] << 16 | (length > 1 ? (uint32_t)in[1] << 8 : 0);
        at[0] = alphabet[x >> 18];
        at[1] = alphabet[x >> 12 & 63];
        at[2] = '=';
        at[3] = '=';
        if (length > 1) {
            at[2] = alphabet[x >> 6 & 63];
        }
        at += 4;
    }
    *at = '"';
}
