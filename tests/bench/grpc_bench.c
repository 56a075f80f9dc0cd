/* Flow records over one gRPC server stream on loopback, server and client in this process: encode
 * once, send batches of 512 as the sensor does, read them on the other side. Prints records/s and
 * CPU time per record of both sides together. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rpc/rpc.h"
#include "proto/codec.h"
#include "tests/support/record_random.h"

#define BATCH   512U
#define BATCHES 2000U

static uint8_t wire[CODEC_FLOW_BYTES_MAX];
static struct codec_slice slices[BATCH];
static size_t list_bytes;
static uint32_t sent, received;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_done;

static double seconds(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* One message, or none when all are sent. False: the queue is full. */
static bool send_one(struct rpc_call *call)
{
    struct flow_record flow;
    struct rpc_buffer buffer = rpc_buffer_new(list_bytes);

    record_typical_flow(&flow);
    for (uint32_t i = 0; i < BATCH; i++) {
        /* Each record is encoded anew, as for different flows. */
        slices[i].length = (uint32_t)codec_encode_flow(&flow, wire, sizeof(wire));
    }
    struct rpc_bytes bytes =
        rpc_buffer_done(&buffer, codec_encode_list(slices, BATCH, buffer.data, buffer.capacity));

    if (rpc_send(call, bytes) != RPC_SEND_QUEUED) {
        return false;
    }
    sent++;
    return true;
}

static void pump(struct rpc_call *call)
{
    while (sent < BATCHES) {
        if (!send_one(call)) {
            return;
        }
    }
    rpc_finish(call, RPC_OK, NULL);
}

static void on_request(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    (void)length;
    pump(call);
}

static void on_batch(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)call;
    (void)bytes;
    received += length > 0;
}

static void on_end(struct rpc_call *call, const struct rpc_result *result)
{
    (void)call;
    if (result->status != RPC_OK) {
        (void)fprintf(stderr, "stream: %s\n", result->message);
    }
    (void)pthread_mutex_lock(&lock);
    is_done = true;
    (void)pthread_cond_signal(&changed);
    (void)pthread_mutex_unlock(&lock);
}

static const struct rpc_method served = {.path = "/netscope.v1.FlowService/ObserveFlows",
                                         .on_message = on_request,
                                         .on_writable = pump,
                                         .is_single_request = true,
                                         .queue = {.messages_max = 64, .bytes_max = 64U << 20}};
static const struct rpc_method called = {
    .path = "/netscope.v1.FlowService/ObserveFlows", .on_message = on_batch, .on_done = on_end};

static int run(struct rpc_runtime *runtime, struct error *err)
{
    AUTO(rpc_server) server = rpc_server_new(runtime, NULL, err);
    char address[32];

    if (server == NULL || rpc_server_add(server, &served, 1, err) != 0) {
        return EXIT_FAILURE;
    }
    const int port = rpc_server_listen(server, "127.0.0.1:0", NULL, err);

    if (port < 0) {
        return EXIT_FAILURE;
    }
    rpc_server_start(server);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    const struct rpc_channel_options options = rpc_channel_options_default(address);
    AUTO(rpc_channel) channel = rpc_channel_new(runtime, &options, err);
    const struct rpc_call_options request = {.is_single_request = true,
                                             .request = rpc_bytes_copy("", 0)};
    struct rpc_call *call =
        channel == NULL ? NULL : rpc_call_start(channel, &called, &request, err);

    if (call == NULL) {
        return EXIT_FAILURE;
    }
    const double wall = seconds(CLOCK_MONOTONIC);
    const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);

    (void)pthread_mutex_lock(&lock);
    while (!is_done) {
        (void)pthread_cond_wait(&changed, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
    const double records = (double)received * BATCH;

    (void)printf("%.0f records in messages of %u: %.0f records/s, %.0f ns CPU a record (encode, "
                 "send, receive)\n",
                 records, BATCH, records / (seconds(CLOCK_MONOTONIC) - wall),
                 (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e9 / records);
    rpc_unref(call);
    return received == BATCHES ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(void)
{
    struct error err = {0};
    struct flow_record flow;

    record_typical_flow(&flow);
    const size_t length = codec_encode_flow(&flow, wire, sizeof(wire));

    for (uint32_t i = 0; i < BATCH; i++) {
        slices[i] = (struct codec_slice){wire, (uint32_t)length};
    }
    list_bytes = codec_batch_bytes(slices, BATCH);
    AUTO(rpc_runtime) runtime = rpc_runtime_new(NULL, &err);
    const int status = runtime == NULL ? EXIT_FAILURE : run(runtime, &err);

    if (err.code != 0) {
        (void)fprintf(stderr, "%s\n", err.message);
    }
    return status;
}
