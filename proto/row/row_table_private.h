/* What the files of row_table and record_table share: types of columns, and values as bytes. */
#pragma once

#include "base/wire_format.h"
#include "proto/json/descriptor_index.h"
#include "proto/row/row_table.h"

enum row_kind {
    ROW_NONE, /* a type that is not known */
    ROW_UNSIGNED,
    ROW_SIGNED,
    ROW_BOOL,
    ROW_STRING,
    ROW_IPV6,
    ROW_TIME,    /* DateTime: 32 bits of seconds */
    ROW_TIME_64, /* DateTime64: ticks in 64 bits */
    ROW_FLOAT,
};

#define ROW_ARRAYS_MAX      4  /* Array(Array(...)) */
#define ROW_VALUE_BYTES_MAX 48 /* of a value that is no text of the row's: a word, a number */

/* A type of a column. */
struct row_type {
    uint8_t kind;   /* enum row_kind */
    uint8_t bytes;  /* of a number */
    uint8_t arrays; /* how deep */
    bool is_nullable;
    uint64_t most;    /* of a number */
    uint64_t tick_ns; /* TIME_64 */
};

struct row_column {
    const struct json_field *field; /* NULL: the column `record` */
    struct row_type type;
    bool is_word;          /* an enum in a text */
    bool is_empty_at_zero; /* there "unspecified" is nothing */
    uint8_t word_prefix;   /* bytes in front of an enum's words */
    uint32_t first, last;  /* items of the row that is written; index + 1 */
    uint32_t count;
};

/* A value of the row that is written. */
struct row_item {
    uint32_t next; /* index + 1, of the same column */
    uint64_t value;
    const uint8_t *bytes;
    size_t length;
};

struct row_table {
    const struct json_message *message; /* FlowRow */
    uint8_t column_of[JSON_FIELDS_MAX]; /* by field; index + 1 */
    struct row_column columns[JSON_FIELDS_MAX + 1];
    uint32_t columns_count;
    struct row_item *items;
    uint32_t items_count, items_room;
    uint32_t left_out;
    char left_out_name[128];
    bool has_word_lists, keeps_records;
    char *names;
    size_t names_length, names_room;
};

/* ---- row_type.c ---- */

/* Kind ROW_NONE: none that is known here. */
struct row_type row_type_of(const char *text);
#define ROW_COLUMN_BYTES 128 /* of a column's name, with its NUL */
/* A line of a table's description, "name\ttype\tdefault_type\t...": cuts off its name and returns
 * its type; NULL: no column, or one that the server computes itself. */
char *row_column_type(char *line);
/* Bytes that all words of an enum begin with: "FLOW_EVENT_". */
uint8_t row_word_prefix(const struct json_enum *enumeration);

/* ---- row_value.c: writes at `at`, returns what is behind ---- */

/* At most ROW_VALUE_BYTES_MAX, and a text's length. */
uint8_t *row_put_value(uint8_t *at, const struct row_column *column, const struct row_item *item);
uint8_t *row_put_text(uint8_t *at, const void *bytes, size_t length);
