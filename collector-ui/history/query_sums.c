/* Sums by step and over a range; alerts; packet samples. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/history/query_private.h"

struct rollup_query {
    struct history_reader *reader;
    uint32_t step_s;
    uint64_t from_s, to_s;
    void (*each)(void *context, int64_t start_s, const char *sensor_id,
                 const struct rollup *rollup);
    void *context;
};

static int rollup_file(void *context, sqlite3 *db, uint32_t file)
{
    struct rollup_query *const q = context;
    (void)file;
    sqlite3_stmt *const rows = query_prepare(q->reader, db,
                                             "SELECT start_s, sensor_id, data FROM rollups"
                                             " WHERE step = ? AND start_s >= ? AND start_s < ?");
    if (rows != NULL) {
        sqlite3_bind_int64(rows, 1, q->step_s);
        sqlite3_bind_int64(rows, 2, (int64_t)q->from_s);
        sqlite3_bind_int64(rows, 3, q->to_s > INT64_MAX ? INT64_MAX : (int64_t)q->to_s);
    }
    while (query_step(q->reader, rows)) {
        struct rollup rollup;
        rollup_init(&rollup);
        const char *const sensor_id = (const char *)sqlite3_column_text(rows, 1);
        if (rollup_decode_add(&rollup, sqlite3_column_blob(rows, 2),
                              (size_t)sqlite3_column_bytes(rows, 2))) {
            q->each(q->context, sqlite3_column_int64(rows, 0), sensor_id == NULL ? "" : sensor_id,
                    &rollup);
        }
        rollup_fini(&rollup);
    }
    sqlite3_finalize(rows);
    return 0;
}

int history_query_rollups(struct history_reader *reader, uint32_t step_s, uint64_t from_s,
                          uint64_t to_s,
                          void (*each)(void *context, int64_t start_s, const char *sensor_id,
                                       const struct rollup *rollup),
                          void *context)
{
    struct rollup_query query = {reader, step_s, from_s, to_s, each, context};
    const uint64_t last_s = UINT64_MAX / NS_PER_SEC - 3600;
    /* A step begins before what it holds. */
    const uint64_t from_ns = from_s < last_s ? from_s * NS_PER_SEC : UINT64_MAX;
    const uint64_t to_ns = to_s < last_s ? (to_s + step_s) * NS_PER_SEC : UINT64_MAX;
    return query_files(reader, from_ns, to_ns, step_s >= 60, rollup_file, &query);
}

struct record_query {
    struct history_reader *reader;
    uint64_t from_ns, to_ns;
    struct history_record_sums *sums;
    struct rollup_list *talkers;
};

static void add_talker(struct rollup_list *talkers, const char *sensor_id, const char *key,
                       uint32_t length, uint64_t in, uint64_t out, uint64_t packets)
{
    char whole[SENSOR_ID_BYTES + TALKER_KEY_BYTES + 2];
    const size_t sensor = strlen(sensor_id) < SENSOR_ID_BYTES ? strlen(sensor_id) + 1 : 0;
    if (sensor == 0 || sensor + length > sizeof whole) {
        return;
    }
    memcpy(whole, sensor_id, sensor);
    memcpy(whole + sensor, key, length);
    rollup_list_add(talkers, whole, (uint32_t)sensor + length, in, out, packets);
}

static void add_minute(void *context, int64_t start_s, const char *sensor_id,
                       const struct rollup *rollup)
{
    struct record_query *const q = context;
    (void)start_s;
    q->sums->rows += rollup->sums.record_rows;
    q->sums->packets += rollup->sums.record_packets;
    q->sums->bytes += rollup->sums.record_bytes;
    q->sums->new_flows += rollup->sums.record_new;
    for (uint32_t i = 0; i < rollup->talkers.count; i++) {
        const struct rollup_name *const item = &rollup->talkers.items[i];
        add_talker(q->talkers, sensor_id, item->key, item->length, item->in, item->out,
                   item->packets);
    }
    q->talkers->other_in += rollup->talkers.other_in;
    q->talkers->other_out += rollup->talkers.other_out;
}

static void add_edge_row(struct record_query *q, sqlite3_stmt *rows)
{
    const char *const sensor_id = (const char *)sqlite3_column_text(rows, 0);
    const char *const app = (const char *)sqlite3_column_text(rows, 1);
    const char *const name = (const char *)sqlite3_column_text(rows, 2);
    const uint64_t bytes = (uint64_t)sqlite3_column_int64(rows, 5);
    const uint64_t in = (uint64_t)sqlite3_column_int64(rows, 6);
    const uint64_t packets = (uint64_t)sqlite3_column_int64(rows, 7);
    struct flow_record flow;
    memset(&flow.app, 0, sizeof flow.app);
    flow.app = (struct record_text){app, app == NULL ? 0 : (uint32_t)strlen(app)};
    flow.server.name = (struct record_text){name, name == NULL ? 0 : (uint32_t)strlen(name)};
    memset(&flow.server.ip, 0, sizeof flow.server.ip);
    const int ip_bytes = sqlite3_column_bytes(rows, 3);
    if (ip_bytes == 4 || ip_bytes == 16) {
        flow.server.ip.version = ip_bytes == 4 ? 4 : 6;
        memcpy(flow.server.ip.bytes, sqlite3_column_blob(rows, 3), (size_t)ip_bytes);
    }
    char key[TALKER_KEY_BYTES];
    const uint32_t length = talker_key(&flow, key);
    add_talker(q->talkers, sensor_id == NULL ? "" : sensor_id, key, length, in, bytes - in,
               packets);
    q->sums->rows += (uint64_t)sqlite3_column_int64(rows, 4);
    q->sums->bytes += bytes;
    q->sums->packets += packets;
    q->sums->new_flows += (uint64_t)sqlite3_column_int64(rows, 8);
}

static int edge_file(void *context, sqlite3 *db, uint32_t file)
{
    struct record_query *const q = context;
    (void)file;
    sqlite3_stmt *const rows = query_prepare(
        q->reader, db,
        "SELECT sensor_id, app, server_name, server_ip, COUNT(*), SUM(bytes_forward +"
        " bytes_reverse), SUM(bytes_in), SUM(packets_forward + packets_reverse),"
        " SUM(packets_forward + packets_reverse = total_packets AND total_packets > 0)"
        " FROM flows WHERE end_ns >= ? AND end_ns < ? GROUP BY 1, 2, 3, 4");
    if (rows != NULL) {
        sqlite3_bind_int64(rows, 1, (int64_t)q->from_ns);
        sqlite3_bind_int64(rows, 2, (int64_t)q->to_ns);
    }
    while (query_step(q->reader, rows)) {
        add_edge_row(q, rows);
    }
    sqlite3_finalize(rows);
    return 0;
}

static int edge(struct record_query *q, uint64_t from_ns, uint64_t to_ns)
{
    q->from_ns = from_ns;
    q->to_ns = to_ns;
    if (from_ns >= to_ns) {
        return 0;
    }
    const int result = query_past(q->reader, from_ns, to_ns, NULL, true);

    return result != 0 ? result : query_files(q->reader, from_ns, to_ns, false, edge_file, q);
}

int history_query_records(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
                          struct history_record_sums *sums, struct rollup_list *talkers)
{
    static const uint64_t minute_ns = 60 * NS_PER_SEC;
    struct record_query q = {.reader = reader, .sums = sums, .talkers = talkers};
    memset(sums, 0, sizeof *sums);
    if (to_ns > INT64_MAX) {
        to_ns = INT64_MAX;
    }
    const uint64_t first = (from_ns + minute_ns - 1) / minute_ns * minute_ns;
    const uint64_t last = to_ns / minute_ns * minute_ns;
    if (first >= last) { /* no whole minute in it */
        return edge(&q, from_ns, to_ns);
    }
    int result =
        history_query_rollups(reader, 60, first / NS_PER_SEC, last / NS_PER_SEC, add_minute, &q);
    result = result != 0 ? result : edge(&q, from_ns, first);
    return result != 0 ? result : edge(&q, last, to_ns);
}

/* ---- alerts ---- */

struct alert_entry {
    char alert_id[37];
    int64_t last_ns;
    bool is_open;
    struct history_bytes bytes;
};

struct alert_query {
    struct history_reader *reader;
    uint64_t from_ns, to_ns;
    struct alert_entry *entries;
    uint32_t count, room;
};

#define ALERTS_MAX 100000u

static bool alert_add(struct alert_query *q, const char *id, int64_t last_ns, bool is_open,
                      const void *record, uint32_t length)
{
    if (q->count == q->room) {
        const uint32_t room = q->room == 0 ? 256 : q->room * 2;
        struct alert_entry *const more =
            room > ALERTS_MAX * 2 ? NULL : realloc(q->entries, room * sizeof *more);
        if (more == NULL) {
            q->reader->cost.is_partial = true;
            return false;
        }
        q->entries = more;
        q->room = room;
    }
    struct alert_entry *const e = &q->entries[q->count];
    memset(e, 0, sizeof *e);
    strncpy(e->alert_id, id, sizeof e->alert_id - 1);
    e->last_ns = last_ns;
    e->is_open = is_open;
    e->bytes.bytes = malloc((size_t)length + 1);
    if (e->bytes.bytes == NULL) {
        return false;
    }
    memcpy(e->bytes.bytes, record, length);
    e->bytes.length = length;
    q->count++;
    return true;
}

static int alert_file(void *context, sqlite3 *db, uint32_t file)
{
    struct alert_query *const q = context;
    (void)file;
    /* The last row of each alert in this file; `rowid` comes with the MAX in SQLite. */
    sqlite3_stmt *const rows =
        query_prepare(q->reader, db,
                      "SELECT alert_id, last_ns, record, MAX(rowid) FROM alerts"
                      " WHERE last_ns >= ? AND last_ns < ? GROUP BY alert_id");
    if (rows != NULL) {
        sqlite3_bind_int64(rows, 1, (int64_t)q->from_ns);
        sqlite3_bind_int64(rows, 2, q->to_ns > INT64_MAX ? INT64_MAX : (int64_t)q->to_ns);
    }
    while (query_step(q->reader, rows)) {
        const char *const id = (const char *)sqlite3_column_text(rows, 0);
        const void *const record = sqlite3_column_blob(rows, 2);
        if (id != NULL && record != NULL &&
            !alert_add(q, id, sqlite3_column_int64(rows, 1), false, record,
                       (uint32_t)sqlite3_column_bytes(rows, 2))) {
            break;
        }
    }
    sqlite3_finalize(rows);
    return 0;
}

static int by_alert(const void *a, const void *b)
{
    const struct alert_entry *const x = a;
    const struct alert_entry *const y = b;
    const int by_id = strcmp(x->alert_id, y->alert_id);
    if (by_id != 0) {
        return by_id;
    }
    if (x->is_open != y->is_open) { /* the open list always has the newest */
        return x->is_open ? -1 : 1;
    }
    return x->last_ns > y->last_ns ? -1 : x->last_ns < y->last_ns;
}

static int by_last_time(const void *a, const void *b)
{
    const struct alert_entry *const x = a;
    const struct alert_entry *const y = b;
    return x->last_ns > y->last_ns   ? -1
           : x->last_ns < y->last_ns ? 1
                                     : strcmp(x->alert_id, y->alert_id);
}

static void add_open_alerts(struct alert_query *q)
{
    struct history *const h = q->reader->history;
    struct alert_record *const record = malloc(sizeof *record);
    AUTO(arena) arena = arena_new((size_t)1 << 20);
    pthread_mutex_lock(&h->lock);
    for (uint32_t i = 0; record != NULL && arena != NULL && i < h->alerts_count; i++) {
        const struct open_alert *const open = &h->alerts[i];
        arena_reset(arena);
        const bool ok = codec_decode_alert(open->record, open->length, arena, record);
        alert_add(q, open->alert_id, ok ? (int64_t)record->last_ns : 0, true, open->record,
                  open->length);
    }
    pthread_mutex_unlock(&h->lock);
    free(record);
}

int history_query_alerts(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
                         bool only_open, struct history_list *out)
{
    struct alert_query q = {.reader = reader, .from_ns = from_ns, .to_ns = to_ns};
    int result = 0;
    if (!only_open) {
        result = query_files(reader, from_ns, to_ns, false, alert_file, &q);
    }
    add_open_alerts(&q);
    if (q.count > 0) {
        qsort(q.entries, q.count, sizeof *q.entries, by_alert);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < q.count; i++) {
        if (kept > 0 && strcmp(q.entries[kept - 1].alert_id, q.entries[i].alert_id) == 0) {
            free(q.entries[i].bytes.bytes);
        } else {
            q.entries[kept++] = q.entries[i];
        }
    }
    if (kept > 0) {
        qsort(q.entries, kept, sizeof *q.entries, by_last_time);
    }
    for (uint32_t i = 0; i < kept; i++) {
        if (!list_add(out, q.entries[i].bytes)) {
            result = -ENOMEM;
        }
    }
    free(q.entries);
    return result;
}

/* ---- packet samples ---- */

int history_packets(struct history *h, uint32_t limit,
                    bool (*wants)(void *context, const struct packet_sample *sample), void *context,
                    struct history_list *out, uint64_t *held)
{
    int result = 0;
    *held = 0;
    pthread_mutex_lock(&h->lock);
    for (uint32_t i = 0; i < h->settings.packet_buffer && h->packets_next > i + 1; i++) {
        const uint64_t number = h->packets_next - 1 - i;
        const struct packet_slot *const slot = &h->packets[number % h->settings.packet_buffer];
        struct packet_sample sample;
        if (slot->record == NULL || slot->number != number) {
            continue;
        }
        ++*held;
        if (out->count >= limit || result != 0 ||
            !codec_decode_packet(slot->record, slot->length, &sample) || !wants(context, &sample)) {
            continue;
        }
        struct history_bytes copy = {malloc((size_t)slot->length + 1), slot->length};
        if (copy.bytes == NULL) {
            result = -ENOMEM;
            continue;
        }
        memcpy(copy.bytes, slot->record, slot->length);
        result = list_add(out, copy) ? 0 : -ENOMEM;
    }
    pthread_mutex_unlock(&h->lock);
    return result;
}
