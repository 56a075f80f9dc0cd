/* Which rows a range is answered from: all that it needs, whichever way to them is taken, and
 * whoever wrote them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/unit/collector-ui/history/history_harness.h"

#define SECOND UINT64_C(1000000000)
#define FLOWS  2000U
#define DAY_S  86400U
#define ROUNDS 60U

struct store {
    struct harness h;
    struct flow_record flows[FLOWS];
};

static uint64_t state = UINT64_C(88172645463325252);

static uint64_t any(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* Over a day, mostly in order of time and short. Some come late, some tell of hours, a few have no
 * begin or live since the day before. */
static void make_flow(struct flow_record *flow, uint32_t number)
{
    const uint64_t in_order_ns = (uint64_t)number * DAY_S * SECOND / FLOWS + any(SECOND);
    const uint64_t at_ns = any(20) == 0 ? any(DAY_S * SECOND) : in_order_ns;
    const uint64_t length_ns = any(50) == 0 ? any(4 * 3600 * SECOND) : any(10 * SECOND);

    harness_flow_init(flow, number + 1, HARNESS_TIME_NS + at_ns, 1 + any(90));
    flow->event = any(3) == 0 ? FLOW_UPDATE : FLOW_END;
    flow->start_ns = flow->end_ns - length_ns;
    flow->delta_start_ns = any(40) == 0 ? 0 : flow->start_ns;
    if (any(10) == 0) {
        flow->start_ns = flow->end_ns - length_ns - any(12 * 3600 * SECOND);
        flow->forward.total_packets++; /* not its first record */
    }
    flow->tcp.is_measured = true;
    (void)snprintf(flow->tcp.conn_state, sizeof(flow->tcp.conn_state), "%s",
                   any(4) == 0 ? "S0" : "SF");
}

static int set_up(void **context)
{
    struct store *const store = calloc(1, sizeof(*store));

    assert_non_null(store);
    harness_open(&store->h);
    store->h.receive_ns = HARNESS_TIME_NS + 86000 * SECOND; /* one file has all */
    for (uint32_t i = 0; i < FLOWS; i++) {
        make_flow(&store->flows[i], i);
    }
    for (uint32_t i = 0; i < FLOWS; i += 500) {
        harness_offer_flows(&store->h, "edge-1", i + 1, &store->flows[i], 500);
    }
    harness_wait(&store->h, FLOWS);
    *context = store;
    return 0;
}

static int tear_down(void **context)
{
    struct store *const store = *context;

    harness_remove(&store->h);
    free(store);
    return 0;
}

/* ---- questions ---- */

struct sums_asked {
    uint64_t from_ns, to_ns;
    struct history_sums sums;
    uint64_t scanned;
};

static void run_sums(struct history_reader *reader, void *context)
{
    struct sums_asked *const asked = context;
    struct history_aggregate out;
    struct history_cost cost;
    const struct history_aggregate_query query = {
        .from_ns = asked->from_ns, .to_ns = asked->to_ns, .limit = 10, .wants_quality = true};

    assert_int_equal(history_query_aggregate(reader, &query, &out), 0);
    for (uint32_t i = 0; i < out.count; i++) {
        history_sums_add(&asked->sums, &out.rows[i].sums);
    }
    history_reader_cost(reader, &cost);
    assert_false(cost.is_partial);
    asked->scanned = cost.scanned;
    history_aggregate_fini(&out);
}

static struct history_sums sums_of(struct harness *h, uint64_t from_ns, uint64_t to_ns)
{
    struct sums_asked asked = {.from_ns = from_ns, .to_ns = to_ns};

    harness_query(h, run_sums, &asked);
    return asked.sums;
}

struct flows_asked {
    uint64_t from_ns, to_ns, matched;
};

static void run_flows(struct history_reader *reader, void *context)
{
    struct flows_asked *const asked = context;
    struct history_flows out;
    const struct history_flows_query query = {
        .from_ns = asked->from_ns, .to_ns = asked->to_ns, .page_size = 1};

    assert_int_equal(history_query_flows(reader, &query, &out), 0);
    asked->matched = out.matched;
    history_flows_fini(&out);
}

struct page_asked {
    struct history_record_query query;
    struct history_record_page page;
};

static void run_page(struct history_reader *reader, void *context)
{
    struct page_asked *const asked = context;

    assert_int_equal(history_query_record_page(reader, &asked->query, &asked->page), 0);
}

/* ---- what must hold ---- */

static void assert_same(const struct history_sums *a, const struct history_sums *b)
{
    assert_int_equal(a->bytes_forward, b->bytes_forward);
    assert_int_equal(a->packets, b->packets);
    assert_int_equal(a->records, b->records);
    assert_int_equal(a->new_flows, b->new_flows);
    assert_int_equal(a->ended, b->ended);
    assert_int_equal(a->failed, b->failed);
}

/* Ranges of all lengths that join have together what the whole has, and that is all. */
static void ranges_that_join_have_everything(struct store *store)
{
    const uint64_t first_ns = HARNESS_TIME_NS - 2 * DAY_S * SECOND;
    const uint64_t last_ns = HARNESS_TIME_NS + 2 * DAY_S * SECOND;
    const struct history_sums whole = sums_of(&store->h, first_ns, last_ns);
    uint64_t packets = 0;

    for (uint32_t i = 0; i < FLOWS; i++) {
        packets += store->flows[i].forward.delta_packets;
    }
    assert_int_equal(whole.records, FLOWS);
    assert_int_equal(whole.packets, packets);
    assert_true(whole.failed > 0 && whole.failed < whole.ended);
    for (unsigned round = 0; round < 4; round++) {
        struct history_sums parts = {0};

        for (uint64_t at_ns = first_ns; at_ns < last_ns;) {
            const uint64_t length_ns = 1 + any(round % 2 == 0 ? 3600 * SECOND : 8 * 3600 * SECOND);
            const uint64_t to_ns = at_ns + length_ns < last_ns ? at_ns + length_ns : last_ns;
            const struct history_sums part = sums_of(&store->h, at_ns, to_ns);

            history_sums_add(&parts, &part);
            at_ns = to_ns;
        }
        assert_same(&parts, &whole);
    }
}

static bool touches(const struct flow_record *flow, uint64_t from_ns, uint64_t to_ns)
{
    return flow->end_ns >= from_ns && flow->start_ns < to_ns;
}

static void flows_of_a_range_are_those_that_touch_it(struct store *store)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        const uint64_t from_ns = HARNESS_TIME_NS + any(DAY_S * SECOND);
        struct flows_asked asked = {.from_ns = from_ns, .to_ns = from_ns + 1 + any(3600 * SECOND)};
        uint64_t expected = 0;

        for (uint32_t i = 0; i < FLOWS; i++) {
            expected += touches(&store->flows[i], asked.from_ns, asked.to_ns);
        }
        harness_query(&store->h, run_flows, &asked);
        assert_int_equal(asked.matched, expected);
    }
}

static void pages_have_each_record_of_a_range_once(struct store *store)
{
    const uint64_t from_ns = HARNESS_TIME_NS + 20000 * SECOND, to_ns = from_ns + 30000 * SECOND;
    struct history_record_cursor after;
    struct page_asked asked = {.query = {.from_ns = from_ns, .to_ns = to_ns, .page_size = 37}};
    uint64_t expected = 0, seen = 0;
    int64_t last = INT64_MAX;

    for (uint32_t i = 0; i < FLOWS; i++) {
        expected += store->flows[i].end_ns >= from_ns && store->flows[i].end_ns < to_ns;
    }
    do {
        harness_query(&store->h, run_page, &asked);
        assert_int_equal(asked.page.matched, expected);
        assert_true(asked.page.last.key <= last);
        last = asked.page.last.key;
        seen += asked.page.records.count;
        after = asked.page.last;
        asked.query.after = &after;
        history_record_page_fini(&asked.page);
    } while (asked.page.has_more);
    assert_int_equal(seen, expected);
}

static void everything_holds(struct store *store)
{
    ranges_that_join_have_everything(store);
    flows_of_a_range_are_those_that_touch_it(store);
    pages_have_each_record_of_a_range_once(store);
}

static void a_range_is_answered_whole(void **context)
{
    struct store *const store = *context;

    everything_holds(store);
    harness_close(&store->h);
    harness_reopen(&store->h); /* what a file's longest records are is read from it */
    everything_holds(store);
}

/* A file as another version left it. */
static void change_file(struct store *store, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;

    harness_close(&store->h);
    (void)snprintf(path, sizeof(path), "%s/day-2026-03-02.db", store->h.directory);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_true(sqlite3_total_changes(db) > 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    harness_reopen(&store->h);
}

static void a_file_of_an_earlier_version_is_answered_whole(void **context)
{
    struct store *const store = *context;

    change_file(store, "DELETE FROM meta WHERE key IN ('delta_max_ns', 'life_max_ns',"
                       " 'rows_measured'); UPDATE flows SET failed = NULL");
    everything_holds(store);
}

/* One record tells of more than any that this version has seen. */
static void rows_that_an_earlier_version_added_count(void **context)
{
    struct store *const store = *context;

    change_file(store, "UPDATE meta SET value = value + 1 WHERE key = 'rows_flows';"
                       "UPDATE flows SET delta_start_ns = end_ns - 80000000000000,"
                       " start_ns = end_ns - 80000000000000 WHERE seq IN (1500, 1700, 1900)");
    for (uint32_t i = 1500; i <= 1900; i += 200) {
        store->flows[i - 1].start_ns = store->flows[i - 1].end_ns - 80000 * SECOND;
    }
    everything_holds(store);
}

static void a_short_range_looks_at_few_rows(void **context)
{
    struct store *const store = *context;
    struct sums_asked asked = {.from_ns = HARNESS_TIME_NS + 20000 * SECOND,
                               .to_ns = HARNESS_TIME_NS + 21000 * SECOND};

    harness_query(&store->h, run_sums, &asked);
    assert_true(asked.scanned >= asked.sums.records);
    assert_true(asked.scanned <
                FLOWS / 2); /* the longest tells of four hours, sixteen come behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_range_is_answered_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_of_an_earlier_version_is_answered_whole, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(rows_that_an_earlier_version_added_count, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_short_range_looks_at_few_rows, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
