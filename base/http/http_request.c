#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/http/http_private.h"

/* How many pieces the library has cut the query into: they and the '&' between them make its
 * length. A piece may be empty ("a=1&&b=2"), which alone tells no more than one that is not there.
 */
static int pieces_of(struct lws *wsi)
{
    const int total = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS);
    int seen = 0;
    int count = 0;
    while (total > 0 && seen < total) {
        seen += lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, count) + (count > 0);
        count++;
    }
    return count;
}

/* A URL has at most as many parameters as the library has room for (about ninety). */
static bool read_queries(struct http_request *request, struct lws *wsi)
{
    const int pieces = pieces_of(wsi);
    size_t count = 0;
    if (pieces == 0) {
        return true;
    }
    request->queries = (struct http_pair *)(void *)http_text_new(
        &request->texts, (size_t)pieces * sizeof *request->queries);
    if (request->queries == NULL) {
        return false;
    }
    for (int i = 0; i < pieces; i++) {
        const int length = lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (length <= 0) {
            continue;
        }
        char *const text = http_text_new(&request->texts, (size_t)length + 1);
        if (text == NULL ||
            lws_hdr_copy_fragment(wsi, text, length + 1, WSI_TOKEN_HTTP_URI_ARGS, i) < 0 ||
            strlen(text) != (size_t)length) {
            return false;
        }
        if (i == pieces - 1 && strcmp(text, "/") == 0) {
            break; /* the library's word for nothing: "/path?", "/path?x=1&" */
        }
        char *const equals = strchr(text, '=');
        if (equals != NULL) {
            *equals = '\0';
        }
        request->queries[count].name = text;
        request->queries[count].value = equals != NULL ? equals + 1 : "";
        count++;
    }
    request->queries_count = count;
    return true;
}

const char *http_method_name(enum http_method method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    return method < HTTP_METHOD_COUNT ? names[method] : "other";
}

bool http_request_read(struct http_connection *connection)
{
    struct http_request *const request = &connection->request;
    char *uri = NULL;
    int uri_bytes = 0;
    const int method = lws_http_get_uri_and_method(connection->wsi, &uri, &uri_bytes);
    switch (method) {
    case LWSHUMETH_GET:
        request->method = HTTP_GET;
        break;
    case LWSHUMETH_HEAD:
        request->method = HTTP_HEAD;
        break;
    case LWSHUMETH_POST:
        request->method = HTTP_POST;
        break;
    case LWSHUMETH_PUT:
        request->method = HTTP_PUT;
        break;
    case LWSHUMETH_PATCH:
        request->method = HTTP_PATCH;
        break;
    case LWSHUMETH_DELETE:
        request->method = HTTP_DELETE;
        break;
    default:
        request->method = HTTP_METHOD_COUNT; /* OPTIONS and what else has no handler */
        break;
    }
    connection->verb = http_method_name(request->method);
    /* An escaped NUL would cut names short behind the back of whoever checked them. */
    if (method < 0 || uri == NULL || uri_bytes <= 0 ||
        memchr(uri, '\0', (size_t)uri_bytes) != NULL) {
        return false;
    }
    char *const path = http_text_new(&request->texts, (size_t)uri_bytes + 1);
    if (path == NULL) {
        return false;
    }
    memcpy(path, uri, (size_t)uri_bytes);
    request->path = path;
    lws_strncpy(connection->path, path, sizeof connection->path);
    return read_queries(request, connection->wsi);
}

void http_request_fini(struct http_request *request)
{
    struct http_connection *const connection = request->connection;
    http_text_free(&request->texts);
    http_headers_free(&request->headers);
    free(request->body);
    *request = (struct http_request){.connection = connection};
}

/* The library keeps headers that it knows by number, the others by name. */
static int known_token(const char *lower_with_colon)
{
    for (int token = 0; token < WSI_TOKEN_COUNT; token++) {
        const unsigned char *const name = lws_token_to_string((enum lws_token_indexes)token);
        if (name != NULL && strcmp((const char *)name, lower_with_colon) == 0) {
            return token;
        }
    }
    return -1;
}

const char *http_request_header_copy(struct http_request *request, const char *name)
{
    struct lws *const wsi = request->connection->wsi;
    char lower[72];
    size_t length = strlen(name);
    if (length == 0 || length + 2 > sizeof lower) {
        return NULL;
    }
    for (size_t i = 0; i < length; i++) {
        lower[i] = (char)tolower((unsigned char)name[i]);
    }
    lower[length++] = ':';
    lower[length] = '\0';

    const int token = known_token(lower);
    const int bytes = token >= 0 ? lws_hdr_total_length(wsi, (enum lws_token_indexes)token)
                                 : lws_hdr_custom_length(wsi, lower, (int)length);
    if (bytes < 0 || (token >= 0 && bytes == 0)) {
        return NULL;
    }
    /* The library joins repeated headers by commas and wants room for them. */
    const int room = bytes + 16;
    char *const value = http_text_new(&request->texts, (size_t)room);
    if (value == NULL) {
        return NULL;
    }
    const int copied = token >= 0 ? lws_hdr_copy(wsi, value, room, (enum lws_token_indexes)token)
                                  : lws_hdr_custom_copy(wsi, value, room, lower, (int)length);
    return copied >= 0 ? value : NULL;
}

enum http_method http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_path(const struct http_request *request)
{
    return request->path;
}

const char *http_request_param(const struct http_request *request, const char *name)
{
    const size_t name_bytes = strlen(name);
    for (unsigned i = 0; i < request->params.count; i++) {
        if (request->params.rows[i].name_bytes == name_bytes &&
            memcmp(request->params.rows[i].name, name, name_bytes) == 0) {
            /* The copy ends with the request, which is mutable behind the handler's const view. */
            struct http_request *const owner = &request->connection->request;
            char *const value =
                http_text_new(&owner->texts, request->params.rows[i].value_bytes + 1);
            if (value != NULL) {
                memcpy(value, request->params.rows[i].value, request->params.rows[i].value_bytes);
            }
            return value;
        }
    }
    return NULL;
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->queries_count; i++) {
        if (strcmp(request->queries[i].name, name) == 0) {
            return request->queries[i].value;
        }
    }
    return NULL;
}

bool http_request_query_at(const struct http_request *request, size_t index, const char **name,
                           const char **value)
{
    if (index >= request->queries_count) {
        return false;
    }
    *name = request->queries[index].name;
    *value = request->queries[index].value;
    return true;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return http_request_header_copy(&request->connection->request, name);
}

const uint8_t *http_request_body(const struct http_request *request, size_t *bytes)
{
    *bytes = request->body_bytes;
    return request->body != NULL ? request->body : (const uint8_t *)"";
}

const char *http_request_peer(const struct http_request *request)
{
    return request->connection->peer;
}

const char *http_request_identity(const struct http_request *request)
{
    return request->identity;
}

void http_request_set_identity(struct http_request *request, const char *identity)
{
    lws_strncpy(request->identity, identity, sizeof request->identity);
}

void http_request_set_grant(struct http_request *request, struct http_grant grant)
{
    request->grant = grant;
}

void *http_request_context(const struct http_request *request)
{
    return request->connection->server->options.context;
}
