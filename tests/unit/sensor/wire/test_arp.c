/* ARP packets, honest and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/arp.h"

static const uint8_t request[28] = {0, 1, 8, 0, 6, 4, 0,   1,          /* Ethernet, IPv4, request */
                                    2, 0, 0, 0, 0, 1, 192, 0, 2, 1,    /* sender */
                                    0, 0, 0, 0, 0, 0, 192, 0, 2, 254}; /* target */

static struct arp parse(const uint8_t bytes[28])
{
    struct cursor in = cursor_over(bytes, 28);
    struct arp arp;

    assert_int_equal(arp_parse(&in, &arp), WIRE_OK);
    assert_int_equal(cursor_left(&in), 0);
    return arp;
}

static void a_request_gives_both_addresses(void **state)
{
    (void)state;
    const struct arp arp = parse(request);

    assert_int_equal(arp.kind, ARP_REQUEST);
    assert_true(arp.is_ipv4_over_mac);
    assert_memory_equal(arp.sender_mac, request + 8, 6);
    assert_memory_equal(arp.sender_ip, request + 14, 4);
    assert_memory_equal(arp.target_ip, request + 24, 4);
    assert_int_equal(arp.packet_bytes, 28);
    assert_true(arp_tells_sender(&arp));
}

static void the_kind_follows_from_operation_and_addresses(void **state)
{
    static const struct {
        uint8_t operation, sender_last, target_last;
        enum arp_kind kind;
        bool tells;
    } cases[] = {
        {1, 1, 2, ARP_REQUEST, true},      {2, 1, 2, ARP_REPLY, true},
        {1, 1, 1, ARP_ANNOUNCEMENT, true}, {2, 1, 1, ARP_ANNOUNCEMENT, true},
        {3, 1, 2, ARP_REVERSE, false},     {4, 1, 2, ARP_REVERSE, false},
        {8, 1, 2, ARP_INVERSE, false},     {9, 1, 2, ARP_INVERSE, false},
        {7, 1, 2, ARP_OTHER, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[28];

        memcpy(bytes, request, sizeof(bytes));
        bytes[7] = cases[i].operation;
        bytes[17] = cases[i].sender_last;
        bytes[27] = cases[i].target_last;
        const struct arp arp = parse(bytes);

        assert_int_equal(arp.kind, cases[i].kind);
        assert_int_equal(arp_tells_sender(&arp), cases[i].tells);
        assert_non_null(arp_kind_name(arp.kind));
    }
}

static void a_probe_tells_of_nobody(void **state)
{
    uint8_t bytes[28];

    (void)state;
    memcpy(bytes, request, sizeof(bytes));
    memset(bytes + 14, 0, 4);
    const struct arp arp = parse(bytes);

    assert_int_equal(arp.kind, ARP_PROBE);
    assert_false(arp_tells_sender(&arp));
}

static void a_group_or_zero_mac_is_nobodys(void **state)
{
    uint8_t bytes[28];

    (void)state;
    memcpy(bytes, request, sizeof(bytes));
    memset(bytes + 8, 0xff, 6);
    struct arp arp = parse(bytes);
    assert_false(arp_tells_sender(&arp));
    memset(bytes + 8, 0, 6);
    arp = parse(bytes);
    assert_false(arp_tells_sender(&arp));
}

static void every_cut_is_truncated_and_moves_nothing(void **state)
{
    (void)state;
    for (size_t kept = 0; kept < sizeof(request); kept++) {
        uint8_t *bytes = malloc(kept > 0 ? kept : 1);
        struct arp arp;

        assert_non_null(bytes);
        memcpy(bytes, request, kept);
        struct cursor in = cursor_over(bytes, kept);

        assert_int_equal(arp_parse(&in, &arp), WIRE_TRUNCATED);
        assert_ptr_equal(in.at, bytes);
        free(bytes);
    }
}

static void lengths_that_contradict_the_types_are_malformed(void **state)
{
    uint8_t bytes[28];
    struct arp arp;

    (void)state;
    for (size_t at = 4; at <= 5; at++) {
        memcpy(bytes, request, sizeof(bytes));
        bytes[at] = 16;
        struct cursor in = cursor_over(bytes, sizeof(bytes));

        assert_int_equal(arp_parse(&in, &arp), WIRE_MALFORMED);
    }
}

static void another_hardware_is_stepped_over_without_addresses(void **state)
{
    /* InfiniBand (32): addresses of 20 bytes (RFC 4391 9.1.1). */
    uint8_t bytes[8 + 2 * 20 + 2 * 4] = {0, 32, 8, 0, 20, 4, 0, 1};
    struct cursor in = cursor_over(bytes, sizeof(bytes));
    struct arp arp;

    (void)state;
    assert_int_equal(arp_parse(&in, &arp), WIRE_OK);
    assert_false(arp.is_ipv4_over_mac);
    assert_int_equal(arp.kind, ARP_OTHER);
    assert_int_equal(cursor_left(&in), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_gives_both_addresses),
        cmocka_unit_test(the_kind_follows_from_operation_and_addresses),
        cmocka_unit_test(a_probe_tells_of_nobody),
        cmocka_unit_test(a_group_or_zero_mac_is_nobodys),
        cmocka_unit_test(every_cut_is_truncated_and_moves_nothing),
        cmocka_unit_test(lengths_that_contradict_the_types_are_malformed),
        cmocka_unit_test(another_hardware_is_stepped_over_without_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
