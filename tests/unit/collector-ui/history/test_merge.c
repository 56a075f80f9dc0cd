/* A flow that several sensors saw, in the answers of the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "netscope/v1/flow.pb-c.h"
#include "tests/unit/collector-ui/history/history_harness.h"

#define SECOND  UINT64_C(1000000000)
#define RANGE_S 3600

static void open_store(struct harness *h)
{
    harness_open(h);
    harness_close(h);
    h->settings.merge_tolerance_ns = SECOND;
    harness_reopen(h);
}

/* A flow of `packets` packets of 100 bytes from `at_s` to two seconds later, under a name that all
 * sensors have for it. */
static struct flow_record flow_of(const char *community, uint64_t id, uint64_t at_s,
                                  uint64_t packets)
{
    struct flow_record flow;

    harness_flow_init(&flow, id, HARNESS_TIME_NS + (at_s + 2) * SECOND, packets);
    flow.start_ns = flow.delta_start_ns = HARNESS_TIME_NS + at_s * SECOND;
    flow.community_id = (struct record_text){community, (uint32_t)strlen(community)};
    return flow;
}

static void offer(struct harness *h, const char *sensor, uint64_t seq, struct flow_record flow)
{
    harness_offer_flows(h, sensor, seq, &flow, 1);
}

/* ---- questions ---- */

struct asked {
    struct history_aggregate_query query;
    struct history_limits limits;
    struct history_aggregate sums;
    struct history_cost cost;
};

static void run_sums(struct history_reader *reader, void *context)
{
    struct asked *const asked = context;

    history_reader_limit(reader, &asked->limits);
    assert_int_equal(history_query_aggregate(reader, &asked->query, &asked->sums), 0);
    history_reader_cost(reader, &asked->cost);
}

static struct filter *filter_of(const char *text)
{
    struct error err = {0};
    uint32_t position;
    struct filter *const filter = filter_compile(text, strlen(text), &err, &position);

    if (filter == NULL) {
        fail_msg("%s: %s", text, err.message);
    }
    return filter;
}

static const struct history_aggregate_query whole = {
    .from_ns = HARNESS_TIME_NS, .to_ns = HARNESS_TIME_NS + RANGE_S * SECOND, .limit = 1000};

/* Packets of all rows. */
static uint64_t packets_of(struct harness *h, struct history_aggregate_query query,
                           const char *text, struct history_cost *cost)
{
    AUTO(filter) filter = filter_of(text);
    struct asked asked = {.query = query};
    uint64_t packets = 0;

    asked.query.filter = filter;
    harness_query(h, run_sums, &asked);
    for (uint32_t i = 0; i < asked.sums.count; i++) {
        packets += asked.sums.rows[i].sums.packets;
    }
    if (cost != NULL) {
        *cost = asked.cost;
    }
    history_aggregate_fini(&asked.sums);
    return packets;
}

static uint64_t merged(struct harness *h, const char *text)
{
    struct history_cost cost;
    const uint64_t packets = packets_of(h, whole, text, &cost);

    assert_true(cost.is_merged);
    assert_null(cost.merge_bound);
    return packets;
}

static uint64_t all(struct harness *h, const char *text)
{
    struct history_aggregate_query query = whole;
    struct history_cost cost;

    query.is_all = true;
    const uint64_t packets = packets_of(h, query, text, &cost);

    assert_false(cost.is_merged);
    return packets;
}

struct listed {
    struct history_flows_query query;
    struct history_flows flows;
};

static void run_flows(struct history_reader *reader, void *context)
{
    struct listed *const listed = context;

    assert_int_equal(history_query_flows(reader, &listed->query, &listed->flows), 0);
}

static struct history_flows list(struct harness *h, bool is_all)
{
    struct listed listed = {.query = {.from_ns = whole.from_ns,
                                      .to_ns = whole.to_ns,
                                      .page_size = 100,
                                      .wants_facets = true,
                                      .is_all = is_all}};

    harness_query(h, run_flows, &listed);
    return listed.flows;
}

struct paged {
    struct history_record_query query;
    struct history_record_page page;
};

static void run_page(struct history_reader *reader, void *context)
{
    struct paged *const paged = context;

    assert_int_equal(history_query_record_page(reader, &paged->query, &paged->page), 0);
}

static uint64_t records_of(struct harness *h, bool is_all)
{
    struct paged paged = {
        .query = {
            .from_ns = whole.from_ns, .to_ns = whole.to_ns, .page_size = 100, .is_all = is_all}};

    harness_query(h, run_page, &paged);
    const uint64_t matched = paged.page.matched;

    assert_int_equal(paged.page.records.count, matched);
    history_record_page_fini(&paged.page);
    return matched;
}

struct grouped {
    struct history_groups_query query;
    struct history_groups groups;
};

static void run_groups(struct history_reader *reader, void *context)
{
    struct grouped *const grouped = context;

    assert_int_equal(history_query_groups(reader, &grouped->query, &grouped->groups), 0);
}

/* ---- tests ---- */

static void a_flow_of_two_sensors_counts_once(void **context)
{
    struct harness h;

    (void)context;
    open_store(&h);
    offer(&h, "a", 1, flow_of("1:x", 1, 10, 100));
    offer(&h, "b", 1, flow_of("1:x", 7, 10, 90));
    offer(&h, "b", 2, flow_of("1:only-b", 8, 20, 5));
    harness_wait(&h, 3);
    assert_int_equal(merged(&h, ""), 105);
    assert_int_equal(all(&h, ""), 195);
    assert_int_equal(merged(&h, "sensor = b"), 95); /* what it saw itself */
    assert_int_equal(merged(&h, "NOT sensor = a"), 95);
    assert_int_equal(merged(&h, "sensor = a OR sensor = b"), 105);
    assert_int_equal(records_of(&h, false), 2);
    assert_int_equal(records_of(&h, true), 3);
    harness_remove(&h);
}

static void where_sensors_are_groups_each_has_what_it_saw(void **context)
{
    struct history_aggregate_query query = whole;
    struct grouped grouped = {
        .query = {.from_ns = whole.from_ns, .to_ns = whole.to_ns, .limit = 10}};
    struct history_cost cost;
    struct harness h;

    (void)context;
    open_store(&h);
    offer(&h, "a", 1, flow_of("1:x", 1, 10, 100));
    offer(&h, "b", 1, flow_of("1:x", 7, 10, 90));
    harness_wait(&h, 2);
    query.by[0] = DIMENSION_SENSOR;
    query.by_count = 1;
    assert_int_equal(packets_of(&h, query, "", &cost), 190);
    assert_false(cost.is_merged);
    grouped.query.group = GROUP_SENSOR;
    harness_query(&h, run_groups, &grouped);
    assert_int_equal(grouped.groups.count, 2);
    history_groups_fini(&grouped.groups);
    grouped.query.group = GROUP_APPLICATION;
    harness_query(&h, run_groups, &grouped);
    assert_int_equal(grouped.groups.rows[0].packets, 100);
    assert_int_equal(grouped.groups.rows[0].flows, 1);
    history_groups_fini(&grouped.groups);
    harness_remove(&h);
}

static void a_list_names_who_saw_a_flow(void **context)
{
    struct harness h;

    (void)context;
    open_store(&h);
    struct flow_record flow = flow_of("1:x", 1, 10, 100);

    flow.tcp.is_measured = true;
    flow.tcp.client_rtt = (struct flow_round_trip){.ewma_ns = 3000000, .samples = 1};
    flow.forward.missed_bytes = 1400;
    offer(&h, "a", 1, flow);
    offer(&h, "b", 1, flow_of("1:x", 7, 10, 90));
    harness_wait(&h, 2);
    struct history_flows flows = list(&h, false);

    assert_int_equal(flows.matched, 1);
    assert_int_equal(flows.records.count, 1);
    assert_int_equal(flows.facets_count[FACET_SENSOR], 2);
    assert_int_equal(flows.facets[FACET_APP][0].bytes, 9000);
    Netscope__V1__FlowRecord *const record = netscope__v1__flow_record__unpack(
        NULL, flows.records.items[0].length, flows.records.items[0].bytes);

    assert_non_null(record);
    assert_string_equal(record->sensor_id, "b"); /* nothing is missing from its figures */
    assert_int_equal(record->n_observers, 2);
    assert_string_equal(record->observers[0]->sensor_id, "b");
    assert_string_equal(record->observers[0]->flow_id, "0000000000000007");
    assert_true(record->observers[0]->primary);
    assert_null(record->observers[0]->rtt);
    assert_string_equal(record->observers[1]->sensor_id, "a");
    assert_false(record->observers[1]->primary);
    assert_int_equal(record->observers[1]->total_bytes, 10000);
    assert_int_equal(record->observers[1]->total_packets, 100);
    assert_int_equal(record->observers[1]->missed_bytes, 1400);
    assert_int_equal(record->observers[1]->rtt->nanos, 3000000);
    assert_int_equal(record->observers[1]->first_time->seconds, HARNESS_TIME_NS / SECOND + 10);
    netscope__v1__flow_record__free_unpacked(record, NULL);
    history_flows_fini(&flows);
    flows = list(&h, true);
    assert_int_equal(flows.matched, 2);
    history_flows_fini(&flows);
    harness_remove(&h);
}

struct found {
    uint64_t flow_id;
    const char *sensor_id;
    struct history_bytes record;
    bool is_found;
};

static void run_flow(struct history_reader *reader, void *context)
{
    struct found *const found = context;

    found->is_found = history_query_flow(reader, found->flow_id, found->sensor_id, &found->record);
    if (found->is_found) {
        assert_int_equal(history_query_observers(reader, &found->record), 0);
    }
}

static void one_flow_names_who_saw_it_whichever_is_asked_for(void **context)
{
    static const struct {
        uint64_t flow_id;
        size_t observers;
    } wanted[] = {{1, 2}, {7, 2}, {8, 0}, {9, 0}};
    struct harness h;

    (void)context;
    open_store(&h);
    offer(&h, "a", 1, flow_of("1:x", 1, 10, 100));
    offer(&h, "b", 1, flow_of("1:x", 7, 10, 90));
    offer(&h, "b", 2, flow_of("1:only-b", 8, 10, 5));
    offer(&h, "b", 3, flow_of("1:x", 9, 50, 5)); /* the port used again */
    harness_wait(&h, 4);
    for (unsigned i = 0; i < 4; i++) {
        struct found found = {.flow_id = wanted[i].flow_id};

        harness_query(&h, run_flow, &found);
        assert_true(found.is_found);
        Netscope__V1__FlowRecord *const record =
            netscope__v1__flow_record__unpack(NULL, found.record.length, found.record.bytes);

        assert_non_null(record);
        assert_int_equal(record->n_observers, wanted[i].observers);
        if (wanted[i].observers > 0) {
            assert_string_equal(record->observers[0]->sensor_id, "a");
        }
        netscope__v1__flow_record__free_unpacked(record, NULL);
        free(found.record.bytes);
    }
    struct found none = {.flow_id = 1, .sensor_id = "b"};

    harness_query(&h, run_flow, &none);
    assert_false(none.is_found);
    harness_remove(&h);
}

static void tenants_and_ports_used_again_stay_apart(void **context)
{
    struct flow_record tenant = flow_of("1:x", 3, 10, 30);
    struct harness h;

    (void)context;
    open_store(&h);
    tenant.has_vlan = true;
    tenant.vlan_id = 20;
    offer(&h, "a", 1, flow_of("1:x", 1, 10, 10));
    offer(&h, "b", 1, tenant);
    offer(&h, "a", 2, flow_of("1:x", 4, 13, 7));
    offer(&h, "b", 2, flow_of("1:x", 5, 13, 6));
    harness_wait(&h, 4);
    assert_int_equal(merged(&h, ""), 10 + 30 + 7);
    harness_remove(&h);
}

static void the_preferred_sensor_counts_where_both_saw_the_same(void **context)
{
    static const char *const prefer[] = {"core-*"};
    struct harness h;

    (void)context;
    open_store(&h);
    harness_close(&h);
    h.settings.merge_prefer = prefer;
    h.settings.merge_prefer_count = 1;
    harness_reopen(&h);
    offer(&h, "access", 1, flow_of("1:x", 1, 10, 10));
    offer(&h, "core-1", 1, flow_of("1:x", 2, 10, 10));
    harness_wait(&h, 2);
    struct history_flows flows = list(&h, false);
    Netscope__V1__FlowRecord *const record = netscope__v1__flow_record__unpack(
        NULL, flows.records.items[0].length, flows.records.items[0].bytes);

    assert_string_equal(record->sensor_id, "core-1");
    netscope__v1__flow_record__free_unpacked(record, NULL);
    history_flows_fini(&flows);
    harness_remove(&h);
}

/* The last packet of a flow, seen on both sides of the border of two ranges. */
static void a_flow_at_the_border_of_two_ranges_counts_in_one_of_them(void **context)
{
    struct flow_record early = flow_of("1:x", 1, 9, 10), late = early;
    struct history_aggregate_query before = whole, behind = whole;
    struct harness h;

    (void)context;
    open_store(&h);
    early.start_ns = early.delta_start_ns = early.end_ns = HARNESS_TIME_NS + 10 * SECOND - 1;
    late.start_ns = late.delta_start_ns = late.end_ns = HARNESS_TIME_NS + 10 * SECOND + 1;
    offer(&h, "a", 1, early);
    offer(&h, "b", 1, late);
    harness_wait(&h, 2);
    before.to_ns = behind.from_ns = HARNESS_TIME_NS + 10 * SECOND;
    assert_int_equal(packets_of(&h, before, "", NULL) + packets_of(&h, behind, "", NULL), 10);
    harness_remove(&h);
}

static uint64_t state = 88172645463325252u;

static uint64_t any(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

#define FLOWS   60
#define SENSORS 3
#define PARTS   3

/* Flows of up to three sensors, each told in up to three parts, in any order. Returns what one that
 * counts has for each, added up. */
static uint64_t offer_any(struct harness *h, uint64_t *everything)
{
    static const char *const names[SENSORS] = {"a", "b", "c"};
    static char ids[FLOWS][16];
    static struct flow_record parts[FLOWS * SENSORS * PARTS];
    unsigned sensors[FLOWS * SENSORS * PARTS], count = 0;
    uint64_t seqs[SENSORS] = {1, 1, 1}, expected = 0;

    *everything = 0;
    for (unsigned f = 0; f < FLOWS; f++) {
        uint64_t best = 0;
        const unsigned mask = 1 + (unsigned)any(7);

        (void)snprintf(ids[f], sizeof(ids[f]), "1:%u", f);
        for (unsigned s = 0; s < SENSORS; s++) {
            uint64_t packets = 0;

            for (unsigned p = 0; (mask >> s & 1) != 0 && p < PARTS; p++) {
                struct flow_record *const part = &parts[count];
                const uint64_t delta = 1 + any(20);

                *part = flow_of(ids[f], f * 10 + s, 10 + f, packets + delta);
                part->app = (struct record_text){any(2) == 0 ? "tls" : "dns", 3};
                part->event = p + 1 == PARTS ? FLOW_END : FLOW_UPDATE;
                part->delta_start_ns = part->start_ns + p * SECOND;
                part->end_ns = part->start_ns + (p + 1) * SECOND - 1;
                part->forward.delta_packets = delta;
                part->forward.delta_bytes = delta * 100;
                packets += delta;
                sensors[count++] = s;
            }
            best = packets > best ? packets : best;
            *everything += packets;
        }
        expected += best;
    }
    while (count > 0) { /* in any order */
        const unsigned i = (unsigned)any(count);
        const unsigned s = sensors[i];

        offer(h, names[s], seqs[s]++, parts[i]);
        parts[i] = parts[--count];
        sensors[i] = sensors[count];
    }
    harness_wait(h, seqs[0] + seqs[1] + seqs[2] - SENSORS);
    return expected;
}

static void sums_are_those_of_the_best_sensor_of_each_flow(void **context)
{
    struct harness h;
    uint64_t everything;

    (void)context;
    open_store(&h);
    const uint64_t expected = offer_any(&h, &everything);

    assert_int_equal(merged(&h, ""), expected);
    assert_int_equal(all(&h, ""), everything);
    /* A condition and its opposite are the whole. */
    assert_int_equal(merged(&h, "app = tls") + merged(&h, "NOT app = tls"), expected);
    assert_int_equal(merged(&h, "packets > 9") + merged(&h, "packets <= 9"), expected);
    assert_int_equal(merged(&h, "tcp.conn_state = SF") + merged(&h, "NOT tcp.conn_state = SF"),
                     expected);
    struct history_aggregate_query steps = whole;

    steps.step_ns = 7 * SECOND;
    steps.by[0] = DIMENSION_APPLICATION;
    steps.by_count = 1;
    assert_int_equal(packets_of(&h, steps, "", NULL), expected);
    harness_remove(&h);
}

static void what_has_no_room_may_count_twice_and_the_answer_says_so(void **context)
{
    struct history_cost cost;
    struct harness h;
    uint64_t everything;

    (void)context;
    open_store(&h);
    harness_close(&h);
    h.settings.merge_flows = 10;
    harness_reopen(&h);
    const uint64_t expected = offer_any(&h, &everything);
    const uint64_t packets = packets_of(&h, whole, "", &cost);

    assert_string_equal(cost.merge_bound, "store.merge_flows");
    assert_false(cost.is_partial);
    assert_true(packets >= expected && packets <= everything);
    harness_remove(&h);
}

static void rows_that_a_question_may_look_at_are_its_own(void **context)
{
    struct asked asked = {.query = whole};
    struct harness h;
    uint64_t everything;

    (void)context;
    open_store(&h);
    const uint64_t expected = offer_any(&h, &everything);
    struct history_counts counts;

    history_counts_read(h.history, &counts);
    asked.limits.rows_max = counts.records_in;
    harness_query(&h, run_sums, &asked);
    assert_false(asked.cost.is_partial);
    assert_null(asked.cost.merge_bound);
    assert_int_equal(asked.cost.scanned, 2 * counts.records_in);
    assert_int_equal(asked.sums.rows[0].sums.packets, expected);
    history_aggregate_fini(&asked.sums);
    harness_remove(&h);
}

static void one_sensor_costs_no_second_look(void **context)
{
    struct history_cost cost;
    struct harness h;

    (void)context;
    open_store(&h);
    offer(&h, "a", 1, flow_of("1:x", 1, 10, 10));
    offer(&h, "a", 2, flow_of("1:y", 2, 10, 10));
    harness_wait(&h, 2);
    assert_int_equal(packets_of(&h, whole, "", &cost), 20);
    assert_int_equal(cost.scanned, 2);
    assert_true(cost.is_merged);
    offer(&h, "b", 1, flow_of("1:x", 3, 10, 10));
    harness_wait(&h, 3);
    assert_int_equal(packets_of(&h, whole, "sensor = a", &cost), 20);
    assert_int_equal(cost.scanned, 3);
    harness_remove(&h);
}

/* As the version before this one made it. */
static void make_old_file(const struct harness *h)
{
    char path[200];
    sqlite3 *db;

    (void)snprintf(path, sizeof(path), "%s/day-2026-03-01.db", h->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(
            db,
            "CREATE TABLE flows(end_ns INTEGER, start_ns INTEGER, delta_start_ns INTEGER,"
            " sensor_id TEXT, boot_no INTEGER, seq INTEGER, flow_id INTEGER, event INTEGER,"
            " ip_version INTEGER, protocol INTEGER, client_ip BLOB, server_ip BLOB, client_port"
            " INTEGER, server_port INTEGER, server_name TEXT, app TEXT, tcp_state INTEGER,"
            " bytes_forward INTEGER, bytes_reverse INTEGER, packets_forward INTEGER,"
            " packets_reverse INTEGER, retransmits INTEGER, rtt_ns INTEGER, vlan INTEGER,"
            " community_id TEXT, total_bytes INTEGER, total_packets INTEGER, bytes_in INTEGER,"
            " record BLOB);"
            "INSERT INTO flows(end_ns, start_ns, delta_start_ns, sensor_id, flow_id, community_id,"
            " bytes_forward, bytes_reverse, packets_forward, packets_reverse, total_packets)"
            " VALUES(1772366412000000000, 1772366410000000000, 1772366410000000000, 'a', 1, '1:x',"
            " 0, 0, 50, 0, 50);",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
}

static void rows_of_an_earlier_version_stand_for_themselves(void **context)
{
    struct harness h;

    (void)context;
    open_store(&h);
    harness_close(&h);
    make_old_file(&h);
    harness_reopen(&h);
    offer(&h, "a", 1, flow_of("1:y", 5, 10, 3));
    offer(&h, "b", 1, flow_of("1:x", 3, 10, 10));
    offer(&h, "b", 2, flow_of("1:y", 4, 10, 4));
    harness_wait(&h, 3);
    assert_int_equal(merged(&h, ""), 50 + 10 + 4);
    harness_remove(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_of_two_sensors_counts_once),
        cmocka_unit_test(where_sensors_are_groups_each_has_what_it_saw),
        cmocka_unit_test(a_list_names_who_saw_a_flow),
        cmocka_unit_test(one_flow_names_who_saw_it_whichever_is_asked_for),
        cmocka_unit_test(tenants_and_ports_used_again_stay_apart),
        cmocka_unit_test(the_preferred_sensor_counts_where_both_saw_the_same),
        cmocka_unit_test(a_flow_at_the_border_of_two_ranges_counts_in_one_of_them),
        cmocka_unit_test(sums_are_those_of_the_best_sensor_of_each_flow),
        cmocka_unit_test(what_has_no_room_may_count_twice_and_the_answer_says_so),
        cmocka_unit_test(rows_that_a_question_may_look_at_are_its_own),
        cmocka_unit_test(one_sensor_costs_no_second_look),
        cmocka_unit_test(rows_of_an_earlier_version_stand_for_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
