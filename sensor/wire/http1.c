#include "sensor/wire/http1.h"

static bool span_is(const struct wire_span *span, const char *text)
{
    return span->length == strlen(text) && memcmp(span->bytes, text, span->length) == 0;
}

static bool is_method(const struct wire_span *word)
{
    static const char *const methods[] = {"GET",     "POST",    "HEAD",     "PUT",    "DELETE",
                                          "OPTIONS", "CONNECT", "PATCH",    "TRACE",  "PROPFIND",
                                          "REPORT",  "MERGE",   "MKCOL",    "NOTIFY", "M-SEARCH",
                                          "COPY",    "MOVE",    "PROPPATCH"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (span_is(word, methods[i])) {
            return true;
        }
    }
    return false;
}

/* The next line without its end; false (and `c` at its end) when the line is not whole. */
static bool next_line(struct cursor *c, struct wire_span *line)
{
    const size_t left = cursor_left(c);
    const uint8_t *end = left > 0 ? memchr(c->at, '\n', left) : NULL;

    *line = (struct wire_span){.bytes = c->at,
                               .length = (uint32_t)(end != NULL ? (size_t)(end - c->at) : left)};
    cursor_skip(c, line->length + (end != NULL ? 1U : 0U));
    if (end != NULL && line->length > 0 && line->bytes[line->length - 1] == '\r') {
        line->length--;
    }
    return end != NULL;
}

/* Cuts `line` at the first `separator`: what stands before it, and in `line` what stands behind.
 * The whole when there is none. */
static struct wire_span cut(struct wire_span *line, char separator)
{
    const uint8_t *at = line->length > 0 ? memchr(line->bytes, separator, line->length) : NULL;
    const uint32_t length = at != NULL ? (uint32_t)(at - line->bytes) : line->length;
    const struct wire_span word = {.bytes = line->bytes, .length = length};
    const uint32_t used = at != NULL ? length + 1 : length;

    if (line->length > 0) {
        line->bytes += used;
        line->length -= used;
    }
    return word;
}

static enum wire_status read_version(const struct wire_span *word, struct http1 *out)
{
    if (word->length != 8 || memcmp(word->bytes, "HTTP/1.", 7) != 0 ||
        (word->bytes[7] != '0' && word->bytes[7] != '1')) {
        return WIRE_MALFORMED;
    }
    out->minor = word->bytes[7] - '0';
    return WIRE_OK;
}

static enum wire_status read_first_line(struct wire_span line, bool is_whole, struct http1 *out)
{
    struct wire_span word = cut(&line, ' ');

    if (word.length >= 7 && memcmp(word.bytes, "HTTP/1.", 7) == 0) {
        if (!is_whole) {
            return WIRE_TRUNCATED;
        }
        const struct wire_span status = cut(&line, ' ');
        for (uint32_t i = 0; i < status.length && i < 3; i++) {
            if (status.bytes[i] < '0' || status.bytes[i] > '9') {
                return WIRE_MALFORMED;
            }
            out->status = (uint16_t)(out->status * 10 + status.bytes[i] - '0');
        }
        return status.length == 3 && out->status >= 100 ? read_version(&word, out) : WIRE_MALFORMED;
    }
    if (!is_method(&word)) {
        return WIRE_MALFORMED;
    }
    out->is_request = true;
    out->method = word;
    if (!is_whole) {
        return WIRE_TRUNCATED;
    }
    out->target = cut(&line, ' ');
    return read_version(&line, out);
}

static bool name_is(const struct wire_span *name, const char *lower)
{
    if (name->length != strlen(lower)) {
        return false;
    }
    for (uint32_t i = 0; i < name->length; i++) {
        const uint8_t c = name->bytes[i];
        const uint8_t folded = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;

        if (folded != (uint8_t)lower[i]) {
            return false;
        }
    }
    return true;
}

static struct wire_span trim(struct wire_span value)
{
    while (value.length > 0 && (value.bytes[0] == ' ' || value.bytes[0] == '\t')) {
        value.bytes++;
        value.length--;
    }
    while (value.length > 0 &&
           (value.bytes[value.length - 1] == ' ' || value.bytes[value.length - 1] == '\t')) {
        value.length--;
    }
    return value;
}

enum wire_status http1_parse(const struct wire_span *bytes, struct http1 *out)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    struct wire_span line;

    *out = (struct http1){0};
    const bool is_whole = next_line(&c, &line);
    const enum wire_status status = read_first_line(line, is_whole, out);
    if (status != WIRE_OK) {
        return status;
    }
    for (unsigned i = 0; i < HTTP1_HEADERS_MAX && next_line(&c, &line); i++) {
        if (line.length == 0) {
            out->is_complete = true;
            break;
        }
        const struct wire_span name = cut(&line, ':');
        if (name_is(&name, "host") && out->host.bytes == NULL) {
            out->host = trim(line);
        } else if (name_is(&name, "user-agent") && out->user_agent.bytes == NULL) {
            out->user_agent = trim(line);
        }
    }
    return WIRE_OK;
}
