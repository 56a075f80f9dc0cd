/* Protocol tree of HTTP/1. */
#include "sensor/wire/http1.h"
#include "sensor/wire/tree_writer.h"

bool tree_http1(struct tree_writer *writer, const struct wire_span *payload)
{
    struct http1 http;

    if (http1_parse(payload, &http) != WIRE_OK) {
        return false;
    }
    tree_layer(writer, "HTTP", payload->bytes, payload->length);
    if (http.is_request) {
        tree_escaped(writer, "method", &http.method);
        tree_escaped(writer, "target", &http.target);
        tree_escaped(writer, "host", &http.host);
        tree_escaped(writer, "user_agent", &http.user_agent);
    } else {
        tree_field(writer, "status", NULL, 0, "%u", http.status);
    }
    tree_escaped(writer, "content_type", &http.content_type);
    tree_escaped(writer, "upgrade", &http.upgrade);
    if (http.has_content_length) {
        tree_field(writer, "content_length", NULL, 0, "%llu",
                   (unsigned long long)http.content_length);
    }
    if (http.is_chunked) {
        tree_field(writer, "transfer_encoding", NULL, 0, "chunked");
    }
    if (http.is_complete) {
        tree_field(writer, "head", payload->bytes, http.head_bytes, "%u bytes", http.head_bytes);
    }
    tree_field(writer, "version", NULL, 0, "HTTP/1.%u", http.minor);
    return true;
}
