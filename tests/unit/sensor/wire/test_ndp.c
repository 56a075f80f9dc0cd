/* Neighbour discovery messages, honest and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/ndp.h"

static const uint8_t solicitation[32] = {
    135, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0,
    0,   0, 0, 0, 0, 0, 9, 1, 1,    2,    0, 0, 0, 0, 7}; /* source link-layer address
                                                             02:00:00:00:00:07 */

static const uint8_t advertisement[64] = {
    134,  0, 0,    0,    64, 0xc0, 7,    8,    0, 0, 0, 0, 0, 0, 0, 0, /* managed, other, 1800 s */
    1,    1, 2,    0,    0,  0,    0,    1,    /* source link-layer address */
    5,    1, 0,    0,    0,  0,    5,    0xdc, /* MTU 1500 */
    3,    4, 64,   0xc0, 0,  0,    0x0e, 0x10, 0, 0, 7, 8, 0, 0, 0, 0, /* prefix, 3600 s, 1800 s */
    0x20, 1, 0x0d, 0xb8, 0,  1,    0,    0,    0, 0, 0, 0, 0, 0, 0, 0};

static enum wire_status parse(const uint8_t *bytes, size_t length, struct ndp *out)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, length);
    const struct wire_span message = {copy, (uint32_t)length};
    const enum wire_status status = ndp_parse(&message, out);

    free(copy);
    return status;
}

static void a_solicitation_gives_target_and_source(void **state)
{
    struct ndp ndp;

    (void)state;
    assert_int_equal(parse(solicitation, sizeof(solicitation), &ndp), WIRE_OK);
    assert_int_equal(ndp.type, NDP_NEIGHBOR_SOLICITATION);
    assert_memory_equal(ndp.target, solicitation + 8, 16);
    assert_true(ndp.has_source_mac);
    assert_false(ndp.has_target_mac);
    assert_memory_equal(ndp.source_mac, solicitation + 26, 6);
    assert_false(ndp.is_cut);
}

static void an_advertisement_gives_its_flags(void **state)
{
    uint8_t bytes[32];
    struct ndp ndp;

    (void)state;
    memcpy(bytes, solicitation, sizeof(bytes));
    bytes[0] = 136;
    bytes[4] = 0xe0;
    bytes[24] = 2;
    assert_int_equal(parse(bytes, sizeof(bytes), &ndp), WIRE_OK);
    assert_true(ndp.is_router && ndp.is_solicited && ndp.is_override);
    assert_true(ndp.has_target_mac);
    assert_memory_equal(ndp.target_mac, bytes + 26, 6);
}

static void a_router_tells_lifetime_mtu_and_prefix(void **state)
{
    struct ndp ndp;

    (void)state;
    assert_int_equal(parse(advertisement, sizeof(advertisement), &ndp), WIRE_OK);
    assert_int_equal(ndp.hop_limit, 64);
    assert_true(ndp.is_managed && ndp.is_other_config);
    assert_int_equal(ndp.lifetime_seconds, 1800);
    assert_int_equal(ndp.mtu_bytes, 1500);
    assert_int_equal(ndp.prefix_count, 1);
    assert_int_equal(ndp.prefixes[0].length, 64);
    assert_true(ndp.prefixes[0].is_on_link && ndp.prefixes[0].is_autonomous);
    assert_int_equal(ndp.prefixes[0].valid_seconds, 3600);
    assert_int_equal(ndp.prefixes[0].preferred_seconds, 1800);
    assert_memory_equal(ndp.prefixes[0].prefix, advertisement + 48, 16);
}

static void more_prefixes_than_are_kept_are_counted(void **state)
{
    uint8_t bytes[16 + 6 * 32];
    struct ndp ndp;

    (void)state;
    memcpy(bytes, advertisement, 16);
    for (size_t i = 0; i < 6; i++) {
        memcpy(bytes + 16 + i * 32, advertisement + 32, 32);
    }
    assert_int_equal(parse(bytes, sizeof(bytes), &ndp), WIRE_OK);
    assert_int_equal(ndp.prefix_count, 6);
}

static void a_redirect_gives_both_addresses(void **state)
{
    uint8_t bytes[40] = {137};
    struct ndp ndp;

    (void)state;
    bytes[23] = 1;
    bytes[39] = 2;
    assert_int_equal(parse(bytes, sizeof(bytes), &ndp), WIRE_OK);
    assert_int_equal(ndp.target[15], 1);
    assert_int_equal(ndp.destination[15], 2);
}

static void every_cut_is_truncated_or_told(void **state)
{
    struct ndp ndp;

    (void)state;
    for (size_t kept = 0; kept < sizeof(advertisement); kept++) {
        const enum wire_status status = parse(advertisement, kept, &ndp);

        if (kept < 16) {
            assert_int_equal(status, WIRE_TRUNCATED);
        } else {
            const bool is_between = kept == 16 || kept == 24 || kept == 32;

            assert_int_equal(status, WIRE_OK);
            assert_int_equal(ndp.is_cut, !is_between);
        }
    }
}

static void an_option_of_length_zero_spoils_the_message(void **state)
{
    uint8_t bytes[32];
    struct ndp ndp;

    (void)state;
    memcpy(bytes, solicitation, sizeof(bytes));
    bytes[25] = 0;
    assert_int_equal(parse(bytes, sizeof(bytes), &ndp), WIRE_MALFORMED);
}

static void another_type_or_code_is_malformed(void **state)
{
    uint8_t bytes[32];
    struct ndp ndp;

    (void)state;
    memcpy(bytes, solicitation, sizeof(bytes));
    bytes[0] = 128;
    assert_int_equal(parse(bytes, sizeof(bytes), &ndp), WIRE_MALFORMED);
    bytes[0] = 135;
    bytes[1] = 1;
    assert_int_equal(parse(bytes, sizeof(bytes), &ndp), WIRE_MALFORMED);
}

static void a_longer_link_layer_address_is_not_taken_for_a_mac(void **state)
{
    uint8_t bytes[40] = {135};
    struct ndp ndp;

    (void)state;
    bytes[24] = 1;
    bytes[25] = 2; /* 16 bytes: IEEE 802.15.4 */
    assert_int_equal(parse(bytes, sizeof(bytes), &ndp), WIRE_OK);
    assert_false(ndp.has_source_mac);
    assert_int_equal(ndp.option_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_solicitation_gives_target_and_source),
        cmocka_unit_test(an_advertisement_gives_its_flags),
        cmocka_unit_test(a_router_tells_lifetime_mtu_and_prefix),
        cmocka_unit_test(more_prefixes_than_are_kept_are_counted),
        cmocka_unit_test(a_redirect_gives_both_addresses),
        cmocka_unit_test(every_cut_is_truncated_or_told),
        cmocka_unit_test(an_option_of_length_zero_spoils_the_message),
        cmocka_unit_test(another_type_or_code_is_malformed),
        cmocka_unit_test(a_longer_link_layer_address_is_not_taken_for_a_mac),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
