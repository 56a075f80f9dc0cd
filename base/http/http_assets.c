#include <stdio.h>
#include <string.h>

#include "base/http/http_private.h"

/* Weak comparison of If-None-Match (RFC 9110 section 13.1.2). */
static bool names_tag(const char *header, const char *tag)
{
    const size_t tag_bytes = strlen(tag);
    for (const char *at = header; at != NULL && *at != '\0';) {
        at += strspn(at, " \t,");
        if (*at == '*') {
            return true;
        }
        if (strncmp(at, "W/", 2) == 0) {
            at += 2;
        }
        const size_t item_bytes = strcspn(at, ", \t");
        if (item_bytes == tag_bytes && memcmp(at, tag, tag_bytes) == 0) {
            return true;
        }
        at += item_bytes;
    }
    return false;
}

static const struct http_asset *find(const struct http_server *server, const char *path)
{
    for (size_t i = 0; i < server->options.assets_count; i++) {
        if (strcmp(server->options.assets[i].path, path) == 0) {
            return &server->options.assets[i];
        }
    }
    return NULL;
}

static void answer(struct http_request *request, const struct http_asset *asset)
{
    struct http_connection *const connection = request->connection;
    const char *const accept = http_request_header_copy(request, "Accept-Encoding");
    const uint8_t *bytes = asset->raw;
    size_t length = asset->raw_bytes;
    const char *coding = NULL;
    if (asset->brotli != NULL && http_accepts(accept, "br")) {
        bytes = asset->brotli;
        length = asset->brotli_bytes;
        coding = "br";
    } else if (asset->gzip != NULL && http_accepts(accept, "gzip")) {
        bytes = asset->gzip;
        length = asset->gzip_bytes;
        coding = "gzip";
    }
    char tag[128];
    snprintf(tag, sizeof tag, "\"%s%s%s\"", asset->etag, coding != NULL ? "-" : "",
             coding != NULL ? coding : "");

    struct http_headers *const headers = &request->headers;
    bool is_good = http_headers_add(headers, "ETag", tag);
    is_good &= http_headers_add(headers, "Vary", "Accept-Encoding");
    is_good &=
        http_headers_add(headers, "Cache-Control",
                         asset->is_immutable ? "public, max-age=31536000, immutable" : "no-cache");
    if (coding != NULL) {
        is_good &= http_headers_add(headers, "Content-Encoding", coding);
    }
    if (!is_good) {
        http_headers_free(headers);
        http_answer_constant(connection, 503, NULL, NULL, 0, headers);
    } else if (names_tag(http_request_header_copy(request, "If-None-Match"), tag)) {
        http_answer_constant(connection, 304, NULL, NULL, 0, headers);
    } else {
        http_answer_constant(connection, 200, asset->content_type, bytes, length, headers);
    }
}

bool http_assets_answer(struct http_request *request, const char *path)
{
    const struct http_asset *const asset =
        find(request->connection->server, strcmp(path, "/") == 0 ? "/index.html" : path);
    if (asset == NULL) {
        return false;
    }
    answer(request, asset);
    return true;
}

bool http_assets_answer_page(struct http_request *request)
{
    const struct http_server *const server = request->connection->server;
    const char *const prefix = server->options.api_prefix;
    const char *const slash = strrchr(request->path, '/');
    if (strncmp(request->path, prefix, strlen(prefix)) == 0 || slash == NULL ||
        strchr(slash, '.') != NULL) {
        return false;
    }
    return http_assets_answer(request, "/index.html");
}
