/* What the sensor's gRPC export costs a record: the real server behind its sink, fed with encoded
 * flow records as the publisher does, read by subscribers in another process.
 *
 *   export_bench [CERTS]
 *   export_bench turn READERS RECORDS [CERTS]
 *   export_bench floor BYTES [CERTS]
 *   export_bench read ADDRESS COUNT CA
 *
 * CERTS: a directory of tests/support/certs.sh, for TLS. "turn": one turn of one row, for profiles,
 * with 0 to 4 readers of plain or typical records. "floor": one turn of gRPC alone with records of
 * this size, sent and received. "read": its own child.
 *
 * CPU of all threads of the exporter per record, messages of 512, the batches made before. Medians
 * of five turns, in each of them all rows and what gRPC alone takes for the same bytes. The rows of
 * one run are comparable, not those of different runs. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "proto/codec.h"
#include "tests/bench/export_floor.h"
#include "tests/bench/export_readers.h"
#include "tests/bench/turns.h"
#include "tests/support/grpc_feed.h"
#include "tests/support/record_random.h"

#define BATCH        512U
#define BATCHES      400U
#define WARM_BATCHES 160U /* the history is full behind them */
#define POOL         2U
#define BURST        8U
#define BATCH_BYTES  (1U << 20)
#define SENSOR       "bench-sensor"
#define BOOT         "00112233445566778899aabbccddeeff"

/* What one turn runs. */
struct setup {
    const char *program;
    const char *certs; /* NULL: plaintext */
    void (*record)(struct flow_record *out);
    unsigned readers;
};

static void rest(unsigned microseconds)
{
    const struct timespec pause = {0, (long)microseconds * 1000};

    (void)nanosleep(&pause, NULL);
}

/* ---- the exporter ---- */

struct exporter {
    struct rpc_runtime *runtime;
    struct grpc_server *server;
    struct batch_pool *pool;
    struct record_batch *batches[POOL];
    struct sink sink;
    uint64_t seq, offered;
    size_t record_bytes; /* with identity */
};

static bool make_batches(struct exporter *exporter, const struct setup *setup)
{
    static const struct record_identity identity = {.sensor_id = {SENSOR, sizeof(SENSOR) - 1},
                                                    .boot_id = {BOOT, sizeof(BOOT) - 1},
                                                    .seq = 1U << 20};
    struct flow_record flow;

    setup->record(&flow);
    flow.identity = (struct record_identity){0};
    for (uint32_t i = 0; i < POOL; i++) {
        struct record_batch *batch = batch_take(exporter->pool);

        for (uint32_t j = 0; batch != NULL && j < BATCH; j++) {
            uint8_t *at = batch_reserve(batch, CODEC_FLOW_BYTES_MAX);

            if (at == NULL) {
                return false;
            }
            grpc_feed_commit(batch, at, codec_encode_flow(&flow, at, CODEC_FLOW_BYTES_MAX),
                             RECORD_FLOWS, &identity, 0);
        }
        exporter->batches[i] = batch;
        exporter->record_bytes = batch == NULL ? 0 : batch->entries[0].full_length;
    }
    return exporter->record_bytes > 0;
}

static uint64_t records_sent(const struct exporter *exporter)
{
    struct grpc_server_counts counts;

    grpc_server_counts_read(exporter->server, &counts);
    return counts.records_sent + counts.records_dropped;
}

/* Offers the batches in turn, with new numbers, no faster than the readers read. */
static void feed(struct exporter *exporter, uint32_t batches, unsigned readers)
{
    for (uint32_t i = 0; i < batches; i++) {
        struct record_batch *batch = exporter->batches[i % POOL];

        for (uint32_t j = 0; j < BATCH; j++) {
            batch->entries[j].seq = ++exporter->seq;
        }
        while (exporter->sink.ops->offer(exporter->sink.state, batch) == SINK_BUSY) {
            rest(200);
        }
        exporter->offered += (uint64_t)BATCH * readers;
        if (i % BURST == BURST - 1) {
            do {
                rest(200);
            } while (records_sent(exporter) + (uint64_t)2 * BURST * BATCH * readers <
                     exporter->offered);
        }
    }
    while (records_sent(exporter) < exporter->offered) {
        rest(200);
    }
}

static bool open_exporter(struct exporter *exporter, const struct setup *setup, struct error *err)
{
    static char certificate[512];
    static char key[512];
    const struct grpc_identity identity = {
        .sensor_id = SENSOR, .boot_id = BOOT, .config_hash = "0"};
    struct grpc_settings settings = grpc_feed_settings();

    if (setup->certs != NULL) {
        (void)snprintf(certificate, sizeof(certificate), "%s/server.pem", setup->certs);
        (void)snprintf(key, sizeof(key), "%s/server.key", setup->certs);
        settings.tls_certificate = certificate;
        settings.tls_key = key;
    }
    exporter->runtime = rpc_runtime_new(NULL, err);
    exporter->server = exporter->runtime == NULL
                           ? NULL
                           : grpc_server_new(&settings, &identity, exporter->runtime, err);
    exporter->pool = batch_pool_new(POOL, BATCH_BYTES, CODEC_IDENTITY_BYTES_MAX, err);
    if (exporter->server == NULL || exporter->pool == NULL || !make_batches(exporter, setup)) {
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
    for (uint32_t i = 0; i < POOL; i++) {
        if (exporter->batches[i] != NULL) {
            batch_unref(exporter->batches[i]);
        }
    }
    batch_pool_free(exporter->pool);
}

static bool start_readers(const struct setup *setup, int port, struct export_readers *readers)
{
    char address[64];
    char ca[512] = "";

    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    if (setup->certs != NULL) {
        (void)snprintf(ca, sizeof(ca), "%s/ca.pem", setup->certs);
    }
    return setup->readers == 0 ||
           export_readers_start(setup->program, address, setup->readers, ca, readers);
}

static double cpu_since(double begin)
{
    rest(200000); /* what is under way */
    return (turns_cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - begin) * 1e9 / ((double)BATCHES * BATCH);
}

/* ns CPU a record; less than 0: it failed. `bytes`: of a record. */
static double measure(const struct setup *setup, size_t *bytes)
{
    struct exporter exporter = {0};
    struct error err = {0};
    struct export_readers readers = {0};
    struct grpc_server_counts counts = {0};
    double figure = -1.0;

    if (open_exporter(&exporter, setup, &err) &&
        start_readers(setup, grpc_server_port(exporter.server), &readers)) {
        while (counts.streams < setup->readers) {
            rest(1000);
            grpc_server_counts_read(exporter.server, &counts);
        }
        feed(&exporter, WARM_BATCHES, setup->readers);
        rest(50000);
        const double begin = turns_cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);

        feed(&exporter, BATCHES, setup->readers);
        figure = cpu_since(begin);
        grpc_server_counts_read(exporter.server, &counts);
        if (counts.records_dropped > 0) {
            (void)fprintf(stderr, "export_bench: readers lost records\n");
            figure = -1.0;
        }
        if (readers.pid > 0) {
            (void)export_readers_end(&readers);
        }
    } else {
        (void)fprintf(stderr, "export_bench: %s\n", err.message);
    }
    *bytes = exporter.record_bytes;
    close_exporter(&exporter);
    return figure;
}

/* Likewise, of gRPC alone; `received`: of its reader. */
static double measure_floor(const struct setup *setup, size_t record_bytes, double *received)
{
    struct error err = {0};
    struct export_readers readers = {0};
    char certificate[512];
    char key[512];
    AUTO(rpc_runtime) runtime = rpc_runtime_new(NULL, &err);
    const struct rpc_server_tls tls = {.certificate_path = certificate, .key_path = key};
    double figure = -1.0;

    (void)snprintf(certificate, sizeof(certificate), "%s/server.pem", setup->certs);
    (void)snprintf(key, sizeof(key), "%s/server.key", setup->certs);
    struct export_floor *floor = runtime == NULL
                                     ? NULL
                                     : export_floor_new(runtime, setup->certs == NULL ? NULL : &tls,
                                                        (record_bytes + 3) * BATCH, &err);

    if (floor != NULL && start_readers(setup, export_floor_port(floor), &readers)) {
        while (export_floor_readers(floor) < setup->readers) {
            rest(1000);
        }
        export_floor_send(floor, WARM_BATCHES, BURST);
        rest(50000);
        const double begin = turns_cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);

        export_floor_send(floor, BATCHES, BURST);
        figure = cpu_since(begin);
        *received = export_readers_end(&readers) / BATCH;
    } else {
        (void)fprintf(stderr, "export_bench: %s\n", err.message);
    }
    export_floor_free(floor);
    return figure;
}

/* ---- rows ---- */

enum row { NONE, ONE, FOUR, FLOOR, FLOOR_FOUR, TLS, TLS_FLOOR, ROWS };

static double measure_row(enum row row, const struct setup *base, size_t *bytes, double *received)
{
    struct setup setup = *base;
    const bool is_floor = row == FLOOR || row == FLOOR_FOUR || row == TLS_FLOOR;

    setup.readers = row == NONE ? 0 : row == FOUR || row == FLOOR_FOUR ? EXPORT_READERS_MAX : 1;
    setup.certs = row == TLS || row == TLS_FLOOR ? base->certs : NULL;
    return is_floor ? measure_floor(&setup, *bytes, received) : measure(&setup, bytes);
}

static void print(const char *name, size_t bytes, double ns, double ns_max, double floor_ns)
{
    (void)printf("gRPC export, %-24s records of %3zu bytes: %4.0f ns each (at most %.0f: %s", name,
                 bytes, ns, ns_max, turns_verdict(ns, ns_max, floor_ns));
    if (floor_ns > 0) {
        (void)printf("; gRPC alone %.0f", floor_ns);
    }
    (void)printf(")\n");
}

/* False: a turn failed. */
static bool run(const struct setup *setup)
{
    struct turns rows[ROWS] = {0};
    struct turns further = {0};
    struct turns further_floor = {0};
    struct turns received[ROWS] = {0};
    size_t bytes = 0;

    for (uint32_t turn = 0; turn < TURNS; turn++) {
        double figures[ROWS] = {0};
        double reading = 0.0;

        for (unsigned row = 0; row < (setup->certs == NULL ? (unsigned)TLS : ROWS); row++) {
            figures[row] = measure_row((enum row)row, setup, &bytes, &reading);
            if (figures[row] < 0) {
                return false;
            }
            turns_add(&rows[row], figures[row]);
            turns_add(&received[row], reading);
        }
        turns_add(&further, (figures[FOUR] - figures[ONE]) / (EXPORT_READERS_MAX - 1));
        turns_add(&further_floor,
                  (figures[FLOOR_FOUR] - figures[FLOOR]) / (EXPORT_READERS_MAX - 1));
    }
    (void)printf("gRPC export, %-24s records of %3zu bytes: %4.0f ns each\n", "history alone",
                 bytes, turns_median(&rows[NONE]));
    print("one subscriber,", bytes, turns_median(&rows[ONE]), 300.0, turns_median(&rows[FLOOR]));
    print("each further one,", bytes, turns_median(&further), 100.0, turns_median(&further_floor));
    if (setup->certs != NULL) {
        print("one subscriber, TLS,", bytes, turns_median(&rows[TLS]), 400.0,
              turns_median(&rows[TLS_FLOOR]));
    }
    (void)printf("gRPC alone, receiving,    %-10s records of %3zu bytes: %4.0f ns each, TLS %.0f\n",
                 "", bytes, turns_median(&received[FLOOR]), turns_median(&received[TLS_FLOOR]));
    return true;
}

static int run_turn(struct setup *setup, const char *readers, const char *records)
{
    size_t bytes = 0;

    setup->record = strcmp(records, "plain") == 0 ? record_plain_flow : record_typical_flow;
    setup->readers = (unsigned)strtoul(readers, NULL, 10);
    if (setup->readers > EXPORT_READERS_MAX) {
        (void)fprintf(stderr, "export_bench: at most %d readers\n", EXPORT_READERS_MAX);
        return EXIT_FAILURE;
    }
    const double figure = measure(setup, &bytes);

    (void)printf("%.1f\n", figure);
    return figure < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_floor(struct setup *setup, const char *record_bytes)
{
    double received = 0.0;

    setup->readers = 1;
    const double figure = measure_floor(setup, strtoul(record_bytes, NULL, 10), &received);

    (void)printf("sent %.1f received %.1f\n", figure, received);
    return figure < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    process_keep_freed_memory(); /* as the programs do */
    if (argc == 5 && strcmp(argv[1], "read") == 0) {
        return export_readers_run(argv[2], (unsigned)strtoul(argv[3], NULL, 10), argv[4]);
    }
    struct setup setup = {.program = argv[0]};

    if (argc >= 4 && strcmp(argv[1], "turn") == 0) {
        setup.certs = argc > 4 ? argv[4] : NULL;
        return run_turn(&setup, argv[2], argv[3]);
    }
    if (argc >= 3 && strcmp(argv[1], "floor") == 0) {
        setup.certs = argc > 3 ? argv[3] : NULL;
        return run_floor(&setup, argv[2]);
    }
    setup.certs = argc > 1 ? argv[1] : NULL;
    setup.record = record_plain_flow;
    const bool is_plain_done = run(&setup);

    setup.record = record_typical_flow;
    return is_plain_done && run(&setup) ? EXIT_SUCCESS : EXIT_FAILURE;
}
