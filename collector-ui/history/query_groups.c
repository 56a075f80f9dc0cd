/* Sums of the records of a range by what they have in common: client, port, application, sensor, or
 * the flow itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/hash.h"
#include "collector-ui/history/query_private.h"

#define GROUPS_MAX 65536u
#define FLOWS_MAX  2000000u /* different ones in all groups */

/* A set of numbers that are not 0; open addressing, half full at most. */
struct number_set {
    uint64_t *slots;
    uint32_t count, room; /* room: a power of two */
};

struct group {
    struct history_group_row row;
    uint64_t hash;
    /* Of the newest record, where the group is a flow: */
    int64_t rowid, end_ns;
    uint32_t file;
};

struct group_scan {
    struct history_reader *reader;
    const struct history_groups_query *query;
    struct query_condition condition;
    struct group *groups;
    uint32_t *slots; /* index + 1 by hash; 2 * GROUPS_MAX */
    uint32_t count;
    struct number_set flows;
    bool is_full;
};

/* True when it was new. False also without room. */
static bool set_add(struct number_set *set, uint64_t number, bool *is_full)
{
    if (set->count * 2 >= set->room) {
        struct number_set next = {NULL, 0, set->room == 0 ? 4096 : set->room * 2};
        bool no = false;

        next.slots = set->count >= FLOWS_MAX ? NULL : calloc(next.room, sizeof(*next.slots));
        if (next.slots == NULL) {
            *is_full = true;
            return false;
        }
        for (uint32_t i = 0; i < set->room; i++) {
            if (set->slots[i] != 0) {
                (void)set_add(&next, set->slots[i], &no);
            }
        }
        free(set->slots);
        *set = next;
    }
    uint32_t at = (uint32_t)hash_mix(number) & (set->room - 1);
    while (set->slots[at] != 0) {
        if (set->slots[at] == number) {
            return false;
        }
        at = (at + 1) & (set->room - 1);
    }
    set->slots[at] = number;
    set->count++;
    return true;
}

/* NULL: no room for one more. */
static struct group *group_of(struct group_scan *scan, const char *key, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (2 * GROUPS_MAX - 1);

    while (scan->slots[at] != 0) {
        struct group *const group = &scan->groups[scan->slots[at] - 1];
        if (group->hash == hash && strcmp(group->row.key, key) == 0) {
            return group;
        }
        at = (at + 1) & (2 * GROUPS_MAX - 1);
    }
    if (scan->count == GROUPS_MAX) {
        scan->is_full = true;
        return NULL;
    }
    struct group *const group = &scan->groups[scan->count++];
    *group = (struct group){.hash = hash, .end_ns = -1};
    (void)snprintf(group->row.key, sizeof group->row.key, "%s", key);
    scan->slots[at] = scan->count;
    return group;
}

enum { AT_ROWID, AT_FLOW, AT_SENSOR, AT_END, AT_BEGAN, AT_BYTES, AT_PACKETS, AT_KEY, AT_MATCH };
enum { AT_RECORD = AT_MATCH + 1 };

static const char *const key_columns[GROUP_COUNT] = {
    [GROUP_FLOW] = "NULL",          [GROUP_CLIENT] = "f.client_ip",
    [GROUP_SERVER] = "f.server_ip", [GROUP_SERVER_PORT] = "f.server_port",
    [GROUP_APPLICATION] = "f.app",  [GROUP_SENSOR] = "NULL"};

static void read_address(sqlite3_stmt *rows, char *out, size_t room)
{
    const void *const bytes = sqlite3_column_blob(rows, AT_KEY);
    const int length = sqlite3_column_bytes(rows, AT_KEY);
    struct ip_address address = {.version = length == 4 ? 4 : 6};
    char text[ADDRESS_TEXT_BYTES] = "";

    if (bytes != NULL && (length == 4 || length == 16)) {
        memcpy(address.bytes, bytes, (size_t)length);
        (void)address_text(&address, text);
    }
    (void)snprintf(out, room, "%s", text);
}

static void read_key(const struct group_scan *scan, sqlite3_stmt *rows, const char *sensor_id,
                     char *out, size_t room)
{
    const char *text;

    switch (scan->query->group) {
    case GROUP_CLIENT:
    case GROUP_SERVER:
        read_address(rows, out, room);
        break;
    case GROUP_SERVER_PORT:
        (void)snprintf(out, room, "%d", sqlite3_column_int(rows, AT_KEY));
        break;
    case GROUP_APPLICATION:
        text = (const char *)sqlite3_column_text(rows, AT_KEY);
        (void)snprintf(out, room, "%s", text == NULL ? "" : text);
        break;
    case GROUP_SENSOR:
        (void)snprintf(out, room, "%s", sensor_id);
        break;
    default:
        (void)snprintf(out, room, "%016llx",
                       (unsigned long long)sqlite3_column_int64(rows, AT_FLOW));
    }
}

static void add_row(struct group_scan *scan, sqlite3_stmt *rows, uint32_t file)
{
    const char *const text = (const char *)sqlite3_column_text(rows, AT_SENSOR);
    const char *const sensor_id = text == NULL ? "" : text;
    const uint64_t flow =
        (uint64_t)sqlite3_column_int64(rows, AT_FLOW) ^ query_text_hash(sensor_id);
    const uint64_t bytes = (uint64_t)sqlite3_column_int64(rows, AT_BYTES);
    char key[sizeof scan->groups[0].row.key];

    read_key(scan, rows, sensor_id, key, sizeof key);
    /* Two sensors may call different flows alike. */
    struct group *const group = group_of(
        scan, key, scan->query->group == GROUP_FLOW ? hash_mix(flow) : query_text_hash(key));
    if (group == NULL) {
        return;
    }
    group->row.bytes += bytes;
    group->row.packets += (uint64_t)sqlite3_column_int64(rows, AT_PACKETS);
    if ((uint64_t)sqlite3_column_int64(rows, AT_BEGAN) < scan->query->from_ns) {
        group->row.bytes_before += bytes;
    }
    group->row.flows += set_add(&scan->flows, (hash_mix(flow) ^ group->hash) | 1, &scan->is_full);
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

    if (sql == NULL) {
        return -ENOMEM;
    }
    (void)snprintf(sql, room,
                   "SELECT f.rowid, f.flow_id, f.sensor_id, f.end_ns, f.delta_start_ns,"
                   " f.bytes_forward + f.bytes_reverse, f.packets_forward + f.packets_reverse, %s,"
                   " (%s), f.record, f.sensor_id, b.boot_id, f.seq"
                   " FROM flows f LEFT JOIN boots b ON b.no = f.boot_no"
                   " WHERE f.end_ns >= ? AND f.end_ns < ?",
                   key_columns[scan->query->group], scan->condition.sql);
    sqlite3_stmt *const rows = query_prepare(scan->reader, db, sql);
    free(sql);
    if (rows != NULL) {
        query_condition_bind(&scan->condition, rows, scan->query->from_ns, scan->query->to_ns);
    }
    while (query_step(scan->reader, rows)) {
        if (query_condition_holds(&scan->condition, rows, AT_MATCH, AT_RECORD)) {
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
                                         places, out->count, &out->records);
    free(places);
    return result;
}

static int hand_out(struct group_scan *scan, struct history_groups *out)
{
    qsort(scan->groups, scan->count, sizeof *scan->groups,
          scan->query->is_by_packets ? by_packets : by_bytes);
    out->count = scan->count < scan->query->limit ? scan->count : scan->query->limit;
    out->is_full = scan->is_full;
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
    scan.groups = malloc(GROUPS_MAX * sizeof *scan.groups);
    scan.slots = calloc((size_t)2 * GROUPS_MAX, sizeof *scan.slots);
    if (scan.groups == NULL || scan.slots == NULL) {
        result = -ENOMEM;
    }
    if (result == 0) {
        result = query_files(reader, query->from_ns, query->to_ns, false, scan_file, &scan);
    }
    if (result == 0) {
        result = hand_out(&scan, out);
    }
    query_condition_fini(&scan.condition);
    free(scan.groups);
    free(scan.slots);
    free(scan.flows.slots);
    return result;
}

void history_groups_fini(struct history_groups *groups)
{
    history_list_fini(&groups->records);
    free(groups->rows);
    groups->rows = NULL;
    groups->count = 0;
}
