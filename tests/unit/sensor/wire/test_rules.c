/* How far a walk goes, by which rules, and what of tunnels keys a flow. */
#include "tests/unit/sensor/wire/walk_check.h"

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define MACS       2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1

static const struct build_ip outside = {.source = "198.51.100.1", .target = "198.51.100.2"};

static void further_ports_are_taken_from_the_rules(void **state)
{
    struct packet_rules rules = packet_rules_default;
    struct packet_builder *b;

    (void)state;
    for (int i = 0; i < 2; i++) {
        b = check_start(LINK_ETHERNET);
        build_ethernet(b);
        build_ipv4(b, outside);
        build_udp(b, 50000, 65330);
        build_vxlan(b, 7);
        build_ethernet(b);
        check_add_inside(false);
        assert_int_equal(check_decode(&rules), PACKET_OK);
        assert_int_equal(check_packet.tunnel_count, i);
        assert_true(packet_rules_add_port(&rules, 65330, LAYER_VXLAN));
    }
    for (unsigned port = 1; rules.port_count < PACKET_PORTS_MAX; port++) {
        assert_true(packet_rules_add_port(&rules, (uint16_t)port, LAYER_GENEVE));
    }
    assert_false(packet_rules_add_port(&rules, 999, LAYER_GENEVE));
    assert_true(packet_rules_add_port(&rules, 65330, LAYER_GENEVE)); /* it was there */
    assert_int_equal(packet_rules_layer(&rules, 65330), LAYER_GENEVE);
}

static void the_default_rules_know_their_own_ports(void **state)
{
    struct packet_rules made = {.layers_max = PACKET_LAYERS_DEFAULT};

    (void)state;
    for (unsigned i = 0; i < packet_rules_default.port_count; i++) {
        assert_true(packet_rules_add_port(&made, packet_rules_default.ports[i].port,
                                          (enum wire_layer)packet_rules_default.ports[i].layer));
    }
    assert_memory_equal(&made, &packet_rules_default, sizeof(made));
}

static void sixty_four_nested_headers_are_too_deep(void **state)
{
    struct packet_rules rules = packet_rules_default;
    uint8_t headers[64 * 20];

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        uint8_t *at = headers + i * 20;
        const size_t total = sizeof(headers) - i * 20 + 35;

        memset(at, 0, 20);
        at[0] = 0x45;
        at[2] = (uint8_t)(total >> 8);
        at[3] = (uint8_t)total;
        at[9] = 4;
        at[12] = at[16] = (uint8_t)(i + 1);
    }
    check_start(LINK_RAW);
    check_add(headers, sizeof(headers));
    check_add_inside(false);
    assert_int_equal(check_decode(NULL), PACKET_MALFORMED);
    check_fault(LAYER_IP_IN_IP, DECODE_TOO_DEEP);
    assert_int_equal(check_packet.source_ip[0], 16); /* the deepest that was read */
    assert_int_equal(check_packet.tunnel_count, 15);
    rules.layers_max = 3;
    assert_int_equal(check_decode(&rules), PACKET_MALFORMED);
    assert_int_equal(check_packet.source_ip[0], 1);
    rules.layers_max = PACKET_LAYERS_MAX;
    assert_int_equal(check_decode(&rules), PACKET_MALFORMED);
    assert_int_equal(check_packet.source_ip[0], 64);
    check_cuts();
}

static void loops_of_frames_in_frames_end(void **state)
{
    uint8_t tags[3000];

    (void)state;
    for (size_t i = 0; i < sizeof(tags); i++) { /* 802.1ah in itself */
        static const uint8_t one[18] = {0x88, 0xe7, 0, 0, 0, 1, MACS};

        tags[i] = one[i % 18];
    }
    check_start(LINK_ETHERNET);
    check_add(BYTES(MACS));
    check_add(tags, sizeof(tags));
    (void)check_decode(NULL);
    assert_int_equal(check_packet.fault_reason, DECODE_TOO_DEEP);
    memset(tags, 0, sizeof(tags)); /* label stacks without a bottom */
    check_start(LINK_ETHERNET);
    check_add(BYTES(MACS, 0x88, 0x47));
    check_add(tags, sizeof(tags));
    (void)check_decode(NULL);
    check_fault(LAYER_MPLS, DECODE_TOO_DEEP);
}

static void tenants_are_named_by_networks_and_not_by_sessions(void **state)
{
    uint32_t same = 0;

    (void)state;
    assert_int_equal(packet_tenant(0, TUNNEL_GTP_U, 5), 0);
    assert_int_equal(packet_tenant(0, TUNNEL_MPLS, 5), 0);
    assert_int_equal(packet_tenant(0, TUNNEL_GRE, 0), 0);
    assert_int_equal(packet_tenant(0, TUNNEL_LISP, 0), 0);
    assert_int_equal(packet_tenant(0, TUNNEL_GUE, 5), 0);
    assert_int_not_equal(packet_tenant(0, TUNNEL_LISP, 5), packet_tenant(0, TUNNEL_LISP, 6));
    assert_true(packet_tenant(0, TUNNEL_VXLAN, 0) > 1);
    assert_int_not_equal(packet_tenant(0, TUNNEL_VXLAN, 5), packet_tenant(0, TUNNEL_GENEVE, 5));
    assert_int_equal(packet_tenant(9, TUNNEL_GTP_U, 5), 9);
    for (uint32_t id = 0; id < 4096; id++) {
        same += packet_tenant(0, TUNNEL_VXLAN, id) == packet_tenant(0, TUNNEL_VXLAN, id + 1);
        assert_true(packet_tenant(0, TUNNEL_VXLAN, id) > 1);
    }
    assert_int_equal(same, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(further_ports_are_taken_from_the_rules),
        cmocka_unit_test(the_default_rules_know_their_own_ports),
        cmocka_unit_test(sixty_four_nested_headers_are_too_deep),
        cmocka_unit_test(loops_of_frames_in_frames_end),
        cmocka_unit_test(tenants_are_named_by_networks_and_not_by_sessions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
