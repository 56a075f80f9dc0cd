/* gzip for answers that are made when they are asked for; assets bring theirs from the build. No
 * answer holds a secret together with text of who asks, which its length could give away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/http/http_private.h"

#define WINDOW_BITS_GZIP (15 + 16)
#define MEMORY_LEVEL     8
#define BYTES_MIN        1024 /* below, the answer fits a packet anyway */
#define BYTES_MAX        ((size_t)256 << 20)

bool http_accepts(const char *header, const char *coding)
{
    const size_t coding_bytes = strlen(coding);
    bool by_star = false;
    for (const char *at = header; at != NULL && *at != '\0';) {
        at += strspn(at, " \t,");
        const size_t item_bytes = strcspn(at, ",");
        const size_t name_bytes = strcspn(at, " \t,;");
        bool is_refused = false;
        for (size_t i = name_bytes; i + 2 < item_bytes; i++) {
            if ((at[i] == 'q' || at[i] == 'Q') && at[i + 1] == '=') {
                is_refused = strtod(at + i + 2, NULL) <= 0.0;
                break;
            }
        }
        if (name_bytes == coding_bytes && strncasecmp(at, coding, coding_bytes) == 0) {
            return !is_refused;
        }
        if (name_bytes == 1 && *at == '*') {
            by_star = !is_refused;
        }
        at += item_bytes;
    }
    return by_star;
}

/* NULL: no memory, or nothing gained. The fastest level leaves a fifth of a page of metrics, a
 * twentieth of flows; level 6 a sixth less than that, in twice the time. */
static struct http_buffer *packed(const struct http_buffer *body)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS_GZIP, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        return NULL;
    }
    struct http_buffer *out = http_buffer_new(body->bytes);
    if (out != NULL) {
        stream.next_in = body->data;
        stream.avail_in = (uInt)body->bytes;
        stream.next_out = out->data;
        stream.avail_out = (uInt)body->bytes;
        if (deflate(&stream, Z_FINISH) == Z_STREAM_END) {
            out->bytes = stream.total_out;
        } else {
            http_buffer_unref(out);
            out = NULL;
        }
    }
    (void)deflateEnd(&stream);
    return out;
}

static bool is_text(const char *content_type)
{
    return strncmp(content_type, "application/json", 16) == 0 ||
           strncmp(content_type, "text/", 5) == 0;
}

struct http_buffer *http_gzip(struct http_buffer *body, unsigned status, const char *content_type,
                              bool is_accepted, size_t bytes_max, struct http_headers *headers)
{
    if (body == NULL || body->mapped_bytes > 0 || status != 200 || content_type == NULL ||
        !is_text(content_type) || body->bytes < BYTES_MIN ||
        body->bytes > (bytes_max < BYTES_MAX ? bytes_max : BYTES_MAX) ||
        !http_headers_add(headers, "Vary", "Accept-Encoding") || !is_accepted) {
        return body;
    }
    struct http_buffer *const out = packed(body);
    if (out == NULL || !http_headers_add(headers, "Content-Encoding", "gzip")) {
        http_buffer_unref(out);
        return body;
    }
    http_buffer_unref(body);
    return out;
}
