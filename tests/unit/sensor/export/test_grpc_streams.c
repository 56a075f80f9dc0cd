/* Streams of the gRPC server: the seam of history and live, slow readers, bounds, refusals. */
#include "tests/unit/sensor/export/grpc_fixture.h"

#define OBSERVE   "/netscope.v1.FlowService/ObserveFlows"
#define ALERTS    "/netscope.v1.AlertService/ListAlerts"
#define GET_ALERT "/netscope.v1.AlertService/GetAlert"
#define WATCH     "/netscope.v1.StatsService/WatchStats"
#define PACKET    "/netscope.v1.PacketService/GetPacket"

enum { FILTER = 3, SINCE = 4, FIRST = 6, LAST = 7, FOLLOW = 8, MASK = 9, RATE = 10, BATCH = 11 };

static size_t number(uint8_t *out, uint32_t field, uint64_t value)
{
    struct wire_writer w = wire_writer_over(out, 32);

    wire_write_varint(&w, field, value);
    return wire_written(&w);
}

static struct grpc_reading *observe(struct grpc_fixture *fixture, uint32_t field, uint64_t value,
                                    bool follow)
{
    uint8_t request[64];
    size_t length = field == 0 ? 0 : number(request, field, value);

    length += number(request + length, FOLLOW, follow);
    return grpc_reading_start(fixture, OBSERVE, request, length, false);
}

static void history_ends_a_stream_that_does_not_follow(void **state)
{
    struct grpc_fixture fixture;

    (void)state;
    grpc_fixture_open(&fixture, NULL);
    grpc_fixture_flows(&fixture, 1500, 10);
    grpc_fixture_settle(&fixture);
    struct grpc_reading *reading = observe(&fixture, 0, 0, false);

    grpc_reading_wait_done(reading);
    assert_int_equal(reading->status, RPC_OK);
    assert_int_equal(reading->records, 1500);
    assert_int_equal(reading->order_faults, 0);
    assert_int_equal(reading->first_seq, 1);
    assert_true(reading->most_in_message <= 512);
    grpc_reading_free(reading);
    grpc_fixture_close(&fixture);
}

static void *produce(void *argument)
{
    for (unsigned i = 0; i < 150; i++) {
        grpc_fixture_flows(argument, 100, 20);
    }
    return NULL;
}

/* Readers join at all stages of the flood; each sees every number once. */
static void a_reader_that_joins_meets_no_gap_and_no_repeat(void **state)
{
    struct grpc_fixture fixture;
    struct grpc_reading *readings[12];
    pthread_t producer;

    (void)state;
    grpc_fixture_open(&fixture, NULL);
    assert_int_equal(pthread_create(&producer, NULL, produce, &fixture), 0);
    for (unsigned i = 0; i < 12; i++) {
        const struct timespec pause = {0, 3000000};

        readings[i] = observe(&fixture, 0, 0, true);
        (void)nanosleep(&pause, NULL);
    }
    assert_int_equal(pthread_join(producer, NULL), 0);
    for (unsigned i = 0; i < 12; i++) {
        grpc_reading_wait(readings[i], 15000);
        assert_int_equal(readings[i]->records, 15000);
        assert_int_equal(readings[i]->lost, 0);
        assert_int_equal(readings[i]->order_faults, 0);
        assert_int_equal(readings[i]->first_seq, 1);
        assert_int_equal(readings[i]->last_seq, 15000);
        grpc_reading_free(readings[i]);
    }
    grpc_fixture_close(&fixture);
}

static void small_history(struct grpc_settings *settings)
{
    settings->history_records = 256;
    settings->queue_messages = 1;
}

/* The client reads one message and then no more; what the ring evicts meanwhile is told exactly. */
static void a_slow_reader_is_told_exactly_what_it_missed(void **state)
{
    struct grpc_fixture fixture;
    uint8_t request[8];

    (void)state;
    grpc_fixture_open(&fixture, small_history);
    struct grpc_reading *reading =
        grpc_reading_start(&fixture, OBSERVE, request, number(request, FOLLOW, 1), true);

    grpc_fixture_flows(&fixture, 64, 250);
    grpc_reading_wait(reading, 1);
    for (unsigned i = 0; i < 400; i++) {
        grpc_fixture_flows(&fixture, 128, 250);
        grpc_fixture_settle(&fixture);
    }
    for (unsigned i = 0; i < 60000; i++) {
        rpc_read_more(reading->call);
    }
    grpc_reading_wait(reading, 64 + 400 * 128);
    assert_true(reading->lost > 0);
    assert_string_equal(reading->reason, "slow_reader");
    assert_int_equal(reading->records + reading->lost, 64 + 400 * 128);
    assert_int_equal(reading->order_faults, 0);
    struct grpc_server_counts counts;

    grpc_server_counts_read(fixture.server, &counts);
    assert_int_equal(counts.records_dropped, reading->lost);
    grpc_reading_free(reading);
    grpc_fixture_close(&fixture);
}

static void records_lost_before_the_server_are_told(void **state)
{
    struct grpc_fixture fixture;

    (void)state;
    grpc_fixture_open(&fixture, NULL);
    grpc_fixture_flows(&fixture, 100, 10);
    grpc_fixture_skip(&fixture, RECORD_FLOWS, 37);
    grpc_fixture_flows(&fixture, 100, 10);
    grpc_fixture_settle(&fixture);
    struct grpc_reading *reading = observe(&fixture, 0, 0, false);

    grpc_reading_wait_done(reading);
    assert_int_equal(reading->records, 200);
    assert_int_equal(reading->lost, 37);
    assert_int_equal(reading->notices, 1);
    assert_string_equal(reading->reason, "sink_full");
    assert_int_equal(reading->order_faults, 0);
    grpc_reading_free(reading);
    grpc_fixture_close(&fixture);
}

/* The hole is in the middle of what comes at once, and so is the time from which on. */
static void holes_and_times_inside_a_batch_are_seen(void **state)
{
    struct grpc_fixture fixture;
    uint8_t request[64];

    (void)state;
    grpc_fixture_open(&fixture, NULL);
    grpc_fixture_flows_with_hole(&fixture, 64, 20, 5);
    grpc_fixture_flows(&fixture, 64, 10);
    grpc_fixture_settle(&fixture);
    struct grpc_reading *whole = observe(&fixture, 0, 0, false);
    struct wire_writer w = wire_writer_over(request, sizeof(request));
    const struct wire_mark mark = wire_begin(&w, SINCE, 1);

    wire_write_varint(&w, 1, 100); /* flows end in the second of their number */
    wire_end(&w, mark);
    struct grpc_reading *since =
        grpc_reading_start(&fixture, OBSERVE, request, wire_written(&w), false);

    grpc_reading_wait_done(whole);
    assert_int_equal(whole->records, 128);
    assert_int_equal(whole->lost, 5);
    assert_int_equal(whole->notices, 1);
    assert_int_equal(whole->order_faults, 0);
    grpc_reading_wait_done(since);
    assert_int_equal(since->last_seq, 133);
    assert_int_equal(since->records, 34);
    grpc_reading_free(whole);
    grpc_reading_free(since);
    grpc_fixture_close(&fixture);
}

static void bounds_of_a_request_hold(void **state)
{
    struct grpc_fixture fixture;

    (void)state;
    grpc_fixture_open(&fixture, NULL);
    grpc_fixture_flows(&fixture, 1000, 10);
    grpc_fixture_settle(&fixture);
    struct grpc_reading *first = observe(&fixture, FIRST, 10, true);
    struct grpc_reading *last = observe(&fixture, LAST, 10, false);
    struct grpc_reading *single = observe(&fixture, BATCH, 1, false);
    const uint64_t began_ns = clock_monotonic_ns();
    struct grpc_reading *rate = observe(&fixture, RATE, 100, false);

    grpc_reading_wait_done(first);
    assert_int_equal(first->records, 10);
    assert_int_equal(first->last_seq, 10);
    grpc_reading_wait_done(last);
    assert_int_equal(last->records, 10);
    assert_int_equal(last->first_seq, 991);
    grpc_reading_wait_done(single);
    assert_int_equal(single->records, 1000);
    assert_int_equal(single->most_in_message, 1);
    grpc_reading_wait_done(rate);
    /* A second's worth at once, then 100 a second for as long as it took. */
    const uint64_t seconds = (clock_monotonic_ns() - began_ns) / UINT64_C(1000000000) + 1;
    assert_int_equal(rate->records + rate->lost, 1000);
    assert_true(rate->records >= 100 && rate->records <= 100 * (seconds + 1));
    assert_string_equal(rate->reason, "max_rate");
    grpc_reading_free(first);
    grpc_reading_free(last);
    grpc_reading_free(single);
    grpc_reading_free(rate);
    grpc_fixture_close(&fixture);
}

static void a_filter_and_a_mask_choose_records_and_fields(void **state)
{
    struct grpc_fixture fixture;
    uint8_t built[128];
    struct wire_writer w = wire_writer_over(built, sizeof(built));
    struct flow_record record;

    (void)state;
    wire_write_text(&w, FILTER, "server.port = 1007");
    const struct wire_mark mark = wire_begin(&w, MASK, 1);

    wire_write_text(&w, 1, "record_seq");
    wire_write_text(&w, 1, "server.port");
    wire_end(&w, mark);
    grpc_fixture_open(&fixture, NULL);
    grpc_fixture_flows(&fixture, 1000, 10);
    grpc_fixture_settle(&fixture);
    fixture.expects_holes = true;
    struct grpc_reading *reading =
        grpc_reading_start(&fixture, OBSERVE, built, wire_written(&w), false);

    grpc_reading_wait_done(reading);
    assert_int_equal(reading->status, RPC_OK);
    assert_int_equal(reading->records, 10);
    assert_int_equal(reading->order_faults, 0);
    assert_true(codec_decode_flow(reading->record, reading->record_bytes, &record));
    assert_int_equal(record.server.port, 1007);
    assert_int_equal(record.server.name.length, 0);
    assert_int_equal(record.flow_id, 0);
    assert_int_equal(record.identity.seq, 907);
    grpc_reading_free(reading);
    grpc_fixture_close(&fixture);
}

static void expect_refusal(struct grpc_fixture *fixture, const char *path, const void *request,
                           size_t length, enum rpc_status status, const char *text)
{
    struct grpc_reading *reading = grpc_reading_start(fixture, path, request, length, false);

    grpc_reading_wait_done(reading);
    assert_int_equal(reading->status, status);
    if (strstr(reading->message, text) == NULL) {
        fail_msg("'%s' does not say '%s'", reading->message, text);
    }
    assert_true(reading->details_bytes > 0);
    grpc_reading_free(reading);
}

static void what_is_wrong_is_refused_by_name(void **state)
{
    struct grpc_fixture fixture;
    uint8_t bytes[64];
    size_t length;

    (void)state;
    grpc_fixture_open(&fixture, NULL);
    length = number(bytes, FIRST, 1);
    length += number(bytes + length, LAST, 1);
    expect_refusal(&fixture, OBSERVE, bytes, length, RPC_INVALID_ARGUMENT, "first and last");
    length = number(bytes, BATCH, 513);
    expect_refusal(&fixture, OBSERVE, bytes, length, RPC_INVALID_ARGUMENT, "max_batch is 513");
    expect_refusal(&fixture, OBSERVE, "\x1a\x0fserver.prot = 1", 17, RPC_INVALID_ARGUMENT,
                   "filter: ");
    expect_refusal(&fixture, OBSERVE, "\x4a\x06\x0a\x04nope", 8, RPC_INVALID_ARGUMENT,
                   "has no field 'nope'");
    expect_refusal(&fixture, OBSERVE, "\xff\xff\xff", 3, RPC_INVALID_ARGUMENT, "the request is no");
    length = number(bytes, 5, 4000000000U);
    expect_refusal(&fixture, ALERTS, bytes, length, RPC_INVALID_ARGUMENT, "page_size");
    expect_refusal(&fixture, GET_ALERT, "\x0a\x01x", 3, RPC_NOT_FOUND, "alert x");
    expect_refusal(&fixture, WATCH, "\x0a\x00", 2, RPC_INVALID_ARGUMENT, "interval");
    expect_refusal(&fixture, PACKET, "\x0a\x01x", 3, RPC_PERMISSION_DENIED, "unix socket");
    grpc_fixture_close(&fixture);
}

static void few_streams(struct grpc_settings *settings)
{
    settings->streams_max = 2;
}

static void streams_are_bounded(void **state)
{
    struct grpc_fixture fixture;

    (void)state;
    grpc_fixture_open(&fixture, few_streams);
    grpc_fixture_flows(&fixture, 1, 1);
    struct grpc_reading *one = observe(&fixture, 0, 0, true);
    struct grpc_reading *two = observe(&fixture, 0, 0, true);

    grpc_reading_wait(one, 1);
    grpc_reading_wait(two, 1);
    expect_refusal(&fixture, OBSERVE, "", 0, RPC_RESOURCE_EXHAUSTED, "2 streams");
    grpc_reading_free(one);
    grpc_reading_free(two);
    grpc_fixture_close(&fixture);
}

/* Ids of the incidents of one page; returns how many. */
static uint32_t read_page(const struct grpc_reading *reading, char ids[][37], char token[64])
{
    struct wire_reader in = wire_reader_over(reading->answer, reading->answer_bytes);
    struct wire_field field;
    uint32_t count = 0;

    token[0] = '\0';
    while (wire_next(&in, &field)) {
        struct wire_reader alert = wire_reader_over(field.bytes, field.length);
        struct wire_field inner;

        if (field.number == 2 && field.bytes != NULL) {
            memcpy(token, field.bytes, field.length);
            token[field.length] = '\0';
        }
        while (field.number == 1 && wire_next(&alert, &inner)) {
            if (inner.number == 4 && inner.bytes != NULL) {
                memcpy(ids[count], inner.bytes, inner.length);
                ids[count++][inner.length] = '\0';
            }
        }
    }
    return count;
}

static void pages_of_alerts_hold_each_incident_once(void **state)
{
    struct grpc_fixture fixture;
    static struct alert_record alert;
    char ids[64][37];
    char token[64] = "";
    uint32_t count = 0;
    uint32_t pages = 0;

    (void)state;
    grpc_fixture_open(&fixture, NULL);
    alert.kind = ALERT_SYN_FLOOD;
    for (unsigned i = 0; i < 50; i++) { /* 25 incidents, each opened and closed */
        (void)snprintf(alert.alert_id, sizeof(alert.alert_id), "incident-%u", i % 25);
        alert.state = i < 25 ? ALERT_OPEN : ALERT_CLOSE;
        grpc_fixture_alert(&fixture, &alert);
    }
    grpc_fixture_settle(&fixture);
    do {
        uint8_t request[96];
        size_t length = number(request, 5, 10);
        struct wire_writer w = wire_writer_over(request + length, sizeof(request) - length);

        wire_write_text(&w, 6, token);
        length += wire_written(&w);
        if (token[0] != '\0') { /* only what is at least as bad as medium: another question */
            const size_t more = number(request + length, 2, 3);

            expect_refusal(&fixture, ALERTS, request, length + more, RPC_INVALID_ARGUMENT,
                           "page_token");
        }
        struct grpc_reading *reading = grpc_reading_start(&fixture, ALERTS, request, length, false);

        grpc_reading_wait_done(reading);
        assert_int_equal(reading->status, RPC_OK);
        count += read_page(reading, ids + count, token);
        pages++;
        grpc_reading_free(reading);
    } while (token[0] != '\0' && pages < 10);
    assert_int_equal(pages, 3);
    assert_int_equal(count, 25);
    assert_string_equal(ids[0], "incident-24");
    assert_string_equal(ids[24], "incident-0");
    grpc_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_ends_a_stream_that_does_not_follow),
        cmocka_unit_test(a_reader_that_joins_meets_no_gap_and_no_repeat),
        cmocka_unit_test(a_slow_reader_is_told_exactly_what_it_missed),
        cmocka_unit_test(records_lost_before_the_server_are_told),
        cmocka_unit_test(holes_and_times_inside_a_batch_are_seen),
        cmocka_unit_test(bounds_of_a_request_hold),
        cmocka_unit_test(a_filter_and_a_mask_choose_records_and_fields),
        cmocka_unit_test(what_is_wrong_is_refused_by_name),
        cmocka_unit_test(streams_are_bounded),
        cmocka_unit_test(pages_of_alerts_hold_each_incident_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
