/* One flow, and who else saw a flow. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/history/query_private.h"
#include "proto/codec.h"

/* How long after the flow's newest record those of other sensors are looked for: they report when
 * their own interval is over. */
#define OTHERS_LATER_NS (300 * NS_PER_SEC)

struct flow_search {
    struct history_reader *reader;
    uint64_t flow_id;
    const char *sensor_id;
    struct history_bytes *out;
    bool is_found;
};

static int search_file(void *context, sqlite3 *db, uint32_t file)
{
    struct flow_search *const s = context;
    sqlite3_stmt *const rows =
        query_prepare(s->reader, db,
                      "SELECT f.record, f.sensor_id, b.boot_id, f.seq FROM flows f"
                      " LEFT JOIN boots b ON b.no = f.boot_no"
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
        s->is_found = query_record(rows, 0, s->out);
    }
    sqlite3_finalize(rows);
    return s->is_found ? 1 : 0;
}

/* NULL: too long to be a text of the store. */
static char *copy_text(struct record_text text, char *out, size_t room)
{
    if (text.length >= room) {
        return NULL;
    }
    if (text.length > 0) {
        memcpy(out, text.data, text.length);
    }
    out[text.length] = '\0';
    return out;
}

/* Of the other store what a filter of one term lets through. Texts that would end the quotes are
 * asked for nowhere. 0, -ENOMEM or -ECANCELED. */
static int fetch_past(struct history_reader *reader, const char *field, const char *value,
                      const struct merge_range *range)
{
    char text[128];
    struct error err = {0};
    uint32_t position;

    if (!reader->is_past_allowed || strpbrk(value, "\"\\*") != NULL) {
        return 0;
    }
    snprintf(text, sizeof text, "%s = \"%s\"", field, value);
    AUTO(filter) filter = filter_compile(text, strlen(text), &err, &position);

    return filter == NULL ? 0 : query_past(reader, range->from_ns, range->to_ns, filter, true);
}

static int tell_observers(struct history_reader *reader, const struct flow_record *flow,
                          struct history_bytes *record)
{
    char sensor_id[SENSOR_ID_BYTES], community_id[64];
    const struct merge_range range = {
        .from_ns = flow->start_ns,
        .to_ns = flow->end_ns + OTHERS_LATER_NS,
        .until = UNTIL_END,
        .community_id = copy_text(flow->community_id, community_id, sizeof(community_id))};
    struct query_merge *merge = NULL;

    if (copy_text(flow->identity.sensor_id, sensor_id, sizeof(sensor_id)) == NULL ||
        range.community_id == NULL || community_id[0] == '\0' || range.to_ns < range.from_ns) {
        return 0;
    }
    int result = fetch_past(reader, "community_id", community_id, &range);

    result = result != 0 ? result : query_merge_make(reader, NULL, &range, false, &merge);
    if (merge != NULL && !query_merge_tell(merge, sensor_id, flow->flow_id, record)) {
        result = -ENOMEM;
    }
    query_merge_free(merge);
    return result;
}

int history_query_observers(struct history_reader *reader, struct history_bytes *record)
{
    struct flow_record *const flow = calloc(1, sizeof(*flow));
    int result = flow == NULL ? -ENOMEM : 0;

    if (result == 0 && codec_decode_flow(record->bytes, record->length, flow)) {
        result = tell_observers(reader, flow, record);
    }
    free(flow);
    return result;
}

bool history_query_flow(struct history_reader *reader, uint64_t flow_id, const char *sensor_id,
                        struct history_bytes *out)
{
    struct flow_search search = {
        .reader = reader, .flow_id = flow_id, .sensor_id = sensor_id, .out = out};

    (void)query_files(reader, 0, UINT64_MAX, false, search_file, &search);
    if (!search.is_found && reader->is_past_allowed) {
        static const struct merge_range whole = {.from_ns = 0, .to_ns = INT64_MAX};
        char id[17];

        snprintf(id, sizeof id, "%016" PRIx64, flow_id);
        if (fetch_past(reader, "flow_id", id, &whole) == 0 && reader->past != NULL) {
            (void)query_files(reader, 0, UINT64_MAX, false, search_file, &search);
        }
    }
    return search.is_found;
}
