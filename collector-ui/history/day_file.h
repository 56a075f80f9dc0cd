/* One SQLite file of the store: the rows of one UTC day of receive time, or (day 0) the archive of
 * minute and hour sums that outlive their day.
 *
 * WAL, synchronous NORMAL, only the time index. Depends on: base, proto, SQLite. One file, one
 * thread. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "collector-ui/history/flow_rows.h"

enum day_statement {
    DAY_FLOWS,
    DAY_ALERT,
    DAY_STATS,
    DAY_PACKET,
    DAY_PACKET_TRIM,
    DAY_POSITION,
    DAY_META,
    DAY_META_ADD,
    DAY_BOOT,
    DAY_ROLLUP_READ,
    DAY_ROLLUP_WRITE,
    DAY_STATEMENT_COUNT
};

struct day_file {
    sqlite3 *db;
    sqlite3_stmt *statements[DAY_STATEMENT_COUNT];
    struct flow_rows *rows; /* that wait for day_file_put_rows */
    int64_t day;            /* days since 1970 */
    char path[4096];
};

/* SQLite's integers are signed; larger counts than those do not occur honestly. */
static inline int64_t day_file_integer(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

#define DAY_NAME_FORMAT "day-%04d-%02d-%02d.db"
void day_file_path(const char *directory, int64_t day, char *out, size_t capacity);
/* The day of a file name, or -1. */
int64_t day_file_day(const char *name);

/* Opens or makes it. NULL with `err`; EBADMSG: the file is no database or damaged. */
MUST_USE struct day_file *day_file_open(const char *path, int64_t day, struct error *err);
void day_file_free(struct day_file *file);
DEFINE_AUTO(day_file, day_file_free);

/* -errno with `err` ("/var/lib/...: disk is full"). */
MUST_USE int day_file_run(struct day_file *file, const char *sql, struct error *err);
/* Steps a statement that gives no row, and resets it. */
MUST_USE int day_file_step(struct day_file *file, enum day_statement statement, struct error *err);
/* All flow records that wait, in their order; then none waits. */
MUST_USE int day_file_put_rows(struct day_file *file, struct error *err);
int day_file_error(struct day_file *file, struct error *err);
