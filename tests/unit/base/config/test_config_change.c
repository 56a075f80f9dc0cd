/* Two configurations of one table: what differs, taking a value over, refusals in parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/base/config/sample_settings.h"

static struct sample_settings now, later;
static struct config_section now_sections[SAMPLE_SECTIONS], later_sections[SAMPLE_SECTIONS];
static struct error err;

static struct config *made(struct sample_settings *settings, struct config_section *sections,
                           const char *yaml)
{
    sample_sections(settings, sections);
    error_clear(&err);
    struct config *config = config_new(sections, SAMPLE_SECTIONS, "NETSCOPE", &err);
    assert_non_null(config);
    assert_int_equal(config_load_text(config, yaml, strlen(yaml), "a.yaml", &err), 0);
    return config;
}

static void note(void *context, const char *path, bool is_hot)
{
    char *text = context;
    strcat(strcat(strcat(text, is_hot ? "+" : "-"), path), " ");
}

static void what_differs_is_named_in_the_order_of_the_tables(void **state)
{
    (void)state;
    AUTO(config) a = made(&now, now_sections, "flow: {flows_max: 5}\n");
    AUTO(config)
    b = made(&later, later_sections,
             "flow: {idle_timeout: 9s, flows_max: 5, sample_rate: 0.25}\n"
             "capture: {filters: [tcp], interface: eth1, promiscuous: no}\n"
             "analysis: {kafka: {properties: {acks: \"1\"}, password: x}}\n");
    char text[500] = "";
    assert_int_equal(config_compare(a, b, note, text), 7);
    assert_string_equal(text, "-capture.interface -capture.promiscuous -capture.filters "
                              "+flow.idle_timeout -flow.sample_rate -analysis.kafka.properties "
                              "-analysis.kafka.password ");
    text[0] = '\0';
    assert_int_equal(config_compare(a, a, note, text), 0);
    assert_string_equal(text, "");
}

static void a_value_that_was_taken_over_lives_on_without_its_source(void **state)
{
    (void)state;
    AUTO(config) a = made(&now, now_sections, "");
    struct config *b = made(&later, later_sections,
                            "flow: {idle_timeout: 9s}\n"
                            "capture: {filters: [\"a,b\", c], interface: eth1, direction: in}\n");
    const char *before = now.capture.interface;
    char hash_before[17], hash_after[17];
    config_hash_text(a, hash_before);
    assert_int_equal(config_adopt(a, "flow.idle_timeout", b, &err), 0);
    assert_int_equal(config_adopt(a, "capture.filters", b, &err), 0);
    assert_int_equal(config_adopt(a, "capture.interface", b, &err), 0);
    assert_int_equal(config_adopt(a, "capture.direction", b, &err), 0);
    char text[100] = "";
    assert_int_equal(config_compare(a, b, note, text), 0);
    config_free(b);
    memset(&later, 0, sizeof(later));
    config_hash_text(a, hash_after);
    assert_string_not_equal(hash_before, hash_after);
    assert_int_equal(now.flow.idle_timeout_ns, 9000000000);
    assert_int_equal(now.capture.filters.count, 2);
    assert_string_equal(now.capture.filters.items[0], "a,b");
    assert_string_equal(now.capture.interface, "eth1");
    assert_string_equal(now.capture.direction, "in");
    assert_string_equal(before, ""); /* who still holds the old text may read it */
    assert_true(config_is_set(a, "flow.idle_timeout"));
}

static void what_cannot_be_taken_over_is_refused_by_name(void **state)
{
    (void)state;
    AUTO(config) a = made(&now, now_sections, "");
    AUTO(config) b = made(&later, later_sections, "");
    assert_true(config_adopt(a, "analysis.kafka.properties", b, &err) < 0);
    assert_non_null(strstr(err.message, "analysis.kafka.properties"));
    assert_true(config_adopt(a, "no.such", b, &err) < 0);
    assert_non_null(strstr(err.message, "no.such"));
}

/* A text that was printed has its secrets masked, in a comment. */
static void a_secret_that_is_masked_or_left_out_stays(void **state)
{
    static const char *const texts[] = {"flow: {flows_max: 5}\n",
                                        "analysis: {kafka: {password: \"***\"}}\n",
                                        "analysis: {kafka: {password: other}}\n"};
    static const char *const wanted[] = {"x", "x", "other"};
    static const uint32_t kept[] = {1, 1, 0};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        AUTO(config) a = made(&now, now_sections, "analysis: {kafka: {password: x}}\n");
        AUTO(config) b = made(&later, later_sections, texts[i]);
        uint32_t count = 9;

        assert_int_equal(config_keep_secrets(b, a, &count, &err), 0);
        assert_int_equal(count, kept[i]);
        assert_string_equal(later.kafka.password, wanted[i]);
    }
    AUTO(config) a = made(&now, now_sections, "");
    AUTO(config) b = made(&later, later_sections, "");
    uint32_t count = 9;

    assert_int_equal(config_keep_secrets(b, a, &count, &err), 0);
    assert_int_equal(count, 0);
}

static void a_refusal_has_path_and_line(void **state)
{
    (void)state;
    AUTO(config) a = made(&now, now_sections, "");
    const char *text = "flow:\n  flows_max: 0\n";
    struct config_issue issue;
    assert_true(config_load_text(a, text, strlen(text), "b.yaml", &err) < 0);
    config_issue_of(a, "b.yaml", &err, &issue);
    assert_string_equal(issue.path, "flow.flows_max");
    assert_int_equal(issue.line, 2);
    assert_string_equal(issue.reason, err.message);
    error_clear(&err);
    (void)error_set(&err, 5, "open b.yaml: no such file");
    config_issue_of(a, "b.yaml", &err, &issue);
    assert_string_equal(issue.path, "");
    assert_int_equal(issue.line, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_differs_is_named_in_the_order_of_the_tables),
        cmocka_unit_test(a_value_that_was_taken_over_lives_on_without_its_source),
        cmocka_unit_test(what_cannot_be_taken_over_is_refused_by_name),
        cmocka_unit_test(a_secret_that_is_masked_or_left_out_stays),
        cmocka_unit_test(a_refusal_has_path_and_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
