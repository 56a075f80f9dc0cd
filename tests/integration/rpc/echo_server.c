/* A small server for foreign clients: unary, server, client and bidirectional streams, health.
 * Prints its port, ends when its standard input does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rpc/rpc.h"

static void unary(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    if (length > 0 && bytes[0] == 0xff) { /* what a decoder says of bytes that are no message */
        rpc_finish(call, RPC_INVALID_ARGUMENT, "the message cannot be decoded");
        return;
    }
    (void)rpc_send(call, rpc_bytes_copy(bytes, length));
    rpc_finish(call, RPC_OK, NULL);
}

static void thrice(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    for (unsigned i = 0; i < 3; i++) {
        (void)rpc_send(call, rpc_bytes_copy(bytes, length));
    }
    rpc_finish(call, RPC_OK, NULL);
}

static void sum(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    rpc_set_user_data(call, (char *)rpc_user_data(call) + length);
}

static void sum_end(struct rpc_call *call)
{
    char text[32];
    const int length = snprintf(text, sizeof text, "%zu", (size_t)(uintptr_t)rpc_user_data(call));
    (void)rpc_send(call, rpc_bytes_copy(text, (size_t)length));
    rpc_finish(call, RPC_OK, NULL);
}

static void talk(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)rpc_send(call, rpc_bytes_copy(bytes, length));
}

static void talk_end(struct rpc_call *call)
{
    rpc_finish(call, RPC_OK, NULL);
}

static void done(struct rpc_call *call, const struct rpc_result *result)
{
    if (result->is_cancelled) {
        printf("cancelled %s\n", rpc_path(call));
        (void)fflush(stdout);
    }
}

static const struct rpc_method methods[] = {
    {.path = "/test.Echo/Unary", .on_message = unary, .on_done = done, .is_single_request = true},
    {.path = "/test.Echo/Thrice", .on_message = thrice, .on_done = done, .is_single_request = true},
    {.path = "/test.Echo/Sum", .on_message = sum, .on_half_close = sum_end, .on_done = done},
    {.path = "/test.Echo/Talk", .on_message = talk, .on_half_close = talk_end, .on_done = done},
};

int main(void)
{
    struct error err = {0};
    struct rpc_server_options options = rpc_server_options_default();
    options.receive_bytes_max = 65536;
    AUTO(rpc_runtime) runtime = rpc_runtime_new(NULL, &err);
    AUTO(rpc_health) health = runtime == NULL ? NULL : rpc_health_new(0, &err);
    AUTO(rpc_server) server = health == NULL ? NULL : rpc_server_new(runtime, &options, &err);
    int port = -1;
    if (server != NULL &&
        rpc_server_add(server, methods, sizeof methods / sizeof methods[0], &err) == 0 &&
        rpc_health_add(health, server, &err) == 0 && rpc_health_set(health, "", true) == 0) {
        port = rpc_server_listen(server, "127.0.0.1:0", NULL, &err);
    }
    if (port <= 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    rpc_server_start(server);
    printf("port %d\n", port);
    (void)fflush(stdout);
    while (getchar() != EOF) {
    }
    rpc_server_stop(server, NS_PER_SEC);
    return 0;
}
