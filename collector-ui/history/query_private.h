/* A reader's inside. */
#pragma once

#include "collector-ui/history/history_private.h"

struct history_reader {
    struct history *history;
    struct history_limits limits;
    uint64_t deadline_ns;
    struct history_cost cost;
    bool is_cancelled;
    bool is_past_allowed;
    struct past_file *past; /* rows of the other store; NULL: none */
    struct file_entry file; /* which query_files reads now */
};

/* Calls `each` for every day file whose record times overlap the range, newest first, until it
 * returns other than 0; `is_archive_wanted`: rollup.db at last. */
int query_files(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
                bool is_archive_wanted, int (*each)(void *context, sqlite3 *db, uint32_t file),
                void *context);
/* Before a question's first walk: what the range has beyond the day files is fetched from the other
 * store, and query_files reads it with them; the cost says what became of it. Replaces what was
 * fetched for another range. 0, -ENOMEM or -ECANCELED. past.c */
int query_past(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
               const struct filter *filter, bool is_all);
void query_past_end(struct history_reader *reader);
/* A database of the store that is not written to; NULL: gone, or unreadable. */
sqlite3 *query_open(const char *path);
/* NULL: failed, told in the cost. */
sqlite3_stmt *query_prepare(struct history_reader *reader, sqlite3 *db, const char *sql);
/* True: a row; counts it. */
bool query_step(struct history_reader *reader, sqlite3_stmt *rows);
bool query_is_over(struct history_reader *reader);
/* The record and its identity from columns `at` (record), at+1 sensor, at+2 boot, at+3 seq. */
bool query_record(sqlite3_stmt *rows, int at, struct history_bytes *out);
/* A filter as a condition over `flows f`; without one, "1". query_condition.c */
struct query_condition {
    const struct filter *filter; /* borrowed */
    const char *sql;
    char *own;
    struct filter_value *values; /* borrowed from the filter in parts */
    uint32_t values_count;
    bool is_exact;              /* else each record that comes back must be asked again */
    struct flow_record *record; /* scratch for that */
};
/* 0 or -ENOMEM; in both cases query_condition_fini is due. */
int query_condition_make(struct query_condition *condition, const struct filter *filter);
void query_condition_fini(struct query_condition *condition);
/* Its values to the parameters from 1 on. */
void query_condition_bind(const struct query_condition *condition, sqlite3_stmt *rows);
/* The four columns from `record_at` on, and the tables: record and boot only where they are asked
 * for, since each costs more than the rest of a row; static. */
const char *query_condition_columns(const struct query_condition *condition);
const char *query_condition_tables(const struct query_condition *condition);
/* Whether the row's flow passes: column `match_at` is the condition's value, from `record_at` on
 * stands query_condition_columns. */
bool query_condition_holds(const struct query_condition *condition, sqlite3_stmt *rows,
                           int match_at, int record_at);
uint64_t query_text_hash(const char *text);
bool list_add(struct history_list *list, struct history_bytes bytes);
/* A row of `flows`. */
struct query_place {
    int64_t rowid;
    uint32_t file; /* as query_files numbers them */
};
/* ---- which rows (query_rows.c) ---- */

/* What of a row lies before the end of a range: its end, the begin of what it tells of, that of its
 * flow. All rows end from the range's begin on. */
enum query_until { UNTIL_END, UNTIL_DELTA, UNTIL_START };
struct query_rows {
    char where[320]; /* a condition over `flows f` */
};
/* The rows of the range in the file that query_files reads, by the shortest way. They come in no
 * order that is promised. */
void query_rows_of(struct history_reader *reader, sqlite3 *db, uint64_t from_ns, uint64_t to_ns,
                   enum query_until until, struct query_rows *out);
/* Those that end in the range, the newest first. */
void query_rows_newest(uint64_t from_ns, uint64_t to_ns, struct query_rows *out);

struct query_merge;
/* The records in these places, in their order; what is gone by now is left out. Read also where the
 * question itself met a bound. With `merge` (may be NULL) each names its observers. 0 or -errno. */
int query_fetch_flows(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
                      const struct query_place *places, uint32_t count,
                      const struct query_merge *merge, struct history_list *out);

/* ---- one flow of several sensors (query_merge.c) ---- */

struct merge_range {
    uint64_t from_ns, to_ns;
    enum query_until until;   /* of the question's rows */
    const char *community_id; /* of its flows alone; NULL: of all */
};
/* Compares the flows of the range and the tolerance around it, and decides. *out NULL: each record
 * stands for itself: `is_all`, or nothing is merged in this store, or no two sensors that the
 * filter admits have reported flows in the range (told without a look at rows). The cost says
 * whether the answer is a merged one. Takes half of the time that is left at most, its rows come on
 * top of those that a question may look at. 0, -ENOMEM or -ECANCELED. */
MUST_USE int query_merge_make(struct history_reader *reader, const struct filter *filter,
                              const struct merge_range *range, bool is_all,
                              struct query_merge **out);
void query_merge_free(struct query_merge *merge); /* NULL is allowed */
/* False: another sensor's records of the flow count. NULL: all do. */
bool query_merge_counts(const struct query_merge *merge, const char *sensor_id, uint64_t flow_id);
/* Appends FlowRecord.observers to a record, where several sensors saw its flow. False: no memory.
 */
MUST_USE bool query_merge_tell(const struct query_merge *merge, const char *sensor_id,
                               uint64_t flow_id, struct history_bytes *record);
