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
#include "tests/support/ingest_store.h"
#include "tests/support/record_feed.h"

#define SHORT_NS (300 * NS_PER_MS)
#define LONG_NS  (20 * NS_PER_SEC)

struct fixture {
    struct collector_settings settings;
    struct config_section section;
    struct config *config;
    struct rpc_runtime *runtime;
    struct record_feed *feed;
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

    f->section = (struct config_section){"collector", collector_fields, &f->settings, ""};
    f->config = config_new(&f->section, 1, "T", &err);
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

static int open_sink(struct fixture *f, struct error *err)
{
    const struct collector_hello hello = {"probe", "00112233445566778899aabbccddeeff", "0"};
    const int result = collector_sink_open(&f->settings, &hello, f->runtime, &f->sink, err);

    f->has_sink = result == 0;
    return result;
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
    f->sink.ops->tick(f->sink.state);
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
    f->sink.ops->close(f->sink.state);
    f->has_sink = false;
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
    assert_int_equal(chmod(path, 0640), 0);
    refuse_settings(f, "chmod 600");
    assert_int_equal(chmod(path, 0600), 0);
    refuse_settings(f, "one token on one line");
}

#define WITH_SINK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SINK(without_a_collector_all_is_owed_and_nothing_waits_longer),
        WITH_SINK(all_arrives_once_and_holes_of_the_publisher_are_told),
        WITH_SINK(a_collector_that_comes_late_gets_all_that_the_spool_holds),
        WITH_SINK(settings_that_cannot_be_safe_are_refused),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
