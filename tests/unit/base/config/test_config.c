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

#include "tests/unit/base/config/sample_settings.h"

static struct sample_settings settings;
static struct config_section sections[SAMPLE_SECTIONS];
static struct error err;

static struct config *new_config(void)
{
    memset(&settings, 0xff, sizeof(settings));
    sample_sections(&settings, sections);
    error_clear(&err);
    struct config *config = config_new(sections, SAMPLE_SECTIONS, "NETSCOPE", &err);
    assert_non_null(config);
    return config;
}

static void settings_begin_with_their_defaults(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    assert_string_equal(settings.capture.interface, "");
    assert_int_equal(settings.capture.snaplen_bytes, 65535);
    assert_true(settings.capture.promiscuous);
    assert_string_equal(settings.capture.direction, "both");
    assert_int_equal(settings.capture.filters.count, 2);
    assert_string_equal(settings.capture.filters.items[1], "udp");
    assert_int_equal(settings.flow.idle_timeout_ns, 60000000000);
    assert_int_equal(settings.flow.flows_max, 1048576);
    assert_true(settings.flow.sample_rate == 0.5);
    assert_int_equal(settings.kafka.properties.count, 1);
    assert_string_equal(settings.kafka.properties.keys[0], "acks");
    assert_string_equal(settings.kafka.properties.values[0], "all");
    assert_false(config_is_set(config, "flow.idle_timeout"));
}

static void a_wrong_default_and_a_name_twice_are_refused(void **state)
{
    (void)state;
    uint64_t value;
    static const struct config_field wrong[] = {{CONFIG_U64, "n", 0, "x", .help = ""},
                                                {.key = NULL}};
    const struct config_section one = {"a", wrong, &value, NULL};
    assert_null(config_new(&one, 1, "NETSCOPE", &err));
    assert_string_equal(err.message,
                        "the default of a table: 'a.n' must be a whole number, not 'x'");
    static const struct config_field twice[] = {{CONFIG_U64, "n", 0, "1", .help = ""},
                                                {CONFIG_U64, "n", 0, "1", .help = ""},
                                                {.key = NULL}};
    const struct config_section two = {"a", twice, &value, NULL};
    assert_null(config_new(&two, 1, "NETSCOPE", &err));
    assert_string_equal(err.message, "the tables declare 'a.n' twice");
}

static void later_sources_win(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    static const char text[] =
        "flow: {idle_timeout: 10s, flows_max: 10}\ncapture: {interface: eth1}\n";
    assert_int_equal(config_load_text(config, text, strlen(text), "a.yaml", &err), 0);
    char *const environment[] = {"PATH=/bin", "NETSCOPE_CORPUS=/x", "NETSCOPE_FLOW__FLOWS_MAX=20",
                                 "NETSCOPE_CAPTURE__INTERFACE=eth2", NULL};
    assert_int_equal(config_load_environment(config, environment, &err), 0);
    assert_int_equal(config_set(config, "capture.interface", "eth3", "--interface", &err), 0);
    assert_int_equal(settings.flow.idle_timeout_ns, 10000000000);
    assert_int_equal(settings.flow.flows_max, 20);
    assert_string_equal(settings.capture.interface, "eth3");
    assert_true(config_is_set(config, "flow.idle_timeout"));
    assert_true(config_is_set(config, "flow.timeout_secs"));
    assert_false(config_is_set(config, "flow.sample_rate"));
    assert_false(config_is_set(config, "no.such"));
}

static void the_environment_reaches_every_section(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    char *const environment[] = {"NETSCOPE_ANALYSIS__ANOMALIES__SYN_FLOOD__ENABLED=off",
                                 "NETSCOPE_ANALYSIS__KAFKA__PROPERTIES=a=1, b = x=y",
                                 "NETSCOPE_CAPTURE__FILTERS=a,b , c",
                                 "NETSCOPE_FLOW__TIMEOUT_SECS=5", NULL};
    assert_int_equal(config_load_environment(config, environment, &err), 0);
    assert_false(settings.syn_flood.enabled);
    assert_int_equal(settings.kafka.properties.count, 2);
    assert_string_equal(settings.kafka.properties.keys[1], "b");
    assert_string_equal(settings.kafka.properties.values[1], "x=y");
    assert_int_equal(settings.capture.filters.count, 3);
    assert_string_equal(settings.capture.filters.items[2], "c");
    assert_int_equal(settings.flow.idle_timeout_ns, 5000000000);
}

static void refuse_variable(const char *variable, const char *message)
{
    AUTO(config) config = new_config();
    char *const environment[] = {(char *)(uintptr_t)variable, NULL};
    assert_true(config_load_environment(config, environment, &err) < 0);
    assert_string_equal(err.message, message);
}

static void a_wrong_variable_is_refused(void **state)
{
    (void)state;
    refuse_variable("NETSCOPE_FLOW__FLOW_MAX=1",
                    "unknown environment variable 'NETSCOPE_FLOW__FLOW_MAX'; did you mean "
                    "'NETSCOPE_FLOW__FLOWS_MAX'?");
    refuse_variable("NETSCOPE_ZZZ__QQQQQQQ=1",
                    "unknown environment variable 'NETSCOPE_ZZZ__QQQQQQQ'");
    refuse_variable("NETSCOPE_FLOW__FLOWS_MAX=0", "environment variable NETSCOPE_FLOW__FLOWS_MAX: "
                                                  "'flow.flows_max' is 0, below the minimum of 1");
    refuse_variable("NETSCOPE_CAPTURE__INTERFACE=\xff",
                    "environment variable NETSCOPE_CAPTURE__INTERFACE: 'capture.interface' holds a "
                    "byte that is no "
                    "text (UTF-8 without NUL)");
}

static void load_beside(const char *variable, int result, const char *message)
{
    static const char *const others[] = {"web", "flow", NULL};
    static const struct config_neighbour neighbour = {"other", "NETSCOPE_OTHER", others};
    AUTO(config) config = new_config();
    char *const environment[] = {(char *)(uintptr_t)variable, NULL};

    err = (struct error){0};
    config_set_neighbour(config, &neighbour);
    assert_int_equal(config_load_environment(config, environment, &err), result);
    assert_string_equal(err.message, message);
}

static void the_variables_of_another_program_are_taken_and_those_of_nobody_refused(void **state)
{
    (void)state;
    load_beside("NETSCOPE_OTHER_WEB__PORT=x", 0, "");
    load_beside("NETSCOPE_OTHER_FLOW__FLOWS_MAX=x", 0, "");
    load_beside("NETSCOPE_OTHER_WEBB__PORT=x", -EINVAL,
                "unknown environment variable 'NETSCOPE_OTHER_WEBB__PORT'");
    load_beside("NETSCOPE_WEB__PORT=x", -EINVAL,
                "unknown environment variable 'NETSCOPE_WEB__PORT'; did you mean "
                "'NETSCOPE_OTHER_WEB__PORT'?");
    load_beside("NETSCOPE__=x", 0, "");
    load_beside("NETSCOPE_OTHER_=x", 0, "");
    load_beside("NETSCOPE_=x", 0, "");
}

static void a_variable_that_lacks_an_underscore_is_noted(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    const struct config_slip *slips;
    char *const environment[] = {"NETSCOPE_FLOW_FLOWS_MAX=9", "NETSCOPE_FLOW_FLOWS=9",
                                 "NETSCOPE_CORPUS=/x", NULL};

    assert_int_equal(config_load_environment(config, environment, &err), 0);
    assert_int_equal(config_slips(config, &slips), 1);
    assert_string_equal(slips[0].given, "NETSCOPE_FLOW_FLOWS_MAX");
    assert_string_equal(slips[0].meant, "NETSCOPE_FLOW__FLOWS_MAX");
}

static void refuse_flag(const char *path, const char *value, const char *message)
{
    AUTO(config) config = new_config();
    assert_true(config_set(config, path, value, "--flag", &err) < 0);
    assert_string_equal(err.message, message);
    assert_false(config_is_set(config, path));
}

static void a_wrong_flag_is_refused(void **state)
{
    (void)state;
    refuse_flag("capture.snaplen", "10B",
                "--flag: 'capture.snaplen' is 10B, below the minimum of 64B");
    refuse_flag("capture.snaplen", "1MiB",
                "--flag: 'capture.snaplen' is 1MiB, above the maximum of 256KiB");
    refuse_flag(
        "capture.snaplen", "1500",
        "--flag: 'capture.snaplen' is '1500' without a unit; write '1500B' if that is meant");
    refuse_flag("flow.idle_timeout", "2h",
                "--flag: 'flow.idle_timeout' is 2h, above the maximum of 1h");
    refuse_flag("flow.idle_timeout", "soon",
                "--flag: 'flow.idle_timeout' must be a duration such as 30s or 1h30m (units ns us "
                "ms s m h d), not 'soon'");
    refuse_flag("flow.flows_max", "-1",
                "--flag: 'flow.flows_max' must be a whole number, not '-1'");
    refuse_flag("flow.flows_max", "1 2",
                "--flag: 'flow.flows_max' must be a whole number, not '1 2'");
    refuse_flag("flow.flows_max", "99999999999999999999",
                "--flag: 'flow.flows_max' is 99999999999999999999, above what 64 bits hold");
    refuse_flag("flow.sample_rate", "1.5",
                "--flag: 'flow.sample_rate' is 1.5, above the maximum of 1");
    refuse_flag("flow.sample_rate", "nan",
                "--flag: 'flow.sample_rate' must be a number, not 'nan'");
    refuse_flag("flow.sample_rate", "0x1",
                "--flag: 'flow.sample_rate' must be a number, not '0x1'");
    refuse_flag("capture.promiscuous", "maybe",
                "--flag: 'capture.promiscuous' must be true or false, not 'maybe'");
    refuse_flag("capture.direction", "up",
                "--flag: 'capture.direction' must be one of in|out|both, not 'up'");
    refuse_flag("capture.direction", "in|out",
                "--flag: 'capture.direction' must be one of in|out|both, not 'in|out'");
    refuse_flag("capture.interface", "averyveryverylongname",
                "--flag: 'capture.interface' has 21 bytes, above the maximum of 15");
    refuse_flag("capture.filters", "1,2,3,4,5,6",
                "--flag: 'capture.filters' has 6 items, above the maximum of 5");
    refuse_flag("analysis.kafka.codecs", "lz4,gzip",
                "--flag: 'analysis.kafka.codecs' must be one of lz4|zstd|none, not 'gzip'");
    refuse_flag("analysis.kafka.properties", "a",
                "--flag: 'analysis.kafka.properties' must be written key=value,key=value");
    refuse_flag("flow.idle_timout", "1s",
                "--flag: unknown key 'flow.idle_timout'; did you mean 'flow.idle_timeout'?");
    refuse_flag("idle_timeout", "1s",
                "--flag: unknown key 'idle_timeout'; did you mean 'flow.idle_timeout'?");
    refuse_flag("xyzzy", "1s", "--flag: unknown key 'xyzzy'");
}

static void a_refusal_does_not_tell_a_secret(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    char secret[5000];
    memset(secret, 's', sizeof(secret));
    secret[sizeof(secret) - 1] = '\0';
    assert_true(config_set(config, "analysis.kafka.password", secret, "--password", &err) < 0);
    assert_null(strstr(err.message, "ssss"));
}

static void a_file_is_read_and_named_in_refusals(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    char path[] = "/tmp/test_config_XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    static const char text[] = "flow:\n  idle_timeout: 5s\n  flws_max: 3\n";
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    assert_int_equal(close(file), 0);
    assert_int_equal(config_load_file(config, path, &err), -EINVAL);
    char expected[200];
    (void)snprintf(expected, sizeof(expected),
                   "%s:3: unknown key 'flow.flws_max'; did you mean 'flow.flows_max'?",
                   path + strlen("/tmp/"));
    assert_string_equal(err.message, expected);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(config_load_file(config, path, &err), -ENOENT);
    assert_non_null(strstr(err.message, "No such file"));
    assert_int_equal(config_load_file(config, "/tmp", &err), -EISDIR);
    assert_int_equal(config_load_file(config, "/dev/zero", &err), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_begin_with_their_defaults),
        cmocka_unit_test(a_wrong_default_and_a_name_twice_are_refused),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(the_environment_reaches_every_section),
        cmocka_unit_test(the_variables_of_another_program_are_taken_and_those_of_nobody_refused),
        cmocka_unit_test(a_variable_that_lacks_an_underscore_is_noted),
        cmocka_unit_test(a_wrong_variable_is_refused),
        cmocka_unit_test(a_wrong_flag_is_refused),
        cmocka_unit_test(a_refusal_does_not_tell_a_secret),
        cmocka_unit_test(a_file_is_read_and_named_in_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
