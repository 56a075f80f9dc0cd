#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/route/route_internal.h"
#include "route_cases.h"
#include "route_server.h"

#define PATIENCE_NS (30 * NS_PER_SEC)

static struct error err;
static struct route_settings settings;
static struct route_server servers[2];
static unsigned servers_count;
static struct router *router;
static const struct route_triage *triage; /* NULL: nobody says anything */

static int begin(void **state)
{
    memset(servers, 0, sizeof(servers));
    settings = (struct route_settings){
        .queue_bytes = 1 << 20, .incidents_max = 64, .forget_ns = 3600 * NS_PER_SEC};
    servers_count = 0;
    router = NULL;
    triage = NULL;
    error_clear(&err);
    return case_directory_make(state);
}

static int end(void **state)
{
    router_free(router);
    for (unsigned i = 0; i < servers_count; i++) {
        route_server_stop(&servers[i]);
    }
    return case_directory_remove(state);
}

static void serve(unsigned i)
{
    static const char *const names[] = {"first", "second"};

    assert_true(route_server_start(&servers[i]));
    servers_count = i + 1;
    settings.names[i] = names[i];
    settings.receivers[i] = case_settings(servers[i].url);
}

static void start(void)
{
    router = router_new(&settings, case_path("route"), triage, &err);
    assert_string_equal(err.message, "");
    assert_non_null(router);
}

static void stop(void)
{
    router_free(router);
    router = NULL;
}

/* What is counted always adds up, whenever it is looked at. */
static struct route_counts counts_of(unsigned i)
{
    struct route_counts all[ROUTE_RECEIVERS_MAX];

    assert_true(router_counts(router, all) > i);
    const struct route_counts *c = &all[i];

    assert_string_equal(c->name, settings.names[i]);
    assert_int_equal(c->taken, c->sent + c->passed_over + c->silenced + c->refused + c->expired +
                                   c->dropped + c->waiting);
    return *c;
}

static void offer(const struct alert_record *alert)
{
    static uint8_t record[ROUTE_RECORD_BYTES_MAX];

    router_offer(router, record, case_encode(alert, record), clock_wall_ns());
}

static void offer_incident(unsigned number, enum alert_state is)
{
    static struct alert_record alert;

    case_alert(&alert, number);
    alert.state = (uint8_t)is;
    offer(&alert);
}

/* ---- waiting, with a generous end ---- */

static uint64_t patience_ends_ns(void)
{
    const char *factor = getenv("NETSCOPE_TEST_PATIENCE");
    const unsigned long times = factor == NULL ? 1 : strtoul(factor, NULL, 10);

    return clock_monotonic_ns() + PATIENCE_NS * (times > 0 ? times : 1);
}

static void pause_shortly(uint64_t until_ns, const char *what)
{
    if (clock_monotonic_ns() >= until_ns) {
        fail_msg("waited in vain: %s", what);
    }
    (void)usleep(5000);
}

static void until_requests(unsigned i, unsigned count)
{
    const uint64_t until_ns = patience_ends_ns();

    while (route_server_count(&servers[i]) < count) {
        (void)counts_of(i);
        pause_shortly(until_ns, "requests");
    }
}

static struct route_counts until_nothing_waits(unsigned i)
{
    const uint64_t until_ns = patience_ends_ns();
    struct route_counts counts = counts_of(i);

    while (counts.waiting > 0) {
        pause_shortly(until_ns, "an empty queue");
        counts = counts_of(i);
    }
    return counts;
}

static void until_retries(unsigned i, uint64_t retries)
{
    const uint64_t until_ns = patience_ends_ns();

    while (counts_of(i).retries < retries) {
        pause_shortly(until_ns, "retries");
    }
}

static void asked_for(unsigned i, unsigned request, unsigned number)
{
    char id[37];

    case_alert_id(number, id);
    assert_string_equal(servers[i].requests[request].alert_id, id);
    assert_true(servers[i].requests[request].is_json_post);
}

/* ---- delivery ---- */

static void alerts_arrive_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    serve(0);
    start();
    for (unsigned i = 0; i < 40; i++) {
        offer_incident(i, ALERT_OPEN);
    }
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.taken, 40);
    assert_int_equal(counts.sent, 40);
    assert_int_equal(counts.retries, 0);
    assert_false(counts.is_failing);
    assert_int_equal(route_server_count(&servers[0]), 40);
    for (unsigned i = 0; i < 40; i++) {
        asked_for(0, i, i);
    }
    assert_string_equal(servers[0].requests[0].authorization, "");
}

static void what_is_no_news_is_passed_over_and_counted(void **state)
{
    (void)state;
    serve(0);
    start();
    offer_incident(1, ALERT_OPEN);
    offer_incident(1, ALERT_UPDATE);
    offer_incident(2, ALERT_CLOSE);
    offer_incident(1, ALERT_CLOSE);
    offer_incident(1, ALERT_UPDATE);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.sent, 2);
    assert_int_equal(counts.passed_over, 3);
    assert_string_equal(servers[0].requests[0].state, "ALERT_STATE_OPEN");
    assert_string_equal(servers[0].requests[1].state, "ALERT_STATE_CLOSE");
}

static void an_alert_that_met_an_error_of_the_server_goes_again(void **state)
{
    (void)state;
    servers[0].statuses[0] = 500;
    serve(0);
    start();
    offer_incident(1, ALERT_OPEN);
    offer_incident(2, ALERT_OPEN);
    until_requests(0, 1);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.sent, 2);
    assert_int_equal(counts.retries, 1);
    assert_false(counts.is_failing);
    asked_for(0, 0, 1);
    asked_for(0, 1, 1); /* before the next one */
    asked_for(0, 2, 2);
    assert_true(servers[0].requests[1].monotonic_ns - servers[0].requests[0].monotonic_ns >=
                NS_PER_SEC * 9 / 10);
}

static void a_receiver_that_fails_is_said_to_fail_while_its_alerts_wait(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVER_REQUESTS_MAX; i++) {
        servers[0].statuses[i] = 503;
    }
    serve(0);
    start();
    offer_incident(1, ALERT_OPEN);
    offer_incident(2, ALERT_OPEN);
    until_retries(0, 1);
    const struct route_counts counts = counts_of(0);

    assert_true(counts.is_failing);
    assert_int_equal(counts.waiting, 2);
    assert_int_equal(counts.sent, 0);
}

static void a_receiver_is_given_the_time_that_it_asks_for(void **state)
{
    (void)state;
    servers[0].statuses[0] = 429;
    servers[0].headers = "Retry-After: 3\r\n";
    serve(0);
    start();
    offer_incident(1, ALERT_OPEN);
    until_requests(0, 2);
    assert_int_equal(until_nothing_waits(0).sent, 1);
    assert_true(servers[0].requests[1].monotonic_ns - servers[0].requests[0].monotonic_ns >=
                NS_PER_SEC * 29 / 10);
}

static void what_is_refused_is_counted_and_the_next_one_goes(void **state)
{
    (void)state;
    static const int statuses[] = {400, 406, 411, 413, 414, 415, 416, 417, 422, 431};

    for (unsigned i = 0; i < ARRAY_COUNT(statuses); i++) {
        servers[0].statuses[i] = statuses[i];
    }
    serve(0);
    start();
    for (unsigned i = 0; i <= ARRAY_COUNT(statuses); i++) {
        offer_incident(i, ALERT_OPEN);
    }
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.refused, ARRAY_COUNT(statuses));
    assert_int_equal(counts.sent, 1);
    assert_int_equal(counts.retries, 0);
    asked_for(0, ARRAY_COUNT(statuses), ARRAY_COUNT(statuses));
}

/* A wrong address, a token that is too old: somebody mends it, and the alert was right. */
static void of_an_incident_whose_opening_was_refused_the_end_is_not_told(void **state)
{
    (void)state;
    servers[0].statuses[0] = 422;
    serve(0);
    start();
    offer_incident(1, ALERT_OPEN);
    offer_incident(1, ALERT_CLOSE);
    offer_incident(2, ALERT_OPEN);
    offer_incident(2, ALERT_CLOSE);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.passed_over, 1);
    assert_int_equal(counts.sent, 2);
    asked_for(0, 1, 2);
    asked_for(0, 2, 2);
}

static void what_is_wrong_with_the_address_or_the_token_makes_alerts_wait(void **state)
{
    (void)state;
    servers[0].statuses[0] = 403;
    servers[1].statuses[0] = 302;
    servers[1].headers = "Location: http://127.0.0.1:1/elsewhere\r\n"; /* nobody goes there */
    serve(0);
    serve(1);
    start();
    offer_incident(1, ALERT_OPEN);
    for (unsigned i = 0; i < 2; i++) {
        const struct route_counts counts = until_nothing_waits(i);

        assert_int_equal(counts.retries, 1);
        assert_int_equal(counts.refused, 0);
        assert_int_equal(counts.sent, 1);
        asked_for(i, 1, 1);
    }
}

static void an_alert_is_given_up_after_retry_for(void **state)
{
    (void)state;
    servers[0].statuses[0] = 500;
    serve(0);
    settings.receivers[0].retry_ns = 0;
    start();
    offer_incident(1, ALERT_OPEN);
    offer_incident(2, ALERT_OPEN);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.expired, 1);
    assert_int_equal(counts.sent, 1);
    asked_for(0, 1, 2);
}

static void what_is_no_alert_is_refused_and_holds_nothing_up(void **state)
{
    (void)state;
    static uint8_t record[ROUTE_RECORD_BYTES_MAX + 1];

    memset(record, 0xff, sizeof(record));
    serve(0);
    start();
    router_offer(router, record, 1, clock_wall_ns());
    router_offer(router, record, sizeof(record) - 1, clock_wall_ns());
    router_offer(router, record, sizeof(record), clock_wall_ns()); /* longer than any */
    offer_incident(1, ALERT_OPEN);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.taken, 4);
    assert_int_equal(counts.refused, 2);
    assert_int_equal(counts.dropped, 1);
    assert_int_equal(counts.sent, 1);
    asked_for(0, 0, 1);
}

static void a_receiver_that_hangs_holds_up_no_other(void **state)
{
    (void)state;
    servers[0].statuses[0] = SERVER_HANGS;
    serve(0);
    serve(1);
    settings.receivers[0].timeout_ns = 300 * NS_PER_SEC;
    start();
    for (unsigned i = 0; i < 10; i++) {
        offer_incident(i, ALERT_OPEN);
    }
    until_requests(0, 1);
    assert_int_equal(until_nothing_waits(1).sent, 10);
    const struct route_counts hanging = counts_of(0);

    assert_int_equal(hanging.waiting, 10);
    assert_int_equal(hanging.sent, 0);
    const uint64_t before_ns = clock_monotonic_ns();

    stop(); /* nor the end of the program: two seconds are meant */
    assert_true(clock_monotonic_ns() - before_ns < 60 * NS_PER_SEC);
}

static void each_receiver_hears_what_it_has_chosen(void **state)
{
    (void)state;
    serve(0);
    serve(1);
    settings.receivers[0].min_severity = "critical";
    start();
    offer_incident(1, ALERT_OPEN);
    assert_int_equal(until_nothing_waits(0).passed_over, 1);
    assert_int_equal(until_nothing_waits(1).sent, 1);
}

/* ---- what goes on ---- */

static void until_repeated(unsigned i, uint64_t repeated)
{
    const uint64_t until_ns = patience_ends_ns();

    while (counts_of(i).repeated < repeated) {
        pause_shortly(until_ns, "a repetition");
    }
}

static void an_incident_that_goes_on_in_silence_is_told_again(void **state)
{
    (void)state;
    serve(0);
    serve(1);
    settings.receivers[0].repeat_ns = NS_PER_SEC;
    settings.receivers[1].repeat_ns = 0; /* once */
    start();
    offer_incident(1, ALERT_OPEN);
    until_repeated(0, 2);
    offer_incident(1, ALERT_CLOSE);
    (void)until_nothing_waits(0);
    const struct route_counts counts = counts_of(0);
    const unsigned requests = route_server_count(&servers[0]);

    assert_int_equal(counts.sent, counts.repeated + 2);
    assert_int_equal(requests, counts.sent);
    assert_string_equal(servers[0].requests[0].state, "ALERT_STATE_OPEN");
    for (unsigned i = 1; i + 1 < requests; i++) {
        asked_for(0, i, 1);
        assert_string_equal(servers[0].requests[i].state, "ALERT_STATE_UPDATE");
    }
    assert_string_equal(servers[0].requests[requests - 1].state, "ALERT_STATE_CLOSE");
    assert_int_equal(until_nothing_waits(1).sent, 2);
    assert_int_equal(counts_of(1).repeated, 0);
    (void)sleep(3); /* time enough for one more, if that were wrong */
    assert_int_equal(route_server_count(&servers[0]), requests);
}

static void a_repetition_that_fails_is_tried_again(void **state)
{
    (void)state;
    servers[0].statuses[1] = 500;
    servers[0].statuses[2] = 400;
    serve(0);
    settings.receivers[0].repeat_ns = NS_PER_SEC;
    start();
    offer_incident(1, ALERT_OPEN);
    until_repeated(0, 2);
    const struct route_counts counts = counts_of(0);

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
    triage = &people;
}

static void what_a_silence_hides_is_told_when_it_ends_and_the_incident_goes_on(void **state)
{
    (void)state;
    serve(0);
    say(true, false);
    start();
    offer_incident(1, ALERT_OPEN);
    offer_incident(2, ALERT_OPEN);
    offer_incident(2, ALERT_CLOSE);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.silenced, 2);
    assert_int_equal(counts.passed_over, 1); /* an end of which nobody heard the beginning */
    assert_int_equal(counts.sent, 0);
    stop(); /* what was held back is known after a restart */
    start();
    static struct alert_record alert;
    static uint8_t record[ROUTE_RECORD_BYTES_MAX];

    case_alert(&alert, 1);
    router_recall(router, record, case_encode(&alert, record));
    (void)sleep(3); /* time enough to be told, if that were wrong */
    assert_int_equal(route_server_count(&servers[0]), 0);
    say(false, false);
    until_requests(0, 1);
    asked_for(0, 0, 1);
    assert_string_equal(servers[0].requests[0].state, "ALERT_STATE_OPEN");
    offer_incident(1, ALERT_CLOSE);
    assert_int_equal(until_nothing_waits(0).sent, 2);
    (void)sleep(3);
    assert_int_equal(route_server_count(&servers[0]), 2);
}

static void the_end_of_what_was_told_is_told_though_it_is_silenced(void **state)
{
    (void)state;
    serve(0);
    say(false, false);
    start();
    offer_incident(1, ALERT_OPEN);
    assert_int_equal(until_nothing_waits(0).sent, 1);
    say(true, false);
    offer_incident(1, ALERT_UPDATE);
    offer_incident(1, ALERT_CLOSE);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.sent, 2);
    assert_int_equal(counts.silenced, 0); /* the update was no news */
    assert_string_equal(servers[0].requests[1].state, "ALERT_STATE_CLOSE");
}

static void a_silence_that_begins_while_an_alert_waits_holds_it_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVER_REQUESTS_MAX; i++) {
        servers[0].statuses[i] = 503;
    }
    serve(0);
    say(false, false);
    start();
    offer_incident(1, ALERT_OPEN);
    until_retries(0, 1);
    say(true, false);
    assert_int_equal(until_nothing_waits(0).silenced, 1);
}

static void what_is_acknowledged_is_not_repeated_but_its_rise_and_its_end_are_told(void **state)
{
    (void)state;
    static struct alert_record alert;

    serve(0);
    settings.receivers[0].repeat_ns = NS_PER_SEC;
    say(false, false);
    start();
    offer_incident(1, ALERT_OPEN);
    assert_int_equal(until_nothing_waits(0).sent, 1);
    say(false, true);
    (void)sleep(4);
    assert_int_equal(counts_of(0).repeated, 0);
    case_alert(&alert, 1);
    alert.state = ALERT_UPDATE;
    alert.severity++;
    offer(&alert);
    assert_int_equal(until_nothing_waits(0).sent, 2);
    offer_incident(1, ALERT_CLOSE);
    assert_int_equal(until_nothing_waits(0).sent, 3);
}

/* ---- over a restart ---- */

static void what_was_open_in_the_store_is_told_again_after_a_restart(void **state)
{
    (void)state;
    static struct alert_record alert;
    static uint8_t record[ROUTE_RECORD_BYTES_MAX];

    serve(0);
    start();
    offer_incident(1, ALERT_OPEN);
    assert_int_equal(until_nothing_waits(0).sent, 1);
    stop();
    settings.receivers[0].repeat_ns = NS_PER_SEC;
    start();
    case_alert(&alert, 1);
    alert.last_ns = clock_wall_ns();
    router_recall(router, record, case_encode(&alert, record));
    case_alert_id(2, alert.alert_id); /* of which nobody was told */
    router_recall(router, record, case_encode(&alert, record));
    until_repeated(0, 2);
    for (unsigned i = 0; i < route_server_count(&servers[0]); i++) {
        asked_for(0, i, 1);
    }
}

static void an_incident_of_which_nothing_is_heard_is_told_no_more(void **state)
{
    (void)state;
    serve(0);
    settings.receivers[0].repeat_ns = NS_PER_SEC;
    settings.forget_ns = 0;
    start();
    offer_incident(1, ALERT_OPEN);
    assert_int_equal(until_nothing_waits(0).sent, 1);
    (void)sleep(4);
    assert_int_equal(counts_of(0).repeated, 0);
}

static void what_was_not_delivered_is_delivered_after_a_restart(void **state)
{
    (void)state;
    for (unsigned i = 1; i < SERVER_REQUESTS_MAX; i++) {
        servers[0].statuses[i] = 503;
    }
    serve(0);
    start();
    offer_incident(1, ALERT_OPEN);
    assert_int_equal(until_nothing_waits(0).sent, 1);
    offer_incident(2, ALERT_OPEN);
    offer_incident(3, ALERT_OPEN);
    until_retries(0, 1);
    stop();
    serve(1);
    settings.receivers[0].url = servers[1].url; /* the same receiver at another place */
    settings.names[1] = NULL;
    start();
    assert_int_equal(counts_of(0).taken, 2);
    offer_incident(1, ALERT_UPDATE); /* known from before */
    offer_incident(4, ALERT_OPEN);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.taken, 4);
    assert_int_equal(counts.sent, 3);
    assert_int_equal(counts.passed_over, 1);
    asked_for(1, 0, 2);
    asked_for(1, 1, 3);
    asked_for(1, 2, 4);
}

/* A process that nobody listens to, and that gets no time to write anything at its end. */
static void offer_and_be_killed(void)
{
    router = router_new(&settings, case_path("route"), triage, &err);
    if (router != NULL) {
        offer_incident(1, ALERT_OPEN);
        offer_incident(2, ALERT_OPEN);
        offer_incident(3, ALERT_OPEN);
        (void)raise(SIGKILL);
    }
    _exit(1);
}

static void alerts_survive_a_process_that_is_killed(void **state)
{
    (void)state;
    int status = 0;

    settings.names[0] = "first";
    settings.receivers[0] = case_settings("http://127.0.0.1:1/");
    const pid_t child = fork();

    if (child == 0) {
        offer_and_be_killed();
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    serve(0);
    start();
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.taken, 3);
    assert_int_equal(counts.sent, 3);
    for (unsigned i = 0; i < 3; i++) {
        asked_for(0, i, i + 1);
    }
}

static void what_was_delivered_is_not_delivered_after_a_restart(void **state)
{
    (void)state;
    serve(0);
    start();
    offer_incident(1, ALERT_OPEN);
    assert_int_equal(until_nothing_waits(0).sent, 1);
    stop();
    start();
    assert_int_equal(counts_of(0).taken, 0);
    offer_incident(1, ALERT_OPEN); /* a sensor that sends its last batch again */
    offer_incident(1, ALERT_CLOSE);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.passed_over, 1);
    assert_int_equal(counts.sent, 1);
    assert_string_equal(servers[0].requests[1].state, "ALERT_STATE_CLOSE");
}

static void what_waits_is_tried_once_more_at_the_end(void **state)
{
    (void)state;
    servers[0].statuses[0] = servers[0].statuses[1] = servers[0].statuses[2] = 500;
    serve(0);
    start();
    offer_incident(1, ALERT_OPEN);
    until_retries(0, 3); /* four seconds to the next try */
    stop();
    assert_int_equal(route_server_count(&servers[0]), 4);
    start();
    assert_int_equal(counts_of(0).taken, 0);
}

static void what_came_last_is_delivered_before_the_end(void **state)
{
    (void)state;
    serve(0);
    start();
    for (unsigned i = 0; i < 5; i++) {
        offer_incident(i, ALERT_OPEN);
    }
    stop();
    start();
    (void)until_nothing_waits(0); /* slow machines leave some over */
    assert_in_range(route_server_count(&servers[0]), 5, 6);
}

static void a_receiver_that_is_new_begins_with_the_next_alert(void **state)
{
    (void)state;
    servers[0].statuses[0] = SERVER_HANGS;
    serve(0);
    start();
    offer_incident(1, ALERT_OPEN);
    until_requests(0, 1);
    stop();
    serve(1);
    start();
    assert_int_equal(until_nothing_waits(0).sent, 1);
    assert_int_equal(until_nothing_waits(1).taken, 0);
    offer_incident(2, ALERT_OPEN);
    assert_int_equal(until_nothing_waits(0).sent, 2);
    assert_int_equal(until_nothing_waits(1).sent, 1);
    asked_for(0, 1, 1);
    asked_for(1, 0, 2);
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

    servers[0].statuses[0] = SERVER_HANGS;
    serve(0);
    serve(1);
    settings.receivers[0].timeout_ns = 300 * NS_PER_SEC;
    settings.receivers[1].min_severity = "critical";
    start();
    case_alert(&alert, 0);
    alert.sensor_ids_count = ALERT_SENSORS_MAX;
    for (unsigned i = 0; i < ALERT_SENSORS_MAX; i++) {
        memset(alert.sensor_ids[i], 'a', 128);
    }
    offer(&alert);
    until_requests(0, 1);
    for (unsigned i = 1; i < 1000; i++) {
        case_alert_id(i, alert.alert_id);
        offer(&alert);
    }
    assert_int_equal(until_nothing_waits(1).passed_over, 1000);
    const uint64_t until_ns = patience_ends_ns();

    while (queue_bytes_on_disk() > settings.queue_bytes) {
        (void)counts_of(0);
        pause_shortly(until_ns, "a queue within its bound");
    }
    assert_int_equal(counts_of(0).taken, 1000);
    stop();
    settings.receivers[0].min_severity = "critical"; /* but for the last one, nothing goes out */
    start();
    alert.severity = SEVERITY_CRITICAL;
    case_alert_id(1000, alert.alert_id);
    offer(&alert);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(counts.taken, 1001); /* since the first one has not been delivered */
    assert_in_range(counts.dropped, 400, 900);
    assert_int_equal(counts.sent, 1);
    asked_for(0, 1, 1000);
}

/* ---- secrets, proxies, wrong settings ---- */

static void a_token_is_read_for_each_message(void **state)
{
    (void)state;
    serve(0);
    settings.receivers[0].token_file = case_path("token");
    case_write(settings.receivers[0].token_file, "one\n", 0600);
    start();
    offer_incident(1, ALERT_OPEN);
    (void)until_nothing_waits(0);
    case_write(settings.receivers[0].token_file, "two\n", 0600);
    offer_incident(2, ALERT_OPEN);
    (void)until_nothing_waits(0);
    assert_string_equal(servers[0].requests[0].authorization, "Bearer one");
    assert_string_equal(servers[0].requests[1].authorization, "Bearer two");
}

static void a_token_that_is_gone_makes_alerts_wait(void **state)
{
    (void)state;
    serve(0);
    settings.receivers[0].token_file = case_path("token");
    case_write(settings.receivers[0].token_file, "one\n", 0600);
    start();
    assert_int_equal(unlink(settings.receivers[0].token_file), 0);
    offer_incident(1, ALERT_OPEN);
    until_retries(0, 1);
    assert_int_equal(route_server_count(&servers[0]), 0);
    case_write(settings.receivers[0].token_file, "two\n", 0600);
    assert_int_equal(until_nothing_waits(0).sent, 1);
    assert_string_equal(servers[0].requests[0].authorization, "Bearer two");
}

static void what_is_for_this_machine_goes_to_no_proxy(void **state)
{
    (void)state;
    serve(0);
    serve(1);
    assert_int_equal(setenv("http_proxy", servers[1].url, 1), 0);
    settings.names[1] = NULL;
    start();
    offer_incident(1, ALERT_OPEN);
    const struct route_counts counts = until_nothing_waits(0);

    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(counts.sent, 1);
    assert_int_equal(route_server_count(&servers[0]), 1);
    assert_int_equal(route_server_count(&servers[1]), 0);
}

static void without_a_receiver_there_is_no_router_and_no_error(void **state)
{
    (void)state;
    err.code = EIO;
    assert_null(router_new(&settings, case_path("route"), triage, &err));
    assert_int_equal(err.code, 0);
}

static void a_receiver_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    serve(0);
    serve(1);
    settings.receivers[1].url = "log.example";
    assert_null(router_new(&settings, case_path("route"), triage, &err));
    assert_non_null(strstr(err.message, "receivers.second: url: "));
    settings.names[1] = NULL;
    assert_null(router_new(&settings, case_path("not/there"), NULL, &err));
    assert_int_equal(err.code, ENOENT);
}

static void one_queue_belongs_to_one_router(void **state)
{
    (void)state;
    serve(0);
    start();
    assert_null(router_new(&settings, case_path("route"), triage, &err));
    assert_int_equal(err.code, EBUSY);
    offer_incident(1, ALERT_OPEN);
    assert_int_equal(until_nothing_waits(0).sent, 1);
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
    settings.names[0] = "log";
    settings.receivers[0] = case_settings(url);
    start();
    offer_incident(1, ALERT_OPEN);
    until_retries(0, 1);
    const int handle = bind_log(case_path("log"));
    const ssize_t length = recv(handle, text, sizeof(text) - 1, 0);

    assert_in_range(length, 1, sizeof(text) - 1);
    text[length] = '\0';
    assert_int_equal(strncmp(text, "<131>Jan  2 03:04:10 netscope-collector[", 40), 0);
    assert_non_null(strstr(text, "]: high syn_flood open: 1500 SYN a second"));
    assert_int_equal(until_nothing_waits(0).sent, 1);
    (void)close(handle);
}

static void a_test_says_of_each_receiver_whether_it_took_it(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;

    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    assert_int_equal(route_send_test(&settings, out, &err), 2);
    servers[1].statuses[1] = 403;
    serve(0);
    serve(1);
    error_clear(&err);
    assert_int_equal(route_send_test(&settings, out, &err), 0);
    (void)fflush(out);
    assert_non_null(strstr(text, "first"));
    assert_null(strstr(text, "failed"));
    assert_int_equal(route_send_test(&settings, out, &err), 1);
    (void)fflush(out);
    assert_non_null(strstr(text, "failed: it answers 403: no"));
    assert_true(servers[0].requests[0].is_json_post);
    assert_int_equal(strlen(servers[0].requests[0].alert_id), 36);
    settings.receivers[0].url = "nowhere";
    assert_int_equal(route_send_test(&settings, out, &err), 2);
    assert_non_null(strstr(err.message, "receivers.first: url: "));
    (void)fclose(out);
    free(text);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)
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
        TEST(an_incident_that_goes_on_in_silence_is_told_again),
        TEST(a_repetition_that_fails_is_tried_again),
        TEST(what_a_silence_hides_is_told_when_it_ends_and_the_incident_goes_on),
        TEST(the_end_of_what_was_told_is_told_though_it_is_silenced),
        TEST(a_silence_that_begins_while_an_alert_waits_holds_it_back),
        TEST(what_is_acknowledged_is_not_repeated_but_its_rise_and_its_end_are_told),
        TEST(what_was_open_in_the_store_is_told_again_after_a_restart),
        TEST(an_incident_of_which_nothing_is_heard_is_told_no_more),
        TEST(what_was_not_delivered_is_delivered_after_a_restart),
        TEST(alerts_survive_a_process_that_is_killed),
        TEST(what_was_delivered_is_not_delivered_after_a_restart),
        TEST(what_waits_is_tried_once_more_at_the_end),
        TEST(what_came_last_is_delivered_before_the_end),
        TEST(a_receiver_that_is_new_begins_with_the_next_alert),
        TEST(a_full_queue_drops_the_oldest_and_counts_them),
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
