/* Labels of sensors, and selectors over them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "proto/sensor_labels.h"

static bool put(char *labels, const char *key, const char *value)
{
    const struct sensor_label label = {
        .key = key, .value = value, .key_length = strlen(key), .value_length = strlen(value)};

    return sensor_labels_put(labels, &label);
}

static void labels_stand_in_order_and_a_key_has_one_value(void **state)
{
    (void)state;
    char labels[SENSOR_LABELS_BYTES] = "";

    assert_true(put(labels, "site", "berlin"));
    assert_true(put(labels, "role", "edge"));
    assert_true(put(labels, "site.old", ""));
    assert_true(put(labels, "site", "paris"));
    assert_string_equal(labels, "role=edge,site=paris,site.old=");
}

static void what_is_no_label_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a=b", "a,b", "a b", "a\n", "\xc3\xa4", "(", "\""};
    char labels[SENSOR_LABELS_BYTES] = "a=b", word[SENSOR_LABEL_BYTES + 1];
    struct error err = {0};

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(put(labels, bad[i], "x"));
        assert_int_equal(sensor_label_check(bad[i], "x", &err), -EINVAL);
        if (i > 0) {
            assert_false(put(labels, "x", bad[i]));
            assert_int_equal(sensor_label_check("x", bad[i], &err), -EINVAL);
        }
    }
    assert_string_equal(labels, "a=b");
    memset(word, 'k', sizeof(word));
    word[SENSOR_LABEL_BYTES] = '\0'; /* one too many */
    assert_false(put(labels, word, word));
    assert_int_equal(sensor_label_check(word, "x", &err), -EINVAL);
    word[SENSOR_LABEL_BYTES - 1] = '\0';
    assert_true(put(labels, word, word));
    assert_int_equal(sensor_label_check(word, word, &err), 0);
    const struct sensor_label with_nul = {
        .key = "a\0b", .key_length = 3, .value = "", .value_length = 0};

    assert_false(sensor_labels_put(labels, &with_nul));
}

static void there_are_so_many_at_most_also_the_longest(void **state)
{
    (void)state;
    char labels[SENSOR_LABELS_BYTES] = "", key[SENSOR_LABEL_BYTES], value[SENSOR_LABEL_BYTES];

    memset(value, 'v', sizeof(value));
    value[SENSOR_LABEL_BYTES - 1] = '\0';
    for (int i = 0; i < SENSOR_LABELS_MAX; i++) {
        (void)snprintf(key, sizeof(key), "%063d", i);
        assert_true(put(labels, key, value));
    }
    assert_false(put(labels, "one-more", ""));
    assert_true(put(labels, key, "x")); /* it is there */
}

static bool matches(const char *selector)
{
    struct error err = {0};

    assert_int_equal(sensor_selector_check(selector, &err), 0);
    return sensor_selector_matches(selector, "role=core,empty=", "role=edge,site=berlin");
}

static void a_selector_wants_all_of_its_parts(void **state)
{
    (void)state;
    static const char *const right[] = {
        "",
        " ",
        "site",
        "site=berlin",
        "site==berlin",
        " site = berlin , role = core ",
        "!old",
        "! old,site",
        "site!=paris",
        "old!=x",
        "site in (paris,berlin)",
        "site in( berlin )",
        "role notin (edge)",
        "old notin (x)",
        "empty",
        "empty=",
        "empty in ()",
        "site!=",
    };
    static const char *const wrong[] = {
        "old",
        "!site",
        "site=paris",
        "role=edge", /* core stands over it */
        "site=berlin,role=edge",
        "site!=berlin",
        "site in (paris,london)",
        "site in (ber)",
        "role notin (core,edge)",
        "sit",
        "site=berlin1",
        "empty!=",
    };

    for (size_t i = 0; i < ARRAY_COUNT(right); i++) {
        if (!matches(right[i])) {
            fail_msg("'%s' does not match", right[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        if (matches(wrong[i])) {
            fail_msg("'%s' matches", wrong[i]);
        }
    }
}

static void what_is_no_selector_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        ",",    "a,",     "a, ",    "=b",      "a=b=c",      "a b",       "!a=b",
        "a in", "a in b", "a in (", "a in (b", "a in (b c)", "a in (b))", "a notin b",
        "a>b",  "!",      "a=b c",  "a=(b)",   "a in (b),,", "\xc3\xa4",  "a=\xc3\xa4"};
    char longest[SENSOR_SELECTOR_BYTES + 1];
    struct error err = {0};

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        if (sensor_selector_check(bad[i], &err) != -EINVAL) {
            fail_msg("'%s' is taken", bad[i]);
        }
    }
    assert_int_equal(sensor_selector_check("site=berlin,a>b", &err), -EINVAL);
    assert_non_null(strstr(err.message, "behind 'site=berlin'"));
    memset(longest, ' ', sizeof(longest));
    longest[SENSOR_SELECTOR_BYTES] = '\0';
    assert_int_equal(sensor_selector_check(longest, &err), -EINVAL);
    longest[SENSOR_SELECTOR_BYTES - 1] = '\0';
    assert_int_equal(sensor_selector_check(longest, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_stand_in_order_and_a_key_has_one_value),
        cmocka_unit_test(what_is_no_label_is_refused_and_changes_nothing),
        cmocka_unit_test(there_are_so_many_at_most_also_the_longest),
        cmocka_unit_test(a_selector_wants_all_of_its_parts),
        cmocka_unit_test(what_is_no_selector_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
