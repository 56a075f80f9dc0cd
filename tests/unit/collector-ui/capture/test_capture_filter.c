/* Filters of flows and alerts: each compiles by libpcap, takes the packets it is for, behind VLAN
 * tags and in tunnels too, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "collector-ui/capture/capture_filter.h"

static struct ip_address address(const char *text)
{
    struct ip_address out = {0};

    assert_true(address_parse(text, strlen(text), &out));
    return out;
}

/* ---- frames ---- */

struct frame {
    uint8_t bytes[256];
    uint32_t length;
};

static void put16(struct frame *frame, unsigned value)
{
    frame->bytes[frame->length++] = (uint8_t)(value >> 8);
    frame->bytes[frame->length++] = (uint8_t)value;
}

static void put(struct frame *frame, const void *bytes, uint32_t length)
{
    memcpy(frame->bytes + frame->length, bytes, length);
    frame->length += length;
}

static void put_ethernet(struct frame *frame, unsigned tags, unsigned type)
{
    frame->length += 12;
    for (unsigned i = 0; i < tags; i++) {
        put16(frame, 0x8100);
        put16(frame, 7 + i);
    }
    put16(frame, type);
}

/* Without checksums: filters do not look at them. */
static void put_ip(struct frame *frame, uint8_t protocol, const char *from, const char *to,
                   unsigned piece)
{
    const struct ip_address a = address(from);
    const struct ip_address b = address(to);

    if (a.version == 4) {
        put16(frame, 0x4500);
        put16(frame, 60);
        put16(frame, 1);
        put16(frame, piece);
        put16(frame, 64U << 8 | protocol);
        put16(frame, 0);
        put(frame, a.bytes, 4);
        put(frame, b.bytes, 4);
        return;
    }
    put16(frame, 0x6000);
    put16(frame, 0);
    put16(frame, 40);
    put16(frame, (unsigned)protocol << 8 | 64);
    put(frame, a.bytes, 16);
    put(frame, b.bytes, 16);
}

static void put_ports(struct frame *frame, unsigned from, unsigned to)
{
    put16(frame, from);
    put16(frame, to);
    frame->length += 16;
}

static struct frame plain(unsigned tags, uint8_t protocol, const char *from, unsigned from_port,
                          const char *to, unsigned to_port)
{
    struct frame frame = {0};

    put_ethernet(&frame, tags, strchr(from, ':') != NULL ? 0x86dd : 0x0800);
    put_ip(&frame, protocol, from, to, 0);
    put_ports(&frame, from_port, to_port);
    return frame;
}

static bool passes(const char *text, int link_type, const struct frame *frame)
{
    pcap_t *dead = pcap_open_dead(link_type, 65535);
    struct bpf_program program;

    if (pcap_compile(dead, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0) {
        (void)fprintf(stderr, "%s: %s\n", text, pcap_geterr(dead));
        abort();
    }
    const struct pcap_pkthdr header = {.caplen = frame->length, .len = frame->length};
    const bool result = pcap_offline_filter(&program, &header, frame->bytes) != 0;

    pcap_freecode(&program);
    pcap_close(dead);
    return result;
}

/* The filter behind VLAN tags where there is one. */
static bool takes(const struct capture_filter *filter, const struct frame *frame)
{
    return passes(filter->tagged[0] != '\0' ? filter->tagged : filter->plain, DLT_EN10MB, frame);
}

/* ---- flows ---- */

static struct flow_record flow_of(uint8_t protocol, const char *client, uint16_t client_port,
                                  const char *server, uint16_t server_port)
{
    struct flow_record flow = {.ip_protocol = protocol,
                               .client = {.ip = address(client), .port = client_port},
                               .server = {.ip = address(server), .port = server_port}};

    flow.ip_version = flow.client.ip.version;
    return flow;
}

static void expect(const struct flow_record *flow, struct capture_filter *out)
{
    struct error err = {0};

    assert_int_equal(capture_filter_of_flow(flow, out, &err), 0);
    assert_true(strlen(out->tagged) <= 4096);
}

static void a_flow_is_both_its_directions_behind_any_tags(void **state)
{
    (void)state;
    static const struct {
        uint8_t protocol;
        const char *client, *server;
        const char *text;
    } cases[] = {
        {6, "10.0.0.1", "10.0.0.2",
         "tcp and host 10.0.0.1 and host 10.0.0.2 and port 4000 and port 443"},
        {17, "10.0.0.1", "10.0.0.2",
         "udp and host 10.0.0.1 and host 10.0.0.2 and port 4000 and port 443"},
        {6, "2001:db8::1", "2001:db8::2",
         "tcp and host 2001:db8::1 and host 2001:db8::2 and port 4000 and port 443"},
        {132, "10.0.0.1", "10.0.0.2",
         "sctp and host 10.0.0.1 and host 10.0.0.2 and port 4000 and port 443"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const char *a = cases[i].client;
        const char *b = cases[i].server;
        const struct flow_record flow = flow_of(cases[i].protocol, a, 4000, b, 443);
        struct capture_filter filter;

        expect(&flow, &filter);
        assert_string_equal(filter.plain, cases[i].text);
        for (unsigned tags = 0; tags < 4; tags++) {
            const struct frame there = plain(tags, cases[i].protocol, a, 4000, b, 443);
            const struct frame back = plain(tags, cases[i].protocol, b, 443, a, 4000);
            const struct frame other = plain(tags, cases[i].protocol, a, 4001, b, 443);
            const struct frame kind = plain(tags, cases[i].protocol == 6 ? 17 : 6, a, 4000, b, 443);

            assert_int_equal(takes(&filter, &there), tags < 3);
            assert_int_equal(takes(&filter, &back), tags < 3);
            assert_false(takes(&filter, &other));
            assert_false(takes(&filter, &kind));
        }
    }
}

static void a_flow_without_ports_is_its_hosts(void **state)
{
    (void)state;
    struct capture_filter filter;
    struct flow_record flow = flow_of(1, "10.0.0.1", 8, "10.0.0.2", 0);

    expect(&flow, &filter);
    assert_string_equal(filter.plain, "icmp and host 10.0.0.1 and host 10.0.0.2");
    flow = flow_of(58, "fe80::1", 0, "fe80::1", 0);
    expect(&flow, &filter);
    assert_string_equal(filter.plain, "icmp6 and host fe80::1");
    flow = flow_of(89, "2001:db8::1", 0, "2001:db8::2", 0);
    expect(&flow, &filter);
    assert_string_equal(filter.plain, "ip6 proto 89 and host 2001:db8::1 and host 2001:db8::2");
    const struct frame six = plain(0, 89, "2001:db8::1", 0, "2001:db8::2", 0);

    assert_true(takes(&filter, &six));
    flow = flow_of(17, "10.0.0.1", 53, "10.0.0.2", 53);
    expect(&flow, &filter);
    assert_string_equal(filter.plain, "udp and host 10.0.0.1 and host 10.0.0.2 and port 53");
}

static void pieces_of_datagrams_are_taken_too(void **state)
{
    (void)state;
    struct capture_filter filter;
    struct flow_record flow = flow_of(17, "10.0.0.1", 4000, "10.0.0.2", 53);
    struct frame piece = {0};

    put_ethernet(&piece, 1, 0x0800);
    put_ip(&piece, 17, "10.0.0.2", "10.0.0.1", 0x0010);
    piece.length += 40;
    expect(&flow, &filter);
    assert_false(takes(&filter, &piece));
    flow.flags = FLOW_FLAG_FRAGMENTS_SEEN;
    expect(&flow, &filter);
    assert_true(takes(&filter, &piece));
    const struct frame whole = plain(0, 17, "10.0.0.1", 4000, "10.0.0.2", 53);
    const struct frame other = plain(0, 17, "10.0.0.1", 4001, "10.0.0.2", 53);

    assert_true(takes(&filter, &whole));
    assert_false(takes(&filter, &other));
}

/* ---- tunnels ---- */

static struct frame in_vxlan(unsigned tags, unsigned vni, const char *from, const char *to)
{
    struct frame frame = {0};

    put_ethernet(&frame, tags, 0x0800);
    put_ip(&frame, 17, "192.0.2.1", "192.0.2.2", 0);
    put16(&frame, 50000);
    put16(&frame, 4789);
    put16(&frame, 0);
    put16(&frame, 0);
    put16(&frame, 0x0800);
    put16(&frame, 0);
    put16(&frame, vni >> 8);
    put16(&frame, vni << 8);
    put_ethernet(&frame, 0, 0x0800);
    put_ip(&frame, 6, from, to, 0);
    put_ports(&frame, 4000, 443);
    return frame;
}

static void of_a_vxlan_its_network_and_hosts_are_told(void **state)
{
    (void)state;
    struct capture_filter filter;
    struct flow_record flow = flow_of(6, "10.0.0.1", 4000, "10.0.0.2", 443);

    flow.tunnels_count = 1;
    flow.tunnels[0] = (struct flow_tunnel){.type = 2,
                                           .id = 0xabcdef,
                                           .outer_source = address("192.0.2.1"),
                                           .outer_target = address("192.0.2.2")};
    expect(&flow, &filter);
    for (unsigned tags = 0; tags < 3; tags++) {
        const struct frame good = in_vxlan(tags, 0xabcdef, "10.0.0.1", "10.0.0.2");
        const struct frame back = in_vxlan(tags, 0xabcdef, "10.0.0.2", "10.0.0.1");
        const struct frame other = in_vxlan(tags, 0xabcdee, "10.0.0.1", "10.0.0.2");
        const struct frame far = in_vxlan(tags, 0xabcdef, "10.0.0.3", "10.0.0.2");

        assert_true(takes(&filter, &good));
        assert_true(takes(&filter, &back));
        assert_false(takes(&filter, &other));
        assert_false(takes(&filter, &far));
    }
    flow.has_vlan = true; /* inside it, perhaps: its hosts do not lie at a fixed place */
    expect(&flow, &filter);
    const struct frame far = in_vxlan(0, 0xabcdef, "10.0.0.3", "10.0.0.2");

    assert_true(takes(&filter, &far));
    flow.tunnels[0].outer_source = address("2001:db8::1");
    flow.tunnels[0].outer_target = address("2001:db8::2");
    expect(&flow, &filter);
    assert_string_equal(filter.plain, "udp and host 2001:db8::1 and host 2001:db8::2");
}

static void of_other_tunnels_all_between_their_ends(void **state)
{
    (void)state;
    for (uint8_t type = 1; type < 24; type++) {
        for (unsigned is_v6 = 0; is_v6 < 2; is_v6++) {
            struct flow_record flow = flow_of(6, "10.0.0.1", 4000, "10.0.0.2", 443);
            struct capture_filter filter;
            struct frame none = {.length = 64};

            flow.tunnels_count = 2;
            flow.tunnels[0] = (struct flow_tunnel){
                .type = type,
                .id = 5,
                .outer_source = address(is_v6 != 0 ? "2001:db8::1" : "192.0.2.1"),
                .outer_target = address(is_v6 != 0 ? "2001:db8::2" : "192.0.2.2")};
            expect(&flow, &filter);
            assert_false(takes(&filter, &none));
            (void)passes(filter.plain, DLT_RAW, &none);
        }
    }
    struct flow_record gre = flow_of(6, "10.0.0.1", 4000, "10.0.0.2", 443);
    struct capture_filter filter;

    gre.tunnels_count = 1;
    gre.tunnels[0] = (struct flow_tunnel){
        .type = 1, .outer_source = address("192.0.2.1"), .outer_target = address("192.0.2.2")};
    expect(&gre, &filter);
    const struct frame packet = plain(2, 47, "192.0.2.2", 0, "192.0.2.1", 0);

    assert_true(takes(&filter, &packet));
}

static void of_labels_and_sessions_the_flow_itself(void **state)
{
    (void)state;
    struct flow_record flow = flow_of(6, "10.0.0.1", 4000, "10.0.0.2", 443);
    struct capture_filter filter;
    struct error err = {0};

    flow.tunnels_count = 1;
    flow.tunnels[0].type = 8;
    expect(&flow, &filter);
    for (unsigned labels = 1; labels < 3; labels++) {
        struct frame frame = {0};

        put_ethernet(&frame, 0, 0x8847);
        for (unsigned i = 1; i <= labels; i++) {
            put16(&frame, 0x0001);
            put16(&frame, i == labels ? 0x0140 : 0x0040);
        }
        put_ip(&frame, 6, "10.0.0.2", "10.0.0.1", 0);
        put_ports(&frame, 443, 4000);
        assert_true(takes(&filter, &frame));
        frame.bytes[frame.length - 20] ^= 1;
        assert_false(takes(&filter, &frame));
    }
    flow.tunnels[0].type = 10;
    expect(&flow, &filter);
    struct frame session = {0};

    put_ethernet(&session, 0, 0x8864);
    put16(&session, 0x1100);
    put16(&session, 9);
    put16(&session, 42);
    put16(&session, 0x0021);
    put_ip(&session, 6, "10.0.0.1", "10.0.0.2", 0);
    put_ports(&session, 4000, 443);
    assert_true(takes(&filter, &session));
    flow.tunnels[0].type = 17;
    assert_int_equal(capture_filter_of_flow(&flow, &filter, &err), -ENOTSUP);
    flow = (struct flow_record){.ip_protocol = 6};
    assert_int_equal(capture_filter_of_flow(&flow, &filter, &err), -ENOTSUP);
}

/* ---- alerts ---- */

static void alerts_are_whom_they_name(void **state)
{
    (void)state;
    static const struct {
        uint8_t kind, attackers, victims;
        uint64_t attackers_total, victims_total;
        uint16_t port;
        const char *text;
    } cases[] = {
        {ALERT_SYN_FLOOD, 2, 1, 5000, 1, 80, "tcp and host 10.2.0.1 and port 80"},
        {ALERT_UDP_FLOOD, 0, 1, 0, 1, 0, "udp and host 10.2.0.1"},
        {ALERT_ICMP_FLOOD, 1, 1, 1, 1, 0, "(icmp or icmp6) and host 10.2.0.1 and host 10.1.0.1"},
        {ALERT_PORT_SCAN_VERTICAL, 1, 1, 1, 1, 0, "host 10.2.0.1 and host 10.1.0.1"},
        {ALERT_PORT_SCAN_HORIZONTAL, 1, 4, 1, 900, 22, "host 10.1.0.1 and port 22"},
        {ALERT_HOST_SWEEP, 1, 16, 1, 16, 0, "host 10.1.0.1"},
        {ALERT_BRUTE_FORCE, 2, 1, 2, 1, 22,
         "host 10.2.0.1 and (host 10.1.0.1 or host 10.1.0.2) and port 22"},
        {ALERT_BEACON, 1, 1, 1, 1, 443, "host 10.2.0.1 and host 10.1.0.1 and port 443"},
        {ALERT_DNS_TUNNEL, 1, 1, 1, 0, 53, "port 53 and host 10.2.0.1 and host 10.1.0.1"},
        {ALERT_DGA, 1, 0, 1, 0, 0, "port 53 and host 10.1.0.1"},
        {ALERT_ARP_SPOOF, 0, 1, 1, 1, 0, "arp and host 10.2.0.1"},
        {ALERT_ROGUE_DHCP, 1, 0, 1, 0, 0,
         "udp and (port 67 or port 68 or port 546 or port 547) and host 10.1.0.1"},
        {ALERT_NEW_SERVICE, 0, 1, 0, 1, 8080, "host 10.2.0.1 and port 8080"},
        {ALERT_FRAGMENT_FLOOD, 16, 1, 16, 1, 0, "host 10.2.0.1"},
        {ALERT_LATERAL_MOVEMENT, 1, 2, 1, 2, 445,
         "(host 10.2.0.1 or host 10.2.0.2) and host 10.1.0.1 and port 445"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct alert_record alert = {.kind = cases[i].kind,
                                     .attackers_count = cases[i].attackers,
                                     .victims_count = cases[i].victims,
                                     .attackers_total_estimate = cases[i].attackers_total,
                                     .victims_total_estimate = cases[i].victims_total};
        struct capture_filter filter;
        struct error err = {0};
        char text[32];

        for (unsigned n = 0; n < ALERT_ENDPOINTS_MAX; n++) {
            (void)snprintf(text, sizeof(text), "10.1.0.%u", n + 1);
            alert.attackers[n].ip = address(text);
            (void)snprintf(text, sizeof(text), "10.2.0.%u", n + 1);
            alert.victims[n].ip = address(text);
            alert.victims[n].port = cases[i].port;
        }
        assert_int_equal(capture_filter_of_alert(&alert, &filter, &err), 0);
        assert_string_equal(filter.plain, cases[i].text);
        const struct frame none = plain(1, 6, "10.9.0.1", 1, "10.9.0.2", 2);

        assert_false(takes(&filter, &none));
    }
}

/* Whatever is in the record: a filter that compiles, or a reason. */
static void any_alert_has_a_filter_that_compiles_or_none(void **state)
{
    (void)state;
    const struct frame none = plain(0, 6, "192.0.2.1", 1, "192.0.2.2", 2);
    unsigned made = 0;

    srand(7);
    for (unsigned n = 0; n < 600; n++) {
        struct alert_record alert = {.kind = (uint8_t)(n % ALERT_KIND_COUNT),
                                     .attackers_count =
                                         (uint8_t)(rand() % (ALERT_ENDPOINTS_MAX + 1)),
                                     .victims_count = (uint8_t)(rand() % (ALERT_ENDPOINTS_MAX + 1)),
                                     .attackers_total_estimate = (uint64_t)(rand() % 20),
                                     .victims_total_estimate = (uint64_t)(rand() % 20)};
        struct capture_filter filter;
        struct error err = {0};

        for (unsigned i = 0; i < ALERT_ENDPOINTS_MAX; i++) {
            char text[64];

            (void)snprintf(text, sizeof(text), "2001:db8:1234:5678:9abc:def0:1234:%x",
                           (unsigned)rand() % 65535);
            alert.attackers[i].ip = rand() % 9 == 0 ? address("10.0.0.1") : address(text);
            alert.victims[i].ip = rand() % 9 == 0 ? address("10.0.0.2") : address(text);
            alert.victims[i].port = (uint16_t)(rand() % 12);
        }
        if (capture_filter_of_alert(&alert, &filter, &err) == 0) {
            (void)takes(&filter, &none);
            if (alert.kind != ALERT_ARP_SPOOF) { /* there is no ARP */
                (void)passes(filter.plain, DLT_RAW, &none);
            }
            assert_true(strlen(filter.tagged) <= 4096 && filter.tagged[0] != '\0');
            made++;
        } else {
            assert_int_equal(err.code, ENOTSUP);
        }
    }
    assert_true(made > 400);
    struct alert_record silent = {.kind = ALERT_SENSOR_SILENT};
    struct capture_filter filter;
    struct error err = {0};

    assert_int_equal(capture_filter_of_alert(&silent, &filter, &err), -ENOTSUP);
    assert_non_null(strstr(err.message, "about a sensor"));
    silent.kind = ALERT_BEACON;
    assert_int_equal(capture_filter_of_alert(&silent, &filter, &err), -ENOTSUP);
    assert_non_null(strstr(err.message, "no address"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_is_both_its_directions_behind_any_tags),
        cmocka_unit_test(a_flow_without_ports_is_its_hosts),
        cmocka_unit_test(pieces_of_datagrams_are_taken_too),
        cmocka_unit_test(of_a_vxlan_its_network_and_hosts_are_told),
        cmocka_unit_test(of_other_tunnels_all_between_their_ends),
        cmocka_unit_test(of_labels_and_sessions_the_flow_itself),
        cmocka_unit_test(alerts_are_whom_they_name),
        cmocka_unit_test(any_alert_has_a_filter_that_compiles_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
