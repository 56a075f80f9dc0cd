#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/export/flow_short.h"

static struct record_text text(const char *of)
{
    return (struct record_text){of, (uint32_t)strlen(of)};
}

static struct ip_address address(const char *of)
{
    struct ip_address out = {0};

    assert_true(address_parse(of, strlen(of), &out));
    return out;
}

static struct flow_record tcp_flow(void)
{
    struct flow_record record = {
        .flow_id = 0x1122334455667788,
        .event = FLOW_END,
        .end_reason = FLOW_END_END_OF_FLOW,
        .initiator = INITIATOR_SYN,
        .ip_version = 4,
        .ip_protocol = 6,
        .has_tcp = true,
        .has_vlan = true,
        .vlan_id = 12,
        .start_ns = UINT64_C(1700000000123456789),
        .end_ns = UINT64_C(1700000002123456789),
        .client = {.ip = address("192.0.2.9"), .port = 40000},
        .server = {.ip = address("192.0.2.1"), .port = 443, .name = text("www.example")},
        .forward = {.total_packets = 5, .total_bytes = 700, .delta_packets = 1, .delta_bytes = 7},
        .reverse = {.total_packets = 4,
                    .total_bytes = 9300,
                    .delta_packets = 1,
                    .delta_bytes = 7,
                    .missed_bytes = 10},
        .community_id = text("1:abc="),
        .app = text("tls"),
    };

    record.tcp = (struct flow_tcp){
        .state = TCP_CLOSED,
        .is_measured = true,
        .conn_state = "SF",
        .history = "ShADadFf",
        .forward = {.retransmitted_segments = 2,
                    .out_of_order_segments = 1,
                    .retransmitted_bytes = 100,
                    .fast_retransmissions = 1,
                    .duplicate_acks = 4,
                    .window_full_events = 6},
        .reverse = {.retransmitted_segments = 1,
                    .retransmitted_bytes = 11,
                    .spurious_retransmissions = 2,
                    .duplicate_acks = 1,
                    .zero_window_events = 7,
                    .keepalives = 8,
                    .duplicate_packets = 9},
        .has_handshake = true,
        .handshake_ns = 1500000,
        .client_rtt = {.min_ns = 1000000, .last_ns = 2000000, .ewma_ns = 1500000, .samples = 3},
        .server_rtt = {.min_ns = 10000000, .last_ns = 20000000, .ewma_ns = 15000000, .samples = 4},
    };
    return record;
}

static const char *json_of(const struct flow_record *record)
{
    static char out[FLOW_SHORT_BYTES_MAX];
    struct json_writer writer;

    json_init(&writer, out, sizeof(out) - 1);
    json_object_begin(&writer);
    flow_short_json(&writer, record);
    json_object_end(&writer);
    assert_false(writer.overflow);
    out[writer.length] = '\0';
    return out;
}

static const char *csv_of(const struct flow_record *record)
{
    static char out[FLOW_SHORT_BYTES_MAX];
    const size_t length = flow_short_csv(record, out, sizeof(out) - 1);

    assert_true(length > 0);
    out[length] = '\0';
    return out;
}

static void every_field_of_a_tcp_flow_is_in_the_json_in_order(void **state)
{
    (void)state;
    const struct flow_record record = tcp_flow();

    /* a is the smaller address, so here the client is b. */
    assert_string_equal(
        json_of(&record),
        "{\"protocol\":\"TCP\",\"endpoint_a\":{\"ip\":\"192.0.2.1\",\"port\":443},"
        "\"endpoint_b\":{\"ip\":\"192.0.2.9\",\"port\":40000},"
        "\"first_seen\":1700000000.123456,\"last_seen\":1700000002.123456,\"duration_secs\":2.000,"
        "\"packets_a_to_b\":4,\"packets_b_to_a\":5,\"bytes_a_to_b\":9300,\"bytes_b_to_a\":700,"
        "\"packets_total\":9,\"bytes_total\":10000,\"avg_bps\":40000.000,\"tcp_state\":\"closed\","
        "\"client\":\"b_to_a\",\"retransmissions\":3,\"out_of_order\":1,\"rtt_last_ms\":22.000,"
        "\"rtt_min_ms\":11.000,\"rtt_ewma_ms\":16.500,\"rtt_samples\":7,"
        "\"flow_id\":\"1122334455667788\",\"community_id\":\"1:abc=\",\"end_reason\":\"end_of_"
        "flow\","
        "\"app\":\"tls\",\"server_name\":\"www.example\",\"conn_state\":\"SF\","
        "\"history\":\"ShADadFf\",\"vlan_id\":12,\"retransmitted_bytes\":111,"
        "\"fast_retransmissions\":1,\"spurious_retransmissions\":2,\"duplicate_acks\":5,"
        "\"zero_windows\":7,\"window_full\":6,\"keep_alives\":8,\"duplicate_packets\":9,"
        "\"missed_bytes\":10,\"handshake_ms\":1.500,\"server_response_ms\":null}");
}

static void the_csv_line_has_the_fields_of_the_header(void **state)
{
    (void)state;
    const struct flow_record record = tcp_flow();
    uint32_t columns = 0;
    uint32_t fields = 0;

    assert_string_equal(
        csv_of(&record),
        "TCP,192.0.2.1,443,192.0.2.9,40000,1700000000.123456,1700000002.123456,2.000,4,5,9300,700,"
        "9,"
        "10000,40000.000,closed,b_to_a,3,1,22.000,11.000,16.500,7,1122334455667788,1:abc=,"
        "end_of_flow,tls,www.example,SF,ShADadFf,12,111,1,2,5,7,6,8,9,10,1.500,\r\n");
    for (const char *c = flow_short_csv_header; *c != '\0'; c++) {
        columns += *c == ',';
    }
    for (const char *c = csv_of(&record); *c != '\0'; c++) {
        fields += *c == ',';
    }
    assert_int_equal(columns, fields);
    assert_ptr_equal(
        strstr(flow_short_csv_header,
               "protocol,endpoint_a_ip,endpoint_a_port,endpoint_b_ip,endpoint_b_port,"
               "first_seen,last_seen,duration_secs,packets_a_to_b,packets_b_to_a,"
               "bytes_a_to_b,bytes_b_to_a,packets_total,bytes_total,avg_bps,tcp_state,"
               "client,retransmissions,out_of_order,rtt_last_ms,rtt_min_ms,rtt_ewma_ms,"
               "rtt_samples,"),
        flow_short_csv_header);
    assert_non_null(strstr(flow_short_csv_header, "\r\n"));
}

static void what_compact_mode_does_not_measure_is_null_and_empty(void **state)
{
    (void)state;
    struct flow_record record = tcp_flow();

    record.tcp.is_measured = false;
    assert_non_null(strstr(json_of(&record),
                           "\"retransmissions\":null,\"out_of_order\":null,\"rtt_last_ms\":null,"
                           "\"rtt_min_ms\":null,\"rtt_ewma_ms\":null,\"rtt_samples\":null,"));
    assert_non_null(strstr(csv_of(&record), "closed,b_to_a,,,,,,,1122334455667788,"));
}

static void a_measured_flow_without_samples_has_counts_and_no_times(void **state)
{
    (void)state;
    struct flow_record record = tcp_flow();

    record.tcp.client_rtt = record.tcp.server_rtt = (struct flow_round_trip){0};
    assert_non_null(strstr(json_of(&record),
                           "\"retransmissions\":3,\"out_of_order\":1,\"rtt_last_ms\":null,"
                           "\"rtt_min_ms\":null,\"rtt_ewma_ms\":null,\"rtt_samples\":0,"));
    assert_non_null(strstr(csv_of(&record), "b_to_a,3,1,,,,0,"));
}

static void a_flow_with_nothing_known_has_nulls(void **state)
{
    (void)state;
    const struct flow_record record = {
        .ip_version = 6,
        .ip_protocol = 253,
        .client = {.ip = address("2001:db8::2")},
        .server = {.ip = address("2001:db8::1")},
        .start_ns = 5000,
        .end_ns = 4000, /* a clock that stepped back: no negative duration */
    };

    assert_string_equal(
        json_of(&record),
        "{\"protocol\":\"253\",\"endpoint_a\":{\"ip\":\"2001:db8::1\",\"port\":0},"
        "\"endpoint_b\":{\"ip\":\"2001:db8::2\",\"port\":0},\"first_seen\":0.000005,"
        "\"last_seen\":0.000004,\"duration_secs\":0.000,\"packets_a_to_b\":0,\"packets_b_to_a\":0,"
        "\"bytes_a_to_b\":0,\"bytes_b_to_a\":0,\"packets_total\":0,\"bytes_total\":0,"
        "\"avg_bps\":0.000,\"tcp_state\":\"unknown\",\"client\":null,\"retransmissions\":null,"
        "\"out_of_order\":null,\"rtt_last_ms\":null,\"rtt_min_ms\":null,\"rtt_ewma_ms\":null,"
        "\"rtt_samples\":null,\"flow_id\":\"0000000000000000\",\"community_id\":null,"
        "\"end_reason\":null,\"app\":null,\"server_name\":null,\"conn_state\":null,"
        "\"history\":null,\"vlan_id\":null,\"retransmitted_bytes\":null,"
        "\"fast_retransmissions\":null,\"spurious_retransmissions\":null,"
        "\"duplicate_acks\":null,\"zero_windows\":null,\"window_full\":null,"
        "\"keep_alives\":null,\"duplicate_packets\":null,\"missed_bytes\":null,"
        "\"handshake_ms\":null,\"server_response_ms\":null}");
    assert_string_equal(csv_of(&record),
                        "253,2001:db8::1,0,2001:db8::2,0,0.000005,0.000004,0.000,0,0,0,0,0,0,0.000,"
                        "unknown,,,,,,,,0000000000000000,,,,,,,,,,,,,,,,,,\r\n");
}

static void every_tcp_state_has_the_name_of_the_seed(void **state)
{
    (void)state;
    static const char *const names[] = {"unknown",  "syn_sent", "syn_ack", "established",
                                        "fin_wait", "closed",   "reset",   "unknown"};
    struct flow_record record = tcp_flow();

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char wanted[64];

        record.tcp.state = (uint8_t)i;
        (void)snprintf(wanted, sizeof(wanted), "\"tcp_state\":\"%s\"", names[i]);
        assert_non_null(strstr(json_of(&record), wanted));
    }
}

static void equal_addresses_are_ordered_by_port(void **state)
{
    (void)state;
    struct flow_record record = tcp_flow();

    record.client = (struct flow_endpoint){.ip = address("127.0.0.1"), .port = 80};
    record.server = (struct flow_endpoint){.ip = address("127.0.0.1"), .port = 81};
    assert_non_null(strstr(csv_of(&record), "TCP,127.0.0.1,80,127.0.0.1,81,"));
    assert_non_null(strstr(json_of(&record), "\"client\":\"a_to_b\""));
    record.initiator = INITIATOR_UNKNOWN;
    assert_non_null(strstr(json_of(&record), "\"client\":null"));
}

static void hostile_names_cannot_leave_their_csv_field(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t length;
        const char *field;
    } cases[] = {
        {"a,b", 3, "tls,\"a,b\",SF"},
        {"say \"hi\"", 8, "tls,\"say \"\"hi\"\"\",SF"},
        {"two\r\nlines", 10, "tls,\"two\r\nlines\",SF"},
        {"=1+1", 4, "tls,\"'=1+1\",SF"},
        {"@sum", 4, "tls,\"'@sum\",SF"},
        {"\t=1", 3, "tls,\"'\t=1\",SF"},
        {"\0=1", 3, "tls,\xef\xbf\xbd=1,SF"},
        {"\x1b[31m", 5, "tls,\xef\xbf\xbd[31m,SF"},
        {"\xff\xfe", 2, "tls,\xef\xbf\xbd\xef\xbf\xbd,SF"},
        {"m\xc3\xbcller", 7, "tls,m\xc3\xbcller,SF"},
    };
    struct flow_record record = tcp_flow();

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        record.server.name = (struct record_text){cases[i].name, cases[i].length};
        assert_non_null(strstr(csv_of(&record), cases[i].field));
    }
}

static void too_small_a_buffer_is_told_at_every_size(void **state)
{
    (void)state;
    const struct flow_record record = tcp_flow();
    char out[1024];
    const size_t length = flow_short_csv(&record, out, sizeof(out));

    for (size_t capacity = 0; capacity < length; capacity++) {
        assert_int_equal(flow_short_csv(&record, out, capacity), 0);
    }
    assert_int_equal(flow_short_csv(&record, out, length), length);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_tcp_flow_is_in_the_json_in_order),
        cmocka_unit_test(the_csv_line_has_the_fields_of_the_header),
        cmocka_unit_test(what_compact_mode_does_not_measure_is_null_and_empty),
        cmocka_unit_test(a_measured_flow_without_samples_has_counts_and_no_times),
        cmocka_unit_test(a_flow_with_nothing_known_has_nulls),
        cmocka_unit_test(every_tcp_state_has_the_name_of_the_seed),
        cmocka_unit_test(equal_addresses_are_ordered_by_port),
        cmocka_unit_test(hostile_names_cannot_leave_their_csv_field),
        cmocka_unit_test(too_small_a_buffer_is_told_at_every_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
