/* What tests of a router stand on: settings, servers that take its messages, and waiting with a
 * generous end (30 s, times NETSCOPE_TEST_PATIENCE). A test changes what it is about before
 * bench_start.
 *
 * Depends on: cmocka, collector-ui/route, route_cases, route_server. */
#pragma once

#include "base/error.h"
#include "collector-ui/route/route_internal.h"
#include "route_cases.h"
#include "route_server.h"

struct router_bench {
    struct error err;
    struct route_settings settings;
    struct route_server servers[2]; /* of the first and the second receiver */
    unsigned servers_count;
    struct router *router;
    const struct route_triage *triage; /* NULL: nobody says anything */
};
extern struct router_bench bench;

/* Setup and teardown. */
int router_bench_begin(void **state);
int router_bench_end(void **state);

/* Begins server `i`, and makes it a receiver. */
void bench_serve(unsigned i);
void bench_start(void);
void bench_stop(void);
/* Of receiver `i`. What is counted always adds up, whenever it is looked at. */
struct route_counts bench_counts_of(unsigned i);
void bench_offer(const struct alert_record *alert);
void bench_offer_incident(unsigned number, enum alert_state is);
/* Request `request` of server `i` was of the alert with that number. */
void bench_asked_for(unsigned i, unsigned request, unsigned number);

/* When a wait that begins now is in vain, monotonic. */
uint64_t bench_patience_ends_ns(void);
/* One step of it: 5 ms; fails behind `until_ns`. */
void bench_wait_shortly(uint64_t until_ns, const char *what);
void bench_until_requests(unsigned i, unsigned count);
struct route_counts bench_until_nothing_waits(unsigned i);
void bench_until_retries(unsigned i, uint64_t retries);
void bench_until_repeated(unsigned i, uint64_t repeated);
