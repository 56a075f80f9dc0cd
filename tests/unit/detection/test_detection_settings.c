/* The settings of every detector of the table: what is out of bounds or contradicts itself refuses
 * with file and line, and what is right is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detection/detector.h"

#define ROOT "analysis.anomalies"

/* Loads a file's text and compiles it. True: taken. */
static bool take(const char *text, struct detection_settings *out, struct error *err)
{
    struct detection_config *from = calloc(1, sizeof(*from));
    struct config_section sections[DETECTION_SECTIONS_MAX];

    assert_non_null(from);
    *err = (struct error){0};
    AUTO(config) config = config_new(sections, detection_sections(from, sections), "NETSCOPE", err);

    assert_non_null(config);
    const bool is_taken = config_load_text(config, text, strlen(text), "test.yaml", err) == 0 &&
                          detection_compile(from, config, out, err) == 0;

    free(from);
    return is_taken;
}

static struct detection_settings settings;

/* `line` is what stands on the fourth line, below the detector's name; `part` what the refusal
 * says. */
static void expect_refusal(const char *detector, const char *line, unsigned at, const char *part)
{
    struct error err;
    char text[512], place[32];

    (void)snprintf(text, sizeof(text), "analysis:\n  anomalies:\n    %s:\n%s\n", detector, line);
    (void)snprintf(place, sizeof(place), "test.yaml:%u: ", at);
    if (take(text, &settings, &err)) {
        fail_msg("taken:\n%s", text);
    }
    if (strncmp(err.message, place, strlen(place)) != 0 || strstr(err.message, detector) == NULL ||
        strstr(err.message, part) == NULL) {
        fail_msg("%s is refused by: %s", text, err.message);
    }
}

static void levels_that_do_not_rise_are_refused_for_each_detector(void **state)
{
    uint32_t with_levels = 0;

    (void)state;
    for (uint32_t i = 0; i < detector_count(); i++) {
        const struct detector_ops *ops = detector_table[i];
        char line[256];

        if (ops->defaults.medium == NULL) {
            continue;
        }
        with_levels++;
        const double medium = strtod(ops->defaults.medium, NULL);

        (void)snprintf(line, sizeof(line), "      levels:\n        high: %.10g", medium);
        expect_refusal(ops->name, line, 5, "the levels must rise");
        (void)snprintf(line, sizeof(line),
                       "      levels:\n        high: %.10g\n        critical: %.10g", medium * 8,
                       medium * 2);
        expect_refusal(ops->name, line, 6, "the levels must rise");
        if (ops->defaults.medium_key == NULL) {
            (void)snprintf(line, sizeof(line), "      levels:\n        medium: %.10g",
                           ops->defaults.medium_min / 2);
            expect_refusal(ops->name, line, 5, "levels.medium");
            (void)snprintf(line, sizeof(line), "      levels:\n        medium: %.10g",
                           ops->defaults.medium_max * 2);
            expect_refusal(ops->name, line, 5, "levels.medium");
        }
    }
    assert_int_equal(with_levels, detector_count());
}

/* Below and above the bounds of each number of each detector. */
static void numbers_out_of_bounds_are_refused_for_each_detector(void **state)
{
    struct detection_config *from = calloc(1, sizeof(*from));
    struct config_section sections[DETECTION_SECTIONS_MAX];
    uint32_t tried = 0;

    (void)state;
    assert_non_null(from);
    (void)detection_sections(from, sections);
    for (uint32_t i = 0; i < detector_count(); i++) {
        for (const struct config_field *field = from->fields[i]; field->key != NULL; field++) {
            char line[128];
            const bool is_time = field->type == CONFIG_DURATION;
            const char *unit = is_time                        ? "ns"
                               : field->type == CONFIG_BYTES  ? "B"
                               : field->type == CONFIG_U64    ? ""
                               : field->type == CONFIG_DOUBLE ? ""
                                                              : NULL;
            if (unit == NULL) {
                continue;
            }
            if (field->min > 0) {
                (void)snprintf(line, sizeof(line), "      %s: %.0f%s", field->key,
                               field->min >= 2 ? field->min - 1 : 0, unit);
                expect_refusal(detector_table[i]->name, line, 4, field->key);
                tried++;
            }
            if (field->max < 1e15) {
                (void)snprintf(line, sizeof(line), "      %s: %.0f%s", field->key,
                               field->max * 2 + 1, unit);
                expect_refusal(detector_table[i]->name, line, 4, field->key);
                tried++;
            }
            (void)snprintf(line, sizeof(line), "      %s: many", field->key);
            expect_refusal(detector_table[i]->name, line, 4, field->key);
        }
    }
    free(from);
    assert_true(tried > 4 * detector_count());
}

static void words_that_are_none_are_refused_for_each_detector(void **state)
{
    static const struct {
        const char *line, *part;
    } wrong[] = {{"      mode: perhaps", "mode"},
                 {"      thresholds: 3", "thresholds"},
                 {"      exempt_sources: [10.0.0.0/33]", "exempt_sources"},
                 {"      exempt_targets: [\"2001:db8::/200\"]", "exempt_targets"},
                 {"      exempt_ports: [65536]", "exempt_ports"},
                 {"      exempt_ports: [http]", "exempt_ports"},
                 {"      overrides: [10.0.0.0/8]", "overrides"},
                 {"      overrides: [\"10.0.0.0/8 medium=0\"]", "overrides"},
                 {"      overrides: [\"10.0.0.0/8 low=3\"]", "overrides"},
                 {"      overrides: [\"10.0.0.0/8 mode=quiet\"]", "overrides"},
                 {"      overrides: [\"10.0.0.0/8 medium=7 high=7\"]", "must rise"},
                 {"      overrides: [\"10.0.0.0/8 medium=7 high=9 critical=8\"]", "must rise"}};

    (void)state;
    for (uint32_t i = 0; i < detector_count(); i++) {
        for (size_t j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++) {
            expect_refusal(detector_table[i]->name, wrong[j].line, 4, wrong[j].part);
        }
    }
}

static void what_is_right_is_taken_for_each_detector(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < detector_count(); i++) {
        struct error err;
        char text[512];

        (void)snprintf(text, sizeof(text),
                       "analysis:\n  anomalies:\n    %s:\n      enabled: true\n      mode: learn\n"
                       "      exempt_sources: [10.1.0.0/16, \"2001:db8::/32\"]\n"
                       "      exempt_targets: [10.2.0.1]\n      exempt_ports: [0, 65535]\n"
                       "      overrides: [\"10.0.0.0/8 medium=3 mode=log\"]\n",
                       detector_table[i]->name);
        if (!take(text, &settings, &err)) {
            fail_msg("%s", err.message);
        }
        const struct detector_rules *rules = &settings.rules[i];

        assert_int_equal(rules->mode, DETECTOR_LEARN);
        assert_int_equal(rules->exempt_sources_count, 2);
        assert_int_equal(rules->exempt_targets_count, 1);
        assert_int_equal(rules->exempt_ports_count, 2);
        assert_int_equal(rules->overrides_count, 1);
        assert_int_equal(rules->overrides[0].mode, DETECTOR_LOG);
        assert_true(rules->overrides[0].levels[LEVEL_MEDIUM] == 3);
        assert_true(rules->overrides[0].levels[LEVEL_HIGH] == 12);
        assert_true(rules->overrides[0].levels[LEVEL_CRITICAL] == 60);
    }
}

static void servers_that_are_no_addresses_are_refused(void **state)
{
    struct error err;

    (void)state;
    expect_refusal("rogue_server", "      servers: [10.0.0.1, dhcp.example]", 4,
                   "'dhcp.example' is no address");
    assert_true(take("analysis:\n  anomalies:\n    rogue_server:\n      servers: [10.0.0.1, "
                     "\"fe80::1\"]\n",
                     &settings, &err));
}

/* What detections share, and a file that is refused says where. */
static void sizes_are_bounded(void **state)
{
    struct error err;

    (void)state;
    assert_false(take("analysis:\n  anomalies:\n    victims_max: 15\n", &settings, &err));
    assert_non_null(strstr(err.message, "test.yaml:3: "));
    assert_false(take("analysis:\n  anomalies:\n    keys_max: 65537\n", &settings, &err));
    assert_false(take("analysis:\n  anomalies:\n    warm_up: 2h\n", &settings, &err));
    assert_true(
        take("analysis:\n  anomalies:\n    warm_up: 1h\n    victims_max: 16\n", &settings, &err));
    assert_int_equal(settings.victims_max, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_that_do_not_rise_are_refused_for_each_detector),
        cmocka_unit_test(numbers_out_of_bounds_are_refused_for_each_detector),
        cmocka_unit_test(words_that_are_none_are_refused_for_each_detector),
        cmocka_unit_test(what_is_right_is_taken_for_each_detector),
        cmocka_unit_test(servers_that_are_no_addresses_are_refused),
        cmocka_unit_test(sizes_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
