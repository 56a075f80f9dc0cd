/* The quick way of most frames finds what the walk finds: packet_tree, which check_frame compares
 * with, always walks. */
#include "base/hash.h"
#include "sensor/wire/packet_plain.h"
#include "tests/unit/sensor/wire/walk_check.h"

#define TUNNEL_PORT 4789 /* VXLAN */

static uint64_t next_random(uint64_t *random)
{
    return *random = hash_mix(*random + 1);
}

/* A frame that may be plain: addresses, transport and length by `random`. */
static struct frame some_frame(uint64_t *random)
{
    static const uint16_t ports[] = {80, 443, 40000, TUNNEL_PORT};
    const uint64_t choice = next_random(random);
    const uint16_t source = ports[choice & 3], target = ports[choice >> 2 & 3];
    struct packet_builder *b = check_start(LINK_ETHERNET);

    build_ethernet(b);
    if ((choice >> 4 & 3) == 0) {
        build_vlan(b, 7);
    }
    if ((choice >> 6 & 1) != 0) {
        build_ipv6(b, (struct build_ip){.source = "2001:db8::1", .target = "2001:db8::2"});
    } else {
        build_ipv4(b, (struct build_ip){.source = "10.0.0.1", .target = "10.0.0.2"});
    }
    if ((choice >> 7 & 1) != 0) {
        build_udp(b, source, target);
    } else {
        build_tcp(b, (struct build_tcp){.source_port = source, .target_port = target});
    }
    build_zeros(b, choice >> 8 & 63);
    return build_frame(b, 5);
}

/* Some bytes of the headers become others: mostly by little, so that lengths nearly fit. */
static void damage(uint8_t *bytes, uint32_t length, uint64_t *random)
{
    const uint64_t choice = next_random(random);

    for (unsigned count = (unsigned)(choice & 3); count > 0; count--) {
        const uint64_t what = next_random(random);
        uint8_t *at = &bytes[12 + (what >> 8) % (length - 12 < 50 ? length - 12 : 50)];

        *at = (uint8_t)((what & 1) != 0 ? what >> 32 : *at + (what >> 32 & 7) - 3);
    }
}

static void what_is_plain_is_what_the_walk_finds(void **state)
{
    uint64_t random = 1;
    uint32_t plain = 0, others = 0;

    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        const struct frame whole = some_frame(&random);
        const uint64_t choice = next_random(&random);
        const uint32_t cut = (choice & 7) == 0 ? (uint32_t)(choice >> 8) % 60 : 0;
        struct frame frame = whole;
        struct packet packet;

        frame.captured_bytes -= cut < frame.captured_bytes - 13 ? cut : 0;
        if ((choice >> 3 & 7) == 0) { /* padding of the link */
            frame.wire_bytes += 6;
        }
        uint8_t *bytes = malloc(frame.captured_bytes);
        assert_non_null(bytes);
        memcpy(bytes, whole.bytes, frame.captured_bytes);
        damage(bytes, frame.captured_bytes, &random);
        frame.bytes = bytes;
        (void)check_frame(NULL, &frame);
        if (packet_plain(&packet_rules_default, &frame, PACKET_CHECKSUMS, &packet)) {
            assert_memory_equal(&packet, &check_packet, sizeof(packet));
            plain++;
        } else {
            others++;
        }
        free(bytes);
    }
    assert_true(plain > 50000 && others > 50000);
}

#define MACS                2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1
#define IPV4(first, length) MACS, 8, 0, first, 0, 0, length, 0, 1, 0, 0, 64, 17, 0, 0, IPV4_ENDS
#define IPV4_ENDS           10, 0, 0, 1, 10, 0, 0, 2
#define ZEROS_15            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define IPV6(length, next)                                                                         \
    MACS, 0x86, 0xdd, 0x60, 0, 0, 0, 0, length, next, 64, ZEROS_15, 1, ZEROS_15, 2
#define UDP(length) 0x9c, 0x40, 0x1e, 0x61, 0, length, 0, 0
#define SIX         1, 2, 3, 4, 5, 6
#define JUMBO       17, 0, 0xc2, 4, 0, 1, 0, 0 /* RFC 2675 */

/* Lengths that are nowhere, or mean the rest of the frame, and headers of other lengths. The quick
 * way leaves all of them to the walk, which counts the payload. */
static void lengths_that_are_not_plain_are_left_to_the_walk(void **state)
{
    static const struct {
        const char *name;
        uint8_t bytes[90];
        uint32_t length;
        uint32_t payload;
        bool is_plain, is_unknown, has_options;
    } frames[] = {
        {"plain", {IPV4(0x45, 34), UDP(14), SIX}, 48, 6, true, false, false},
        {"plain, IPv6", {IPV6(14, 17), UDP(14), SIX}, 68, 6, true, false, false},
        {"plain, padded", {IPV4(0x45, 32), UDP(12), SIX}, 48, 4, true, false, false},
        {"total length 0", {IPV4(0x45, 0), UDP(14), SIX}, 48, 6, false, true, false},
        {"total length 0, UDP says less", {IPV4(0x45, 0), UDP(12), SIX}, 48, 4, false, true, false},
        {"both lengths 0", {IPV4(0x45, 0), UDP(0), SIX}, 48, 6, false, true, false},
        {"the length of UDP 0", {IPV4(0x45, 34), UDP(0), SIX}, 48, 6, false, false, false},
        {"options", {IPV4(0x46, 38), 0x94, 4, 0, 0, UDP(14), SIX}, 52, 6, false, false, true},
        {"options, padded", {IPV4(0x46, 36), 1, 1, 1, 1, UDP(12), SIX}, 52, 4, false, false, true},
        {"options, total length 0",
         {IPV4(0x46, 0), 1, 1, 1, 1, UDP(14), SIX},
         52,
         6,
         false,
         true,
         true},
        {"IPv6 of length 0", {IPV6(0, 17), UDP(14), SIX}, 68, 6, false, true, false},
        {"jumbogram", {IPV6(0, 0), JUMBO, UDP(0), SIX}, 76, 6, false, true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        const struct frame frame = {.bytes = frames[i].bytes,
                                    .captured_bytes = frames[i].length,
                                    .wire_bytes = frames[i].length,
                                    .link_type = LINK_ETHERNET};
        struct packet packet;

        if (packet_plain(&packet_rules_default, &frame, 0, &packet) != frames[i].is_plain ||
            check_frame(NULL, &frame) != PACKET_OK ||
            check_packet.payload_bytes != frames[i].payload ||
            check_packet.payload_captured_bytes != frames[i].payload) {
            fail_msg("%s: %u bytes of payload", frames[i].name, check_packet.payload_bytes);
        }
        assert_int_equal(check_packet.target_port, 7777);
        assert_int_equal((check_packet.facts & PACKET_LENGTH_UNKNOWN) != 0, frames[i].is_unknown);
        if (frames[i].is_unknown) { /* then it is all behind the header of Ethernet */
            assert_int_equal(check_packet.ip_bytes, frames[i].length - 14);
        }
        assert_int_equal((check_packet.facts & PACKET_HAS_IP_OPTIONS) != 0, frames[i].has_options);
    }
}

static void a_tunnel_port_is_the_rules_own(void **state)
{
    struct packet_rules rules = packet_rules_default;
    struct packet_builder *b = check_start(LINK_ETHERNET);
    struct packet packet;

    (void)state;
    build_ethernet(b);
    build_ipv4(b, (struct build_ip){.source = "10.0.0.1", .target = "10.0.0.2"});
    build_udp(b, 50000, 65330);
    build_zeros(b, 40);
    const struct frame frame = build_frame(b, 5);
    assert_true(packet_plain(&rules, &frame, 0, &packet));
    assert_true(packet_rules_add_port(&rules, 65330, LAYER_VXLAN));
    assert_false(packet_plain(&rules, &frame, 0, &packet));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_plain_is_what_the_walk_finds),
        cmocka_unit_test(lengths_that_are_not_plain_are_left_to_the_walk),
        cmocka_unit_test(a_tunnel_port_is_the_rules_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
