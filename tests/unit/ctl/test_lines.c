/* Lines of a file: whole ones, one without an end, one that is too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/lines.h"
#include "ctl/stop.h"

static struct error err;
static struct lines lines;
static char path[] = "/tmp/netscope-lines-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return stop_prepare(&err);
}

static void open_with(const char *text, size_t long_bytes, const char *behind)
{
    char *filling = malloc(long_bytes + 1);

    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_non_null(filling);
    memset(filling, 'x', long_bytes);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(write(fd, filling, long_bytes), long_bytes);
    assert_int_equal(write(fd, behind, strlen(behind)), strlen(behind));
    (void)close(fd);
    free(filling);
    assert_int_equal(lines_open(&lines, path, &err), 0);
    (void)unlink(path);
}

static void next_is(const char *wanted)
{
    const char *line = NULL;
    size_t length = 0;

    assert_true(lines_next(&lines, &line, &length));
    assert_int_equal(length, strlen(wanted));
    assert_memory_equal(line, wanted, length);
}

static void is_at_the_end(void)
{
    const char *line;
    size_t length;

    assert_false(lines_next(&lines, &line, &length));
    assert_int_equal(lines.failure.code, 0);
    lines_close(&lines);
}

static void lines_come_one_by_one(void **state)
{
    (void)state;
    open_with("one\n\ntwo\n", 0, "three");
    next_is("one");
    next_is("");
    next_is("two");
    next_is("three"); /* without an end */
    is_at_the_end();
    open_with("", 0, "");
    is_at_the_end();
}

static void a_line_that_is_too_long_is_told_and_passed_over(void **state)
{
    const char *line;
    size_t length;
    (void)state;
    open_with("one\n", 3 * LINE_BYTES_MAX + 7, "\ntwo\n");
    next_is("one");
    assert_true(lines_next(&lines, &line, &length));
    assert_int_equal(length, SIZE_MAX);
    assert_int_equal(lines.number, 2);
    next_is("two");
    assert_int_equal(lines.number, 3);
    is_at_the_end();
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    assert_true(lines_open(&lines, "/nowhere/x.jsonl", &err) < 0);
    assert_non_null(strstr(err.message, "/nowhere/x.jsonl: No such file"));
    assert_int_equal(lines_open(&lines, "/", &err), 0);
    const char *line;
    size_t length;
    assert_false(lines_next(&lines, &line, &length));
    assert_non_null(strstr(lines.failure.message, "directory"));
    lines_close(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_one_by_one),
        cmocka_unit_test(a_line_that_is_too_long_is_told_and_passed_over),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
