/* What the sensor's gRPC export costs a record: the real server behind its sink, fed with encoded
 * flow records as the publisher does, read by subscribers in another process.
 *
 *   export_bench [CERTS]   CERTS: a directory of tests/support/certs.sh, for the row with TLS
 *   export_bench read ADDRESS COUNT CA   (its own child)
 *
 * CPU of all threads of the exporter, less what feeding alone costs, per record; messages of 512.
 * The rows of one run are comparable, not those of different runs. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/wire_format.h"
#include "proto/codec.h"
#include "sensor/export/grpc_server.h"
#include "tests/support/record_random.h"

#define BATCH        512U
#define BATCHES      1200U
#define WARM_BATCHES 100U
#define BATCH_BYTES  (1U << 20)
#define READERS_MAX  4
#define SENSOR       "bench-sensor"
#define BOOT         "00112233445566778899aabbccddeeff"

extern char **environ;

static double cpu_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- the readers: the child process ---- */

static _Atomic uint64_t received_messages;
static _Atomic unsigned ended;

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)call;
    (void)bytes;
    received_messages += length > 0;
}

static void on_done(struct rpc_call *call, const struct rpc_result *result)
{
    (void)call;
    (void)result;
    ended++;
}

static const struct rpc_method observe = {
    .path = "/netscope.v1.FlowService/ObserveFlows", .on_message = on_message, .on_done = on_done};

static int run_readers(const char *address, unsigned count, const char *ca)
{
    struct rpc_call *calls[READERS_MAX];
    struct rpc_channel *channels[READERS_MAX];
    struct error err = {0};
    AUTO(rpc_runtime) runtime = rpc_runtime_new(NULL, &err);
    const uint8_t follow[] = {8 << 3, 1};
    char line[8];

    for (unsigned i = 0; i < count && runtime != NULL; i++) {
        struct rpc_channel_options options = rpc_channel_options_default(address);
        const struct rpc_call_options request = {.is_single_request = true,
                                                 .request = rpc_bytes_copy(follow, sizeof(follow))};

        options.is_tls = ca[0] != '\0';
        options.ca_path = options.is_tls ? ca : NULL;
        channels[i] = rpc_channel_new(runtime, &options, &err);
        calls[i] =
            channels[i] == NULL ? NULL : rpc_call_start(channels[i], &observe, &request, &err);
        if (calls[i] == NULL) {
            (void)fprintf(stderr, "export_bench: %s\n", err.message);
            return EXIT_FAILURE;
        }
    }
    (void)!fgets(line, sizeof(line), stdin); /* until the parent is through */
    for (unsigned i = 0; i < count && runtime != NULL; i++) {
        rpc_cancel(calls[i], RPC_CANCELLED, "");
        rpc_unref(calls[i]);
        rpc_channel_free(channels[i]);
    }
    while (ended < count) {
        (void)usleep(1000);
    }
    return EXIT_SUCCESS;
}

struct readers {
    pid_t pid;
    int input; /* its stdin; closing it ends them */
};

static bool start_readers(const char *program, const char *address, unsigned count, const char *ca,
                          struct readers *out)
{
    char number[8];
    int ends[2];
    posix_spawn_file_actions_t actions;
    char *const arguments[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "read",
                               (char *)(uintptr_t)address, number,
                               (char *)(uintptr_t)ca,      NULL};

    (void)snprintf(number, sizeof(number), "%u", count);
    if (pipe(ends) != 0) {
        return false;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    (void)posix_spawn_file_actions_addclose(&actions, ends[1]);
    const int result = posix_spawn(&out->pid, program, &actions, NULL, arguments, environ);

    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[0]);
    out->input = ends[1];
    return result == 0;
}

static void end_readers(const struct readers *readers)
{
    int status;

    (void)close(readers->input);
    (void)waitpid(readers->pid, &status, 0);
}

/* ---- the exporter ---- */

struct exporter {
    struct rpc_runtime *runtime;
    struct grpc_server *server;
    struct batch_pool *pool;
    struct sink sink;
    uint64_t seq;
    uint8_t flow[CODEC_FLOW_BYTES_MAX];
    size_t flow_bytes;
};

static struct record_batch *make_batch(struct exporter *exporter)
{
    struct record_batch *batch = batch_take(exporter->pool);

    for (uint32_t i = 0; batch != NULL && i < BATCH; i++) {
        const struct record_identity identity = {.sensor_id = {SENSOR, sizeof(SENSOR) - 1},
                                                 .boot_id = {BOOT, sizeof(BOOT) - 1},
                                                 .seq = ++exporter->seq};
        uint8_t *at = batch_reserve(batch, (uint32_t)exporter->flow_bytes);

        if (at == NULL) {
            break;
        }
        memcpy(at, exporter->flow, exporter->flow_bytes);
        struct batch_entry *entry = batch_commit(batch, (uint32_t)exporter->flow_bytes);

        entry->stream = RECORD_FLOWS;
        entry->seq = identity.seq;
        entry->full_length = (uint32_t)(exporter->flow_bytes +
                                        codec_append_identity(&identity, at + exporter->flow_bytes,
                                                              CODEC_IDENTITY_BYTES_MAX));
    }
    return batch;
}

/* Offers `batches`; with `is_feed_alone` none is. */
static void feed(struct exporter *exporter, uint32_t batches, bool is_feed_alone)
{
    const struct timespec pause = {0, 200000};

    for (uint32_t i = 0; i < batches; i++) {
        struct record_batch *batch;

        while ((batch = make_batch(exporter)) == NULL) {
            (void)nanosleep(&pause, NULL);
        }
        while (!is_feed_alone &&
               exporter->sink.ops->offer(exporter->sink.state, batch) == SINK_BUSY) {
            (void)nanosleep(&pause, NULL);
        }
        batch_unref(batch);
        if (!is_feed_alone && i % 8 == 7) { /* no faster than the readers read: nothing is lost */
            const struct timespec breath = {0, 3000000};

            (void)nanosleep(&breath, NULL);
        }
    }
}

static bool open_exporter(struct exporter *exporter, const char *certs, struct error *err)
{
    static char certificate[512];
    static char key[512];
    const struct grpc_identity identity = {
        .sensor_id = SENSOR, .boot_id = BOOT, .config_hash = "0"};
    struct grpc_settings settings = {.enabled = "on",
                                     .listen = "127.0.0.1:0",
                                     .unix_socket = "",
                                     .tls_certificate = "",
                                     .tls_key = "",
                                     .tls_client_ca = "",
                                     .token_file = "",
                                     .history_records = 65536,
                                     .history_bytes = 64U << 20,
                                     .streams_max = 64,
                                     .queue_messages = 64};
    struct flow_record flow;

    if (certs != NULL) {
        (void)snprintf(certificate, sizeof(certificate), "%s/server.pem", certs);
        (void)snprintf(key, sizeof(key), "%s/server.key", certs);
        settings.tls_certificate = certificate;
        settings.tls_key = key;
    }
    record_typical_flow(&flow);
    flow.identity = (struct record_identity){0};
    exporter->flow_bytes = codec_encode_flow(&flow, exporter->flow, sizeof(exporter->flow));
    exporter->runtime = rpc_runtime_new(NULL, err);
    exporter->server = exporter->runtime == NULL
                           ? NULL
                           : grpc_server_new(&settings, &identity, exporter->runtime, err);
    exporter->pool = batch_pool_new(16, BATCH_BYTES, CODEC_IDENTITY_BYTES_MAX, err);
    if (exporter->server == NULL || exporter->pool == NULL) {
        return false;
    }
    grpc_server_attach(exporter->server, NULL);
    exporter->sink = grpc_server_sink(exporter->server);
    return true;
}

static void close_exporter(struct exporter *exporter)
{
    if (exporter->server != NULL) {
        grpc_server_stop(exporter->server);
        grpc_server_free(exporter->server);
    }
    rpc_runtime_free(exporter->runtime);
    batch_pool_free(exporter->pool);
}

/* ns CPU a record with so many readers; less than 0: it failed. */
static double measure(const char *program, const char *certs, unsigned count)
{
    struct exporter exporter = {0};
    struct error err = {0};
    struct readers readers = {0};
    char address[64];
    char ca[512] = "";
    double figure = -1.0;

    if (open_exporter(&exporter, certs, &err)) {
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", grpc_server_port(exporter.server));
        if (certs != NULL) {
            (void)snprintf(ca, sizeof(ca), "%s/ca.pem", certs);
        }
        if (count == 0 || start_readers(program, address, count, ca, &readers)) {
            (void)usleep(count == 0 ? 0 : 700000); /* they connect */
            feed(&exporter, WARM_BATCHES, false);
            double begin = cpu_seconds();

            feed(&exporter, BATCHES, true);
            const double alone = cpu_seconds() - begin;

            begin = cpu_seconds();
            feed(&exporter, BATCHES, false);
            (void)usleep(300000); /* the last messages */
            figure = (cpu_seconds() - begin - alone) * 1e9 / ((double)BATCHES * BATCH);
        }
        if (readers.pid > 0) {
            end_readers(&readers);
        }
    } else {
        (void)fprintf(stderr, "export_bench: %s\n", err.message);
    }
    close_exporter(&exporter);
    return figure;
}

static void row(const char *name, double ns, double floor_ns)
{
    (void)printf("%-34s %5.0f ns a record (at most %.0f: %s)\n", name, ns, floor_ns,
                 ns <= floor_ns ? "ok" : "MISSED");
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "read") == 0) {
        return run_readers(argv[2], (unsigned)strtoul(argv[3], NULL, 10), argv[4]);
    }
    const double none = measure(argv[0], NULL, 0);
    const double one = measure(argv[0], NULL, 1);
    const double four = measure(argv[0], NULL, READERS_MAX);

    if (none < 0 || one < 0 || four < 0) {
        return EXIT_FAILURE;
    }
    (void)printf("%-34s %5.0f ns a record\n", "gRPC export, history alone", none);
    row("gRPC export, one subscriber", one, 300.0);
    row("gRPC export, each further one", (four - one) / (READERS_MAX - 1), 100.0);
    if (argc > 1) {
        const double tls = measure(argv[0], argv[1], 1);

        if (tls < 0) {
            return EXIT_FAILURE;
        }
        row("gRPC export, one subscriber, TLS", tls, 400.0);
    }
    return EXIT_SUCCESS;
}
