/* Who is who on a link: what packets tell, and a table of it that does not grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/inspect/asset_table.h"
#include "sensor/wire/arp.h"
#include "tests/support/packet_builder.h"

static uint8_t buffer[2048];
static struct packet_builder b;
static struct packet packet;
static struct asset assets[ASSET_FACTS_MAX];

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};

static uint32_t read_frame(uint64_t time_ns)
{
    const struct frame frame = build_frame(&b, time_ns);

    (void)packet_decode(&frame, 0, &packet);
    return asset_wants(&packet) ? asset_read(&packet, frame.bytes, assets) : 0;
}

static void an_arp_reply_tells_its_sender(void **state)
{
    static const uint8_t reply[28] = {0,  1, 8, 0, 6, 4, 0, 2, 2, 0, 0,  0, 0, 7,
                                      10, 0, 0, 9, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1};
    int kind;

    (void)state;
    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_vlan(&b, 12);
    build_set_ethertype(&b, 0x0806);
    build_bytes(&b, reply, sizeof(reply));
    const struct frame frame = build_frame(&b, 5);

    (void)packet_decode(&frame, 0, &packet);
    assert_int_equal(asset_read_arp(&packet, frame.bytes, assets, &kind), 1);
    assert_int_equal(kind, ARP_REPLY);
    assert_int_equal(assets[0].key.ip_version, 4);
    assert_memory_equal(assets[0].key.ip, reply + 14, 4);
    assert_memory_equal(assets[0].key.mac, mac, 6);
    assert_int_equal(assets[0].key.vlan_id, 12);
    assert_int_equal(assets[0].sources, ASSET_BY_ARP);
    assert_int_equal(assets[0].first_ns, 5);
}

static void build_dhcp(uint8_t op, uint8_t type, const uint8_t *options, size_t length)
{
    uint8_t payload[240] = {op, 1, 6};

    memcpy(payload + 28, mac, 6);
    memcpy(payload + 16, op == 2 ? "\x0a\x00\x00\x09" : "\x00\x00\x00\x00", 4);
    memcpy(payload + 236, "\x63\x82\x53\x63", 4);
    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_ipv4(&b, (struct build_ip){.source = op == 2 ? "10.0.0.1" : "0.0.0.0",
                                     .target = "255.255.255.255"});
    build_udp(&b, op == 2 ? 67 : 68, op == 2 ? 68 : 67);
    build_bytes(&b, payload, sizeof(payload));
    build_bytes(&b, (const uint8_t[]){53, 1, type}, 3);
    build_bytes(&b, options, length);
    build_bytes(&b, (const uint8_t[]){255}, 1);
}

static void a_dhcp_client_names_its_mac(void **state)
{
    static const uint8_t options[] = {12, 3, 'p', 'c', 9, 60, 1, 'v', 55, 3, 1, 3, 121};

    (void)state;
    build_dhcp(1, 3, options, sizeof(options));
    assert_int_equal(read_frame(7), 1);
    assert_int_equal(assets[0].key.ip_version, 0);
    assert_memory_equal(assets[0].key.mac, mac, 6);
    assert_int_equal(assets[0].host_name.length, 6);
    assert_memory_equal(assets[0].host_name.bytes, "pc\\x09", 6); /* hostile bytes escaped */
    assert_memory_equal(assets[0].fingerprint.bytes, "1,3,121", 7);
    assert_int_equal(assets[0].vendor_class.length, 1);
}

static void a_dhcp_acknowledgement_gives_address_and_server(void **state)
{
    (void)state;
    build_dhcp(2, 5, NULL, 0);
    assert_int_equal(read_frame(7), 2);
    assert_memory_equal(assets[0].key.ip, "\x0a\x00\x00\x09", 4);
    assert_memory_equal(assets[0].key.mac, mac, 6);
    assert_memory_equal(assets[1].key.ip, "\x0a\x00\x00\x01", 4);
    assert_int_equal(assets[1].roles, ASSET_IS_DHCP_SERVER);
}

static uint32_t read_advertisement(uint8_t hop_limit)
{
    const uint8_t rest[] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                            0,    0,    0, 9, 2, 1, 2, 0, 0, 0, 0, 7};

    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    build_ipv6(&b, (struct build_ip){.source = "fe80::9", .target = "ff02::1", .ttl = hop_limit});
    build_icmpv6(&b, 136, 0, 0x8000, 0); /* its id stands where the flags are: router */
    build_bytes(&b, rest, sizeof(rest));
    return read_frame(9);
}

static void a_neighbour_is_believed_from_the_link_alone(void **state)
{
    (void)state;
    assert_int_equal(read_advertisement(255), 1);
    assert_int_equal(assets[0].key.ip[15], 9);
    assert_memory_equal(assets[0].key.mac, mac, 6);
    assert_int_equal(assets[0].roles, ASSET_IS_ROUTER);
    assert_int_equal(read_advertisement(64), 0);
}

static void a_cut_message_tells_nothing_beyond_its_end(void **state)
{
    static const uint8_t options[] = {12, 3, 'p', 'c', 'x'};

    (void)state;
    build_dhcp(1, 3, options, sizeof(options));
    const struct frame whole = build_frame(&b, 1);

    for (uint32_t kept = 42; kept < whole.captured_bytes; kept++) {
        uint8_t *bytes = malloc(kept);
        struct frame frame = whole;

        assert_non_null(bytes);
        memcpy(bytes, whole.bytes, kept);
        frame.bytes = bytes;
        frame.captured_bytes = kept;
        (void)packet_decode(&frame, 0, &packet);
        if (asset_wants(&packet)) {
            (void)asset_read(&packet, bytes, assets);
        }
        free(bytes);
    }
}

static struct asset make(uint32_t number, uint64_t time_ns)
{
    struct asset asset = {
        .sources = ASSET_BY_ARP, .first_ns = time_ns, .last_ns = time_ns, .sightings = 1};

    asset.key.ip_version = 4;
    memcpy(asset.key.ip, &number, sizeof(number));
    return asset;
}

static void merging_does_not_depend_on_the_order(void **state)
{
    struct asset a = make(1, 10), one, other;
    struct asset c = make(1, 20);

    (void)state;
    a.host_name = (struct asset_text){10, 1, "a"};
    c.host_name = (struct asset_text){20, 2, "bb"};
    c.sources = ASSET_BY_DHCP;
    one = a;
    asset_merge(&one, &c);
    other = c;
    asset_merge(&other, &a);
    assert_memory_equal(&one, &other, sizeof(one));
    assert_int_equal(one.host_name.length, 2);
    assert_int_equal(one.first_ns, 10);
    assert_int_equal(one.last_ns, 20);
    assert_int_equal(one.sightings, 2);
    assert_int_equal(one.sources, ASSET_BY_ARP | ASSET_BY_DHCP);
}

static void a_full_table_gives_up_the_longest_unseen(void **state)
{
    const struct hash_key key = {1, 2};
    struct error err = {0};
    AUTO(asset_table) table = asset_table_new(4, true, key, &err);

    (void)state;
    assert_non_null(table);
    for (uint32_t i = 0; i < 4; i++) {
        const struct asset asset = make(i, 10 + i);

        asset_table_add(table, &asset);
    }
    struct asset again = make(0, 50); /* seen again: 1 is the oldest now */

    asset_table_add(table, &again);
    again = make(9, 60);
    asset_table_add(table, &again);
    assert_int_equal(asset_table_count(table), 4);
    assert_int_equal(asset_table_statistics(table).replaced, 1);
    const struct asset first = make(0, 0), second = make(1, 0);

    assert_non_null(asset_table_find(table, &first.key));
    assert_null(asset_table_find(table, &second.key));
}

static void a_seconds_table_refuses_and_is_merged(void **state)
{
    const struct hash_key key = {1, 2};
    struct error err = {0};
    AUTO(asset_table) second = asset_table_new(2, false, key, &err);
    AUTO(asset_table) all = asset_table_new(8, true, key, &err);

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        const struct asset asset = make(i, i);

        asset_table_add(second, &asset);
    }
    asset_table_merge(all, second);
    assert_int_equal(asset_table_count(all), 2);
    assert_int_equal(asset_table_statistics(all).refused, 1);
    asset_table_reset(second);
    assert_int_equal(asset_table_count(second), 0);
    asset_table_merge(all, second);
    assert_int_equal(asset_table_statistics(all).refused, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arp_reply_tells_its_sender),
        cmocka_unit_test(a_dhcp_client_names_its_mac),
        cmocka_unit_test(a_dhcp_acknowledgement_gives_address_and_server),
        cmocka_unit_test(a_neighbour_is_believed_from_the_link_alone),
        cmocka_unit_test(a_cut_message_tells_nothing_beyond_its_end),
        cmocka_unit_test(merging_does_not_depend_on_the_order),
        cmocka_unit_test(a_full_table_gives_up_the_longest_unseen),
        cmocka_unit_test(a_seconds_table_refuses_and_is_merged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
