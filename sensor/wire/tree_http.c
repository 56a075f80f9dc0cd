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
    tree_field(writer, "version", NULL, 0, "HTTP/1.%u", http.minor);
    return true;
}
