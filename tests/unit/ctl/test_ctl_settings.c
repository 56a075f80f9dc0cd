/* Flags, environment and file: what is taken, and how the rest is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/command.h"
#include "ctl/connection.h"
#include "ctl/observe.h"

static struct ctl ctl;
static struct config *config;
static struct error err;
static bool wants_help;

/* Reads `text`, parted at spaces, as what stands behind the command. */
static enum ctl_exit given(const struct ctl_command *command, const char *text)
{
    static char copy[400];
    static char *arguments[32];
    int count = 1;

    config_free(config);
    ctl = (struct ctl){0};
    error_clear(&err);
    config = ctl_settings_new(&ctl.settings, &err);
    assert_non_null(config);
    (void)snprintf(copy, sizeof(copy), "%s", text);
    arguments[0] = copy;
    for (char *at = strtok(copy, " "); at != NULL; at = strtok(NULL, " ")) {
        arguments[count++] = at;
    }
    arguments[count] = NULL;
    return ctl_read(&ctl, config, command, count, arguments, &wants_help, &err);
}

static void refused(const struct ctl_command *command, const char *text, const char *words)
{
    assert_int_equal(given(command, text), CTL_USAGE);
    if (strstr(err.message, words) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", text, err.message, words);
    }
}

static int set_up(void **state)
{
    static const char *const variables[] = {
        "NETSCOPE_SERVER",     "NETSCOPE_TLS_CA",  "NETSCOPE_TLS_CERT", "NETSCOPE_TLS_KEY",
        "NETSCOPE_TOKEN_FILE", "NETSCOPE_TIMEOUT", "XDG_CONFIG_HOME",   "HOME"};
    (void)state;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        (void)unsetenv(variables[i]);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    config_free(config);
    config = NULL;
    return 0;
}

static void flags_are_read(void **state)
{
    (void)state;
    assert_int_equal(
        given(&observe_command, "-F -n 5 -o table --sensor a,b --filter app=dns -s unix:/x"),
        CTL_OK);
    assert_true(ctl.options.follow);
    assert_int_equal(ctl.options.last, 5);
    assert_int_equal(ctl.options.form, FORM_TABLE);
    assert_string_equal(ctl.options.sensor, "a,b");
    assert_string_equal(ctl.options.filter, "app=dns");
    assert_string_equal(ctl.settings.server, "unix:/x");
    assert_int_equal(ctl.settings.timeout_ns, 10 * NS_PER_SEC);
}

static void wrong_flags_are_refused_by_name(void **state)
{
    (void)state;
    refused(&observe_command, "--folow", "did you mean --follow?");
    refused(&observe_command, "--last", "needs a value");
    refused(&observe_command, "--last none", "--last none");
    refused(&observe_command, "--last 0", "--last 0");
    refused(&observe_command, "-o xml", "compact (default), table, wide, json, jsonl");
    refused(&status_command, "-o jsonl", "--output jsonl");
    refused(&status_command, "--follow", "--follow");
    refused(&observe_command, "--first 1 --last 2", "exclude each other");
    refused(&observe_command, "--all --last 2", "exclude each other");
    refused(&observe_command, "--input-file - --follow", "exclude each other");
    refused(&observe_command, "--tls --plaintext", "exclude each other");
    refused(&observe_command, "--tls-cert a.pem", "--tls-cert is there without --tls-key");
    refused(&observe_command, "--timeout 10", "--timeout");
    refused(&observe_command, "--color red", "--color");
    refused(&observe_command, "flows.jsonl", "unexpected argument");
    refused(&observe_command, "--config /nowhere/ctl.yaml", "/nowhere/ctl.yaml");
}

static void help_needs_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(given(&observe_command, "--help --tls-cert a.pem"), CTL_OK);
    assert_true(wants_help);
}

static void a_flag_wins_over_the_environment_and_that_over_the_file(void **state)
{
    char directory[] = "/tmp/netscope-ctl-XXXXXX", path[200];
    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/ctl.yaml", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("client:\n  server: file.example:1\n  timeout: 3s\n  token_file: /t\n", file);
    (void)fclose(file);
    (void)setenv("NETSCOPE_TIMEOUT", "4s", 1);
    (void)setenv("NETSCOPE_SERVER", "environment.example:1", 1);
    char line[300];
    (void)snprintf(line, sizeof(line), "--config %s -s flag.example:1", path);

    assert_int_equal(given(&observe_command, line), CTL_OK);
    assert_string_equal(ctl.settings.server, "flag.example:1");
    assert_int_equal(ctl.settings.timeout_ns, 4 * NS_PER_SEC);
    assert_string_equal(ctl.settings.token_file, "/t");
    (void)setenv("NETSCOPE_TIMEOUT", "soon", 1);
    refused(&observe_command, "", "NETSCOPE_TIMEOUT");
    (void)unlink(path);
    (void)rmdir(directory);
}

static void another_machine_is_asked_by_tls(void **state)
{
    (void)state;
    assert_int_equal(given(&status_command, "-s 127.0.0.1:50052"), CTL_OK);
    assert_false(connection_wants_tls(&ctl.settings, "127.0.0.1:50052"));
    assert_false(connection_wants_tls(&ctl.settings, "unix:/run/sensor.sock"));
    assert_true(connection_wants_tls(&ctl.settings, "192.0.2.1:50052"));
    assert_true(connection_wants_tls(&ctl.settings, "collector.example:50052"));
    assert_int_equal(given(&status_command, "--plaintext"), CTL_OK);
    assert_false(connection_wants_tls(&ctl.settings, "192.0.2.1:50052"));
    assert_int_equal(given(&status_command, "--tls-ca system"), CTL_OK);
    assert_true(connection_wants_tls(&ctl.settings, "127.0.0.1:50052"));
}

static void observe_shows_the_last_twenty_unless_told_otherwise(void **state)
{
    const uint64_t now_ns = UINT64_C(1700000000) * NS_PER_SEC;
    struct observe_choice choice;
    (void)state;
    assert_int_equal(given(&observe_command, ""), CTL_OK);
    assert_int_equal(observe_choose(&ctl.options, now_ns, &choice, &err), 0);
    assert_int_equal(choice.last, 20);
    static const char *const unbounded[] = {"--all", "--since 1m", "--input-file -", "--first 3"};
    for (size_t i = 0; i < sizeof(unbounded) / sizeof(unbounded[0]); i++) {
        assert_int_equal(given(&observe_command, unbounded[i]), CTL_OK);
        assert_int_equal(observe_choose(&ctl.options, now_ns, &choice, &err), 0);
        assert_int_equal(choice.last, 0);
    }
    assert_int_equal(given(&observe_command, "--since 1m --until 2m"), CTL_OK);
    assert_true(observe_choose(&ctl.options, now_ns, &choice, &err) < 0);
    assert_non_null(strstr(err.message, "--until is not after --since"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flags_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_flags_are_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(help_needs_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flag_wins_over_the_environment_and_that_over_the_file,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_machine_is_asked_by_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(observe_shows_the_last_twenty_unless_told_otherwise, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
