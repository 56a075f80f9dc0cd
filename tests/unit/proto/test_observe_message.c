/* Requests to a sensor's own services as the generated code reads them, and what it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/wire_format.h"
#include "netscope/v1/alert_service.pb-c.h"
#include "netscope/v1/flow_service.pb-c.h"
#include "netscope/v1/sensor_service.pb-c.h"
#include "netscope/v1/stats_service.pb-c.h"
#include "proto/observe_message.h"

static void requests_say_where_to_go_on(void **state)
{
    uint8_t bytes[OBSERVE_REQUEST_BYTES_MAX];
    size_t length = observe_encode_request(RECORD_FLOWS, "boot", 77, bytes);
    Netscope__V1__ObserveFlowsRequest *flows =
        netscope__v1__observe_flows_request__unpack(NULL, length, bytes);

    (void)state;
    assert_non_null(flows);
    assert_true(flows->follow);
    assert_string_equal(flows->after->boot_id, "boot");
    assert_int_equal(flows->after->record_seq, 77);
    netscope__v1__observe_flows_request__free_unpacked(flows, NULL);

    length = observe_encode_request(RECORD_ALERTS, "boot", 0, bytes);
    Netscope__V1__ObserveAlertsRequest *alerts =
        netscope__v1__observe_alerts_request__unpack(NULL, length, bytes);

    assert_true(alerts->follow);
    assert_int_equal(alerts->last, 0);
    assert_int_equal(alerts->after->record_seq, 0);
    netscope__v1__observe_alerts_request__free_unpacked(alerts, NULL);

    length = observe_encode_request(RECORD_STATS, "boot", UINT64_MAX - 1, bytes);
    Netscope__V1__WatchStatsRequest *stats =
        netscope__v1__watch_stats_request__unpack(NULL, length, bytes);

    assert_null(stats->interval);
    assert_true(stats->after->record_seq == UINT64_MAX - 1);
    netscope__v1__watch_stats_request__free_unpacked(stats, NULL);
    assert_null(observe_path(RECORD_PACKETS));
}

static void an_answer_without_identity_is_none(void **state)
{
    Netscope__V1__GetInfoResponse info = NETSCOPE__V1__GET_INFO_RESPONSE__INIT;
    struct observe_info out;
    uint8_t bytes[512];
    char long_id[200];

    (void)state;
    info.sensor_id = (char *)(uintptr_t) "edge";
    info.version = (char *)(uintptr_t) "1.2.3";
    info.config_hash = (char *)(uintptr_t) "0123456789abcdef";
    size_t length = netscope__v1__get_info_response__pack(&info, bytes);
    assert_false(observe_decode_info(bytes, length, &out));
    info.boot_id = (char *)(uintptr_t) "b";
    length = netscope__v1__get_info_response__pack(&info, bytes);
    assert_true(observe_decode_info(bytes, length, &out));
    assert_string_equal(out.sensor_id, "edge");
    assert_string_equal(out.boot_id, "b");
    assert_string_equal(out.version, "1.2.3");
    assert_string_equal(out.config_hash, "0123456789abcdef");
    assert_false(observe_decode_info(bytes, length - 1, &out));
    memset(long_id, 'x', sizeof(long_id));
    long_id[sizeof(long_id) - 1] = '\0';
    info.sensor_id = long_id;
    length = netscope__v1__get_info_response__pack(&info, bytes);
    assert_false(observe_decode_info(bytes, length, &out));
}

static void messages_have_records_or_a_loss(void **state)
{
    Netscope__V1__LossNotice loss = NETSCOPE__V1__LOSS_NOTICE__INIT;
    Netscope__V1__ObserveFlowsResponse response = NETSCOPE__V1__OBSERVE_FLOWS_RESPONSE__INIT;
    struct observe_response out;
    uint8_t bytes[512];

    (void)state;
    loss.from_seq = 5;
    loss.to_seq = 9;
    loss.count = 5;
    loss.reason = (char *)(uintptr_t) "slow_reader";
    response.item_case = NETSCOPE__V1__OBSERVE_FLOWS_RESPONSE__ITEM_LOSS_NOTICE;
    response.loss_notice = &loss;
    size_t length = netscope__v1__observe_flows_response__pack(&response, bytes);
    assert_true(observe_decode_response(bytes, length, &out));
    assert_true(out.has_loss);
    assert_null(out.records);
    assert_int_equal(out.loss_from, 5);
    assert_int_equal(out.loss_to, 9);
    assert_int_equal(out.loss_count, 5);
    assert_string_equal(out.loss_reason, "slow_reader");
    assert_false(observe_decode_response(bytes, length - 1, &out));
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));
    wire_write_text(&w, 1, "abc");
    assert_true(observe_decode_response(bytes, wire_written(&w), &out));
    assert_int_equal(out.length, 3);
    assert_false(out.has_loss);
    assert_true(observe_decode_response(bytes, 0, &out)); /* nothing that this version knows */
    assert_null(out.records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_say_where_to_go_on),
        cmocka_unit_test(an_answer_without_identity_is_none),
        cmocka_unit_test(messages_have_records_or_a_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
