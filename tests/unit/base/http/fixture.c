#include "tests/unit/base/http/fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture fixture;

static void answer_echo(struct http_request *request)
{
    char text[9000];
    size_t body_bytes = 0;
    const uint8_t *const body = http_request_body(request, &body_bytes);
    const char *const id = http_request_param(request, "id");
    const char *const q = http_request_query(request, "q");
    const char *const accept = http_request_header(request, "ACCEPT");
    const char *const custom = http_request_header(request, "x-custom");
    const char *name;
    const char *value;
    unsigned queries = 0;
    while (http_request_query_at(request, queries, &name, &value)) {
        queries++;
    }
    const int length = snprintf(
        text, sizeof text, "id=%s q=%s accept=%s custom=%s body=%.*s peer=%s who=%s queries=%u",
        id != NULL ? id : "-", q != NULL ? q : "-", accept != NULL ? accept : "-",
        custom != NULL ? custom : "-", (int)body_bytes, (const char *)body,
        http_request_peer(request), http_request_identity(request), queries);
    fixture.handled++;
    http_header(request, "X-Echo", "yes");
    http_reply(request, 200, "text/plain", text, (size_t)length);
}

static void answer_verb(struct http_request *request)
{
    const char *const id = http_request_param(request, "id");
    fixture.handled++;
    http_reply(request, 200, "text/plain", id, strlen(id));
}

static void answer_problem(struct http_request *request)
{
    http_problem(request, 422, "INVALID_FILTER", "unexpected \"<script>\"", 7);
}

static void answer_big(struct http_request *request)
{
    struct http_buffer *const body = http_buffer_new(BIG_BODY_BYTES);
    memset(body->data, 'b', BIG_BODY_BYTES);
    http_reply_buffer(request, 200, "application/octet-stream", body);
}

static struct http_buffer *long_text(void)
{
    struct http_buffer *const body = http_buffer_new(LONG_TEXT_BYTES);
    for (size_t i = 0; i < LONG_TEXT_BYTES; i++) {
        body->data[i] = (uint8_t)('a' + (i * i >> 7) % 26);
    }
    return body;
}

static void answer_text(struct http_request *request)
{
    http_reply_buffer(request, 200, "application/json", long_text());
}

static void *answer_text_later(void *argument)
{
    http_reply_deferred(argument, 200, "text/plain; charset=utf-8", long_text());
    return NULL;
}

static void answer_text_deferred(struct http_request *request)
{
    pthread_t thread;
    struct http_deferred *const deferred = http_defer(request);
    if (pthread_create(&thread, NULL, answer_text_later, deferred) == 0) {
        pthread_detach(thread);
    }
}

/* Lines of a file that nobody has a name for any more; it grows when its answer is on the way. */
static void answer_file(struct http_request *request)
{
    struct error err = {0};
    FILE *const file = tmpfile();
    for (unsigned i = 0; i < FILE_LINES; i++) {
        fprintf(file, "%06u\n", i);
    }
    fflush(file);
    struct http_buffer *const body = http_buffer_of_file(fileno(file), FILE_LINES * 7, &err);
    fprintf(file, "more\n");
    fclose(file);
    http_reply_buffer(request, 200, "text/plain", body);
}

static void *answer_later(void *argument)
{
    usleep(30000);
    http_deferred_header(argument, "X-Late", "yes");
    http_reply_deferred(argument, 200, "text/plain", http_buffer_from("late", 4));
    return NULL;
}

static void answer_deferred(struct http_request *request)
{
    pthread_t thread;
    struct http_deferred *const deferred = http_defer(request);
    if (pthread_create(&thread, NULL, answer_later, deferred) == 0) {
        pthread_detach(thread);
    }
}

static void answer_kept(struct http_request *request)
{
    fixture.kept = http_defer(request);
}

static void answer_nothing(struct http_request *request)
{
    (void)request;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/healthz", answer_echo, HTTP_NO_AUTH},
    {HTTP_GET, "/v1/echo", answer_echo, 0},
    {HTTP_POST, "/v1/echo", answer_echo, HTTP_READ_ONLY},
    {HTTP_POST, "/v1/change", answer_echo, 0},
    {HTTP_DELETE, "/v1/echo/{id}", answer_echo, 0},
    {HTTP_GET, "/v1/echo/{id}", answer_echo, 0},
    {HTTP_POST, "/v1/alerts/{id}:ack", answer_verb, HTTP_READ_ONLY},
    {HTTP_GET, "/v1/problem", answer_problem, 0},
    {HTTP_GET, "/v1/big", answer_big, 0},
    {HTTP_GET, "/v1/text", answer_text, 0},
    {HTTP_GET, "/v1/text:later", answer_text_deferred, 0},
    {HTTP_GET, "/v1/file", answer_file, 0},
    {HTTP_GET, "/v1/deferred", answer_deferred, 0},
    {HTTP_GET, "/v1/kept", answer_kept, 0},
    {HTTP_GET, "/v1/nothing", answer_nothing, 0},
    {0},
};

static const struct http_asset assets[] = {
    {"/index.html", "text/html; charset=utf-8", "aaaa", (const uint8_t *)"<html>raw", 9,
     (const uint8_t *)"<gzip>", 6, (const uint8_t *)"<br>", 4, false},
    {"/assets/main-1F.js", "text/javascript", "bbbb", (const uint8_t *)"js", 2, NULL, 0, NULL, 0,
     true},
};

static enum http_auth_verdict authorize(struct http_request *request)
{
    const char *const token = http_request_header(request, "Authorization");
    if (token == NULL) {
        return HTTP_AUTH_UNKNOWN;
    }
    http_request_set_identity(request, "tester");
    return strcmp(token, "Bearer good") == 0   ? HTTP_AUTH_ALLOW
           : strcmp(token, "Bearer weak") == 0 ? HTTP_AUTH_FORBIDDEN
                                               : HTTP_AUTH_UNKNOWN;
}

static bool on_open(struct http_ws *ws, void *context, void **connection)
{
    *connection = context;
    struct http_ws *const before = atomic_exchange(&fixture.last_ws, http_ws_ref(ws));
    http_ws_unref(before);
    fixture.opened++;
    return true;
}

static void on_message(struct http_ws *ws, void *connection, const uint8_t *data, size_t bytes,
                       bool is_text)
{
    (void)connection;
    (void)is_text;
    fixture.messages++;
    if (bytes < 8 && memcmp(data, "quiet", 5) == 0) {
        return;
    }
    struct http_buffer *const echo = http_buffer_from(data, bytes);
    (void)http_ws_send(ws, echo);
    http_buffer_unref(echo);
}

static void on_close(struct http_ws *ws, void *connection)
{
    (void)ws;
    (void)connection;
    fixture.closed++;
}

static void on_room(struct http_ws *ws, void *connection)
{
    (void)ws;
    (void)connection;
    fixture.rooms++;
}

static const struct http_ws_protocol ws_protocols[] = {
    {"live.v1.json", "/v1/live", on_open, on_message, on_close, on_room},
    {0},
};

static const char *const hosts[] = {"netscope.example", "other.example:8443", NULL};

void fixture_options(struct http_server_options *options)
{
    *options = (struct http_server_options){
        .routes = routes,
        .ws_protocols = ws_protocols,
        .assets = assets,
        .assets_count = ARRAY_COUNT(assets),
        .authorize = authorize,
        .context = &fixture,
        .allowed_hosts = hosts,
        .url_bytes_max = 4096,
        .request_body_bytes_max = 8192,
    };
}

int fixture_start(const struct http_server_options *options)
{
    struct error err = {0};
    memset(&fixture, 0, sizeof fixture);
    fixture.server = http_server_start(options, &err);
    if (fixture.server == NULL) {
        (void)fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    fixture.port = http_server_port(fixture.server);
    return 0;
}

void fixture_stop(void)
{
    http_server_stop(fixture.server);
    fixture.server = NULL;
    http_ws_unref(atomic_exchange(&fixture.last_ws, NULL));
}
