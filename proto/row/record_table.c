/* Which columns a table has, and the way to the field of each. */
#include "proto/row/record_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json/transcoder.h"
#include "proto/row/record_table_private.h"

#define DURATION_AFTER "_nanos"
#define RECORD_COLUMN  "record"

/* ---- the way to a field ---- */

static bool is_leaf(const struct json_field *field)
{
    return field->type != TYPE_MESSAGE || field->message->form == FORM_TIMESTAMP ||
           field->message->form == FORM_DURATION;
}

/* What the name of a leaf is, in a column. */
static bool is_named(const struct json_field *leaf, const char *name)
{
    const size_t length = strlen(leaf->name);
    const bool is_duration = leaf->type == TYPE_MESSAGE && leaf->message->form == FORM_DURATION;

    return strncmp(leaf->name, name, length) == 0 &&
           strcmp(name + length, is_duration ? DURATION_AFTER : "") == 0;
}

/* `name` may go on behind the name of a message with the name of one inside. */
static bool find_way(const struct json_message *message, const char *name,
                     struct record_column *column)
{
    for (uint32_t i = 0; i < message->fields_count && column->depth < RECORD_DEPTH_MAX; i++) {
        const struct json_field *field = &message->fields[i];
        const size_t length = strlen(field->name);

        column->way[column->depth] = field;
        if (is_leaf(field)) {
            if (is_named(field, name)) {
                column->depth++;
                return true;
            }
        } else if (strncmp(name, field->name, length) == 0 && name[length] == '_') {
            column->depth++;
            if (find_way(field->message, name + length + 1, column)) {
                return true;
            }
            column->depth--;
        }
    }
    return false;
}

static unsigned arrays_of(const struct record_column *column)
{
    unsigned arrays = 0;

    for (uint32_t i = 0; i < column->depth; i++) {
        arrays += column->way[i]->is_repeated;
    }
    return arrays;
}

/* ---- what a type can hold ---- */

static bool ends_in(const char *name, const char *end)
{
    const size_t length = strlen(name);
    const size_t end_length = strlen(end);

    return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

static bool is_address(const struct json_field *leaf)
{
    return leaf->type == TYPE_STRING &&
           (strcmp(leaf->name, "ip") == 0 || ends_in(leaf->name, "_ip") ||
            strncmp(leaf->name, "outer_", strlen("outer_")) == 0);
}

static bool can_hold(const struct row_type *type, const struct json_field *leaf)
{
    const bool is_text = leaf->type == TYPE_STRING || leaf->type == TYPE_BYTES;
    const bool is_message = leaf->type == TYPE_MESSAGE;
    const bool is_real = leaf->type == TYPE_DOUBLE || leaf->type == TYPE_FLOAT;
    const bool is_hex = leaf->type == TYPE_STRING && strcmp(leaf->name, "flow_id") == 0;

    switch (type->kind) {
    case ROW_UNSIGNED:
        if (is_hex) {
            return type->bytes == 8;
        }
        return !is_text && !is_real && (!is_message || leaf->message->form == FORM_DURATION);
    case ROW_SIGNED:
        return !is_text && !is_real && (!is_message || leaf->message->form == FORM_DURATION);
    case ROW_BOOL:
        return leaf->type == TYPE_BOOL;
    case ROW_STRING:
        return is_text || leaf->type == TYPE_ENUM;
    case ROW_IPV6:
        return is_address(leaf);
    case ROW_TIME:
    case ROW_TIME_64:
        return is_message && leaf->message->form == FORM_TIMESTAMP;
    case ROW_FLOAT:
        return is_real;
    default:
        return false;
    }
}

/* ---- columns ---- */

static struct record_column *take_column(struct record_table *table, const char *name)
{
    const size_t room = table->names_room - table->names_length;

    table->names_length += (size_t)snprintf(table->names + table->names_length, room, "%s`%s`",
                                            table->columns_count > 0 ? ", " : "", name);
    return &table->columns[table->columns_count++];
}

static void leave_out(struct record_table *table, const char *name)
{
    if (table->left_out++ == 0) {
        (void)snprintf(table->left_out_name, sizeof(table->left_out_name), "%s", name);
    }
}

static void add_column(struct record_table *table, const char *name, const char *type_text)
{
    struct record_column found = {0};
    const struct row_type type = row_type_of(type_text);

    if (table->columns_count == RECORD_COLUMNS_MAX) {
        leave_out(table, name);
        return;
    }
    if (strcmp(name, RECORD_COLUMN) == 0) {
        if (type.kind == ROW_STRING && type.arrays == 0 && !type.is_nullable) {
            *take_column(table, name) = (struct record_column){.leaf.type = type};
            table->keeps_records = true;
        }
        return;
    }
    if (!find_way(table->message, name, &found)) {
        return;
    }
    const struct json_field *leaf = found.way[found.depth - 1];

    if (!can_hold(&type, leaf) || type.arrays != arrays_of(&found) ||
        (type.arrays > 0 && type.is_nullable)) {
        leave_out(table, name);
        return;
    }
    found.leaf = (struct row_column){.field = leaf, .type = type, .is_empty_at_zero = true};
    found.leaf.is_word = type.kind == ROW_STRING && leaf->type == TYPE_ENUM;
    found.leaf.word_prefix = found.leaf.is_word ? row_word_prefix(leaf->enumeration) : 0;
    *take_column(table, name) = found;
}

static bool has_column(const struct record_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->columns_count; i++) {
        const struct record_column *column = &table->columns[i];

        if (column->depth == 1 && strcmp(column->way[0]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int judge(const struct record_table *table, const char *time_column, struct error *err)
{
    const char *const wanted[] = {"sensor_id", "boot_id", "record_seq", time_column};

    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
        if (!has_column(table, wanted[i])) {
            return error_set(err, EINVAL, "it has no column %s that can be written", wanted[i]);
        }
    }
    return 0;
}

struct record_table *record_table_new(const char *message, const char *time_column,
                                      const char *description, size_t length, struct error *err)
{
    AUTO(record_table) table = calloc(1, sizeof(*table));
    char *text = strndup(description, length);
    char *rest = text;

    if (table != NULL) {
        table->message = json_message_find(message);
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
    return judge(table, time_column, err) == 0 ? TAKE(table) : NULL;
}

void record_table_free(struct record_table *table)
{
    if (table != NULL) {
        free(table->names);
        free(table);
    }
}

const char *record_table_columns(const struct record_table *table)
{
    return table->names;
}

bool record_table_keeps_records(const struct record_table *table)
{
    return table->keeps_records;
}

uint32_t record_table_left_out(const struct record_table *table, const char **first)
{
    *first = table->left_out_name;
    return table->left_out;
}
