/* Which alerts a flow's record names, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proto/codec.h"
#include "sensor/pipeline/alert_join.h"

#define START 1000U /* seconds */

static struct alert_join *join;
static struct batch_pool *pool;
static struct record_batch *batch;
static struct flow_record decoded;

static void begin_as(bool is_live)
{
    struct error err = {0};

    join = alert_join_new(
        &(struct alert_join_settings){.is_live = is_live, .idle_timeout_ns = 60 * NS_PER_SEC},
        &err);
    pool = batch_pool_new(1, 65536, 64, &err);
    assert_non_null(join);
    assert_non_null(pool);
    batch = batch_take(pool);
    assert_non_null(batch);
}

static int begin(void **state)
{
    (void)state;
    begin_as(true);
    return 0;
}

static int begin_file(void **state)
{
    (void)state;
    begin_as(false);
    return 0;
}

static int end(void **state)
{
    (void)state;
    batch_unref(batch);
    batch_pool_free(pool);
    alert_join_free(join);
    return 0;
}

static struct ip_address ip(unsigned last)
{
    return (struct ip_address){.version = 4, .bytes = {10, 0, (uint8_t)(last >> 8), (uint8_t)last}};
}

/* An alert with the id `aaaa...N`, one attacker and one victim; both may be changed. */
static struct alert_record alert_of(unsigned number)
{
    struct alert_record alert = {.state = ALERT_OPEN,
                                 .score = 50,
                                 .first_ns = START * NS_PER_SEC,
                                 .last_ns = (START + 5) * NS_PER_SEC,
                                 .attackers_count = 1,
                                 .victims_count = 1,
                                 .attackers_total_estimate = 1,
                                 .victims_total_estimate = 1,
                                 .attackers = {{.ip = ip(1)}},
                                 .victims = {{.ip = ip(2)}}};

    (void)snprintf(alert.alert_id, sizeof(alert.alert_id), "aaaaaaaa-0000-7000-8000-%012u", number);
    return alert;
}

static void note(const struct alert_record *alert, unsigned second)
{
    alert_join_note(join, alert, second);
}

struct told {
    unsigned client, server, start, end; /* seconds since START */
    uint16_t port;
    uint8_t protocol, reason;
    uint16_t room;
};

/* The record of a TCP flow as it leaves. */
static const struct flow_record *left(struct told flow)
{
    const struct flow_record record = {.event = FLOW_END,
                                       .end_reason = flow.reason,
                                       .ip_protocol = flow.protocol != 0 ? flow.protocol : 6,
                                       .client = {.ip = ip(flow.client), .port = 40000},
                                       .server = {.ip = ip(flow.server), .port = flow.port}};
    uint8_t *out = batch_reserve(batch, 4096);

    assert_non_null(out);
    struct batch_entry *entry =
        batch_commit_named(batch, (uint32_t)codec_encode_flow(&record, out, 2048),
                           flow.room != 0 ? flow.room : ALERT_JOIN_ROOM);

    entry->stream = RECORD_FLOWS;
    entry->end_reason = flow.reason;
    entry->client = record.client.ip;
    entry->server = record.server.ip;
    entry->server_port = flow.port;
    entry->ip_protocol = record.ip_protocol;
    entry->start_ns = (START + flow.start) * NS_PER_SEC;
    entry->time_ns = (START + flow.end) * NS_PER_SEC;
    alert_join_batch(join, batch);
    assert_true(codec_decode_flow(batch->bytes + entry->offset, entry->length, &decoded));
    assert_int_equal(entry->length, entry->full_length);
    assert_int_equal(decoded.server.port, flow.port); /* the rest of it is as it was */
    batch->count = 0;
    batch->used = 0;
    return &decoded;
}

static unsigned alerts_of(struct told flow)
{
    return left(flow)->alerts_count;
}

static void a_flow_between_an_attacker_and_a_victim_names_the_alert_and_its_score(void **state)
{
    const struct alert_record alert = alert_of(1);
    const struct flow_record *record;

    (void)state;
    note(&alert, START + 5);
    record = left((struct told){.client = 1, .server = 2, .port = 80, .end = 6});
    assert_int_equal(record->alerts_count, 1);
    assert_int_equal(record->risk_score, 50);
    assert_int_equal(record->alert_ids[0].length, 36);
    assert_memory_equal(record->alert_ids[0].data, alert.alert_id, 36);
    assert_int_equal(alerts_of((struct told){.client = 2, .server = 1, .port = 80, .end = 6}), 1);
    assert_int_equal(
        left((struct told){.client = 1, .server = 3, .port = 80, .end = 6})->risk_score, 0);
    assert_int_equal(alerts_of((struct told){.client = 3, .server = 2, .port = 80, .end = 6}), 0);
    assert_int_equal(counter_get(&alert_join_counts_of(join)->flows), 2);
}

static void a_victims_port_is_the_servers_or_the_flow_is_another_matter(void **state)
{
    struct alert_record alert = alert_of(1);

    (void)state;
    alert.victims[0].port = 22;
    note(&alert, START + 5);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 2, .port = 22, .end = 6}), 1);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 2, .port = 80, .end = 6}), 0);
    assert_int_equal(alerts_of((struct told){.client = 2, .server = 1, .port = 80, .end = 6}), 1);
}

static void
of_more_victims_than_an_alert_has_room_for_the_port_tells_which_flows_are_meant(void **state)
{
    struct alert_record alert = alert_of(1);

    (void)state;
    alert.victims_total_estimate = 900;
    alert.top_ports_count = 1;
    (void)snprintf(alert.top_ports[0].key, sizeof(alert.top_ports[0].key), "tcp/445");
    note(&alert, START + 5);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 77, .port = 445, .end = 6}), 1);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 77, .port = 443, .end = 6}), 0);
    assert_int_equal(
        alerts_of((struct told){.client = 1, .server = 77, .port = 445, .protocol = 17, .end = 6}),
        0);
    assert_int_equal(alerts_of((struct told){.client = 9, .server = 77, .port = 445, .end = 6}), 0);
    /* What was named may be on any port. */
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 2, .port = 443, .end = 6}), 1);
}

static void without_an_attacker_the_victims_service_is_what_the_alert_is_about(void **state)
{
    struct alert_record alert = alert_of(1);

    (void)state;
    alert.attackers_count = 0;
    alert.attackers_total_estimate = 0;
    note(&alert, START + 5);
    assert_int_equal(alerts_of((struct told){.client = 9, .server = 2, .port = 443, .end = 6}), 0);
    alert = alert_of(2);
    alert.attackers_count = 0;
    alert.attackers_total_estimate = 0;
    alert.victims[0].port = 443;
    note(&alert, START + 5);
    assert_int_equal(alerts_of((struct told){.client = 9, .server = 2, .port = 443, .end = 6}), 1);
    assert_int_equal(alerts_of((struct told){.client = 9, .server = 2, .port = 80, .end = 6}), 0);
    assert_int_equal(alerts_of((struct told){.client = 2, .server = 9, .port = 443, .end = 6}), 0);
}

static void a_flow_belongs_to_an_alert_only_while_the_incident_lasted(void **state)
{
    struct alert_record alert = alert_of(1);

    (void)state;
    alert.first_ns = (START + 3) * NS_PER_SEC;
    note(&alert, START + 5);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 2, .end = 2}), 0);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 2, .end = 3}), 1);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 2, .start = 99, .end = 99}), 1);
    alert.state = ALERT_CLOSE;
    alert.last_ns = (START + 50) * NS_PER_SEC;
    note(&alert, START + 60);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 2, .start = 50, .end = 99}), 1);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 2, .start = 51, .end = 99}), 0);
}

static void the_risk_is_the_highest_score_of_the_alerts_so_far(void **state)
{
    struct alert_record low = alert_of(1), high = alert_of(2);

    (void)state;
    low.score = 25;
    high.score = 75;
    note(&low, START + 5);
    note(&high, START + 5);
    const struct flow_record *record = left((struct told){.client = 1, .server = 2, .end = 6});
    assert_int_equal(record->alerts_count, 2);
    assert_int_equal(record->risk_score, 75);
    assert_memory_equal(record->alert_ids[0].data, high.alert_id, 36);
    assert_memory_equal(record->alert_ids[1].data, low.alert_id, 36);
    low.state = ALERT_UPDATE;
    low.score = 95;
    note(&low, START + 7);
    record = left((struct told){.client = 1, .server = 2, .end = 8});
    assert_int_equal(record->risk_score, 95);
    assert_memory_equal(record->alert_ids[0].data, low.alert_id, 36);
}

static void
of_more_alerts_than_there_is_room_for_the_worst_are_named_and_the_rest_counted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct alert_record alert = alert_of(i);

        alert.score = (uint8_t)(10 * i);
        note(&alert, START + 5);
    }
    const struct flow_record *record = left((struct told){.client = 1, .server = 2, .end = 6});
    assert_int_equal(record->alerts_count, ALERT_JOIN_IDS);
    assert_int_equal(record->risk_score, 50);
    assert_int_equal(counter_get(&alert_join_counts_of(join)->no_room), 2);
    record = left((struct told){.client = 1, .server = 2, .end = 6, .room = 3 + 39 + 38});
    assert_int_equal(record->alerts_count, 1); /* a name has taken the rest */
    assert_int_equal(record->risk_score, 50);
    assert_int_equal(counter_get(&alert_join_counts_of(join)->no_room), 2 + 5);
}

static void more_incidents_than_places_forget_the_closed_and_then_the_oldest(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        struct alert_record alert = alert_of(i);

        alert.attackers[0].ip = ip(1000 + i);
        alert.last_ns = (START + i) * NS_PER_SEC;
        note(&alert, START + i);
    }
    assert_int_equal(alerts_of((struct told){.client = 1000, .server = 2, .end = 400}), 0);
    assert_int_equal(alerts_of((struct told){.client = 1043, .server = 2, .end = 400}), 0);
    assert_int_equal(alerts_of((struct told){.client = 1044, .server = 2, .end = 400}), 1);
    assert_int_equal(alerts_of((struct told){.client = 1299, .server = 2, .end = 400}), 1);
}

/* So that a record does not depend on the pace of threads. */
static void of_a_file_a_record_has_what_was_decided_two_seconds_before_it_left(void **state)
{
    struct alert_record alert = alert_of(1);

    (void)state;
    note(&alert, START + 5);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 2, .end = 6}), 0);
    assert_int_equal(alerts_of((struct told){.client = 1, .server = 2, .end = 7}), 1);
    assert_int_equal(
        alerts_of((struct told){.client = 1, .server = 2, .end = 1, .reason = FLOW_END_IDLE}), 1);
    alert.state = ALERT_UPDATE;
    alert.score = 75;
    note(&alert, START + 20);
    assert_int_equal(left((struct told){.client = 1, .server = 2, .end = 21})->risk_score, 50);
    assert_int_equal(left((struct told){.client = 1, .server = 2, .end = 22})->risk_score, 75);
}

static void
a_files_batch_waits_for_the_decisions_its_records_want_and_a_live_one_for_none(void **state)
{
    (void)state;
    uint8_t *out = batch_reserve(batch, 4096);
    assert_non_null(out);
    struct batch_entry *entry = batch_commit_named(batch, 10, ALERT_JOIN_ROOM);

    entry->stream = RECORD_FLOWS;
    entry->time_ns = (START + 9) * NS_PER_SEC + 5;
    assert_int_equal(alert_join_wants(join, batch), START + 7);
    entry->end_reason = FLOW_END_IDLE;
    assert_int_equal(alert_join_wants(join, batch), START + 67);
    entry->stream = RECORD_DNS;
    assert_int_equal(alert_join_wants(join, batch), 0);
    batch_unref(batch);
    batch_pool_free(pool);
    alert_join_free(join);
    begin_as(true);
    out = batch_reserve(batch, 4096);
    assert_non_null(out);
    entry = batch_commit_named(batch, 10, ALERT_JOIN_ROOM);
    entry->stream = RECORD_FLOWS;
    entry->time_ns = (START + 9) * NS_PER_SEC;
    assert_int_equal(alert_join_wants(join, batch), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flow_between_an_attacker_and_a_victim_names_the_alert_and_its_score),
        TEST(a_victims_port_is_the_servers_or_the_flow_is_another_matter),
        TEST(of_more_victims_than_an_alert_has_room_for_the_port_tells_which_flows_are_meant),
        TEST(without_an_attacker_the_victims_service_is_what_the_alert_is_about),
        TEST(a_flow_belongs_to_an_alert_only_while_the_incident_lasted),
        TEST(the_risk_is_the_highest_score_of_the_alerts_so_far),
        TEST(of_more_alerts_than_there_is_room_for_the_worst_are_named_and_the_rest_counted),
        TEST(more_incidents_than_places_forget_the_closed_and_then_the_oldest),
        cmocka_unit_test_setup_teardown(
            of_a_file_a_record_has_what_was_decided_two_seconds_before_it_left, begin_file, end),
        cmocka_unit_test_setup_teardown(
            a_files_batch_waits_for_the_decisions_its_records_want_and_a_live_one_for_none,
            begin_file, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
