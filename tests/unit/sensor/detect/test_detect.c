#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "sensor/detect/detect.h"
#include "sensor/flow/flow_table.h"
#include "sensor/wire/app.h"
#include "sensor/wire/dhcp.h"
#include "sensor/wire/dhcpv6.h"
#include "tests/support/packet_builder.h"

#define START UINT64_C(1700000000)

struct scene {
    struct flow_table *table;
    struct detection_frame *frame;
    struct detection_frame *unwanted; /* what detect_wants passes over, where it is asked */
    uint32_t unwanted_count;
    struct detection *detection;
    uint64_t second;
    uint32_t alerts_count;
    struct alert_record alerts[16];
};

static struct scene scene;
static struct detection_settings settings;

static void on_packet(void *context, const struct packet *packet, const uint8_t *frame_bytes,
                      struct flow *flow, bool is_new, int direction)
{
    struct scene *s = context;
    const bool is_wanted = s->unwanted == NULL || detect_wants(packet, flow, is_new, direction);

    s->unwanted_count += is_wanted ? 0 : 1;
    detect_packet(is_wanted ? s->frame : s->unwanted, packet, frame_bytes, s->table, flow, is_new,
                  direction);
}

static void on_alert(void *context, const struct alert_record *alert, uint64_t origins)
{
    (void)origins;
    struct scene *s = context;

    if (s->alerts_count < 16) {
        s->alerts[s->alerts_count++] = *alert;
    }
}

static int start(void **state)
{
    const struct flow_settings flows = {.flows_max = 8192, .idle_timeout_ns = 60 * NS_PER_SEC};
    const struct flow_observer observer = {.context = &scene, .on_packet = on_packet};
    struct error err = {0};

    (void)state;
    if (detection_settings_default(&settings, &err) != 0) {
        return 1;
    }
    scene = (struct scene){.second = START};
    scene.table = flow_table_new(&flows, &observer, &err);
    scene.frame = detection_frame_new(&settings, &err);
    scene.detection = detection_new(&settings, &err);
    detection_frame_reset(scene.frame, START, settings.seed);
    return scene.table == NULL || scene.frame == NULL || scene.detection == NULL;
}

static int stop(void **state)
{
    (void)state;
    flow_table_free(scene.table);
    detection_frame_free(scene.frame);
    detection_free(scene.detection);
    return 0;
}

static void play(const struct frame *frame)
{
    struct packet packet;
    const uint8_t *bytes = frame->bytes;

    while (scene.second < frame->time_ns / NS_PER_SEC) {
        detection_decide(scene.detection, scene.frame, NULL, on_alert, &scene);
        detection_frame_reset(scene.frame, ++scene.second, settings.seed);
    }
    (void)packet_decode(frame, 0, &packet);
    assert_int_equal(flow_table_add_batch(scene.table, &packet, &bytes, 1), 1);
}

static void send_tcp(const char *source, uint16_t source_port, const char *target,
                     uint16_t target_port, uint8_t flags, size_t payload_bytes, uint64_t at_ms)
{
    static const uint8_t payload[64];
    struct packet_builder b;
    uint8_t buffer[256];

    build_start(&b, buffer, sizeof(buffer));
    const struct frame frame = build_tcp_frame(
        &b, source, target,
        (struct build_tcp){.source_port = source_port, .target_port = target_port, .flags = flags},
        payload, payload_bytes, START * NS_PER_SEC + at_ms * NS_PER_MS);

    play(&frame);
}

static uint32_t finish(void)
{
    detection_decide(scene.detection, scene.frame, NULL, on_alert, &scene);
    detection_finish(scene.detection, (scene.second + 1) * NS_PER_SEC, on_alert, &scene);
    return scene.alerts_count;
}

static void connect_and_ask(const char *client, uint16_t port, const char *server, uint64_t at_ms)
{
    send_tcp(client, port, server, 443, TCP_SYN, 0, at_ms);
    send_tcp(server, 443, client, port, TCP_SYN | TCP_ACK, 0, at_ms);
    send_tcp(client, port, server, 443, TCP_ACK, 0, at_ms);
    send_tcp(client, port, server, 443, TCP_ACK | TCP_PSH, 20, at_ms);
    send_tcp(server, 443, client, port, TCP_ACK | TCP_PSH, 60, at_ms);
}

static void refused_and_silent_ports_are_a_scan_and_open_ones_are_counted(void **state)
{
    (void)state;
    for (uint16_t port = 1; port <= 40; port++) {
        send_tcp("10.0.0.5", 40000, "10.0.0.9", port, TCP_SYN, 0, port * UINT64_C(45));
        if (port % 10 == 0) {
            send_tcp("10.0.0.9", port, "10.0.0.5", 40000, TCP_SYN | TCP_ACK, 0,
                     port * UINT64_C(45));
            send_tcp("10.0.0.5", 40000, "10.0.0.9", port, TCP_RST, 0, port * UINT64_C(45));
        } else if (port % 2 == 0) {
            send_tcp("10.0.0.9", port, "10.0.0.5", 40000, TCP_RST | TCP_ACK, 0,
                     port * UINT64_C(45));
        }
    }
    assert_int_equal(finish(), 2);
    assert_int_equal(scene.alerts[0].kind, ALERT_PORT_SCAN_VERTICAL);
    assert_string_equal(scene.alerts[1].description,
                        "10.0.0.5 tries 40 ports of 10.0.0.9 in 10 s; 4 answered (threshold 25)");
}

static void a_browser_with_many_connections_raises_nothing(void **state)
{
    char server[32];

    (void)state;
    for (uint16_t i = 0; i < 400; i++) {
        (void)snprintf(server, sizeof(server), "93.184.%u.%u", i / 8 % 7, i % 200);
        connect_and_ask("10.0.0.5", (uint16_t)(30000 + i), server, i * UINT64_C(5));
    }
    assert_int_equal(finish(), 0);
}

static void a_server_with_many_clients_raises_nothing(void **state)
{
    char client[32];

    (void)state;
    for (uint16_t i = 0; i < 2000; i++) {
        (void)snprintf(client, sizeof(client), "93.184.%u.%u", i / 250, i % 250);
        connect_and_ask(client, 30000, "10.0.0.9", i);
    }
    assert_int_equal(finish(), 0);
}

static void one_way_traffic_that_goes_on_is_no_flood_and_no_scan(void **state)
{
    char server[32];

    (void)state;
    for (uint16_t i = 0; i < 1000; i++) { /* the capture lacks the answers */
        (void)snprintf(server, sizeof(server), "10.1.0.%u", i % 40);
        send_tcp("10.0.0.5", (uint16_t)(20000 + i), server, 443, TCP_SYN, 0, i * UINT64_C(4));
        send_tcp("10.0.0.5", (uint16_t)(20000 + i), server, 443, TCP_ACK, 0, i * UINT64_C(4));
        send_tcp("10.0.0.5", (uint16_t)(20000 + i), server, 443, TCP_ACK | TCP_PSH, 30,
                 i * UINT64_C(4));
    }
    assert_int_equal(finish(), 0);
}

static void spoofed_syn_are_a_distributed_flood(void **state)
{
    char source[32];

    (void)state;
    for (uint16_t i = 0; i < 1000; i++) {
        (void)snprintf(source, sizeof(source), "93.184.%u.%u", i / 250, i % 250);
        send_tcp(source, 30000, "10.0.0.9", 80, TCP_SYN, 0, i);
        send_tcp("10.0.0.9", 80, source, 30000, TCP_SYN | TCP_ACK, 0, i);
    }
    assert_int_equal(finish(), 2);
    assert_int_equal(scene.alerts[0].kind, ALERT_SYN_FLOOD);
    assert_int_equal(scene.alerts[0].state, ALERT_OPEN);
    assert_true(scene.alerts[0].observed == 1000);
}

static void udp_probes_without_an_answer_are_a_scan(void **state)
{
    struct packet_builder b;
    uint8_t buffer[256];

    (void)state;
    for (uint16_t port = 1; port <= 60; port++) {
        build_start(&b, buffer, sizeof(buffer));
        const struct frame frame = build_udp_frame(&b, "10.0.0.5", 40000, "10.0.0.9", port, "x", 1,
                                                   START * NS_PER_SEC + port * NS_PER_MS);

        play(&frame);
    }
    assert_int_equal(finish(), 2);
    assert_int_equal(scene.alerts[0].kind, ALERT_PORT_SCAN_VERTICAL);
    assert_true(scene.alerts[0].observed == 60);
}

/* A ping, a server's word, or pieces of a datagram. */
static void send_other(unsigned kind, unsigned number, bool is_reply)
{
    static const char *const hosts[] = {"10.0.0.5", "192.0.2.7"};
    static const uint8_t offer[300] = {
        [0] = 2,      [1] = 1,    [2] = 6,   [236] = 0x63, [237] = 0x82, [238] = 0x53,
        [239] = 0x63, [240] = 53, [241] = 1, [242] = 2,    [243] = 255};
    const struct build_ip ip = {.source = hosts[is_reply], .target = hosts[!is_reply]};
    struct packet_builder b;
    uint8_t buffer[512];

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    if (kind == 0) {
        build_ipv4(&b, ip);
        build_icmp(&b, is_reply ? 0 : 8, 0, (uint16_t)number, 1);
    } else if (kind == 1) {
        build_ipv4(&b, ip);
        build_udp(&b, is_reply ? DHCP_SERVER_PORT : 68, is_reply ? 68 : DHCP_SERVER_PORT);
        build_bytes(&b, offer, sizeof(offer));
    } else {
        struct build_ip piece = ip;
        piece.has_more_fragments = true;
        build_ipv4(&b, piece);
        build_udp(&b, (uint16_t)number, 53);
        build_zeros(&b, 64);
    }
    const struct frame frame = build_frame(&b, START * NS_PER_SEC);
    play(&frame);
}

/* Of random beginnings of conversations: what is passed over holds no fact. */
static void packets_that_are_not_wanted_tell_nothing(void **state)
{
    enum { PACKETS = 40000, PACKETS_EACH = 20 };
    static const char *const hosts[] = {"10.0.0.5", "192.0.2.7"};
    static const uint16_t ports[] = {443, 22, DHCP_SERVER_PORT};
    static const uint8_t flags[] = {TCP_SYN,           TCP_SYN | TCP_ACK, TCP_ACK, TCP_ACK,
                                    TCP_ACK | TCP_PSH, TCP_FIN | TCP_ACK, TCP_RST, 0};
    struct error err = {0};
    uint32_t seed = 1;

    (void)state;
    scene.unwanted = detection_frame_new(&settings, &err);
    assert_non_null(scene.unwanted);
    detection_frame_reset(scene.unwanted, START, settings.seed);
    for (unsigned i = 0; i < PACKETS; i++) {
        struct packet_builder b;
        uint8_t buffer[256];
        const uint16_t client_port = (uint16_t)(1024 + i / PACKETS_EACH);
        const uint16_t server_port = ports[i / PACKETS_EACH % 3];

        seed = seed * 1664525U + 1013904223U;
        const bool is_reply = seed >> 31 != 0;
        const size_t payload = (seed >> 14) % 3 * 8;
        const uint16_t source_port = is_reply ? server_port : client_port;
        const uint16_t target_port = is_reply ? client_port : server_port;

        if (i / PACKETS_EACH % 8 == 1) {
            send_other(i / PACKETS_EACH / 8 % 3, client_port, is_reply);
        } else if (i / PACKETS_EACH % 4 == 0) {
            build_start(&b, buffer, sizeof(buffer));
            const struct frame frame =
                build_udp_frame(&b, hosts[is_reply], source_port, hosts[!is_reply], target_port,
                                "0123456789abcdef", payload, START * NS_PER_SEC);

            play(&frame);
        } else {
            const uint8_t chosen = i % PACKETS_EACH == 0 ? TCP_SYN : flags[(seed >> 20) % 8];

            send_tcp(hosts[is_reply], source_port, hosts[!is_reply], target_port, chosen, payload,
                     0);
        }
    }
    assert_in_range(scene.unwanted_count, PACKETS / 4, PACKETS * 3 / 4);
    assert_true(detection_frame_is_empty(scene.unwanted));
    assert_false(detection_frame_is_empty(scene.frame));
    detection_frame_free(scene.unwanted);
}

/* So they are not asked about it. */
static void no_detector_looks_at_the_end_of_a_flow_that_was_silent(void **state)
{
    static const uint8_t protocols[] = {IP_PROTOCOL_TCP, IP_PROTOCOL_UDP, IP_PROTOCOL_ICMP, 47};

    static struct detection_settings all;

    (void)state;
    all = settings;
    for (uint32_t i = 0; i < all.detectors_count; i++) {
        all.rules[i].enabled = true;
    }
    detection_frame_use(scene.frame, &all);
    for (unsigned i = 0; i < 4 * ARRAY_COUNT(protocols) * 17; i++) {
        const uint64_t packets = i / 64 % 2 == 0 ? 1 : 1000000;
        const struct detection_glance glance = {
            .protocol = protocols[i / 16 % 4],
            .is_source_internal = (i & 1) != 0,
            .is_target_internal = (i & 2) != 0,
            .source_port = 40000,
            .target_port = (uint16_t)(i / 128),
            .packets = {(i & 4) != 0 ? packets : 0, (i & 4) != 0 ? 0 : packets},
            .bytes = {packets * 60, 0},
            .age_ns = (i & 8) * 3600 * NS_PER_SEC};

        assert_true(detection_frame_cares(scene.frame, DETECTION_END, &glance) == 0);
    }
    const struct detection_glance answered = {.protocol = IP_PROTOCOL_TCP, .packets = {1, 1}};

    assert_true(detection_frame_cares(scene.frame, DETECTION_END, &answered) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

/* Settings and alerts call an application what records call it. */
static void applications_have_the_names_of_records(void **state)
{
    (void)state;
    for (unsigned i = DETECTION_APP_NONE + 1; i < DETECTION_APP_COUNT; i++) {
        unsigned app = 1;

        while (app < APP_COUNT &&
               strcmp(app_name((enum app)app), detection_app_name((enum detection_app)i)) != 0) {
            app++;
        }
        if (app == APP_COUNT) {
            fail_msg("no record says '%s'", detection_app_name((enum detection_app)i));
        }
    }
}

static struct flow_record ssh_record(void)
{
    struct flow_record record = {.event = FLOW_END,
                                 .initiator = INITIATOR_SYN,
                                 .ip_protocol = IP_PROTOCOL_TCP,
                                 .ip_version = 4,
                                 .has_tcp = true,
                                 .app_confidence = APP_DPI,
                                 .update_index = 1,
                                 .start_ns = START * NS_PER_SEC,
                                 .end_ns = START * NS_PER_SEC};

    assert_true(address_parse("10.0.0.5", 8, &record.client.ip));
    assert_true(address_parse("10.0.0.9", 8, &record.server.ip));
    record.client.port = 40000;
    record.server.port = 2222;
    record.tcp.forward.flags = TCP_SYN | TCP_ACK;
    record.tcp.reverse.flags = TCP_SYN | TCP_ACK;
    record.forward.total_packets = record.reverse.total_packets = 5;
    return record;
}

static void a_recognised_application_on_an_unusual_port_is_told(void **state)
{
    const struct flow_record record = ssh_record();

    (void)state;
    detection_rules(&settings, "unusual_port")->mode = DETECTOR_ALERT;
    detect_record(scene.frame, &record, APP_SSH);
    assert_true(finish() > 0);
    assert_int_equal(scene.alerts[0].kind, ALERT_UNUSUAL_PORT);
}

/* Known by its port alone, taken up in the middle, half open, inside another protocol, told again.
 */
static void what_is_not_sure_is_not_told(void **state)
{
    struct flow_record records[5];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        records[i] = ssh_record();
    }
    records[0].app_confidence = APP_PORT;
    records[1].initiator = INITIATOR_PORT_GUESS;
    records[2].tcp.forward.flags = TCP_SYN | TCP_RST;
    records[3].app_carrier = (struct record_text){"socks", 5};
    records[4].event = FLOW_UPDATE;
    for (unsigned i = 0; i < 5; i++) {
        detect_record(scene.frame, &records[i], APP_SSH);
    }
    for (uint32_t i = finish(); i > 0; i--) {
        assert_int_not_equal(scene.alerts[i - 1].kind, ALERT_UNUSUAL_PORT);
    }
}

/* A message of a DHCPv6 server, as it goes to the client. */
static void send_dhcpv6(const char *source, uint16_t source_port, uint8_t type, uint64_t second)
{
    const uint8_t message[] = {type, 0x12, 0x34, 0x56};
    const bool is_client = source_port == DHCPV6_CLIENT_PORT;
    struct packet_builder b;
    uint8_t buffer[256];

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_ipv6(&b,
               (struct build_ip){.source = source, .target = is_client ? "ff02::1:2" : "fe80::c"});
    build_udp(&b, source_port, is_client ? DHCPV6_SERVER_PORT : DHCPV6_CLIENT_PORT);
    build_bytes(&b, message, sizeof(message));
    const struct frame frame = build_frame(&b, (START + second) * NS_PER_SEC);
    play(&frame);
}

static void a_dhcpv6_server_that_comes_after_the_learning_time_is_told(void **state)
{
    struct detector_rules *rules = detection_rules(&settings, "rogue_server");

    (void)state;
    rules->mode = DETECTOR_ALERT;
    rules->params[0].number = 5 * NS_PER_SEC; /* it learns */
    send_dhcpv6("fe80::1", DHCPV6_SERVER_PORT, DHCPV6_ADVERTISE, 0);
    send_dhcpv6("fe80::c", DHCPV6_CLIENT_PORT, DHCPV6_SOLICIT, 20);
    send_dhcpv6("fe80::1", DHCPV6_SERVER_PORT, DHCPV6_REPLY, 20);
    send_dhcpv6("fe80::bad", 40000, DHCPV6_ADVERTISE, 20);
    assert_int_equal(finish(), 2);
    assert_int_equal(scene.alerts[0].kind, ALERT_ROGUE_DHCP);
    assert_non_null(strstr(scene.alerts[0].description, "fe80::bad "));
}

enum around { AROUND_NOTHING, AROUND_VLAN, AROUND_VXLAN, AROUND_PPPOE, AROUND_GTP, AROUND_6IN4 };

/* A router's advertisement, inside what carries frames, or packets alone. */
static void send_advertisement(enum around around)
{
    const struct build_ip outer = {.source = "192.0.2.1", .target = "192.0.2.2"};
    struct packet_builder b;
    uint8_t buffer[512];

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    if (around == AROUND_VLAN) {
        build_vlan(&b, 7);
    } else if (around == AROUND_PPPOE) {
        build_pppoe(&b, 9);
    } else if (around != AROUND_NOTHING) {
        build_ipv4(&b, outer);
    }
    if (around == AROUND_VXLAN) {
        build_vxlan_udp(&b, 42);
        build_ethernet(&b);
    } else if (around == AROUND_GTP) {
        build_gtp_udp(&b, 42);
    }
    build_ipv6(&b, (struct build_ip){.source = "fe80::bad", .target = "ff02::1", .ttl = 255});
    build_icmpv6(&b, 134, 0, 0x4000, 1800);
    build_zeros(&b, 8);
    const struct frame frame = build_frame(&b, (START + 20) * NS_PER_SEC);
    play(&frame);
}

static void a_router_advertises_itself_on_a_link_and_not_in_a_tunnel_of_packets(void **state)
{
    static const uint32_t told[] = {2, 2, 2, 0, 0, 0};

    for (unsigned around = 0; around < ARRAY_COUNT(told); around++) {
        struct detector_rules *rules = detection_rules(&settings, "rogue_server");

        rules->mode = DETECTOR_ALERT;
        rules->params[0].number = 5 * NS_PER_SEC; /* it learns */
        send_tcp("10.0.0.5", 40000, "10.0.0.9", 80, TCP_SYN, 0, 0);
        send_advertisement((enum around)around);
        assert_int_equal(finish(), told[around]);
        assert_int_equal(stop(state), 0);
        assert_int_equal(start(state), 0);
    }
}

/* From 0.0.0.0 to all: one flow, however many clients there are. */
static void send_discover(uint8_t client, uint64_t at_ms)
{
    const uint8_t message[300] = {
        [0] = 1,      [1] = 1,      [2] = 6,      [28] = 2,     [33] = client,
        [236] = 0x63, [237] = 0x82, [238] = 0x53, [239] = 0x63, [240] = 53,
        [241] = 1,    [242] = 1,    [243] = 255};
    struct packet_builder b;
    uint8_t buffer[512];

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_ipv4(&b, (struct build_ip){.source = "0.0.0.0", .target = "255.255.255.255"});
    build_udp(&b, 68, DHCP_SERVER_PORT);
    build_bytes(&b, message, sizeof(message));
    const struct frame frame = build_frame(&b, START * NS_PER_SEC + at_ms * NS_PER_MS);
    play(&frame);
}

static void many_clients_of_one_sender_starve_a_dhcp_server(void **state)
{
    (void)state;
    detection_rules(&settings, "dhcp_starvation")->mode = DETECTOR_ALERT;
    for (uint8_t client = 1; client <= 41; client++) { /* the first is the sender itself */
        send_discover(client, client * UINT64_C(100));
    }
    assert_int_equal(finish(), 2);
    assert_int_equal(scene.alerts[0].kind, ALERT_DHCP_STARVATION);
    assert_true(scene.alerts[1].observed == 40);
}

static void scans_without_a_syn_are_scans(void **state)
{
    static const uint8_t flags[] = {TCP_FIN, 0, TCP_FIN | TCP_PSH | TCP_URG, TCP_ACK,
                                    TCP_FIN | TCP_ACK};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        const uint64_t at_ms = i * UINT64_C(100000);

        scene.alerts_count = 0;
        for (uint16_t port = 1; port <= 40; port++) {
            send_tcp("10.0.0.5", 40000, "10.0.0.9", port, flags[i], 0, at_ms + port);
            if (port % 2 == 0) {
                send_tcp("10.0.0.9", port, "10.0.0.5", 40000, TCP_RST | TCP_ACK, 0, at_ms + port);
            }
        }
        send_tcp("10.0.0.7", 1, "10.0.0.8", 80, TCP_SYN, 0, at_ms + 80000); /* it is over */
        assert_int_equal(scene.alerts_count, 2);
        assert_int_equal(scene.alerts[0].kind, ALERT_PORT_SCAN_VERTICAL);
        assert_true(scene.alerts[0].observed == 40);
    }
}

/* Connections that began before the sensor did, as they end: a client's to one service, a server's
 * to a client that is gone, by resets, and by what was not acknowledged. */
static void ends_of_connections_that_were_not_seen_to_begin_are_no_scan(void **state)
{
    (void)state;
    for (uint16_t port = 1; port <= 100; port++) {
        const uint16_t client_port = (uint16_t)(50000 + port);

        send_tcp("10.0.0.5", client_port, "10.0.0.9", 443, TCP_FIN | TCP_ACK, 0, port);
        send_tcp("10.0.0.9", 8443, "10.0.0.8", client_port, TCP_FIN | TCP_ACK, 0, port);
        send_tcp("10.0.0.9", 443, "10.0.0.8", (uint16_t)(1024 + port), TCP_FIN | TCP_ACK, 0, port);
        send_tcp("10.0.0.6", 40000, "10.0.0.9", port, TCP_RST, 0, port);
        send_tcp("10.0.0.7", 40000, "10.0.0.9", port, TCP_ACK | TCP_PSH, 30, port);
    }
    assert_int_equal(finish(), 0);
}

/* Also where its answers come late, or with payload before. */
static void connections_of_before_that_go_on_are_no_scan(void **state)
{
    (void)state;
    for (uint16_t port = 1; port <= 100; port++) {
        send_tcp("10.0.0.5", 40000, "10.0.0.9", port, TCP_ACK, 0, UINT64_C(900) + port);
    }
    for (uint16_t port = 1; port <= 100; port++) { /* the next second has begun */
        send_tcp("10.0.0.9", port, "10.0.0.5", 40000, TCP_ACK, 0, UINT64_C(1000) + port);
    }
    for (uint16_t port = 1; port <= 100; port++) {
        const uint64_t at_ms = UINT64_C(2000) + port;

        send_tcp("10.0.0.7", 40000, "10.0.0.9", port, TCP_ACK, 0, at_ms);
        send_tcp("10.0.0.7", 40000, "10.0.0.9", port, TCP_ACK, 1, at_ms);
        send_tcp("10.0.0.9", port, "10.0.0.7", 40000, TCP_ACK | TCP_PSH, 9, at_ms);
    }
    assert_int_equal(finish(), 0);
}

/* A header in three pieces of eight bytes and less. */
static void send_in_pieces(const char *source, const char *target, uint16_t port)
{
    const uint8_t header[20] = {0x9c,          0x40,        (uint8_t)(port >> 8),
                                (uint8_t)port, [12] = 0x50, [13] = TCP_SYN};

    for (uint16_t at = 0; at < sizeof(header); at = (uint16_t)(at + 8)) {
        struct packet_builder b;
        uint8_t buffer[128];

        build_start(&b, buffer, sizeof(buffer));
        build_ethernet(&b);
        build_ipv4(&b, (struct build_ip){.source = source,
                                         .target = target,
                                         .protocol = IP_PROTOCOL_TCP,
                                         .id = port,
                                         .fragment_offset_bytes = at,
                                         .has_more_fragments = at < 16});
        build_bytes(&b, header + at, at < 16 ? 8 : 4);
        const struct frame frame = build_frame(&b, START * NS_PER_SEC + port * NS_PER_MS);
        play(&frame);
    }
}

static void a_scan_whose_headers_are_cut_into_fragments_is_a_scan(void **state)
{
    (void)state;
    for (uint16_t port = 1; port <= 40; port++) {
        send_in_pieces("10.0.0.5", "10.0.0.9", port);
    }
    assert_int_equal(finish(), 2);
    assert_int_equal(scene.alerts[0].kind, ALERT_PORT_SCAN_VERTICAL);
    assert_true(scene.alerts[0].observed == 40);
}

static void send_to_trace(const char *source, uint16_t first_port, uint8_t hop, unsigned number)
{
    struct packet_builder b;
    uint8_t buffer[256];

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_ipv4(&b, (struct build_ip){.source = source, .target = "192.0.2.7", .ttl = hop});
    build_udp(&b, 40000, (uint16_t)(first_port + number));
    build_zeros(&b, 32);
    const struct frame frame = build_frame(&b, START * NS_PER_SEC + number * NS_PER_MS);
    play(&frame);
}

static void traceroute_is_no_scan_and_its_ports_are_no_hiding_place(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 90; i++) {
        send_to_trace("10.0.0.5", 33434, (uint8_t)(i / 3 + 1), i);
        send_to_trace("10.0.0.6", 44444, (uint8_t)(i / 3 + 1), i);
        send_to_trace("10.0.0.7", 33434, 64, i);
        send_to_trace("10.0.0.8", 30000, 10, i);
    }
    assert_int_equal(finish(), 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(scene.alerts[i].kind, ALERT_PORT_SCAN_VERTICAL);
        assert_null(strstr(scene.alerts[i].description, "10.0.0.5 "));
        assert_null(strstr(scene.alerts[i].description, "10.0.0.6 "));
    }
}

/* What pieces carry is not known, so it is no connection of which one side is missing. */
static void a_flow_of_fragments_alone_says_nothing_of_the_mirror_port(void **state)
{
    struct flow_record record = ssh_record();

    (void)state;
    record.reverse.total_packets = 0;
    record.forward.total_payload_bytes = 8;
    record.tcp.forward.flags = record.tcp.reverse.flags = 0;
    detect_record(scene.frame, &record, APP_UNKNOWN);
    assert_true(detection_frame_is_empty(scene.frame));
    record.tcp.forward.flags = TCP_SYN | TCP_ACK;
    detect_record(scene.frame, &record, APP_UNKNOWN);
    assert_false(detection_frame_is_empty(scene.frame));
}

/* An answer led to 198.51.100.0/24, from the second second on. */
static bool is_known(const void *names, const struct ip_address *address,
                     const struct ip_address *client, uint64_t time_ns)
{
    assert_ptr_equal(names, &scene);
    assert_int_equal(client->version, 4);
    return memcmp(address->bytes, (const uint8_t[]){198, 51, 100}, 3) == 0 &&
           time_ns >= (START + 1) * NS_PER_SEC;
}

static void ask_hosts(const char *source, unsigned network, uint64_t at_ms)
{
    char target[32];

    for (unsigned i = 1; i <= 40; i++) {
        (void)snprintf(target, sizeof(target), "198.51.%u.%u", network, i);
        send_tcp(source, 40000, target, 443, TCP_SYN, 0, at_ms + i);
    }
}

static void hosts_to_which_names_led_are_not_scanned(void **state)
{
    (void)state;
    detection_know_names(scene.detection, is_known, &scene);
    ask_hosts("10.0.0.5", 100, 0); /* the answer came later */
    ask_hosts("10.0.0.6", 100, 2000);
    ask_hosts("10.0.0.7", 101, 2000);
    for (uint16_t port = 1; port <= 40; port++) {
        send_tcp("10.0.0.8", 40000, "198.51.100.1", port, TCP_SYN, 0, 2000 + port);
    }
    assert_int_equal(finish(), 6);
    assert_string_equal(scene.alerts[0].top_sources[0].key, "10.0.0.5");
    assert_string_equal(scene.alerts[1].top_sources[0].key, "10.0.0.7");
    assert_int_equal(scene.alerts[1].kind, ALERT_PORT_SCAN_HORIZONTAL);
    assert_string_equal(scene.alerts[2].top_sources[0].key, "10.0.0.8");
    assert_int_equal(scene.alerts[2].kind, ALERT_PORT_SCAN_VERTICAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refused_and_silent_ports_are_a_scan_and_open_ones_are_counted),
        TEST(a_browser_with_many_connections_raises_nothing),
        TEST(a_server_with_many_clients_raises_nothing),
        TEST(one_way_traffic_that_goes_on_is_no_flood_and_no_scan),
        TEST(spoofed_syn_are_a_distributed_flood),
        TEST(udp_probes_without_an_answer_are_a_scan),
        TEST(packets_that_are_not_wanted_tell_nothing),
        TEST(no_detector_looks_at_the_end_of_a_flow_that_was_silent),
        TEST(applications_have_the_names_of_records),
        TEST(a_recognised_application_on_an_unusual_port_is_told),
        TEST(what_is_not_sure_is_not_told),
        TEST(a_dhcpv6_server_that_comes_after_the_learning_time_is_told),
        TEST(scans_without_a_syn_are_scans),
        TEST(hosts_to_which_names_led_are_not_scanned),
        TEST(connections_of_before_that_go_on_are_no_scan),
        TEST(many_clients_of_one_sender_starve_a_dhcp_server),
        TEST(a_router_advertises_itself_on_a_link_and_not_in_a_tunnel_of_packets),
        TEST(ends_of_connections_that_were_not_seen_to_begin_are_no_scan),
        TEST(a_scan_whose_headers_are_cut_into_fragments_is_a_scan),
        TEST(traceroute_is_no_scan_and_its_ports_are_no_hiding_place),
        TEST(a_flow_of_fragments_alone_says_nothing_of_the_mirror_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
