/* A table of flags: what is read, refused and set. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config/command.h"
#include "tests/unit/base/config/sample_settings.h"

enum { OWN_FIRST = COMMAND_OWN, OWN_SECOND };

static const struct command_flag flags[] = {
    {"interface", 'i', COMMAND_SET, "IFACE", "capture.interface", NULL, "read from it"},
    {"snaplen", 0, COMMAND_SET, "N", "capture.snaplen", "capture.promiscuous", "bytes kept"},
    {"plain", 'p', COMMAND_FIXED, NULL, "capture.promiscuous", "false", "only for this host"},
    {"filter", 0, COMMAND_ADD, "TEXT", "capture.filters", NULL, "one more"},
    {"verbose", 'v', COMMAND_VERBOSE, NULL, NULL, NULL, "log more"},
    {"first", 0, OWN_FIRST, "TEXT", NULL, NULL, "something"},
    {"second", 0, OWN_SECOND, NULL, NULL, NULL, "something else"},
};

static struct sample_settings settings;
static struct config_section sections[SAMPLE_SECTIONS];
static struct error err;
static char noted[100];

static int note(void *context, int action, const char *argument, struct error *error)
{
    (void)context;
    const size_t used = strlen(noted);
    (void)snprintf(noted + used, sizeof(noted) - used, "%s%s",
                   action == OWN_FIRST ? " first=" : " second", argument != NULL ? argument : "");
    return argument != NULL && strcmp(argument, "bad") == 0 ? error_set(error, 22, "bad") : 0;
}

/* Reads `text`, parted at spaces, and applies it. */
static int given(const char *text, struct command_line *line)
{
    static char copy[200];
    static char *arguments[20];
    int count = 1;
    sample_sections(&settings, sections);
    AUTO(config) config = config_new(sections, SAMPLE_SECTIONS, "NETSCOPE", &err);
    assert_non_null(config);
    (void)snprintf(copy, sizeof(copy), "%s", text);
    arguments[0] = copy;
    for (char *at = strtok(copy, " "); at != NULL; at = strtok(NULL, " ")) {
        arguments[count++] = at;
    }
    arguments[count] = NULL;
    noted[0] = '\0';
    error_clear(&err);
    int result =
        command_line_read(line, flags, sizeof(flags) / sizeof(flags[0]), count, arguments, &err);
    if (result == 0) {
        result = command_line_note(line, note, NULL, &err);
    }
    if (result == 0) {
        result = command_line_apply(line, config, &err);
    }
    command_line_fini(line);
    return result;
}

static void flags_set_settings_and_the_last_of_a_kind_wins(void **state)
{
    struct command_line line;
    (void)state;
    assert_int_equal(given("-vv --snaplen 100B --snaplen=200B -p --verbose", &line), 0);
    assert_int_equal(settings.capture.snaplen_bytes, 200);
    assert_false(settings.capture.promiscuous); /* the table's order: -p comes behind */
    assert_int_equal(line.verbosity, 3);
    assert_int_equal(given("--snaplen 100B", &line), 0);
    assert_true(settings.capture.promiscuous);
}

static void arguments_behind_a_list_belong_to_it(void **state)
{
    struct command_line line;
    (void)state;
    assert_int_equal(given("--filter a,b c -p d", &line), 0);
    assert_int_equal(settings.capture.filters.count, 3);
    assert_true(given("a", &line) < 0);
    assert_string_equal(err.message, "a: unexpected argument (see --help)");
}

static void explain(const char *arguments, const char *message)
{
    static const char *const commands[] = {"doctor", "fields", NULL};
    struct command_line line;

    assert_true(given(arguments, &line) < 0);
    assert_int_equal(command_line_explain(&line, "prog", commands, "a file follows --read", &err),
                     -EINVAL);
    assert_string_equal(err.message, message);
}

static void as_many_operands_as_there_may_be_are_taken_wherever_they_stand(void **state)
{
    char *arguments[] = {"x", "a", "--plain", "b", "--first", "one", "c", NULL};
    struct command_line line;
    (void)state;
    error_clear(&err);
    assert_int_equal(
        command_line_read_operands(&line, flags, ARRAY_COUNT(flags), 3, 7, arguments, &err), 0);
    assert_int_equal(line.operands_count, 3);
    assert_string_equal(line.operands[0], "a");
    assert_string_equal(line.operands[2], "c");
    assert_null(line.unexpected);
    command_line_fini(&line);
    assert_int_equal(
        command_line_read_operands(&line, flags, ARRAY_COUNT(flags), 2, 7, arguments, &err),
        -EINVAL);
    assert_string_equal(err.message, "c: unexpected argument (see --help)");
    assert_int_equal(line.operands_count, 2);
    command_line_fini(&line);
}

static void an_argument_of_no_flag_is_told_where_it_belongs(void **state)
{
    (void)state;
    explain("x.pcap", "x.pcap: unexpected argument; a file follows --read (see --help)");
    explain("-p doctor", "doctor: a command comes first: prog doctor ... (see --help)");
    explain("dotcor", "dotcor: unknown command; did you mean doctor? (see --help)");
    explain("--nothing", "--nothing: unknown option (see --help)");
}

static void what_is_wrong_is_named(void **state)
{
    struct command_line line;
    (void)state;
    assert_true(given("--nothing", &line) < 0);
    assert_string_equal(err.message, "--nothing: unknown option (see --help)");
    assert_true(given("--plian", &line) < 0);
    assert_string_equal(err.message, "--plian: unknown option; did you mean --plain? (see --help)");
    assert_true(given("--snaplenn=100B", &line) < 0);
    assert_string_equal(err.message,
                        "--snaplenn=100B: unknown option; did you mean --snaplen? (see --help)");
    assert_true(given("-x", &line) < 0);
    assert_string_equal(err.message, "-x: unknown option (see --help)");
    assert_true(given("--interface", &line) < 0);
    assert_string_equal(err.message, "--interface: needs a value (see --help)");
    assert_true(given("--snaplen 1B", &line) < 0);
    assert_non_null(strstr(err.message, "--snaplen: 'capture.snaplen'"));
    assert_true(given("--first bad", &line) < 0);
    assert_string_equal(err.message, "bad");
}

static void own_flags_are_told_in_the_order_of_the_table(void **state)
{
    struct command_line line;
    (void)state;
    assert_int_equal(given("--second --first x", &line), 0);
    assert_string_equal(noted, " first=x second");
    assert_int_equal(command_line_exclude(&line, "first", "plain", &err), 0);
    assert_true(command_line_exclude(&line, "first", "second", &err) < 0);
    assert_string_equal(err.message, "--first and --second exclude each other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_set_settings_and_the_last_of_a_kind_wins),
        cmocka_unit_test(arguments_behind_a_list_belong_to_it),
        cmocka_unit_test(as_many_operands_as_there_may_be_are_taken_wherever_they_stand),
        cmocka_unit_test(an_argument_of_no_flag_is_told_where_it_belongs),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(own_flags_are_told_in_the_order_of_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
