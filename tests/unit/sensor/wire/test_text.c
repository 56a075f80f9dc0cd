#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/ascii.h"
#include "sensor/wire/text.h"

/* Text is read eight bytes at once: each value at each place among plain ones. */
static void each_byte_is_escaped_wherever_it_stands(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        const bool is_plain = value >= 0x20 && value < 0x7f && value != '\\';

        for (unsigned at = 0; at < 19; at++) {
            uint8_t bytes[19];
            char escape[8], expected[64], out[64];

            memset(bytes, '~', sizeof(bytes));
            bytes[at] = (uint8_t)value;
            (void)snprintf(escape, sizeof(escape),
                           is_plain        ? "%c"
                           : value == '\\' ? "\\\\"
                                           : "\\x%02x",
                           value);
            (void)snprintf(expected, sizeof(expected), "%.*s%s%.*s", (int)at, "~~~~~~~~~~~~~~~~~~",
                           escape, (int)(18 - at), "~~~~~~~~~~~~~~~~~~");
            struct text text = text_over(out, sizeof(out));
            text_escaped(&text, bytes, sizeof(bytes));
            assert_string_equal(out, expected);
            assert_int_equal(text.length, strlen(expected));
        }
    }
}

static void names_of_hosts_have_letters_digits_hyphens_dots_and_underscores(void **state)
{
    static const char members[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";

    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        assert_int_equal(ascii_is_host((uint8_t)value),
                         value != 0 && strchr(members, (int)value) != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_is_escaped_wherever_it_stands),
        cmocka_unit_test(names_of_hosts_have_letters_digits_hyphens_dots_and_underscores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
