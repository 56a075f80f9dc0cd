#include "tests/unit/sensor/wire/walk_check.h"

struct packet_builder check_builder;
struct packet check_packet;
struct packet_tree check_tree;

static uint8_t buffer[8192];

struct packet_builder *check_start(uint16_t link_type)
{
    build_start(&check_builder, buffer, sizeof(buffer));
    check_builder.link_type = link_type;
    return &check_builder;
}

void check_add(const void *bytes, size_t length)
{
    if (length > 0) {
        build_header(&check_builder, (struct build_header){.bytes = bytes, .length = length});
    }
}

void check_add_inside(bool is_ipv6)
{
    if (is_ipv6) {
        build_ipv6(&check_builder,
                   (struct build_ip){.source = "2001:db8::1", .target = "2001:db8::9"});
    } else {
        build_ipv4(&check_builder, (struct build_ip){.source = "10.0.0.1", .target = "192.0.2.9"});
    }
    build_udp(&check_builder, 40000, 7777);
    build_text(&check_builder, "payload");
}

static void check_tree_is_in(const struct frame *frame)
{
    for (uint32_t i = 0; i < check_tree.layer_count; i++) {
        assert_true(check_tree.layers[i].offset + check_tree.layers[i].length <=
                    frame->captured_bytes);
    }
    for (uint32_t i = 0; i < check_tree.field_count; i++) {
        assert_true(check_tree.fields[i].offset + check_tree.fields[i].length <=
                    frame->captured_bytes);
    }
}

enum packet_verdict check_frame(const struct packet_rules *rules, const struct frame *frame)
{
    struct packet seen_by_tree;
    const enum packet_verdict verdict =
        packet_decode_by(rules, frame, PACKET_CHECKSUMS, &check_packet);

    assert_int_equal(packet_tree_by(rules, frame, &seen_by_tree, &check_tree), verdict);
    assert_memory_equal(&seen_by_tree, &check_packet, sizeof(check_packet));
    assert_true(check_packet.payload_offset + check_packet.payload_captured_bytes <=
                frame->captured_bytes);
    check_tree_is_in(frame);
    return verdict;
}

enum packet_verdict check_decode(const struct packet_rules *rules)
{
    const struct frame frame = build_frame(&check_builder, 5);

    return check_frame(rules, &frame);
}

void check_is_inside(void)
{
    const struct ip_address source = packet_source(&check_packet);
    const char *text = check_packet.ip_version == 6 ? "2001:db8::1" : "10.0.0.1";
    struct ip_address expected;

    assert_true(address_parse(text, strlen(text), &expected));
    assert_true(address_equal(&source, &expected));
    assert_int_equal(check_packet.verdict, PACKET_OK);
    assert_int_equal(check_packet.fault_reason, DECODE_WHOLE);
    assert_int_equal(check_packet.protocol, IP_PROTOCOL_UDP);
    assert_int_equal(check_packet.source_port, 40000);
    assert_int_equal(check_packet.target_port, 7777);
    assert_int_equal(check_packet.payload_bytes, 7);
    assert_int_equal(check_packet.payload_captured_bytes, 7);
    assert_memory_equal(buffer + check_packet.payload_offset, "payload", 7);
}

void check_cuts(void)
{
    const struct frame whole = build_frame(&check_builder, 5);

    for (uint32_t kept = 0; kept <= whole.captured_bytes; kept++) {
        uint8_t *bytes = malloc(kept > 0 ? kept : 1);
        struct frame cut = whole;

        assert_non_null(bytes);
        memcpy(bytes, whole.bytes, kept);
        cut.bytes = kept > 0 ? bytes : NULL;
        cut.captured_bytes = kept;
        (void)check_frame(NULL, &cut);
        cut.wire_bytes = kept; /* the frame itself ends there */
        (void)check_frame(NULL, &cut);
        free(bytes);
    }
}

void check_fault(enum wire_layer layer, enum decode_reason reason)
{
    assert_string_equal(wire_layer_name((enum wire_layer)check_packet.fault_layer),
                        wire_layer_name(layer));
    assert_string_equal(decode_reason_name((enum decode_reason)check_packet.fault_reason),
                        decode_reason_name(reason));
}
