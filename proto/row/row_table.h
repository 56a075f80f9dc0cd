/* FlowRow -> a row of a table: the bytes of ClickHouse's format RowBinary, in the order of the
 * columns that the table says it has.
 *
 * A column takes the field of FlowRow with its name (a time without "_unix_nanos"), where its type
 * can hold it: numbers within their bounds, addresses as IPv6, times as DateTime64 or DateTime, an
 * enum as number or as its word ("end"), a text of hex digits as UInt64, lists as Array; the column
 * `record` of type String takes the FlowRecord that the row was made of. The table keeps its
 * default in all others. So a table may be older or newer than the program. Depends on: base,
 * proto/json (descriptors). Threads: a table is one thread's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

struct row_table;

/* `description`: what DESCRIBE TABLE answers as TabSeparated. NULL with `err`: EINVAL (it has no
 * column for a record's identity or end: not such a table) or ENOMEM. */
MUST_USE struct row_table *row_table_new(const char *description, size_t length, struct error *err);
void row_table_free(struct row_table *table); /* NULL is allowed */
DEFINE_AUTO(row_table, row_table_free);

/* "`sensor_id`, `boot_id`, ...": what an INSERT names. Of the table's life. */
const char *row_table_columns(const struct row_table *table);
/* Columns that have a field of FlowRow and a type that cannot hold it; `first` gets one's name. */
uint32_t row_table_left_out(const struct row_table *table, const char **first);

/* Whether it has the column `record`, from which whole records can be read again. */
bool row_table_keeps_records(const struct row_table *table);

/* A FlowRow, and the FlowRecord for the column `record` (length 0: that one stays empty). */
struct row_source {
    const uint8_t *row;
    size_t row_length;
    const uint8_t *record;
    size_t record_length;
};
/* Room that row_table_write may need. */
size_t row_table_bytes_max(const struct row_table *table, const struct row_source *source);
/* Writes the row and returns its length; 0: no FlowRow, or `capacity` is too small. */
MUST_USE size_t row_table_write(struct row_table *table, const struct row_source *source,
                                uint8_t *out, size_t capacity);
