#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static char captured[65536];

/* What `write_lines` sends to stderr, in `captured`. */
static void capture(void (*write_lines)(void))
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const int saved = dup(STDERR_FILENO);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    write_lines();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], captured + length, sizeof(captured) - 1 - length)) > 0) {
        length += (size_t)got;
    }
    captured[length] = '\0';
    close(ends[0]);
}

static void write_plain(void)
{
    log_warn("kafka", "broker is down", "broker=%s attempts=%u", "b1:9092", 3U);
}

static void a_line_has_time_level_part_message_and_fields(void **state)
{
    (void)state;
    capture(write_plain);
    assert_non_null(strstr(
        captured, " level=warn part=kafka msg=\"broker is down\" broker=b1:9092 attempts=3\n"));
    assert_memory_equal(captured, "time=20", 7);
    assert_int_equal(captured[28], 'Z');
}

static void write_hostile(void)
{
    log_error("wire", "name\nlevel=info \"x\"", "name=%s", "a\x1b[31m\n\xc2\x85\xff");
}

static void control_characters_never_reach_the_terminal(void **state)
{
    (void)state;
    capture(write_hostile);
    assert_non_null(strstr(
        captured, "msg=\"name\\nlevel=info \\\"x\\\"\" name=a\\x1b[31m\\n\\xc2\\x85\\xff\n"));
    assert_ptr_equal(strchr(captured, '\n'), captured + strlen(captured) - 1);
}

static void write_below_level(void)
{
    log_set_level(LOG_ERROR);
    log_warn("a", "unseen", "x=%d", 1);
    log_set_level(LOG_INFO);
    log_debug("a", "unseen", "x=%d", 1);
}

static void a_line_below_the_level_is_not_written(void **state)
{
    (void)state;
    assert_true(log_enabled(LOG_INFO));
    assert_false(log_enabled(LOG_DEBUG));
    capture(write_below_level);
    assert_string_equal(captured, "");
}

static void write_long(void)
{
    char text[10000];
    memset(text, 'y', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    errno = ENOENT;
    log_info("a", "long", "value=%s", text);
    log_info("a", text, NULL);
    assert_int_equal(errno, ENOENT);
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    (void)state;
    capture(write_long);
    const char *first_end = strchr(captured, '\n');
    assert_non_null(first_end);
    assert_true(first_end - captured < 4096);
    const char *second_end = strchr(first_end + 1, '\n');
    assert_non_null(second_end);
    assert_int_equal(second_end[1], '\0');
}

static void a_value_is_quoted_only_where_it_must_be(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(log_quote("plain", out, sizeof(out)), "plain");
    assert_string_equal(log_quote("", out, sizeof(out)), "\"\"");
    assert_string_equal(log_quote("two words", out, sizeof(out)), "\"two words\"");
    assert_string_equal(log_quote("a\"b\\\n", out, sizeof(out)), "\"a\\\"b\\\\\\n\"");
    assert_string_equal(log_quote("long value with spaces", out, 8), "\"long \"");
    assert_string_equal(log_quote("x", out, 1), "");
}

static void a_limited_site_speaks_once_an_interval_and_counts_the_rest(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    uint64_t suppressed = 99;
    assert_true(log_allowed(&limit, UINT64_C(3600000000000), &suppressed));
    assert_int_equal(suppressed, 0);
    assert_false(log_allowed(&limit, UINT64_C(3600000000000), NULL));
    assert_false(log_allowed(&limit, UINT64_C(3600000000000), NULL));
    limit.next_ns = 0;
    assert_true(log_allowed(&limit, 1, &suppressed));
    assert_int_equal(suppressed, 2);
}

static void write_json(void)
{
    log_set_format(LOG_JSON);
    char quoted[80];
    log_warn("kafka", "broker \"b\" is\ndown", "broker=%s attempts=%u text=%s zero=%s", "b1:9092",
             3U, log_quote("a \"b\"\n\xff", quoted, sizeof(quoted)), "007");
    log_set_format(LOG_LOGFMT);
}

static void a_line_of_json_is_one_object_with_the_same_keys(void **state)
{
    (void)state;
    capture(write_json);
    assert_memory_equal(captured, "{\"time\":\"20", 11);
    assert_non_null(strstr(captured,
                           "\"level\":\"warn\",\"part\":\"kafka\","
                           "\"msg\":\"broker \\u0022b\\u0022 is\\u000adown\","
                           "\"broker\":\"b1:9092\",\"attempts\":3,"
                           "\"text\":\"a \\u0022b\\u0022\\u000a\\u00ff\",\"zero\":\"007\"}\n"));
}

static void write_long_json(void)
{
    static char long_text[5000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    log_set_format(LOG_JSON);
    log_warn("a", "b", "c=%s", long_text);
    log_warn("a", long_text, "c=1");
    log_set_format(LOG_LOGFMT);
}

static void a_long_line_of_json_is_still_an_object(void **state)
{
    (void)state;
    capture(write_long_json);
    const char *end = strchr(captured, '\n');
    assert_non_null(end);
    assert_memory_equal(end - 10, "\"msg\":\"b\"}", 10);
    assert_int_equal(captured[strlen(captured) - 2], '}');
}

static void write_text(void)
{
    log_set_format(LOG_TEXT);
    log_warn("kafka", "broker is down", "broker=%s", "b1:9092");
    log_set_format(LOG_LOGFMT);
}

static void a_line_for_people_is_short(void **state)
{
    (void)state;
    capture(write_text);
    assert_int_equal(captured[2], ':');
    assert_string_equal(captured + 8, " warn kafka: broker is down  broker=b1:9092\n");
}

static void write_storm(void)
{
    log_set_limit(3, 200 * NS_PER_MS);
    for (int i = 0; i < 10; i++) {
        log_warn("a", "storm", "n=%d", i);
        log_warn("b", "other", NULL);
        log_note("c", "asked for", NULL);
    }
    log_flush(false); /* not yet: their time goes on */
    nanosleep(&(struct timespec){0, 220 * 1000 * 1000}, NULL);
    log_warn("a", "storm", "n=%d", 10);
    log_flush(false);
    log_warn("a", "storm", NULL);
    log_set_limit(0, 0);
}

static unsigned count_of(const char *text)
{
    unsigned count = 0;
    for (const char *at = captured; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

static void repeated_lines_are_held_back_and_counted(void **state)
{
    (void)state;
    const uint64_t before = log_suppressed();
    capture(write_storm);
    assert_int_equal(count_of("part=a msg=storm"), 5);
    assert_non_null(strstr(captured, "part=a msg=storm suppressed=7 n=10\n"));
    assert_non_null(strstr(captured, "part=b msg=other suppressed=7\n")); /* by log_flush */
    assert_int_equal(count_of("part=b msg=other"), 4);
    assert_int_equal(count_of("part=c msg=\"asked for\""), 10);
    assert_int_equal(log_suppressed() - before, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_part_message_and_fields),
        cmocka_unit_test(control_characters_never_reach_the_terminal),
        cmocka_unit_test(a_line_below_the_level_is_not_written),
        cmocka_unit_test(a_long_line_is_cut_and_still_ends),
        cmocka_unit_test(a_value_is_quoted_only_where_it_must_be),
        cmocka_unit_test(a_limited_site_speaks_once_an_interval_and_counts_the_rest),
        cmocka_unit_test(a_line_of_json_is_one_object_with_the_same_keys),
        cmocka_unit_test(a_long_line_of_json_is_still_an_object),
        cmocka_unit_test(a_line_for_people_is_short),
        cmocka_unit_test(repeated_lines_are_held_back_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
