/* Sums of the records of a range by group and time bucket, in one walk over the rows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/history/group_key.h"
#include "collector-ui/history/group_table.h"
#include "collector-ui/history/record_share.h"

#define CELLS_PER_GROUP 4u
#define KEY_BYTES       64u /* of a group, in the mean */

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

static void spread(struct aggregate_scan *scan, uint32_t group, const struct record_share *share)
{
    const uint64_t from_ns = scan->query->from_ns, to_ns = scan->query->to_ns;
    const uint64_t last_ns = share->span_ns + (share->length_ns - 1);
    uint64_t at_ns = share->span_ns > from_ns ? share->span_ns : from_ns;
    const uint64_t end_ns = last_ns < to_ns - 1 ? last_ns + 1 : to_ns;

    while (at_ns < end_ns) {
        const uint32_t bucket = bucket_of(scan, at_ns);
        uint64_t next_ns =
            scan->step_ns == 0 ? end_ns : scan->first_ns + ((uint64_t)bucket + 1) * scan->step_ns;

        next_ns = next_ns < end_ns ? next_ns : end_ns;
        record_share_add(share, at_ns, next_ns, sums_of(scan, group, bucket));
        at_ns = next_ns;
    }
}

static uint32_t group_of(struct aggregate_scan *scan, sqlite3_stmt *rows)
{
    char key[HISTORY_DIMENSIONS_MAX * HISTORY_VALUE_BYTES] = "";
    size_t length = 0;
    const struct flow_record *const record =
        scan->wants_record ? record_share_decode(rows, scan->record) : NULL;

    for (uint32_t i = 0; i < scan->query->by_count; i++) {
        length += group_key_text(rows, SHARE_KEYS + (int)i, scan->query->by[i],
                                 scan->query->labels[i], record, key + length) +
                  1;
    }
    const uint32_t group = group_table_find(&scan->groups, key, length > 0 ? length : 1);

    scan->is_full |= group == GROUP_NONE;
    return group;
}

static void add_row(void *context, sqlite3_stmt *rows)
{
    struct aggregate_scan *const scan = context;
    struct record_share share;
    const uint64_t from_ns = scan->query->from_ns, to_ns = scan->query->to_ns;
    const uint32_t group = group_of(scan, rows);

    record_share_read(rows, &share);
    if (share.end_ns < to_ns) {
        struct history_sums *const sums = sums_of(scan, group, bucket_of(scan, share.end_ns));

        sums->records++;
        scan->matched++;
        if (scan->query->wants_quality) {
            record_share_add_quality(rows, scan->record, sums);
        }
    }
    if (record_share_begins(&share, from_ns, to_ns)) {
        sums_of(scan, group, bucket_of(scan, share.start_ns))->new_flows++;
    }
    if (record_share_has_any(&share)) {
        spread(scan, group, &share);
    }
}

static int scan_file(void *context, sqlite3 *db, uint32_t file)
{
    struct aggregate_scan *const scan = context;
    const struct record_walk walk = {.reader = scan->reader,
                                     .condition = &scan->condition,
                                     .merge = scan->merge,
                                     .by = scan->query->by,
                                     .by_count = scan->query->by_count,
                                     .wants_record = scan->wants_record,
                                     .wants_quality = scan->query->wants_quality,
                                     .from_ns = scan->query->from_ns,
                                     .to_ns = scan->query->to_ns};

    (void)file;
    record_share_walk(&walk, db, add_row, scan);
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
    return record_share_merge(scan->reader, query->filter, query->from_ns, query->to_ns, is_all,
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
    result = result != 0
                 ? result
                 : query_past(reader, query->from_ns, query->to_ns, query->filter, query->is_all);
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
