#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/name_table.h"

static uint16_t add(struct name_table *table, const char *text)
{
    return name_table_add(table, text, strlen(text));
}

static const char *text_of(const struct name_table *table, uint16_t number)
{
    uint32_t length;
    const char *text = name_table_text(table, number, &length);
    assert_int_equal(strlen(text), length);
    return text;
}

static void a_name_keeps_its_number(void **state)
{
    (void)state;
    AUTO(name_table) table = name_table_new(8);

    assert_int_equal(add(table, "eth0"), 0);
    assert_int_equal(add(table, "eth1"), 1);
    assert_int_equal(add(table, "eth0"), 0);
    assert_int_equal(add(table, ""), 2);
    assert_string_equal(text_of(table, 0), "eth0");
    assert_string_equal(text_of(table, 1), "eth1");
    assert_string_equal(text_of(table, 2), "");
    assert_string_equal(text_of(table, 7), "");
    assert_string_equal(text_of(table, 60000), "");
}

static void a_full_table_gives_the_first_name(void **state)
{
    (void)state;
    AUTO(name_table) table = name_table_new(100);
    char text[16];

    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(text, sizeof(text), "name %u", i);
        assert_int_equal(add(table, text), i < 100 ? i : 0);
    }
    assert_int_equal(add(table, "name 99"), 99);
}

static void what_cannot_be_shown_becomes_a_question_mark_and_what_is_long_is_cut(void **state)
{
    (void)state;
    AUTO(name_table) table = name_table_new(8);
    char longer[200];

    memset(longer, 'x', sizeof(longer));
    assert_string_equal(text_of(table, add(table, "a\nb\xff"
                                                  "c\xe2\x80\xae"
                                                  "d\xc3\xa4")),
                        "a?b?c?d\xc3\xa4");
    const uint16_t number = name_table_add(table, longer, sizeof(longer));
    assert_int_equal(strlen(text_of(table, number)), NAME_TABLE_TEXT_BYTES - 1);
    /* A sequence that would be cut in the middle is left out whole. */
    memcpy(longer + NAME_TABLE_TEXT_BYTES - 2, "\xc3\xa4", 2);
    const uint16_t other = name_table_add(table, longer, sizeof(longer));
    assert_int_equal(strlen(text_of(table, other)), NAME_TABLE_TEXT_BYTES - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_keeps_its_number),
        cmocka_unit_test(a_full_table_gives_the_first_name),
        cmocka_unit_test(what_cannot_be_shown_becomes_a_question_mark_and_what_is_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
