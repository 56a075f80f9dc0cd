/* Sums of the records of a range by what they have in common: client, port, application, sensor, or
 * the flow itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "collector-ui/history/group_key.h"
#include "collector-ui/history/group_table.h"
#include "collector-ui/history/number_set.h"

#define KEY_BYTES (HISTORY_VALUE_BYTES + SENSOR_ID_BYTES)

struct group {
    struct history_group_row row;
    /* Of the newest record, where the group is a flow: */
    int64_t rowid, end_ns;
    uint32_t file;
};

struct group_scan {
    struct history_reader *reader;
    const struct history_groups_query *query;
    struct query_condition condition;
    struct query_merge *merge;
    struct group_table table;
    struct group *groups; /* by the table's number */
    uint32_t count, room;
    struct number_set flows; /* different ones in all groups */
    bool is_full;
};

/* NULL: no room for one more. */
static struct group *group_of(struct group_scan *scan, const char *key, size_t length)
{
    const uint32_t number = group_table_find(&scan->table, key, length);

    if (number == scan->room) {
        const uint32_t room = scan->room == 0 ? 256 : scan->room * 2;
        struct group *const groups = realloc(scan->groups, room * sizeof(*groups));

        if (groups == NULL) {
            scan->is_full = true;
            return NULL;
        }
        scan->groups = groups;
        scan->room = room;
    }
    if (number == GROUP_NONE || number > scan->count) {
        scan->is_full = true;
        return NULL;
    }
    struct group *const group = &scan->groups[number];

    if (number == scan->count) {
        scan->count++;
        *group = (struct group){.end_ns = -1};
        (void)snprintf(group->row.key, sizeof group->row.key, "%s", key);
    }
    return group;
}

enum { AT_ROWID, AT_FLOW, AT_SENSOR, AT_END, AT_BEGAN, AT_BYTES, AT_PACKETS, AT_KEY, AT_MATCH };
enum { AT_RECORD = AT_MATCH + 1 };

static const enum history_dimension dimensions[GROUP_COUNT] = {
    [GROUP_FLOW] = DIMENSION_SENSOR,
    /* with the id */[GROUP_CLIENT] = DIMENSION_CLIENT,
    [GROUP_SERVER] = DIMENSION_SERVER,
    [GROUP_SERVER_PORT] = DIMENSION_SERVER_PORT,
    [GROUP_APPLICATION] = DIMENSION_APPLICATION,
    [GROUP_SENSOR] = DIMENSION_SENSOR};

/* The text that the group is called, with a NUL; of a flow also the sensor: two may call different
 * flows alike. Returns the length. */
static size_t read_key(const struct group_scan *scan, sqlite3_stmt *rows, char key[KEY_BYTES])
{
    char value[HISTORY_VALUE_BYTES];
    const size_t length =
        group_key_text(rows, AT_KEY, dimensions[scan->query->group], "", NULL, value);

    if (scan->query->group != GROUP_FLOW) {
        memcpy(key, value, length + 1);
        return length + 1;
    }
    const int id = snprintf(key, KEY_BYTES, "%016llx",
                            (unsigned long long)sqlite3_column_int64(rows, AT_FLOW));

    (void)snprintf(key + id + 1, KEY_BYTES - (size_t)id - 1, "%s", value);
    return (size_t)id + 1 + strlen(key + id + 1);
}

static void add_row(struct group_scan *scan, sqlite3_stmt *rows, uint32_t file)
{
    const char *const text = (const char *)sqlite3_column_text(rows, AT_SENSOR);
    const uint64_t flow =
        (uint64_t)sqlite3_column_int64(rows, AT_FLOW) ^ query_text_hash(text == NULL ? "" : text);
    const uint64_t bytes = (uint64_t)sqlite3_column_int64(rows, AT_BYTES);
    char key[KEY_BYTES];
    struct group *const group = group_of(scan, key, read_key(scan, rows, key));

    if (group == NULL) {
        return;
    }
    const uint64_t number = (uint64_t)(group - scan->groups);

    group->row.bytes += bytes;
    group->row.packets += (uint64_t)sqlite3_column_int64(rows, AT_PACKETS);
    if ((uint64_t)sqlite3_column_int64(rows, AT_BEGAN) < scan->query->from_ns) {
        group->row.bytes_before += bytes;
    }
    group->row.flows +=
        number_set_add(&scan->flows, hash_mix(hash_mix(flow) + number), &scan->is_full);
    if (sqlite3_column_int64(rows, AT_END) >= group->end_ns) {
        group->end_ns = sqlite3_column_int64(rows, AT_END);
        group->rowid = sqlite3_column_int64(rows, AT_ROWID);
        group->file = file;
    }
}

static int scan_file(void *context, sqlite3 *db, uint32_t file)
{
    struct group_scan *const scan = context;
    const size_t room = strlen(scan->condition.sql) + 1024;
    char *const sql = malloc(room);
    struct query_rows range;

    if (sql == NULL) {
        return -ENOMEM;
    }
    query_rows_of(scan->reader, db, scan->query->from_ns, scan->query->to_ns, UNTIL_END, &range);
    (void)snprintf(sql, room,
                   "SELECT f.rowid, f.flow_id, f.sensor_id, f.end_ns, f.delta_start_ns,"
                   " f.bytes_forward + f.bytes_reverse, f.packets_forward + f.packets_reverse, %s,"
                   " (%s), %s FROM %s WHERE %s",
                   group_key_column(dimensions[scan->query->group]), scan->condition.sql,
                   query_condition_columns(&scan->condition),
                   query_condition_tables(&scan->condition), range.where);
    sqlite3_stmt *const rows = query_prepare(scan->reader, db, sql);
    free(sql);
    if (rows != NULL) {
        query_condition_bind(&scan->condition, rows);
    }
    while (query_step(scan->reader, rows)) {
        if (query_condition_holds(&scan->condition, rows, AT_MATCH, AT_RECORD) &&
            query_merge_counts(scan->merge, (const char *)sqlite3_column_text(rows, AT_SENSOR),
                               (uint64_t)sqlite3_column_int64(rows, AT_FLOW))) {
            add_row(scan, rows, file);
        }
    }
    sqlite3_finalize(rows);
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    const struct group *const x = a;
    const struct group *const y = b;

    if (x->row.bytes != y->row.bytes) {
        return x->row.bytes > y->row.bytes ? -1 : 1;
    }
    return strcmp(x->row.key, y->row.key);
}

static int by_packets(const void *a, const void *b)
{
    const struct group *const x = a;
    const struct group *const y = b;

    if (x->row.packets != y->row.packets) {
        return x->row.packets > y->row.packets ? -1 : 1;
    }
    return strcmp(x->row.key, y->row.key);
}

/* The newest record of each flow among the largest. */
static int fetch(struct group_scan *scan, struct history_groups *out)
{
    struct query_place *const places = malloc(((size_t)out->count + 1) * sizeof *places);

    if (places == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < out->count; i++) {
        places[i] = (struct query_place){scan->groups[i].rowid, scan->groups[i].file};
    }
    const int result = query_fetch_flows(scan->reader, scan->query->from_ns, scan->query->to_ns,
                                         places, out->count, scan->merge, &out->records);
    free(places);
    return result;
}

static int hand_out(struct group_scan *scan, struct history_groups *out)
{
    if (scan->count > 0) {
        qsort(scan->groups, scan->count, sizeof *scan->groups,
              scan->query->is_by_packets ? by_packets : by_bytes);
    }
    out->count = scan->count < scan->query->limit ? scan->count : scan->query->limit;
    out->is_full = scan->is_full;
    scan->reader->cost.is_full |= scan->is_full;
    out->rows = calloc((size_t)out->count + 1, sizeof *out->rows);
    if (out->rows == NULL) {
        out->count = 0;
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < out->count; i++) {
        out->rows[i] = scan->groups[i].row;
    }
    return scan->query->group == GROUP_FLOW ? fetch(scan, out) : 0;
}

int history_query_groups(struct history_reader *reader, const struct history_groups_query *query,
                         struct history_groups *out)
{
    struct group_scan scan = {.reader = reader, .query = query};

    memset(out, 0, sizeof *out);
    int result = query_condition_make(&scan.condition, query->filter);
    const uint32_t groups_max = reader->history->settings.query_groups;

    if (!group_table_init(&scan.table, groups_max, (size_t)groups_max * KEY_BYTES)) {
        result = -ENOMEM;
    }
    if (result == 0) {
        result = query_past(reader, query->from_ns, query->to_ns, query->filter, query->is_all);
    }
    if (result == 0) {
        result = query_merge_make(
            reader, query->filter,
            &(struct merge_range){query->from_ns, query->to_ns, .until = UNTIL_END},
            query->is_all || query->group == GROUP_SENSOR, &scan.merge);
    }
    if (result == 0) {
        result = query_files(reader, query->from_ns, query->to_ns, false, scan_file, &scan);
    }
    if (result == 0) {
        result = hand_out(&scan, out);
    }
    query_condition_fini(&scan.condition);
    query_merge_free(scan.merge);
    group_table_fini(&scan.table);
    free(scan.groups);
    number_set_fini(&scan.flows);
    return result;
}

void history_groups_fini(struct history_groups *groups)
{
    history_list_fini(&groups->records);
    free(groups->rows);
    groups->rows = NULL;
    groups->count = 0;
}
