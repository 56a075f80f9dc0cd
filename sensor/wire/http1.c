#include "sensor/wire/http1.h"

static bool span_is(const struct wire_span *span, const char *text)
{
    return span->length == strlen(text) && memcmp(span->bytes, text, span->length) == 0;
}

/* The registered methods that are met, and those of UPnP and RPC over HTTP. */
static bool is_method(const struct wire_span *word)
{
    static const struct {
        uint8_t length;
        char text[16];
    } methods[] = {{3, "GET"},
                   {4, "POST"},
                   {4, "HEAD"},
                   {3, "PUT"},
                   {6, "DELETE"},
                   {7, "OPTIONS"},
                   {7, "CONNECT"},
                   {5, "PATCH"},
                   {5, "TRACE"},
                   {6, "REPORT"},
                   {5, "MERGE"},
                   {5, "MKCOL"},
                   {6, "NOTIFY"},
                   {8, "M-SEARCH"},
                   {4, "COPY"},
                   {4, "MOVE"},
                   {4, "LOCK"},
                   {6, "UNLOCK"},
                   {6, "SEARCH"},
                   {9, "SUBSCRIBE"},
                   {11, "UNSUBSCRIBE"},
                   {4, "LINK"},
                   {6, "UNLINK"},
                   {3, "ACL"},
                   {4, "BIND"},
                   {6, "REBIND"},
                   {6, "UNBIND"},
                   {7, "CHECKIN"},
                   {5, "LABEL"},
                   {8, "CHECKOUT"},
                   {6, "UPDATE"},
                   {5, "PURGE"},
                   {5, "QUERY"},
                   {10, "MKCALENDAR"},
                   {8, "PROPFIND"},
                   {13, "MKREDIRECTREF"},
                   {9, "PROPPATCH"},
                   {11, "RPC_IN_DATA"},
                   {12, "RPC_OUT_DATA"},
                   {9, "BITS_POST"},
                   {15, "VERSION-CONTROL"}};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (word->length == methods[i].length &&
            memcmp(word->bytes, methods[i].text, methods[i].length) == 0) {
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

static bool ends_with(const struct wire_span *value, const char *lower)
{
    const size_t length = strlen(lower);

    if (value->length < length) {
        return false;
    }
    const struct wire_span tail = {.bytes = value->bytes + value->length - length,
                                   .length = (uint32_t)length};
    return name_is(&tail, lower);
}

/* A length with anything but digits is none: the message then ends where the stream does. */
static void read_length(struct wire_span value, struct http1 *out)
{
    uint64_t length = 0;

    for (uint32_t i = 0; i < value.length; i++) {
        const uint8_t c = value.bytes[i];

        if (c < '0' || c > '9' || length > (UINT64_MAX - 9) / 10) {
            return;
        }
        length = length * 10 + c - '0';
    }
    if (value.length > 0) {
        out->has_content_length = true;
        out->content_length = length;
    }
}

static void take_header(const struct wire_span *name, struct wire_span value, struct http1 *out)
{
    if (name_is(name, "host") && out->host.bytes == NULL) {
        out->host = value;
    } else if (name_is(name, "user-agent") && out->user_agent.bytes == NULL) {
        out->user_agent = value;
    } else if (name_is(name, "content-type") && out->content_type.bytes == NULL) {
        out->content_type = value;
    } else if (name_is(name, "upgrade") && out->upgrade.bytes == NULL) {
        out->upgrade = value;
    } else if ((name_is(name, "authorization") || name_is(name, "proxy-authorization")) &&
               out->authorization.bytes == NULL) {
        out->authorization = value;
    } else if (name_is(name, "transfer-encoding")) {
        out->is_chunked = ends_with(&value, "chunked");
    } else if (name_is(name, "content-length") && !out->has_content_length) {
        read_length(value, out);
    }
}

enum wire_status http1_begins(const struct wire_span *bytes)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    struct http1 message = {0};
    struct wire_span line;
    const bool is_whole = next_line(&c, &line);

    return read_first_line(line, is_whole, &message);
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
    for (unsigned i = 0; next_line(&c, &line); i++) {
        if (line.length == 0) {
            out->is_complete = true;
            out->head_bytes = (uint32_t)(c.at - bytes->bytes);
            break;
        }
        if (i < HTTP1_HEADERS_MAX) {
            const struct wire_span name = cut(&line, ':');
            take_header(&name, trim(line), out);
        }
    }
    return WIRE_OK;
}

/* Behind "http://" and its kin; NULL bytes where the target is no absolute form. */
static struct wire_span behind_scheme(const struct wire_span *target)
{
    for (uint32_t i = 0; i + 2 < target->length && i < 12; i++) {
        if (target->bytes[i] == ':' && target->bytes[i + 1] == '/' && target->bytes[i + 2] == '/') {
            return (struct wire_span){.bytes = target->bytes + i + 3,
                                      .length = target->length - i - 3};
        }
        if (target->bytes[i] == '/') {
            break;
        }
    }
    return (struct wire_span){0};
}

struct wire_span http1_authority(const struct http1 *request)
{
    struct wire_span rest = behind_scheme(&request->target);

    if (span_is(&request->method, "CONNECT")) {
        return request->target;
    }
    return rest.bytes != NULL ? cut(&rest, '/') : rest;
}

struct wire_span http1_path(const struct http1 *request)
{
    struct wire_span path = behind_scheme(&request->target);

    if (span_is(&request->method, "CONNECT")) {
        return (struct wire_span){0};
    }
    if (path.bytes == NULL) {
        path = request->target;
    } else {
        const uint8_t *slash = path.length > 0 ? memchr(path.bytes, '/', path.length) : NULL;

        if (slash == NULL) {
            return (struct wire_span){0};
        }
        path.length -= (uint32_t)(slash - path.bytes);
        path.bytes = slash;
    }
    path = cut(&path, '?');
    return cut(&path, '#');
}

bool http1_line(struct cursor *c, struct wire_span *line)
{
    struct cursor next = *c;

    if (!next_line(&next, line)) {
        return false;
    }
    *c = next;
    return true;
}

enum wire_status http1_chunk(struct cursor *c, uint64_t *bytes)
{
    struct cursor next = *c;
    struct wire_span line;
    uint64_t size = 0;
    uint32_t digits = 0;

    if (!next_line(&next, &line)) {
        return cursor_left(c) > 256 ? WIRE_MALFORMED : WIRE_TRUNCATED;
    }
    for (; digits < line.length; digits++) {
        const uint8_t byte = line.bytes[digits];
        const unsigned folded = byte | 0x20U;

        if (byte >= '0' && byte <= '9') {
            size = size << 4 | (byte - '0');
        } else if (folded >= 'a' && folded <= 'f') {
            size = size << 4 | (folded - 'a' + 10);
        } else {
            break;
        }
    }
    if (digits == 0 || digits > 15 ||
        (digits < line.length && line.bytes[digits] != ';' && line.bytes[digits] != ' ' &&
         line.bytes[digits] != '\t')) {
        return WIRE_MALFORMED;
    }
    *c = next;
    *bytes = size;
    return WIRE_OK;
}
