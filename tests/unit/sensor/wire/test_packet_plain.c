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
        cmocka_unit_test(a_tunnel_port_is_the_rules_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
