/* Assets as messages: what is written is read, hostile bytes are refused, and what somebody asks
 * for is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/asset_message.h"

static struct record_text text(const char *of)
{
    return (struct record_text){of, (uint32_t)strlen(of)};
}

static bool is_text(struct record_text a, const char *b)
{
    return a.length == strlen(b) && memcmp(a.data, b, a.length) == 0;
}

static struct asset_message whole(void)
{
    return (struct asset_message){.sensor_id = text("edge-1"),
                                  .interface = text("eth0"),
                                  .has_vlan = true,
                                  .vlan_id = 7,
                                  .ip = {.bytes = {10, 1, 2, 3}, .version = 4},
                                  .mac = {2, 0, 0, 0, 0, 0xab},
                                  .sources = 1 | 4,
                                  .is_router = true,
                                  .is_dhcp_server = true,
                                  .first_ns = UINT64_C(1700000000123456789),
                                  .last_ns = UINT64_C(1700000001000000000),
                                  .sightings = 12345,
                                  .host_name = text("printer-3"),
                                  .vendor_class = text("MSFT 5.0"),
                                  .fingerprint = text("1,3,6")};
}

/* The bytes of the message alone; its length. */
static size_t write(const struct asset_message *asset, uint8_t out[ASSET_MESSAGE_BYTES_MAX])
{
    uint8_t bytes[ASSET_MESSAGE_BYTES_MAX];
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));
    struct wire_field f;

    asset_message_write(&w, 1, asset);
    assert_true(w.ok);
    struct wire_reader r = wire_reader_over(bytes, wire_written(&w));

    assert_true(wire_next(&r, &f));
    memcpy(out, f.bytes, f.length);
    return f.length;
}

static void what_is_written_is_read(void **state)
{
    const struct asset_message asset = whole();
    uint8_t bytes[ASSET_MESSAGE_BYTES_MAX];
    struct asset_message read;

    (void)state;
    assert_true(asset_message_read(bytes, write(&asset, bytes), &read));
    assert_true(is_text(read.sensor_id, "edge-1"));
    assert_true(is_text(read.interface, "eth0"));
    assert_true(read.has_vlan);
    assert_int_equal(read.vlan_id, 7);
    assert_true(address_equal(&read.ip, &asset.ip));
    assert_memory_equal(read.mac, asset.mac, 6);
    assert_int_equal(read.sources, asset.sources);
    assert_true(read.is_router && read.is_dhcp_server);
    assert_int_equal(read.first_ns, asset.first_ns);
    assert_int_equal(read.last_ns, asset.last_ns);
    assert_int_equal(read.sightings, asset.sightings);
    assert_true(is_text(read.host_name, "printer-3"));
    assert_true(is_text(read.vendor_class, "MSFT 5.0"));
    assert_true(is_text(read.fingerprint, "1,3,6"));
}

/* The longest one fits, and what is longer is cut. */
static void texts_have_bounds(void **state)
{
    char longest[300];
    uint8_t bytes[ASSET_MESSAGE_BYTES_MAX];
    struct asset_message asset = whole(), read;

    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    asset.interface = asset.host_name = asset.vendor_class = asset.fingerprint = text(longest);
    asset.sensor_id = (struct record_text){longest, 128};
    asset.sources = 15;
    asset.ip = (struct ip_address){.version = 6};
    memset(asset.ip.bytes, 0xff, sizeof(asset.ip.bytes));
    asset.first_ns = asset.last_ns = UINT64_C(9999999999999999999);
    asset.sightings = UINT64_MAX;
    assert_true(asset_message_read(bytes, write(&asset, bytes), &read));
    assert_int_equal(read.host_name.length, ASSET_MESSAGE_TEXT_MAX);
    assert_int_equal(read.interface.length, ASSET_MESSAGE_TEXT_MAX);
    assert_int_equal(read.sensor_id.length, 128);
}

static void one_without_a_mac_is_none(void **state)
{
    static const uint8_t no_mac[] = {0x1a, 0x07, '1', '0', '.', '0', '.', '0', '.'};
    struct asset_message read;

    (void)state;
    assert_false(asset_message_read(no_mac, 0, &read));
    assert_false(asset_message_read(no_mac, sizeof(no_mac), &read));
}

static void hostile_texts_are_refused(void **state)
{
    static const char *const bad[] = {"a\nb", "\x1b[31m", "\xff", "\xc3", "\x7f", "\xe2\x80\xae"};
    static const char *const good[] = {"", "a b", "\xc3\xa9t\xc3\xa9", "<script>"};
    uint8_t bytes[ASSET_MESSAGE_BYTES_MAX];
    struct asset_message asset = whole(), read;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        asset.host_name = text(bad[i]);
        assert_false(asset_message_read(bytes, write(&asset, bytes), &read));
    }
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        asset.host_name = text(good[i]);
        assert_true(asset_message_read(bytes, write(&asset, bytes), &read));
    }
}

/* Cut off or with a wrong bit: read within its bytes. */
static void any_bytes_are_read_within_their_bounds(void **state)
{
    const struct asset_message asset = whole();
    uint8_t bytes[ASSET_MESSAGE_BYTES_MAX];
    const size_t length = write(&asset, bytes);
    struct asset_message read;

    (void)state;
    for (size_t i = 0; i < length; i++) {
        uint8_t *part = malloc(i + 1);

        assert_non_null(part);
        memcpy(part, bytes, i);
        if (asset_message_read(part, i, &read)) {
            assert_true(read.host_name.length <= ASSET_MESSAGE_TEXT_MAX);
        }
        free(part);
    }
    for (size_t bit = 0; bit < length * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (asset_message_read(bytes, length, &read)) {
            assert_true(read.host_name.length <= ASSET_MESSAGE_TEXT_MAX);
            assert_true(read.vlan_id <= 4095);
        }
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static bool is_chosen(const char *address, const char *search)
{
    const struct asset_message asset = whole();
    struct asset_choice choice = {.search = search};

    if (address[0] != '\0' && !address_parse(address, strlen(address), &choice.ip)) {
        choice.has_mac = mac_parse(address, strlen(address), choice.mac);
        assert_true(choice.has_mac);
    }
    return asset_choice_fits(&choice, &asset);
}

static void one_is_found_by_what_is_known_of_it(void **state)
{
    (void)state;
    assert_true(is_chosen("", ""));
    assert_true(is_chosen("10.1.2.3", ""));
    assert_false(is_chosen("10.1.2.4", ""));
    assert_false(is_chosen("a01:203::", "")); /* the same bytes, IPv6 */
    assert_true(is_chosen("02:00:00:00:00:ab", ""));
    assert_false(is_chosen("02:00:00:00:00:aa", ""));
    assert_true(is_chosen("", "PRINTER"));
    assert_true(is_chosen("", "msft"));
    assert_true(is_chosen("", "0:AB"));
    assert_true(is_chosen("", ".1.2."));
    assert_false(is_chosen("", "1,3,6")); /* a fingerprint is no word */
    assert_false(is_chosen("10.1.2.3", "scanner"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(texts_have_bounds),
        cmocka_unit_test(one_without_a_mac_is_none),
        cmocka_unit_test(hostile_texts_are_refused),
        cmocka_unit_test(any_bytes_are_read_within_their_bounds),
        cmocka_unit_test(one_is_found_by_what_is_known_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
