/* One flow, with who else saw it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "collector-ui/history/query_private.h"

/* How long after the flow's newest record those of other sensors are looked for: they report when
 * their own interval is over. */
#define OTHERS_LATER_NS (300 * NS_PER_SEC)

struct flow_search {
    struct history_reader *reader;
    uint64_t flow_id;
    const char *sensor_id;
    struct history_bytes *out;
    bool is_found;
    char sensor[SENSOR_ID_BYTES], community_id[64];
    uint64_t start_ns, end_ns;
};

static void keep_text(char *out, size_t room, sqlite3_stmt *rows, int at)
{
    const char *const text = (const char *)sqlite3_column_text(rows, at);

    (void)snprintf(out, room, "%s", text == NULL ? "" : text);
}

static int search_file(void *context, sqlite3 *db, uint32_t file)
{
    struct flow_search *const s = context;
    sqlite3_stmt *const rows = query_prepare(
        s->reader, db,
        "SELECT f.record, f.sensor_id, b.boot_id, f.seq, f.community_id, f.start_ns, f.end_ns"
        " FROM flows f LEFT JOIN boots b ON b.no = f.boot_no"
        " WHERE f.flow_id = ?1 AND (?2 IS NULL OR f.sensor_id = ?2)"
        " ORDER BY f.end_ns DESC LIMIT 1");

    (void)file;
    if (rows != NULL) {
        sqlite3_bind_int64(rows, 1, (int64_t)s->flow_id);
        if (s->sensor_id != NULL) {
            sqlite3_bind_text(rows, 2, s->sensor_id, -1, SQLITE_STATIC);
        }
    }
    if (query_step(s->reader, rows)) {
        keep_text(s->sensor, sizeof(s->sensor), rows, 1);
        keep_text(s->community_id, sizeof(s->community_id), rows, 4);
        s->start_ns = (uint64_t)sqlite3_column_int64(rows, 5);
        s->end_ns = (uint64_t)sqlite3_column_int64(rows, 6);
        s->is_found = query_record(rows, 0, s->out);
    }
    sqlite3_finalize(rows);
    return s->is_found ? 1 : 0;
}

/* A bound that is met, or no memory, leaves them out. */
static void tell_observers(struct flow_search *s)
{
    const struct merge_range range = {.from_ns = s->start_ns,
                                      .to_ns = s->end_ns + OTHERS_LATER_NS,
                                      .until = "f.end_ns",
                                      .community_id = s->community_id};
    struct query_merge *merge = NULL;

    if (s->community_id[0] == '\0' ||
        query_merge_make(s->reader, NULL, &range, false, &merge) != 0 || merge == NULL) {
        return;
    }
    if (!query_merge_tell(merge, s->sensor, s->flow_id, s->out)) {
        s->reader->cost.is_partial = true;
    }
    query_merge_free(merge);
}

bool history_query_flow(struct history_reader *reader, uint64_t flow_id, const char *sensor_id,
                        struct history_bytes *out)
{
    struct flow_search search = {
        .reader = reader, .flow_id = flow_id, .sensor_id = sensor_id, .out = out};

    (void)query_files(reader, 0, UINT64_MAX, false, search_file, &search);
    if (search.is_found) {
        tell_observers(&search);
    }
    return search.is_found;
}
