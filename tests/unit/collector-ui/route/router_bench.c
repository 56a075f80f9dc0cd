#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "router_bench.h"

#define PATIENCE_NS (30 * NS_PER_SEC)

struct router_bench bench;

int router_bench_begin(void **state)
{
    memset(bench.servers, 0, sizeof(bench.servers));
    bench.settings = (struct route_settings){
        .queue_bytes = 1 << 20, .incidents_max = 64, .forget_ns = 3600 * NS_PER_SEC};
    bench.servers_count = 0;
    bench.router = NULL;
    bench.triage = NULL;
    error_clear(&bench.err);
    return case_directory_make(state);
}

int router_bench_end(void **state)
{
    router_free(bench.router);
    for (unsigned i = 0; i < bench.servers_count; i++) {
        route_server_stop(&bench.servers[i]);
    }
    return case_directory_remove(state);
}

void bench_serve(unsigned i)
{
    static const char *const names[] = {"first", "second"};

    assert_true(route_server_start(&bench.servers[i]));
    bench.servers_count = i + 1;
    bench.settings.names[i] = names[i];
    bench.settings.receivers[i] = case_settings(bench.servers[i].url);
}

void bench_start(void)
{
    bench.router = router_new(&bench.settings, case_path("route"), bench.triage, &bench.err);
    assert_string_equal(bench.err.message, "");
    assert_non_null(bench.router);
}

void bench_stop(void)
{
    router_free(bench.router);
    bench.router = NULL;
}

struct route_counts bench_counts_of(unsigned i)
{
    struct route_counts all[ROUTE_RECEIVERS_MAX];

    assert_true(router_counts(bench.router, all) > i);
    const struct route_counts *c = &all[i];

    assert_string_equal(c->name, bench.settings.names[i]);
    assert_int_equal(c->taken, c->sent + c->passed_over + c->silenced + c->refused + c->expired +
                                   c->dropped + c->waiting);
    return *c;
}

void bench_offer(const struct alert_record *alert)
{
    static uint8_t record[ROUTE_RECORD_BYTES_MAX];

    router_offer(bench.router, record, case_encode(alert, record), clock_wall_ns());
}

void bench_offer_incident(unsigned number, enum alert_state is)
{
    static struct alert_record alert;

    case_alert(&alert, number);
    alert.state = (uint8_t)is;
    bench_offer(&alert);
}

uint64_t bench_patience_ends_ns(void)
{
    const char *factor = getenv("NETSCOPE_TEST_PATIENCE");
    const unsigned long times = factor == NULL ? 1 : strtoul(factor, NULL, 10);

    return clock_monotonic_ns() + PATIENCE_NS * (times > 0 ? times : 1);
}

void bench_wait_shortly(uint64_t until_ns, const char *what)
{
    if (clock_monotonic_ns() >= until_ns) {
        fail_msg("waited in vain: %s", what);
    }
    (void)usleep(5000);
}

void bench_until_requests(unsigned i, unsigned count)
{
    const uint64_t until_ns = bench_patience_ends_ns();

    while (route_server_count(&bench.servers[i]) < count) {
        (void)bench_counts_of(i);
        bench_wait_shortly(until_ns, "requests");
    }
}

struct route_counts bench_until_nothing_waits(unsigned i)
{
    const uint64_t until_ns = bench_patience_ends_ns();
    struct route_counts counts = bench_counts_of(i);

    while (counts.waiting > 0) {
        bench_wait_shortly(until_ns, "an empty queue");
        counts = bench_counts_of(i);
    }
    return counts;
}

void bench_until_retries(unsigned i, uint64_t retries)
{
    const uint64_t until_ns = bench_patience_ends_ns();

    while (bench_counts_of(i).retries < retries) {
        bench_wait_shortly(until_ns, "retries");
    }
}

void bench_asked_for(unsigned i, unsigned request, unsigned number)
{
    char id[37];

    case_alert_id(number, id);
    assert_string_equal(bench.servers[i].requests[request].alert_id, id);
    assert_true(bench.servers[i].requests[request].is_json_post);
}

void bench_until_repeated(unsigned i, uint64_t repeated)
{
    const uint64_t until_ns = bench_patience_ends_ns();

    while (bench_counts_of(i).repeated < repeated) {
        bench_wait_shortly(until_ns, "a repetition");
    }
}
