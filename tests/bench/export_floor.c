#include "tests/bench/export_floor.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tests/bench/export_readers.h"

struct export_floor {
    struct rpc_server *server;
    struct rpc_method method;
    struct rpc_bytes message;
    struct rpc_call *calls[EXPORT_READERS_MAX];
    _Atomic unsigned calls_count; /* written by the rpc thread */
    int port;
};

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct export_floor *floor = rpc_method_context(call);

    (void)bytes;
    (void)length;
    if (floor->calls_count < EXPORT_READERS_MAX) {
        rpc_ref(call);
        rpc_send_headers(call);
        floor->calls[floor->calls_count] = call;
        floor->calls_count++;
    }
}

struct export_floor *export_floor_new(struct rpc_runtime *runtime, const struct rpc_server_tls *tls,
                                      size_t message_bytes, struct error *err)
{
    struct export_floor *floor = calloc(1, sizeof(*floor));
    struct rpc_buffer buffer = rpc_buffer_new(message_bytes);

    if (floor == NULL) {
        rpc_buffer_discard(&buffer);
        return NULL;
    }
    memset(buffer.data, 'x', message_bytes);
    floor->message = rpc_buffer_done(&buffer, message_bytes);
    floor->method = (struct rpc_method){.path = EXPORT_READERS_PATH,
                                        .context = floor,
                                        .on_message = on_message,
                                        .is_single_request = true,
                                        .queue = {.messages_max = 64, .bytes_max = 2U << 20}};
    floor->server = rpc_server_new(runtime, NULL, err);
    if (floor->server == NULL || rpc_server_add(floor->server, &floor->method, 1, err) != 0 ||
        (floor->port = rpc_server_listen(floor->server, "127.0.0.1:0", tls, err)) < 0) {
        export_floor_free(floor);
        return NULL;
    }
    rpc_server_start(floor->server);
    return floor;
}

int export_floor_port(const struct export_floor *floor)
{
    return floor->port;
}

unsigned export_floor_readers(const struct export_floor *floor)
{
    return floor->calls_count;
}

void export_floor_send(struct export_floor *floor, uint32_t messages, uint32_t burst)
{
    const struct timespec pause = {0, 200000};
    const unsigned readers = floor->calls_count;

    for (uint32_t i = 0; i < messages; i++) {
        for (unsigned j = 0; j < readers; j++) {
            while (rpc_send(floor->calls[j], rpc_bytes_ref(&floor->message)) == RPC_SEND_FULL) {
                (void)nanosleep(&pause, NULL);
            }
        }
        if (i % burst == burst - 1) {
            (void)nanosleep(&pause, NULL);
        }
    }
}

void export_floor_free(struct export_floor *floor)
{
    if (floor == NULL) {
        return;
    }
    if (floor->server != NULL) {
        rpc_server_stop(floor->server, NS_PER_SEC);
        for (unsigned i = 0; i < floor->calls_count; i++) {
            rpc_unref(floor->calls[i]);
        }
        rpc_server_free(floor->server);
    }
    rpc_bytes_unref(&floor->message);
    free(floor);
}
