/* Sums of the records of a range by group and time bucket, in one walk over the rows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/history/group_key.h"
#include "collector-ui/history/group_table.h"

#define CELLS_PER_GROUP 4u
#define KEY_BYTES       64u /* of a group, in the mean */

enum { RCODE_NO_ERROR = 0, RCODE_NO_NAME = 3 }; /* RFC 1035 */

/* A group in a bucket. */
struct cell {
    uint32_t group, bucket;
    struct history_sums sums;
};

struct aggregate_scan {
    struct history_reader *reader;
    const struct history_aggregate_query *query;
    struct query_condition condition;
    struct query_merge *merge;
    struct flow_record *record; /* NULL: nobody wants it */
    bool wants_record;          /* a key does */
    struct group_table groups;
    struct cell *cells;
    uint32_t *slots; /* cell + 1 by hash, a power of two */
    uint32_t cells_count, cells_room, cells_max, slots_count;
    struct history_sums *others; /* by bucket */
    uint64_t first_ns, step_ns;
    uint32_t buckets;
    bool is_full;
    uint64_t matched;
};

/* A record's share in time. */
struct span {
    uint64_t start_ns, length_ns;
};

uint64_t history_buckets(uint64_t from_ns, uint64_t to_ns, uint64_t step_ns)
{
    return step_ns == 0 ? 1 : (to_ns - 1) / step_ns - from_ns / step_ns + 1;
}

static bool cells_grow(struct aggregate_scan *scan)
{
    const uint32_t room = scan->cells_room == 0 ? 1024 : scan->cells_room * 2;
    struct cell *const cells = realloc(scan->cells, room * sizeof(*cells));
    uint32_t *const slots = calloc((size_t)room * 2, sizeof(*slots));

    scan->cells = cells != NULL ? cells : scan->cells;
    if (cells == NULL || slots == NULL) {
        free(slots);
        return false;
    }
    free(scan->slots);
    scan->slots = slots;
    scan->slots_count = room * 2;
    scan->cells_room = room;
    for (uint32_t i = 0; i < scan->cells_count; i++) {
        const uint64_t key = (uint64_t)cells[i].group << 32 | cells[i].bucket;
        uint32_t at = (uint32_t)hash_mix(key) & (room * 2 - 1);

        while (slots[at] != 0) {
            at = (at + 1) & (room * 2 - 1);
        }
        slots[at] = i + 1;
    }
    return true;
}

/* Where the sums of a group in a bucket are; among the others when there is no room. */
static struct history_sums *sums_of(struct aggregate_scan *scan, uint32_t group, uint32_t bucket)
{
    if (group == GROUP_NONE) {
        return &scan->others[bucket];
    }
    const uint64_t hash = hash_mix((uint64_t)group << 32 | bucket);

    if (scan->slots_count > 0) {
        uint32_t at = (uint32_t)hash & (scan->slots_count - 1);

        for (; scan->slots[at] != 0; at = (at + 1) & (scan->slots_count - 1)) {
            struct cell *const cell = &scan->cells[scan->slots[at] - 1];

            if (cell->group == group && cell->bucket == bucket) {
                return &cell->sums;
            }
        }
    }
    if (scan->cells_count == scan->cells_max ||
        (scan->cells_count == scan->cells_room && !cells_grow(scan))) {
        scan->is_full = true;
        return &scan->others[bucket];
    }
    uint32_t at = (uint32_t)hash & (scan->slots_count - 1);

    while (scan->slots[at] != 0) {
        at = (at + 1) & (scan->slots_count - 1);
    }
    struct cell *const cell = &scan->cells[scan->cells_count++];

    *cell = (struct cell){.group = group, .bucket = bucket};
    scan->slots[at] = scan->cells_count;
    return &cell->sums;
}

static uint32_t bucket_of(const struct aggregate_scan *scan, uint64_t ns)
{
    return scan->step_ns == 0 ? 0 : (uint32_t)((ns - scan->first_ns) / scan->step_ns);
}

/* How much of `value` lies before `ns`. */
static uint64_t before(const struct span *span, uint64_t value, uint64_t ns)
{
    __extension__ typedef unsigned __int128 wide;

    if (ns <= span->start_ns) {
        return 0;
    }
    const uint64_t past_ns = ns - span->start_ns;

    return past_ns >= span->length_ns ? value : (uint64_t)((wide)value * past_ns / span->length_ns);
}

static void add_part(struct history_sums *to, const struct span *span,
                     const struct history_sums *whole, uint64_t from_ns, uint64_t to_ns)
{
    to->bytes_forward +=
        before(span, whole->bytes_forward, to_ns) - before(span, whole->bytes_forward, from_ns);
    to->bytes_reverse +=
        before(span, whole->bytes_reverse, to_ns) - before(span, whole->bytes_reverse, from_ns);
    to->bytes_in += before(span, whole->bytes_in, to_ns) - before(span, whole->bytes_in, from_ns);
    to->packets += before(span, whole->packets, to_ns) - before(span, whole->packets, from_ns);
}

enum {
    AT_END,
    AT_DELTA_START,
    AT_START,
    AT_FORWARD,
    AT_REVERSE,
    AT_IN,
    AT_PACKETS,
    AT_TOTAL,
    AT_EVENT,
    AT_RETRANSMITS,
    AT_RTT,
    AT_FLOW,
    AT_MATCH,
    AT_RECORD,
    AT_SENSOR,
    AT_KEYS = AT_RECORD + 4
};

static uint64_t column(sqlite3_stmt *rows, int at)
{
    const int64_t value = sqlite3_column_int64(rows, at);

    return value < 0 ? 0 : (uint64_t)value;
}

static void spread(struct aggregate_scan *scan, uint32_t group, const struct span *span,
                   const struct history_sums *whole)
{
    const uint64_t from_ns = scan->query->from_ns, to_ns = scan->query->to_ns;
    const uint64_t last_ns = span->start_ns + (span->length_ns - 1);
    uint64_t at_ns = span->start_ns > from_ns ? span->start_ns : from_ns;
    const uint64_t end_ns = last_ns < to_ns - 1 ? last_ns + 1 : to_ns;

    while (at_ns < end_ns) {
        const uint32_t bucket = bucket_of(scan, at_ns);
        uint64_t next_ns =
            scan->step_ns == 0 ? end_ns : scan->first_ns + ((uint64_t)bucket + 1) * scan->step_ns;

        next_ns = next_ns < end_ns ? next_ns : end_ns;
        add_part(sums_of(scan, group, bucket), span, whole, at_ns, next_ns);
        at_ns = next_ns;
    }
}

/* NULL: nobody wants it, or it cannot be read. */
static const struct flow_record *record_of(struct aggregate_scan *scan, sqlite3_stmt *rows)
{
    return scan->record != NULL &&
                   codec_decode_flow(sqlite3_column_blob(rows, AT_RECORD),
                                     (size_t)sqlite3_column_bytes(rows, AT_RECORD), scan->record)
               ? scan->record
               : NULL;
}

/* A connection that was not answered, was refused, or that the server broke off; a name server's
 * fault or silence; a web server's fault. */
static bool is_failure(const struct flow_record *record)
{
    static const char *const states[] = {"S0", "REJ", "RSTR", "RSTOS0", "RSTRH"};

    for (unsigned i = 0; record->has_tcp && i < ARRAY_COUNT(states); i++) {
        if (strcmp(record->tcp.conn_state, states[i]) == 0) {
            return true;
        }
    }
    if (record->has_dns && record->dns.query_count > 0) {
        uint32_t faults = 0;

        for (unsigned i = 0; i < FLOW_RCODES; i++) {
            faults += i == RCODE_NO_ERROR || i == RCODE_NO_NAME ? 0 : record->dns.rcode_counts[i];
        }
        if (faults > 0 || record->dns.response_count == 0) {
            return true;
        }
    }
    return record->has_http && record->http.status >= 500;
}

/* Into the bucket where the record ends. */
static void add_quality(struct aggregate_scan *scan, sqlite3_stmt *rows, struct history_sums *to)
{
    if (sqlite3_column_type(rows, AT_RTT) != SQLITE_NULL) {
        to->rtt_sum_ns += column(rows, AT_RTT);
        to->rtt_count++;
    }
    if (sqlite3_column_int(rows, AT_EVENT) != FLOW_END) {
        return;
    }
    const struct flow_record *const record = record_of(scan, rows);

    to->ended++;
    to->failed += record != NULL && is_failure(record);
    if (sqlite3_column_type(rows, AT_RETRANSMITS) != SQLITE_NULL) {
        to->tcp_packets += column(rows, AT_TOTAL);
        to->retransmits += column(rows, AT_RETRANSMITS);
    }
}

static uint32_t group_of(struct aggregate_scan *scan, sqlite3_stmt *rows)
{
    char key[HISTORY_DIMENSIONS_MAX * HISTORY_VALUE_BYTES] = "";
    size_t length = 0;
    const struct flow_record *const record = scan->wants_record ? record_of(scan, rows) : NULL;

    for (uint32_t i = 0; i < scan->query->by_count; i++) {
        length +=
            group_key_text(rows, AT_KEYS + (int)i, scan->query->by[i], record, key + length) + 1;
    }
    const uint32_t group = group_table_find(&scan->groups, key, length > 0 ? length : 1);

    scan->is_full |= group == GROUP_NONE;
    return group;
}

static void add_row(struct aggregate_scan *scan, sqlite3_stmt *rows)
{
    const uint64_t end_ns = column(rows, AT_END), start_ns = column(rows, AT_START);
    const uint64_t delta_ns = column(rows, AT_DELTA_START);
    const bool is_interval = delta_ns != 0 && delta_ns <= end_ns;
    const struct span span = {.start_ns = is_interval ? delta_ns : end_ns,
                              .length_ns = is_interval ? end_ns - delta_ns + 1 : 1};
    const struct history_sums whole = {.bytes_forward = column(rows, AT_FORWARD),
                                       .bytes_reverse = column(rows, AT_REVERSE),
                                       .bytes_in = column(rows, AT_IN),
                                       .packets = column(rows, AT_PACKETS)};
    const uint64_t from_ns = scan->query->from_ns, to_ns = scan->query->to_ns;
    const uint32_t group = group_of(scan, rows);

    if (end_ns < to_ns) {
        struct history_sums *const sums = sums_of(scan, group, bucket_of(scan, end_ns));

        sums->records++;
        scan->matched++;
        if (scan->query->wants_quality) {
            add_quality(scan, rows, sums);
        }
    }
    if (whole.packets > 0 && whole.packets == column(rows, AT_TOTAL) && start_ns >= from_ns &&
        start_ns < to_ns) {
        sums_of(scan, group, bucket_of(scan, start_ns))->new_flows++;
    }
    if (whole.packets > 0 || whole.bytes_forward > 0 || whole.bytes_reverse > 0) {
        spread(scan, group, &span, &whole);
    }
}

static int scan_file(void *context, sqlite3 *db, uint32_t file)
{
    struct aggregate_scan *const scan = context;
    const size_t room = strlen(scan->condition.sql) + 1024;
    char *const sql = malloc(room);
    size_t used;

    (void)file;
    if (sql == NULL) {
        return -ENOMEM;
    }
    used = (size_t)snprintf(
        sql, room,
        "SELECT f.end_ns, f.delta_start_ns, f.start_ns, f.bytes_forward, f.bytes_reverse,"
        " f.bytes_in, f.packets_forward + f.packets_reverse, f.total_packets, f.event,"
        " f.retransmits, f.rtt_ns, f.flow_id, (%s), f.record,"
        " f.sensor_id, b.boot_id, f.seq",
        scan->condition.sql);
    for (uint32_t i = 0; i < scan->query->by_count; i++) {
        used +=
            (size_t)snprintf(sql + used, room - used, ", %s", group_key_column(scan->query->by[i]));
    }
    (void)snprintf(sql + used, room - used,
                   " FROM flows f LEFT JOIN boots b ON b.no = f.boot_no"
                   " WHERE f.end_ns >= ? AND f.delta_start_ns < ?");
    sqlite3_stmt *const rows = query_prepare(scan->reader, db, sql);

    free(sql);
    if (rows != NULL) {
        query_condition_bind(&scan->condition, rows, scan->query->from_ns, scan->query->to_ns);
    }
    while (query_step(scan->reader, rows)) {
        if (query_condition_holds(&scan->condition, rows, AT_MATCH, AT_RECORD) &&
            query_merge_counts(scan->merge, (const char *)sqlite3_column_text(rows, AT_SENSOR),
                               (uint64_t)sqlite3_column_int64(rows, AT_FLOW))) {
            add_row(scan, rows);
        }
    }
    sqlite3_finalize(rows);
    return 0;
}

/* ---- the answer ---- */

struct rank {
    uint64_t bytes;
    uint32_t group;
};

static int by_rank(const void *a, const void *b)
{
    const struct rank *const x = a;
    const struct rank *const y = b;

    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x->group < y->group ? -1 : x->group > y->group;
}

static uint64_t bytes_of(const struct history_sums *sums)
{
    return sums->bytes_forward + sums->bytes_reverse;
}

void history_sums_add(struct history_sums *to, const struct history_sums *from)
{
    to->bytes_forward += from->bytes_forward;
    to->bytes_reverse += from->bytes_reverse;
    to->bytes_in += from->bytes_in;
    to->packets += from->packets;
    to->records += from->records;
    to->new_flows += from->new_flows;
    to->rtt_sum_ns += from->rtt_sum_ns;
    to->rtt_count += from->rtt_count;
    to->ended += from->ended;
    to->failed += from->failed;
    to->tcp_packets += from->tcp_packets;
    to->retransmits += from->retransmits;
}

static int by_time(const void *a, const void *b)
{
    const struct history_aggregate_row *const x = a;
    const struct history_aggregate_row *const y = b;
    const uint64_t p = bytes_of(&x->sums), q = bytes_of(&y->sums);

    if (x->start_ns != y->start_ns) {
        return x->start_ns < y->start_ns ? -1 : 1;
    }
    if (x->key == NULL || y->key == NULL) {
        return (x->key == NULL) - (y->key == NULL);
    }
    if (p != q) {
        return p > q ? -1 : 1;
    }
    const int order = strcmp(x->key, y->key);

    return order != 0 ? order : x->key < y->key ? -1 : 1; /* as they were met */
}

/* Of each group whether it keeps its name; NULL: no memory. */
static bool *choose(const struct aggregate_scan *scan)
{
    const uint32_t count = scan->groups.count;
    bool *const is_named = calloc((size_t)count + 1, sizeof(*is_named));
    struct rank *const ranks = calloc((size_t)count + 1, sizeof(*ranks));

    if (is_named == NULL || ranks == NULL) {
        free(is_named);
        free(ranks);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        ranks[i].group = i;
    }
    for (uint32_t i = 0; i < scan->cells_count; i++) {
        ranks[scan->cells[i].group].bytes += bytes_of(&scan->cells[i].sums);
    }
    if (count > 0) {
        qsort(ranks, count, sizeof(*ranks), by_rank);
    }
    for (uint32_t i = 0; i < count && i < scan->query->limit; i++) {
        is_named[ranks[i].group] = true;
    }
    free(ranks);
    return is_named;
}

static uint64_t bucket_start(const struct aggregate_scan *scan, uint32_t bucket)
{
    return scan->first_ns + (uint64_t)bucket * scan->step_ns;
}

static int hand_out(struct aggregate_scan *scan, struct history_aggregate *out)
{
    static const struct history_sums nothing = {0};
    bool *const is_named = choose(scan);
    const size_t rows_max = (size_t)scan->cells_count + scan->buckets;
    size_t length;

    out->rows = calloc(rows_max, sizeof(*out->rows));
    if (is_named == NULL || out->rows == NULL) {
        free(is_named);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < scan->cells_count; i++) {
        const struct cell *const cell = &scan->cells[i];

        if (!is_named[cell->group]) {
            history_sums_add(&scan->others[cell->bucket], &cell->sums);
        } else if (memcmp(&cell->sums, &nothing, sizeof(nothing)) != 0) {
            out->rows[out->count++] = (struct history_aggregate_row){
                .start_ns = bucket_start(scan, cell->bucket),
                .key = group_table_key(&scan->groups, cell->group, &length),
                .sums = cell->sums};
        }
    }
    for (uint32_t i = 0; i < scan->buckets; i++) {
        if (memcmp(&scan->others[i], &nothing, sizeof(nothing)) != 0) {
            out->rows[out->count++] = (struct history_aggregate_row){
                .start_ns = bucket_start(scan, i), .sums = scan->others[i]};
        }
    }
    if (out->count > 0) {
        qsort(out->rows, out->count, sizeof(*out->rows), by_time);
    }
    free(is_named);
    out->groups = scan->groups.count;
    out->groups_max = scan->groups.max;
    out->is_full = scan->is_full;
    scan->reader->cost.is_full |= scan->is_full;
    out->matched = scan->matched;
    out->keys = scan->groups.bytes; /* the rows point into it */
    scan->groups.bytes = NULL;
    return 0;
}

/* Where sensors are groups, each has what it saw. */
static int merge(struct aggregate_scan *scan)
{
    const struct history_aggregate_query *const query = scan->query;
    bool is_all = query->is_all;

    for (uint32_t i = 0; i < query->by_count; i++) {
        is_all |= query->by[i] == DIMENSION_SENSOR;
    }
    return query_merge_make(
        scan->reader, query->filter,
        &(struct merge_range){query->from_ns, query->to_ns, .until = "f.delta_start_ns"}, is_all,
        &scan->merge);
}

static int prepare(struct aggregate_scan *scan)
{
    const struct history_aggregate_query *const query = scan->query;
    const uint32_t groups_max = scan->reader->history->settings.query_groups;
    bool has_memory = group_table_init(&scan->groups, groups_max, (size_t)groups_max * KEY_BYTES);

    for (uint32_t i = 0; i < query->by_count; i++) {
        scan->wants_record |= group_key_wants_record(query->by[i]);
    }
    if (scan->wants_record || query->wants_quality) {
        scan->record = calloc(1, sizeof(*scan->record));
        has_memory = has_memory && scan->record != NULL;
    }
    scan->step_ns = query->step_ns;
    scan->first_ns =
        query->step_ns == 0 ? query->from_ns : query->from_ns / query->step_ns * query->step_ns;
    scan->buckets = (uint32_t)history_buckets(query->from_ns, query->to_ns, query->step_ns);
    scan->cells_max = groups_max * CELLS_PER_GROUP;
    scan->others = calloc(scan->buckets, sizeof(*scan->others));
    return has_memory && scan->others != NULL ? 0 : -ENOMEM;
}

int history_query_aggregate(struct history_reader *reader,
                            const struct history_aggregate_query *query,
                            struct history_aggregate *out)
{
    struct aggregate_scan scan = {.reader = reader, .query = query};

    memset(out, 0, sizeof(*out));
    int result = query_condition_make(&scan.condition, query->filter);
    const int prepared = prepare(&scan);

    result = result != 0 ? result : prepared;
    result = result != 0 ? result : merge(&scan);
    if (result == 0) {
        result = query_files(reader, query->from_ns, query->to_ns, false, scan_file, &scan);
    }
    if (result == 0) {
        result = hand_out(&scan, out);
    }
    query_condition_fini(&scan.condition);
    query_merge_free(scan.merge);
    group_table_fini(&scan.groups);
    free(scan.record);
    free(scan.cells);
    free(scan.slots);
    free(scan.others);
    return result;
}

void history_aggregate_fini(struct history_aggregate *aggregate)
{
    free(aggregate->rows);
    free(aggregate->keys);
    aggregate->rows = NULL;
    aggregate->keys = NULL;
}
