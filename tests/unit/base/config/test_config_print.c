#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/base/config/sample_settings.h"

static struct error err;

static struct config *new_config(struct sample_settings *settings, struct config_section *sections)
{
    sample_sections(settings, sections);
    error_clear(&err);
    struct config *config = config_new(sections, SAMPLE_SECTIONS, "NETSCOPE", &err);
    assert_non_null(config);
    return config;
}

static char *printed(const struct config *config, void (*print)(const struct config *, FILE *))
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    print(config, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void the_printed_file_reads_back_to_the_same_settings(void **state)
{
    (void)state;
    struct sample_settings first, second;
    struct config_section first_sections[SAMPLE_SECTIONS], second_sections[SAMPLE_SECTIONS];
    static const char *const interfaces[] = {"eth0",
                                             "null",
                                             "yes",
                                             "a: b",
                                             "#x",
                                             "tab\there",
                                             "10",
                                             "e\xc2\x85n\xef\xbb\xbf",
                                             "\xf0\x9f\x98\x80",
                                             "quote\"back\\",
                                             "-x",
                                             " x ",
                                             "~",
                                             "",
                                             "nl\nnl",
                                             "a:"};
    for (size_t i = 0; i < ARRAY_COUNT(interfaces); i++) {
        AUTO(config) config = new_config(&first, first_sections);
        assert_int_equal(config_set(config, "capture.interface", interfaces[i], "", &err), 0);
        assert_int_equal(config_set(config, "capture.snaplen", "1536B", "", &err), 0);
        assert_int_equal(config_set(config, "flow.idle_timeout", "90500ms", "", &err), 0);
        assert_int_equal(config_set(config, "flow.sample_rate", "0.30000000000000004", "", &err),
                         0);
        assert_int_equal(config_set(config, "capture.filters", "a b,tcp:,x:y,null", "", &err), 0);
        assert_int_equal(config_set(config, "analysis.kafka.properties", "a.b=c d,e=", "", &err),
                         0);
        char *text = printed(config, config_print_yaml);

        AUTO(config) again = new_config(&second, second_sections);
        const int result = config_load_text(again, text, strlen(text), "printed.yaml", &err);
        assert_string_equal(err.message, "");
        assert_int_equal(result, 0);
        assert_string_equal(second.capture.interface, first.capture.interface);
        assert_int_equal(second.capture.snaplen_bytes, first.capture.snaplen_bytes);
        assert_int_equal(second.flow.idle_timeout_ns, first.flow.idle_timeout_ns);
        assert_true(second.flow.sample_rate == first.flow.sample_rate);
        assert_int_equal(second.capture.filters.count, 4);
        for (uint32_t j = 0; j < 4; j++) {
            assert_string_equal(second.capture.filters.items[j], first.capture.filters.items[j]);
        }
        assert_int_equal(second.kafka.properties.count, 2);
        assert_string_equal(second.kafka.properties.values[0], "c d");
        assert_string_equal(second.kafka.properties.values[1], "");
        char first_hash[17], second_hash[17];
        config_hash_text(config, first_hash);
        config_hash_text(again, second_hash);
        assert_string_equal(first_hash, second_hash);
        free(text);
    }
}

static void the_printed_file_explains_each_key(void **state)
{
    (void)state;
    struct sample_settings settings;
    struct config_section sections[SAMPLE_SECTIONS];
    AUTO(config) config = new_config(&settings, sections);
    char *text = printed(config, config_print_yaml);
    static const char *const parts[] = {
        "# Packets.\ncapture:\n",
        "  # Bytes kept of each packet. Default: 65535B; 64B to 256KiB.\n  snaplen: 65535B\n",
        "  # Interface to read. Default: empty; 0 to 15 bytes long.\n  interface: \"\"\n",
        "  # Which way. Default: both; in, out, both.\n  direction: both\n",
        "  idle_timeout: 1m\n",
        "Default: 60s; 1s to 1h; may change without a restart.\n",
        "analysis:\n  anomalies:\n    # SYN floods.\n    syn_flood:\n",
        "      # On. Default: true.\n      enabled: true\n",
        "  # Kafka.\n  kafka:\n",
        "      # On. Default: true.\n      enabled: true\n",
        "    codecs: [lz4]\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        if (strstr(text, parts[i]) == NULL) {
            print_message("missing: %s\nin:\n%s", parts[i], text);
            fail();
        }
    }
    const char *analysis = strstr(text, "\nanalysis:");
    assert_non_null(analysis);
    assert_null(
        strstr(analysis + 1, "\nanalysis:")); /* sections with one beginning are printed together */
    free(text);
}

static void a_secret_is_not_printed(void **state)
{
    (void)state;
    struct sample_settings settings;
    struct config_section sections[SAMPLE_SECTIONS];
    AUTO(config) config = new_config(&settings, sections);
    assert_int_equal(config_set(config, "analysis.kafka.password", "hunter2", "", &err), 0);
    char *text = printed(config, config_print_yaml);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "\n    # password: \"***\"\n"));
    free(text);
    text = printed(config, config_print_markdown);
    assert_null(strstr(text, "hunter2"));
    free(text);
}

static void the_tables_are_printed_as_markdown(void **state)
{
    (void)state;
    struct sample_settings settings;
    struct config_section sections[SAMPLE_SECTIONS];
    AUTO(config) config = new_config(&settings, sections);
    char *text = printed(config, config_print_markdown);
    assert_non_null(strstr(text, "## `capture`\n\nPackets.\n\n| key | type | default |"));
    assert_non_null(
        strstr(text, "| `snaplen` | size | `65535B` | 64B to 256KiB | Bytes kept of each packet. | "
                     "`NETSCOPE_CAPTURE__SNAPLEN` |\n"));
    assert_non_null(strstr(text, "| `direction` | choice | `both` | in, out, both | Which way. |"));
    free(text);
}

static void the_hash_changes_with_a_setting(void **state)
{
    (void)state;
    struct sample_settings settings;
    struct config_section sections[SAMPLE_SECTIONS];
    AUTO(config) config = new_config(&settings, sections);
    char before[17], after[17];
    config_hash_text(config, before);
    assert_int_equal(strlen(before), 16);
    assert_int_equal(config_set(config, "flow.flows_max", "5", "", &err), 0);
    config_hash_text(config, after);
    assert_string_not_equal(before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_printed_file_reads_back_to_the_same_settings),
        cmocka_unit_test(the_printed_file_explains_each_key),
        cmocka_unit_test(a_secret_is_not_printed),
        cmocka_unit_test(the_tables_are_printed_as_markdown),
        cmocka_unit_test(the_hash_changes_with_a_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
