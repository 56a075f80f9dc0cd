#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/config/config.h"

static void durations_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } cases[] = {
        {"1ns", 1},
        {"2us", 2000},
        {"2\xc2\xb5s", 2000},
        {"10ms", 10000000},
        {"30s", 30000000000},
        {"5m", 300000000000},
        {"1h30m", 5400000000000},
        {"1d", 86400000000000},
        {"1h 30m 5s", 5405000000000},
        {"1.5s", 1500000000},
        {"0.1ms", 100000},
        {"0", 0},
        {"0s", 0},
        {" 7 s ", 7000000000},
        {"213503d", UINT64_C(213503) * 86400 * 1000000000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ns = 1234;
        assert_true(config_parse_duration(cases[i].text, NULL, &ns));
        assert_int_equal(ns, cases[i].ns);
    }
}

static void sizes_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"65535B", 65535},
        {"1KB", 1000},
        {"1kB", 1000},
        {"1KiB", 1024},
        {"2MB", 2000000},
        {"64MiB", 67108864},
        {"1GB", 1000000000},
        {"1GiB", 1073741824},
        {"1.5GiB", 1610612736},
        {"1TB", 1000000000000},
        {"3TiB", UINT64_C(3) << 40},
        {"0", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t bytes = 1234;
        assert_true(config_parse_bytes(cases[i].text, NULL, &bytes));
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void a_bare_number_needs_a_bare_unit(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_false(config_parse_duration("60", NULL, &value));
    assert_int_equal(value, 7);
    assert_true(config_parse_duration("60", "s", &value));
    assert_int_equal(value, 60000000000);
    assert_true(config_parse_duration("60.0", "s", &value));
    assert_int_equal(value, 60000000000);
    assert_true(config_parse_duration("60ms", "s", &value));
    assert_int_equal(value, 60000000);
    assert_true(config_parse_bytes("32", "MiB", &value));
    assert_int_equal(value, 33554432);
    assert_false(config_parse_bytes("32", NULL, &value));
}

static void what_is_no_amount_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "s",
                                      "-1s",
                                      "+1s",
                                      "1x",
                                      "1S",
                                      "1h1h",
                                      "30m1h",
                                      "1h30",
                                      "1.s",
                                      ".5s",
                                      "1..5s",
                                      "1.5.5s",
                                      "1e3s",
                                      "0.5ns",
                                      "1s!",
                                      "1 2s",
                                      "99999999999d",
                                      "99999999999999999999s",
                                      "0.0000000001s",
                                      "1sx",
                                      "1verylongunit"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t value = 7;
        assert_false(config_parse_duration(bad[i], NULL, &value));
        assert_int_equal(value, 7);
    }
    uint64_t value;
    assert_false(config_parse_bytes("0.5B", NULL, &value));
    assert_false(config_parse_bytes("1MiB1KiB", NULL, &value));
    assert_false(config_parse_bytes("1M", NULL, &value));
    assert_false(config_parse_bytes("99999999TiB", NULL, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(a_bare_number_needs_a_bare_unit),
        cmocka_unit_test(what_is_no_amount_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
