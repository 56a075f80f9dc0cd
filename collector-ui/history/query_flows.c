/* Flows of a range: every record is looked at once, the newest of a flow decides, the page is then
 * fetched by row. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "collector-ui/history/query_private.h"

#define FLOWS_MAX 2000000u /* different ones in a query */

struct flow_entry {
    uint64_t flow_id, sensor_hash;
    int64_t end_ns, seq, key, rowid, bytes;
    uint32_t file, app, sensor;
    uint16_t port;
    uint8_t tcp_state;
    bool is_match, is_counted; /* counted: no other sensor's stands for it */
};

struct name_table {
    char (*names)[132];
    uint32_t count;
};

struct flow_scan {
    struct history_reader *reader;
    const struct history_flows_query *query;
    struct query_condition condition;
    struct query_merge *merge;
    struct flow_entry *entries;
    uint32_t *slots;
    uint32_t count, room;
    struct name_table apps, sensors;
};

#define NAMES_MAX 4096u

static uint32_t name_number(struct name_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (strcmp(table->names[i], name) == 0) {
            return i;
        }
    }
    if (table->count == NAMES_MAX) {
        return NAMES_MAX - 1;
    }
    if (table->names == NULL) {
        table->names = calloc(NAMES_MAX, sizeof *table->names);
        if (table->names == NULL) {
            return 0;
        }
    }
    snprintf(table->names[table->count], sizeof table->names[0], "%.131s", name);
    return table->count++;
}

static const char *const order_keys[ORDER_COUNT] = {
    [ORDER_END_TIME] = "f.end_ns",
    [ORDER_START_TIME] = "f.start_ns",
    [ORDER_BYTES] = "f.total_bytes",
    [ORDER_PACKETS] = "f.total_packets",
    [ORDER_RATE] =
        "CAST((f.bytes_forward+f.bytes_reverse)*1e9/MAX(f.end_ns-f.delta_start_ns,1) AS INTEGER)",
    [ORDER_RTT] = "COALESCE(f.rtt_ns, -1)",
    [ORDER_RETRANSMITS] = "COALESCE(f.retransmits, -1)",
    [ORDER_DURATION] = "f.end_ns - f.start_ns",
};

static bool scan_grow(struct flow_scan *scan)
{
    const uint32_t room = scan->room == 0 ? 4096 : scan->room * 2;
    struct flow_entry *const more = realloc(scan->entries, room * sizeof *more);
    if (more == NULL) {
        return false;
    }
    scan->entries = more;
    uint32_t *const slots = calloc((size_t)room * 2, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    free(scan->slots);
    scan->slots = slots;
    scan->room = room;
    for (uint32_t i = 0; i < scan->count; i++) {
        uint32_t at = (uint32_t)hash_mix(more[i].flow_id ^ more[i].sensor_hash) & (room * 2 - 1);
        while (slots[at] != 0) {
            at = (at + 1) & (room * 2 - 1);
        }
        slots[at] = i + 1;
    }
    return true;
}

/* The place of a flow, made if new. NULL: no memory, or too many (then the answer is partial). */
static struct flow_entry *scan_find(struct flow_scan *scan, uint64_t flow_id, uint64_t sensor_hash)
{
    if (scan->count == FLOWS_MAX) {
        scan->reader->cost.is_partial = true;
        return NULL;
    }
    if (scan->count == scan->room && !scan_grow(scan)) {
        return NULL;
    }
    const uint32_t mask = scan->room * 2 - 1;
    uint32_t at = (uint32_t)hash_mix(flow_id ^ sensor_hash) & mask;
    while (scan->slots[at] != 0) {
        struct flow_entry *const entry = &scan->entries[scan->slots[at] - 1];
        if (entry->flow_id == flow_id && entry->sensor_hash == sensor_hash) {
            return entry;
        }
        at = (at + 1) & mask;
    }
    struct flow_entry *const entry = &scan->entries[scan->count++];
    *entry = (struct flow_entry){.flow_id = flow_id, .sensor_hash = sensor_hash, .end_ns = -1};
    scan->slots[at] = scan->count;
    return entry;
}

static int scan_file(void *context, sqlite3 *db, uint32_t file)
{
    struct flow_scan *const scan = context;
    const size_t room = strlen(scan->condition.sql) + 1024;
    char *const sql = malloc(room);
    struct query_rows range;
    if (sql == NULL) {
        return -ENOMEM;
    }
    query_rows_of(scan->reader, db, scan->query->from_ns, scan->query->to_ns, UNTIL_START, &range);
    snprintf(sql, room,
             "SELECT f.rowid, f.flow_id, f.sensor_id, f.end_ns, f.seq, %s, f.total_bytes, f.app,"
             " f.tcp_state, f.server_port, (%s), %s FROM %s WHERE %s",
             order_keys[scan->query->order], scan->condition.sql,
             query_condition_columns(&scan->condition), query_condition_tables(&scan->condition),
             range.where);
    sqlite3_stmt *const rows = query_prepare(scan->reader, db, sql);
    free(sql);
    int result = 0;
    if (rows != NULL) {
        query_condition_bind(&scan->condition, rows);
    }
    while (result == 0 && query_step(scan->reader, rows)) {
        const char *const sensor_id = (const char *)sqlite3_column_text(rows, 2);
        const int64_t end_ns = sqlite3_column_int64(rows, 3);
        const int64_t seq = sqlite3_column_int64(rows, 4);
        struct flow_entry *const e = scan_find(scan, (uint64_t)sqlite3_column_int64(rows, 1),
                                               query_text_hash(sensor_id == NULL ? "" : sensor_id));
        if (e == NULL) {
            result = scan->reader->cost.is_partial ? 0 : -ENOMEM;
            break;
        }
        if (end_ns < e->end_ns || (end_ns == e->end_ns && seq < e->seq)) {
            continue;
        }
        e->end_ns = end_ns;
        e->seq = seq;
        e->rowid = sqlite3_column_int64(rows, 0);
        e->file = file;
        e->key = sqlite3_column_int64(rows, 5);
        e->bytes = sqlite3_column_int64(rows, 6);
        e->tcp_state = (uint8_t)sqlite3_column_int(rows, 8);
        e->port = (uint16_t)sqlite3_column_int(rows, 9);
        if (scan->query->wants_facets) {
            const char *const app = (const char *)sqlite3_column_text(rows, 7);
            e->app = name_number(&scan->apps, app == NULL ? "" : app);
            e->sensor = name_number(&scan->sensors, sensor_id == NULL ? "" : sensor_id);
        }
        e->is_match = query_condition_holds(&scan->condition, rows, 10, 11);
        e->is_counted = query_merge_counts(scan->merge, sensor_id, e->flow_id);
    }
    sqlite3_finalize(rows);
    return result;
}

static int compare(const struct flow_entry *a, const struct flow_entry *b, bool is_ascending)
{
    if (a->key != b->key) {
        return (a->key < b->key) == is_ascending ? -1 : 1;
    }
    if (a->flow_id != b->flow_id) {
        return a->flow_id < b->flow_id ? -1 : 1;
    }
    return a->sensor_hash < b->sensor_hash ? -1 : a->sensor_hash > b->sensor_hash;
}

static int by_key_up(const void *a, const void *b)
{
    return compare(a, b, true);
}

static int by_key_down(const void *a, const void *b)
{
    return compare(a, b, false);
}

static int fetch_page(struct flow_scan *scan, uint32_t matched, struct history_flows *out)
{
    const struct history_flows_query *const query = scan->query;
    uint32_t first = 0;
    if (query->after != NULL) {
        const struct flow_entry after = {.key = query->after->key,
                                         .flow_id = query->after->flow_id,
                                         .sensor_hash = query->after->sensor_hash};
        while (first < matched &&
               compare(&scan->entries[first], &after, query->is_ascending) <= 0) {
            first++;
        }
    }
    const uint32_t left = matched - first;
    const uint32_t count = left < query->page_size ? left : query->page_size;
    out->has_more = count < left;
    if (count == 0) {
        return 0;
    }
    struct query_place *const places = malloc(count * sizeof *places);
    if (places == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct flow_entry *const entry = &scan->entries[first + i];
        places[i] = (struct query_place){entry->rowid, entry->file};
    }
    const int result = query_fetch_flows(scan->reader, query->from_ns, query->to_ns, places, count,
                                         scan->merge, &out->records);
    free(places);
    const struct flow_entry *const last = &scan->entries[first + count - 1];
    out->last = (struct history_cursor){last->key, last->flow_id, last->sensor_hash};
    return result;
}

/* A sensor has all that it saw, the other facets have what counts. */
static void facets_of(struct flow_scan *scan, uint32_t seen, struct history_flows *out)
{
    for (unsigned facet = 0; facet < FACET_COUNT; facet++) {
        const uint32_t size = facet == FACET_PORT ? 65536 : NAMES_MAX;
        uint64_t *const sums = calloc(size, sizeof *sums);
        for (uint32_t i = 0; sums != NULL && i < seen; i++) {
            const struct flow_entry *const e = &scan->entries[i];
            if (!e->is_counted && facet != FACET_SENSOR) {
                continue;
            }
            const uint32_t at = facet == FACET_APP      ? e->app
                                : facet == FACET_SENSOR ? e->sensor
                                : facet == FACET_PORT   ? e->port
                                                        : e->tcp_state;
            sums[at] += (uint64_t)e->bytes + 1; /* a flow without bytes counts as seen */
        }
        while (sums != NULL && out->facets_count[facet] < HISTORY_FACETS_MAX) {
            uint32_t best = 0;
            for (uint32_t i = 1; i < size; i++) {
                best = sums[i] > sums[best] ? i : best;
            }
            if (sums[best] == 0) {
                break;
            }
            const char *const name = facet == FACET_APP      ? scan->apps.names[best]
                                     : facet == FACET_SENSOR ? scan->sensors.names[best]
                                     : facet == FACET_TCP_STATE
                                         ? tcp_state_name((enum tcp_state)best)
                                         : NULL;
            struct history_facet_value *const value = &out->facets[facet][out->facets_count[facet]];
            if (name == NULL) {
                snprintf(value->value, sizeof value->value, "%u", best);
            } else {
                snprintf(value->value, sizeof value->value, "%s", name);
            }
            value->bytes = sums[best] - 1;
            sums[best] = 0;
            if (value->value[0] != '\0' && (facet != FACET_PORT || best != 0)) {
                out->facets_count[facet]++;
            }
        }
        free(sums);
    }
}

static bool matches(const struct flow_entry *entry)
{
    return entry->is_match;
}

static bool counts(const struct flow_entry *entry)
{
    return entry->is_counted;
}

/* Those of the first `count` that are wanted move to the front; returns how many. */
static uint32_t keep(struct flow_scan *scan, bool (*is_wanted)(const struct flow_entry *entry),
                     uint32_t count)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (is_wanted(&scan->entries[i])) {
            scan->entries[kept++] = scan->entries[i];
        }
    }
    return kept;
}

int history_query_flows(struct history_reader *reader, const struct history_flows_query *query,
                        struct history_flows *out)
{
    memset(out, 0, sizeof *out);
    struct flow_scan scan = {.reader = reader, .query = query};
    int result = query_condition_make(&scan.condition, query->filter);
    if (result == 0) {
        result = query_past(reader, query->from_ns, query->to_ns, query->filter, query->is_all);
    }
    if (result == 0) {
        result = query_merge_make(
            reader, query->filter,
            &(struct merge_range){query->from_ns, query->to_ns, .until = UNTIL_START},
            query->is_all, &scan.merge);
    }
    if (result == 0) {
        result = query_files(reader, query->from_ns, query->to_ns, false, scan_file, &scan);
    }
    const uint32_t seen = keep(&scan, matches, scan.count);
    if (result == 0 && query->wants_facets) {
        facets_of(&scan, seen, out);
    }
    const uint32_t matched = keep(&scan, counts, seen);
    out->matched = matched;
    if (result == 0 && matched > 0) {
        qsort(scan.entries, matched, sizeof *scan.entries,
              query->is_ascending ? by_key_up : by_key_down);
        result = query->page_size > 0 ? fetch_page(&scan, matched, out) : 0;
    }
    query_condition_fini(&scan.condition);
    query_merge_free(scan.merge);
    free(scan.entries);
    free(scan.slots);
    free(scan.apps.names);
    free(scan.sensors.names);
    return result;
}

void history_flows_fini(struct history_flows *flows)
{
    history_list_fini(&flows->records);
}
