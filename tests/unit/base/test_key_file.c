/* Which modes of a private key are taken, by owner. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/key_file.h"

static bool is_private(uid_t owner, mode_t mode)
{
    const struct stat status = {.st_uid = owner, .st_mode = mode};

    return key_file_is_private(&status);
}

static void a_key_is_its_owners_alone(void **state)
{
    static const mode_t refused[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0660, 0777};

    (void)state;
    assert_true(is_private(1000, S_IFREG | 0600));
    assert_true(is_private(1000, S_IFREG | 0400));
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_false(is_private(1000, S_IFREG | refused[i]));
    }
}

static void the_group_may_read_a_key_of_root(void **state)
{
    static const mode_t refused[] = {0604, 0620, 0602, 0610, 0601, 0644, 0660, 0777};

    (void)state;
    assert_true(is_private(0, S_IFREG | 0600));
    assert_true(is_private(0, S_IFREG | 0640));
    assert_true(is_private(0, S_IFREG | 0440));
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_false(is_private(0, S_IFREG | refused[i]));
    }
}

static void the_file_and_what_to_do_are_named(void **state)
{
    char path[] = "/tmp/netscope-key-XXXXXX";
    char wanted[200];
    struct error err = {0};
    const int file = mkstemp(path);

    (void)state;
    assert_true(file >= 0);
    assert_int_equal(key_file_check(path, &err), 0);
    assert_int_equal(fchmod(file, 0644), 0);
    assert_int_equal(key_file_check(path, &err), -EACCES);
    (void)snprintf(wanted, sizeof(wanted),
                   "the private key %s can be read or changed by others than its owner (mode "
                   "0644): run chmod 600 %s",
                   path, path);
    assert_string_equal(err.message, wanted);
    assert_int_equal(close(file), 0);
    assert_int_equal(unlink(path), 0);
    error_clear(&err);
    assert_int_equal(key_file_check(path, &err), 0); /* whoever opens it tells */
    assert_int_equal(key_file_check("/dev/null", &err), 0);
}

static void a_change_of_contents_or_mode_makes_it_another_file(void **state)
{
    char path[] = "/tmp/netscope-key-XXXXXX";
    const int file = mkstemp(path);
    const struct timespec wait = {.tv_nsec = 20000000}; /* longer than a kernel's tick */
    struct stat seen, now;

    (void)state;
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &seen), 0);
    assert_int_equal(fstat(file, &now), 0);
    assert_true(key_file_is_unchanged(&seen, &now));
    (void)nanosleep(&wait, NULL);
    assert_int_equal(fchmod(file, 0640), 0);
    assert_int_equal(fstat(file, &now), 0);
    assert_false(key_file_is_unchanged(&seen, &now));
    seen = now;
    assert_int_equal(write(file, "x", 1), 1);
    assert_int_equal(fstat(file, &now), 0);
    assert_false(key_file_is_unchanged(&seen, &now));
    assert_int_equal(close(file), 0);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_its_owners_alone),
        cmocka_unit_test(the_group_may_read_a_key_of_root),
        cmocka_unit_test(the_file_and_what_to_do_are_named),
        cmocka_unit_test(a_change_of_contents_or_mode_makes_it_another_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
