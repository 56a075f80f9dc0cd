/* A reader's inside. */
#pragma once

#include "collector-ui/history/history_private.h"

struct history_reader {
    struct history *history;
    struct history_limits limits;
    uint64_t deadline_ns;
    struct history_cost cost;
    bool is_cancelled;
};

/* Calls `each` for every day file whose record times overlap the range, newest first, until it
 * returns other than 0; `is_archive_wanted`: rollup.db at last. */
int query_files(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
                bool is_archive_wanted, int (*each)(void *context, sqlite3 *db, uint32_t file),
                void *context);
/* NULL: failed, told in the cost. */
sqlite3_stmt *query_prepare(struct history_reader *reader, sqlite3 *db, const char *sql);
/* True: a row; counts it. */
bool query_step(struct history_reader *reader, sqlite3_stmt *rows);
bool query_is_over(struct history_reader *reader);
/* The record and its identity from columns `at` (record), at+1 sensor, at+2 boot, at+3 seq. */
bool query_record(sqlite3_stmt *rows, int at, struct history_bytes *out);
bool list_add(struct history_list *list, struct history_bytes bytes);
