/* The tree of the protocols that tell who is who on a link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/dhcp.h"
#include "sensor/wire/packet_tree.h"
#include "tests/support/packet_builder.h"

static uint8_t buffer[4096];
static struct packet_builder b;
static struct packet_tree tree;

static const char *value_of(const char *layer, const char *field)
{
    for (uint32_t i = 0; i < tree.layer_count; i++) {
        const struct packet_tree_layer *at = &tree.layers[i];

        for (uint32_t k = 0; strcmp(at->name, layer) == 0 && k < at->field_count; k++) {
            if (strcmp(tree.fields[at->first_field + k].name, field) == 0) {
                return tree.fields[at->first_field + k].value;
            }
        }
    }
    return "";
}

static struct frame udp_frame(uint16_t port, bool is_6, const uint8_t *payload, size_t length)
{
    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    if (is_6) {
        build_ipv6(&b, (struct build_ip){.source = "fe80::1", .target = "ff02::1:2"});
    } else {
        build_ipv4(&b, (struct build_ip){.source = "0.0.0.0", .target = "255.255.255.255"});
    }
    build_udp(&b, port, port);
    build_bytes(&b, payload, length);
    return build_frame(&b, 1);
}

static void a_dhcp_message_shows_its_options(void **state)
{
    static const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53,  1,   1,    50, 4,  192, 0,
                                      2,    9,    12,   3,    'p', 'c', 0x07, 99, 2,  1,   2,
                                      60,   1,    'v',  51,   4,   0,   0,    0,  60, 255};
    uint8_t payload[DHCP_FIXED_BYTES + sizeof(options)] = {1, 1, 6};

    (void)state;
    payload[28] = 2;
    memcpy(payload + DHCP_FIXED_BYTES, options, sizeof(options));
    const struct frame frame = udp_frame(67, false, payload, sizeof(payload));

    packet_tree(&frame, &tree);
    assert_string_equal(value_of("DHCP", "message"), "DISCOVER");
    assert_string_equal(value_of("DHCP", "client_mac"), "02:00:00:00:00:00");
    assert_string_equal(value_of("DHCP", "requested_address"), "192.0.2.9");
    assert_string_equal(value_of("DHCP", "host_name"), "pc\\x07"); /* hostile bytes are escaped */
    assert_string_equal(value_of("DHCP", "vendor_class"), "v");
    assert_string_equal(value_of("DHCP", "lease_time"), "60s");
    assert_string_equal(value_of("DHCP", "option"), "99, 2 bytes");
    assert_string_equal(value_of("DHCP", "fault"), "");
}

static void a_dhcpv6_message_shows_name_and_mac(void **state)
{
    static const uint8_t payload[] = {1, 0, 0,  9, 0, 1, 0, 10,  0,   3, 0, 1, 2, 0, 0, 0, 0,
                                      7, 0, 39, 0, 5, 0, 2, 'p', 'c', 0, 0, 8, 0, 2, 0, 0};
    const struct frame frame = udp_frame(547, true, payload, sizeof(payload));

    (void)state;
    packet_tree(&frame, &tree);
    assert_string_equal(value_of("DHCPv6", "message"), "1 SOLICIT");
    assert_string_equal(value_of("DHCPv6", "client_mac"), "02:00:00:00:00:07");
    assert_string_equal(value_of("DHCPv6", "fqdn"), "pc");
    assert_string_equal(value_of("DHCPv6", "elapsed_time"), "0000");
}

static void a_cut_dhcp_message_says_so(void **state)
{
    uint8_t payload[DHCP_FIXED_BYTES + 8] = {1, 1, 6};

    (void)state;
    memcpy(payload + DHCP_FIXED_BYTES, "\x63\x82\x53\x63\x0c\x20pc", 8);
    const struct frame frame = udp_frame(68, false, payload, sizeof(payload));

    packet_tree(&frame, &tree);
    assert_string_equal(value_of("DHCP", "fault"), "options cut short");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dhcp_message_shows_its_options),
        cmocka_unit_test(a_dhcpv6_message_shows_name_and_mac),
        cmocka_unit_test(a_cut_dhcp_message_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
