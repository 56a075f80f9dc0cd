/* Both ends of the collector stream for tests, each as a process of its own.
 *
 *   ingest_probe collector DIR LISTEN [KEY=VALUE...]  ingest over a store that only counts
 *   ingest_probe sensor ADDRESS RECORDS RATE [KEY=VALUE...]  the sink, fed with synthetic records
 *   ingest_probe scan DIR  reads the log: records, missing, duplicates, told gaps, each process
 * apart ingest_probe spool DIR  reads a sensor's spool: what each process has there
 *
 * KEY=VALUE sets ingest.KEY or collector.KEY, or with a dot in it that one (spool.KEY). The sensor
 * ends with 0 when all was acknowledged. CPU of the collector is counted from where it listens. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config/config.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/process.h"
#include "collector-ui/ingest/ingest_private.h"
#include "detection/detection.h"
#include "sensor/export/collector_sink.h"
#include "tests/integration/ingest/ingest_scan.h"
#include "tests/support/ingest_store.h"
#include "tests/support/record_feed.h"
#include "tests/support/record_random.h"

#define FEED_BATCHES  8
#define MIXED_RECORDS 256
#define FLOWS_RECORDS 512
#define FLUSH_NS      (120 * NS_PER_SEC)

static volatile sig_atomic_t is_stopped;

static void stop(int number)
{
    (void)number;
    is_stopped = 1;
}

/* What the process shows while it runs, also to who looks after it was killed. */
struct progress {
    uint64_t numbered; /* the last flow that was numbered */
    char boot_id[32];  /* ends without a NUL */
    uint64_t acked;    /* records that the collector acknowledged; told where a rate is set */
};

static volatile struct progress *open_progress(const char boot_id[33])
{
    static struct progress nowhere;
    const char *path = getenv("PROBE_PROGRESS");
    const int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    void *at = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(struct progress)) == 0) {
        at = mmap(NULL, sizeof(struct progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    struct progress *progress = at != MAP_FAILED ? at : &nowhere;

    memcpy(progress->boot_id, boot_id, sizeof(progress->boot_id));
    return progress;
}

static int fail(const struct error *err)
{
    (void)fprintf(stderr, "ingest_probe: %s\n", err->message);
    return EXIT_FAILURE;
}

/* "name=value" arguments into the one section of `config`. */
static int apply(struct config *config, const char *section, int argc, char **argv,
                 struct error *err)
{
    for (int i = 0; i < argc; i++) {
        char path[256];
        const char *equals = strchr(argv[i], '=');

        if (equals == NULL) {
            return error_set(err, EINVAL, "%s: expected KEY=VALUE", argv[i]);
        }
        const bool is_whole = memchr(argv[i], '.', (size_t)(equals - argv[i])) != NULL;

        (void)snprintf(path, sizeof(path), "%s%s%.*s", is_whole ? "" : section, is_whole ? "" : ".",
                       (int)(equals - argv[i]), argv[i]);
        if (config_set(config, path, equals + 1, argv[i], err) != 0) {
            return -err->code;
        }
    }
    return 0;
}

static double cpu_seconds(void)
{
    struct timespec used;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* Of the thread that writes the log and feeds the store. */
static double log_cpu_seconds(const struct ingest *ingest)
{
    struct timespec used = {0};
    clockid_t clock;

    if (pthread_getcpuclockid(ingest->thread, &clock) == 0) {
        (void)clock_gettime(clock, &used);
    }
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static int run_collector(int argc, char **argv, struct error *err)
{
    struct ingest_settings settings = {0};
    struct config_section section = {"ingest", ingest_fields, &settings, ""};
    static struct ingest_store store;
    const struct ingest_events events = ingest_store_events(&store);
    struct ingest_counts counts;
    sigset_t signals;
    AUTO(config) config = config_new(&section, 1, "PROBE", err);

    if (argc < 2 || config == NULL ||
        config_set(config, "ingest.listen", argv[1], "LISTEN", err) != 0 ||
        apply(config, "ingest", argc - 2, argv + 2, err) != 0) {
        return fail(err);
    }
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    AUTO(rpc_runtime) runtime = rpc_runtime_new(NULL, err);
    AUTO(ingest) ingest = runtime != NULL ? ingest_new(&settings, argv[0], &events, err) : NULL;
    const int port = ingest != NULL ? ingest_start(ingest, runtime, NULL, NULL, err) : -1;

    if (port < 0) {
        return fail(err);
    }
    const double start_seconds = cpu_seconds();

    (void)printf("port %d\n", port);
    (void)fflush(stdout);
    int signal_number;
    (void)sigwait(&signals, &signal_number);
    ingest_counts_read(ingest, &counts);
    const double log_seconds = log_cpu_seconds(ingest);

    const double seconds = cpu_seconds() - start_seconds;

    ingest_stop(ingest);
    (void)printf("records %llu duplicates %llu gap_records %llu clocks %llu refused %llu "
                 "refused_rate %llu sockets_refused %llu log_errors %llu cpu_ns_per_record %.0f "
                 "log_ns_per_record %.0f\n",
                 (unsigned long long)counts.records, (unsigned long long)counts.duplicates,
                 (unsigned long long)counts.gap_records,
                 (unsigned long long)atomic_load(&store.clocks), (unsigned long long)counts.refused,
                 (unsigned long long)counts.refused_rate,
                 (unsigned long long)counts.sockets_refused, (unsigned long long)counts.log_errors,
                 counts.records > 0 ? seconds * 1e9 / (double)counts.records : 0.0,
                 counts.records > 0 ? log_seconds * 1e9 / (double)counts.records : 0.0);
    return EXIT_SUCCESS;
}

/* Offers `records` at `rate` a second (0: as fast as it goes). */
static void feed_sink(const struct sink *sink, struct record_feed *feed, uint64_t records,
                      uint64_t rate, volatile struct progress *progress)
{
    const uint64_t start_ns = clock_monotonic_ns();
    const struct timespec step = {0, 1000000};

    for (uint64_t made = 0; made < records && !is_stopped;) {
        struct record_batch *batch =
            record_feed_next(feed, getenv("PROBE_FLOWS") != NULL ? FLOWS_RECORDS : MIXED_RECORDS);

        made += batch->count;
        progress->numbered = record_feed_last(feed, RECORD_FLOWS);
        while (sink->ops->offer(sink->state, batch) == SINK_BUSY) {
            (void)nanosleep(&step, NULL);
        }
        batch_unref(batch);
        while (rate > 0 && !is_stopped &&
               clock_monotonic_ns() - start_ns < made * NS_PER_SEC / rate) {
            (void)nanosleep(&step, NULL);
        }
        if (rate > 0) {
            struct stats_sink row = {0};

            sink->ops->statistics(sink->state, &row);
            progress->acked = row.acked;
        }
    }
}

/* Seconds for detection that the collector must refuse: of another seed, no frame, of a time to
 * come. False: it asked for none within half a minute. */
static bool feed_bad_sketches(const struct sink *sink)
{
    static const uint8_t garbage[] = "no frame";
    const struct timespec step = {0, 10000000};
    uint64_t seed = 0;

    for (unsigned i = 0; i < 3000 && (seed = sink->ops->sketch_seed(sink->state)) == 0; i++) {
        (void)nanosleep(&step, NULL);
    }
    const uint64_t second = clock_wall_ns() / NS_PER_SEC;
    const struct sink_sketch bad[] = {
        {second, detection_seed_id(seed + 1), garbage, sizeof(garbage)},
        {second, detection_seed_id(seed), garbage, sizeof(garbage)},
        {second + 3600, detection_seed_id(seed), garbage, sizeof(garbage)}};

    for (unsigned i = 0; seed != 0 && i < sizeof(bad) / sizeof(bad[0]); i++) {
        sink->ops->sketch(sink->state, &bad[i]);
    }
    return seed != 0;
}

/* For benches: full batches of flows alone, as PROBE_FLOWS says. */
static void choose_flows(struct record_feed *feed)
{
    const char *kind = getenv("PROBE_FLOWS");
    static struct flow_record flow;

    if (kind != NULL) {
        (strcmp(kind, "plain") == 0 ? record_plain_flow : record_typical_flow)(&flow);
        flow.identity = (struct record_identity){0};
        record_feed_flows_alone(feed, &flow);
    }
}

static int run_sensor(int argc, char **argv, struct error *err)
{
    struct collector_settings settings = {0};
    struct spool_settings spool = {0};
    struct config_section sections[] = {{"collector", collector_fields, &settings, ""},
                                        {"spool", spool_fields, &spool, ""}};
    char boot_id[33];
    const char *sensor_id = getenv("PROBE_SENSOR_ID");
    struct sink sink;
    AUTO(config) config = config_new(sections, 2, "PROBE", err);

    if (argc < 3 || config == NULL ||
        config_set(config, "collector.address", argv[0], "ADDRESS", err) != 0 ||
        apply(config, "collector", argc - 3, argv + 3, err) != 0) {
        return fail(err);
    }
    (void)signal(SIGTERM, stop);
    hash_random_hex(boot_id);
    const struct collector_options options = {.sensor_id = sensor_id != NULL ? sensor_id : "probe",
                                              .boot_id = boot_id,
                                              .config_hash = "0",
                                              .spool = &spool,
                                              .is_lossless = getenv("PROBE_LOSSLESS") != NULL};
    AUTO(rpc_runtime) runtime = rpc_runtime_new(NULL, err);
    struct record_feed *feed = record_feed_new(FEED_BATCHES, err);

    if (runtime == NULL || feed == NULL ||
        collector_sink_open(&settings, &options, runtime, &sink, err) != 0) {
        return fail(err);
    }
    choose_flows(feed);
    const uint64_t start_ns = clock_monotonic_ns();
    const char *flush_text = getenv("PROBE_FLUSH_SECONDS");
    const uint64_t flush_ns =
        flush_text != NULL ? strtoull(flush_text, NULL, 10) * NS_PER_SEC : FLUSH_NS;

    if (getenv("PROBE_BAD_SKETCHES") != NULL && !feed_bad_sketches(&sink)) {
        (void)fprintf(stderr, "ingest_probe: the collector asks for no sketches\n");
    }
    feed_sink(&sink, feed, strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10),
              open_progress(boot_id));
    const uint64_t owed = sink.ops->flush(sink.state, clock_monotonic_ns() + flush_ns);
    const double seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    struct stats_sink row = {0};

    sink.ops->statistics(sink.state, &row);
    sink.ops->close(sink.state);
    (void)printf("boot %s owed %llu sent %llu acked %llu unacked %llu retried %llu lost %llu flows "
                 "%llu alerts %llu "
                 "stats %llu seconds %.3f cpu_ns_per_record %.0f error \"%s\"\n",
                 boot_id, (unsigned long long)owed, (unsigned long long)row.sent,
                 (unsigned long long)row.acked, (unsigned long long)row.unacked,
                 (unsigned long long)row.retried, (unsigned long long)row.failed,
                 (unsigned long long)record_feed_last(feed, RECORD_FLOWS),
                 (unsigned long long)record_feed_last(feed, RECORD_ALERTS),
                 (unsigned long long)record_feed_last(feed, RECORD_STATS), seconds,
                 row.sent > 0 ? cpu_seconds() * 1e9 / (double)row.sent : 0.0, row.last_error);
    record_feed_free(feed);
    return owed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct error err = {0};

    if (getenv("PROBE_VERBOSE") != NULL) {
        log_set_level(LOG_DEBUG);
    }
    process_keep_freed_memory(); /* as the programs do */
    if (argc > 2 && strcmp(argv[1], "collector") == 0) {
        return run_collector(argc - 2, argv + 2, &err);
    }
    if (argc > 2 && strcmp(argv[1], "sensor") == 0) {
        return run_sensor(argc - 2, argv + 2, &err);
    }
    if (argc == 3 && strcmp(argv[1], "scan") == 0) {
        return ingest_scan_log(argv[2], &err) == 0 ? EXIT_SUCCESS : fail(&err);
    }
    if (argc == 3 && strcmp(argv[1], "spool") == 0) {
        return ingest_scan_spool(argv[2], &err) == 0 ? EXIT_SUCCESS : fail(&err);
    }
    (void)fprintf(stderr, "usage: ingest_probe collector|sensor|scan|spool ...\n");
    return 2;
}
