/* A record with messages inside (AlertRecord, StatsRecord, DnsRecord) -> a row of a table: the
 * bytes of ClickHouse's format RowBinary, in the order of the columns that the table says it has.
 *
 * A column's name is the way to its field, joined by `_`: tcp_health_resets, attackers_ip. Each
 * repeated message or field on the way is an Array of the column's type: attackers_ip is
 * Array(...), top_items_key is Array(Array(...)). Otherwise as in row_table.h: numbers within their
 * bounds, an address (the text `ip` or `*_ip`) as IPv6 or String, a Timestamp as DateTime64 or
 * DateTime, a Duration `window` as a number `window_nanos`, an enum as number or as its word
 * ("syn_flood"; 0 is empty), a double as Float64 or Float32, `flow_id` as UInt64 or String; the
 * column `record` of type String takes the record itself. The table keeps its default in all
 * others. Depends on: base, proto/json (descriptors). Threads: a table is read only once it is
 * made. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

struct record_table;

/* `message`: full name of the record's message. `time_column`: what must be there beside
 * sensor_id, boot_id and record_seq. `description`: what DESCRIBE TABLE answers as TabSeparated.
 * NULL with `err`: EINVAL (not such a table) or ENOMEM. */
MUST_USE struct record_table *record_table_new(const char *message, const char *time_column,
                                               const char *description, size_t length,
                                               struct error *err);
void record_table_free(struct record_table *table); /* NULL is allowed */
DEFINE_AUTO(record_table, record_table_free);

/* "`sensor_id`, `boot_id`, ...": what an INSERT names. Of the table's life. */
const char *record_table_columns(const struct record_table *table);
/* Columns whose type cannot hold the field of their name; `first` gets one's name. */
uint32_t record_table_left_out(const struct record_table *table, const char **first);
/* Whether it has the column `record`. */
bool record_table_keeps_records(const struct record_table *table);

enum record_table_result {
    RECORD_TABLE_WRITTEN,
    RECORD_TABLE_SHORT,     /* `capacity` is too small */
    RECORD_TABLE_MALFORMED, /* it is no protobuf message */
};
/* The row of the first `own_length` bytes of a record and of the identity behind them; the column
 * `record` takes the first alone. `written` gets its length. Tens of microseconds. */
MUST_USE enum record_table_result record_table_write(const struct record_table *table,
                                                     const uint8_t *record, size_t own_length,
                                                     size_t length, uint8_t *out, size_t capacity,
                                                     size_t *written);
