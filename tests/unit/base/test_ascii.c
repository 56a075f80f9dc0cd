#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"

static void eight_bytes_are_judged_as_one(void **state)
{
    (void)state;
    for (unsigned place = 0; place < 8; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t bytes[8];

            memset(bytes, "a._Z0z9-"[byte % 8], sizeof(bytes));
            bytes[place] = (uint8_t)byte;
            assert_int_equal(ascii_is_host_8(load_le64(bytes)), ascii_is_host((uint8_t)byte));
        }
    }
}

static void any_length_is_judged_byte_by_byte(void **state)
{
    uint8_t bytes[40];

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    for (size_t length = 0; length < sizeof(bytes); length++) {
        for (size_t wrong = 0; wrong < sizeof(bytes); wrong++) {
            bytes[wrong] = ' ';
            assert_int_equal(ascii_are_host(bytes, length), wrong >= length);
            bytes[wrong] = 'x';
        }
    }
}

static void equal_bytes_are_found_where_they_stand(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 128; byte++) {
        for (unsigned wanted = 0; wanted < 128; wanted++) {
            const uint64_t eight = (uint64_t)byte << 24 | (uint64_t)wanted << 48;
            const uint64_t found = ascii_equal_8(eight, (uint8_t)wanted);

            assert_int_equal(found >> 31 & 1, byte == wanted);
            assert_int_equal(found >> 55 & 1, 1);
            assert_int_equal(found >> 7 & 1, wanted == 0);
            assert_int_equal(found & ~ASCII_EACH(0x80), 0);
        }
    }
}

static void four_bytes_are_eight_digits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        const uint8_t bytes[4] = {(uint8_t)i, (uint8_t)(i * 7), (uint8_t)~i, (uint8_t)(i << 4)};
        char wanted[9], found[9] = {0};

        (void)snprintf(wanted, sizeof(wanted), "%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2],
                       bytes[3]);
        store_le64(found, ascii_hex_8(load_le32(bytes)));
        assert_string_equal(found, wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_bytes_are_judged_as_one),
        cmocka_unit_test(any_length_is_judged_byte_by_byte),
        cmocka_unit_test(equal_bytes_are_found_where_they_stand),
        cmocka_unit_test(four_bytes_are_eight_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
