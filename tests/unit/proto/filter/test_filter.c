#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "netscope/v1/flow.pb-c.h"
#include "proto/filter/filter_tree.h"
#include "tests/support/record_random.h"

/* 192.168.10.27:51234 -> 93.184.216.34:443, www.example.com, tls, closed */
static struct flow_record flow;

static int set_up(void **state)
{
    (void)state;
    record_typical_flow(&flow);
    flow.has_tls = true;
    flow.tls.sni = (struct record_text){"Shop.Example.COM", 16};
    flow.identity.sensor_id = (struct record_text){"edge-1", 6};
    flow.tcp.forward.retransmitted_segments = 2;
    flow.client.labels_count = flow.server.labels_count = 1;
    flow.client_labels[0] = (struct record_label){{"site", 4}, {"berlin", 6}};
    flow.server_labels[0] = (struct record_label){{"country", 7}, {"us", 2}};
    return 0;
}

static bool matches(const char *text)
{
    struct error err = {0};
    uint32_t position;
    AUTO(filter) filter = filter_compile(text, strlen(text), &err, &position);
    if (filter == NULL) {
        fail_msg("%s: %s", text, err.message);
    }
    return filter_matches_flow(filter, &flow);
}

static void a_filter_matches_what_it_says(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "",
        "  ",
        "server.port = 443",
        "server.port=443",
        "SERVER.PORT = 443",
        "server.port = 443 AND client.ip = \"192.168.0.0/16\"",
        "port = 51234",
        "port = 443",
        "client.ip = 192.168.10.27",
        "ip : 93.184.216.34",
        "server.ip != 10.0.0.0/8",
        "server.port != 80",
        "server.port >= 443 server.port <= 443",
        "server.port IN (80, 443)",
        "server.port in (443)",
        "app = tls",
        "app = TLS",
        "app != dns",
        "NOT app = dns",
        "-app = dns",
        "-(app = dns)",
        "tls.sni : \"*.example.com\"",
        "tls.sni = shop.example.com",
        "tls.sni : example",
        "tls.sni = *.example.*",
        "name = www.example.com",
        "name : shop",
        "example.com",
        "\"example.com\"",
        "192.168.10.0/24",
        "93.184.216.34",
        "protocol = tcp",
        "protocol = 6",
        "protocol IN (udp, tcp)",
        "tcp.state = closed",
        "event = end",
        "end_reason = end_of_flow",
        "scope = internal",
        "scope = external",
        "labels.site = berlin",
        "client.labels.site = Berlin",
        "client.Labels.SITE : ber",
        "client.labels.site : \"*\"",
        "labels.site IN (paris, berlin)",
        "server.labels.country = US",
        "server.labels.site != berlin",
        "NOT client.labels.none : \"*\"",
        "tcp.retransmits > 0",
        "tcp.retransmits = 2",
        "rtt < 80ms",
        "rtt > 12ms",
        "duration > 3s",
        "duration < 1m",
        "bytes > 19kB",
        "bytes < 1MiB",
        "packets = 27",
        "total_packets >= 27",
        "flow_id = 1f2e3d4c5b6a7988",
        "community_id = 1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        "sensor = edge-1",
        "sensor = edge-*",
        "interface = eth0",
        "tcp.conn_state = SF",
        "app = dns OR server.port = 443",
        "app = dns OR app = ssh OR port = 443",
        "(app = dns OR app = tls) AND port = 443",
        "app = dns port = 1 OR port = 443",
        "ip.version = 4",
        "vlan != 5",
        "NOT vlan = 5",
        "NOT NOT app = tls",
        "app = tls AND NOT (port = 80 OR port = 81)",
        "dns.name != x",
    };
    static const char *const no[] = {
        "server.port = 80",
        "server.port > 443",
        "client.port = 443",
        "client.ip = 10.0.0.0/8",
        "ip = ::/0",
        "app = tl",
        "app : dns",
        "tls.sni = example.com",
        "tls.sni = *.example.org",
        "tls.sni : \"*.example\"",
        "vlan = 0",
        "vlan < 5",
        "http.host : a",
        "dns.name : a",
        "protocol = udp",
        "tcp.state = established",
        "event = start",
        "scope = multicast",
        "server.labels.site = berlin",
        "labels.site = paris",
        "client.labels.sit = berlin",
        "client.labels.none : \"*\"",
        "client.labels.site = \"\"",
        "rtt > 80ms",
        "app = tls AND app = dns",
        "NOT app = tls",
        "- app = tls",
        "server.port NOT IN",
        "fe80::1",
        "missing.example",
        "app = dns OR server.port = 443 AND port = 1",
        "flow_id = 1",
    };
    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        if (!matches(yes[i])) {
            fail_msg("does not match: %s", yes[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(no); i++) {
        if (strstr(no[i], "NOT IN") == NULL && matches(no[i])) {
            fail_msg("matches: %s", no[i]);
        }
    }
}

/* A flow that has all that is around a flow and inside it. */
static void a_filter_asks_for_what_is_around_and_inside(void **state)
{
    (void)state;
    static const char *const without[] = {"risk_score = 0",
                                          "risk_score < 1",
                                          "NOT alert_id : a",
                                          "alert_id != a",
                                          "NOT tls.ja4 : t",
                                          "NOT mac : 02",
                                          "NOT dns.rcode = noerror",
                                          "NOT tunnel.type = gre",
                                          "missed_bytes = 0B",
                                          "NOT flag = midstream",
                                          "dscp != 46",
                                          "http.status != 200",
                                          "icmp.type != 0",
                                          "NOT icmp.type >= 0"};
    static const char *const yes[] = {
        "risk_score = 71",
        "risk_score >= 70",
        "alert_id = 0190d0c2-7f3a-7c1e-9d54-3b1f0c9a8e77",
        "alert_ids = \"*8e78\"",
        "tls.alpn = h2",
        "tls.alpn : http",
        "tls.ja3 = 773906B0EFDEFA24A7F2B8EB6985BF37",
        "tls.ja4 = t13d*",
        "tls.cert_sha256 : 9f86",
        "http.method = post",
        "http.path = /api/*",
        "http.status >= 500 http.status < 600",
        "http.user_agent : curl",
        "dns.rcode = noerror",
        "dns.rcode = nxdomain",
        "dns.rcode IN (servfail, badcookie)",
        "ssh.hassh = ec7378c1a92f5a8dde7e8b7a1ddf33d1",
        "ssh.hassh : b12d2871a1189eff20364cf5333619ee",
        "icmp.type = 8",
        "mac = 02:00:5E:10:00:01",
        "client.mac = \"02:00:5e:*\"",
        "mac : aa:bb",
        "server.mac : \"cc:dd:ee:ff\"",
        "dscp = 46",
        "dscp = 0",
        "dscp > 45",
        "tunnel.type = vxlan",
        "tunnel.type = gtp_u",
        "tunnel.id = 42",
        "tunnel.id > 4000000000",
        "missed_bytes = 1500",
        "missed_bytes > 1kB",
        "flag = gap_before",
        "flags = data_conflict AND flag = midstream",
        "NOT flag = asymmetric",
    };
    static const char *const no[] = {
        "risk_score > 71",       "alert_id : zz",          "tls.alpn = spdy",
        "tls.ja4 = t12*",        "dns.rcode = formerr",    "dns.rcode = badvers",
        "client.mac : aa:bb",    "server.mac : 02:00",     "dscp = 1",
        "tunnel.type = geneve",  "tunnel.id = 43",         "missed_bytes > 1500B",
        "flag = fragment_fault", "flag = truncated_table", "icmp.type = 0",
        "http.status = 500"};

    for (size_t i = 0; i < ARRAY_COUNT(without); i++) {
        if (!matches(without[i])) {
            fail_msg("does not match: %s", without[i]);
        }
    }
    flow.risk_score = 71;
    flow.alerts_count = 2;
    flow.alert_ids[0] = (struct record_text){"0190d0c2-7f3a-7c1e-9d54-3b1f0c9a8e77", 36};
    flow.alert_ids[1] = (struct record_text){"0190d0c2-7f3a-7c1e-9d54-3b1f0c9a8e78", 36};
    flow.tls.alpn_count = 2;
    flow.tls.alpn[0] = (struct record_text){"h2", 2};
    flow.tls.alpn[1] = (struct record_text){"http/1.1", 8};
    flow.tls.ja3 = (struct record_text){"773906b0efdefa24a7f2b8eb6985bf37", 32};
    flow.tls.ja4 = (struct record_text){"t13d1516h2_8daaf6152771_02713d6af862", 36};
    flow.tls.cert_sha256 = (struct record_text){"9f86d081", 8};
    flow.has_http = flow.has_dns = flow.has_ssh = flow.has_icmp = true;
    flow.http.method = (struct record_text){"POST", 4};
    flow.http.path = (struct record_text){"/api/v1", 7};
    flow.http.status = 503;
    flow.http.user_agent = (struct record_text){"curl/8.5", 8};
    flow.dns.rcode_counts[0] = 3;
    flow.dns.rcode_counts[3] = 1;
    flow.dns.rcode_counts[23] = 1;
    flow.ssh.hassh = (struct record_text){"ec7378c1a92f5a8dde7e8b7a1ddf33d1", 32};
    flow.ssh.hassh_server = (struct record_text){"b12d2871a1189eff20364cf5333619ee", 32};
    flow.icmp_type = 8;
    flow.client.has_mac = flow.server.has_mac = true;
    memcpy(flow.client.mac, (const uint8_t[]){0x02, 0, 0x5e, 0x10, 0, 1}, 6);
    memcpy(flow.server.mac, (const uint8_t[]){0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, 6);
    flow.forward.has_dscp = flow.reverse.has_dscp = true;
    flow.forward.dscp = 46;
    flow.reverse.dscp = 0;
    flow.tunnels_count = 2;
    flow.tunnels[0].type = NETSCOPE__V1__TUNNEL_TYPE__TUNNEL_TYPE_VXLAN;
    flow.tunnels[0].id = 42;
    flow.tunnels[1].type = NETSCOPE__V1__TUNNEL_TYPE__TUNNEL_TYPE_GTP_U;
    flow.tunnels[1].id = 4294967295;
    flow.forward.missed_bytes = 1000;
    flow.reverse.missed_bytes = 500;
    flow.flags = FLOW_FLAG_GAP_BEFORE | FLOW_FLAG_DATA_CONFLICT | FLOW_FLAG_MIDSTREAM;
    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        if (!matches(yes[i])) {
            fail_msg("does not match: %s", yes[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(no); i++) {
        if (matches(no[i])) {
            fail_msg("matches: %s", no[i]);
        }
    }
    (void)set_up(NULL);
}

/* The choices of the language are the values of the enumerations of the records. */
static void choices_are_those_of_the_records(void **state)
{
    static const struct {
        enum filter_field_id field;
        const ProtobufCEnumDescriptor *values;
        const char *prefix;
    } cases[] = {
        {FIELD_FLAG, &netscope__v1__flow_flag__descriptor, "FLOW_FLAG_"},
        {FIELD_TUNNEL_TYPE, &netscope__v1__tunnel_type__descriptor, "TUNNEL_TYPE_"},
        {FIELD_TCP_STATE, &netscope__v1__tcp_state__descriptor, "TCP_STATE_"},
        {FIELD_EVENT, &netscope__v1__flow_event__descriptor, "FLOW_EVENT_"},
        {FIELD_SCOPE, &netscope__v1__network_scope__descriptor, "NETWORK_SCOPE_"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const ProtobufCEnumDescriptor *values = cases[i].values;

        for (unsigned j = 0; j < values->n_values; j++) {
            const unsigned value = (unsigned)values->values[j].value;
            const char *choice = filter_choice_name(cases[i].field, value);
            const char *name = values->values[j].name;

            assert_memory_equal(name, cases[i].prefix, strlen(cases[i].prefix));
            if (value == 0) {
                assert_null(choice);
                continue;
            }
            if (choice == NULL || strcasecmp(choice, name + strlen(cases[i].prefix)) != 0) {
                fail_msg("%s is %s in filters", name, choice != NULL ? choice : "no choice");
            }
        }
        assert_null(filter_choice_name(cases[i].field, values->n_values));
    }
    for (unsigned rcode = 0; rcode < FLOW_RCODES; rcode++) {
        const unsigned choice = filter_rcode_choice(rcode);

        assert_int_equal(choice == 0, rcode >= 12 && rcode < 16);
        assert_true(choice == 0 || filter_choice_name(FIELD_DNS_RCODE, choice) != NULL);
    }
    assert_int_equal(filter_rcode_choice(FLOW_RCODES), 0);
    assert_string_equal(filter_choice_name(FIELD_DNS_RCODE, filter_rcode_choice(11)), "dsotypeni");
    assert_string_equal(filter_choice_name(FIELD_DNS_RCODE, filter_rcode_choice(16)), "badvers");
    assert_string_equal(filter_choice_name(FIELD_DNS_RCODE, filter_rcode_choice(23)), "badcookie");
}

static void a_mistake_is_told_with_its_column(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t position;
        const char *message;
    } cases[] = {
        {"server.port = ", 14, "column 15: expected a value behind '='"},
        {"server.prt = 1", 0, "column 1: unknown field 'server.prt'; did you mean 'server.port'?"},
        {"app = a AND", 11, "column 12: expected a field or a value"},
        {"(app = a", 8, "column 9: expected ')'"},
        {"app = a)", 7, "column 8: expected nothing behind the filter, not ')'"},
        {"app > a", 6, "column 7: 'app' has no order: use =, != or :"},
        {"app = \"x", 6, "column 7: this quote has no end"},
        {"port = x", 7, "column 8: 'x' does not fit 'port': expected a whole number"},
        {"server.port = 99999", 14,
         "column 15: '99999' does not fit 'server.port': expected a port, 0 to 65535"},
        {"NOT port:65536", 9,
         "column 10: '65536' does not fit 'port': expected a port, 0 to 65535"},
        {"vlan != 4096", 8, "column 9: '4096' does not fit 'vlan': expected a VLAN id, 0 to 4095"},
        {"ip.version = 7", 13, "column 14: '7' does not fit 'ip.version': expected 4 or 6"},
        {"rtt > 80", 6,
         "column 7: '80' does not fit 'rtt': expected a duration with its unit, as "
         "80ms"},
        {"port IN 80", 8, "column 9: expected '(' behind IN"},
        {"port IN (80", 11, "column 12: expected ',' or ')' in the list"},
        {"= 80", 0, "column 1: expected a field before '='"},
        {"OR app = a", 0, "column 1: expected a field or a value before 'OR'"},
        {"ip = 10.0.0.1/8", 5, NULL},
        {"tcp.state = open", 12, NULL},
        {"risk_score = high", 13,
         "column 14: 'high' does not fit 'risk_score': expected a whole number"},
        {"flag = fin", 7,
         "column 8: 'fin' does not fit 'flag': expected truncated_table, midstream, asymmetric, "
         "fragments_seen, clock_step, gap_before, fragment_fault, port_reused, data_conflict."},
        {"tls.ja5 = a", 0, "column 1: unknown field 'tls.ja5'; did you mean 'tls.ja3'?"},
        {"()", 1, NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = {0};
        uint32_t position = 9999;
        AUTO(filter)
        filter = filter_compile(cases[i].text, strlen(cases[i].text), &err, &position);
        assert_null(filter);
        if (cases[i].message != NULL) {
            assert_string_equal(err.message, cases[i].message);
        }
        if (position != cases[i].position) {
            fail_msg("%s: column %u", cases[i].text, position + 1);
        }
    }
}

static void bounds_are_kept(void **state)
{
    (void)state;
    static char text[8192];
    struct error err = {0};
    uint32_t position;
    memset(text, '(', 100);
    assert_null(filter_compile(text, 100, &err, &position));
    assert_non_null(strstr(err.message, "nested deeper than 32"));
    memset(text, '-', 4096);
    assert_null(filter_compile(text, 4096, &err, &position));
    assert_null(filter_compile(text, 4097, &err, &position));
    assert_non_null(strstr(err.message, "4096"));
    for (int i = 0; i < 300; i++) {
        memcpy(text + i * 5, "a OR ", 5);
    }
    memcpy(text + 1500, "a", 2);
    assert_null(filter_compile(text, 1501, &err, &position));
    assert_non_null(strstr(err.message, "more than 256 terms"));
    /* As many nodes as 4096 bytes can ask for. */
    size_t at = 0;
    while (at + 36 < 4096) {
        memset(text + at, '-', 31);
        memcpy(text + at + 31, "a ", 2);
        at += 33;
    }
    AUTO(filter) filter = filter_compile(text, at, &err, &position);
    assert_non_null(filter);
}

static void structured_filters_build_the_same_tree(void **state)
{
    (void)state;
    static const char *const ips[] = {"10.0.0.0/8", "192.168.0.0/16"};
    static const char *const names[] = {"*.example.com"};
    static const char *const apps[] = {"dns"};
    static const uint32_t ports[] = {443, 80};
    const struct filter_spec include = {
        .ip = ips, .ip_count = 2, .port = ports, .port_count = 2, .name = names, .name_count = 1};
    const struct filter_spec exclude = {.app = apps, .app_count = 1};
    struct error err = {0};
    AUTO(filter)
    filter = filter_build(&include, 1, &exclude, 1, "tcp.retransmits > 0", 19, &err, NULL);
    assert_non_null(filter);
    assert_true(filter_matches_flow(filter, &flow));
    flow.app = (struct record_text){"dns", 3};
    assert_false(filter_matches_flow(filter, &flow));
    char text[512];
    assert_true(filter_to_text(filter, text, sizeof text) > 0);
    assert_string_equal(text, "(ip = \"10.0.0.0/8\" OR ip = \"192.168.0.0/16\") AND "
                              "(port = 443 OR port = 80) AND (server.name = \"*.example.com\" OR "
                              "tls.sni = \"*.example.com\" OR http.host = \"*.example.com\") AND "
                              "tcp.retransmits > 0 AND app != \"dns\"");
    (void)set_up(NULL);

    static const char *const bad[] = {"10.0.0.300"};
    const struct filter_spec wrong = {.server_ip = bad, .server_ip_count = 1};
    assert_null(filter_build(&wrong, 1, NULL, 0, NULL, 0, &err, NULL));
    assert_non_null(strstr(err.message, "include[0].server_ip[0]: '10.0.0.300'"));
    const struct filter_spec empty = {0};
    AUTO(filter) all = filter_build(&empty, 1, NULL, 0, NULL, 0, &err, NULL);
    assert_non_null(all);
    assert_true(filter_matches_flow(all, &flow));
    assert_null(filter_build(NULL, 0, &empty, 1, NULL, 0, &err, NULL));
}

static void sql_is_bound_by_values_and_says_when_it_is_weaker(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sql;
        uint32_t count;
        bool is_exact;
    } cases[] = {
        {"", "1", 0, true},
        {"server.port = 443", "(server_port) IS ?", 1, true},
        {"server.port > 443", "((server_port) IS NOT NULL AND (server_port) > ?)", 1, true},
        {"client.ip = 10.0.0.1", "client_ip IS ?", 1, true},
        {"client.ip = 10.0.0.0/8",
         "(ip_version IS 4 AND client_ip IS NOT NULL AND client_ip >= ? AND client_ip <= ?)", 2,
         true},
        {"tls.sni : a", "1", 0, false},
        {"NOT tls.sni : a", "NOT (0)", 0, false},
        {"app = dns AND NOT (port = 1 OR tls.sni = a)",
         "((app IS NOT NULL AND app = ? COLLATE NOCASE) AND NOT ((((client_port) IS ? OR "
         "(server_port) IS ?) OR 0)))",
         3, false},
        {"server.name : 50%_x",
         "(server_name IS NOT NULL AND server_name <> '' AND server_name LIKE ? ESCAPE '\\')", 1,
         true},
    };
    char sql[1024];
    struct filter_value values[8];
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = {0};
        AUTO(filter)
        filter = filter_compile(cases[i].text, strlen(cases[i].text), &err, NULL);
        assert_non_null(filter);
        uint32_t count;
        bool is_exact;
        assert_true(filter_to_sql(filter, sql, sizeof sql, values, 8, &count, &is_exact));
        assert_string_equal(sql, cases[i].sql);
        assert_int_equal(count, cases[i].count);
        assert_int_equal(is_exact, cases[i].is_exact);
        assert_false(
            filter_to_sql(filter, sql, strlen(cases[i].sql), values, 8, &count, &is_exact));
        if (strstr(sql, "LIKE") != NULL) {
            assert_string_equal(values[0].bytes, "%50\\%\\_x%");
        }
        if (count > 0) {
            assert_false(filter_to_sql(filter, sql, sizeof sql, values, cases[i].count - 1, &count,
                                       &is_exact));
        }
    }
}

static void assert_condition(const char *text, bool is_all, const char *expected)
{
    char sql[4096];
    struct error err = {0};
    AUTO(filter) filter = filter_compile(text, strlen(text), &err, NULL);

    assert_non_null(filter);
    assert_true(filter_to_clickhouse(filter, is_all, sql, sizeof sql));
    assert_string_equal(sql, expected);
    assert_false(filter_to_clickhouse(filter, is_all, sql, strlen(expected)));
}

#define V4(digits)                                                                                 \
    "toIPv6(IPv6NumToString(toFixedString(unhex('00000000000000000000ffff" digits "'), 16)))"

static void assert_clickhouse(const char *text, const char *expected)
{
    assert_condition(text, false, expected);
}

/* Rows may be left out by what all records of a flow share, at whichever sensor. */
static void clickhouse_is_asked_for_no_less_than_whole_flows(void **state)
{
    (void)state;
    assert_clickhouse("", "1");
    assert_clickhouse("client.port = 443", "(client_port = 443 OR server_port = 443)");
    assert_clickhouse("port >= 1024", "(client_port >= 1024 OR server_port >= 1024)");
    assert_clickhouse("server.ip = 10.0.0.1",
                      "(client_ip = " V4("0a000001") " OR server_ip = " V4("0a000001") ")");
    assert_clickhouse(
        "ip = 10.128.0.0/9",
        "(client_ip BETWEEN " V4("0a800000") " AND " V4("0affffff") " OR server_ip BETWEEN " V4(
            "0a800000") " AND " V4("0affffff") ")");
    assert_clickhouse("protocol = udp AND app = dns", "(ip_protocol = 17 AND 1)");
    /* What says less than its opposite says nothing of it. */
    assert_clickhouse("NOT client.ip = 10.0.0.1", "NOT (0)");
    assert_clickhouse("NOT (NOT protocol = tcp OR bytes > 5)",
                      "NOT ((NOT (ip_protocol = 6) OR 0))");
    assert_clickhouse("port = 1 OR bytes > 5", "((client_port = 1 OR server_port = 1) OR 1)");
    /* A sensor that is not named may have seen the flow of one that is, unless none else counts. */
    assert_clickhouse("sensor = a AND port = 1",
                      "(lower(sensor_id) = lower(unhex('61')) AND (client_port = 1 OR "
                      "server_port = 1))");
    assert_clickhouse("sensor IN (a, b)", "(lower(sensor_id) = lower(unhex('61')) OR "
                                          "lower(sensor_id) = lower(unhex('62')))");
    assert_clickhouse("sensor = a* AND NOT sensor = b", "(1 AND NOT (0))");
    assert_clickhouse("(sensor = a AND port = 1) OR protocol = udp",
                      "((1 AND (client_port = 1 OR server_port = 1)) OR ip_protocol = 17)");
    assert_clickhouse("flow_id = 00000000000000ff", "1");
    assert_condition("(sensor = a AND flow_id = 00000000000000ff) OR bytes > 5", true,
                     "((lower(sensor_id) = lower(unhex('61')) AND flow_id = 255) OR 1)");
    /* No text ends its literal. */
    assert_clickhouse("community_id = \"a') OR ('\"",
                      "lower(community_id) = lower(unhex('612729204f52202827'))");
}

static void the_range_of_a_prefix_is_its_first_and_last_address(void **state)
{
    (void)state;
    struct error err = {0};
    AUTO(filter) filter = filter_compile("client.ip = 10.128.0.0/9", 24, &err, NULL);
    assert_non_null(filter);
    char sql[256];
    struct filter_value values[2];
    uint32_t count;
    bool is_exact;
    assert_true(filter_to_sql(filter, sql, sizeof sql, values, 2, &count, &is_exact));
    assert_int_equal(values[0].length, 4);
    assert_memory_equal(values[0].bytes, "\x0a\x80\x00\x00", 4);
    assert_memory_equal(values[1].bytes, "\x0a\xff\xff\xff", 4);
}

/* What is printed means the same, and prints as itself. */
static void the_canonical_text_compiles_to_the_same_filter(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a b OR c",
        "(a OR b) c",
        "NOT (a b)",
        "-app=x",
        "port IN (1,2,3) OR rtt>1.5ms",
        "name : \"quo\\\"te\" AND bytes >= 1.5MiB",
        "NOT (NOT (a OR b) AND c)",
        "tcp.state!=reset",
    };
    char first[1024];
    char second[1024];
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct error err = {0};
        AUTO(filter) filter = filter_compile(texts[i], strlen(texts[i]), &err, NULL);
        assert_non_null(filter);
        const size_t length = filter_to_text(filter, first, sizeof first);
        assert_true(length > 0);
        AUTO(filter) again = filter_compile(first, length, &err, NULL);
        assert_non_null(again);
        assert_int_equal(filter_to_text(again, second, sizeof second), length);
        assert_string_equal(first, second);
        assert_int_equal(filter_to_text(filter, second, length), 0);
    }
}

static void the_canonical_text_shows_what_belongs_together(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"app = dns OR app = tls port = 443", "app = \"dns\" OR (app = \"tls\" AND port = 443)"},
        {"app = dns AND (port = 1 OR port = 2 -port = 3)",
         "app = \"dns\" AND (port = 1 OR (port = 2 AND port != 3))"},
        {"(app = dns AND port = 1) AND port = 2", "app = \"dns\" AND port = 1 AND port = 2"},
        {"NOT (port = 1 OR port = 2)", "NOT (port = 1 OR port = 2)"},
        {"port = 1", "port = 1"},
    };
    char text[1024];
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct error err = {0};
        AUTO(filter) filter = filter_compile(texts[i][0], strlen(texts[i][0]), &err, NULL);
        assert_non_null(filter);
        assert_true(filter_to_text(filter, text, sizeof text) > 0);
        assert_string_equal(text, texts[i][1]);
    }
}

static void the_list_of_fields_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < filter_fields_count; i++) {
        assert_non_null(filter_fields[i].name);
        assert_non_null(filter_fields[i].type);
        assert_true(strlen(filter_fields[i].help) > 4);
    }
}

static bool admits(const char *text, const char *sensor_id)
{
    struct error err = {0};
    uint32_t position;
    AUTO(filter) filter = filter_compile(text, strlen(text), &err, &position);

    if (filter == NULL) {
        fail_msg("%s: %s", text, err.message);
    }
    return filter_admits_sensor(filter, sensor_id);
}

static void a_filter_rules_sensors_out_where_it_names_them(void **state)
{
    (void)state;
    static const char *const open[] = {"",
                                       "app = tls",
                                       "NOT app = tls",
                                       "sensor = edge-1",
                                       "sensor = EDGE-1 AND app = tls",
                                       "sensor = edge-*",
                                       "sensor : dge",
                                       "sensor IN (edge-1, core)",
                                       "sensor != core",
                                       "sensor = core OR app = tls",
                                       "NOT (sensor = core)",
                                       "NOT (sensor = edge-1 AND app = tls)"};
    static const char *const shut[] = {"sensor = core",
                                       "sensor != edge-1",
                                       "NOT sensor = edge-1",
                                       "sensor = core AND app = tls",
                                       "app = tls AND NOT (sensor = edge-* OR app = dns)",
                                       "sensor = edge-1 AND sensor = core"};

    for (unsigned i = 0; i < ARRAY_COUNT(open); i++) {
        if (!admits(open[i], "edge-1")) {
            fail_msg("%s rules edge-1 out", open[i]);
        }
    }
    for (unsigned i = 0; i < ARRAY_COUNT(shut); i++) {
        if (admits(shut[i], "edge-1")) {
            fail_msg("%s lets edge-1 in", shut[i]);
        }
    }
}

/* Of a record whose labels are not looked up so far. */
static void without_labels_a_filter_tells_whether_any_would_do(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool wants, may;
    } cases[] = {
        {"", false, true},
        {"app = tls", false, true},
        {"app = dns", false, false},
        {"labels.site = nowhere", true, true},
        {"NOT client.labels.site = berlin", true, true},
        {"NOT NOT server.labels.site = berlin", true, true},
        {"labels.site = x AND app = tls", true, true},
        {"labels.site = x AND app = dns", true, false},
        {"labels.site = x OR app = dns", true, true},
        {"NOT (labels.site = x OR app = tls)", true, false},
        {"NOT (labels.site = x AND app = tls)", true, true},
        {"labels.site = x AND NOT labels.site = x", true, true}, /* more than can be */
    };

    flow.client.labels_count = flow.server.labels_count = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = {0};
        uint32_t position;
        AUTO(filter)
        filter = filter_compile(cases[i].text, strlen(cases[i].text), &err, &position);

        assert_non_null(filter);
        if (filter_wants_labels(filter) != cases[i].wants ||
            filter_may_match_flow(filter, &flow) != cases[i].may) {
            fail_msg("%s", cases[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_filter_matches_what_it_says, set_up),
        cmocka_unit_test_setup(a_filter_asks_for_what_is_around_and_inside, set_up),
        cmocka_unit_test(choices_are_those_of_the_records),
        cmocka_unit_test(a_mistake_is_told_with_its_column),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test_setup(structured_filters_build_the_same_tree, set_up),
        cmocka_unit_test(sql_is_bound_by_values_and_says_when_it_is_weaker),
        cmocka_unit_test(clickhouse_is_asked_for_no_less_than_whole_flows),
        cmocka_unit_test(the_range_of_a_prefix_is_its_first_and_last_address),
        cmocka_unit_test(the_canonical_text_compiles_to_the_same_filter),
        cmocka_unit_test(the_canonical_text_shows_what_belongs_together),
        cmocka_unit_test(the_list_of_fields_is_whole),
        cmocka_unit_test(a_filter_rules_sensors_out_where_it_names_them),
        cmocka_unit_test_setup(without_labels_a_filter_tells_whether_any_would_do, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
