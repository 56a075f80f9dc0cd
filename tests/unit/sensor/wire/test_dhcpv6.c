/* DHCPv6 messages, honest and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/dhcpv6.h"
#include "sensor/wire/wire_name.h"

#define MAC_TEXT "\x02\x00\x00\x00\x00\x07"

static uint8_t buffer[2048];
static uint32_t used;

static void begin(uint8_t type)
{
    memset(buffer, 0, sizeof(buffer));
    memcpy(buffer, "\x00\xab\xcd\xef", 4);
    buffer[0] = type;
    used = 4;
}

static void option(uint16_t code, const void *data, uint16_t length)
{
    const uint8_t head[4] = {(uint8_t)(code >> 8), (uint8_t)code, (uint8_t)(length >> 8),
                             (uint8_t)length};

    memcpy(buffer + used, head, 4);
    memmove(buffer + used + 4, data, length);
    used += length + 4U;
}

/* Puts what was built so far into a relay message. */
static void relay(uint8_t type)
{
    uint8_t inner[sizeof(buffer)];
    const uint32_t length = used;

    memcpy(inner, buffer, length);
    memset(buffer, 0, 34);
    buffer[0] = type;
    buffer[17] = 0x11; /* last byte of the link address */
    buffer[33] = 0x22; /* of the peer */
    used = 34;
    option(9, inner, (uint16_t)length);
}

static enum wire_status parse(struct dhcpv6 *out)
{
    const struct wire_span message = {buffer, used};

    return dhcpv6_parse(&message, out);
}

static void solicit(void)
{
    begin(DHCPV6_SOLICIT);
    option(1, "\x00\x03\x00\x01" MAC_TEXT, 10);
    option(6, "\x00\x17\x00\x18", 4);
    option(39,
           "\x00\x02pc\x07"
           "example\x00",
           13);
    option(3, "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", 12);
}

static void a_solicit_tells_duid_mac_and_name(void **state)
{
    struct dhcpv6 dhcp;
    char name[256];

    (void)state;
    solicit();
    assert_int_equal(parse(&dhcp), WIRE_OK);
    assert_int_equal(dhcp.message_type, DHCPV6_SOLICIT);
    assert_int_equal(dhcp.transaction_id, 0xabcdef);
    assert_false(dhcp.is_from_server);
    assert_int_equal(dhcp.client_duid.length, 10);
    assert_true(dhcp.has_client_mac);
    assert_memory_equal(dhcp.client_mac, MAC_TEXT, 6);
    assert_int_equal(wire_name_text(&dhcp.fqdn, name, sizeof(name)), 10);
    assert_string_equal(name, "pc.example");
    assert_int_equal(dhcp.option_request.length, 4);
    assert_int_equal(dhcp.option_count, 4);
}

static void a_reply_tells_its_addresses(void **state)
{
    uint8_t association[12 + 28] = {0};
    struct dhcpv6 dhcp;

    (void)state;
    begin(DHCPV6_REPLY);
    association[13] = 5; /* IA_ADDRESS of 24 bytes */
    association[15] = 24;
    association[16] = 0x20;
    association[31] = 9;
    association[35] = 100;
    association[39] = 200;
    option(3, association, sizeof(association));
    option(13, "\x00\x00", 2);
    assert_int_equal(parse(&dhcp), WIRE_OK);
    assert_true(dhcp.is_from_server);
    assert_int_equal(dhcp.address_count, 1);
    assert_int_equal(dhcp.addresses[0].prefix_length, 128);
    assert_int_equal(dhcp.addresses[0].address[0], 0x20);
    assert_int_equal(dhcp.addresses[0].address[15], 9);
    assert_int_equal(dhcp.addresses[0].preferred_seconds, 100);
    assert_int_equal(dhcp.addresses[0].valid_seconds, 200);
    assert_true(dhcp.has_status);
    assert_int_equal(dhcp.status, 0);
}

static void a_relayed_message_is_opened(void **state)
{
    struct dhcpv6 dhcp;

    (void)state;
    solicit();
    relay(DHCPV6_RELAY_FORWARD);
    option(79, "\x00\x01\x06\x05\x04\x03\x02\x01", 8);
    assert_int_equal(parse(&dhcp), WIRE_OK);
    assert_int_equal(dhcp.relay_count, 1);
    assert_int_equal(dhcp.message_type, DHCPV6_SOLICIT);
    assert_int_equal(dhcp.link_address[15], 0x11);
    assert_int_equal(dhcp.peer_address[15], 0x22);
    assert_memory_equal(dhcp.client_mac, "\x06\x05\x04\x03\x02\x01", 6); /* before the DUID's */
}

static void too_many_relays_are_malformed(void **state)
{
    struct dhcpv6 dhcp;

    (void)state;
    solicit();
    for (int i = 0; i < DHCPV6_RELAYS_MAX; i++) {
        relay(DHCPV6_RELAY_FORWARD);
    }
    assert_int_equal(parse(&dhcp), WIRE_OK);
    assert_int_equal(dhcp.relay_count, DHCPV6_RELAYS_MAX);
    relay(DHCPV6_RELAY_FORWARD);
    assert_int_equal(parse(&dhcp), WIRE_MALFORMED);
}

static void every_cut_is_truncated_or_told(void **state)
{
    static const uint32_t ends[] = {4, 18, 26, 43};

    (void)state;
    solicit();
    for (uint32_t kept = 0; kept < used; kept++) {
        uint8_t *copy = malloc(kept > 0 ? kept : 1);
        const struct wire_span message = {copy, kept};
        struct dhcpv6 dhcp;
        bool is_between = false;

        assert_non_null(copy);
        memcpy(copy, buffer, kept);
        for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
            is_between = is_between || kept == ends[i];
        }
        const enum wire_status status = dhcpv6_parse(&message, &dhcp);

        assert_int_equal(status, kept < 4 ? WIRE_TRUNCATED : WIRE_OK);
        assert_true(kept < 4 || dhcp.is_cut == !is_between);
        free(copy);
    }
}

static void a_relay_without_a_message_is_truncated(void **state)
{
    struct dhcpv6 dhcp;

    (void)state;
    begin(DHCPV6_RELAY_FORWARD);
    used = 34;
    assert_int_equal(parse(&dhcp), WIRE_TRUNCATED);
    used = 20;
    assert_int_equal(parse(&dhcp), WIRE_TRUNCATED);
}

static void an_unknown_type_is_malformed(void **state)
{
    struct dhcpv6 dhcp;

    (void)state;
    begin(0);
    assert_int_equal(parse(&dhcp), WIRE_MALFORMED);
    begin(200);
    assert_int_equal(parse(&dhcp), WIRE_MALFORMED);
}

static void a_duid_of_another_sort_has_no_mac(void **state)
{
    static const uint8_t enterprise[] = {0, 2, 0, 0, 0, 9, 1, 2, 3, 4};
    static const uint8_t with_time[] = {0, 1, 0, 1, 9, 9, 9, 9, 2, 0, 0, 0, 0, 7};
    struct wire_span duid = {enterprise, sizeof(enterprise)};

    (void)state;
    assert_null(dhcpv6_duid_mac(&duid));
    duid = (struct wire_span){with_time, sizeof(with_time)};
    assert_ptr_equal(dhcpv6_duid_mac(&duid), with_time + 8);
    duid.length = 13;
    assert_null(dhcpv6_duid_mac(&duid));
    duid = (struct wire_span){NULL, 0};
    assert_null(dhcpv6_duid_mac(&duid));
}

static void addresses_beyond_the_kept_ones_change_nothing(void **state)
{
    uint8_t association[4 + 8 * 28] = {0};
    struct dhcpv6 dhcp;

    (void)state;
    begin(DHCPV6_REPLY);
    for (size_t i = 0; i < 8; i++) {
        association[4 + i * 28 + 1] = 5;
        association[4 + i * 28 + 3] = 24;
    }
    option(4, association, sizeof(association));
    assert_int_equal(parse(&dhcp), WIRE_OK);
    assert_int_equal(dhcp.address_count, DHCPV6_ADDRESSES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_solicit_tells_duid_mac_and_name),
        cmocka_unit_test(a_reply_tells_its_addresses),
        cmocka_unit_test(a_relayed_message_is_opened),
        cmocka_unit_test(too_many_relays_are_malformed),
        cmocka_unit_test(every_cut_is_truncated_or_told),
        cmocka_unit_test(a_relay_without_a_message_is_truncated),
        cmocka_unit_test(an_unknown_type_is_malformed),
        cmocka_unit_test(a_duid_of_another_sort_has_no_mac),
        cmocka_unit_test(addresses_beyond_the_kept_ones_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
