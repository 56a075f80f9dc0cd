/* Any protocol is a flow: by ports where it has some, else by addresses; what an ICMP error quotes
 * is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sensor/flow/flow_harness.h"

static struct harness h;

static int start(void **state)
{
    const struct flow_settings settings = harness_settings();

    (void)state;
    harness_start(&h, &settings);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    harness_stop(&h);
    return 0;
}

/* A packet of `protocol` from 10.0.0.1 to 10.0.0.2, or back, of which `kept` bytes behind the IP
 * header are in the capture. */
static void add(uint8_t protocol, const uint8_t *bytes, uint32_t length, uint32_t kept,
                bool is_back, uint64_t at_ns)
{
    struct packet_builder *b = &h.builder;

    build_start(b, h.buffer, sizeof(h.buffer));
    build_ethernet(b);
    build_ipv4(b, (struct build_ip){.source = is_back ? "10.0.0.2" : "10.0.0.1",
                                    .target = is_back ? "10.0.0.1" : "10.0.0.2",
                                    .protocol = protocol});
    build_bytes(b, bytes, length);
    struct frame frame = build_frame(b, at_ns);
    uint8_t *cut = malloc(34 + kept);

    assert_non_null(cut);
    memcpy(cut, frame.bytes, 34 + kept);
    frame.bytes = cut;
    frame.captured_bytes = 34 + kept;
    harness_add_frame(&h, &frame);
    free(cut);
}

static void protocols_with_ports_are_flows_by_ports(void **state)
{
    static const uint8_t protocols[] = {IP_PROTOCOL_UDP, IP_PROTOCOL_SCTP, IP_PROTOCOL_DCCP,
                                        IP_PROTOCOL_UDPLITE};
    static const uint8_t there[32] = {0x13, 0x88, 0x0b, 0x59, 0, 32, 0, 0, 6 << 4};
    static const uint8_t back[32] = {0x0b, 0x59, 0x13, 0x88, 0, 32, 0, 0, 6 << 4};

    (void)state;
    for (size_t i = 0; i < sizeof(protocols); i++) {
        add(protocols[i], there, 32, 32, false, SECOND);
        add(protocols[i], back, 32, 32, true, 2 * SECOND);
    }
    harness_finish(&h, 0);
    assert_int_equal(h.count, sizeof(protocols)); /* both directions are one */
    for (uint32_t i = 0; i < h.count; i++) {
        assert_int_equal(h.records[i].client.port, 5000);
        assert_int_equal(h.records[i].server.port, 2905);
        assert_int_equal(h.records[i].forward.total_packets, 1);
        assert_int_equal(h.records[i].reverse.total_packets, 1);
    }
}

static void protocols_without_ports_are_flows_by_addresses(void **state)
{
    /* ESP and GRE begin with what is no port: an SPI, flags. */
    static const uint8_t protocols[] = {IP_PROTOCOL_IGMP, IP_PROTOCOL_ESP, 89, 103, 112, 46, 200};
    uint8_t bytes[32] = {0xca, 0xfe, 0xba, 0xbe, 1};

    (void)state;
    for (size_t i = 0; i < sizeof(protocols); i++) {
        add(protocols[i], bytes, 32, 32, false, SECOND);
        bytes[0]++; /* another SPI: the same flow */
        add(protocols[i], bytes, 32, 32, true, 2 * SECOND);
    }
    harness_finish(&h, 0);
    assert_int_equal(h.count, sizeof(protocols));
    for (uint32_t i = 0; i < h.count; i++) {
        assert_int_equal(h.records[i].client.port, 0);
        assert_int_equal(h.records[i].server.port, 0);
        assert_int_equal(h.records[i].forward.total_packets, 1);
        assert_int_equal(h.records[i].reverse.total_packets, 1);
    }
}

static void an_authentication_header_is_stepped_over(void **state)
{
    /* AH of 12 bytes (RFC 4302), then UDP 5000 -> 53. */
    static const uint8_t bytes[28] = {17, 1, 0, 0,    0xca, 0xfe, 0xba, 0xbe, 0,
                                      0,  0, 1, 0x13, 0x88, 0,    53,   0,    16};

    (void)state;
    add(IP_PROTOCOL_AH, bytes, 28, 28, false, SECOND);
    harness_finish(&h, 0);
    assert_int_equal(harness_last(&h)->ip_protocol, IP_PROTOCOL_UDP);
    assert_int_equal(harness_last(&h)->server.port, 53);
}

static void ports_count_when_their_four_bytes_are_there(void **state)
{
    static const uint8_t protocols[] = {IP_PROTOCOL_TCP, IP_PROTOCOL_UDP, IP_PROTOCOL_SCTP,
                                        IP_PROTOCOL_DCCP, IP_PROTOCOL_UDPLITE};
    static const uint8_t bytes[32] = {0x13, 0x88, 0x0b, 0x59, 0, 32, 0, 0, 0, 0, 0, 0, 5 << 4};

    (void)state;
    for (size_t i = 0; i < sizeof(protocols); i++) {
        add(protocols[i], bytes, 32, 4, false, SECOND);
        add(protocols[i], bytes, 32, 3, false, SECOND);
        harness_finish(&h, 0);
        assert_int_equal(h.count, 2);
        for (uint32_t k = 0; k < 2; k++) {
            const bool has_ports = h.records[k].client.port != 0;

            assert_int_equal(h.records[k].client.port, has_ports ? 5000 : 0);
            assert_int_equal(h.records[k].ip_protocol, protocols[i]);
        }
        assert_true((h.records[0].client.port != 0) != (h.records[1].client.port != 0));
        h.count = 0;
    }
}

static void an_icmp_error_does_not_open_what_it_quotes(void **state)
{
    /* Port unreachable; it quotes a UDP datagram of 10.0.0.2:4000 to 10.0.0.1:53. */
    static const uint8_t error[36] = {3,  3, 0, 0, 0,    0,    0, 0,  0x45, 0, 0, 28,
                                      0,  0, 0, 0, 64,   17,   0, 0,  10,   0, 0, 2,
                                      10, 0, 0, 1, 0x0f, 0xa0, 0, 53, 0,    8};

    (void)state;
    add(IP_PROTOCOL_ICMP, error, 36, 36, false, SECOND);
    harness_finish(&h, 0);
    assert_int_equal(h.count, 1);
    assert_int_equal(harness_last(&h)->ip_protocol, IP_PROTOCOL_ICMP);
    assert_int_equal(harness_last(&h)->icmp_type, 3);
    assert_int_equal(harness_last(&h)->client.port, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(protocols_with_ports_are_flows_by_ports, start, stop),
        cmocka_unit_test_setup_teardown(protocols_without_ports_are_flows_by_addresses, start,
                                        stop),
        cmocka_unit_test_setup_teardown(an_authentication_header_is_stepped_over, start, stop),
        cmocka_unit_test_setup_teardown(ports_count_when_their_four_bytes_are_there, start, stop),
        cmocka_unit_test_setup_teardown(an_icmp_error_does_not_open_what_it_quotes, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
