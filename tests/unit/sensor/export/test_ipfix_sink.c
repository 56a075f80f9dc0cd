/* The sink beside its thread, with sockets of this process; what messages say is
 * test_ipfix_writer's and the integration tests' matter. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/config/config.h"
#include "sensor/export/ipfix_sink.h"
#include "tests/support/record_feed.h"
#include "tests/support/record_random.h"

#define RECORDS 100

struct fixture {
    struct ipfix_export_settings settings;
    struct config_section section;
    struct config *config;
    struct record_feed *feed;
    struct sink sink;
    char address[32];
    const char *addresses[1];
    int peer; /* the collector's socket */
};

static int open_fixture(void **state)
{
    static struct flow_record flow;
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct error err = {0};

    fixture->section = (struct config_section){"ipfix", ipfix_fields, &fixture->settings, "IPFIX."};
    fixture->config = config_new(&fixture->section, 1, "NETSCOPE", &err);
    fixture->feed = record_feed_new(64, &err);
    record_typical_flow(&flow);
    record_feed_flows_alone(fixture->feed, &flow);
    fixture->peer = -1;
    *state = fixture;
    return fixture->config == NULL || fixture->feed == NULL;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->peer >= 0) {
        (void)close(fixture->peer);
    }
    record_feed_free(fixture->feed);
    config_free(fixture->config);
    free(fixture);
    return 0;
}

/* A socket of the collector on a free port, and the sink to it. */
static void open_sink(struct fixture *fixture, int type, bool is_listening)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_sec = 20};
    socklen_t bytes = sizeof(at);
    struct error err = {0};

    fixture->peer = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fixture->peer, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fixture->peer, (struct sockaddr *)&at, &bytes), 0);
    assert_int_equal(
        setsockopt(fixture->peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    if (is_listening) {
        assert_int_equal(listen(fixture->peer, 4), 0);
    }
    (void)snprintf(fixture->address, sizeof(fixture->address), "127.0.0.1:%u", ntohs(at.sin_port));
    fixture->addresses[0] = fixture->address;
    fixture->settings.collectors = (struct config_list){fixture->addresses, 1};
    fixture->settings.transport = type == SOCK_STREAM ? "tcp" : "udp";
    fixture->settings.backoff_max_ns = NS_PER_SEC / 5;
    assert_int_equal(ipfix_sink_open(&fixture->settings, 0, &fixture->sink, &err), 0);
}

static enum sink_verdict offer(struct fixture *fixture)
{
    struct record_batch *batch = record_feed_next(fixture->feed, RECORDS);

    assert_non_null(batch);
    const enum sink_verdict verdict = fixture->sink.ops->offer(fixture->sink.state, batch);

    batch_unref(batch);
    return verdict;
}

static uint64_t flush(struct fixture *fixture, uint64_t seconds)
{
    return fixture->sink.ops->flush(fixture->sink.state,
                                    clock_monotonic_ns() + seconds * NS_PER_SEC);
}

static struct stats_sink row_of(struct fixture *fixture)
{
    struct stats_sink row = {0};

    fixture->sink.ops->statistics(fixture->sink.state, &row);
    return row;
}

static void records_leave_as_datagrams_and_are_counted(void **state)
{
    struct fixture *fixture = *state;
    uint8_t message[65536];

    open_sink(fixture, SOCK_DGRAM, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(offer(fixture), SINK_TAKEN);
    }
    assert_int_equal(flush(fixture, 20), 0);
    const struct stats_sink row = row_of(fixture);

    assert_true(row.connected);
    assert_int_equal(row.sent, 3 * RECORDS);
    assert_int_equal(row.acked, row.sent);
    assert_int_equal(row.failed + row.unacked, 0);
    const ssize_t length = recv(fixture->peer, message, sizeof(message), 0);

    assert_in_range(length, 17, fixture->settings.message_bytes);
    assert_memory_equal(message, "\0\x0a", 2); /* version 10 */
    fixture->sink.ops->close(fixture->sink.state);
}

static void datagrams_that_are_refused_are_no_more_counted_as_sent(void **state)
{
    struct fixture *fixture = *state;

    open_sink(fixture, SOCK_DGRAM, false);
    (void)close(fixture->peer);
    fixture->peer = -1;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(offer(fixture), SINK_TAKEN);
    }
    assert_int_equal(flush(fixture, 20), 0);
    const struct stats_sink row = row_of(fixture);

    assert_int_equal(row.sent + row.failed, 5 * RECORDS);
    assert_true(row.failed > row.sent);
    assert_false(row.connected);
    assert_non_null(strstr(row.last_error, "nobody listens there"));
    fixture->sink.ops->close(fixture->sink.state);
}

static void a_collector_that_is_away_makes_the_sink_busy_and_its_end_short(void **state)
{
    struct fixture *fixture = *state;
    unsigned taken = 0;

    open_sink(fixture, SOCK_STREAM, false); /* bound, but it does not listen */
    while (taken < 60 && offer(fixture) == SINK_TAKEN) {
        taken++;
    }
    assert_in_range(taken, 1, 17); /* 16 wait, and one may be in work */
    assert_int_equal(row_of(fixture).unacked, taken * RECORDS);
    const uint64_t begin_ns = clock_monotonic_ns();

    assert_int_equal(flush(fixture, 1), taken * RECORDS);
    fixture->sink.ops->close(fixture->sink.state);
    assert_true(clock_monotonic_ns() - begin_ns < 15 * NS_PER_SEC);
}

static void a_stream_that_is_closed_is_opened_again_for_what_comes_then(void **state)
{
    struct fixture *fixture = *state;
    uint8_t bytes[65536];
    uint64_t got = 0;

    open_sink(fixture, SOCK_STREAM, true);
    for (int i = 0; i < 3; i++) { /* hung up on before it has said anything, three times */
        const int stream = accept(fixture->peer, NULL, NULL);

        assert_true(stream >= 0);
        (void)close(stream);
        assert_int_equal(offer(fixture), SINK_TAKEN);
    }
    const int stream = accept(fixture->peer, NULL, NULL);

    assert_true(stream >= 0);
    const struct timeval patience = {.tv_sec = 20};

    assert_int_equal(setsockopt(stream, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(offer(fixture), SINK_TAKEN);
    assert_int_equal(flush(fixture, 20), 0);
    const struct stats_sink row = row_of(fixture);

    assert_int_equal(row.sent, 4 * RECORDS);
    assert_int_equal(row.failed, 0);
    fixture->sink.ops->close(fixture->sink.state);
    for (ssize_t part = 1; part > 0; got += (uint64_t)part) {
        part = recv(stream, bytes, sizeof(bytes), 0);
        assert_true(part >= 0);
        if (got == 0) {
            assert_memory_equal(bytes, "\0\x0a", 2);
        }
    }
    assert_true(got > RECORDS * 50);
    (void)close(stream);
}

static void settings_that_make_no_sense_are_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    static const char *const wrong[] = {"host",     "host:0", "host:65536",
                                        "host:99x", ":4739",  "::1:4739x"};
    struct error err = {0};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        fixture->settings.collectors = (struct config_list){&wrong[i], 1};
        assert_true(ipfix_settings_check(&fixture->settings, &err) < 0);
        assert_non_null(strstr(err.message, wrong[i]));
    }
    fixture->settings.collectors = (struct config_list){0};
    assert_int_equal(ipfix_settings_check(&fixture->settings, &err), 0);
}

int main(void)
{
#define WITH_SINK(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        WITH_SINK(records_leave_as_datagrams_and_are_counted),
        WITH_SINK(datagrams_that_are_refused_are_no_more_counted_as_sent),
        WITH_SINK(a_collector_that_is_away_makes_the_sink_busy_and_its_end_short),
        WITH_SINK(a_stream_that_is_closed_is_opened_again_for_what_comes_then),
        WITH_SINK(settings_that_make_no_sense_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
