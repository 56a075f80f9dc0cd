/* The table of names beside the descriptors: each field of the records has its row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attributes.h"
#include "proto/json/field_table.h"
#include "proto/json/service_index.h"
#include "proto/json/transcoder.h"

#define PACKAGE      "netscope.v1."
#define MESSAGES_MAX 64

/* The messages that the records reach, each once. */
static uint32_t reach(const struct json_message *messages[MESSAGES_MAX])
{
    uint32_t count = 0;

    for (unsigned i = 0; field_records[i] != NULL; i++) {
        char name[128];

        (void)snprintf(name, sizeof(name), PACKAGE "%s", field_records[i]);
        messages[count] = json_message_find(name);
        assert_non_null(messages[count++]);
    }
    for (uint32_t at = 0; at < count; at++) {
        for (uint32_t i = 0; i < messages[at]->fields_count; i++) {
            const struct json_field *field = &messages[at]->fields[i];
            bool is_known =
                field->type != TYPE_MESSAGE || field->message->form != FORM_PLAIN || field->is_map;

            for (uint32_t j = 0; j < count && !is_known; j++) {
                is_known = messages[j] == field->message;
            }
            if (!is_known) {
                assert_true(count < MESSAGES_MAX);
                messages[count++] = field->message;
            }
        }
    }
    return count;
}

static void every_field_of_a_record_has_a_row_and_a_description(void **state)
{
    (void)state;
    const struct json_message *messages[MESSAGES_MAX];
    const uint32_t count = reach(messages);
    unsigned missing = 0;

    for (uint32_t at = 0; at < count; at++) {
        for (uint32_t i = 0; i < messages[at]->fields_count; i++) {
            char name[256];

            (void)snprintf(name, sizeof(name), "%s.%s", messages[at]->full_name,
                           messages[at]->fields[i].name);
            if (field_row_find(name + strlen(PACKAGE)) == NULL) {
                print_error("%s: no row in proto/json/field_table.c\n", name);
                missing++;
            }
            if (json_comment(name)[0] == '\0') {
                print_error("%s: no comment in its .proto\n", name);
                missing++;
            }
        }
    }
    assert_int_equal(missing, 0);
}

static void every_row_is_of_a_field_and_there_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < field_rows_count; i++) {
        char name[256];
        const char *dot = strchr(field_rows[i].name, '.');

        assert_non_null(dot);
        (void)snprintf(name, sizeof(name), PACKAGE "%.*s", (int)(dot - field_rows[i].name),
                       field_rows[i].name);
        const struct json_message *message = json_message_find(name);

        if (message == NULL || message_field_named(message, dot + 1, strlen(dot + 1)) == NULL) {
            fail_msg("%s: no such field", field_rows[i].name);
        }
        assert_ptr_equal(field_row_find(field_rows[i].name), &field_rows[i]);
    }
}

/* "flowId 148": a name and the number that IANA has for it; several with a comma. */
static void names_of_ipfix_end_in_their_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < field_rows_count; i++) {
        const char *text = field_rows[i].ipfix;

        while (*text != '\0') {
            const size_t name = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789");
            const char *number = text + name;

            if (name == 0 || *number != ' ' || strspn(number + 1, "0123456789") == 0) {
                fail_msg("%s: %s", field_rows[i].name, field_rows[i].ipfix);
            }
            text = number + 1 + strspn(number + 1, "0123456789");
            text += strspn(text, ", ");
        }
    }
}

/* The names of both lists are fields, and what a stranger writes is no label. */
static void labels_are_of_fields(void **state)
{
    (void)state;
    const char *const *const lists[] = {field_names_fine, field_names_careful};
    static const struct {
        const char *message, *field, *label;
    } some[] = {{"Endpoint", "ip", "avoid"},
                {"Endpoint", "scope", "fine"},
                {"FlowRecord", "sensor_id", "careful"},
                {"App", "protocol", "fine"},
                {"Counters", "delta_bytes", ""},
                {"FlowRecord", "tcp", ""},
                {"Tls", "sni", "avoid"},
                {"FlowRecord", "start_time", ""}};

    for (size_t i = 0; i < 2; i++) {
        for (const char *const *name = lists[i]; *name != NULL; name++) {
            if (field_row_find(*name) == NULL) {
                fail_msg("%s: no such field", *name);
            }
        }
    }
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        char name[128];

        (void)snprintf(name, sizeof(name), PACKAGE "%s", some[i].message);
        const struct json_message *message = json_message_find(name);
        const struct json_field *field =
            message_field_named(message, some[i].field, strlen(some[i].field));

        (void)snprintf(name, sizeof(name), "%s.%s", some[i].message, some[i].field);
        assert_non_null(field);
        assert_string_equal(field_cardinality(name, field), some[i].label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_record_has_a_row_and_a_description),
        cmocka_unit_test(every_row_is_of_a_field_and_there_once),
        cmocka_unit_test(labels_are_of_fields),
        cmocka_unit_test(names_of_ipfix_end_in_their_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
