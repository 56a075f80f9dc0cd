/* Flows inside tunnels: which packets are one conversation, and what their records list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sensor/flow/flow_harness.h"

#include <netscope/v1/flow.pb-c.h>

static struct harness h;

enum around { PLAIN, VXLAN, GENEVE, GTP, KEYED_GRE, MPLS };

static const char *const outer[2] = {"198.51.100.1", "198.51.100.2"};
static const char *const inner[2] = {"10.0.0.1", "10.0.0.2"};

/* A UDP packet from inner side `side`, in a tunnel with `id` that runs the same way. */
static void add(enum around around, uint32_t id, int side, uint64_t at_ns)
{
    struct packet_builder *b = &h.builder;

    build_start(b, h.buffer, sizeof(h.buffer));
    build_ethernet(b);
    if (around != PLAIN && around != MPLS) {
        build_ipv4(b, (struct build_ip){.source = outer[side], .target = outer[!side]});
    }
    switch (around) {
    case VXLAN:
        build_vxlan_udp(b, id);
        build_ethernet(b);
        break;
    case GENEVE:
        build_geneve_udp(b, id, 8);
        build_ethernet(b);
        break;
    case GTP:
        build_gtp_udp(b, id);
        break;
    case KEYED_GRE:
        build_gre_key(b, id);
        break;
    case MPLS:
        build_mpls(b, id, true);
        break;
    default:
        break;
    }
    build_ipv4(b, (struct build_ip){.source = inner[side], .target = inner[!side]});
    build_udp(b, side == 0 ? 40000 : 7777, side == 0 ? 7777 : 40000);
    build_text(b, "payload");
    const struct frame frame = build_frame(b, at_ns);
    harness_add_frame(&h, &frame);
}

static void start(void)
{
    const struct flow_settings settings = harness_settings();

    harness_start(&h, &settings);
}

static void both_directions_of_a_tunnel_are_one_flow_with_its_tunnel(void **state)
{
    struct ip_address expected;

    (void)state;
    start();
    add(VXLAN, 7, 0, SECOND);
    add(VXLAN, 7, 1, SECOND + 1);
    harness_finish(&h, 2 * SECOND);
    assert_int_equal(h.count, 1);
    const struct flow_record *record = harness_last(&h);
    assert_int_equal(record->forward.total_packets, 1);
    assert_int_equal(record->reverse.total_packets, 1);
    assert_int_equal(record->tunnels_count, 1);
    assert_int_equal(record->tunnels[0].type, TUNNEL_VXLAN);
    assert_int_equal(record->tunnels[0].id, 7);
    assert_int_equal(record->tunnels[0].omitted, 0);
    assert_true(address_parse(outer[0], strlen(outer[0]), &expected));
    assert_true(address_equal(&record->tunnels[0].outer_source, &expected));
    assert_true(address_parse(outer[1], strlen(outer[1]), &expected));
    assert_true(address_equal(&record->tunnels[0].outer_target, &expected));
    harness_stop(&h);
}

static void outer_addresses_are_told_from_the_client_to_the_server(void **state)
{
    struct ip_address expected;
    struct packet_builder *b = &h.builder;

    (void)state;
    start();
    build_start(b, h.buffer, sizeof(h.buffer)); /* the first packet seen is the server's SYN-ACK */
    build_ethernet(b);
    build_ipv4(b, (struct build_ip){.source = outer[1], .target = outer[0]});
    build_gre(b);
    build_ipv4(b, (struct build_ip){.source = inner[1], .target = inner[0]});
    build_tcp(b, (struct build_tcp){.source_port = 443, .target_port = 40000, .flags = 0x12});
    const struct frame frame = build_frame(b, SECOND);
    harness_add_frame(&h, &frame);
    harness_finish(&h, 2 * SECOND);
    assert_true(address_parse(outer[0], strlen(outer[0]), &expected));
    assert_true(address_equal(&harness_last(&h)->tunnels[0].outer_source, &expected));
    harness_stop(&h);
}

static void equal_addresses_in_two_networks_are_two_flows(void **state)
{
    static const enum around kinds[] = {VXLAN, GENEVE, KEYED_GRE};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        start();
        add(kinds[i], 7, 0, SECOND);
        add(kinds[i], 8, 0, SECOND + 1);
        add(kinds[i], 8, 1, SECOND + 2);
        add(kinds[i], 7, 1, SECOND + 3);
        add(kinds[i], 7, 0, SECOND + 4);
        harness_finish(&h, 2 * SECOND);
        assert_int_equal(h.count, 2);
        assert_int_not_equal(h.records[0].flow_id, h.records[1].flow_id);
        for (uint32_t r = 0; r < 2; r++) {
            const bool is_seven = h.records[r].tunnels[0].id == 7;

            assert_int_equal(h.records[r].forward.total_packets, is_seven ? 2 : 1);
            assert_int_equal(h.records[r].reverse.total_packets, 1);
        }
        harness_stop(&h);
    }
}

static void answers_under_another_network_name_stay_with_their_flow(void **state)
{
    (void)state;
    start();
    add(GENEVE, 7, 0, SECOND);
    add(GENEVE, 9, 1, SECOND + 1);
    add(GENEVE, 7, 0, SECOND + 2);
    add(GENEVE, 9, 1, SECOND + 3);
    add(GENEVE, 9, 0, SECOND + 4); /* the same way under another name: another network */
    harness_finish(&h, 2 * SECOND);
    assert_int_equal(h.count, 2);
    const struct flow_record *both =
        h.records[0].reverse.total_packets > 0 ? &h.records[0] : &h.records[1];
    assert_int_equal(both->forward.total_packets, 2);
    assert_int_equal(both->reverse.total_packets, 2);
    harness_stop(&h);
}

static void answers_may_come_without_a_tunnel(void **state)
{
    (void)state;
    start();
    add(VXLAN, 7, 0, SECOND);
    add(PLAIN, 0, 1, SECOND + 1);
    add(PLAIN, 0, 1, SECOND + 2);
    harness_finish(&h, 2 * SECOND);
    assert_int_equal(h.count, 1);
    assert_int_equal(harness_last(&h)->reverse.total_packets, 2);
    harness_stop(&h);
}

static void teids_and_labels_of_the_two_directions_make_no_two_flows(void **state)
{
    (void)state;
    start();
    add(GTP, 100, 0, SECOND);
    add(GTP, 200, 1, SECOND + 1);
    add(GTP, 101, 0, SECOND + 2); /* after a handover */
    harness_finish(&h, 2 * SECOND);
    assert_int_equal(h.count, 1);
    assert_int_equal(harness_last(&h)->tunnels[0].type, TUNNEL_GTP_U);
    assert_int_equal(harness_last(&h)->tunnels[0].id, 100);
    harness_stop(&h);

    start();
    add(MPLS, 16, 0, SECOND);
    add(MPLS, 17, 1, SECOND + 1);
    harness_finish(&h, 2 * SECOND);
    assert_int_equal(h.count, 1);
    assert_int_equal(harness_last(&h)->tunnels[0].type, TUNNEL_MPLS);
    assert_int_equal(harness_last(&h)->tunnels[0].outer_source.version, 0);
    harness_stop(&h);
}

static void the_tunnels_are_part_of_the_flow_id(void **state)
{
    uint64_t ids[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        start();
        add(i == 0 ? PLAIN : GTP, (uint32_t)i, 0, SECOND);
        harness_finish(&h, 2 * SECOND);
        ids[i] = harness_last(&h)->flow_id;
        harness_stop(&h);
    }
    assert_int_not_equal(ids[0], ids[1]);
    assert_int_not_equal(ids[1], ids[2]);
}

static void tunnels_beyond_four_are_counted(void **state)
{
    struct packet_builder *b = &h.builder;

    (void)state;
    start();
    build_start(b, h.buffer, sizeof(h.buffer));
    build_ethernet(b);
    for (int i = 0; i < 7; i++) {
        build_ipv4(b, (struct build_ip){.source = outer[0], .target = outer[1]});
    }
    build_udp(b, 40000, 7777);
    const struct frame frame = build_frame(b, SECOND);
    harness_add_frame(&h, &frame);
    harness_finish(&h, 2 * SECOND);
    const struct flow_record *record = harness_last(&h);
    assert_int_equal(record->tunnels_count, 4);
    assert_int_equal(record->tunnels[0].omitted, 0);
    assert_int_equal(record->tunnels[3].omitted, 2);
    harness_stop(&h);
}

static void one_stack_serves_many_flows_and_is_given_back(void **state)
{
    const struct flow_settings settings = {
        .flows_max = 64, .idle_timeout_ns = SECOND, .key = {1, 2}};

    (void)state;
    harness_start(&h, &settings);
    for (uint32_t i = 0; i < 1000; i++) { /* far more tunnels than stacks, one after the other */
        const uint64_t at_ns = SECOND * (1 + UINT64_C(10) * i);

        add(GTP, i, 0, at_ns);
        (void)flow_table_advance(h.table, at_ns + 5 * SECOND, 4096);
    }
    assert_int_equal(flow_table_statistics(h.table).tunnels_full, 0);
    for (uint32_t i = 0; i < h.count; i++) {
        assert_int_equal(h.records[i].tunnels_count, 1);
    }
    harness_stop(&h);
}

static void a_flow_without_room_for_its_tunnels_is_counted_and_kept(void **state)
{
    struct packet_builder *b = &h.builder;
    const struct flow_settings settings = {
        .flows_max = 512, .idle_timeout_ns = 60 * SECOND, .key = {1, 2}};
    uint32_t without = 0;

    (void)state;
    harness_start(&h, &settings);
    for (uint32_t i = 0; i < 100; i++) { /* 64 stacks */
        build_start(b, h.buffer, sizeof(h.buffer));
        build_ethernet(b);
        build_ipv4(b, (struct build_ip){.source = outer[0], .target = outer[1]});
        build_gtp_udp(b, i);
        build_ipv4(b, (struct build_ip){.source = inner[0], .target = inner[1]});
        build_udp(b, (uint16_t)(40000 + i), 7777);
        const struct frame frame = build_frame(b, SECOND);
        harness_add_frame(&h, &frame);
    }
    harness_finish(&h, 2 * SECOND);
    assert_int_equal(h.count, 100);
    for (uint32_t i = 0; i < h.count; i++) {
        without += h.records[i].tunnels_count == 0;
    }
    assert_int_equal(without, 36);
    assert_int_equal(flow_table_statistics(h.table).tunnels_full, 36);
    harness_stop(&h);
}

static void tunnels_are_part_of_the_memory_that_a_table_tells(void **state)
{
    (void)state;
    start();
    add(PLAIN, 0, 0, SECOND);
    const uint64_t plain = flow_table_memory_bytes(h.table);
    add(PLAIN, 0, 1, SECOND);
    assert_true(flow_table_memory_bytes(h.table) == plain);
    add(VXLAN, 7, 0, SECOND);
    const uint64_t first = flow_table_memory_bytes(h.table); /* its link is new, too */
    add(VXLAN, 8, 0, SECOND);
    const uint64_t each = flow_table_memory_bytes(h.table) - first;
    add(VXLAN, 9, 0, SECOND);
    /* More than the entry itself, and as much for each of the same kind. */
    assert_true(first - plain >= each);
    assert_true(each > 2 * sizeof(struct flow));
    assert_true(flow_table_memory_bytes(h.table) == first + 2 * each);
    harness_stop(&h);
}

static void the_numbers_are_those_of_the_public_enum(void **state)
{
    const ProtobufCEnumDescriptor *descriptor = &netscope__v1__tunnel_type__descriptor;

    (void)state;
    assert_int_equal(descriptor->n_values, TUNNEL_TYPE_COUNT);
    for (unsigned type = TUNNEL_NONE + 1; type < TUNNEL_TYPE_COUNT; type++) {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(descriptor, (int)type);
        const char *mine = tunnel_type_name((enum tunnel_type)type);
        const char *theirs;

        assert_non_null(value);
        theirs = value->name + strlen("TUNNEL_TYPE_");
        if (type == TUNNEL_IP_IN_IP) {
            continue; /* "IPIP" */
        }
        for (; *mine != 0; mine++, theirs++) { /* "GTP-U" is GTP_U */
            const char upper = (char)(*mine >= 'a' && *mine <= 'z' ? *mine - 32 : *mine);

            assert_int_equal(*theirs, upper == '-' ? '_' : upper);
        }
        assert_int_equal(*theirs, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_those_of_the_public_enum),
        cmocka_unit_test(both_directions_of_a_tunnel_are_one_flow_with_its_tunnel),
        cmocka_unit_test(outer_addresses_are_told_from_the_client_to_the_server),
        cmocka_unit_test(equal_addresses_in_two_networks_are_two_flows),
        cmocka_unit_test(answers_under_another_network_name_stay_with_their_flow),
        cmocka_unit_test(answers_may_come_without_a_tunnel),
        cmocka_unit_test(teids_and_labels_of_the_two_directions_make_no_two_flows),
        cmocka_unit_test(the_tunnels_are_part_of_the_flow_id),
        cmocka_unit_test(tunnels_beyond_four_are_counted),
        cmocka_unit_test(one_stack_serves_many_flows_and_is_given_back),
        cmocka_unit_test(a_flow_without_room_for_its_tunnels_is_counted_and_kept),
        cmocka_unit_test(tunnels_are_part_of_the_memory_that_a_table_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
