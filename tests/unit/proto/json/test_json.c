#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/wire_format.h"
#include "proto/codec.h"
#include "proto/json/descriptor_index.h"
#include "proto/json/transcoder.h"
#include "tests/support/record_random.h"

#define FLOWS "netscope.v1.ObserveFlowsRequest"

static uint8_t wire[CODEC_FLOW_BYTES_MAX], again[2 * CODEC_FLOW_BYTES_MAX];
static char json[1 << 18];
static struct flow_record flow;

static const char *to_json(const char *name, const uint8_t *bytes, size_t length)
{
    struct json_writer out;
    json_init(&out, json, sizeof json - 1);
    assert_true(json_from_wire(json_message_find(name), bytes, length, &out));
    assert_false(out.overflow);
    json[out.length] = '\0';
    return json;
}

static void every_field_of_a_flow_lands_under_its_name(void **state)
{
    (void)state;
    record_typical_flow(&flow);
    const size_t length = codec_encode_flow(&flow, wire, sizeof wire);
    static const char *const parts[] = {
        "\"flow_id\":\"1f2e3d4c5b6a7988\"",
        "\"event\":\"FLOW_EVENT_END\"",
        "\"start_time\":\"2023-11-14T22:13:20.123456789Z\"",
        "\"client\":{\"ip\":\"192.168.10.27\",\"port\":51234,",
        ("\"name\":\"www.example.com\",\"name_source\":\"NAME_SOURCE_TLS_SNI\","
         "\"scope\":\"NETWORK_SCOPE_EXTERNAL\""),
        "\"forward\":{\"delta_packets\":\"12\",\"delta_bytes\":\"1870\"",
        "\"missed_bytes\":\"0\",\"ttl_min\":64,\"ttl_max\":64}",
        "\"app\":{\"protocol\":\"tls\",\"confidence\":\"APP_CONFIDENCE_CERTAIN\"",
        "\"client_rtt\":{\"min\":\"0.000250s\"",
        "\"handshake_time\":\"0.011250s\"",
        "\"community_id\":\"1:LQU9qZlK+B5F3KDmev6m5PMibrg=\"",
        "\"sensor_id\":\"\",\"boot_id\":\"\",\"record_seq\":\"0\"",
    };
    const char *text = to_json("netscope.v1.FlowRecord", wire, length);
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        if (strstr(text, parts[i]) == NULL) {
            fail_msg("%s is not in %s", parts[i], text);
        }
    }
    assert_null(strstr(text, "vlan_id"));
    assert_null(strstr(text, "labels"));
}

static void flows_read_back_as_the_same_bytes(void **state)
{
    (void)state;
    const struct json_message *message = json_message_find("netscope.v1.FlowRecord");
    static struct flow_record decoded;
    struct record_random random = record_random_from(31);
    for (int i = 0; i < 300; i++) {
        record_random_flow(&random, &flow);
        const size_t length = codec_encode_flow(&flow, wire, sizeof wire);
        const char *text = to_json("netscope.v1.FlowRecord", wire, length);
        struct error err = {0};
        const size_t back = json_to_wire(message, text, strlen(text), again, sizeof again, &err);
        if (err.code != 0) {
            fail_msg("%s", err.message);
        }
        assert_true(codec_decode_flow(again, back, &decoded));
        static uint8_t third[CODEC_FLOW_BYTES_MAX]; /* the texts lie in `again` */
        assert_int_equal(codec_encode_flow(&decoded, third, sizeof third), length);
        assert_memory_equal(third, wire, length);
    }
}

static size_t read_json(const char *name, const char *text, struct error *err)
{
    return json_to_wire(json_message_find(name), text, strlen(text), wire, sizeof wire, err);
}

static void requests_are_read_in_both_name_forms(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"include\":[{\"server_port\":[443]}],\"max_batch\":1,\"since\":\"1970-01-01T00:00:"
        "01Z\"}",
        " { \"include\" : [ { \"serverPort\" : [ \"443\" ] } ] , \"maxBatch\" : 1e0,"
        "\"since\":\"1970-01-01T01:00:01+01:00\",\"until\":null}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct error err = {0};
        const size_t length = read_json(FLOWS, texts[i], &err);
        assert_int_equal(err.code, 0);
        const char *text = to_json(FLOWS, wire, length);
        assert_non_null(strstr(text, "\"server_port\":[443]"));
        assert_non_null(strstr(text, "\"max_batch\":1"));
        assert_non_null(strstr(text, "\"since\":\"1970-01-01T00:00:01Z\""));
    }
    struct error err = {0};
    assert_int_equal(read_json(FLOWS, "{}", &err), 0);
    assert_int_equal(err.code, 0);
}

static void special_forms_and_escapes_read_and_write(void **state)
{
    (void)state;
    struct error err = {0};
    size_t length = read_json(FLOWS, "{\"fieldMask\":\"startTime,tcp.clientRtt,app\"}", &err);
    assert_non_null(strstr((const char *)to_json(FLOWS, wire, length),
                           "\"field_mask\":\"startTime,tcp.clientRtt,app\""));
    assert_non_null(memmem(wire, length, "tcp.client_rtt", 14));

    /* However long. */
    static const char path[] = "startTime,";
    char asked[8192] = "{\"fieldMask\":\"";
    for (unsigned i = 0; i < 500; i++) {
        strcat(asked, path);
    }
    strcat(asked, "_a_,__b,_\xc3\xbc\"}");
    length = read_json(FLOWS, asked, &err);
    assert_int_equal(err.code, 0);
    const char *mask = strstr(to_json(FLOWS, wire, length), "\"field_mask\":\"");
    assert_non_null(mask);
    assert_memory_equal(mask + 14, path, sizeof path - 1);
    assert_non_null(strstr(mask, "startTime,startTime,A_,_B,_\xc3\xbc\""));

    length = read_json(FLOWS, "{\"filter\":\"a\\\"\\u00fc\\ud83d\\ude00\\n\"}", &err);
    assert_non_null(strstr(to_json(FLOWS, wire, length), "a\\\"\xc3\xbc\xf0\x9f\x98\x80\\n"));

    length = read_json("netscope.v1.PacketSample", "{\"data\":\"_-8A\"}", &err);
    assert_int_equal(err.code, 0);
    assert_non_null(strstr(to_json("netscope.v1.PacketSample", wire, length), "\"data\":\"/+8A\""));

    length = read_json("netscope.v1.Endpoint", "{\"labels\":{\"a\":\"1\",\"b\":\"2\"}}", &err);
    assert_non_null(strstr(to_json("netscope.v1.Endpoint", wire, length),
                           "\"labels\":{\"a\":\"1\",\"b\":\"2\"}"));

    length = read_json("netscope.v1.AlertRecord",
                       "{\"observed\":\"NaN\",\"threshold\":\"-Infinity\",\"baseline\":1.5}", &err);
    const char *text = to_json("netscope.v1.AlertRecord", wire, length);
    assert_non_null(strstr(text, "\"observed\":\"NaN\",\"threshold\":\"-Infinity\""));
    assert_non_null(strstr(text, "\"baseline\":1.5"));

    length = read_json("netscope.v1.ClockStats", "{\"offsetEstimate\":\"-1.5s\"}", &err);
    assert_non_null(
        strstr(to_json("netscope.v1.ClockStats", wire, length), "\"offset_estimate\":\"-1.500s\""));
}

static void a_mistake_is_told_with_line_column_and_field(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"filtr\":\"\"}", "line 1 column 2: unknown field 'filtr' of netscope.v1."
                             "ObserveFlowsRequest; did you mean 'filter'?"},
        {"{\n \"max_batch\": -1}",
         "line 2 column 15: field 'max_batch' needs a whole number from 0 "
         "to 4294967295, not '-1'"},
        {"{\"max_batch\":4294967296}", NULL},
        {"{\"max_batch\":1.5}", NULL},
        {"{\"max_batch\":01x}", NULL},
        {"{\"filter\":12}", "line 1 column 11: field 'filter' needs a text, not '12'"},
        {"{\"follow\":\"yes\"}", NULL},
        {"{\"follow\":true,\"follow\":true}", "line 1 column 16: field 'follow' is there twice"},
        {"{\"since\":\"yesterday\"}", NULL},
        {"{\"since\":\"2023-02-29T00:00:00Z\"}", NULL},
        {"{\"include\":{}}", "line 1 column 12: field 'include' is a list: expected '['"},
        {"{\"include\":[{}", NULL},
        {"{\"filter\":\"abc", NULL},
        {"{\"filter\":\"\\ud800\"}", NULL},
        {"{\"filter\":\"\xff\"}", NULL},
        {"{} x", "line 1 column 4: expected nothing behind the object"},
        {"", NULL},
        {"[]", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = {0};
        assert_int_equal(read_json(FLOWS, cases[i].text, &err), 0);
        if (err.code == 0) {
            fail_msg("accepted: %s", cases[i].text);
        }
        if (cases[i].message != NULL) {
            assert_string_equal(err.message, cases[i].message);
        }
    }
    struct error err = {0};
    assert_int_equal(read_json("netscope.v1.ConnectRequest", "{\"hello\":{},\"goodbye\":{}}", &err),
                     0);
    assert_int_equal(err.code, EINVAL);
}

static void the_last_member_of_a_oneof_wins_and_pieces_are_merged(void **state)
{
    (void)state;
    struct wire_writer w = wire_writer_over(wire, sizeof wire);
    struct wire_mark mark = wire_begin(&w, 1, 1); /* hello{sensor_id} */
    wire_write_text(&w, 1, "a");
    wire_end(&w, mark);
    mark = wire_begin(&w, 7, 1); /* goodbye */
    wire_end(&w, mark);
    mark = wire_begin(&w, 1, 1); /* hello{version} and hello{host_name}: the first is forgotten */
    wire_write_text(&w, 3, "v");
    wire_end(&w, mark);
    mark = wire_begin(&w, 1, 1);
    wire_write_text(&w, 8, "h");
    wire_end(&w, mark);
    const char *text = to_json("netscope.v1.ConnectRequest", wire, wire_written(&w));
    assert_string_equal(text, "{\"hello\":{\"sensor_id\":\"\",\"boot_id\":\"\",\"version\":\"v\","
                              "\"config_hash\":\"\",\"protocol_version\":0,\"host_name\":\"h\"}}");
}

static void write_default(struct wire_writer *w, const struct json_field *field)
{
    switch (field->wire_type) {
    case WIRE_VARINT:
        wire_write_varint(w, field->number, 0);
        break;
    case WIRE_FIXED64:
        wire_write_fixed64(w, field->number, 0);
        break;
    case WIRE_FIXED32:
        wire_write_fixed32(w, field->number, 0);
        break;
    default:
        wire_write_bytes(w, field->number, NULL, 0);
        break;
    }
}

/* Written as 0 or empty, one field or all say what they say where they are not there. */
static void defaults_read_as_absent(const char *name)
{
    const struct json_message *message = json_message_find(name);
    static char absent[1 << 14];
    (void)snprintf(absent, sizeof absent, "%s", to_json(name, NULL, 0));

    struct wire_writer all = wire_writer_over(again, sizeof again);
    for (uint32_t i = 0; i < message->fields_count; i++) {
        const struct json_field *field = &message->fields[i];
        if (!field->has_presence && !field->is_repeated) {
            struct wire_writer one = wire_writer_over(wire, sizeof wire);
            write_default(&one, field);
            assert_string_equal(to_json(name, wire, wire_written(&one)), absent);
            write_default(&all, field);
        }
    }
    assert_true(all.ok);
    assert_string_equal(to_json(name, again, wire_written(&all)), absent);

    for (uint32_t i = 0; i < message->fields_count; i++) {
        const struct json_message *inner = message->fields[i].message;
        if (inner != NULL && inner->form == FORM_PLAIN && !inner->is_map_entry) {
            defaults_read_as_absent(inner->full_name);
        }
    }
}

static void a_field_that_is_not_there_reads_as_its_default(void **state)
{
    (void)state;
    static const char *const names[] = {"netscope.v1.FlowRecord",    "netscope.v1.DnsRecord",
                                        "netscope.v1.AlertRecord",   "netscope.v1.StatsRecord",
                                        "netscope.v1.PacketSample",  "netscope.v1.FlowRow",
                                        "netscope.v1.ConnectRequest"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        defaults_read_as_absent(names[i]);
    }
    assert_string_equal(to_json("netscope.v1.ConnectRequest", NULL, 0), "{}");
}

static void no_truncation_reads_past_its_end(void **state)
{
    (void)state;
    const struct json_message *message = json_message_find("netscope.v1.FlowRecord");
    struct record_random random = record_random_from(33);
    record_random_flow(&random, &flow);
    const size_t length = codec_encode_flow(&flow, wire, sizeof wire);
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *copy = malloc(cut + 1);
        assert_non_null(copy);
        memcpy(copy, wire, cut);
        struct json_writer out;
        json_init(&out, json, sizeof json);
        (void)!json_from_wire(message, copy, cut, &out);
        free(copy);
    }
    char whole[65536];
    (void)snprintf(whole, sizeof whole, "%s", to_json("netscope.v1.FlowRecord", wire, length));
    for (size_t cut = 0; cut < strlen(whole); cut++) {
        char *copy = malloc(cut + 1);
        assert_non_null(copy);
        memcpy(copy, whole, cut);
        struct error err = {0};
        assert_int_equal(json_to_wire(message, copy, cut, again, sizeof again, &err), 0);
        assert_int_equal(err.code, EINVAL);
        free(copy);
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    /* reflection answers hold a request, but no message of ours nests in itself: damage alone */
    struct error err = {0};
    char text[4096];
    memset(text, '[', sizeof text);
    assert_int_equal(
        json_to_wire(json_message_find(FLOWS), text, sizeof text, wire, sizeof wire, &err), 0);
    assert_int_equal(err.code, EINVAL);
}

static void query_parameters_build_a_request(void **state)
{
    (void)state;
    const struct json_message *message = json_message_find("netscope.v1.ListAlertsRequest");
    size_t length = 0;
    struct error err = {0};
    static const char *const pairs[][2] = {{"page_size", "50"},
                                           {"kinds", "ALERT_KIND_SYN_FLOOD"},
                                           {"kinds", "2"},
                                           {"minSeverity", "SEVERITY_HIGH"},
                                           {"subject", "10.0.0.0/8"}};
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        assert_int_equal(
            json_set_parameter(message, pairs[i][0], pairs[i][1], wire, sizeof wire, &length, &err),
            0);
    }
    assert_string_equal(to_json("netscope.v1.ListAlertsRequest", wire, length),
                        "{\"kinds\":[\"ALERT_KIND_SYN_FLOOD\",\"ALERT_KIND_PORT_SCAN_VERTICAL\"],"
                        "\"min_severity\":\"SEVERITY_HIGH\",\"subject\":[\"10.0.0.0/8\"],"
                        "\"page_size\":50,\"page_token\":\"\",\"acknowledged\":\"ALERT_INCLUSION_"
                        "UNSPECIFIED\",\"silenced\":\"ALERT_INCLUSION_UNSPECIFIED\"}");

    assert_int_equal(json_set_parameter(message, "pagesize", "1", wire, sizeof wire, &length, &err),
                     -ENOENT);
    assert_string_equal(err.message, "unknown parameter 'pagesize'; did you mean 'page_size'?");
    assert_int_equal(
        json_set_parameter(message, "page_size", "x", wire, sizeof wire, &length, &err), -EINVAL);
    assert_int_equal(json_set_parameter(message, "kinds", "9999", wire, sizeof wire, &length, &err),
                     -EINVAL);
    assert_int_equal(
        json_set_parameter(message, "silenced", "-1", wire, sizeof wire, &length, &err), -EINVAL);
    assert_string_equal(err.message,
                        "parameter 'silenced' needs one of ALERT_INCLUSION_UNSPECIFIED,"
                        " ALERT_INCLUSION_EXCLUDE, ALERT_INCLUSION_ONLY, not '-1'");
    assert_true(json_parameter_is_list(message, "kinds"));
    assert_true(json_parameter_is_list(message, "sensorSelector.sensor_ids"));
    assert_false(json_parameter_is_list(message, "page_size"));
    assert_false(json_parameter_is_list(message, "page_size.x"));
    assert_false(json_parameter_is_list(message, "sensor_selector."));
    assert_int_equal(
        json_set_parameter(message, "page_size.x", "1", wire, sizeof wire, &length, &err), -EINVAL);
    assert_int_equal(
        json_set_parameter(message, "page_token", "abcdef", wire, length + 3, &length, &err),
        -ENOSPC);

    length = 0;
    assert_int_equal(json_set_parameter(json_message_find("netscope.v1.GetStatusResponse"),
                                        "stats.totals.packets", "7", wire, sizeof wire, &length,
                                        &err),
                     0);
    assert_non_null(
        strstr(to_json("netscope.v1.GetStatusResponse", wire, length), "\"packets\":\"7\""));
}

static void what_is_asked_for_by_reflection_is_there(void **state)
{
    (void)state;
    static const char *const names[] = {"netscope.v1.FlowRecord",
                                        "grpc.health.v1.HealthCheckRequest",
                                        "grpc.reflection.v1.ServerReflectionRequest",
                                        "grpc.reflection.v1alpha.ServerReflectionRequest",
                                        "google.rpc.Status",
                                        "google.rpc.ErrorInfo",
                                        "google.rpc.BadRequest",
                                        "google.rpc.RetryInfo",
                                        "google.protobuf.Timestamp",
                                        "google.protobuf.Any"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert_non_null(json_message_find(names[i]));
    }
    assert_null(json_message_find("netscope.v1.Missing"));
    size_t length = 0;
    assert_non_null(json_descriptor_set(&length));
    assert_in_range(length, 10000, 1000000);
}

/* Printed, not judged: machines differ, and a debug build is slow. */
static void the_speed_of_a_typical_flow_is_printed(void **state)
{
    (void)state;
    enum { ROUNDS = 5000 };
    const struct json_message *message = json_message_find("netscope.v1.FlowRecord");
    record_typical_flow(&flow);
    const size_t length = codec_encode_flow(&flow, wire, sizeof wire);
    struct json_writer out = {0};
    struct timespec begin;
    struct timespec end;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (int i = 0; i < ROUNDS; i++) {
        json_init(&out, json, sizeof json);
        assert_true(json_from_wire(message, wire, length, &out));
    }
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    const double ns =
        (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
    print_message("typical flow: %zu bytes of JSON, %.0f ns\n", out.length, ns / ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_flow_lands_under_its_name),
        cmocka_unit_test(flows_read_back_as_the_same_bytes),
        cmocka_unit_test(requests_are_read_in_both_name_forms),
        cmocka_unit_test(special_forms_and_escapes_read_and_write),
        cmocka_unit_test(a_mistake_is_told_with_line_column_and_field),
        cmocka_unit_test(the_last_member_of_a_oneof_wins_and_pieces_are_merged),
        cmocka_unit_test(a_field_that_is_not_there_reads_as_its_default),
        cmocka_unit_test(no_truncation_reads_past_its_end),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(query_parameters_build_a_request),
        cmocka_unit_test(what_is_asked_for_by_reflection_is_there),
        cmocka_unit_test(the_speed_of_a_typical_flow_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
