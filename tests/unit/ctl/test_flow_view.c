/* Lines of flow records: what stands in them, and that nothing from the wire gets out unescaped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/flow_view.h"

static char text[FLOW_LINE_BYTES];
static struct flow_record flow;

#define TEXT(literal) ((struct record_text){(literal), sizeof(literal) - 1})

static void fill(void)
{
    flow = (struct flow_record){
        .identity = {.sensor_id = TEXT("edge-1")},
        .event = FLOW_END,
        .end_reason = FLOW_END_END_OF_FLOW,
        .end_detail = FLOW_DETAIL_TCP_FIN,
        .ip_version = 4,
        .ip_protocol = 6,
        .has_tcp = true,
        .start_ns = UINT64_C(1700000000000000000),
        .end_ns = UINT64_C(1700000002000000000),
        .client = {.port = 40000},
        .server = {.port = 80, .name = TEXT("web.example")},
        .forward = {.total_bytes = 1536, .total_packets = 3},
        .reverse = {.total_bytes = 2048, .total_packets = 4},
        .app = TEXT("http"),
        .app_confidence = APP_CERTAIN,
        .tcp = {.state = TCP_CLOSED, .is_measured = true, .conn_state = "SF"},
    };
    assert_true(address_parse("10.0.0.1", 8, &flow.client.ip));
    assert_true(address_parse("192.0.2.80", 10, &flow.server.ip));
    flow.tcp.forward.retransmitted_segments = 2;
    flow.tcp.server_rtt.samples = 1;
    flow.tcp.server_rtt.ewma_ns = 34 * NS_PER_MS;
}

static const char *line(enum ctl_form form, bool has_colour)
{
    struct show show = SHOW_OVER(text);

    text[0] = '\0';
    show.has_colour = has_colour;
    flow_view_line(form, &flow, &show);
    assert_false(show.is_cut);
    return text;
}

static void a_compact_line_tells_who_what_and_how_well(void **state)
{
    (void)state;
    fill();
    assert_string_equal(
        line(FORM_COMPACT, false),
        "2023-11-14T22:13:22.000Z end    tcp 10.0.0.1:40000 -> web.example 192.0.2.80:80 http "
        "closed/SF up=1.50KiB down=2.00KiB rtt=34.0ms rtx=2 fin @edge-1");
    flow.flags = FLOW_FLAG_GAP_BEFORE;
    assert_non_null(strstr(line(FORM_COMPACT, false), "(packets were lost before)"));
}

static void an_application_known_by_its_port_alone_has_a_question_mark(void **state)
{
    (void)state;
    fill();
    flow.app_confidence = APP_PORT;
    assert_non_null(strstr(line(FORM_COMPACT, false), " http? "));
}

static void flows_without_ports_show_their_type(void **state)
{
    (void)state;
    fill();
    flow.ip_protocol = 1;
    flow.has_tcp = false;
    flow.has_icmp = true;
    flow.icmp_type = 8;
    flow.client.port = flow.server.port = 0;
    flow.server.name.length = 0;
    assert_non_null(
        strstr(line(FORM_COMPACT, false), "icmp 10.0.0.1 -> 192.0.2.80 http type=8,code=0 "));
    assert_non_null(strstr(text, " rtt=- rtx=- "));
    flow.ip_protocol = 253;
    assert_non_null(strstr(line(FORM_COMPACT, false), " ip/253 "));
}

/* Every text of the record, in every form. */
static void hostile_names_stay_names(void **state)
{
    static char worst[256];
    (void)state;
    for (size_t i = 0; i < sizeof(worst); i++) {
        worst[i] = (char)i;
    }
    fill();
    const struct record_text all = {worst, sizeof(worst)};
    flow.client.name = flow.server.name = flow.app = flow.identity.sensor_id = all;
    flow.community_id = all;
    memcpy(flow.tcp.conn_state, "\033[31mX", 7);
    for (enum ctl_form form = FORM_COMPACT; form <= FORM_WIDE; form++) {
        for (const char *at = line(form, false); *at != '\0'; at++) {
            assert_true(isprint((unsigned char)*at));
        }
    }
}

static void a_name_of_the_handshake_stands_in_for_one_that_is_missing(void **state)
{
    (void)state;
    fill();
    flow.server.name.length = 0;
    flow.has_tls = true;
    flow.tls.sni = TEXT("sni.example");
    assert_non_null(strstr(line(FORM_COMPACT, false), "-> sni.example 192.0.2.80:80"));
}

static void columns_of_lines_stand_below_their_names(void **state)
{
    char header[FLOW_LINE_BYTES];
    struct show show = SHOW_OVER(header);
    (void)state;
    fill();
    flow_view_header(FORM_WIDE, &show);
    (void)line(FORM_WIDE, false);
    assert_int_equal(strstr(header, "APP") - header, strstr(text, "http") - text);
    assert_int_equal(strstr(header, "RTX") - header, strstr(text, "2     edge-1") - text);
    assert_int_equal(strstr(header, "SENSOR") - header, strstr(text, "edge-1") - text);
    show = SHOW_OVER(header);
    header[0] = '\0';
    flow_view_header(FORM_COMPACT, &show);
    assert_string_equal(header, "");
}

static void colour_is_there_when_wanted_and_ends(void **state)
{
    (void)state;
    fill();
    assert_null(strchr(line(FORM_COMPACT, false), '\033'));
    flow.tcp.state = TCP_RESET;
    assert_non_null(strstr(line(FORM_COMPACT, true), "\033[31mreset"));
    assert_int_equal(strcmp(text + strlen(text) - 4, "\033[0m"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compact_line_tells_who_what_and_how_well),
        cmocka_unit_test(an_application_known_by_its_port_alone_has_a_question_mark),
        cmocka_unit_test(flows_without_ports_show_their_type),
        cmocka_unit_test(hostile_names_stay_names),
        cmocka_unit_test(a_name_of_the_handshake_stands_in_for_one_that_is_missing),
        cmocka_unit_test(columns_of_lines_stand_below_their_names),
        cmocka_unit_test(colour_is_there_when_wanted_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
