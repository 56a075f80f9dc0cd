#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proto/zeek/zeek.h"
#include "tests/support/record_random.h"

static char line[ZEEK_LINE_BYTES + 1], head[ZEEK_LINE_BYTES + 1];

/* The text of a column by its name in the head. */
static void column(enum zeek_log log, const char *name, char out[512])
{
    char *names, *values, *save_names = NULL, *save_values = NULL;

    head[zeek_head(log, 0, head)] = '\0';
    names = strdup(strstr(head, "#fields\t") + strlen("#fields\t"));
    *strchr(names, '\n') = '\0';
    values = strdup(line);
    *strchr(values, '\n') = '\0';
    const char *value = strtok_r(values, "\t", &save_values);

    for (const char *at = strtok_r(names, "\t", &save_names); at != NULL;
         at = strtok_r(NULL, "\t", &save_names)) {
        assert_non_null(value);
        if (strcmp(at, name) == 0) {
            (void)snprintf(out, 512, "%s", value);
            free(names);
            free(values);
            return;
        }
        value = strtok_r(NULL, "\t", &save_values);
    }
    fail_msg("no column %s", name);
}

static void assert_column(enum zeek_log log, const char *name, const char *wanted)
{
    char got[512];

    column(log, name, got);
    assert_string_equal(got, wanted);
}

static unsigned tabs_of(const char *text)
{
    unsigned count = 0;

    for (; *text != '\0' && *text != '\n'; text++) {
        count += *text == '\t';
    }
    return count;
}

static void write_flow(enum zeek_log log, const struct flow_record *record, enum zeek_form form)
{
    const size_t length = zeek_flow_line(log, record, form, line);

    assert_true(length > 0);
    line[length] = '\0';
    assert_int_equal(line[length - 1], '\n');
}

static struct flow_record flow(void)
{
    struct flow_record record = {
        .event = FLOW_END,
        .ip_version = 4,
        .ip_protocol = 17,
        .flow_id = 1,
        .start_ns = 1700000000 * NS_PER_SEC + 123456789,
        .end_ns = 1700000001 * NS_PER_SEC + 623456789,
        .client = {.ip = {{192, 0, 2, 1}, 4}, .port = 40000, .scope = SCOPE_INTERNAL},
        .server = {.ip = {{198, 51, 100, 2}, 4}, .port = 53, .scope = SCOPE_EXTERNAL},
        .app = {"dns", 3},
        .app_confidence = APP_CERTAIN};

    record.forward.total_packets = 2;
    record.forward.total_payload_bytes = 60;
    record.forward.total_ip_bytes = 116;
    record.reverse.total_packets = 1;
    return record;
}

/* ---- */

static void each_line_has_a_value_for_each_column_whatever_the_record(void **state)
{
    static struct flow_record record;
    struct record_random random = record_random_from(5);
    static const enum zeek_log logs[] = {ZEEK_CONN, ZEEK_SSL, ZEEK_SSH};
    unsigned seen[ZEEK_LOGS] = {0};

    (void)state;
    for (int i = 0; i < 3000; i++) {
        record_random_flow(&random, &record);
        record.event = FLOW_END;
        for (size_t k = 0; k < 3; k++) {
            const size_t length = zeek_flow_line(logs[k], &record, ZEEK_TSV, line);

            if (length == 0) {
                continue;
            }
            line[length] = '\0';
            head[zeek_head(logs[k], 0, head)] = '\0';
            assert_int_equal(tabs_of(line) + 1, tabs_of(strstr(head, "#fields")));
            assert_int_equal(tabs_of(strstr(head, "#fields")), tabs_of(strstr(head, "#types")));
            assert_ptr_equal(strchr(line, '\n'), line + length - 1);
            assert_null(strstr(line, "\t\t"));
            seen[logs[k]]++;
        }
    }
    assert_true(seen[ZEEK_CONN] > 1000 && seen[ZEEK_SSL] > 100 && seen[ZEEK_SSH] > 100);
}

static void a_flow_is_told_by_zeeks_words(void **state)
{
    struct flow_record record = flow();

    (void)state;
    write_flow(ZEEK_CONN, &record, ZEEK_TSV);
    assert_column(ZEEK_CONN, "ts", "1700000000.123456");
    assert_column(ZEEK_CONN, "uid", "C00000000001");
    assert_column(ZEEK_CONN, "id.orig_h", "192.0.2.1");
    assert_column(ZEEK_CONN, "id.resp_p", "53");
    assert_column(ZEEK_CONN, "proto", "udp");
    assert_column(ZEEK_CONN, "service", "dns");
    assert_column(ZEEK_CONN, "duration", "1.500000");
    assert_column(ZEEK_CONN, "orig_bytes", "60");
    assert_column(ZEEK_CONN, "resp_bytes", "0");
    assert_column(ZEEK_CONN, "conn_state", "SF");
    assert_column(ZEEK_CONN, "local_orig", "T");
    assert_column(ZEEK_CONN, "local_resp", "F");
    assert_column(ZEEK_CONN, "history", "D");
    assert_column(ZEEK_CONN, "orig_ip_bytes", "116");
    assert_column(ZEEK_CONN, "vlan", "-");
}

static void
what_did_not_last_has_neither_duration_nor_bytes_and_a_port_names_no_service(void **state)
{
    struct flow_record record = flow();

    (void)state;
    record.end_ns = record.start_ns;
    record.reverse.total_packets = 0;
    record.app_confidence = APP_PORT;
    write_flow(ZEEK_CONN, &record, ZEEK_TSV);
    assert_column(ZEEK_CONN, "duration", "-");
    assert_column(ZEEK_CONN, "orig_bytes", "-");
    assert_column(ZEEK_CONN, "service", "-");
    assert_column(ZEEK_CONN, "conn_state", "S0");
    record.event = FLOW_UPDATE;
    assert_int_equal(zeek_flow_line(ZEEK_CONN, &record, ZEEK_TSV, line), 0);
}

static void icmp_has_its_types_in_the_place_of_ports(void **state)
{
    struct flow_record record = flow();

    (void)state;
    record.ip_protocol = 1;
    record.has_icmp = true;
    record.icmp_type = 8;
    write_flow(ZEEK_CONN, &record, ZEEK_TSV);
    assert_column(ZEEK_CONN, "proto", "icmp");
    assert_column(ZEEK_CONN, "id.orig_p", "8");
    assert_column(ZEEK_CONN, "id.resp_p", "0");
    assert_column(ZEEK_CONN, "conn_state", "OTH");
    assert_column(ZEEK_CONN, "history", "-");
    record.icmp_type = 3;
    record.icmp_code = 13;
    write_flow(ZEEK_CONN, &record, ZEEK_TSV);
    assert_column(ZEEK_CONN, "id.resp_p", "13");
    record.icmp_type = 0; /* an answer whose question was not seen */
    record.icmp_code = 0;
    write_flow(ZEEK_CONN, &record, ZEEK_TSV);
    assert_column(ZEEK_CONN, "id.resp_p", "8");
}

static void names_from_the_wire_break_no_line_and_no_list(void **state)
{
    struct dns_transaction dns = {.ip_protocol = 17,
                                  .class = 1,
                                  .client_ip = {{192, 0, 2, 1}, 4},
                                  .server_ip = {{192, 0, 2, 2}, 4},
                                  .has_response = true,
                                  .name = {"a\tb\nc\\d\xff\xc3\xa4", 10},
                                  .answers_count = 3};
    char got[512];

    (void)state;
    dns.answers[0].data = (struct record_text){"x,y", 3};
    dns.answers[1].data = (struct record_text){"-", 1};
    dns.answers[1].ttl_seconds = 7;
    size_t length = zeek_dns_line(&dns, ZEEK_TSV, line);

    line[length] = '\0';
    assert_column(ZEEK_DNS, "query", "a\\x09b\\x0ac\\x5cd\\xff\xc3\xa4");
    assert_column(ZEEK_DNS, "answers", "x\\x2cy,\\x2d,(empty)");
    assert_column(ZEEK_DNS, "TTLs", "0.000000,7.000000,0.000000");
    column(ZEEK_DNS, "rejected", got);
    assert_string_equal(got, "F");
    length = zeek_dns_line(&dns, ZEEK_JSON, line);
    line[length] = '\0';
    assert_non_null(strstr(line, "\"query\":\"a\\tb\\nc\\\\d\xef\xbf\xbd\xc3\xa4\""));
    assert_non_null(strstr(line, "\"answers\":[\"x,y\",\"-\",\"\"]"));
    assert_null(strstr(line, "\"rtt\"")); /* unset */
}

static void an_error_without_an_answer_is_rejected_but_not_that_a_name_is_not_there(void **state)
{
    static const struct {
        uint16_t rcode;
        const char *rejected;
    } cases[] = {{0, "F"}, {2, "T"}, {3, "F"}, {5, "T"}};
    struct dns_transaction dns = {.ip_protocol = 17,
                                  .client_ip = {{192, 0, 2, 1}, 4},
                                  .server_ip = {{192, 0, 2, 2}, 4},
                                  .has_response = true};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dns.rcode = cases[i].rcode;
        line[zeek_dns_line(&dns, ZEEK_TSV, line)] = '\0';
        assert_column(ZEEK_DNS, "rejected", cases[i].rejected);
    }
}

static void versions_of_tls_have_zeeks_names(void **state)
{
    static const char *const cases[][2] = {{"1.3", "TLSv13"},
                                           {"1.0", "TLSv10"},
                                           {"DTLS 1.2", "DTLSv12"},
                                           {"SSL 3.0", "SSLv3"},
                                           {"", "-"}};
    struct flow_record record = flow();

    (void)state;
    record.has_tls = true;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        record.tls.version = (struct record_text){cases[i][0], (uint32_t)strlen(cases[i][0])};
        record.tls.cipher = i == 0 ? 0x1301 : 0xeeee;
        write_flow(ZEEK_SSL, &record, ZEEK_TSV);
        assert_column(ZEEK_SSL, "version", cases[i][1]);
        assert_column(ZEEK_SSL, "cipher", i == 0 ? "TLS_AES_128_GCM_SHA256" : "unknown-61166");
    }
}

static void an_incident_is_a_notice_when_it_opens(void **state)
{
    static struct alert_record alert = {.kind = ALERT_SYN_FLOOD,
                                        .state = ALERT_OPEN,
                                        .severity = SEVERITY_HIGH,
                                        .description = "many",
                                        .attackers_count = 1};

    (void)state;
    alert.attackers[0].ip = (struct ip_address){{192, 0, 2, 9}, 4};
    line[zeek_notice_line(&alert, ZEEK_TSV, line)] = '\0';
    assert_column(ZEEK_NOTICE, "note", "NetScope::syn_flood");
    assert_column(ZEEK_NOTICE, "src", "192.0.2.9");
    assert_column(ZEEK_NOTICE, "dst", "-");
    assert_column(ZEEK_NOTICE, "actions", "Notice::ACTION_LOG");
    alert.state = ALERT_UPDATE;
    assert_int_equal(zeek_notice_line(&alert, ZEEK_TSV, line), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_line_has_a_value_for_each_column_whatever_the_record),
        cmocka_unit_test(a_flow_is_told_by_zeeks_words),
        cmocka_unit_test(
            what_did_not_last_has_neither_duration_nor_bytes_and_a_port_names_no_service),
        cmocka_unit_test(icmp_has_its_types_in_the_place_of_ports),
        cmocka_unit_test(names_from_the_wire_break_no_line_and_no_list),
        cmocka_unit_test(an_error_without_an_answer_is_rejected_but_not_that_a_name_is_not_there),
        cmocka_unit_test(versions_of_tls_have_zeeks_names),
        cmocka_unit_test(an_incident_is_a_notice_when_it_opens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
