#include "proto/serve/schema_route.h"

#include <string.h>

#include "base/asset.h"
#include "base/http/http.h"

extern const struct http_asset schema_assets[]; /* written by cmake/embed_assets.py */
extern const size_t schema_assets_count;

void schema_route(struct http_request *request)
{
    const char *name = http_request_param(request, "file");

    for (size_t i = 0; name != NULL && i < schema_assets_count; i++) {
        const struct http_asset *file = &schema_assets[i];

        if (strcmp(file->path + 1, name) == 0) {
            http_reply(request, 200, file->content_type, file->raw, file->raw_bytes);
            return;
        }
    }
    http_problem(
        request, 404, "NO_SUCH_PATH",
        "no such file; the records are in flow.proto, alert.proto, stats.proto, dns.proto, "
        "packet.proto and flow_row.proto",
        -1);
}
