#include "proto/serve/grpc_rest.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/http/http_route.h"
#include "proto/json/openapi.h"
#include "proto/json/service_index.h"
#include "proto/json/transcoder.h"
#include "proto/serve/grpc_rest_query.h"
#include "proto/serve/grpc_serve.h"

#define JSON_TYPE          "application/json"
#define PROBLEM_TYPE       "application/problem+json"
#define ANSWER_BYTES_MAX   ((size_t)64 * 1024 * 1024)
#define DOCUMENT_BYTES_MAX ((size_t)1024 * 1024)
#define PROBLEM_BYTES      8192
#define NAME_BYTES         64

/* A request on its way to the rpc thread. */
struct job {
    struct grpc_link *link;
    struct http_deferred *http;
    const struct grpc_row *row;
    char who[GRPC_WHO_BYTES], peer[GRPC_PEER_BYTES];
    size_t length;
    uint8_t bytes[]; /* the request as protobuf */
};

/* ---- routes ---- */

#define ANY_VERB (-1)

/* Of what GET does not ask for. */
static enum http_method verb_of(const struct grpc_row *row)
{
    return row->is_changing && row->verb != HTTP_GET ? row->verb : HTTP_POST;
}

static bool takes_verb(const struct grpc_row *row, int verb)
{
    return verb == ANY_VERB || verb == (int)verb_of(row) ||
           (!row->is_changing && (verb == HTTP_GET || verb == HTTP_HEAD));
}

size_t grpc_rest_routes(const struct grpc_program *program,
                        void (*handler)(struct http_request *request),
                        struct http_route routes[GRPC_REST_ROUTES])
{
    size_t count = 0;

    for (size_t i = 0; i < program->rows_count; i++) {
        const struct grpc_row *row = &program->rows[i];

        for (unsigned j = 0; j < ARRAY_COUNT(row->rest) && row->rest[j] != NULL; j++) {
            assert(count + 2 <= GRPC_REST_ROUTES); /* a table of ours: make it larger */
            if (count + 2 > GRPC_REST_ROUTES) {
                return count;
            }
            if (row->page != NULL) {
                routes[count++] = (struct http_route){HTTP_GET, row->rest[j], handler, 0};
                continue;
            }
            if (!row->is_changing) {
                routes[count++] = (struct http_route){HTTP_GET, row->rest[j], handler, 0};
            }
            routes[count++] = (struct http_route){verb_of(row), row->rest[j], handler,
                                                  row->is_changing ? 0 : HTTP_READ_ONLY};
        }
    }
    return count;
}

/* A row with a page, or one with a method. */
static const struct grpc_row *find_row(const struct grpc_program *program, const char *path,
                                       bool is_page, int verb, const char **pattern)
{
    struct http_params params;

    for (size_t i = 0; i < program->rows_count; i++) {
        for (unsigned j = 0; j < ARRAY_COUNT(program->rows[i].rest); j++) {
            *pattern = program->rows[i].rest[j];
            if (*pattern != NULL && (program->rows[i].page != NULL) == is_page &&
                (is_page || takes_verb(&program->rows[i], verb)) &&
                http_route_matches(*pattern, path, &params)) {
                return &program->rows[i];
            }
        }
    }
    return NULL;
}

/* ---- problems ---- */

static unsigned http_status_of(enum rpc_status status)
{
    static const uint16_t statuses[RPC_STATUS_COUNT] = {
        [RPC_OK] = 200,
        [RPC_CANCELLED] = 499,
        [RPC_UNKNOWN] = 500,
        [RPC_INVALID_ARGUMENT] = 400,
        [RPC_DEADLINE_EXCEEDED] = 504,
        [RPC_NOT_FOUND] = 404,
        [RPC_ALREADY_EXISTS] = 409,
        [RPC_PERMISSION_DENIED] = 403,
        [RPC_RESOURCE_EXHAUSTED] = 429,
        [RPC_FAILED_PRECONDITION] = 400,
        [RPC_ABORTED] = 409,
        [RPC_OUT_OF_RANGE] = 400,
        [RPC_UNIMPLEMENTED] = 501,
        [RPC_INTERNAL] = 500,
        [RPC_UNAVAILABLE] = 503,
        [RPC_DATA_LOSS] = 500,
        [RPC_UNAUTHENTICATED] = 401,
    };

    return status < RPC_STATUS_COUNT ? statuses[status] : 500;
}

static const char *title_of(unsigned status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 409:
        return "Conflict";
    case 429:
        return "Too Many Requests";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "Internal Server Error";
    }
}

/* `path` is that of the request, NULL where it is not known any more. Returns the length. */
static size_t write_problem(const struct grpc_refusal *refusal, const char *path,
                            char out[PROBLEM_BYTES])
{
    const unsigned status = http_status_of(refusal->status);
    struct json_writer json;

    json_init(&json, out, PROBLEM_BYTES);
    json_object_begin(&json);
    json_key(&json, "type");
    json_text(&json, "about:blank");
    json_key(&json, "title");
    json_text(&json, title_of(status));
    json_key(&json, "status");
    json_u64(&json, status);
    json_key(&json, "detail");
    json_text(&json, refusal->message);
    if (path != NULL) {
        json_key(&json, "instance");
        json_text(&json, path);
    }
    json_key(&json, "reason");
    json_text(&json, refusal->reason);
    json_key(&json, "domain");
    json_text(&json, "netscope");
    json_key(&json, "code");
    json_text(&json, rpc_status_name(refusal->status));
    if (refusal->position >= 0) {
        json_key(&json, "pos");
        json_i64(&json, refusal->position);
    }
    if (refusal->field != NULL) {
        json_key(&json, "field_violations");
        json_array_begin(&json);
        json_object_begin(&json);
        json_key(&json, "field");
        json_text(&json, refusal->field);
        json_key(&json, "description");
        json_text(&json, refusal->message);
        json_object_end(&json);
        json_array_end(&json);
    }
    json_object_end(&json);
    return json.length;
}

void grpc_rest_refuse(const struct grpc_ask *ask, const struct grpc_refusal *refusal)
{
    char text[PROBLEM_BYTES];
    const size_t length = write_problem(refusal, NULL, text);
    struct http_buffer *body = http_buffer_from(text, length);

    if (body == NULL) {
        http_deferred_drop(ask->http);
        return;
    }
    if (refusal->status == RPC_RESOURCE_EXHAUSTED || refusal->status == RPC_UNAVAILABLE) {
        (void)http_deferred_header(ask->http, "Retry-After", "1");
    }
    http_reply_deferred(ask->http, http_status_of(refusal->status), PROBLEM_TYPE, body);
}

void grpc_rest_refuse_request(struct http_request *request, const char *reason, const char *field,
                              const char *message, int64_t position)
{
    char text[PROBLEM_BYTES];
    const struct grpc_refusal refusal = {.status = RPC_INVALID_ARGUMENT,
                                         .reason = reason,
                                         .field = field,
                                         .message = message,
                                         .position = position};
    const size_t length = write_problem(&refusal, http_request_path(request), text);

    http_reply(request, 400, PROBLEM_TYPE, text, length);
}

/* ---- answers ---- */

/* NULL: no memory, or the message is damaged. */
static struct http_buffer *to_json(const struct json_message *type, const uint8_t *bytes,
                                   size_t length)
{
    for (size_t room = 4096 + 8 * length; room <= ANSWER_BYTES_MAX; room *= 4) {
        struct http_buffer *body = http_buffer_new(room);
        struct json_writer json;

        if (body == NULL) {
            return NULL;
        }
        json_init(&json, (char *)body->data, room);
        if (!json_from_wire(type, bytes, length, &json)) {
            http_buffer_unref(body);
            return NULL;
        }
        if (!json.overflow) {
            body->bytes = json.length;
            return body;
        }
        http_buffer_unref(body);
    }
    return NULL;
}

void grpc_rest_answer(const struct grpc_ask *ask, struct rpc_buffer *buffer, size_t used)
{
    const struct json_method *method = json_method_find(ask->row->path);
    struct http_buffer *body = to_json(method->output, buffer->data, used);

    rpc_buffer_discard(buffer);
    if (body == NULL) {
        const struct grpc_refusal refusal = {.status = RPC_INTERNAL,
                                             .reason = "NO_MEMORY",
                                             .message = "the answer could not be written as JSON",
                                             .position = -1};

        grpc_rest_refuse(ask, &refusal);
        return;
    }
    http_reply_deferred(ask->http, 200, JSON_TYPE, body);
}

/* ---- questions ---- */

/* May whoever shows the token of this request ask the method, and who is it? */
static enum rpc_status ask_the_door(struct grpc_server *server, const char *path,
                                    const struct http_request *request, char who[GRPC_WHO_BYTES])
{
    static const char scheme[] = "Bearer ";
    const char *header = http_request_header(request, "authorization");
    const bool has_scheme = header != NULL && strncmp(header, scheme, sizeof(scheme) - 1) == 0;

    return grpc_may_ask(server, path, has_scheme ? header + sizeof(scheme) - 1 : NULL, who);
}

/* It was let in; for the audit. Whom the program's own login knows is known by that. */
static void read_who(struct grpc_server *server, const char *path,
                     const struct http_request *request, struct job *job)
{
    const char *identity = http_request_identity(request);

    (void)ask_the_door(server, path, request, job->who);
    if (identity[0] != '\0') {
        (void)snprintf(job->who, sizeof(job->who), "%.*s", GRPC_WHO_BYTES - 1, identity);
    } else if (strcmp(job->who, "unknown") == 0) { /* no token, on a path that needs none */
        (void)snprintf(job->who, sizeof(job->who), "anonymous");
    }
    (void)snprintf(job->peer, sizeof(job->peer), "http:%.50s", http_request_peer(request));
}

static void run_job(void *argument)
{
    struct job *job = argument;

    pthread_mutex_lock(&job->link->mutex);
    if (job->link->server != NULL) {
        struct grpc_ask ask = {.server = job->link->server, .http = job->http, .row = job->row};

        memcpy(ask.who, job->who, sizeof(ask.who));
        memcpy(ask.peer, job->peer, sizeof(ask.peer));
        job->row->ask(&ask, job->bytes, job->length);
    } else {
        http_deferred_drop(job->http);
    }
    pthread_mutex_unlock(&job->link->mutex);
    grpc_link_unref(job->link);
    free(job);
}

/* The body and the query come first, and what the path says holds in any case. False: refused. */
static bool read_request(struct http_request *request, const char *pattern,
                         const struct json_method *method, uint8_t *out, size_t *length)
{
    struct error err = {0};
    size_t body_bytes = 0;
    const uint8_t *body = http_request_body(request, &body_bytes);
    char detail[GRPC_QUERY_DETAIL_BYTES];
    const char *name;
    const char *value;

    *length = 0;
    if (!grpc_query_is_sound(request, method->input, &name, detail)) {
        grpc_rest_refuse_request(request, "BAD_PARAMETER", name, detail, -1);
        return false;
    }
    if (http_request_method(request) == HTTP_POST && body_bytes > 0) {
        *length = json_to_wire(method->input, (const char *)body, body_bytes, out,
                               GRPC_REQUEST_BYTES, &err);
        if (err.code != 0) {
            grpc_rest_refuse_request(request, "BAD_MESSAGE", NULL, err.message, -1);
            return false;
        }
    }
    for (size_t i = 0; http_request_query_at(request, i, &name, &value); i++) {
        if (json_set_parameter(method->input, name, value, out, GRPC_REQUEST_BYTES, length, &err) !=
            0) {
            grpc_rest_refuse_request(request,
                                     err.code == ENOENT ? "UNKNOWN_PARAMETER" : "BAD_PARAMETER",
                                     name, err.message, -1);
            return false;
        }
    }
    for (const char *at = strchr(pattern, '{'); at != NULL; at = strchr(at + 1, '{')) {
        char key[NAME_BYTES];
        const size_t key_length = strcspn(at + 1, "}");

        if (key_length >= sizeof(key)) {
            continue; /* a mistake of ours: no field has such a name */
        }
        memcpy(key, at + 1, key_length);
        key[key_length] = '\0';
        value = http_request_param(request, key);
        if (value != NULL && json_set_parameter(method->input, key, value, out, GRPC_REQUEST_BYTES,
                                                length, &err) != 0) {
            grpc_rest_refuse_request(request, "BAD_PARAMETER", key, err.message, -1);
            return false;
        }
    }
    return true;
}

static bool has_parameter(const struct openapi_page *page, const char *name)
{
    for (unsigned i = 0; i < OPENAPI_PARAMETERS_MAX && page->parameters[i].name != NULL; i++) {
        if (strcmp(page->parameters[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool grpc_rest_page(const struct grpc_program *program, struct http_request *request)
{
    char detail[GRPC_QUERY_DETAIL_BYTES];
    const char *pattern, *name, *value;
    const struct grpc_row *row =
        find_row(program, http_request_path(request), true, ANY_VERB, &pattern);

    if (row == NULL) {
        return false;
    }
    if (!grpc_query_is_sound(request, NULL, &name, detail)) {
        grpc_rest_refuse_request(request, "BAD_PARAMETER", name, detail, -1);
        return true;
    }
    for (size_t i = 0; http_request_query_at(request, i, &name, &value); i++) {
        if (!has_parameter(row->described, name)) {
            (void)snprintf(detail, sizeof(detail), "unknown parameter '%.64s'", name);
            grpc_rest_refuse_request(request, "UNKNOWN_PARAMETER", name, detail, -1);
            return true;
        }
    }
    row->page(request);
    return true;
}

void grpc_rest_ask(struct grpc_server *server, struct http_request *request)
{
    const char *pattern = NULL;
    const struct grpc_row *row = find_row(server->program, http_request_path(request), false,
                                          (int)http_request_method(request), &pattern);
    const struct json_method *method = row == NULL ? NULL : json_method_find(row->path);
    struct job *job = malloc(sizeof(*job) + GRPC_REQUEST_BYTES);

    if (method == NULL || job == NULL) {
        free(job);
        http_problem(request, 503, "NO_MEMORY", "no memory for the request", -1);
        return;
    }
    if (!read_request(request, pattern, method, job->bytes, &job->length)) {
        free(job);
        return;
    }
    job->row = row;
    read_who(server, row->path, request, job);
    job->http = http_defer(request);
    if (job->http == NULL) {
        free(job);
        return;
    }
    job->link = grpc_link_ref(server->link);
    if (!rpc_runtime_post(server->runtime, run_job, job)) {
        http_deferred_drop(job->http);
        grpc_link_unref(job->link);
        free(job);
    }
}

/* What the table of scopes knows it by. */
static const char *name_of(const struct grpc_program *program, const char *path)
{
    const char *pattern;
    const struct grpc_row *row = find_row(program, path, false, ANY_VERB, &pattern);

    return row == NULL ? path : row->path;
}

enum grpc_scope grpc_rest_scope(const struct grpc_program *program, const char *path)
{
    return grpc_scope_of(name_of(program, path));
}

enum http_auth_verdict grpc_rest_authorize(struct grpc_server *server,
                                           const struct http_request *request)
{
    char who[GRPC_WHO_BYTES];

    switch (
        ask_the_door(server, name_of(server->program, http_request_path(request)), request, who)) {
    case RPC_OK:
        return HTTP_AUTH_ALLOW;
    case RPC_UNAUTHENTICATED:
        return HTTP_AUTH_UNKNOWN;
    default:
        return HTTP_AUTH_FORBIDDEN;
    }
}

/* ---- document ---- */

struct http_buffer *grpc_rest_openapi(const struct grpc_program *program)
{
    struct openapi_route routes[GRPC_REST_ROUTES];
    size_t count = 0;

    for (size_t i = 0; i < program->rows_count; i++) {
        const struct grpc_row *row = &program->rows[i];

        for (unsigned j = 0; j < ARRAY_COUNT(row->rest) && row->rest[j] != NULL; j++) {
            if (count < GRPC_REST_ROUTES) {
                routes[count++] = (struct openapi_route){.method = row->path,
                                                         .page = row->described,
                                                         .pattern = row->rest[j],
                                                         .is_changing = row->is_changing,
                                                         .is_delete = row->verb == HTTP_DELETE};
            }
        }
    }
    const struct openapi_settings settings = {
        .title = program->title,
        .version = NETSCOPE_VERSION,
        .description = program->about,
        .routes = routes,
        .routes_count = count,
    };
    struct http_buffer *body = http_buffer_new(DOCUMENT_BYTES_MAX);
    struct json_writer json;

    if (body == NULL) {
        return NULL;
    }
    json_init(&json, (char *)body->data, DOCUMENT_BYTES_MAX);
    if (!openapi_write(&settings, &json) || json.overflow) {
        http_buffer_unref(body);
        return NULL;
    }
    body->bytes = json.length;
    return body;
}
