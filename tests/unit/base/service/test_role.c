#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/service/role.h"

static void each_role_has_the_rights_of_the_one_before_and_more(void **state)
{
    (void)state;
    for (unsigned i = 1; i < ROLE_COUNT; i++) {
        assert_int_equal(roles[i].rights & roles[i - 1].rights, roles[i - 1].rights);
        assert_int_not_equal(roles[i].rights, roles[i - 1].rights);
    }
    assert_int_equal(roles[ROLE_COUNT - 1].rights, RIGHT_ALL);
}

static void a_viewer_reads_and_only_an_admin_has_to_do_with_settings(void **state)
{
    (void)state;
    assert_int_equal(role_find("viewer")->rights, RIGHT_FLOWS);
    assert_string_equal(role_with(RIGHT_FLOWS)->name, "viewer");
    assert_string_equal(role_with(RIGHT_PACKETS)->name, "operator");
    assert_string_equal(role_with(RIGHT_TRIAGE)->name, "operator");
    assert_string_equal(role_with(RIGHT_CONFIG)->name, "admin");
    assert_null(role_with(RIGHT_ALL + 1));
    assert_null(role_find("root"));
    assert_null(role_of(RIGHT_FLOWS | RIGHT_CONFIG));
    assert_string_equal(role_of(RIGHT_ALL)->name, "admin");
}

static void every_right_has_a_name_that_reads_back(void **state)
{
    unsigned all = 0;

    (void)state;
    for (unsigned i = 0; right_at(i) != 0; i++) {
        char word[32];

        (void)snprintf(word, sizeof(word), "%s", right_name(right_at(i)));
        assert_int_equal(rights_read(word), right_at(i));
        assert_int_equal(all & right_at(i), 0);
        all |= right_at(i);
    }
    assert_int_equal(all, RIGHT_ALL);
    assert_string_equal(right_name(RIGHT_ALL), "none");
}

static void rights_are_words_of_rights_and_roles_and_nothing_else(void **state)
{
    static const struct {
        const char *words;
        unsigned rights;
    } tries[] = {{"flows,triage", RIGHT_FLOWS | RIGHT_TRIAGE},
                 {"viewer", RIGHT_FLOWS},
                 {"viewer,config", RIGHT_FLOWS | RIGHT_CONFIG},
                 {"operator", RIGHT_FLOWS | RIGHT_TRIAGE | RIGHT_PACKETS},
                 {"admin", RIGHT_ALL},
                 {"all", RIGHT_ALL},
                 {"", 0},
                 {"flows,everything", 0},
                 {"Viewer", 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(tries); i++) {
        char words[32];

        (void)snprintf(words, sizeof(words), "%s", tries[i].words);
        assert_int_equal(rights_read(words), tries[i].rights);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_role_has_the_rights_of_the_one_before_and_more),
        cmocka_unit_test(a_viewer_reads_and_only_an_admin_has_to_do_with_settings),
        cmocka_unit_test(every_right_has_a_name_that_reads_back),
        cmocka_unit_test(rights_are_words_of_rights_and_roles_and_nothing_else)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
