/* Which columns a table has, and what each takes. */
#include "proto/row/row_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json/transcoder.h"
#include "proto/row/row_table_private.h"

#define NANO_SUFFIX   "_unix_nanos"
#define RECORD_COLUMN "record"

/* ---- types ---- */

static bool is_time(const struct json_field *field)
{
    return field->type == TYPE_FIXED64 && strstr(field->name, NANO_SUFFIX) != NULL;
}

static bool can_hold(const struct row_type *type, const struct json_field *field)
{
    if (type->arrays != field->is_repeated || (type->arrays > 0 && type->is_nullable)) {
        return false;
    }
    switch (type->kind) {
    case ROW_UNSIGNED:
        return field->type != TYPE_BYTES && (field->type != TYPE_STRING || type->bytes == 8);
    case ROW_SIGNED:
        return field->type != TYPE_BYTES && field->type != TYPE_STRING;
    case ROW_BOOL:
        return field->type == TYPE_BOOL;
    case ROW_STRING:
        return field->type == TYPE_STRING || field->type == TYPE_BYTES || field->type == TYPE_ENUM;
    case ROW_IPV6:
        return field->type == TYPE_BYTES;
    case ROW_TIME:
    case ROW_TIME_64:
        return is_time(field);
    default:
        return false;
    }
}

/* ---- columns ---- */

/* What only TCP has, and what a flow that goes on has not: deploy/clickhouse/03_kafka.sql says it
 * with the same words. */
static bool is_empty_at_zero(const char *name)
{
    return strcmp(name, "tcp_state") == 0 || strcmp(name, "end_reason") == 0;
}

static const struct json_field *field_of(const struct json_message *message, const char *name)
{
    char time[ROW_COLUMN_BYTES + sizeof(NANO_SUFFIX)];
    const struct json_field *field = message_field_named(message, name, strlen(name));

    if (field == NULL || strcmp(field->name, name) != 0) {
        (void)snprintf(time, sizeof(time), "%s" NANO_SUFFIX, name);
        field = message_field_named(message, time, strlen(time));
    }
    return field;
}

static void add_name(struct row_table *table, const char *name)
{
    table->names_length += (size_t)snprintf(table->names + table->names_length,
                                            table->names_room - table->names_length, "%s`%s`",
                                            table->columns_count > 1 ? ", " : "", name);
}

static void add_record_column(struct row_table *table, const char *name, const char *type_text)
{
    const struct row_type type = row_type_of(type_text);

    if (type.kind == ROW_STRING && type.arrays == 0 && !type.is_nullable && !table->keeps_records) {
        table->keeps_records = true;
        table->columns[table->columns_count++] = (struct row_column){.type = type};
        add_name(table, name);
    }
}

static void add_column(struct row_table *table, const char *name, const char *type_text)
{
    const struct json_field *field = field_of(table->message, name);

    if (field == NULL) {
        if (strcmp(name, RECORD_COLUMN) == 0) {
            add_record_column(table, name, type_text);
        }
        return;
    }
    struct row_type type = row_type_of(type_text);
    uint8_t *column_of = &table->column_of[field - table->message->fields];

    if (!can_hold(&type, field) || *column_of != 0) {
        if (table->left_out++ == 0) {
            (void)snprintf(table->left_out_name, sizeof(table->left_out_name), "%s", name);
        }
        return;
    }
    struct row_column *column = &table->columns[table->columns_count++];

    *column_of = (uint8_t)table->columns_count;
    *column = (struct row_column){.field = field, .type = type};
    column->is_word = type.kind == ROW_STRING && field->type == TYPE_ENUM;
    column->is_empty_at_zero = is_empty_at_zero(name);
    column->word_prefix = column->is_word ? row_word_prefix(field->enumeration) : 0;
    table->has_word_lists |= column->is_word && type.arrays > 0;
    add_name(table, name);
}

static int judge(const struct row_table *table, struct error *err)
{
    static const struct {
        const char *field, *column;
    } wanted[] = {{"sensor_id", "sensor_id"},
                  {"boot_id", "boot_id"},
                  {"record_seq", "record_seq"},
                  {"end_time_unix_nanos", "end_time"}};

    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
        const struct json_field *field =
            message_field_named(table->message, wanted[i].field, strlen(wanted[i].field));

        if (field == NULL || table->column_of[field - table->message->fields] == 0) {
            return error_set(err, EINVAL, "it has no column %s that can be written",
                             wanted[i].column);
        }
    }
    return 0;
}

struct row_table *row_table_new(const char *description, size_t length, struct error *err)
{
    AUTO(row_table) table = calloc(1, sizeof(*table));
    char *text = strndup(description, length);
    char *rest = text;

    if (table != NULL) {
        table->message = json_message_find("netscope.v1.FlowRow");
        table->names_room = 4 * length + 1; /* three bytes more each, of a line of at least one */
        table->names = calloc(1, table->names_room);
    }
    if (text == NULL || table == NULL || table->message == NULL || table->names == NULL) {
        free(text);
        (void)error_set(err, ENOMEM, "no memory");
        return NULL;
    }
    for (char *line = NULL; (line = strsep(&rest, "\n")) != NULL;) {
        char *const type = row_column_type(line);

        if (type != NULL) {
            add_column(table, line, type);
        }
    }
    free(text);
    return judge(table, err) == 0 ? TAKE(table) : NULL;
}

void row_table_free(struct row_table *table)
{
    if (table != NULL) {
        free(table->names);
        free(table->items);
        free(table);
    }
}

const char *row_table_columns(const struct row_table *table)
{
    return table->names;
}

bool row_table_keeps_records(const struct row_table *table)
{
    return table->keeps_records;
}

uint32_t row_table_left_out(const struct row_table *table, const char **first)
{
    *first = table->left_out_name;
    return table->left_out;
}
