#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void accept_text(struct config *config, const char *text)
{
    const int result = config_load_text(config, text, strlen(text), "sensor.yaml", &err);
    assert_string_equal(err.message, "");
    assert_int_equal(result, 0);
}

static void refuse_text(const char *text, const char *message)
{
    AUTO(config) config = new_config();
    assert_true(config_load_text(config, text, strlen(text), "sensor.yaml", &err) < 0);
    assert_string_equal(err.message, message);
}

static void nested_mappings_give_dotted_paths(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    accept_text(
        config,
        "# a comment\n"
        "capture:\n"
        "  interface: \"eth\\x30\"\n"
        "  snaplen: 256B\n"
        "  promiscuous: no\n"
        "  direction: in\n"
        "  filters:\n    - tcp port 80\n    - 'udp, or icmp'\n"
        "analysis:\n"
        "  anomalies:\n    syn_flood: {enabled: false, window: 10s}\n"
        "  kafka:\n    properties: {linger.ms: 5, sasl.password: \"a b\"}\n    password: ~\n"
        "flow:\n");
    assert_string_equal(settings.capture.interface, "eth0");
    assert_int_equal(settings.capture.snaplen_bytes, 256);
    assert_false(settings.capture.promiscuous);
    assert_string_equal(settings.capture.direction, "in");
    assert_int_equal(settings.capture.filters.count, 2);
    assert_string_equal(settings.capture.filters.items[1], "udp, or icmp");
    assert_false(settings.syn_flood.enabled);
    assert_int_equal(settings.syn_flood.window_ns, 10000000000);
    assert_int_equal(settings.kafka.properties.count, 2);
    assert_string_equal(settings.kafka.properties.keys[0], "linger.ms");
    assert_string_equal(settings.kafka.properties.values[0], "5");
    assert_string_equal(settings.kafka.password, "");
    assert_int_equal(settings.flow.flows_max, 1048576);
}

static void an_older_name_means_the_same(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    accept_text(config, "flow:\n  timeout_secs: 45.0\n");
    assert_int_equal(settings.flow.idle_timeout_ns, 45000000000);
    assert_true(config_is_set(config, "flow.idle_timeout"));
    refuse_text("flow:\n  timeout_secs: 45\n  idle_timeout: 45s\n",
                "sensor.yaml:3: duplicate key 'flow.idle_timeout' (first on line 2)");
}

static void an_empty_file_changes_nothing(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    accept_text(config, "");
    accept_text(config, "# only a comment\n");
    accept_text(config, "---\n...\n");
    accept_text(config, "capture:\nanalysis:\n  anomalies: ~\n");
    assert_int_equal(settings.flow.idle_timeout_ns, 60000000000);
}

static void an_unknown_key_is_refused_with_line_and_nearest_name(void **state)
{
    (void)state;
    refuse_text("\n\nflow:\n  flows_max: 3\n\n  idle_timout: 3s\n",
                "sensor.yaml:6: unknown key 'flow.idle_timout'; did you mean 'flow.idle_timeout'?");
    refuse_text("flwo:\n  flows_max: 3\n",
                "sensor.yaml:1: unknown key 'flwo'; did you mean 'flow'?");
    refuse_text("flows_max: 3\n",
                "sensor.yaml:1: unknown key 'flows_max'; did you mean 'flow.flows_max'?");
    refuse_text("quite_another_thing: 3\n", "sensor.yaml:1: unknown key 'quite_another_thing'");
    refuse_text("analysis:\n  anomalies:\n    syn_flod: {}\n",
                "sensor.yaml:3: unknown key 'analysis.anomalies.syn_flod'; did you mean "
                "'analysis.anomalies.syn_flood'?");
    refuse_text("\"flow\\n\\0\": 1\n", "sensor.yaml:1: unknown key 'flow '; did you mean 'flow'?");
}

static void a_wrong_type_is_refused(void **state)
{
    (void)state;
    refuse_text("flow: 3\n",
                "sensor.yaml:1: 'flow' is a section and must hold keys, not a single value");
    refuse_text("flow: [a]\n", "sensor.yaml:1: 'flow' is a section and must hold keys, not a list");
    refuse_text("flow:\n  flows_max: [1]\n",
                "sensor.yaml:2: 'flow.flows_max' must be a whole number, not a list");
    refuse_text("capture:\n  interface: {a: b}\n",
                "sensor.yaml:2: 'capture.interface' must be a text, not a mapping");
    refuse_text("capture:\n  filters: {a: b}\n",
                "sensor.yaml:2: 'capture.filters' must be a list, not a mapping");
    refuse_text("capture:\n  filters:\n    - a\n    - [b]\n",
                "sensor.yaml:4: 'capture.filters' must be a list of at most 1024 single values");
    refuse_text("analysis:\n  kafka:\n    properties: [a]\n",
                "sensor.yaml:3: 'analysis.kafka.properties' must be a mapping of keys to texts, "
                "not a list");
    refuse_text("analysis:\n  kafka:\n    properties:\n      a: [b]\n",
                "sensor.yaml:4: 'analysis.kafka.properties' must hold at most 1024 single values "
                "under their keys");
    refuse_text("[a, b]\n", "sensor.yaml:1: the file must hold sections with keys, not a list");
    refuse_text("{[a]: b}\n", "sensor.yaml:1: a key must be a name, not a list");
    refuse_text("flow:\n  flows_max: ~\n",
                "sensor.yaml:2: 'flow.flows_max' must be a whole number, not ''");
}

static void bounds_and_units_are_told_with_the_line(void **state)
{
    (void)state;
    refuse_text("capture:\n  snaplen: 1GiB\n",
                "sensor.yaml:2: 'capture.snaplen' is 1GiB, above the maximum of 256KiB");
    refuse_text("capture:\n  snaplen: 1500\n", "sensor.yaml:2: 'capture.snaplen' is '1500' without "
                                               "a unit; write '1500B' if that is meant");
    refuse_text("flow:\n  idle_timeout: 500ms\n",
                "sensor.yaml:2: 'flow.idle_timeout' is 500ms, below the minimum of 1s");
}

static void a_key_twice_is_refused(void **state)
{
    (void)state;
    refuse_text("flow:\n  flows_max: 3\n  flows_max: 4\n",
                "sensor.yaml:3: duplicate key 'flows_max' (first on line 2)");
    refuse_text("flow: {flows_max: 3}\ncapture: {}\nflow: {}\n",
                "sensor.yaml:3: duplicate key 'flow' (first on line 1)");
    refuse_text("analysis: {kafka: {properties: {a: 1, a: 2}}}\n",
                "sensor.yaml:1: 'analysis.kafka.properties' holds the key 'a' twice");
}

static void a_syntax_error_has_its_line(void **state)
{
    (void)state;
    refuse_text("flow:\n  flows_max: [1\ncapture: x\n",
                "sensor.yaml:3: YAML syntax error: did not find expected ',' or ']' while parsing "
                "a flow sequence");
    refuse_text("flow:\n\tflows_max: 1\n",
                "sensor.yaml:2: YAML syntax error: found character that cannot start any token "
                "while scanning for the next token");
    refuse_text("a: \xff\n",
                "sensor.yaml: YAML syntax error: invalid leading UTF-8 octet at byte 3");
    refuse_text("a: *b\n", "sensor.yaml:1: YAML syntax error: found undefined alias");
    refuse_text("flow: {}\n---\nflow: {}\n",
                "sensor.yaml:2: a second document begins here; one file holds one");
}

static void anchors_and_merges_work(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    accept_text(config, "flow: &base {flows_max: &n 77, idle_timeout: 7s}\n"
                        "analysis: {anomalies: {syn_flood: {window: 9s}}}\n");
    accept_text(config, "capture:\n  interface: &name eth7\n  filters: [*name, *name]\n");
    assert_int_equal(settings.flow.flows_max, 77);
    assert_string_equal(settings.capture.filters.items[1], "eth7");
    accept_text(config, "flow:\n  flows_max: 5\n  <<: {flows_max: 6, idle_timeout: 8s}\n");
    assert_int_equal(settings.flow.flows_max, 5);
    assert_int_equal(settings.flow.idle_timeout_ns, 8000000000);
    refuse_text("flow:\n  <<: 3\n",
                "sensor.yaml:2: '<<' must name one mapping, not a single value");
}

static void what_would_expand_or_nest_without_end_is_refused(void **state)
{
    (void)state;
    refuse_text("flow: &f\n  <<: *f\n", "sensor.yaml:1: nested too deeply");
    refuse_text("flow: [[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]\n",
                "sensor.yaml:1: nested too deeply");

    AUTO(config) config = new_config();
    char *many = malloc(200000);
    assert_non_null(many);
    size_t length = (size_t)sprintf(many, "capture:\n  filters: [");
    for (int i = 0; i < 9000; i++) {
        length += (size_t)sprintf(many + length, "a, ");
    }
    length += (size_t)sprintf(many + length, "a]\n");
    assert_true(config_load_text(config, many, length, "sensor.yaml", &err) < 0);
    assert_string_equal(err.message, "sensor.yaml:2: too many values in one file");
    length = (size_t)sprintf(many, "capture:\n  filters: [");
    for (int i = 0; i < 70; i++) {
        length += (size_t)sprintf(many + length, "&a%d a, ", i);
    }
    length += (size_t)sprintf(many + length, "a]\n");
    assert_true(config_load_text(config, many, length, "sensor.yaml", &err) < 0);
    assert_string_equal(err.message, "sensor.yaml:2: too many anchors");
    free(many);
}

static void an_alias_bomb_is_refused(void **state)
{
    (void)state;
    error_clear(&err);
    char text[16384];
    static const struct config_field plain[] = {{CONFIG_LIST, "l", 0, "", .help = ""},
                                                {.key = NULL}};
    static const char *const paths[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    struct config_list lists[ARRAY_COUNT(paths)];
    struct config_section tables[ARRAY_COUNT(paths)];
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        tables[i] = (struct config_section){paths[i], plain, &lists[i], NULL};
    }
    AUTO(config) wide = config_new(tables, ARRAY_COUNT(paths), "NETSCOPE", &err);
    assert_non_null(wide);
    size_t used = (size_t)snprintf(text, sizeof(text), "a: &m\n  l: [");
    for (int i = 0; i < 1000; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "x,");
    }
    used += (size_t)snprintf(text + used, sizeof(text) - used, "]\n");
    for (size_t i = 1; i < ARRAY_COUNT(paths); i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s: *m\n", paths[i]);
    }
    assert_true(config_load_text(wide, text, used, "sensor.yaml", &err) < 0);
    assert_non_null(strstr(err.message, "aliases expand to too many values"));
}

static void a_text_above_the_limit_is_refused(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    const size_t length = (1U << 20) + 1;
    char *text = malloc(length);
    assert_non_null(text);
    memset(text, '#', length);
    assert_int_equal(config_load_text(config, text, length, "sensor.yaml", &err), -EFBIG);
    assert_int_equal(config_load_text(config, text, length - 1, "sensor.yaml", &err), 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested_mappings_give_dotted_paths),
        cmocka_unit_test(an_older_name_means_the_same),
        cmocka_unit_test(an_empty_file_changes_nothing),
        cmocka_unit_test(an_unknown_key_is_refused_with_line_and_nearest_name),
        cmocka_unit_test(a_wrong_type_is_refused),
        cmocka_unit_test(bounds_and_units_are_told_with_the_line),
        cmocka_unit_test(a_key_twice_is_refused),
        cmocka_unit_test(a_syntax_error_has_its_line),
        cmocka_unit_test(anchors_and_merges_work),
        cmocka_unit_test(what_would_expand_or_nest_without_end_is_refused),
        cmocka_unit_test(an_alias_bomb_is_refused),
        cmocka_unit_test(a_text_above_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
