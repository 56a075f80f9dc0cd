#include "sensor/export/grpc_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "proto/json/transcoder.h"
#include "sensor/export/grpc_private.h"
#include "sensor/export/grpc_sink.h"

#define ALERTS_MAX         4096
#define STATS_MAX          3600
#define PACKETS_MAX        2000
#define DNS_MAX            16384
#define TOKEN_BYTES_MAX    4096
#define STREAM_QUEUE_BYTES ((size_t)2 * 1024 * 1024)
#define STOP_GRACE_NS      (2 * NS_PER_SEC)
#define HEALTH_WATCHERS    64
#define CALLS_MAX          1024
#define PACKAGE            "netscope.v1."

/* ---- link: timers and posts ---- */

struct task {
    struct grpc_link *link;
    void (*run)(struct grpc_server *server);
};

struct grpc_link *grpc_link_ref(struct grpc_link *link)
{
    atomic_fetch_add(&link->references, 1);
    return link;
}

void grpc_link_unref(struct grpc_link *link)
{
    if (link != NULL && atomic_fetch_sub(&link->references, 1) == 1) {
        (void)pthread_mutex_destroy(&link->mutex);
        free(link);
    }
}

static void run_task(void *argument)
{
    struct task *task = argument;

    pthread_mutex_lock(&task->link->mutex);
    if (task->link->server != NULL) {
        task->run(task->link->server);
    }
    pthread_mutex_unlock(&task->link->mutex);
    grpc_link_unref(task->link);
    free(task);
}

void grpc_post_after(struct grpc_server *server, uint64_t delay_ns,
                     void (*run)(struct grpc_server *server))
{
    struct task *task = malloc(sizeof(*task));

    if (task == NULL) {
        return;
    }
    *task = (struct task){.link = grpc_link_ref(server->link), .run = run};
    const bool posted = delay_ns == 0
                            ? rpc_runtime_post(server->runtime, run_task, task)
                            : rpc_runtime_post_after(server->runtime, delay_ns, run_task, task);

    if (!posted) {
        grpc_link_unref(task->link);
        free(task);
    }
}

void grpc_post(struct grpc_server *server, void (*run)(struct grpc_server *server))
{
    grpc_post_after(server, 0, run);
}

/* ---- who may call ---- */

static int read_token(struct grpc_server *server, struct error *err)
{
    const char *path = server->settings.token_file;
    char text[TOKEN_BYTES_MAX + 2];
    struct stat status;

    if (path[0] == '\0') {
        return 0;
    }
    const int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0 || fstat(file, &status) != 0) {
        const int code = errno;

        if (file >= 0) {
            (void)close(file);
        }
        return error_set(err, code, "grpc.token_file %s: %s", path, strerror(code));
    }
    const ssize_t got = read(file, text, sizeof(text));

    (void)close(file);
    if (!S_ISREG(status.st_mode) || (status.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        return error_set(err, EACCES,
                         "grpc.token_file %s: must be a file that others cannot read (chmod 600)",
                         path);
    }
    size_t length = got > 0 ? (size_t)got : 0;

    while (length > 0 &&
           (text[length - 1] == '\n' || text[length - 1] == '\r' || text[length - 1] == ' ')) {
        length--;
    }
    if (length == 0 || length > TOKEN_BYTES_MAX) {
        return error_set(err, EINVAL, "grpc.token_file %s: a token of 1 to %d bytes was expected",
                         path, TOKEN_BYTES_MAX);
    }
    server->token = malloc(length);
    if (server->token == NULL) {
        return error_set(err, ENOMEM, "grpc: no memory");
    }
    memcpy(server->token, text, length);
    server->token_length = length;
    return 0;
}

static bool is_packet_call(const char *path)
{
    static const char prefix[] = "/" PACKAGE "PacketService/";

    return strncmp(path, prefix, sizeof(prefix) - 1) == 0;
}

/* The length may show, the content may not: every byte is compared. */
static bool is_token(const struct grpc_server *server, const char *token, size_t length)
{
    volatile unsigned difference = length != server->token_length;

    for (size_t i = 0; i < length && i < server->token_length; i++) {
        difference = difference | (unsigned)(token[i] ^ server->token[i]);
    }
    return difference == 0;
}

bool grpc_server_has_token(const struct grpc_server *server)
{
    return server->token != NULL;
}

enum rpc_status grpc_may_ask(const struct grpc_server *server, const char *path, const char *token)
{
    if (server->token != NULL) {
        return token != NULL && is_token(server, token, strlen(token)) ? RPC_OK
                                                                       : RPC_UNAUTHENTICATED;
    }
    return is_packet_call(path) ? RPC_PERMISSION_DENIED : RPC_OK;
}

static enum rpc_status authorize(void *context, struct rpc_call *call, const char *path,
                                 struct error *reason)
{
    const struct grpc_server *server = context;
    char peer[RPC_PEER_BYTES];

    rpc_peer(call, peer);
    if (strncmp(peer, "unix:", 5) == 0) {
        return RPC_OK;
    }
    if (server->token != NULL) {
        if (rpc_bearer_equals(call, server->token, server->token_length)) {
            return RPC_OK;
        }
        error_set(reason, EACCES, "this sensor wants 'authorization: Bearer TOKEN' with its token");
        return RPC_UNAUTHENTICATED;
    }
    if (is_packet_call(path) && server->settings.tls_client_ca[0] == '\0') {
        error_set(reason, EACCES,
                  "packet bytes need the unix socket, a token (grpc.token_file) or a client "
                  "certificate");
        return RPC_PERMISSION_DENIED;
    }
    return RPC_OK;
}

/* ---- listening ---- */

static bool is_loopback(const char *listen)
{
    const char *colon = strrchr(listen, ':');
    size_t length = colon == NULL ? strlen(listen) : (size_t)(colon - listen);
    struct ip_address address;

    if (length >= 2 && listen[0] == '[' && listen[length - 1] == ']') {
        listen++;
        length -= 2;
    }
    if (length == 9 && memcmp(listen, "localhost", 9) == 0) {
        return true;
    }
    return address_parse(listen, length, &address) && address_is_loopback(&address);
}

static int listen_tcp(struct grpc_server *server, struct error *err)
{
    const struct grpc_settings *settings = &server->settings;
    const bool has_tls = settings->tls_certificate[0] != '\0' || settings->tls_key[0] != '\0';
    const bool has_identity = server->token != NULL || settings->tls_client_ca[0] != '\0';
    const struct rpc_server_tls tls = {
        .certificate_path = settings->tls_certificate,
        .key_path = settings->tls_key,
        .client_ca_path = settings->tls_client_ca[0] == '\0' ? NULL : settings->tls_client_ca};

    if (settings->listen[0] == '\0') {
        return 0;
    }
    if (settings->tls_client_ca[0] != '\0' && !has_tls) {
        return error_set(err, EINVAL,
                         "grpc.tls_client_ca needs grpc.tls_certificate and grpc.tls_key");
    }
    if (!settings->insecure && !(has_tls && has_identity) && !is_loopback(settings->listen)) {
        return error_set(err, EPERM,
                         "grpc.listen %s: an address other than loopback needs TLS "
                         "(grpc.tls_certificate, grpc.tls_key) and a token (grpc.token_file) or "
                         "client certificates (grpc.tls_client_ca), or grpc.insecure: true",
                         settings->listen);
    }
    const int port = rpc_server_listen(server->rpc, settings->listen, has_tls ? &tls : NULL, err);

    if (port >= 0) {
        server->port = (uint16_t)port;
    }
    return port < 0 ? port : 0;
}

static int listen_unix(struct grpc_server *server, struct error *err)
{
    const char *path = server->settings.unix_socket;
    const char *directory = getenv("RUNTIME_DIRECTORY"); // NOLINT(concurrency-mt-unsafe)
    char address[300];

    if (path[0] != '\0') {
        (void)snprintf(address, sizeof(address), "unix:%s", path);
    } else if (directory != NULL && directory[0] != '\0') {
        (void)snprintf(address, sizeof(address), "unix:%.*s/sensor.sock",
                       (int)strcspn(directory, ":"), directory);
    } else {
        return 0;
    }
    const int result = rpc_server_listen(server->rpc, address, NULL, err);

    return result < 0 ? result : 0;
}

/* ---- methods ---- */

static const char *const services[] = {"",
                                       PACKAGE "SensorService",
                                       PACKAGE "FlowService",
                                       PACKAGE "AlertService",
                                       PACKAGE "StatsService",
                                       PACKAGE "PacketService",
                                       PACKAGE "DnsService",
                                       PACKAGE "ConfigService"};

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    const struct grpc_method *method = rpc_method_context(call);
    struct grpc_ask ask = {.server = method->server, .call = call, .row = method->row};

    method->row->ask(&ask, bytes, length);
}

static int fill_methods(struct grpc_server *server, struct error *err)
{
    server->methods = calloc(grpc_rows_count, sizeof(*server->methods));
    if (server->methods == NULL) {
        return error_set(err, ENOMEM, "grpc: no memory");
    }
    for (size_t i = 0; i < grpc_rows_count; i++) {
        struct rpc_method *method = &server->rpc_methods[i];

        server->methods[i] = (struct grpc_method){server, &grpc_rows[i]};
        *method = (struct rpc_method){.path = grpc_rows[i].path,
                                      .context = &server->methods[i],
                                      .on_message = on_message,
                                      .is_single_request = true};
        if (grpc_rows[i].is_stream) {
            method->on_writable = grpc_reader_writable;
            method->on_done = grpc_reader_done;
            method->queue =
                (struct rpc_queue_limits){.messages_max = (uint32_t)server->settings.queue_messages,
                                          .bytes_max = STREAM_QUEUE_BYTES,
                                          .when_full = RPC_REJECT};
        } else {
            /* One answer, whatever its size: the queue is empty then. */
            method->queue = (struct rpc_queue_limits){.messages_max = 1, .when_full = RPC_REJECT};
        }
    }
    return 0;
}

static void tell_health(struct grpc_server *server, bool is_serving)
{
    for (size_t i = 0; i < ARRAY_COUNT(services); i++) {
        (void)rpc_health_set(server->health, services[i], is_serving);
    }
}

static int add_services(struct grpc_server *server, struct error *err)
{
    struct rpc_server_options options = rpc_server_options_default();
    size_t set_length;
    const uint8_t *set = json_descriptor_set(&set_length);

    options.receive_bytes_max = GRPC_REQUEST_BYTES;
    options.calls_max = CALLS_MAX;
    options.authorize = authorize;
    options.authorize_context = server;
    server->rpc = rpc_server_new(server->runtime, &options, err);
    server->health = rpc_health_new(HEALTH_WATCHERS, err);
    server->reflection = rpc_reflection_new(set, set_length, err);
    if (server->rpc == NULL || server->health == NULL || server->reflection == NULL) {
        return -err->code;
    }
    if (fill_methods(server, err) != 0) {
        return -err->code;
    }
    tell_health(server, false);
    if (rpc_server_add(server->rpc, server->rpc_methods, grpc_rows_count, err) != 0 ||
        rpc_health_add(server->health, server->rpc, err) != 0 ||
        rpc_reflection_add(server->reflection, server->rpc, err) != 0) {
        return -err->code;
    }
    return 0;
}

/* ---- life ---- */

static int take_memory(struct grpc_server *server, struct error *err)
{
    const uint64_t counts[RECORD_STREAM_COUNT] = {
        [RECORD_FLOWS] = server->settings.history_records,
        [RECORD_ALERTS] = ALERTS_MAX,
        [RECORD_STATS] = STATS_MAX,
        [RECORD_PACKETS] = PACKETS_MAX,
        [RECORD_DNS] = server->identity.has_dns_records ? DNS_MAX : 1};

    for (unsigned i = RECORD_FLOWS; i < RECORD_STREAM_COUNT; i++) {
        struct grpc_history *history = &server->histories[i];

        if (grpc_history_init(history, counts[i], server->settings.history_bytes, err) != 0) {
            return -err->code;
        }
        history->on_evict = grpc_on_evict;
        history->context = server;
    }
    server->arena = arena_new(GRPC_ARENA_BYTES);
    server->flow = calloc(1, sizeof(*server->flow));
    server->dns = calloc(1, sizeof(*server->dns));
    server->link = calloc(1, sizeof(*server->link));
    if (server->arena == NULL || server->flow == NULL || server->dns == NULL ||
        server->link == NULL) {
        return error_set(err, ENOMEM, "grpc: no memory");
    }
    (void)pthread_mutex_init(&server->link->mutex, NULL);
    atomic_init(&server->link->references, 1);
    server->link->server = server;
    return 0;
}

struct grpc_server *grpc_server_new(const struct grpc_settings *settings,
                                    const struct grpc_identity *identity,
                                    struct rpc_runtime *runtime, struct error *err)
{
    AUTO(grpc_server) server = calloc(1, sizeof(*server));

    if (server == NULL) {
        error_set(err, ENOMEM, "grpc: no memory");
        return NULL;
    }
    (void)pthread_mutex_init(&server->inbox_mutex, NULL);
    server->settings = *settings;
    server->identity = *identity;
    server->runtime = runtime;
    if (take_memory(server, err) != 0 || read_token(server, err) != 0 ||
        add_services(server, err) != 0 || listen_tcp(server, err) != 0 ||
        listen_unix(server, err) != 0) {
        return NULL;
    }
    return TAKE(server);
}

void grpc_server_attach(struct grpc_server *server, struct pipeline *pipeline)
{
    server->pipeline = pipeline;
    rpc_server_start(server->rpc);
    tell_health(server, true);
}

void grpc_server_stop(struct grpc_server *server)
{
    tell_health(server, false);
    rpc_server_stop(server->rpc, STOP_GRACE_NS);
}

void grpc_server_free(struct grpc_server *server)
{
    if (server == NULL) {
        return;
    }
    /* All calls are done after this; a task that still comes finds no reader. */
    rpc_server_free(server->rpc);
    if (server->link != NULL) {
        pthread_mutex_lock(&server->link->mutex);
        server->link->server = NULL;
        pthread_mutex_unlock(&server->link->mutex);
        grpc_link_unref(server->link);
    }
    rpc_health_free(server->health);
    rpc_reflection_free(server->reflection);
    grpc_inbox_free(server);
    for (unsigned i = 0; i < RECORD_STREAM_COUNT; i++) {
        grpc_history_fini(&server->histories[i]);
    }
    arena_free(server->arena);
    free(server->flow);
    free(server->dns);
    free(server->token);
    free(server->methods);
    free(atomic_load(&server->retune));
    (void)pthread_mutex_destroy(&server->inbox_mutex);
    free(server);
}

uint16_t grpc_server_port(const struct grpc_server *server)
{
    return server->port;
}

void grpc_server_counts_read(struct grpc_server *server, struct grpc_server_counts *out)
{
    struct rpc_server_counts counts;

    rpc_server_counts(server->rpc, &counts);
    *out = (struct grpc_server_counts){.streams = (uint32_t)counter_get(&server->streams),
                                       .records_sent = counter_get(&server->records_sent),
                                       .records_dropped = counter_get(&server->records_dropped),
                                       .calls_refused =
                                           counts.calls_refused + counts.calls_over_limit};
}
