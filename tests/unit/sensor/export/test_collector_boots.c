#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sensor/export/collector_boots.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/test_boots_XXXXXX");
    const int fd = mkstemp(path);

    return fd >= 0 && close(fd) == 0 ? 0 : -1;
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static void the_list_comes_back_without_those_that_are_done(void **state)
{
    (void)state;
    static struct collector_boots boots;
    static struct collector_boots found;
    struct error err = {0};

    boots.count = 0;
    assert_int_equal(collector_boots_add(&boots, "first", false), 0);
    assert_int_equal(collector_boots_add(&boots, "second", false), 1);
    assert_int_equal(collector_boots_add(&boots, "third", false), 2);
    assert_int_equal(collector_boots_add(&boots, "second", false), 1); /* known */
    assert_int_equal(collector_boots_add(&boots, "late", true), 2);    /* before the last */
    assert_string_equal(boots.at[3].boot_id, "third");
    boots.at[0].lanes[0] = (struct collector_course){.last_seq = 7, .durable_seq = 7};
    boots.at[1].lanes[4] = (struct collector_course){.last_seq = UINT64_MAX - 1};
    assert_true(collector_boot_is_done(&boots.at[0]));
    assert_false(collector_boot_is_done(&boots.at[1]));
    assert_int_equal(collector_boots_save(&boots, path, &err), 0);
    collector_boots_load(&found, path);
    assert_int_equal(found.count, 2); /* "late" has nothing; the last one is this process */
    assert_string_equal(found.at[0].boot_id, "second");
    assert_true(found.at[0].lanes[4].last_seq == UINT64_MAX - 1);
    assert_int_equal(found.at[0].lanes[4].durable_seq, 0);
    assert_string_equal(found.at[1].boot_id, "third");
    assert_int_equal(collector_boots_find(&found, "first"), -1);
}

static void what_another_collector_has_is_not_forgotten(void **state)
{
    (void)state;
    static struct collector_boots boots;
    static struct collector_boots found;
    struct error err = {0};

    boots.count = 0;
    (void)collector_boots_add(&boots, "moved", false);
    (void)collector_boots_add(&boots, "stayed", false);
    boots.at[0].has_moved = true;
    boots.at[0].lanes[0] = (struct collector_course){.last_seq = 9, .acked_seq = 5};
    boots.at[1].lanes[0] = (struct collector_course){.last_seq = 9, .acked_seq = 5};
    assert_int_equal(collector_boots_save(&boots, path, &err), 0);
    collector_boots_load(&found, path);
    assert_int_equal(found.count, 2);
    assert_true(found.at[0].has_moved);
    assert_int_equal(found.at[0].lanes[0].last_seq, 9);
    assert_int_equal(found.at[0].lanes[0].acked_seq, 5);
    assert_false(found.at[1].has_moved); /* its collector will say it */
    assert_int_equal(found.at[1].lanes[0].acked_seq, 0);
}

static void of_too_many_the_oldest_go(void **state)
{
    (void)state;
    static struct collector_boots boots;
    char name[16];

    boots.count = 0;
    for (unsigned i = 0; i < COLLECTOR_BOOTS_MAX + 10; i++) {
        (void)snprintf(name, sizeof(name), "boot-%u", i);
        (void)collector_boots_add(&boots, name, false);
    }
    assert_int_equal(boots.count, COLLECTOR_BOOTS_MAX);
    assert_int_equal(collector_boots_find(&boots, "boot-9"), -1);
    assert_int_equal(collector_boots_find(&boots, "boot-10"), 0);
}

static void load(const char *text, struct collector_boots *out)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    collector_boots_load(out, path);
}

static void what_is_no_list_is_an_empty_one(void **state)
{
    (void)state;
    static struct collector_boots boots;
    struct error err = {0};

    collector_boots_load(&boots, "/nowhere/boots");
    assert_int_equal(boots.count, 0);
    load("", &boots);
    assert_int_equal(boots.count, 0);
    load("something else\nboot 1 2 3 4 5\n", &boots);
    assert_int_equal(boots.count, 0);
    load("netscope collector boots 1\nboot 1 2 3\n\nx y\n"
         "0123456789012345678901234567890123456789 1 2 3 4 5\ngood 1 2 3 4 5\n",
         &boots);
    assert_int_equal(boots.count, 1);
    assert_string_equal(boots.at[0].boot_id, "good");
    assert_int_equal(collector_boots_save(&boots, "/nowhere/boots", &err), -ENOENT);
    assert_non_null(strstr(err.message, "/nowhere/boots"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_list_comes_back_without_those_that_are_done, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(what_another_collector_has_is_not_forgotten, make_path,
                                        remove_path),
        cmocka_unit_test(of_too_many_the_oldest_go),
        cmocka_unit_test_setup_teardown(what_is_no_list_is_an_empty_one, make_path, remove_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
