/* Tables are as wide as what is in them; CSV is what a spreadsheet reads and does not run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/csv.h"
#include "ctl/table.h"

static struct output out;
static struct error err;

static const struct table_column columns[] = {
    {"HOST", TABLE_WORD}, {"NAME", TABLE_TEXT}, {"BYTES", TABLE_FIGURE}, {"SEEN", TABLE_WORD}};

static void to_memory(bool has_colour)
{
    out = (struct output){.fd = -1, .has_colour = has_colour};
    error_clear(&err);
}

static void assert_written(const char *wanted)
{
    assert_int_equal(out.length, strlen(wanted));
    assert_memory_equal(out.bytes, wanted, strlen(wanted));
}

static struct table *two_rows(void)
{
    struct table *table = table_new(columns, 4, &err);

    assert_non_null(table);
    table_put(table, SHOW_NAME, "10.0.0.1");
    table_put_name(table, SHOW_PLAIN, (struct record_text){"a\033[31mb", 7});
    table_put_bytes(table, 2048);
    table_put_time(table, UINT64_C(1700000000000000000));
    table_put(table, SHOW_NAME, "2001:db8::1");
    table_put_name(table, SHOW_PLAIN, (struct record_text){"", 0});
    table_put_bytes(table, 5);
    table_put_time(table, 0);
    return table;
}

static void columns_are_as_wide_as_their_cells(void **state)
{
    (void)state;
    AUTO(table) table = two_rows();

    to_memory(false);
    assert_true(table_write(table, &out, &err));
    assert_written("HOST         NAME          BYTES  SEEN\n"
                   "10.0.0.1     a\\x1b[31mb  2.00KiB  2023-11-14T22:13:20Z\n"
                   "2001:db8::1  -                5B  -\n");
}

static void colour_takes_no_column(void **state)
{
    (void)state;
    AUTO(table) table = two_rows();

    to_memory(true);
    assert_true(table_write(table, &out, &err));
    out.bytes[out.length] = '\0';
    assert_non_null(strstr(out.bytes, "\n\033[36m10.0.0.1\033[0m     a"));
    assert_non_null(strstr(out.bytes, "\n\033[36m2001:db8::1\033[0m  -  "));
}

/* What a terminal of `width` columns gets. */
static void on_terminal(unsigned short width, char *text, size_t capacity)
{
    struct winsize size = {.ws_row = 24, .ws_col = width};
    struct termios raw;
    int keeper = -1, end = -1;

    assert_int_equal(openpty(&keeper, &end, NULL, NULL, &size), 0);
    assert_int_equal(tcgetattr(end, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(end, TCSANOW, &raw), 0);
    AUTO(table) table = two_rows();
    table_put(table, SHOW_PLAIN, "10.0.0.2");
    table_put(table, SHOW_PLAIN, "ein-sehr-langer-n\303\244me.example");
    table_put_bytes(table, 5);
    table_put_time(table, 0);
    out = (struct output){.fd = end};
    assert_true(table_write(table, &out, &err));
    output_flush(&out);
    const ssize_t got = read(keeper, text, capacity - 1);
    assert_true(got > 0);
    text[got] = '\0';
    (void)close(end);
    (void)close(keeper);
}

static void a_narrow_terminal_cuts_texts_and_never_words_or_figures(void **state)
{
    (void)state;
    char text[2000];

    on_terminal(200, text, sizeof(text));
    assert_non_null(strstr(text, "ein-sehr-langer-n\303\244me.example  "));
    on_terminal(63, text, sizeof(text));
    assert_non_null(strstr(text, "10.0.0.2     ein-sehr-langer-n\303\244~ "));
    on_terminal(10, text, sizeof(text));
    assert_non_null(strstr(text, "2001:db8::1  -              5B  -\n"));
    assert_non_null(strstr(text, "10.0.0.2     ein-seh~       5B  -\n"));
}

/* ---- CSV ---- */

static void csv_of(const char *text, const char *wanted)
{
    static struct csv csv;

    to_memory(false);
    csv_begin(&csv, &out);
    csv_text(&csv, (struct record_text){text, (uint32_t)strlen(text)});
    csv_name(&csv, "x", 1);
    csv_end_line(&csv);
    assert_written(wanted);
}

static void a_text_comes_back_as_it_was_and_is_no_formula(void **state)
{
    (void)state;
    csv_of("plain", "plain,x\r\n");
    csv_of("", ",x\r\n");
    csv_of("a,b", "\"a,b\",x\r\n");
    csv_of("say \"so\"\n", "\"say \"\"so\"\"\n\",x\r\n");
    csv_of(" left", "\" left\",x\r\n");
    csv_of("=cmd()", "'=cmd(),x\r\n");
    csv_of("\t@SUM(1)", "\"'\t@SUM(1)\",x\r\n");
    csv_of("-1+2", "'-1+2,x\r\n");
}

static void a_column_that_is_no_field_is_refused_by_name(void **state)
{
    (void)state;
    static struct csv csv;
    static const char *const cases[][2] = {
        {"client.prot", "--columns: there is no field 'client.prot'; did you mean 'client.port'?"},
        {"zzzzzzzz", "--columns: there is no field 'zzzzzzzz' (docs/fields.md)"},
        {"client", "--columns: 'client' is not one value: name a part of it"},
        {"client.ip.x", "--columns: 'client.ip.x' is not one value"},
        {"client.labels", "--columns: 'client.labels' is not one value"},
        {"event,", NULL},
        {",event", "--columns: '' is not one value: name a part of it"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        csv_begin(&csv, &out);
        error_clear(&err);
        const int result = csv_columns(&csv, "FlowRecord", cases[i][0], &err);
        assert_int_equal(result != 0, cases[i][1] != NULL);
        assert_string_equal(err.message, cases[i][1] != NULL ? cases[i][1] : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_cells),
        cmocka_unit_test(colour_takes_no_column),
        cmocka_unit_test(a_narrow_terminal_cuts_texts_and_never_words_or_figures),
        cmocka_unit_test(a_text_comes_back_as_it_was_and_is_no_formula),
        cmocka_unit_test(a_column_that_is_no_field_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
