/* A file is replaced as a whole, or stays what it was. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attributes.h"
#include "base/replacement.h"

struct fixture {
    char directory[64];
    char path[128], fresh[136];
    struct replacement replacement;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/netscope-replacement-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    (void)snprintf(f->path, sizeof(f->path), "%s/list", f->directory);
    (void)snprintf(f->fresh, sizeof(f->fresh), "%s.new", f->path);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    (void)unlink(f->path);
    (void)unlink(f->fresh);
    assert_int_equal(rmdir(f->directory), 0);
    free(f);
    return 0;
}

static int put(struct fixture *f, const char *text, enum replacement_sync sync)
{
    const int result = replacement_begin(&f->replacement, f->path, 0600);

    if (result != 0) {
        return result;
    }
    (void)fputs(text, f->replacement.file);
    return replacement_end(&f->replacement, sync);
}

static void assert_holds(const char *path, const char *wanted)
{
    char text[64] = "";
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, wanted);
}

static void the_new_one_takes_the_place_of_the_old_one(void **state)
{
    struct fixture *f = *state;
    struct stat status;

    assert_int_equal(put(f, "one\n", REPLACEMENT_QUICK), 0);
    assert_holds(f->path, "one\n");
    assert_int_equal(put(f, "two\n", REPLACEMENT_SYNCED), 0);
    assert_holds(f->path, "two\n");
    assert_int_equal(stat(f->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(access(f->fresh, F_OK), -1);
}

static void readers_find_the_old_one_until_the_end(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f, "old\n", REPLACEMENT_QUICK), 0);
    assert_int_equal(replacement_begin(&f->replacement, f->path, 0600), 0);
    (void)fputs("half", f->replacement.file);
    assert_int_equal(fflush(f->replacement.file), 0);
    assert_holds(f->path, "old\n");
    assert_int_equal(replacement_end(&f->replacement, REPLACEMENT_QUICK), 0);
    assert_holds(f->path, "half");
}

/* What a killed program left behind is no hindrance, nor part of what follows. */
static void what_was_left_of_a_try_before_is_written_over(void **state)
{
    struct fixture *f = *state;
    FILE *file = fopen(f->fresh, "we");

    assert_non_null(file);
    (void)fputs("much that was left\n", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(put(f, "new\n", REPLACEMENT_QUICK), 0);
    assert_holds(f->path, "new\n");
}

static void a_write_that_fails_leaves_the_old_one(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f, "old\n", REPLACEMENT_QUICK), 0);
    assert_int_equal(replacement_begin(&f->replacement, f->path, 0600), 0);
    assert_int_equal(fclose(f->replacement.file), 0);
    f->replacement.file = fopen("/dev/full", "we"); /* a full disk */
    assert_non_null(f->replacement.file);
    (void)fputs("new\n", f->replacement.file);
    assert_int_equal(replacement_end(&f->replacement, REPLACEMENT_QUICK), -ENOSPC);
    assert_holds(f->path, "old\n");
    assert_int_equal(access(f->fresh, F_OK), -1);
}

static void one_that_cannot_take_the_place_is_removed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_int_equal(put(f, "new\n", REPLACEMENT_SYNCED), -EISDIR);
    assert_int_equal(access(f->fresh, F_OK), -1);
    assert_int_equal(rmdir(f->path), 0);
}

static void one_that_is_dropped_leaves_the_old_one(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f, "old\n", REPLACEMENT_QUICK), 0);
    assert_int_equal(replacement_begin(&f->replacement, f->path, 0600), 0);
    (void)fputs("new\n", f->replacement.file);
    replacement_drop(&f->replacement);
    assert_holds(f->path, "old\n");
    assert_int_equal(access(f->fresh, F_OK), -1);
}

/* Who may make files there may not make us write to another one. */
static void a_link_in_its_place_is_not_followed(void **state)
{
    struct fixture *f = *state;
    char other[128];

    (void)snprintf(other, sizeof(other), "%s/other", f->directory);
    FILE *file = fopen(other, "we");

    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(symlink(other, f->fresh), 0);
    assert_int_equal(put(f, "new\n", REPLACEMENT_QUICK), 0);
    assert_holds(f->path, "new\n");
    assert_holds(other, "");
    assert_int_equal(unlink(other), 0);
}

static void nothing_is_open_where_it_cannot_begin(void **state)
{
    struct fixture *f = *state;
    char longest[REPLACEMENT_PATH_BYTES];

    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 4] = '\0'; /* with .new one byte too many */
    assert_int_equal(replacement_begin(&f->replacement, longest, 0600), -ENAMETOOLONG);
    assert_null(f->replacement.file);
    assert_int_equal(replacement_begin(&f->replacement, "/nowhere/at/all", 0600), -ENOENT);
    assert_null(f->replacement.file);
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(the_new_one_takes_the_place_of_the_old_one),
        WITH_FILES(readers_find_the_old_one_until_the_end),
        WITH_FILES(what_was_left_of_a_try_before_is_written_over),
        WITH_FILES(a_write_that_fails_leaves_the_old_one),
        WITH_FILES(one_that_cannot_take_the_place_is_removed),
        WITH_FILES(one_that_is_dropped_leaves_the_old_one),
        WITH_FILES(a_link_in_its_place_is_not_followed),
        WITH_FILES(nothing_is_open_where_it_cannot_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
