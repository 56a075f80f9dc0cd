/* Sums by group and time bucket, and pages of records: what they add up to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "collector-ui/history/group_table.h"
#include "proto/codec.h"
#include "tests/unit/collector-ui/history/history_harness.h"

#define SECOND  UINT64_C(1000000000)
#define RECORDS 240
#define SPAN_S  600 /* all made-up records lie in it */

struct asked {
    struct history_aggregate_query query;
    struct history_limits limits;
    struct history_aggregate sums;
    struct history_cost cost;
};

static void run(struct history_reader *reader, void *context)
{
    struct asked *asked = context;

    history_reader_limit(reader, &asked->limits);
    assert_int_equal(history_query_aggregate(reader, &asked->query, &asked->sums), 0);
    history_reader_cost(reader, &asked->cost);
}

static struct asked ask(struct harness *h, struct history_aggregate_query query)
{
    struct asked asked = {.query = query};

    harness_query(h, run, &asked);
    return asked;
}

static struct history_sums total(const struct history_aggregate *sums)
{
    struct history_sums all = {0};

    for (uint32_t i = 0; i < sums->count; i++) {
        all.bytes_forward += sums->rows[i].sums.bytes_forward;
        all.bytes_reverse += sums->rows[i].sums.bytes_reverse;
        all.bytes_in += sums->rows[i].sums.bytes_in;
        all.packets += sums->rows[i].sums.packets;
        all.records += sums->rows[i].sums.records;
        all.new_flows += sums->rows[i].sums.new_flows;
    }
    return all;
}

static uint64_t state = 88172645463325252u;

static uint64_t any(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* Records of odd sizes over odd times, some of no length. */
static void make_records(struct flow_record *flows)
{
    static const char *const apps[] = {"tls", "dns", "http", "smb", "ssh"};

    for (unsigned i = 0; i < RECORDS; i++) {
        const uint64_t end_ns = HARNESS_TIME_NS + (200 + any(SPAN_S - 201)) * SECOND + any(SECOND);
        const char *app = apps[any(5)];

        harness_flow_init(&flows[i], 1 + any(100), end_ns, 1 + any(9));
        flows[i].delta_start_ns = any(4) == 0 ? end_ns : end_ns - any(200 * SECOND);
        flows[i].start_ns = flows[i].delta_start_ns;
        flows[i].app = (struct record_text){app, (uint32_t)strlen(app)};
        flows[i].server.port = (uint16_t)(1 + any(30));
        flows[i].client.ip.bytes[3] = (uint8_t)any(40);
        flows[i].client.scope = SCOPE_INTERNAL;
        flows[i].server.scope = any(2) == 0 ? SCOPE_INTERNAL : SCOPE_EXTERNAL;
        flows[i].forward.delta_bytes = any(100000);
        flows[i].reverse.delta_bytes = any(3);
        flows[i].reverse.delta_packets = flows[i].reverse.total_packets = any(3);
    }
}

static int open_with_records(void **context)
{
    struct harness *h = calloc(1, sizeof(*h));
    struct flow_record *flows = calloc(RECORDS, sizeof(*flows));

    assert_true(h != NULL && flows != NULL);
    harness_open(h);
    harness_close(h);
    h->settings.retention_ns = UINT64_C(100) * 365 * 86400 * SECOND; /* both files stay */
    harness_reopen(h);
    make_records(flows);
    harness_offer_flows(h, "s-1", 1, flows, RECORDS / 2);
    h->receive_ns += 86400 * SECOND; /* the other half in another file */
    harness_offer_flows(h, "s-2", 1, flows + RECORDS / 2, RECORDS / 2);
    harness_wait(h, RECORDS);
    free(flows);
    *context = h;
    return 0;
}

static int close_all(void **context)
{
    harness_remove(*context);
    free(*context);
    return 0;
}

static const struct history_aggregate_query whole = {
    .from_ns = HARNESS_TIME_NS, .to_ns = HARNESS_TIME_NS + SPAN_S * SECOND, .limit = 1000};

struct listed {
    struct history_record_query query;
    struct history_record_page page;
    struct history_cost cost;
};

static void run_page(struct history_reader *reader, void *context)
{
    struct listed *listed = context;

    assert_int_equal(history_query_record_page(reader, &listed->query, &listed->page), 0);
    history_reader_cost(reader, &listed->cost);
}

/* By pages of `page_size`; checks the order. */
static struct history_sums sum_of_records(struct harness *h, bool is_by_bytes, uint32_t page_size)
{
    struct listed listed = {.query = {.from_ns = whole.from_ns,
                                      .to_ns = whole.to_ns,
                                      .is_by_bytes = is_by_bytes,
                                      .page_size = page_size}};
    struct flow_record *flow = calloc(1, sizeof(*flow));
    struct history_record_cursor cursor;
    struct history_sums all = {0};
    uint64_t last = UINT64_MAX;

    assert_non_null(flow);
    do {
        harness_query(h, run_page, &listed);
        assert_int_equal(listed.page.matched, RECORDS);
        for (uint64_t i = 0; i < listed.page.records.count; i++) {
            const struct history_bytes *record = &listed.page.records.items[i];

            assert_true(codec_decode_flow(record->bytes, record->length, flow));
            const uint64_t bytes = flow->forward.delta_bytes + flow->reverse.delta_bytes;

            all.bytes_forward += flow->forward.delta_bytes;
            all.bytes_reverse += flow->reverse.delta_bytes;
            all.packets += flow->forward.delta_packets + flow->reverse.delta_packets;
            all.records++;
            assert_true((is_by_bytes ? bytes : flow->end_ns) <= last);
            last = is_by_bytes ? bytes : flow->end_ns;
        }
        cursor = listed.page.last;
        listed.query.after = &cursor;
        history_record_page_fini(&listed.page);
    } while (listed.page.has_more);
    free(flow);
    return all;
}

static void expect_equal(const struct history_sums *a, const struct history_sums *b)
{
    assert_int_equal(a->bytes_forward, b->bytes_forward);
    assert_int_equal(a->bytes_reverse, b->bytes_reverse);
    assert_int_equal(a->packets, b->packets);
    assert_int_equal(a->records, b->records);
}

static void pages_of_any_size_and_order_hold_each_record_once(void **context)
{
    static const uint32_t sizes[] = {1, 7, 60, 1000};
    const struct history_sums first = sum_of_records(*context, false, 1000);

    assert_int_equal(first.records, RECORDS);
    for (unsigned i = 0; i < 4; i++) {
        const struct history_sums by_end = sum_of_records(*context, false, sizes[i]);
        const struct history_sums by_bytes = sum_of_records(*context, true, sizes[i]);

        expect_equal(&by_end, &first);
        expect_equal(&by_bytes, &first);
    }
}

static void sums_over_any_grouping_and_step_are_those_of_the_records(void **context)
{
    static const uint64_t steps_ns[] = {0,           SECOND / 7,   SECOND,       7 * SECOND,
                                        60 * SECOND, 599 * SECOND, 600 * SECOND, 3600 * SECOND};
    const struct history_sums records = sum_of_records(*context, false, 1000);

    for (unsigned n = 0; n < 200; n++) {
        struct history_aggregate_query query = whole;

        query.step_ns = steps_ns[any(8)];
        query.limit = (uint32_t)(1 + any(n % 2 == 0 ? 3 : 1000));
        query.by_count = (uint32_t)any(HISTORY_DIMENSIONS_MAX + 1);
        for (uint32_t i = 0; i < query.by_count; i++) {
            query.by[i] = (enum history_dimension)((any(3) + 3 * i) % DIMENSION_COUNT);
        }
        struct asked asked = ask(*context, query);
        const struct history_sums all = total(&asked.sums);

        assert_false(asked.sums.is_full);
        assert_int_equal(asked.sums.matched, RECORDS);
        expect_equal(&all, &records);
        for (uint32_t i = 1; i < asked.sums.count; i++) {
            assert_true(asked.sums.rows[i - 1].start_ns <= asked.sums.rows[i].start_ns);
        }
        history_aggregate_fini(&asked.sums);
    }
}

/* What lies in a range does not depend on how the range is cut. */
static void ranges_that_join_add_up(void **context)
{
    struct asked asked = ask(*context, whole);
    const struct history_sums all = total(&asked.sums);

    history_aggregate_fini(&asked.sums);
    for (unsigned n = 0; n < 40; n++) {
        const uint64_t cut_ns = whole.from_ns + 1 + any(whole.to_ns - whole.from_ns - 1);
        struct history_aggregate_query before = whole, behind = whole;

        before.to_ns = behind.from_ns = cut_ns;
        before.step_ns = any(2) * 10 * SECOND;
        struct asked first = ask(*context, before), second = ask(*context, behind);
        struct history_sums sum = total(&first.sums);
        const struct history_sums rest = total(&second.sums);

        sum.bytes_forward += rest.bytes_forward;
        sum.bytes_reverse += rest.bytes_reverse;
        sum.packets += rest.packets;
        sum.records += rest.records;
        expect_equal(&sum, &all);
        assert_int_equal(sum.new_flows + rest.new_flows, all.new_flows);
        assert_int_equal(sum.bytes_in + rest.bytes_in, all.bytes_in);
        history_aggregate_fini(&first.sums);
        history_aggregate_fini(&second.sums);
    }
}

static void a_record_is_spread_over_the_time_that_it_covers(void **context)
{
    struct harness h;
    struct flow_record flow;

    (void)context;
    harness_open(&h);
    harness_flow_init(&flow, 1, HARNESS_TIME_NS + 30 * SECOND - 1, 1000);
    flow.start_ns = flow.delta_start_ns = HARNESS_TIME_NS;
    flow.forward.delta_bytes = 3001;
    harness_offer_flows(&h, "s-1", 1, &flow, 1);
    harness_wait(&h, 1);
    struct history_aggregate_query query = whole;

    query.step_ns = 10 * SECOND;
    struct asked asked = ask(&h, query);

    assert_int_equal(asked.sums.count, 3);
    assert_int_equal(asked.sums.rows[0].sums.bytes_forward, 1000);
    assert_int_equal(asked.sums.rows[1].sums.bytes_forward, 1000);
    assert_int_equal(asked.sums.rows[2].sums.bytes_forward, 1001); /* with the remainder */
    assert_int_equal(asked.sums.rows[0].sums.packets, 333);
    assert_int_equal(asked.sums.rows[2].sums.packets, 334);
    assert_int_equal(asked.sums.rows[0].sums.records, 0);
    assert_int_equal(asked.sums.rows[2].sums.records, 1); /* where it ends */
    assert_int_equal(asked.sums.rows[0].sums.new_flows, 1);
    assert_int_equal(asked.sums.rows[1].start_ns, HARNESS_TIME_NS + 10 * SECOND);
    history_aggregate_fini(&asked.sums);
    query.from_ns += 5 * SECOND; /* the first bucket has what is left of it */
    asked = ask(&h, query);
    assert_int_equal(asked.sums.rows[0].sums.bytes_forward, 500);
    assert_int_equal(asked.sums.rows[0].start_ns, HARNESS_TIME_NS);
    history_aggregate_fini(&asked.sums);
    harness_remove(&h);
}

static void a_time_that_cannot_be_stays_at_the_end(void **context)
{
    struct harness h;
    struct flow_record flows[2];

    (void)context;
    harness_open(&h);
    harness_flow_init(&flows[0], 1, HARNESS_TIME_NS + 30 * SECOND, 10);
    harness_flow_init(&flows[1], 2, HARNESS_TIME_NS + 40 * SECOND, 10);
    flows[0].delta_start_ns = HARNESS_TIME_NS + 50 * SECOND; /* behind its end */
    flows[1].delta_start_ns = 0;
    harness_offer_flows(&h, "s-1", 1, flows, 2);
    harness_wait(&h, 2);
    struct history_aggregate_query query = whole;

    query.step_ns = SECOND;
    struct asked asked = ask(&h, query);

    assert_int_equal(total(&asked.sums).packets, 20);
    assert_int_equal(asked.sums.rows[0].start_ns, HARNESS_TIME_NS + 29 * SECOND); /* it began */
    assert_int_equal(asked.sums.rows[asked.sums.count - 1].sums.packets, 10);
    history_aggregate_fini(&asked.sums);
    harness_remove(&h);
}

static void the_largest_keep_their_names_and_the_rest_is_one_row(void **context)
{
    struct history_aggregate_query query = whole;

    query.by[0] = DIMENSION_SERVER_PORT;
    query.by[1] = DIMENSION_SENSOR;
    query.by_count = 2;
    struct asked all = ask(*context, query);

    query.limit = 3;
    struct asked top = ask(*context, query);

    assert_int_equal(top.sums.count, 4);
    assert_int_equal(top.sums.groups, all.sums.count);
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(top.sums.rows[i].key, all.sums.rows[i].key);
        assert_int_equal(top.sums.rows[i].sums.bytes_forward, all.sums.rows[i].sums.bytes_forward);
    }
    assert_null(top.sums.rows[3].key);
    const char *const sensor = top.sums.rows[0].key + strlen(top.sums.rows[0].key) + 1;

    assert_true(strcmp(sensor, "s-1") == 0 || strcmp(sensor, "s-2") == 0);
    const struct history_sums a = total(&all.sums), b = total(&top.sums);

    expect_equal(&a, &b);
    history_aggregate_fini(&all.sums);
    history_aggregate_fini(&top.sums);
}

static void a_filter_chooses_before_the_sums(void **context)
{
    struct error err = {0};
    struct history_aggregate_query query = whole;
    struct filter *filter = filter_compile("app = tls", 9, &err, NULL);

    assert_non_null(filter);
    query.by[0] = DIMENSION_APPLICATION;
    query.by_count = 1;
    struct asked all = ask(*context, query);

    query.filter = filter;
    struct asked one = ask(*context, query);

    assert_int_equal(one.sums.count, 1);
    assert_string_equal(one.sums.rows[0].key, "tls");
    for (uint32_t i = 0; i < all.sums.count; i++) {
        if (strcmp(all.sums.rows[i].key, "tls") == 0) {
            expect_equal(&all.sums.rows[i].sums, &one.sums.rows[0].sums);
        }
    }
    history_aggregate_fini(&all.sums);
    history_aggregate_fini(&one.sums);
    filter_free(filter);
}

static void values_are_what_a_filter_takes(void **context)
{
    static const struct {
        enum history_dimension by;
        const char *value;
    } wanted[] = {{DIMENSION_PROTOCOL, "tcp"},
                  {DIMENSION_IP_VERSION, "4"},
                  {DIMENSION_SERVER, "192.0.2.1"},
                  {DIMENSION_SERVER_NAME, "example.org"},
                  {DIMENSION_VLAN, ""},
                  {DIMENSION_SENSOR, "s-1"},
                  {DIMENSION_DIRECTION, "outbound"},
                  {DIMENSION_DIRECTION, "internal"}};

    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct history_aggregate_query query = whole;
        bool is_found = false;

        query.by[0] = wanted[i].by;
        query.by_count = 1;
        struct asked asked = ask(*context, query);

        for (uint32_t n = 0; n < asked.sums.count; n++) {
            is_found |= strcmp(asked.sums.rows[n].key, wanted[i].value) == 0;
        }
        if (!is_found) {
            fail_msg("%s: no %s, but %s", history_dimension_name(wanted[i].by), wanted[i].value,
                     asked.sums.rows[0].key);
        }
        history_aggregate_fini(&asked.sums);
    }
}

/* More groups than are held: the whole is exact, and the answer says what is not. */
static void what_has_no_room_is_among_the_others_and_told(void **context)
{
    struct harness h;

    (void)context;
    harness_open(&h);
    harness_close(&h);
    h.settings.query_groups = 16;
    harness_reopen(&h);
    harness_flows(&h, "s-1", 1, 500, 0x100, 10); /* of as many clients' ports: none is a key */
    struct flow_record *flows = calloc(200, sizeof(*flows));

    assert_non_null(flows);
    for (unsigned i = 0; i < 200; i++) {
        harness_flow_init(&flows[i], 0x9000 + i, HARNESS_TIME_NS + 50 * SECOND, 2);
        flows[i].server.port = (uint16_t)(1000 + i);
    }
    harness_offer_flows(&h, "s-1", 501, flows, 200);
    harness_wait(&h, 700);
    struct history_aggregate_query query = whole;

    query.by[0] = DIMENSION_SERVER_PORT;
    query.by_count = 1;
    struct asked asked = ask(&h, query);

    assert_true(asked.sums.is_full);
    assert_int_equal(asked.sums.groups, 16);
    assert_int_equal(asked.sums.groups_max, 16);
    assert_int_equal(total(&asked.sums).packets, 500 * 501 / 2 + 400);
    assert_null(asked.sums.rows[asked.sums.count - 1].key);
    history_aggregate_fini(&asked.sums);
    free(flows);
    harness_remove(&h);
}

static bool is_wanted(void *context)
{
    (void)context;
    return false;
}

static void run_unwanted(struct history_reader *reader, void *context)
{
    struct asked *asked = context;
    struct listed listed = {.query = {.to_ns = whole.to_ns, .page_size = 10}};

    history_reader_limit(reader, &(struct history_limits){.is_wanted = is_wanted});
    assert_int_equal(history_query_aggregate(reader, &whole, &asked->sums), -ECANCELED);
    assert_int_equal(history_query_record_page(reader, &listed.query, &listed.page), -ECANCELED);
    history_aggregate_fini(&asked->sums);
    history_record_page_fini(&listed.page);
}

static void a_question_that_nobody_waits_for_is_not_asked(void **context)
{
    struct harness *h = *context;
    struct history_counts before, after = {0};
    struct asked asked = {.query = whole};

    history_counts_read(h->history, &before);
    harness_query(h, run_unwanted, &asked);
    harness_query(h, run, &asked); /* so that the one before has been counted */
    history_aggregate_fini(&asked.sums);
    asked.limits.rows_max = 20;
    harness_query(h, run, &asked);
    history_aggregate_fini(&asked.sums);
    for (unsigned i = 0; i < 500; i++) {
        history_counts_read(h->history, &after);
        if (after.queries >= before.queries + 3) {
            break;
        }
        (void)nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    assert_int_equal(after.queries_cancelled, before.queries_cancelled + 1);
    assert_int_equal(after.queries_partial, before.queries_partial + 1);
}

static void the_times_of_the_last_questions_are_told(void **context)
{
    struct harness *h = *context;
    struct history_query_times times = {0};
    struct history_counts counts;

    for (unsigned i = 0; i < 300; i++) {
        struct asked asked = {.query = whole};

        harness_query(h, run, &asked);
        history_aggregate_fini(&asked.sums);
    }
    do { /* the last one is counted behind its answer */
        history_query_times_read(h->history, &times);
        history_counts_read(h->history, &counts);
    } while (times.running > 0);
    assert_true(counts.queries >= 300);
    assert_int_equal(times.measured, 256);
    assert_int_equal(times.running_max, 2);
    assert_int_equal(times.waiting, 0);
    assert_true(times.p50_ns > 0 && times.p50_ns <= times.p95_ns && times.p95_ns <= times.p99_ns &&
                times.p99_ns <= times.longest_ns);
}

static void days_are_told_with_their_bytes_and_times(void **context)
{
    struct harness *h = *context;
    struct history_day days[8];
    uint64_t retention_ns = 0, retention_bytes = 0;

    assert_int_equal(history_days(h->history, days, 8), 2); /* half of the records a day later */
    assert_int_equal(days[0].day, HARNESS_TIME_NS / SECOND / 86400);
    assert_int_equal(days[1].day, days[0].day + 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(days[i].bytes > 0);
        assert_true(days[i].from_ns <= days[i].to_ns && days[i].from_ns >= HARNESS_TIME_NS);
    }
    assert_int_equal(history_days(h->history, days, 1), 1);
    assert_int_equal(days[0].day, HARNESS_TIME_NS / SECOND / 86400 + 1); /* the newest */
    history_retention(h->history, &retention_ns, &retention_bytes);
    assert_int_equal(retention_ns, h->settings.retention_ns);
}

static void a_bound_of_rows_is_told_by_its_name(void **context)
{
    struct asked asked = {.query = whole, .limits = {.rows_max = 20}};

    harness_query(*context, run, &asked);
    assert_true(asked.cost.is_partial);
    assert_string_equal(asked.cost.bound, "store.query_rows");
    assert_true(asked.sums.matched > 0 && asked.sums.matched < RECORDS);
    history_aggregate_fini(&asked.sums);
}

static void keys_have_numbers_until_there_is_no_room(void **context)
{
    struct group_table table;
    size_t length;
    char key[16];

    (void)context;
    assert_true(group_table_init(&table, 1000, 1 << 20));
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            const int bytes = snprintf(key, sizeof(key), "%u", i);

            assert_int_equal(group_table_find(&table, key, (size_t)bytes), i);
        }
    }
    assert_int_equal(group_table_find(&table, "one more", 8), GROUP_NONE);
    assert_memory_equal(group_table_key(&table, 999, &length), "999", 3);
    assert_int_equal(length, 3);
    group_table_fini(&table);
    assert_true(group_table_init(&table, 1000, 4));
    assert_int_equal(group_table_find(&table, "abc", 3), 0);
    assert_int_equal(group_table_find(&table, "de", 2), GROUP_NONE);
    assert_int_equal(group_table_find(&table, "", 0), 1);
    group_table_fini(&table);
}

static void buckets_of_a_range_are_counted(void **context)
{
    (void)context;
    assert_int_equal(history_buckets(5, 6, 0), 1);
    assert_int_equal(history_buckets(0, 10, 10), 1);
    assert_int_equal(history_buckets(0, 11, 10), 2);
    assert_int_equal(history_buckets(9, 11, 10), 2);
    assert_int_equal(history_buckets(10, 20, 10), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_any_size_and_order_hold_each_record_once),
        cmocka_unit_test(sums_over_any_grouping_and_step_are_those_of_the_records),
        cmocka_unit_test(ranges_that_join_add_up),
        cmocka_unit_test(a_record_is_spread_over_the_time_that_it_covers),
        cmocka_unit_test(a_time_that_cannot_be_stays_at_the_end),
        cmocka_unit_test(the_largest_keep_their_names_and_the_rest_is_one_row),
        cmocka_unit_test(a_filter_chooses_before_the_sums),
        cmocka_unit_test(values_are_what_a_filter_takes),
        cmocka_unit_test(what_has_no_room_is_among_the_others_and_told),
        cmocka_unit_test(a_question_that_nobody_waits_for_is_not_asked),
        cmocka_unit_test(a_bound_of_rows_is_told_by_its_name),
        cmocka_unit_test(the_times_of_the_last_questions_are_told),
        cmocka_unit_test(days_are_told_with_their_bytes_and_times),
        cmocka_unit_test(keys_have_numbers_until_there_is_no_room),
        cmocka_unit_test(buckets_of_a_range_are_counted),
    };

    return cmocka_run_group_tests(tests, open_with_records, close_all);
}
