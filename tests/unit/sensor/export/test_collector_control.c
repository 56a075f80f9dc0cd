/* What a collector asks of a sensor, both ends in one process: to send less, to go elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/export/collector_sink.h"
#include "sensor/export/collector_sink_private.h"
#include "tests/support/ingest_store.h"
#include "tests/support/record_feed.h"

#define LONG_NS (20 * NS_PER_SEC)
#define ENDS    2
#define RECORDS 256
#define STEP_NS (10 * NS_PER_MS)
#define REMOTE  "collector.paris.example.net:50052"
#define NOWHERE "127.0.0.1:1"

/* One collector. */
struct end {
    char directory[64];
    char address[64];
    struct ingest_settings settings;
    struct config_section section;
    struct config *config;
    struct ingest_store store;
    struct ingest_events events;
    struct ingest *ingest;
};

struct fixture {
    struct collector_settings settings;
    struct spool_settings spool;
    struct config_section sections[2];
    struct config *config;
    struct rpc_runtime *runtime;
    struct record_feed *feed;
    struct sink sink;
    bool has_sink;
    struct end ends[ENDS];
    uint64_t offered;
};

static _Atomic uint64_t stored;
static _Atomic uint32_t offers, words, last_word; /* on settings */

static uint64_t stored_position(void *context)
{
    (void)context;
    return atomic_load(&stored);
}

static void hear_word(void *context, const char *sensor_id,
                      const struct ingest_config_status *status)
{
    (void)context;
    if (strcmp(sensor_id, "probe") == 0 && strcmp(status->offer_id, "offer-1") == 0) {
        atomic_store(&last_word, (uint32_t)status->state);
        atomic_fetch_add(&words, 1);
    }
}

static void open_end(struct fixture *f, struct end *end)
{
    struct error err = {0};

    (void)snprintf(end->directory, sizeof(end->directory), "/tmp/control-test-XXXXXX");
    assert_non_null(mkdtemp(end->directory));
    end->section = (struct config_section){"ingest", ingest_fields, &end->settings, ""};
    end->config = config_new(&end->section, 1, "T", &err);
    assert_non_null(end->config);
    assert_int_equal(config_set(end->config, "ingest.listen", "127.0.0.1:0", "test", &err), 0);
    end->events = ingest_store_events(&end->store);
    end->events.stored_position = stored_position;
    end->events.config_status = hear_word;
    end->ingest = ingest_new(&end->settings, end->directory, &end->events, &err);
    assert_non_null(end->ingest);
    const int port = ingest_start(end->ingest, f->runtime, NULL, NULL, &err);
    assert_true(port > 0);
    (void)snprintf(end->address, sizeof(end->address), "127.0.0.1:%d", port);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};

    atomic_store(&stored, 0);
    atomic_store(&offers, 0);
    atomic_store(&words, 0);
    atomic_store(&last_word, 0);
    f->sections[0] = (struct config_section){"collector", collector_fields, &f->settings, ""};
    f->sections[1] = (struct config_section){"spool", spool_fields, &f->spool, ""};
    f->config = config_new(f->sections, 2, "T", &err);
    f->runtime = rpc_runtime_new(NULL, &err);
    f->feed = record_feed_new(2, &err);
    assert_true(f->config != NULL && f->runtime != NULL && f->feed != NULL);
    for (unsigned i = 0; i < ENDS; i++) {
        open_end(f, &f->ends[i]);
    }
    assert_int_equal(config_set(f->config, "collector.address", f->ends[0].address, "test", &err),
                     0);
    assert_int_equal(config_set(f->config, "collector.backoff_max", "500ms", "test", &err), 0);
    *state = f;
    return 0;
}

static void close_sink(struct fixture *f)
{
    if (f->has_sink) {
        f->sink.ops->close(f->sink.state);
    }
    f->has_sink = false;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    close_sink(f);
    for (unsigned i = 0; i < ENDS; i++) {
        ingest_free(f->ends[i].ingest);
        config_free(f->ends[i].config);
        (void)snprintf(command, sizeof(command), "rm -r %s", f->ends[i].directory);
        assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own mkdtemp name */
    }
    rpc_runtime_free(f->runtime);
    record_feed_free(f->feed);
    config_free(f->config);
    free(f);
    return 0;
}

static void set(struct fixture *f, const char *path, const char *value)
{
    struct error err = {0};

    assert_int_equal(config_set(f->config, path, value, "test", &err), 0);
}

/* As a reload does. */
static void retune(struct end *end, const char *path, const char *value)
{
    struct error err = {0};

    assert_int_equal(config_set(end->config, path, value, "test", &err), 0);
    (void)ingest_retune(end->ingest);
}

#define BOOT       "00112233445566778899aabbccddeeff"
#define OTHER_BOOT "10112233445566778899aabbccddeeff"

#define YAML "flow: {idle_timeout: 31s}"

/* As the program does: taken, and said so. */
static void take_offer(void *context, const struct ingest_config_offer *offer)
{
    struct fixture *f = context;
    struct ingest_config_status status = {.state = INGEST_CONFIG_APPLIED};

    if (strcmp(offer->yaml, YAML) == 0 && offer->yaml_bytes == strlen(YAML)) {
        memcpy(status.offer_id, offer->offer_id, sizeof(status.offer_id));
        collector_sink_tell_config(f->sink.state, &status);
    }
    atomic_fetch_add(&offers, 1);
}

static void open_sink_as(struct fixture *f, const char *boot_id)
{
    const struct collector_options options = {.sensor_id = "probe",
                                              .boot_id = boot_id,
                                              .config_hash = "0",
                                              .spool = &f->spool,
                                              .on_offer = take_offer,
                                              .context = f};
    struct error err = {0};

    assert_int_equal(collector_sink_open(&f->settings, &options, f->runtime, &f->sink, &err), 0);
    f->has_sink = true;
}

static void open_sink(struct fixture *f)
{
    open_sink_as(f, BOOT);
}

static void offer(struct fixture *f, unsigned batches)
{
    for (unsigned i = 0; i < batches; i++) {
        struct record_batch *batch = record_feed_next(f->feed, RECORDS);

        assert_non_null(batch);
        assert_int_equal(f->sink.ops->offer(f->sink.state, batch), SINK_TAKEN);
        batch_unref(batch);
        f->offered += RECORDS;
    }
}

static void flush(struct fixture *f)
{
    assert_int_equal(f->sink.ops->flush(f->sink.state, clock_monotonic_ns() + LONG_NS), 0);
}

static struct stats_sink figures(struct fixture *f)
{
    struct stats_sink row = {0};

    f->sink.ops->statistics(f->sink.state, &row);
    return row;
}

static void pause_a_little(void)
{
    const struct timespec step = {0, (long)STEP_NS};

    (void)nanosleep(&step, NULL);
}

/* Until the figure is there; the records go on meanwhile. What is acknowledged is in the log, and a
 * little later in the store. */
#define WAIT_FOR(f, condition)                                                                     \
    do {                                                                                           \
        const uint64_t until_ns = clock_monotonic_ns() + LONG_NS;                                  \
        while (!(condition)) {                                                                     \
            if (clock_monotonic_ns() > until_ns) {                                                 \
                fail_msg("never: %s", #condition);                                                 \
            }                                                                                      \
            pause_a_little();                                                                      \
        }                                                                                          \
    } while (0)

static uint64_t connections(const struct end *end)
{
    struct ingest_counts counts;

    ingest_counts_read(end->ingest, &counts);
    return counts.connections;
}

/* Both ends together have each record once, and nobody says that one is lost. */
static void check_sums(struct fixture *f)
{
    uint64_t records = 0;

    close_sink(f);
    for (unsigned i = 0; i < ENDS; i++) {
        ingest_stop(f->ends[i].ingest);
        records += atomic_load(&f->ends[i].store.records);
        assert_int_equal(atomic_load(&f->ends[i].store.duplicate), 0);
        assert_int_equal(atomic_load(&f->ends[i].store.lost), 0);
    }
    assert_int_equal(records, f->offered);
}

static void a_stream_goes_where_it_is_sent_and_no_record_is_in_both_places(void **state)
{
    struct fixture *f = *state;
    struct ingest_counts counts;

    open_sink(f);
    offer(f, 4);
    flush(f);
    atomic_store(&f->ends[0].store.wait_ns, 50 * NS_PER_MS); /* so that much is on its way */
    offer(f, 12);
    retune(&f->ends[0], "ingest.redirect_to", f->ends[1].address);
    offer(f, 4);
    WAIT_FOR(f, figures(f).redirects == 1);
    assert_string_equal(figures(f).redirected_to, f->ends[1].address);
    offer(f, 4);
    flush(f);
    assert_int_equal(figures(f).acked, f->offered);
    ingest_counts_read(f->ends[0].ingest, &counts);
    assert_true(counts.is_draining && counts.redirects == 1);
    WAIT_FOR(f, connections(&f->ends[0]) == 0); /* its side of the call ends when it ends */
    ingest_counts_read(f->ends[1].ingest, &counts);
    assert_int_equal(counts.connections, 1);
    assert_int_equal(counts.gap_records, 0);
    ingest_stop(f->ends[0].ingest); /* what it has acknowledged is in its store */
    assert_int_equal(counts.elsewhere_records, atomic_load(&f->ends[0].store.records));
    assert_true(atomic_load(&f->ends[0].store.records) >= UINT64_C(4) * RECORDS);
    WAIT_FOR(f, atomic_load(&f->ends[1].store.records) >= UINT64_C(4) * RECORDS);
    check_sums(f);
}

static void what_another_collector_has_is_no_loss_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct ingest_counts counts;
    char spool[96];

    (void)snprintf(spool, sizeof(spool), "%s/spool", f->ends[0].directory);
    set(f, "spool.directory", spool);
    open_sink(f);
    offer(f, 4);
    flush(f);
    retune(&f->ends[0], "ingest.redirect_to", f->ends[1].address);
    WAIT_FOR(f, figures(f).redirects == 1);
    offer(f, 4);
    flush(f);
    ingest_stop(f->ends[1].ingest);
    offer(f, 4); /* nobody takes them */
    close_sink(f);
    retune(&f->ends[0], "ingest.redirect_to", "");
    record_feed_free(f->feed); /* the other process numbers from 1 */
    f->feed = record_feed_new(2, &(struct error){0});
    assert_non_null(f->feed);
    open_sink_as(f, OTHER_BOOT);
    offer(f, 4);
    flush(f);
    ingest_counts_read(f->ends[0].ingest, &counts);
    assert_int_equal(counts.elsewhere_records, UINT64_C(4) * RECORDS);
    check_sums(f);
}

static void who_says_hello_to_a_collector_that_empties_is_sent_away_at_once(void **state)
{
    struct fixture *f = *state;

    retune(&f->ends[0], "ingest.redirect_to", f->ends[1].address);
    open_sink(f);
    offer(f, 4);
    WAIT_FOR(f, figures(f).redirects == 1);
    offer(f, 4);
    flush(f);
    WAIT_FOR(f, atomic_load(&f->ends[1].store.records) >= UINT64_C(4) * RECORDS);
    assert_int_equal(atomic_load(&f->ends[0].store.records), 0);
    check_sums(f);
}

static void an_address_that_the_settings_do_not_allow_is_not_followed(void **state)
{
    struct fixture *f = *state;

    open_sink(f);
    retune(&f->ends[0], "ingest.redirect_to", REMOTE);
    WAIT_FOR(f, figures(f).redirects_refused == 1);
    offer(f, 4);
    flush(f);
    assert_true(figures(f).connected);
    assert_int_equal(figures(f).redirects, 0);
    assert_string_equal(figures(f).redirected_to, "");
    WAIT_FOR(f, atomic_load(&f->ends[0].store.records) == f->offered);
    check_sums(f);
}

static void where_a_stream_may_be_sent_is_for_the_settings_to_say(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *own, *ca, *insecure, *follow, *hosts, *wanted;
        bool is_allowed;
    } cases[] = {
        {"a.paris.example.net:1", "ca", "no", "same-domain", "", "b.lyon.EXAMPLE.net:2", true},
        {"a.paris.example.net:1", "ca", "no", "same-domain", "", "a.paris.example.net:2", true},
        {"a.paris.example.net:1", "ca", "no", "same-domain", "", "b.example.org:2", false},
        {"a.shop.co.uk:1", "ca", "no", "same-domain", "", "a.other.co.uk:2", false},
        {"collector:1", "ca", "no", "same-domain", "", "collector:2", true},
        {"collector:1", "ca", "no", "same-domain", "", "other:2", false},
        {"192.0.2.1:1", "ca", "no", "same-domain", "", "192.0.2.1:2", true},
        {"192.0.2.1:1", "ca", "no", "same-domain", "", "192.0.2.2:2", false},
        {"192.0.2.1:1", "ca", "no", "same-domain", "192.0.2.2", "192.0.2.2:2", true},
        {"[2001:db8::1]:1", "ca", "no", "same-domain", "", "[2001:db8::1]:2", true},
        {"unix:/run/collector", "", "no", "same-domain", "", "127.0.0.1:2", true},
        {"127.0.0.1:1", "", "no", "same-domain", "", "b.example.net:2", false},
        {"collector:1", "ca", "no", "same-domain", "x,.example.net", "b.example.net:2", true},
        {"collector:1", "ca", "no", "same-domain", "x,.example.net", "example.net:2", false},
        {"collector:1", "ca", "no", "same-domain", "x,.example.net", "bexample.net:2", false},
        {"collector:1", "ca", "no", "same-domain", "x,.example.net", "X:2", true},
        {"collector:1", "ca", "no", "any", "", "b.example.org:2", true},
        {"collector:1", "ca", "no", "any", "", "unix:/run/other", false},
        {"127.0.0.1:1", "", "no", "any", "", "b.example.org:2", false}, /* no plaintext there */
        {"127.0.0.1:1", "", "no", "same-domain", "b.example.org", "b.example.org:2", false},
        {"collector:1", "", "yes", "any", "", "b.example.org:2", true},
        {"collector:1", "ca", "no", "off", "other", "other:2", false},
        {"collector:1", "ca", "no", "off", "", "collector:1", true}, /* back to its own */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set(f, "collector.address", cases[i].own);
        set(f, "collector.ca", cases[i].ca);
        set(f, "collector.insecure", cases[i].insecure);
        set(f, "collector.follow_redirects", cases[i].follow);
        set(f, "collector.redirect_hosts", cases[i].hosts);
        if ((collector_redirect_forbidden(&f->settings, cases[i].wanted) == NULL) !=
            cases[i].is_allowed) {
            fail_msg("case %zu: from %s to %s", i, cases[i].own, cases[i].wanted);
        }
    }
}

static void where_nobody_listens_the_stream_comes_back(void **state)
{
    struct fixture *f = *state;

    open_sink(f);
    offer(f, 4);
    flush(f);
    retune(&f->ends[0], "ingest.redirect_to", NOWHERE);
    WAIT_FOR(f, figures(f).redirects == 1);
    offer(f, 4);
    /* Back, and asked again by the hello: it does not go there a second time. */
    WAIT_FOR(f, figures(f).redirects_refused > 0);
    WAIT_FOR(f, figures(f).connected); /* the request comes before the welcome */
    assert_string_equal(figures(f).redirected_to, "");
    offer(f, 4);
    flush(f);
    assert_int_equal(figures(f).redirects, 1);
    WAIT_FOR(f, atomic_load(&f->ends[0].store.records) == f->offered);
    check_sums(f);
}

static void two_that_send_to_each_other_do_not_keep_a_stream_from_its_work(void **state)
{
    struct fixture *f = *state;

    retune(&f->ends[1], "ingest.redirect_to", f->ends[0].address);
    retune(&f->ends[0], "ingest.redirect_to", f->ends[1].address);
    open_sink(f);
    offer(f, 4);
    WAIT_FOR(f, figures(f).redirects_refused > 0);
    offer(f, 4);
    flush(f);
    assert_int_equal(figures(f).redirects, 4);
    assert_true(figures(f).connected);
    check_sums(f);
}

static void a_bounded_rate_is_kept_loses_nothing_and_is_lifted(void **state)
{
    struct fixture *f = *state;
    struct ingest_counts counts;

    retune(&f->ends[0], "ingest.max_record_rate", "1000");
    open_sink(f);
    WAIT_FOR(f, figures(f).max_rate == 1000);
    const uint64_t begin_ns = clock_monotonic_ns();

    offer(f, 40);
    for (unsigned i = 0; i < 50; i++) {
        pause_a_little();
        /* Whatever the machine does, not more than the time allows, one burst and one batch. */
        const uint64_t arrived = atomic_load(&f->ends[0].store.by_stream[RECORD_FLOWS]);
        const double seconds = (double)(clock_monotonic_ns() - begin_ns) / (double)NS_PER_SEC;

        assert_true((double)arrived <= 1000 * (seconds + 0.15) + RECORDS);
    }
    assert_true(figures(f).unacked > 0);
    retune(&f->ends[0], "ingest.max_record_rate", "0");
    flush(f);
    WAIT_FOR(f, figures(f).max_rate == 0);
    ingest_counts_read(f->ends[0].ingest, &counts);
    assert_int_equal(counts.throttles, 6); /* three streams, bounded and let go */
    assert_int_equal(figures(f).throttles, 6);
    check_sums(f);
}

static void a_store_that_is_behind_bounds_the_sensors_until_it_has_caught_up(void **state)
{
    struct fixture *f = *state;
    struct end *end = &f->ends[0];
    struct ingest_counts counts;

    retune(end, "ingest.backlog_max", "1MiB");
    open_sink(f);
    ingest_tick(end->ingest, 10 * NS_PER_SEC);
    offer(f, 40); /* 2 MiB and more */
    flush(f);
    ingest_tick(end->ingest, 11 * NS_PER_SEC);
    ingest_counts_read(end->ingest, &counts);
    assert_true(counts.backlog_bytes > 1048576);
    assert_int_equal(counts.throttled, 1);
    WAIT_FOR(f, figures(f).max_rate > 0);
    assert_true(figures(f).max_rate < f->offered);
    atomic_store(&stored, counts.backlog_bytes / 4); /* above the bound still, or between */
    ingest_tick(end->ingest, 12 * NS_PER_SEC);
    ingest_counts_read(end->ingest, &counts);
    assert_int_equal(counts.throttled, 1);
    atomic_store(&stored, UINT64_MAX / 2);
    ingest_tick(end->ingest, 13 * NS_PER_SEC);
    ingest_counts_read(end->ingest, &counts);
    assert_int_equal(counts.throttled, 0);
    assert_int_equal(counts.backlog_bytes, 0);
    WAIT_FOR(f, figures(f).max_rate == 0);
    offer(f, 4);
    flush(f);
    check_sums(f);
}

static void a_bucket_gives_the_rate_and_no_more(void **state)
{
    (void)state;
    struct collector_lane *lane = calloc(1, sizeof(*lane));
    uint64_t sent = 0;

    assert_non_null(lane);
    assert_true(collector_rate_allows(lane, 0)); /* none */
    lane->rate.per_second = 100;
    for (uint64_t ms = 1; ms <= 60000; ms++) {
        if (collector_rate_allows(lane, ms * NS_PER_MS)) {
            collector_rate_spend(lane, 37);
            sent += 37;
        }
    }
    assert_in_range(sent, 6000 - 37, 6000 + 37);
    /* What was not used for an hour is no credit but a tenth of a second's. */
    for (uint64_t ms = 3660000; ms <= 3661000; ms++) {
        if (collector_rate_allows(lane, ms * NS_PER_MS)) {
            collector_rate_spend(lane, 1);
            sent++;
        }
    }
    assert_in_range(sent, 6000 - 37 + 100, 6000 + 37 + 111);
    free(lane);
}

static void offered_settings_are_answered_and_the_answer_comes_again_on_another_stream(void **state)
{
    struct fixture *f = *state;
    const struct ingest_config_offer wanted = {
        .offer_id = "offer-1", .config_hash = "0", .yaml = YAML, .yaml_bytes = strlen(YAML)};
    struct collector_link before, link;

    open_sink(f);
    WAIT_FOR(f, ingest_offer_config(f->ends[0].ingest, "probe", &wanted));
    assert_false(ingest_offer_config(f->ends[0].ingest, "nobody", &wanted));
    WAIT_FOR(f, atomic_load(&words) == 1);
    assert_int_equal(atomic_load(&last_word), INGEST_CONFIG_APPLIED);
    assert_int_equal(atomic_load(&offers), 1);
    collector_sink_link(f->sink.state, &before);
    assert_true(before.welcomed_ns > 0 && before.heard_ns >= before.welcomed_ns);
    collector_sink_ask(f->sink.state);
    WAIT_FOR(f, (collector_sink_link(f->sink.state, &link), link.heard_ns > before.heard_ns));
    retune(&f->ends[0], "ingest.redirect_to", f->ends[1].address);
    WAIT_FOR(f, atomic_load(&words) == 2);
    collector_sink_link(f->sink.state, &link);
    assert_true(link.welcomed_ns > before.welcomed_ns);
    check_sums(f);
}

static void an_address_of_the_reload_that_is_none_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};

    assert_int_not_equal(
        config_set(f->ends[0].config, "ingest.redirect_to", "elsewhere", "test", &err), 0);
    assert_non_null(strstr(err.message, "no host:port"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_gives_the_rate_and_no_more),
        TEST(a_stream_goes_where_it_is_sent_and_no_record_is_in_both_places),
        TEST(what_another_collector_has_is_no_loss_after_a_restart),
        TEST(who_says_hello_to_a_collector_that_empties_is_sent_away_at_once),
        TEST(an_address_that_the_settings_do_not_allow_is_not_followed),
        TEST(where_a_stream_may_be_sent_is_for_the_settings_to_say),
        TEST(where_nobody_listens_the_stream_comes_back),
        TEST(two_that_send_to_each_other_do_not_keep_a_stream_from_its_work),
        TEST(a_bounded_rate_is_kept_loses_nothing_and_is_lifted),
        TEST(a_store_that_is_behind_bounds_the_sensors_until_it_has_caught_up),
        TEST(an_address_of_the_reload_that_is_none_is_refused),
        TEST(offered_settings_are_answered_and_the_answer_comes_again_on_another_stream),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
