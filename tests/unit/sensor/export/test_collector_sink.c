/* The sink to a collector: hand-over, refusals, and a real ingest in the same process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/export/collector_sink.h"
#include "sensor/export/collector_sink_private.h"
#include "tests/support/ingest_store.h"
#include "tests/support/record_feed.h"

#define SHORT_NS (300 * NS_PER_MS)
#define LONG_NS  (20 * NS_PER_SEC)

struct fixture {
    struct collector_settings settings;
    struct spool_settings spool;
    struct config_section sections[2];
    struct config *config;
    struct rpc_runtime *runtime;
    struct record_feed *feed;
    const char *state_directory;
    bool is_lossless, waits_for_input;
    struct sink sink;
    bool has_sink;
    /* the other end */
    char directory[64];
    struct ingest_settings ingest_settings;
    struct config_section ingest_section;
    struct config *ingest_config;
    struct ingest_store store;
    struct ingest_events events;
    struct ingest *ingest;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};

    f->sections[0] = (struct config_section){"collector", collector_fields, &f->settings, ""};
    f->sections[1] = (struct config_section){"spool", spool_fields, &f->spool, ""};
    f->config = config_new(f->sections, 2, "T", &err);
    f->ingest_section = (struct config_section){"ingest", ingest_fields, &f->ingest_settings, ""};
    f->ingest_config = config_new(&f->ingest_section, 1, "T", &err);
    f->runtime = rpc_runtime_new(NULL, &err);
    f->feed = record_feed_new(2, &err);
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/sink-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_true(f->config != NULL && f->ingest_config != NULL && f->runtime != NULL &&
                f->feed != NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    if (f->has_sink) {
        f->sink.ops->close(f->sink.state);
    }
    ingest_free(f->ingest);
    rpc_runtime_free(f->runtime);
    record_feed_free(f->feed);
    config_free(f->config);
    config_free(f->ingest_config);
    (void)snprintf(command, sizeof(command), "rm -r %s", f->directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own mkdtemp name */
    free(f);
    return 0;
}

static void set(struct fixture *f, const char *path, const char *value)
{
    struct error err = {0};

    assert_int_equal(config_set(f->config, path, value, "test", &err), 0);
}

#define FIRST_BOOT "00112233445566778899aabbccddeeff"

static int open_boot(struct fixture *f, const char *boot_id, struct error *err)
{
    const struct collector_options options = {.sensor_id = "probe",
                                              .boot_id = boot_id,
                                              .config_hash = "0",
                                              .spool = &f->spool,
                                              .state_directory = f->state_directory,
                                              .is_lossless = f->is_lossless,
                                              .waits_for_input = f->waits_for_input};
    const int result = collector_sink_open(&f->settings, &options, f->runtime, &f->sink, err);

    f->has_sink = result == 0;
    return result;
}

static int open_sink(struct fixture *f, struct error *err)
{
    return open_boot(f, FIRST_BOOT, err);
}

static void close_sink(struct fixture *f)
{
    f->sink.ops->close(f->sink.state);
    f->has_sink = false;
}

/* A collector on `listen`; its port. */
static int serve(struct fixture *f, const char *listen)
{
    struct error err = {0};

    assert_int_equal(config_set(f->ingest_config, "ingest.listen", listen, "test", &err), 0);
    f->events = ingest_store_events(&f->store);
    f->ingest = ingest_new(&f->ingest_settings, f->directory, &f->events, &err);
    assert_non_null(f->ingest);
    const int port = ingest_start(f->ingest, f->runtime, NULL, NULL, &err);
    assert_true(port > 0);
    return port;
}

static void offer(struct fixture *f, uint32_t count)
{
    struct record_batch *batch = record_feed_next(f->feed, count);

    assert_non_null(batch);
    assert_int_equal(f->sink.ops->offer(f->sink.state, batch), SINK_TAKEN);
    assert_int_equal(atomic_load(&batch->references), 1); /* copied, not kept */
    batch_unref(batch);
}

static uint64_t flush(struct fixture *f, uint64_t wait_ns)
{
    return f->sink.ops->flush(f->sink.state, clock_monotonic_ns() + wait_ns);
}

static void without_a_collector_all_is_owed_and_nothing_waits_longer(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct stats_sink row = {0};
    const uint64_t start_ns = clock_monotonic_ns();

    set(f, "collector.address", "127.0.0.1:1");
    assert_int_equal(open_sink(f, &err), 0);
    for (unsigned i = 0; i < 10; i++) { /* five times what the feed's batches hold */
        offer(f, 256);
    }
    assert_int_equal(flush(f, SHORT_NS), 2560);
    assert_true(clock_monotonic_ns() - start_ns < 10 * SHORT_NS);
    f->sink.ops->statistics(f->sink.state, &row);
    assert_false(row.connected);
    assert_int_equal(row.unacked, 2560);
    assert_true(row.oldest_age_ns > 0 && row.spool_bytes > 0);
    assert_non_null(strstr(row.last_error, "nothing listens"));
}

static void the_hello_after_a_reload_says_the_hash_of_what_is_in_force(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char address[64];

    f->store.wanted_hash = "fedcba9876543210";
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", serve(f, "127.0.0.1:0"));
    set(f, "collector.address", address);
    set(f, "collector.backoff_max", "500ms");
    assert_int_equal(open_sink(f, &err), 0);
    offer(f, 256);
    assert_int_equal(flush(f, LONG_NS), 0);
    assert_int_equal(atomic_load(&f->store.wanted_hellos), 0);
    collector_sink_use_hash(f->sink.state, f->store.wanted_hash);
    ingest_free(f->ingest); /* it has to dial again */
    (void)serve(f, address);
    offer(f, 256);
    assert_int_equal(flush(f, LONG_NS), 0);
    assert_true(atomic_load(&f->store.connected) >= 2);
    assert_int_equal(atomic_load(&f->store.wanted_hellos), atomic_load(&f->store.connected) - 1);
}

static void all_arrives_once_and_holes_of_the_publisher_are_told(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct stats_sink row = {0};
    char address[64];

    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", serve(f, "127.0.0.1:0"));
    set(f, "collector.address", address);
    assert_int_equal(open_sink(f, &err), 0);
    for (unsigned i = 0; i < 20; i++) {
        offer(f, 256);
    }
    record_feed_skip(f->feed, RECORD_FLOWS, 1000);
    for (unsigned i = 0; i < 20; i++) {
        offer(f, 256);
    }
    assert_int_equal(flush(f, LONG_NS), 0);
    f->sink.ops->statistics(f->sink.state, &row);
    assert_true(row.connected);
    assert_int_equal(row.acked, 40 * 256);
    assert_int_equal(row.unacked, 0);
    assert_int_equal(row.spool_bytes, 0);
    close_sink(f);
    ingest_stop(f->ingest);
    assert_int_equal(atomic_load(&f->store.records), 40 * 256);
    assert_int_equal(atomic_load(&f->store.duplicate), 0);
    assert_int_equal(atomic_load(&f->store.lost), 1000);
    assert_int_equal(atomic_load(&f->store.gaps), 1);
    assert_true(atomic_load(&f->store.stats) > 0);
    assert_int_equal(atomic_load(&f->store.clocks), 1); /* the first heartbeat's probe */
}

static void a_collector_that_comes_late_gets_all_that_the_spool_holds(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char address[64];
    const int port = serve(f, "127.0.0.1:0");

    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    ingest_free(f->ingest);
    f->ingest = NULL;
    set(f, "collector.address", address);
    set(f, "collector.backoff_max", "500ms");
    assert_int_equal(open_sink(f, &err), 0);
    for (unsigned i = 0; i < 10; i++) {
        offer(f, 256);
    }
    assert_int_equal(flush(f, SHORT_NS), 2560);
    (void)serve(f, address);
    assert_int_equal(flush(f, LONG_NS), 0);
    assert_int_equal(atomic_load(&f->store.duplicate), 0);
}

static void nobody_hears_of_a_sensor_before_its_input_is_open(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char address[64];

    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", serve(f, "127.0.0.1:0"));
    set(f, "collector.address", address);
    f->waits_for_input = true;
    assert_int_equal(open_sink(f, &err), 0);
    offer(f, 256);
    assert_int_equal(flush(f, SHORT_NS), 256);
    assert_int_equal(atomic_load(&f->store.connected), 0);
    collector_sink_begin(f->sink.state);
    assert_int_equal(flush(f, LONG_NS), 0);
    assert_int_equal(atomic_load(&f->store.connected), 1);
}

static void batches_arrive_compressed_and_as_they_are(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char address[64];

    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", serve(f, "127.0.0.1:0"));
    set(f, "collector.address", address);
    set(f, "collector.compression", "zstd");
    assert_int_equal(open_sink(f, &err), 0);
    for (unsigned i = 0; i < 20; i++) {
        offer(f, 256);
    }
    assert_int_equal(flush(f, LONG_NS), 0);
    close_sink(f);
    f->ingest_settings.takes_packed = false; /* a collector that does not want them */
    record_feed_free(f->feed);
    f->feed = record_feed_new(2, &err);
    assert_int_equal(open_boot(f, "second", &err), 0);
    offer(f, 256);
    assert_int_equal(flush(f, LONG_NS), 0);
    close_sink(f);
    ingest_stop(f->ingest);
    assert_int_equal(atomic_load(&f->store.records), 21 * 256);
    assert_int_equal(atomic_load(&f->store.duplicate), 0);
}

/* Nothing listens; the spool is in the fixture's directory. */
static void spool_to_disk(struct fixture *f, char address[64])
{
    char path[96];
    const int port = serve(f, "127.0.0.1:0");

    (void)snprintf(address, 64, "127.0.0.1:%d", port);
    ingest_free(f->ingest);
    f->ingest = NULL;
    (void)snprintf(path, sizeof(path), "%s/spool", f->directory);
    set(f, "spool.directory", path);
    set(f, "collector.address", address);
    set(f, "collector.backoff_max", "500ms");
}

static void a_run_leaves_its_records_to_the_next_ones(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct stats_sink row = {0};
    char address[64];

    spool_to_disk(f, address);
    assert_int_equal(open_sink(f, &err), 0);
    offer(f, 256);
    offer(f, 256);
    assert_int_equal(flush(f, SHORT_NS), 0); /* not owed: it is on disk */
    close_sink(f);
    record_feed_free(f->feed); /* the next process numbers from 1 again */
    f->feed = record_feed_new(2, &err);
    assert_int_equal(open_boot(f, "second", &err), 0);
    offer(f, 256);
    assert_int_equal(flush(f, SHORT_NS), 0);
    f->sink.ops->statistics(f->sink.state, &row);
    assert_int_equal(row.unacked, 768);
    assert_true(row.oldest_age_ns > 0);
    close_sink(f);
    (void)serve(f, address);
    record_feed_free(f->feed);
    f->feed = record_feed_new(2, &err);
    assert_int_equal(open_boot(f, "third", &err), 0);
    offer(f, 256);
    assert_int_equal(flush(f, LONG_NS), 0);
    f->sink.ops->statistics(f->sink.state, &row);
    assert_int_equal(row.acked, 1024);
    assert_int_equal(row.spool_errors, 0);
    assert_true(row.clock.is_synced && row.clock.offset_ns > -(int64_t)NS_PER_SEC &&
                row.clock.offset_ns < (int64_t)NS_PER_SEC);
    close_sink(f);
    ingest_stop(f->ingest);
    assert_int_equal(atomic_load(&f->store.records), 1024);
    assert_int_equal(atomic_load(&f->store.gaps), 0);
    assert_int_equal(atomic_load(&f->store.duplicate), 0);
}

/* Writes over the middle of the oldest file of the flows. */
static void damage_spool(const struct fixture *f)
{
    char path[160];
    static const uint8_t noise[64] = {0xff};

    (void)snprintf(path, sizeof(path), "%s/spool/collector/flows/00000000000000000001.log",
                   f->directory);
    FILE *file = fopen(path, "r+e");
    assert_non_null(file);
    assert_int_equal(fseek(file, 400000, SEEK_SET), 0);
    assert_int_equal(fwrite(noise, 1, sizeof(noise), file), sizeof(noise));
    assert_int_equal(fclose(file), 0);
}

static void a_damaged_file_of_the_spool_is_told_with_its_exact_range(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct stats_sink row = {0};
    char address[64];
    uint64_t offered = 0;

    spool_to_disk(f, address);
    set(f, "spool.bytes", "8MiB"); /* files of 1 MiB */
    assert_int_equal(open_sink(f, &err), 0);
    for (unsigned i = 0; i < 60; i++) {
        offer(f, 256);
        offered += 256;
    }
    assert_int_equal(flush(f, SHORT_NS), 0);
    close_sink(f);
    damage_spool(f);
    (void)serve(f, address);
    assert_int_equal(open_boot(f, "second", &err), 0);
    assert_int_equal(flush(f, LONG_NS), 0);
    f->sink.ops->statistics(f->sink.state, &row);
    close_sink(f);
    ingest_stop(f->ingest);
    assert_true(atomic_load(&f->store.lost) > 0);
    assert_int_equal(atomic_load(&f->store.records) + atomic_load(&f->store.lost), offered);
    assert_int_equal(row.failed, atomic_load(&f->store.lost));
    assert_int_equal(row.spool_errors, 1);
    assert_int_equal(atomic_load(&f->store.gaps), 1);
}

static void what_an_earlier_process_lost_wholly_is_told_too(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char address[64];
    char command[200];

    spool_to_disk(f, address);
    assert_int_equal(open_sink(f, &err), 0);
    for (unsigned i = 0; i < 4; i++) {
        offer(f, 256);
    }
    assert_int_equal(flush(f, SHORT_NS), 0);
    close_sink(f);
    (void)snprintf(command, sizeof(command), "rm %s/spool/collector/flows/*.log", f->directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own mkdtemp name */
    const uint64_t flows = record_feed_last(f->feed, RECORD_FLOWS);

    (void)serve(f, address);
    assert_int_equal(open_boot(f, "second", &err), 0);
    assert_int_equal(flush(f, LONG_NS), 0);
    for (unsigned i = 0; i < 100 && atomic_load(&f->store.lost) < flows; i++) {
        const struct timespec step = {0, 20000000};

        (void)nanosleep(&step, NULL);
    }
    close_sink(f);
    ingest_stop(f->ingest);
    assert_int_equal(atomic_load(&f->store.lost), flows);
    assert_int_equal(atomic_load(&f->store.records), 1024 - flows);
}

static void a_full_spool_pushes_back_when_nothing_may_be_lost(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct stats_sink row = {0};
    char address[64];
    enum sink_verdict verdict = SINK_TAKEN;
    uint64_t offered = 0;

    spool_to_disk(f, address);
    set(f, "spool.directory", "memory");
    set(f, "collector.spool", "1MiB");
    f->is_lossless = true;
    assert_int_equal(open_sink(f, &err), 0);
    struct record_batch *batch = NULL;

    for (unsigned i = 0; i < 1000 && verdict == SINK_TAKEN; i++) {
        batch = record_feed_next(f->feed, 256);
        verdict = f->sink.ops->offer(f->sink.state, batch);
        offered += 256;
        if (verdict == SINK_TAKEN) {
            batch_unref(batch);
        }
    }
    assert_int_equal(verdict, SINK_BUSY);
    (void)serve(f, address);
    for (unsigned i = 0; i < 1000 && verdict == SINK_BUSY; i++) {
        const struct timespec step = {0, 20000000};

        (void)nanosleep(&step, NULL);
        verdict = f->sink.ops->offer(f->sink.state, batch);
    }
    assert_int_equal(verdict, SINK_TAKEN);
    batch_unref(batch);
    assert_int_equal(flush(f, LONG_NS), 0);
    f->sink.ops->statistics(f->sink.state, &row);
    assert_int_equal(row.failed, 0);
    assert_int_equal(row.acked, offered);
    assert_int_equal(atomic_load(&f->store.gaps), 0);
}

static void a_place_that_cannot_be_used_is_refused_unless_the_disk_is_to_blame(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct stats_sink row = {0};

    set(f, "collector.address", "127.0.0.1:1");
    set(f, "spool.directory", "/proc/nowhere/spool");
    assert_int_not_equal(open_sink(f, &err), 0);
    assert_non_null(strstr(err.message, "spool.directory"));
    set(f, "spool.directory", "");
    f->state_directory = "/proc/nowhere"; /* found, not asked for */
    error_clear(&err);
    log_set_level(LOG_ERROR);
    assert_int_equal(open_sink(f, &err), 0);
    f->sink.ops->statistics(f->sink.state, &row);
    (void)flush(f, SHORT_NS);
    f->sink.ops->statistics(f->sink.state, &row);
    assert_string_not_equal(row.spool_trouble, "");
}

static void who_finds_no_room_comes_back_when_the_collector_says(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct stats_sink row = {0};
    struct ingest_counts counts;
    char address[64];

    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", serve(f, "127.0.0.1:0"));
    atomic_store(&f->store.refuses_sensors, true);
    set(f, "collector.address", address);
    set(f, "collector.backoff_max", "500ms");
    assert_int_equal(open_sink(f, &err), 0);
    offer(f, 256);
    assert_int_equal(flush(f, 2 * NS_PER_SEC), 256);
    f->sink.ops->statistics(f->sink.state, &row);
    assert_non_null(strstr(row.last_error, "RESOURCE_EXHAUSTED"));
    ingest_counts_read(f->ingest, &counts);
    assert_int_equal(counts.refused, 1); /* RetryInfo: a minute; without it once each 500 ms */
}

static struct rpc_call *call_nobody(struct rpc_channel *channel)
{
    static const struct rpc_method method = {.path = "/nobody/Is"};
    struct error err = {0};
    struct rpc_call *call = rpc_call_start(channel, &method, NULL, &err);

    assert_non_null(call);
    return call;
}

/* The peer may have ended the call before it is cancelled for that: the end comes a turn later. */
static void a_break_of_the_protocol_is_the_reason_whatever_end_its_call_has(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    const struct rpc_channel_options options = rpc_channel_options_default("127.0.0.1:1");
    AUTO(rpc_channel) channel = rpc_channel_new(f->runtime, &options, &err);
    struct collector_sink *sink = calloc(1, sizeof(*sink));
    struct collector_news *news = calloc(1, sizeof(*news));

    assert_true(channel != NULL && sink != NULL && news != NULL);
    assert_int_equal(pthread_mutex_init(&sink->lock, NULL), 0);
    sink->settings = &f->settings;
    sink->call = call_nobody(channel);
    news->complaint = "it sent what is no ConnectResponse";
    collector_stream_take(sink, news, 1);
    *news = (struct collector_news){.is_over = true, .status = RPC_OK};
    collector_stream_take(sink, news, 2);
    assert_string_equal(sink->last_error, "INTERNAL: it sent what is no ConnectResponse");
    sink->call = call_nobody(channel); /* the next one did nothing wrong */
    *news = (struct collector_news){.is_over = true, .status = RPC_OK};
    collector_stream_take(sink, news, 3);
    assert_string_equal(sink->last_error, "OK: the collector ended the stream");
    (void)pthread_mutex_destroy(&sink->lock);
    free(sink);
    free(news);
}

static void refuse_settings(struct fixture *f, const char *words)
{
    struct error err = {0};

    assert_int_not_equal(open_sink(f, &err), 0);
    if (strstr(err.message, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, words);
    }
}

static void settings_that_cannot_be_safe_are_refused(void **state)
{
    struct fixture *f = *state;
    char path[128];

    set(f, "collector.address", "nowhere");
    refuse_settings(f, "neither host:port");
    set(f, "collector.address", "198.51.100.1:50052");
    refuse_settings(f, "collector.insecure");
    set(f, "collector.address", "127.evil.example:50052");
    refuse_settings(f, "not loopback");
    set(f, "collector.certificate", "/nowhere.pem");
    refuse_settings(f, "without collector.key");
    set(f, "collector.key", "/nowhere.key");
    refuse_settings(f, "without collector.ca");
    set(f, "collector.ca", "/nowhere.pem");
    refuse_settings(f, "/nowhere.pem");
    set(f, "collector.certificate", "");
    set(f, "collector.key", "");
    set(f, "collector.ca", "");
    set(f, "collector.address", "127.0.0.1:50052");
    (void)snprintf(path, sizeof(path), "%s/token", f->directory);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs("two words\n", file);
    (void)fclose(file);
    set(f, "collector.token_file", path);
    assert_int_equal(chmod(path, 0644), 0);
    refuse_settings(f, "chmod 600");
    assert_int_equal(chmod(path, 0600), 0);
    refuse_settings(f, "one token on one line");
}

#define WITH_SINK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SINK(without_a_collector_all_is_owed_and_nothing_waits_longer),
        WITH_SINK(the_hello_after_a_reload_says_the_hash_of_what_is_in_force),
        WITH_SINK(all_arrives_once_and_holes_of_the_publisher_are_told),
        WITH_SINK(a_collector_that_comes_late_gets_all_that_the_spool_holds),
        WITH_SINK(nobody_hears_of_a_sensor_before_its_input_is_open),
        WITH_SINK(batches_arrive_compressed_and_as_they_are),
        WITH_SINK(a_run_leaves_its_records_to_the_next_ones),
        WITH_SINK(a_damaged_file_of_the_spool_is_told_with_its_exact_range),
        WITH_SINK(what_an_earlier_process_lost_wholly_is_told_too),
        WITH_SINK(a_full_spool_pushes_back_when_nothing_may_be_lost),
        WITH_SINK(a_place_that_cannot_be_used_is_refused_unless_the_disk_is_to_blame),
        WITH_SINK(who_finds_no_room_comes_back_when_the_collector_says),
        WITH_SINK(a_break_of_the_protocol_is_the_reason_whatever_end_its_call_has),
        WITH_SINK(settings_that_cannot_be_safe_are_refused),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
