/* A router tells again what goes on, as far as people have not spoken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "router_bench.h"

/* ---- what goes on ---- */

static void an_incident_that_goes_on_in_silence_is_told_again(void **state)
{
    (void)state;
    bench_serve(0);
    bench_serve(1);
    bench.settings.receivers[0].repeat_ns = NS_PER_SEC;
    bench.settings.receivers[1].repeat_ns = 0; /* once */
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_until_repeated(0, 2);
    bench_offer_incident(1, ALERT_CLOSE);
    (void)bench_until_nothing_waits(0);
    const struct route_counts counts = bench_counts_of(0);
    const unsigned requests = route_server_count(&bench.servers[0]);

    assert_int_equal(counts.sent, counts.repeated + 2);
    assert_int_equal(requests, counts.sent);
    assert_string_equal(bench.servers[0].requests[0].state, "ALERT_STATE_OPEN");
    for (unsigned i = 1; i + 1 < requests; i++) {
        bench_asked_for(0, i, 1);
        assert_string_equal(bench.servers[0].requests[i].state, "ALERT_STATE_UPDATE");
    }
    assert_string_equal(bench.servers[0].requests[requests - 1].state, "ALERT_STATE_CLOSE");
    assert_int_equal(bench_until_nothing_waits(1).sent, 2);
    assert_int_equal(bench_counts_of(1).repeated, 0);
    (void)sleep(3); /* time enough for one more, if that were wrong */
    assert_int_equal(route_server_count(&bench.servers[0]), requests);
}

static void a_repetition_that_fails_is_tried_again(void **state)
{
    (void)state;
    bench.servers[0].statuses[1] = 500;
    bench.servers[0].statuses[2] = 400;
    bench_serve(0);
    bench.settings.receivers[0].repeat_ns = NS_PER_SEC;
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_until_repeated(0, 2);
    const struct route_counts counts = bench_counts_of(0);

    assert_int_equal(counts.retries, 1);
    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.waiting, 0);
}

/* ---- what people have said ---- */

static atomic_bool is_silenced, is_acknowledged;
static atomic_uint_fast64_t said_times;

static struct route_said look_up(void *context, const struct alert_record *alert, uint64_t wall_ns)
{
    (void)context;
    (void)alert;
    (void)wall_ns;
    return (struct route_said){atomic_load(&is_silenced), atomic_load(&is_acknowledged)};
}

static uint64_t look_whether(void *context)
{
    (void)context;
    return atomic_load(&said_times);
}

static void say(bool silenced, bool acknowledged)
{
    static const struct route_triage people = {.look = look_up, .revision = look_whether};

    atomic_store(&is_silenced, silenced);
    atomic_store(&is_acknowledged, acknowledged);
    atomic_fetch_add(&said_times, 1);
    bench.triage = &people;
}

static void what_a_silence_hides_is_told_when_it_ends_and_the_incident_goes_on(void **state)
{
    (void)state;
    bench_serve(0);
    say(true, false);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_offer_incident(2, ALERT_OPEN);
    bench_offer_incident(2, ALERT_CLOSE);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.silenced, 2);
    assert_int_equal(counts.passed_over, 1); /* an end of which nobody heard the beginning */
    assert_int_equal(counts.sent, 0);
    bench_stop(); /* what was held back is known after a restart */
    bench_start();
    static struct alert_record alert;
    static uint8_t record[ROUTE_RECORD_BYTES_MAX];

    case_alert(&alert, 1);
    router_recall(bench.router, record, case_encode(&alert, record));
    (void)sleep(3); /* time enough to be told, if that were wrong */
    assert_int_equal(route_server_count(&bench.servers[0]), 0);
    say(false, false);
    bench_until_requests(0, 1);
    bench_asked_for(0, 0, 1);
    assert_string_equal(bench.servers[0].requests[0].state, "ALERT_STATE_OPEN");
    bench_offer_incident(1, ALERT_CLOSE);
    assert_int_equal(bench_until_nothing_waits(0).sent, 2);
    (void)sleep(3);
    assert_int_equal(route_server_count(&bench.servers[0]), 2);
}

static void the_end_of_what_was_told_is_told_though_it_is_silenced(void **state)
{
    (void)state;
    bench_serve(0);
    say(false, false);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
    say(true, false);
    bench_offer_incident(1, ALERT_UPDATE);
    bench_offer_incident(1, ALERT_CLOSE);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.sent, 2);
    assert_int_equal(counts.silenced, 0); /* the update was no news */
    assert_string_equal(bench.servers[0].requests[1].state, "ALERT_STATE_CLOSE");
}

static void a_silence_that_begins_while_an_alert_waits_holds_it_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVER_REQUESTS_MAX; i++) {
        bench.servers[0].statuses[i] = 503;
    }
    bench_serve(0);
    say(false, false);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_until_retries(0, 1);
    say(true, false);
    assert_int_equal(bench_until_nothing_waits(0).silenced, 1);
}

static void what_is_acknowledged_is_not_repeated_but_its_rise_and_its_end_are_told(void **state)
{
    (void)state;
    static struct alert_record alert;

    bench_serve(0);
    bench.settings.receivers[0].repeat_ns = NS_PER_SEC;
    say(false, false);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
    say(false, true);
    (void)sleep(4);
    assert_int_equal(bench_counts_of(0).repeated, 0);
    case_alert(&alert, 1);
    alert.state = ALERT_UPDATE;
    alert.severity++;
    bench_offer(&alert);
    assert_int_equal(bench_until_nothing_waits(0).sent, 2);
    bench_offer_incident(1, ALERT_CLOSE);
    assert_int_equal(bench_until_nothing_waits(0).sent, 3);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, router_bench_begin, router_bench_end)
    const struct CMUnitTest tests[] = {
        TEST(an_incident_that_goes_on_in_silence_is_told_again),
        TEST(a_repetition_that_fails_is_tried_again),
        TEST(what_a_silence_hides_is_told_when_it_ends_and_the_incident_goes_on),
        TEST(the_end_of_what_was_told_is_told_though_it_is_silenced),
        TEST(a_silence_that_begins_while_an_alert_waits_holds_it_back),
        TEST(what_is_acknowledged_is_not_repeated_but_its_rise_and_its_end_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
