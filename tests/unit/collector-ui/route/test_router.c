/* A router delivers alerts, in order, to each of its receivers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "router_bench.h"

/* ---- delivery ---- */

static void alerts_arrive_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    bench_serve(0);
    bench_start();
    for (unsigned i = 0; i < 40; i++) {
        bench_offer_incident(i, ALERT_OPEN);
    }
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.taken, 40);
    assert_int_equal(counts.sent, 40);
    assert_int_equal(counts.retries, 0);
    assert_false(counts.is_failing);
    assert_int_equal(route_server_count(&bench.servers[0]), 40);
    for (unsigned i = 0; i < 40; i++) {
        bench_asked_for(0, i, i);
    }
    assert_string_equal(bench.servers[0].requests[0].authorization, "");
}

static void what_is_no_news_is_passed_over_and_counted(void **state)
{
    (void)state;
    bench_serve(0);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_offer_incident(1, ALERT_UPDATE);
    bench_offer_incident(2, ALERT_CLOSE);
    bench_offer_incident(1, ALERT_CLOSE);
    bench_offer_incident(1, ALERT_UPDATE);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.sent, 2);
    assert_int_equal(counts.passed_over, 3);
    assert_string_equal(bench.servers[0].requests[0].state, "ALERT_STATE_OPEN");
    assert_string_equal(bench.servers[0].requests[1].state, "ALERT_STATE_CLOSE");
}

static void an_alert_that_met_an_error_of_the_server_goes_again(void **state)
{
    (void)state;
    bench.servers[0].statuses[0] = 500;
    bench_serve(0);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_offer_incident(2, ALERT_OPEN);
    bench_until_requests(0, 1);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.sent, 2);
    assert_int_equal(counts.retries, 1);
    assert_false(counts.is_failing);
    bench_asked_for(0, 0, 1);
    bench_asked_for(0, 1, 1); /* before the next one */
    bench_asked_for(0, 2, 2);
    assert_true(bench.servers[0].requests[1].monotonic_ns -
                    bench.servers[0].requests[0].monotonic_ns >=
                NS_PER_SEC * 9 / 10);
}

static void a_receiver_that_fails_is_said_to_fail_while_its_alerts_wait(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVER_REQUESTS_MAX; i++) {
        bench.servers[0].statuses[i] = 503;
    }
    bench_serve(0);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_offer_incident(2, ALERT_OPEN);
    bench_until_retries(0, 1);
    const struct route_counts counts = bench_counts_of(0);

    assert_true(counts.is_failing);
    assert_int_equal(counts.waiting, 2);
    assert_int_equal(counts.sent, 0);
}

static void a_receiver_is_given_the_time_that_it_asks_for(void **state)
{
    (void)state;
    bench.servers[0].statuses[0] = 429;
    bench.servers[0].headers = "Retry-After: 3\r\n";
    bench_serve(0);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_until_requests(0, 2);
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
    assert_true(bench.servers[0].requests[1].monotonic_ns -
                    bench.servers[0].requests[0].monotonic_ns >=
                NS_PER_SEC * 29 / 10);
}

static void what_is_refused_is_counted_and_the_next_one_goes(void **state)
{
    (void)state;
    static const int statuses[] = {400, 406, 411, 413, 414, 415, 416, 417, 422, 431};

    for (unsigned i = 0; i < ARRAY_COUNT(statuses); i++) {
        bench.servers[0].statuses[i] = statuses[i];
    }
    bench_serve(0);
    bench_start();
    for (unsigned i = 0; i <= ARRAY_COUNT(statuses); i++) {
        bench_offer_incident(i, ALERT_OPEN);
    }
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.refused, ARRAY_COUNT(statuses));
    assert_int_equal(counts.sent, 1);
    assert_int_equal(counts.retries, 0);
    bench_asked_for(0, ARRAY_COUNT(statuses), ARRAY_COUNT(statuses));
}

/* A wrong address, a token that is too old: somebody mends it, and the alert was right. */
static void of_an_incident_whose_opening_was_refused_the_end_is_not_told(void **state)
{
    (void)state;
    bench.servers[0].statuses[0] = 422;
    bench_serve(0);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_offer_incident(1, ALERT_CLOSE);
    bench_offer_incident(2, ALERT_OPEN);
    bench_offer_incident(2, ALERT_CLOSE);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.passed_over, 1);
    assert_int_equal(counts.sent, 2);
    bench_asked_for(0, 1, 2);
    bench_asked_for(0, 2, 2);
}

static void what_is_wrong_with_the_address_or_the_token_makes_alerts_wait(void **state)
{
    (void)state;
    bench.servers[0].statuses[0] = 403;
    bench.servers[1].statuses[0] = 302;
    bench.servers[1].headers = "Location: http://127.0.0.1:1/elsewhere\r\n"; /* nobody goes there */
    bench_serve(0);
    bench_serve(1);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    for (unsigned i = 0; i < 2; i++) {
        const struct route_counts counts = bench_until_nothing_waits(i);

        assert_int_equal(counts.retries, 1);
        assert_int_equal(counts.refused, 0);
        assert_int_equal(counts.sent, 1);
        bench_asked_for(i, 1, 1);
    }
}

static void an_alert_is_given_up_after_retry_for(void **state)
{
    (void)state;
    bench.servers[0].statuses[0] = 500;
    bench_serve(0);
    bench.settings.receivers[0].retry_ns = 0;
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_offer_incident(2, ALERT_OPEN);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.expired, 1);
    assert_int_equal(counts.sent, 1);
    bench_asked_for(0, 1, 2);
}

static void what_is_no_alert_is_refused_and_holds_nothing_up(void **state)
{
    (void)state;
    static uint8_t record[ROUTE_RECORD_BYTES_MAX + 1];

    memset(record, 0xff, sizeof(record));
    bench_serve(0);
    bench_start();
    router_offer(bench.router, record, 1, clock_wall_ns());
    router_offer(bench.router, record, sizeof(record) - 1, clock_wall_ns());
    router_offer(bench.router, record, sizeof(record), clock_wall_ns()); /* longer than any */
    bench_offer_incident(1, ALERT_OPEN);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.taken, 4);
    assert_int_equal(counts.refused, 2);
    assert_int_equal(counts.dropped, 1);
    assert_int_equal(counts.sent, 1);
    bench_asked_for(0, 0, 1);
}

static void a_receiver_that_hangs_holds_up_no_other(void **state)
{
    (void)state;
    bench.servers[0].statuses[0] = SERVER_HANGS;
    bench_serve(0);
    bench_serve(1);
    bench.settings.receivers[0].timeout_ns = 300 * NS_PER_SEC;
    bench_start();
    for (unsigned i = 0; i < 10; i++) {
        bench_offer_incident(i, ALERT_OPEN);
    }
    bench_until_requests(0, 1);
    assert_int_equal(bench_until_nothing_waits(1).sent, 10);
    const struct route_counts hanging = bench_counts_of(0);

    assert_int_equal(hanging.waiting, 10);
    assert_int_equal(hanging.sent, 0);
    const uint64_t before_ns = clock_monotonic_ns();

    bench_stop(); /* nor the end of the program: two seconds are meant */
    assert_true(clock_monotonic_ns() - before_ns < 60 * NS_PER_SEC);
}

static void each_receiver_hears_what_it_has_chosen(void **state)
{
    (void)state;
    bench_serve(0);
    bench_serve(1);
    bench.settings.receivers[0].min_severity = "critical";
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    assert_int_equal(bench_until_nothing_waits(0).passed_over, 1);
    assert_int_equal(bench_until_nothing_waits(1).sent, 1);
}

/* ---- secrets, proxies, wrong settings ---- */

static void a_token_is_read_for_each_message(void **state)
{
    (void)state;
    bench_serve(0);
    bench.settings.receivers[0].token_file = case_path("token");
    case_write(bench.settings.receivers[0].token_file, "one\n", 0600);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    (void)bench_until_nothing_waits(0);
    case_write(bench.settings.receivers[0].token_file, "two\n", 0600);
    bench_offer_incident(2, ALERT_OPEN);
    (void)bench_until_nothing_waits(0);
    assert_string_equal(bench.servers[0].requests[0].authorization, "Bearer one");
    assert_string_equal(bench.servers[0].requests[1].authorization, "Bearer two");
}

static void a_token_that_is_gone_makes_alerts_wait(void **state)
{
    (void)state;
    bench_serve(0);
    bench.settings.receivers[0].token_file = case_path("token");
    case_write(bench.settings.receivers[0].token_file, "one\n", 0600);
    bench_start();
    assert_int_equal(unlink(bench.settings.receivers[0].token_file), 0);
    bench_offer_incident(1, ALERT_OPEN);
    bench_until_retries(0, 1);
    assert_int_equal(route_server_count(&bench.servers[0]), 0);
    case_write(bench.settings.receivers[0].token_file, "two\n", 0600);
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
    assert_string_equal(bench.servers[0].requests[0].authorization, "Bearer two");
}

static void what_is_for_this_machine_goes_to_no_proxy(void **state)
{
    (void)state;
    bench_serve(0);
    bench_serve(1);
    assert_int_equal(setenv("http_proxy", bench.servers[1].url, 1), 0);
    bench.settings.names[1] = NULL;
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(counts.sent, 1);
    assert_int_equal(route_server_count(&bench.servers[0]), 1);
    assert_int_equal(route_server_count(&bench.servers[1]), 0);
}

static void without_a_receiver_there_is_no_router_and_no_error(void **state)
{
    (void)state;
    bench.err.code = EIO;
    assert_null(router_new(&bench.settings, case_path("route"), bench.triage, &bench.err));
    assert_int_equal(bench.err.code, 0);
}

static void a_receiver_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    bench_serve(0);
    bench_serve(1);
    bench.settings.receivers[1].url = "log.example";
    assert_null(router_new(&bench.settings, case_path("route"), bench.triage, &bench.err));
    assert_non_null(strstr(bench.err.message, "receivers.second: url: "));
    bench.settings.names[1] = NULL;
    assert_null(router_new(&bench.settings, case_path("not/there"), NULL, &bench.err));
    assert_int_equal(bench.err.code, ENOENT);
}

static void one_queue_belongs_to_one_router(void **state)
{
    (void)state;
    bench_serve(0);
    bench_start();
    assert_null(router_new(&bench.settings, case_path("route"), bench.triage, &bench.err));
    assert_int_equal(bench.err.code, EBUSY);
    bench_offer_incident(1, ALERT_OPEN);
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
}

/* ---- syslog, and the test of an operator ---- */

static int bind_log(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 30};
    const int handle = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    assert_true(handle >= 0);
    assert_int_equal(bind(handle, (const struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(setsockopt(handle, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return handle;
}

static void a_local_log_that_begins_later_gets_what_has_waited(void **state)
{
    (void)state;
    char url[200], text[2048];

    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    (void)snprintf(url, sizeof(url), "unix:%s", case_path("log"));
    bench.settings.names[0] = "log";
    bench.settings.receivers[0] = case_settings(url);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_until_retries(0, 1);
    const int handle = bind_log(case_path("log"));
    const ssize_t length = recv(handle, text, sizeof(text) - 1, 0);

    assert_in_range(length, 1, sizeof(text) - 1);
    text[length] = '\0';
    assert_int_equal(strncmp(text, "<131>Jan  2 03:04:10 netscope-collector[", 40), 0);
    assert_non_null(strstr(text, "]: high syn_flood open: 1500 SYN a second"));
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
    (void)close(handle);
}

static void a_test_says_of_each_receiver_whether_it_took_it(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;

    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    assert_int_equal(route_send_test(&bench.settings, out, &bench.err), 2);
    bench.servers[1].statuses[1] = 403;
    bench_serve(0);
    bench_serve(1);
    error_clear(&bench.err);
    assert_int_equal(route_send_test(&bench.settings, out, &bench.err), 0);
    (void)fflush(out);
    assert_non_null(strstr(text, "first"));
    assert_null(strstr(text, "failed"));
    assert_int_equal(route_send_test(&bench.settings, out, &bench.err), 1);
    (void)fflush(out);
    assert_non_null(strstr(text, "failed: it answers 403: no"));
    assert_true(bench.servers[0].requests[0].is_json_post);
    assert_int_equal(strlen(bench.servers[0].requests[0].alert_id), 36);
    bench.settings.receivers[0].url = "nowhere";
    assert_int_equal(route_send_test(&bench.settings, out, &bench.err), 2);
    assert_non_null(strstr(bench.err.message, "receivers.first: url: "));
    (void)fclose(out);
    free(text);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, router_bench_begin, router_bench_end)
    const struct CMUnitTest tests[] = {
        TEST(alerts_arrive_in_the_order_in_which_they_came),
        TEST(what_is_no_news_is_passed_over_and_counted),
        TEST(an_alert_that_met_an_error_of_the_server_goes_again),
        TEST(a_receiver_that_fails_is_said_to_fail_while_its_alerts_wait),
        TEST(a_receiver_is_given_the_time_that_it_asks_for),
        TEST(what_is_refused_is_counted_and_the_next_one_goes),
        TEST(of_an_incident_whose_opening_was_refused_the_end_is_not_told),
        TEST(what_is_wrong_with_the_address_or_the_token_makes_alerts_wait),
        TEST(an_alert_is_given_up_after_retry_for),
        TEST(what_is_no_alert_is_refused_and_holds_nothing_up),
        TEST(a_receiver_that_hangs_holds_up_no_other),
        TEST(each_receiver_hears_what_it_has_chosen),
        TEST(a_token_is_read_for_each_message),
        TEST(a_token_that_is_gone_makes_alerts_wait),
        TEST(what_is_for_this_machine_goes_to_no_proxy),
        TEST(without_a_receiver_there_is_no_router_and_no_error),
        TEST(a_receiver_that_cannot_be_made_is_named),
        TEST(one_queue_belongs_to_one_router),
        TEST(a_local_log_that_begins_later_gets_what_has_waited),
        TEST(a_test_says_of_each_receiver_whether_it_took_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
