/* What a router has not delivered outlasts its program, within a bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "router_bench.h"

/* ---- over a restart ---- */

static void what_was_open_in_the_store_is_told_again_after_a_restart(void **state)
{
    (void)state;
    static struct alert_record alert;
    static uint8_t record[ROUTE_RECORD_BYTES_MAX];

    bench_serve(0);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
    bench_stop();
    bench.settings.receivers[0].repeat_ns = NS_PER_SEC;
    bench_start();
    case_alert(&alert, 1);
    alert.last_ns = clock_wall_ns();
    router_recall(bench.router, record, case_encode(&alert, record));
    case_alert_id(2, alert.alert_id); /* of which nobody was told */
    router_recall(bench.router, record, case_encode(&alert, record));
    bench_until_repeated(0, 2);
    for (unsigned i = 0; i < route_server_count(&bench.servers[0]); i++) {
        bench_asked_for(0, i, 1);
    }
}

static void an_incident_of_which_nothing_is_heard_is_told_no_more(void **state)
{
    (void)state;
    bench_serve(0);
    bench.settings.receivers[0].repeat_ns = NS_PER_SEC;
    bench.settings.forget_ns = 0;
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
    (void)sleep(4);
    assert_int_equal(bench_counts_of(0).repeated, 0);
}

static void what_was_not_delivered_is_delivered_after_a_restart(void **state)
{
    (void)state;
    for (unsigned i = 1; i < SERVER_REQUESTS_MAX; i++) {
        bench.servers[0].statuses[i] = 503;
    }
    bench_serve(0);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
    bench_offer_incident(2, ALERT_OPEN);
    bench_offer_incident(3, ALERT_OPEN);
    bench_until_retries(0, 1);
    bench_stop();
    bench_serve(1);
    bench.settings.receivers[0].url = bench.servers[1].url; /* the same receiver at another place */
    bench.settings.names[1] = NULL;
    bench_start();
    assert_int_equal(bench_counts_of(0).taken, 2);
    bench_offer_incident(1, ALERT_UPDATE); /* known from before */
    bench_offer_incident(4, ALERT_OPEN);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.taken, 4);
    assert_int_equal(counts.sent, 3);
    assert_int_equal(counts.passed_over, 1);
    bench_asked_for(1, 0, 2);
    bench_asked_for(1, 1, 3);
    bench_asked_for(1, 2, 4);
}

/* A process that nobody listens to, and that gets no time to write anything at its end. */
static void offer_and_be_killed(void)
{
    bench.router = router_new(&bench.settings, case_path("route"), bench.triage, &bench.err);
    if (bench.router != NULL) {
        bench_offer_incident(1, ALERT_OPEN);
        bench_offer_incident(2, ALERT_OPEN);
        bench_offer_incident(3, ALERT_OPEN);
        (void)raise(SIGKILL);
    }
    _exit(1);
}

static void alerts_survive_a_process_that_is_killed(void **state)
{
    (void)state;
    int status = 0;

    bench.settings.names[0] = "first";
    bench.settings.receivers[0] = case_settings("http://127.0.0.1:1/");
    const pid_t child = fork();

    if (child == 0) {
        offer_and_be_killed();
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    bench_serve(0);
    bench_start();
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.taken, 3);
    assert_int_equal(counts.sent, 3);
    for (unsigned i = 0; i < 3; i++) {
        bench_asked_for(0, i, i + 1);
    }
}

static void what_was_delivered_is_not_delivered_after_a_restart(void **state)
{
    (void)state;
    bench_serve(0);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
    bench_stop();
    bench_start();
    assert_int_equal(bench_counts_of(0).taken, 0);
    bench_offer_incident(1, ALERT_OPEN); /* a sensor that sends its last batch again */
    bench_offer_incident(1, ALERT_CLOSE);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.passed_over, 1);
    assert_int_equal(counts.sent, 1);
    assert_string_equal(bench.servers[0].requests[1].state, "ALERT_STATE_CLOSE");
}

static void what_waits_is_tried_once_more_at_the_end(void **state)
{
    (void)state;
    bench.servers[0].statuses[0] = bench.servers[0].statuses[1] = bench.servers[0].statuses[2] =
        500;
    bench_serve(0);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_until_retries(0, 3); /* four seconds to the next try */
    bench_stop();
    assert_int_equal(route_server_count(&bench.servers[0]), 4);
    bench_start();
    assert_int_equal(bench_counts_of(0).taken, 0);
}

static void what_came_last_is_delivered_before_the_end(void **state)
{
    (void)state;
    bench_serve(0);
    bench_start();
    for (unsigned i = 0; i < 5; i++) {
        bench_offer_incident(i, ALERT_OPEN);
    }
    bench_stop();
    bench_start();
    (void)bench_until_nothing_waits(0); /* slow machines leave some over */
    assert_in_range(route_server_count(&bench.servers[0]), 5, 6);
}

static void a_receiver_that_is_new_begins_with_the_next_alert(void **state)
{
    (void)state;
    bench.servers[0].statuses[0] = SERVER_HANGS;
    bench_serve(0);
    bench_start();
    bench_offer_incident(1, ALERT_OPEN);
    bench_until_requests(0, 1);
    bench_stop();
    bench_serve(1);
    bench_start();
    assert_int_equal(bench_until_nothing_waits(0).sent, 1);
    assert_int_equal(bench_until_nothing_waits(1).taken, 0);
    bench_offer_incident(2, ALERT_OPEN);
    assert_int_equal(bench_until_nothing_waits(0).sent, 2);
    assert_int_equal(bench_until_nothing_waits(1).sent, 1);
    bench_asked_for(0, 1, 1);
    bench_asked_for(1, 0, 2);
}

static uint64_t queue_bytes_on_disk(void)
{
    DIR *stream = opendir(case_path("route/queue"));
    const struct dirent *entry;
    struct stat status;
    uint64_t bytes = 0;

    assert_non_null(stream);
    while ((entry = readdir(stream)) != NULL) {
        if (fstatat(dirfd(stream), entry->d_name, &status, 0) == 0 && S_ISREG(status.st_mode)) {
            bytes += (uint64_t)status.st_size;
        }
    }
    (void)closedir(stream);
    return bytes;
}

/* Some 2 KiB each, more than the queue may hold, for one that takes nothing: the other one goes on
 * and sees to the bound. */
static void a_full_queue_drops_the_oldest_and_counts_them(void **state)
{
    (void)state;
    static struct alert_record alert;

    bench.servers[0].statuses[0] = SERVER_HANGS;
    bench_serve(0);
    bench_serve(1);
    bench.settings.receivers[0].timeout_ns = 300 * NS_PER_SEC;
    bench.settings.receivers[1].min_severity = "critical";
    bench_start();
    case_alert(&alert, 0);
    alert.sensor_ids_count = ALERT_SENSORS_MAX;
    for (unsigned i = 0; i < ALERT_SENSORS_MAX; i++) {
        memset(alert.sensor_ids[i], 'a', 128);
    }
    bench_offer(&alert);
    bench_until_requests(0, 1);
    for (unsigned i = 1; i < 1000; i++) {
        case_alert_id(i, alert.alert_id);
        bench_offer(&alert);
    }
    assert_int_equal(bench_until_nothing_waits(1).passed_over, 1000);
    const uint64_t until_ns = bench_patience_ends_ns();

    while (queue_bytes_on_disk() > bench.settings.queue_bytes) {
        (void)bench_counts_of(0);
        bench_wait_shortly(until_ns, "a queue within its bound");
    }
    assert_int_equal(bench_counts_of(0).taken, 1000);
    bench_stop();
    bench.settings.receivers[0].min_severity =
        "critical"; /* but for the last one, nothing goes out */
    bench_start();
    alert.severity = SEVERITY_CRITICAL;
    case_alert_id(1000, alert.alert_id);
    bench_offer(&alert);
    const struct route_counts counts = bench_until_nothing_waits(0);

    assert_int_equal(counts.taken, 1001); /* since the first one has not been delivered */
    assert_in_range(counts.dropped, 400, 900);
    assert_int_equal(counts.sent, 1);
    bench_asked_for(0, 1, 1000);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, router_bench_begin, router_bench_end)
    const struct CMUnitTest tests[] = {
        TEST(what_was_open_in_the_store_is_told_again_after_a_restart),
        TEST(an_incident_of_which_nothing_is_heard_is_told_no_more),
        TEST(what_was_not_delivered_is_delivered_after_a_restart),
        TEST(alerts_survive_a_process_that_is_killed),
        TEST(what_was_delivered_is_not_delivered_after_a_restart),
        TEST(what_waits_is_tried_once_more_at_the_end),
        TEST(what_came_last_is_delivered_before_the_end),
        TEST(a_receiver_that_is_new_begins_with_the_next_alert),
        TEST(a_full_queue_drops_the_oldest_and_counts_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
