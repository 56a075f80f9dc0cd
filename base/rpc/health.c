/* grpc.health.v1.Health: Check, and Watch, which tells each change. An unknown service is NOT_FOUND
 * for Check and SERVICE_UNKNOWN for Watch, whose stream stays open. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rpc/internal.h"
#include "base/wire_format.h"

#define SERVICE_BYTES_MAX     128
#define WATCHERS_MAX_DEFAULT  256
#define FIELD_REQUEST_SERVICE 1
#define FIELD_RESPONSE_STATUS 1
#define REPLY_BYTES_MAX       16

/* grpc.health.v1.HealthCheckResponse.ServingStatus */
enum serving { HEALTH_UNKNOWN, HEALTH_SERVING, HEALTH_NOT_SERVING, HEALTH_SERVICE_UNKNOWN };

struct service {
    struct service *next;
    enum serving serving;
    char name[SERVICE_BYTES_MAX];
};

struct watcher {
    struct watcher *next;
    struct rpc_call *call; /* holds a reference */
    char name[SERVICE_BYTES_MAX];
};

enum { HEALTH_CHECK, HEALTH_WATCH, HEALTH_METHODS };

struct rpc_health {
    pthread_mutex_t lock;
    struct service *services;
    struct watcher *watchers;
    uint32_t watchers_count, watchers_max;
    struct rpc_method methods[HEALTH_METHODS];
};

/* The service a request names, "" if none. False: not such a request. */
static bool parse_request(const uint8_t *bytes, size_t length, char name[SERVICE_BYTES_MAX])
{
    struct wire_reader reader = wire_reader_over(bytes, length);
    struct wire_field field;
    name[0] = '\0';
    while (wire_next(&reader, &field)) {
        if (field.number != FIELD_REQUEST_SERVICE) {
            continue;
        }
        if (field.type != WIRE_BYTES || field.length >= SERVICE_BYTES_MAX) {
            return false;
        }
        memcpy(name, field.bytes, field.length);
        name[field.length] = '\0';
    }
    return reader.ok;
}

static void send_serving(struct rpc_call *call, enum serving serving)
{
    uint8_t reply[REPLY_BYTES_MAX];
    struct wire_writer writer = wire_writer_over(reply, sizeof reply);
    wire_write_varint(&writer, FIELD_RESPONSE_STATUS, serving);
    (void)rpc_send(call, rpc_bytes_copy(reply, wire_written(&writer)));
}

/* Lock held. */
static struct service *find(const struct rpc_health *health, const char *name)
{
    struct service *service = health->services;
    while (service != NULL && strcmp(service->name, name) != 0) {
        service = service->next;
    }
    return service;
}

static enum serving serving_of(const struct rpc_health *health, const char *name)
{
    const struct service *service = find(health, name);
    return service == NULL ? HEALTH_SERVICE_UNKNOWN : service->serving;
}

static void check_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct rpc_health *health = rpc_method_context(call);
    char name[SERVICE_BYTES_MAX];
    if (!parse_request(bytes, length, name)) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "the bytes are not a HealthCheckRequest");
        return;
    }
    pthread_mutex_lock(&health->lock);
    const enum serving serving = serving_of(health, name);
    pthread_mutex_unlock(&health->lock);
    if (serving == HEALTH_SERVICE_UNKNOWN) {
        rpc_finish(call, RPC_NOT_FOUND, "unknown service");
        return;
    }
    send_serving(call, serving);
    rpc_finish(call, RPC_OK, NULL);
}

static void watch_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct rpc_health *health = rpc_method_context(call);
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL || !parse_request(bytes, length, watcher->name)) {
        free(watcher);
        rpc_finish(call, RPC_INVALID_ARGUMENT, "the bytes are not a HealthCheckRequest");
        return;
    }
    pthread_mutex_lock(&health->lock);
    const bool is_full = health->watchers_count >= health->watchers_max;
    if (!is_full) {
        rpc_ref(call);
        watcher->call = call;
        watcher->next = health->watchers;
        health->watchers = watcher;
        health->watchers_count++;
        /* Sent with the lock held, so that a change at the same time comes behind it. */
        send_serving(call, serving_of(health, watcher->name));
    }
    pthread_mutex_unlock(&health->lock);
    if (is_full) {
        free(watcher);
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "too many watchers");
    }
}

static void watch_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct rpc_health *health = rpc_method_context(call);
    (void)result;
    pthread_mutex_lock(&health->lock);
    struct watcher **at = &health->watchers;
    while (*at != NULL && (*at)->call != call) {
        at = &(*at)->next;
    }
    struct watcher *const gone = *at;
    if (gone != NULL) {
        *at = gone->next;
        health->watchers_count--;
    }
    pthread_mutex_unlock(&health->lock);
    if (gone != NULL) {
        rpc_unref(call);
        free(gone);
    }
}

struct rpc_health *rpc_health_new(uint32_t watchers_max, struct error *err)
{
    struct rpc_health *health = calloc(1, sizeof *health);
    if (health == NULL) {
        error_set(err, ENOMEM, "rpc: no memory for the health service");
        return NULL;
    }
    pthread_mutex_init(&health->lock, NULL);
    health->watchers_max = watchers_max == 0 ? WATCHERS_MAX_DEFAULT : watchers_max;
    health->methods[HEALTH_CHECK] = (struct rpc_method){
        .path = "/grpc.health.v1.Health/Check",
        .context = health,
        .on_message = check_message,
        .is_single_request = true,
        .is_auth_exempt = true,
    };
    health->methods[HEALTH_WATCH] = (struct rpc_method){
        .path = "/grpc.health.v1.Health/Watch",
        .context = health,
        .on_message = watch_message,
        .on_done = watch_done,
        .queue = {.messages_max = 8,
                  .when_full = RPC_DROP_OLD}, /* the newest state is the one that counts */
        .is_single_request = true,
        .is_auth_exempt = true,
    };
    return health;
}

void rpc_health_free(struct rpc_health *health)
{
    if (health == NULL) {
        return;
    }
    assert(health->watchers == NULL); /* the server is gone */
    while (health->services != NULL) {
        struct service *const next = health->services->next;
        free(health->services);
        health->services = next;
    }
    pthread_mutex_destroy(&health->lock);
    free(health);
}

int rpc_health_add(struct rpc_health *health, struct rpc_server *server, struct error *err)
{
    return rpc_server_add(server, health->methods, HEALTH_METHODS, err);
}

int rpc_health_set(struct rpc_health *health, const char *service, bool is_serving)
{
    const size_t length = strlen(service);
    if (length >= SERVICE_BYTES_MAX) {
        return -ENAMETOOLONG;
    }
    const enum serving serving = is_serving ? HEALTH_SERVING : HEALTH_NOT_SERVING;
    int result = 0;
    pthread_mutex_lock(&health->lock);
    struct service *known = find(health, service);
    if (known == NULL) {
        known = calloc(1, sizeof *known);
        if (known != NULL) {
            memcpy(known->name, service, length);
            known->next = health->services;
            health->services = known;
        }
    }
    if (known == NULL) {
        result = -ENOMEM;
    } else if (known->serving != serving) {
        known->serving = serving;
        for (struct watcher *each = health->watchers; each != NULL; each = each->next) {
            if (strcmp(each->name, service) == 0) {
                send_serving(each->call, serving);
            }
        }
    }
    pthread_mutex_unlock(&health->lock);
    return result;
}
