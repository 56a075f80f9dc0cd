/* Sections under names of the user's choice, and fields with a check of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config/config.h"

struct cluster {
    const char *brokers;
    uint64_t queue;
    struct config_map properties;
};

static int check(const char *key, const char *value, struct error *err)
{
    if (key != NULL && strcmp(key, "bad.key") == 0) {
        return error_set(err, EINVAL, "bad.key is not allowed");
    }
    return strcmp(value, "wrong") == 0 ? error_set(err, EINVAL, "'wrong' is wrong") : 0;
}

static const struct config_field fields[] = {
    {.type = CONFIG_TEXT,
     .key = "brokers",
     .offset = offsetof(struct cluster, brokers),
     .value = "",
     .max = 100,
     .help = "Brokers.",
     .check = check},
    {.type = CONFIG_U64,
     .key = "queue",
     .offset = offsetof(struct cluster, queue),
     .value = "100",
     .max = 1000,
     .help = "Queue."},
    {.type = CONFIG_MAP,
     .key = "properties",
     .offset = offsetof(struct cluster, properties),
     .value = "",
     .help = "Properties.",
     .check = check},
    {0},
};

static struct cluster first;
static struct cluster clusters[2];
static const char *names[2];
static const struct config_named named = {"clusters",         fields, "More.", 2, names, clusters,
                                          sizeof(clusters[0])};
static const struct config_section section = {"kafka", fields, &first, "Kafka."};
static struct error err;

static struct config *new_config(void)
{
    memset(names, 0, sizeof(names));
    memset(clusters, 0, sizeof(clusters));
    error_clear(&err);
    struct config *config = config_new(&section, 1, "NETSCOPE", &err);

    assert_non_null(config);
    assert_int_equal(config_add_named(config, &named, &err), 0);
    return config;
}

static int load(struct config *config, const char *text)
{
    return config_load_text(config, text, strlen(text), "f.yaml", &err);
}

static void a_name_makes_a_section_with_defaults(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    char *environment[] = {(char *)(uintptr_t) "NETSCOPE_CLUSTERS__LAB__QUEUE=7", NULL};

    assert_int_equal(load(config, "clusters:\n  paris-1:\n    brokers: a:1\n"
                                  "    properties:\n      acks: all\n"),
                     0);
    assert_string_equal(names[0], "paris-1");
    assert_string_equal(clusters[0].brokers, "a:1");
    assert_int_equal(clusters[0].queue, 100);
    assert_string_equal(clusters[0].properties.values[0], "all");
    assert_null(names[1]);
    assert_int_equal(config_load_environment(config, environment, &err), 0);
    assert_string_equal(names[1], "lab");
    assert_int_equal(clusters[1].queue, 7);
    assert_int_equal(config_set(config, "clusters.paris-1.queue", "9", "--x", &err), 0);
    assert_int_equal(clusters[0].queue, 9);
    assert_int_equal(first.queue, 100);
}

static void without_a_name_nothing_is_there(void **state)
{
    (void)state;
    AUTO(config) config = new_config();

    assert_int_equal(load(config, "clusters:\nkafka:\n  queue: 5\n"), 0);
    assert_null(names[0]);
}

static void wrong_names_keys_and_one_too_many_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"clusters:\n  Paris:\n    queue: 1\n", "f.yaml:2: 'Paris' is no name for a section of"},
        {"clusters:\n  a b:\n    queue: 1\n", "f.yaml:2: 'a b' is no name"},
        {"clusters:\n  a:\n    quee: 1\n",
         "f.yaml:3: unknown key 'clusters.a.quee'; did you mean 'clusters.a.queue'?"},
        {"clusters:\n  a:\n    queue: 1001\n", "f.yaml:3: 'clusters.a.queue'"},
        {"clusters:\n  a: {queue: 1}\n  b: {queue: 1}\n  c: {queue: 1}\n",
         "f.yaml:4: clusters holds more than 2 sections"},
        {"clusters:\n  a: 5\n", "f.yaml:2: 'clusters.a' is a section"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        AUTO(config) config = new_config();

        assert_int_not_equal(load(config, cases[i].text), 0);
        if (strstr(err.message, cases[i].wanted) != err.message) {
            fail_msg("\"%s\", not \"%s\"", err.message, cases[i].wanted);
        }
    }
}

static void a_check_of_the_field_refuses_with_the_line_of_the_pair(void **state)
{
    (void)state;
    AUTO(config) config = new_config();

    assert_int_not_equal(load(config, "kafka:\n  brokers: wrong\n"), 0);
    assert_string_equal(err.message, "f.yaml:2: 'wrong' is wrong");
    error_clear(&err);
    assert_int_not_equal(load(config, "kafka:\n  properties:\n    acks: all\n    bad.key: 1\n"), 0);
    assert_string_equal(err.message, "f.yaml:4: bad.key is not allowed");
    error_clear(&err);
    assert_int_not_equal(config_set(config, "kafka.brokers", "wrong", "--kafka", &err), 0);
    assert_string_equal(err.message, "--kafka: 'wrong' is wrong");
    assert_int_equal(config_set(config, "kafka.brokers", "", "--kafka", &err), 0);
}

static void named_sections_are_printed_when_they_are_there(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    char *text = NULL;
    size_t length = 0;

    assert_int_equal(load(config, "clusters:\n  b:\n    queue: 3\n  a:\n    queue: 4\n"), 0);
    FILE *out = open_memstream(&text, &length);

    config_print_yaml(config, out);
    config_print_markdown(config, out);
    fclose(out);
    assert_non_null(strstr(text, "clusters:\n"));
    assert_non_null(strstr(text, "  b:\n"));
    assert_non_null(strstr(text, "## `clusters.NAME`"));
    free(text);
}

static char *printed(const struct config *config,
                     void (*print)(const struct config *config, FILE *out))
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    print(config, out);
    fclose(out);
    return text;
}

static void keys_that_no_other_section_has_are_told(void **state)
{
    (void)state;
    static const struct config_field plain[] = {
        {.type = CONFIG_U64, .key = "queue", .value = "1", .max = 9, .help = "Queue."}, {0}};
    static uint64_t queue;
    static const struct config_section other = {"other", plain, &queue, "Other."};
    AUTO(config) config = config_new(&other, 1, "NETSCOPE", &err);

    memset(names, 0, sizeof(names));
    assert_non_null(config);
    assert_int_equal(config_add_named(config, &named, &err), 0);
    char *text = printed(config, config_print_markdown);

    assert_non_null(strstr(text, "## `clusters.NAME`\n\nMore.\n\n| key | type |"));
    assert_non_null(strstr(text, "| `queue` | number | `100` | 0 to 1000 | Queue. | "
                                 "`NETSCOPE_CLUSTERS__NAME__QUEUE` |"));
    free(text);
    text = printed(config, config_print_yaml);
    assert_non_null(strstr(text, "\n# More.\n# clusters:\n#   NAME:\n#     # Brokers. Default:"));
    free(text);
    assert_int_equal(load(config, "clusters:\n  b:\n    queue: 3\n"), 0);
    text = printed(config, config_print_yaml);
    assert_non_null(strstr(text, "\n  b:\n"));
    assert_null(strstr(text, "# clusters:"));
    free(text);
}

static void keys_that_another_section_has_are_told_once(void **state)
{
    (void)state;
    AUTO(config) config = new_config();
    char *text = printed(config, config_print_markdown);

    assert_null(strstr(text, "NETSCOPE_CLUSTERS__NAME__QUEUE"));
    free(text);
    text = printed(config, config_print_yaml);
    assert_null(strstr(text, "# clusters:"));
    free(text);
}

/* ---- names that come and go while a program runs ---- */

static const struct config_field hot_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "brokers",
     .offset = offsetof(struct cluster, brokers),
     .value = "",
     .max = 100,
     .is_hot = true,
     .help = "Brokers."},
    {.type = CONFIG_U64,
     .key = "queue",
     .offset = offsetof(struct cluster, queue),
     .value = "100",
     .max = 1000,
     .is_hot = true,
     .help = "Queue."},
    {0},
};

struct side {
    struct cluster clusters[2];
    const char *names[2];
    struct config_named named;
};

static struct config *load_side(struct side *side, const char *text)
{
    *side = (struct side){0};
    side->named = (struct config_named){
        "clusters", hot_fields, "More.", 2, side->names, side->clusters, sizeof(side->clusters[0])};
    error_clear(&err);
    struct config *config = config_new(&section, 1, "NETSCOPE", &err);

    assert_non_null(config);
    assert_int_equal(config_add_named(config, &side->named, &err), 0);
    assert_int_equal(config_load_text(config, text, strlen(text), "f.yaml", &err), 0);
    return config;
}

struct adoption {
    struct config *into;
    const struct config *from;
    char paths[8][64];
    uint32_t count;
};

static void note_change(void *context, const char *path, bool is_hot)
{
    struct adoption *adoption = context;

    assert_true(is_hot);
    (void)snprintf(adoption->paths[adoption->count++], sizeof(adoption->paths[0]), "%s", path);
}

static void nothing_differs(void *context, const char *path, bool is_hot)
{
    (void)context, (void)is_hot;
    fail_msg("%s differs", path);
}

static void names_come_and_go(void **state)
{
    static struct side now, later;
    AUTO(config)
    into = load_side(&now, "clusters: {a: {brokers: one}, b: {brokers: two, queue: 7}}\n");
    AUTO(config)
    from = load_side(&later, "clusters: {b: {brokers: three, queue: 7}, c: {queue: 9}}\n");
    struct adoption adoption = {.into = into, .from = from};

    (void)state;
    (void)config_compare(into, from, note_change, &adoption);
    assert_int_equal(adoption.count, 5);
    for (uint32_t i = 0; i < adoption.count; i++) {
        assert_int_equal(config_adopt(into, adoption.paths[i], from, &err), 0);
    }
    assert_int_equal(config_compare(into, from, nothing_differs, NULL), 0);
    assert_string_equal(now.names[0], "b");
    assert_string_equal(now.clusters[0].brokers, "three");
    assert_int_equal(now.clusters[0].queue, 7);
    assert_string_equal(now.names[1], "c");
    assert_int_equal(now.clusters[1].queue, 9);
    assert_true(config_is_set(into, "clusters.c.queue"));
    assert_false(config_is_set(into, "clusters.a.brokers"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_makes_a_section_with_defaults),
        cmocka_unit_test(without_a_name_nothing_is_there),
        cmocka_unit_test(wrong_names_keys_and_one_too_many_are_refused_with_their_line),
        cmocka_unit_test(a_check_of_the_field_refuses_with_the_line_of_the_pair),
        cmocka_unit_test(named_sections_are_printed_when_they_are_there),
        cmocka_unit_test(keys_that_no_other_section_has_are_told),
        cmocka_unit_test(keys_that_another_section_has_are_told_once),
        cmocka_unit_test(names_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
