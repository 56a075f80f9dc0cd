/* Which rows of a day file a range of time needs, and the way to them. */
#include <stdio.h>

#include "collector-ui/history/query_private.h"

/* So many rows between the first and the last of a range are walked over for one of it, which is
 * found by the index otherwise. */
#define ROWS_PASSED 4

static const char *const columns[] = {
    [UNTIL_END] = "end_ns", [UNTIL_DELTA] = "delta_start_ns", [UNTIL_START] = "start_ns"};

/* No row of the range ends from here on. */
static int64_t end_before(const struct file_entry *file, uint64_t to_ns, enum query_until until)
{
    const uint64_t span_ns = until == UNTIL_DELTA   ? file->delta_max_ns
                             : until == UNTIL_START ? file->life_max_ns
                                                    : 0;
    const uint64_t last_ns = to_ns > UINT64_MAX - span_ns ? UINT64_MAX : to_ns + span_ns;

    return day_file_integer(last_ns);
}

struct stretch {
    int64_t count, first, last; /* rows; their least and largest rowid */
};

/* By the index alone. False: it is not known. */
static bool measure(struct history_reader *reader, sqlite3 *db, int64_t from_ns, int64_t before_ns,
                    struct stretch *out)
{
    sqlite3_stmt *const rows = query_prepare(reader, db,
                                             "SELECT COUNT(*), MIN(rowid), MAX(rowid) FROM flows"
                                             " INDEXED BY flows_time"
                                             " WHERE end_ns >= ?1 AND end_ns < ?2");
    bool is_known = false;

    if (rows != NULL) {
        sqlite3_bind_int64(rows, 1, from_ns);
        sqlite3_bind_int64(rows, 2, before_ns);
        is_known = sqlite3_step(rows) == SQLITE_ROW;
    }
    if (is_known) {
        *out = (struct stretch){sqlite3_column_int64(rows, 0), sqlite3_column_int64(rows, 1),
                                sqlite3_column_int64(rows, 2)};
    }
    sqlite3_finalize(rows);
    return is_known;
}

void query_rows_newest(uint64_t from_ns, uint64_t to_ns, struct query_rows *out)
{
    (void)snprintf(out->where, sizeof(out->where),
                   "f.end_ns >= %lld AND f.end_ns < %lld ORDER BY f.end_ns DESC, f.rowid DESC",
                   (long long)day_file_integer(from_ns), (long long)day_file_integer(to_ns));
}

void query_rows_of(struct history_reader *reader, sqlite3 *db, uint64_t from_ns, uint64_t to_ns,
                   enum query_until until, struct query_rows *out)
{
    const struct file_entry *const file = &reader->file;
    const int64_t first_ns = day_file_integer(from_ns);
    const int64_t before_ns = end_before(file, to_ns, until);
    const bool is_whole = from_ns <= file->min_ns && (uint64_t)before_ns > file->max_ns;
    struct stretch stretch = {0, 0, INT64_MAX};
    const bool is_near =
        is_whole || (measure(reader, db, first_ns, before_ns, &stretch) &&
                     (stretch.last - stretch.first) / ROWS_PASSED <= stretch.count);

    if (is_near) { /* as they lie, which is that of their coming: not by the index */
        (void)snprintf(out->where, sizeof(out->where),
                       "f.rowid BETWEEN %lld AND %lld AND +f.end_ns >= %lld AND +f.end_ns < %lld"
                       " AND +f.%s < %lld",
                       (long long)stretch.first, (long long)stretch.last, (long long)first_ns,
                       (long long)before_ns, columns[until], (long long)day_file_integer(to_ns));
    } else {
        (void)snprintf(out->where, sizeof(out->where),
                       "f.end_ns >= %lld AND f.end_ns < %lld AND +f.%s < %lld", (long long)first_ns,
                       (long long)before_ns, columns[until], (long long)day_file_integer(to_ns));
    }
}
