/* What a terminal is given, and what is read back from a command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "ctl/show.h"

static char text[200];
static struct show show;
static struct error err;

static void begin(void)
{
    show = SHOW_OVER(text);
    text[0] = '\0';
    error_clear(&err);
}

static const char *hostile(const char *bytes, size_t length)
{
    begin();
    show_hostile(&show, bytes, length);
    return text;
}
#define HOSTILE(literal) hostile(literal, sizeof(literal) - 1)

static void a_name_from_the_wire_cannot_speak_to_the_terminal(void **state)
{
    (void)state;
    assert_string_equal(HOSTILE("web.example"), "web.example");
    assert_string_equal(HOSTILE("\033]0;owned\a\033[2J"), "\\x1b]0;owned\\x07\\x1b[2J");
    assert_string_equal(HOSTILE("a\nb\r\tc"), "a\\x0ab\\x0d\\x09c");
    assert_string_equal(HOSTILE("a\0b"), "a\\x00b");
    assert_string_equal(HOSTILE("\x7f\xc2\x9b"
                                "31m"),
                        "\\x7f\\u{009b}31m"); /* C1: CSI in one byte */
    assert_string_equal(HOSTILE("\x9b"
                                "31m"),
                        "\\x9b31m");
    assert_string_equal(HOSTILE("\xe2\x80\xae"
                                "moc.knab"),
                        "\\u{202e}moc.knab");
    assert_string_equal(HOSTILE("ba\xe2\x80\x8bnk"), "ba\\u{200b}nk");
    assert_string_equal(HOSTILE("\xff\xc0\xaf\xed\xa0\x80"), "\\xff\\xc0\\xaf\\xed\\xa0\\x80");
    assert_string_equal(HOSTILE("caf\xc3\xa9"), "caf\xc3\xa9");
    assert_string_equal(HOSTILE("a\\x1b"), "a\\\\x1b"); /* is not what an escape comes out as */
}

static void a_sentence_keeps_its_backslashes(void **state)
{
    (void)state;
    begin();
    show_sentence(&show, "no \\x1b here, \033[31mnor here");
    assert_string_equal(text, "no \\x1b here, \\x1b[31mnor here");
}

static void what_has_no_room_is_left_out_whole(void **state)
{
    (void)state;
    char small[8];
    struct show little = SHOW_OVER(small);

    show_text(&little, "abcdef");
    show_hostile(&little, "\033", 1);
    assert_string_equal(small, "abcdef");
    assert_true(little.is_cut);
    assert_int_equal(little.length, 6);
}

static void columns_count_code_points_and_no_colour(void **state)
{
    (void)state;
    begin();
    show.has_colour = true;
    show_colour(&show, SHOW_BAD);
    show_text(&show, "caf\xc3\xa9");
    show_colour(&show, SHOW_PLAIN);
    assert_int_equal(show_columns(&show, 0), 4);
    show_pad(&show, 0, 6);
    assert_string_equal(text, "\033[31mcaf\xc3\xa9\033[0m  ");
    begin();
    show_colour(&show, SHOW_BAD);
    show_text(&show, "longer");
    show_pad(&show, 0, 3);
    assert_string_equal(text, "longer ");
}

#define SHOWN(function, value) (begin(), function(&show, (value)), (const char *)text)

static void figures_have_units(void **state)
{
    (void)state;
    assert_string_equal(SHOWN(show_bytes, 0), "0B");
    assert_string_equal(SHOWN(show_bytes, 1023), "1023B");
    assert_string_equal(SHOWN(show_bytes, 1024), "1.00KiB");
    assert_string_equal(SHOWN(show_bytes, 1536 * 1024), "1.50MiB");
    assert_string_equal(SHOWN(show_bytes, UINT64_MAX), "16384PiB");
    assert_string_equal(SHOWN(show_count, 999), "999");
    assert_string_equal(SHOWN(show_count, 45600), "45.6k");
    assert_string_equal(SHOWN(show_duration, 0), "0ns");
    assert_string_equal(SHOWN(show_duration, 34200 * NS_PER_US), "34.2ms");
    assert_string_equal(SHOWN(show_duration, 119 * NS_PER_SEC), "119s");
    assert_string_equal(SHOWN(show_duration, 125 * NS_PER_SEC), "2m05s");
    assert_string_equal(SHOWN(show_duration, 11525 * NS_PER_SEC), "3h12m");
    assert_string_equal(SHOWN(show_duration, 200000 * NS_PER_SEC), "2d07h");
    assert_string_equal(SHOWN(show_time, 0), "-");
    assert_string_equal(SHOWN(show_time, UINT64_C(1700000000123000000)),
                        "2023-11-14T22:13:20.123Z");
}

static void an_ipv6_address_with_a_port_has_brackets(void **state)
{
    (void)state;
    struct ip_address ip;

    assert_true(address_parse("2001:db8::1", 11, &ip));
    begin();
    show_endpoint(&show, &ip, 443, true);
    show_text(&show, " ");
    show_endpoint(&show, &ip, 0, false);
    assert_string_equal(text, "[2001:db8::1]:443 2001:db8::1");
    begin();
    show_endpoint(&show, &(struct ip_address){0}, 0, false);
    assert_string_equal(text, "?");
}

static void a_time_is_an_age_or_a_time(void **state)
{
    (void)state;
    const uint64_t now_ns = UINT64_C(1700000000) * NS_PER_SEC;
    uint64_t ns = 0;

    assert_int_equal(time_parse("--since", "10m", now_ns, &ns, &err), 0);
    assert_int_equal(ns, now_ns - 600 * NS_PER_SEC);
    assert_int_equal(time_parse("--since", "-10m", now_ns, &ns, &err), 0); /* as others write it */
    assert_int_equal(ns, now_ns - 600 * NS_PER_SEC);
    assert_int_equal(time_parse("--since", "1h30m", now_ns, &ns, &err), 0);
    assert_int_equal(ns, now_ns - 5400 * NS_PER_SEC);
    assert_int_equal(time_parse("--since", "40000d", now_ns, &ns, &err), 0);
    assert_int_equal(ns, 1); /* older than there is */
    assert_int_equal(time_parse("--since", "now", now_ns, &ns, &err), 0);
    assert_int_equal(ns, now_ns);
    assert_int_equal(time_parse("--since", "2023-11-14T22:13:20.5Z", now_ns, &ns, &err), 0);
    assert_int_equal(ns, now_ns + NS_PER_SEC / 2);
    assert_int_equal(time_parse("--since", "2023-11-14T23:13:20+01:00", now_ns, &ns, &err), 0);
    assert_int_equal(ns, now_ns);
    static const char *const bad[] = {"",
                                      "10",
                                      "yesterday",
                                      "--5m",
                                      "-",
                                      "2023-11-14",
                                      "2023-13-14T00:00:00Z",
                                      "1900-01-01T00:00:00Z",
                                      "9999-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        error_clear(&err);
        assert_true(time_parse("--since", bad[i], now_ns, &ns, &err) < 0);
        assert_non_null(strstr(err.message, "--since"));
    }
}

static void a_number_is_whole_and_within_its_bounds(void **state)
{
    (void)state;
    uint64_t number = 0;

    assert_int_equal(number_parse("--last", "20", 1, 100, &number, &err), 0);
    assert_int_equal(number, 20);
    static const char *const bad[] = {"",    "0",  "101", "-1",
                                      "1.5", "1k", " 1",  "18446744073709551616"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(number_parse("--last", bad[i], 1, 100, &number, &err) < 0);
        assert_non_null(strstr(err.message, "--last"));
    }
}

static void durations_and_sizes_need_a_unit_and_something(void **state)
{
    (void)state;
    uint64_t value = 0;

    assert_int_equal(duration_parse("--duration", "30s", &value, &err), 0);
    assert_int_equal(value, 30 * NS_PER_SEC);
    assert_int_equal(size_parse("--max-bytes", "64MiB", &value, &err), 0);
    assert_int_equal(value, UINT64_C(64) << 20);
    assert_true(duration_parse("--duration", "30", &value, &err) < 0);
    assert_true(duration_parse("--duration", "0s", &value, &err) < 0);
    assert_true(size_parse("--max-bytes", "64", &value, &err) < 0);
    assert_true(size_parse("--max-bytes", "many", &value, &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_from_the_wire_cannot_speak_to_the_terminal),
        cmocka_unit_test(a_sentence_keeps_its_backslashes),
        cmocka_unit_test(what_has_no_room_is_left_out_whole),
        cmocka_unit_test(columns_count_code_points_and_no_colour),
        cmocka_unit_test(figures_have_units),
        cmocka_unit_test(an_ipv6_address_with_a_port_has_brackets),
        cmocka_unit_test(a_time_is_an_age_or_a_time),
        cmocka_unit_test(a_number_is_whole_and_within_its_bounds),
        cmocka_unit_test(durations_and_sizes_need_a_unit_and_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
