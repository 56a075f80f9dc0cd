#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/error.h"

static void a_failure_returns_its_negative_code_and_a_sentence(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_set(&err, ENOENT, "open %s: no such file", "a.yaml"), -ENOENT);
    assert_int_equal(err.code, ENOENT);
    assert_string_equal(err.message, "open a.yaml: no such file");
    assert_int_equal(error_set(NULL, EIO, "nobody listens"), -EIO);
}

static void a_prefix_stands_before_the_message(void **state)
{
    (void)state;
    struct error err = {0};
    error_prefix(&err, "nothing");
    assert_string_equal(err.message, "");
    (void)error_set(&err, EINVAL, "no number");
    error_prefix(&err, "flow.%s", "shards");
    assert_string_equal(err.message, "flow.shards: no number");
    assert_int_equal(err.code, EINVAL);
    error_clear(&err);
    assert_int_equal(err.code, 0);
    assert_string_equal(err.message, "");
}

static void a_message_may_be_made_of_itself(void **state)
{
    (void)state;
    struct error err = {0};
    (void)error_set(&err, EINVAL, "inner");
    (void)error_set(&err, EIO, "outer: %s", err.message);
    assert_string_equal(err.message, "outer: inner");
}

static void a_long_or_hostile_message_stays_one_bounded_line(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    text[3] = '\n';
    text[4] = '\x1b';
    struct error err = {0};
    (void)error_set(&err, EINVAL, "%s", text);
    error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    assert_null(strchr(err.message, '\n'));
    assert_null(strchr(err.message, '\x1b'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_returns_its_negative_code_and_a_sentence),
        cmocka_unit_test(a_prefix_stands_before_the_message),
        cmocka_unit_test(a_message_may_be_made_of_itself),
        cmocka_unit_test(a_long_or_hostile_message_stays_one_bounded_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
