#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include <arpa/inet.h>
#include <string.h>

#include "base/address.h"
#include "base/hash.h"

static struct ip_address parsed(const char *text)
{
    struct ip_address address = {0};
    assert_true(address_parse(text, strlen(text), &address));
    return address;
}

static void an_address_has_the_text_of_rfc_5952(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"0.0.0.0", "0.0.0.0"},
        {"255.254.10.9", "255.254.10.9"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"2001:db8::0001", "2001:db8::1"},
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* one group is not shortened */
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},          /* the longest run */
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    /* of equals the first */
        {"2001:DB8::ABCD", "2001:db8::abcd"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
        {"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        const struct ip_address address = parsed(pairs[i][0]);
        char text[ADDRESS_TEXT_BYTES];
        assert_int_equal(address_text(&address, text), strlen(pairs[i][1]));
        assert_string_equal(text, pairs[i][1]);
    }
    const struct ip_address none = {0};
    char text[ADDRESS_TEXT_BYTES] = "x";
    assert_int_equal(address_text(&none, text), 0);
    assert_string_equal(text, "");
}

static void text_and_address_convert_into_each_other(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct ip_address address = {.version = seed % 4 == 0 ? 4 : 6};
        const unsigned count = address.version == 4 ? 4 : 16;
        for (unsigned i = 0; i < count; i += 2) {
            const uint64_t r = hash_mix(seed * 16 + i + 1);
            address.bytes[i] = (r & 0x300) != 0 ? 0 : (uint8_t)(r >> 16);
            address.bytes[i + 1] = (r & 0x400) != 0 ? 0 : (uint8_t)(r >> 24);
        }
        char text[ADDRESS_TEXT_BYTES];
        const unsigned length = address_text(&address, text);
        struct ip_address back;
        assert_true(address_parse(text, length, &back));
        assert_true(address_equal(&address, &back));
        assert_int_equal(address_compare(&address, &back), 0);
    }
}

static void every_octet_has_its_decimal_text_in_every_place(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        for (unsigned place = 0; place < 4; place++) {
            struct ip_address address = {.version = 4, .bytes = {7, 77, 177, 8}};
            char text[ADDRESS_TEXT_BYTES], wanted[INET_ADDRSTRLEN];

            address.bytes[place] = (uint8_t)value;
            assert_non_null(inet_ntop(AF_INET, address.bytes, wanted, sizeof(wanted)));
            assert_int_equal(address_text(&address, text), strlen(wanted));
            assert_string_equal(text, wanted);
        }
    }
}

static void a_text_that_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "1.2.3",
                                      "1.2.3.256",
                                      "01.2.3.4",
                                      "1.2.3.4 ",
                                      "::1%eth0",
                                      ":::",
                                      "12345::",
                                      "g::",
                                      "1:2:3:4:5:6:7:8:9",
                                      "1.2.3.4.5",
                                      "[::1]",
                                      "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct ip_address address = {.version = 77};
        assert_false(address_parse(bad[i], strlen(bad[i]), &address));
        assert_int_equal(address.version, 77);
    }
    struct ip_address address;
    assert_false(address_parse("1.2.3.4\0x", 9, &address));
    assert_true(address_parse("1.2.3.45", 7, &address)); /* `length` decides, not a NUL */
    assert_int_equal(address.bytes[3], 4);
}

static void a_mac_is_read_and_written(void **state)
{
    (void)state;
    uint8_t mac[6];
    char text[MAC_TEXT_BYTES];
    assert_true(mac_parse("00:1A:2b-3c:4d:5e", 17, mac) == false); /* mixed separators */
    assert_true(mac_parse("00-1A-2b-3c-4d-5e", 17, mac));
    assert_int_equal(mac_text(mac, text), 17);
    assert_string_equal(text, "00:1a:2b:3c:4d:5e");
    assert_false(mac_parse("00:1a:2b:3c:4d:5", 16, mac));
    assert_false(mac_parse("00:1a:2b:3c:4d:5g", 17, mac));
}

static void each_byte_of_a_mac_has_its_two_digits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6 * 256; i++) {
        uint8_t mac[6] = {0, 0x9a, 0xa9, 0xff, 0x10, 0x0f};
        char text[MAC_TEXT_BYTES], expected[MAC_TEXT_BYTES];
        mac[i / 256] = (uint8_t)i;
        (void)snprintf(expected, sizeof(expected), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
                       mac[2], mac[3], mac[4], mac[5]);
        assert_int_equal(mac_text(mac, text), 17);
        assert_string_equal(text, expected);
    }
}

static bool contains(const char *prefix_text, const char *address_text_)
{
    struct ip_prefix prefix;
    assert_true(prefix_parse(prefix_text, strlen(prefix_text), &prefix));
    const struct ip_address address = parsed(address_text_);
    return prefix_contains(&prefix, &address);
}

static void a_prefix_contains_its_addresses_only(void **state)
{
    (void)state;
    assert_true(contains("10.0.0.0/8", "10.255.1.2"));
    assert_false(contains("10.0.0.0/8", "11.0.0.0"));
    assert_true(contains("172.16.0.0/12", "172.31.255.255"));
    assert_false(contains("172.16.0.0/12", "172.32.0.0"));
    assert_true(contains("0.0.0.0/0", "1.2.3.4"));
    assert_false(contains("0.0.0.0/0", "::1"));
    assert_true(contains("1.2.3.4", "1.2.3.4"));
    assert_false(contains("1.2.3.4", "1.2.3.5"));
    assert_true(contains("fe80::/10", "febf::1"));
    assert_false(contains("fe80::/10", "fec0::1"));
    static const char *const bad[] = {"10.0.0.1/8", "10.0.0.0/33", "::/129",
                                      "10.0.0.0/",  "10.0.0.0/08", "10.0.0.0/8x",
                                      "/8",         "::/0000",     "10.0.0.0/-1"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct ip_prefix prefix;
        assert_false(prefix_parse(bad[i], strlen(bad[i]), &prefix));
    }
}

static void kinds_of_addresses_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_multicast, is_link_local, is_private;
    } cases[] = {
        {"224.0.0.1", true, false, false},
        {"239.255.255.255", true, false, false},
        {"255.255.255.255", true, false, false},
        {"240.0.0.1", false, false, false},
        {"ff02::1", true, false, false},
        {"169.254.1.1", false, true, true},
        {"fe80::1", false, true, true},
        {"10.1.2.3", false, false, true},
        {"172.15.0.1", false, false, false},
        {"172.16.0.1", false, false, true},
        {"192.168.9.9", false, false, true},
        {"127.0.0.1", false, false, true},
        {"8.8.8.8", false, false, false},
        {"fd00::1", false, false, true},
        {"::1", false, false, true},
        {"::2", false, false, false},
        {"2001:db8::1", false, false, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct ip_address address = parsed(cases[i].text);
        assert_int_equal(address_is_multicast(&address), cases[i].is_multicast);
        assert_int_equal(address_is_link_local(&address), cases[i].is_link_local);
        assert_int_equal(address_is_private(&address), cases[i].is_private);
    }
}

static void addresses_have_an_order(void **state)
{
    (void)state;
    const struct ip_address a = parsed("1.2.3.4"), b = parsed("1.2.4.0"), c = parsed("::");
    assert_true(address_compare(&a, &b) < 0);
    assert_true(address_compare(&c, &b) > 0);
    assert_false(address_equal(&a, &b));
}

static void loopback_is_told_from_its_text(void **state)
{
    (void)state;
    static const char *const local[] = {"127.0.0.1", "127.9.9.9", "::1"};
    static const char *const remote[] = {"0.0.0.0", "::", "10.0.0.1", "localhost", "127.evil", ""};

    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        assert_true(address_text_is_loopback(local[i]));
    }
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        assert_false(address_text_is_loopback(remote[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_told_from_its_text),
        cmocka_unit_test(each_byte_of_a_mac_has_its_two_digits),
        cmocka_unit_test(an_address_has_the_text_of_rfc_5952),
        cmocka_unit_test(text_and_address_convert_into_each_other),
        cmocka_unit_test(every_octet_has_its_decimal_text_in_every_place),
        cmocka_unit_test(a_text_that_is_no_address_is_refused),
        cmocka_unit_test(a_mac_is_read_and_written),
        cmocka_unit_test(a_prefix_contains_its_addresses_only),
        cmocka_unit_test(kinds_of_addresses_are_told_apart),
        cmocka_unit_test(addresses_have_an_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
