/* The enums of record.h have the numbers of the .proto files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <netscope/v1/alert.pb-c.h>
#include <netscope/v1/common.pb-c.h>
#include <netscope/v1/flow.pb-c.h>
#include <netscope/v1/packet.pb-c.h>
#include <netscope/v1/stats.pb-c.h>

#include "base/attributes.h"
#include "proto/record.h"

struct pair {
    const ProtobufCEnumDescriptor *descriptor;
    const char *name; /* of the .proto, behind the prefix of its enum */
    unsigned ours;
};

#define ENUM(type) (&netscope__v1__##type##__descriptor)

static const struct pair pairs[] = {
    {ENUM(stream), "STREAM_FLOWS", RECORD_FLOWS},
    {ENUM(stream), "STREAM_ALERTS", RECORD_ALERTS},
    {ENUM(stream), "STREAM_STATS", RECORD_STATS},
    {ENUM(stream), "STREAM_PACKETS", RECORD_PACKETS},
    {ENUM(stream), "STREAM_DNS", RECORD_DNS},
    {ENUM(flow_event), "FLOW_EVENT_START", FLOW_START},
    {ENUM(flow_event), "FLOW_EVENT_UPDATE", FLOW_UPDATE},
    {ENUM(flow_event), "FLOW_EVENT_END", FLOW_END},
    {ENUM(flow_end_reason), "FLOW_END_REASON_IDLE", FLOW_END_IDLE},
    {ENUM(flow_end_reason), "FLOW_END_REASON_ACTIVE", FLOW_END_ACTIVE},
    {ENUM(flow_end_reason), "FLOW_END_REASON_END_OF_FLOW", FLOW_END_END_OF_FLOW},
    {ENUM(flow_end_reason), "FLOW_END_REASON_FORCED", FLOW_END_FORCED},
    {ENUM(flow_end_reason), "FLOW_END_REASON_LACK_OF_RESOURCES", FLOW_END_LACK_OF_RESOURCES},
    {ENUM(flow_end_detail), "FLOW_END_DETAIL_TCP_FIN", FLOW_DETAIL_TCP_FIN},
    {ENUM(flow_end_detail), "FLOW_END_DETAIL_TCP_RST", FLOW_DETAIL_TCP_RST},
    {ENUM(flow_end_detail), "FLOW_END_DETAIL_TABLE_FULL", FLOW_DETAIL_TABLE_FULL},
    {ENUM(flow_end_detail), "FLOW_END_DETAIL_SHUTDOWN", FLOW_DETAIL_SHUTDOWN},
    {ENUM(flow_end_detail), "FLOW_END_DETAIL_OPERATOR", FLOW_DETAIL_OPERATOR},
    {ENUM(flow_end_detail), "FLOW_END_DETAIL_CAPTURE_END", FLOW_DETAIL_CAPTURE_END},
    {ENUM(flow_end_detail), "FLOW_END_DETAIL_PORT_REUSE", FLOW_DETAIL_PORT_REUSE},
    {ENUM(name_source), "NAME_SOURCE_DNS_ANSWER", NAME_DNS_ANSWER},
    {ENUM(name_source), "NAME_SOURCE_TLS_SNI", NAME_TLS_SNI},
    {ENUM(name_source), "NAME_SOURCE_HTTP_HOST", NAME_HTTP_HOST},
    {ENUM(name_source), "NAME_SOURCE_STATIC", NAME_STATIC},
    {ENUM(name_source), "NAME_SOURCE_REVERSE_DNS", NAME_REVERSE_DNS},
    {ENUM(network_scope), "NETWORK_SCOPE_INTERNAL", SCOPE_INTERNAL},
    {ENUM(network_scope), "NETWORK_SCOPE_EXTERNAL", SCOPE_EXTERNAL},
    {ENUM(network_scope), "NETWORK_SCOPE_MULTICAST", SCOPE_MULTICAST},
    {ENUM(network_scope), "NETWORK_SCOPE_LINK_LOCAL", SCOPE_LINK_LOCAL},
    {ENUM(initiator), "INITIATOR_SYN", INITIATOR_SYN},
    {ENUM(initiator), "INITIATOR_FIRST_PACKET", INITIATOR_FIRST_PACKET},
    {ENUM(initiator), "INITIATOR_PORT_GUESS", INITIATOR_PORT_GUESS},
    {ENUM(initiator), "INITIATOR_UNKNOWN", INITIATOR_UNKNOWN},
    {ENUM(tcp_state), "TCP_STATE_SYN_SENT", TCP_SYN_SENT},
    {ENUM(tcp_state), "TCP_STATE_SYN_ACK", TCP_SYN_ACK},
    {ENUM(tcp_state), "TCP_STATE_ESTABLISHED", TCP_ESTABLISHED},
    {ENUM(tcp_state), "TCP_STATE_FIN_WAIT", TCP_FIN_WAIT},
    {ENUM(tcp_state), "TCP_STATE_CLOSED", TCP_CLOSED},
    {ENUM(tcp_state), "TCP_STATE_RESET", TCP_RESET},
    {ENUM(app_confidence), "APP_CONFIDENCE_GUESSED", APP_GUESSED},
    {ENUM(app_confidence), "APP_CONFIDENCE_PORT", APP_PORT},
    {ENUM(app_confidence), "APP_CONFIDENCE_DPI", APP_DPI},
    {ENUM(app_confidence), "APP_CONFIDENCE_CERTAIN", APP_CERTAIN},
    {ENUM(alert_state), "ALERT_STATE_OPEN", ALERT_OPEN},
    {ENUM(alert_state), "ALERT_STATE_UPDATE", ALERT_UPDATE},
    {ENUM(alert_state), "ALERT_STATE_CLOSE", ALERT_CLOSE},
    {ENUM(alert_scope), "ALERT_SCOPE_SENSOR", ALERT_SENSOR_SCOPE},
    {ENUM(alert_scope), "ALERT_SCOPE_FLEET", ALERT_FLEET_SCOPE},
    {ENUM(close_reason), "CLOSE_REASON_QUIET", CLOSE_QUIET},
    {ENUM(close_reason), "CLOSE_REASON_ACKNOWLEDGED", CLOSE_ACKNOWLEDGED},
    {ENUM(close_reason), "CLOSE_REASON_SENSOR_LOST", CLOSE_SENSOR_LOST},
    {ENUM(close_reason), "CLOSE_REASON_CONFIG_CHANGED", CLOSE_CONFIG_CHANGED},
    {ENUM(close_reason), "CLOSE_REASON_SHUTDOWN", CLOSE_SHUTDOWN},
    {ENUM(ledger_stage), "LEDGER_STAGE_INTERFACE", LEDGER_INTERFACE},
    {ENUM(ledger_stage), "LEDGER_STAGE_KERNEL", LEDGER_KERNEL},
    {ENUM(ledger_stage), "LEDGER_STAGE_CAPTURE", LEDGER_CAPTURE},
    {ENUM(ledger_stage), "LEDGER_STAGE_DECODE", LEDGER_DECODE},
    {ENUM(ledger_stage), "LEDGER_STAGE_FLOW", LEDGER_FLOW},
    {ENUM(ledger_stage), "LEDGER_STAGE_PUBLISH", LEDGER_PUBLISH},
    {ENUM(ledger_stage), "LEDGER_STAGE_SINK", LEDGER_SINK},
    {ENUM(ledger_stage), "LEDGER_STAGE_SPOOL", LEDGER_SPOOL},
    {ENUM(ledger_stage), "LEDGER_STAGE_WIRE", LEDGER_WIRE},
    {ENUM(ledger_stage), "LEDGER_STAGE_INGEST", LEDGER_INGEST},
    {ENUM(ledger_stage), "LEDGER_STAGE_STORE", LEDGER_STORE},
    {ENUM(ledger_stage), "LEDGER_STAGE_FEED", LEDGER_FEED},
    {ENUM(sample_reason), "SAMPLE_REASON_RANDOM", SAMPLE_RANDOM},
    {ENUM(sample_reason), "SAMPLE_REASON_ALERT_EVIDENCE", SAMPLE_ALERT_EVIDENCE},
    {ENUM(sample_reason), "SAMPLE_REASON_FLOW_FIRST_N", SAMPLE_FLOW_FIRST_N},
    {ENUM(sample_reason), "SAMPLE_REASON_REQUESTED", SAMPLE_REQUESTED},
};

static void enums_have_the_numbers_of_the_proto_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value_by_name(pairs[i].descriptor, pairs[i].name);
        if (value == NULL || (unsigned)value->value != pairs[i].ours) {
            fail_msg("%s is not %u", pairs[i].name, pairs[i].ours);
        }
    }
}

/* So that a value added to a .proto cannot be forgotten here. */
static void every_value_of_those_enums_is_compared(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        unsigned compared = 1; /* _UNSPECIFIED */
        for (size_t j = 0; j < ARRAY_COUNT(pairs); j++) {
            compared += pairs[j].descriptor == pairs[i].descriptor;
        }
        if (compared != pairs[i].descriptor->n_values) {
            fail_msg("%s has values that record.h does not", pairs[i].descriptor->name);
        }
    }
}

/* "syn_flood" <-> ALERT_KIND_SYN_FLOOD */
static void assert_name(const ProtobufCEnumDescriptor *descriptor, unsigned number,
                        const char *prefix, const char *name)
{
    char full[80];
    (void)snprintf(full, sizeof full, "%s%s", prefix, name);
    for (char *c = full; *c != '\0'; c++) {
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    }
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value_by_name(descriptor, full);
    if (value == NULL || (unsigned)value->value != number) {
        fail_msg("%s is not the name of %u", full, number);
    }
}

static void names_are_those_of_the_proto_files_in_lower_case(void **state)
{
    (void)state;
    assert_int_equal(ALERT_KIND_COUNT, ENUM(alert_kind)->n_values);
    for (unsigned i = 1; i < ALERT_KIND_COUNT; i++) {
        assert_name(ENUM(alert_kind), i, "ALERT_KIND_", alert_kind_name((enum alert_kind)i));
    }
    for (unsigned i = SEVERITY_INFO; i <= SEVERITY_CRITICAL; i++) {
        assert_name(ENUM(severity), i, "SEVERITY_", severity_name((enum severity)i));
    }
    for (unsigned i = TCP_SYN_SENT; i <= TCP_RESET; i++) {
        assert_name(ENUM(tcp_state), i, "TCP_STATE_", tcp_state_name((enum tcp_state)i));
    }
}

static void a_number_out_of_range_has_a_name_too(void **state)
{
    (void)state;
    assert_string_equal(alert_kind_name((enum alert_kind)999), "unknown");
    assert_string_equal(severity_name((enum severity)999), "unknown");
    assert_string_equal(tcp_state_name((enum tcp_state)999), "");
}

static void a_flow_flag_is_the_bit_of_its_number(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned bit;
    } flags[] = {
        {"FLOW_FLAG_TRUNCATED_TABLE", FLOW_FLAG_TRUNCATED_TABLE},
        {"FLOW_FLAG_MIDSTREAM", FLOW_FLAG_MIDSTREAM},
        {"FLOW_FLAG_ASYMMETRIC", FLOW_FLAG_ASYMMETRIC},
        {"FLOW_FLAG_FRAGMENTS_SEEN", FLOW_FLAG_FRAGMENTS_SEEN},
        {"FLOW_FLAG_CLOCK_STEP", FLOW_FLAG_CLOCK_STEP},
        {"FLOW_FLAG_GAP_BEFORE", FLOW_FLAG_GAP_BEFORE},
        {"FLOW_FLAG_FRAGMENT_FAULT", FLOW_FLAG_FRAGMENT_FAULT},
        {"FLOW_FLAG_PORT_REUSED", FLOW_FLAG_PORT_REUSED},
        {"FLOW_FLAG_DATA_CONFLICT", FLOW_FLAG_DATA_CONFLICT},
    };
    assert_int_equal(ENUM(flow_flag)->n_values, ARRAY_COUNT(flags) + 1);
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value_by_name(ENUM(flow_flag), flags[i].name);
        assert_non_null(value);
        assert_int_equal(1U << value->value, flags[i].bit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enums_have_the_numbers_of_the_proto_files),
        cmocka_unit_test(every_value_of_those_enums_is_compared),
        cmocka_unit_test(names_are_those_of_the_proto_files_in_lower_case),
        cmocka_unit_test(a_number_out_of_range_has_a_name_too),
        cmocka_unit_test(a_flow_flag_is_the_bit_of_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
