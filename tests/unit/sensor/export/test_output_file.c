/* Files that have their name only once they are whole. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sensor/export/output_file.h"

static char folder[] = "/tmp/netscope-output-XXXXXX";
static char target[64], partial[80], other[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(target, sizeof(target), "%s/out", folder);
    (void)snprintf(partial, sizeof(partial), "%s.partial", target);
    (void)snprintf(other, sizeof(other), "%s/link", folder);
    return 0;
}

static int empty_folder(void **state)
{
    (void)state;
    (void)unlink(target);
    (void)unlink(partial);
    (void)unlink(other);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static struct output_file *begin(const char *path)
{
    struct error err = {0};
    struct output_file *file = output_file_open_whole(path, &err);

    if (file == NULL) {
        fail_msg("%s", err.message);
    }
    return file;
}

static void put(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void assert_contents(const char *path, const char *text)
{
    char read[64] = "";
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    (void)fread(read, 1, sizeof(read) - 1, file);
    (void)fclose(file);
    assert_string_equal(read, text);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void a_file_has_its_name_only_once_it_is_whole(void **state)
{
    (void)state;
    struct output_file *file = begin(target);

    output_file_write(file, "new", 3);
    output_file_flush(file);
    assert_false(is_there(target));
    assert_contents(partial, "new");
    output_file_finish(file);
    assert_null(output_file_failure(file));
    assert_false(is_there(partial));
    assert_contents(target, "new");
    output_file_close(file);
    assert_contents(target, "new");
}

static void what_stood_there_stays_until_then_with_its_mode_and_its_links(void **state)
{
    struct stat status;

    (void)state;
    put(target, "old", 0640);
    assert_int_equal(symlink(target, other), 0);
    struct output_file *file = begin(other);

    output_file_write(file, "new", 3);
    output_file_flush(file);
    assert_contents(target, "old");
    output_file_finish(file);
    output_file_close(file);
    assert_contents(target, "new");
    assert_int_equal(stat(target, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(lstat(other, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
}

/* A file may not grow beyond a few bytes (RLIMIT_FSIZE): as a disk that is full. */
static void a_file_that_is_cut_stays_under_its_other_name_and_is_a_failure(void **state)
{
    struct rlimit before;

    (void)state;
    put(target, "old", 0644);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {.rlim_cur = 10, .rlim_max = before.rlim_max};
    struct output_file *file = begin(target);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    output_file_write(file, "more than ten bytes", 19);
    output_file_finish(file);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
    assert_non_null(output_file_failure(file));
    assert_non_null(
        strstr(output_file_failure(file), "/out: File too large (what was written is "));
    assert_non_null(strstr(output_file_failure(file), "/out.partial)"));
    output_file_close(file);
    assert_contents(partial, "more than ");
    assert_contents(target, "old");
}

/* As a disk that is full and then is not: RLIMIT_FSIZE again. */
static void a_file_of_records_is_cut_behind_the_last_whole_one_and_goes_on_when_it_can(void **state)
{
    struct error err = {0};
    struct rlimit before;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {.rlim_cur = 10, .rlim_max = before.rlim_max};
    struct output_file *file = output_file_open(target, &err);

    assert_non_null(file);
    output_file_write(file, "first\n", 6);
    output_file_flush(file);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    output_file_write(file, "second\n", 7);
    output_file_write(file, "third\n", 6);
    output_file_flush(file);
    assert_int_equal(output_file_lost(file), 2);
    assert_contents(target, "first\n");
    assert_true(output_file_is_waiting(file));
    output_file_write(file, "fourth\n", 7); /* too early */
    assert_int_equal(output_file_lost(file), 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
    while (output_file_is_waiting(file)) {
        (void)usleep(10000);
    }
    output_file_write(file, "fifth\n", 6);
    output_file_flush(file);
    assert_int_equal(output_file_lost(file), 3);
    assert_false(output_file_is_waiting(file));
    assert_non_null(strstr(output_file_failure(file), "/out: File too large"));
    output_file_close(file);
    assert_contents(target, "first\nfifth\n");
}

static void a_file_that_was_never_begun_leaves_nothing(void **state)
{
    (void)state;
    output_file_close(begin(target));
    assert_false(is_there(target));
    assert_false(is_there(partial));
}

static void a_device_is_written_as_it_is(void **state)
{
    (void)state;
    struct output_file *file = begin("/dev/null");

    output_file_write(file, "x", 1);
    output_file_finish(file);
    assert_null(output_file_failure(file));
    output_file_close(file);
    assert_false(is_there("/dev/null.partial"));
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_teardown(test, empty_folder)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_file_has_its_name_only_once_it_is_whole),
        WITH_FOLDER(what_stood_there_stays_until_then_with_its_mode_and_its_links),
        WITH_FOLDER(a_file_that_is_cut_stays_under_its_other_name_and_is_a_failure),
        WITH_FOLDER(a_file_of_records_is_cut_behind_the_last_whole_one_and_goes_on_when_it_can),
        WITH_FOLDER(a_file_that_was_never_begun_leaves_nothing),
        WITH_FOLDER(a_device_is_written_as_it_is),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
