/* Flow records of a range, each by itself, a page at a time: one walk that keeps the page alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/history/query_private.h"

struct record_entry {
    int64_t key, rowid;
    uint32_t file;
};

struct record_scan {
    struct history_reader *reader;
    const struct history_record_query *query;
    struct query_condition condition;
    struct query_merge *merge;
    struct record_entry *heap; /* the last one of the page is at 0 */
    uint32_t count, room;
    uint64_t matched, beyond; /* `beyond`: behind the cursor and not in the heap */
};

/* Negative: `a` comes first. */
static int compare(const struct record_entry *a, const struct record_entry *b)
{
    if (a->key != b->key) {
        return a->key > b->key ? -1 : 1;
    }
    if (a->file != b->file) {
        return a->file > b->file ? -1 : 1;
    }
    return a->rowid > b->rowid ? -1 : a->rowid < b->rowid;
}

static int by_order(const void *a, const void *b)
{
    return compare(a, b);
}

static void sift_down(struct record_scan *scan)
{
    uint32_t at = 0;

    for (;;) {
        uint32_t last = at;

        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < scan->count; child++) {
            last = compare(&scan->heap[child], &scan->heap[last]) > 0 ? child : last;
        }
        if (last == at) {
            return;
        }
        const struct record_entry moved = scan->heap[at];

        scan->heap[at] = scan->heap[last];
        scan->heap[last] = moved;
        at = last;
    }
}

static void keep(struct record_scan *scan, const struct record_entry *entry)
{
    if (scan->count == scan->room) {
        scan->beyond++;
        if (compare(entry, &scan->heap[0]) < 0) {
            scan->heap[0] = *entry;
            sift_down(scan);
        }
        return;
    }
    uint32_t at = scan->count++;

    scan->heap[at] = *entry;
    for (; at > 0 && compare(&scan->heap[at], &scan->heap[(at - 1) / 2]) > 0; at = (at - 1) / 2) {
        const struct record_entry moved = scan->heap[at];

        scan->heap[at] = scan->heap[(at - 1) / 2];
        scan->heap[(at - 1) / 2] = moved;
    }
}

/* By end, rows come in order: what follows in this file is behind the page. The first page counts
 * all. */
static bool is_page_over(const struct record_scan *scan, int64_t key)
{
    return scan->query->after != NULL && !scan->query->is_by_bytes && scan->count == scan->room &&
           scan->beyond > 0 && key < scan->heap[0].key;
}

/* The first page counts all, a page by bytes looks at all: in any order. */
static void find_rows(const struct record_scan *scan, sqlite3 *db, struct query_rows *out)
{
    const struct history_record_query *const query = scan->query;

    if (query->after == NULL || query->is_by_bytes) {
        query_rows_of(scan->reader, db, query->from_ns, query->to_ns, UNTIL_END, out);
    } else {
        const uint64_t last_ns = (uint64_t)query->after->key + 1;

        query_rows_newest(query->from_ns, last_ns < query->to_ns ? last_ns : query->to_ns, out);
    }
}

enum { AT_ROWID, AT_KEY, AT_FLOW, AT_MATCH, AT_RECORD, AT_SENSOR };

static int scan_file(void *context, sqlite3 *db, uint32_t file)
{
    struct record_scan *const scan = context;
    const struct history_record_query *const query = scan->query;
    const struct history_record_cursor *const after = query->after;
    const size_t room = strlen(scan->condition.sql) + 1024;
    char *const sql = malloc(room);
    struct query_rows range;

    if (sql == NULL) {
        return -ENOMEM;
    }
    find_rows(scan, db, &range);
    (void)snprintf(sql, room, "SELECT f.rowid, %s, f.flow_id, (%s), %s FROM %s WHERE %s",
                   query->is_by_bytes ? "f.bytes_forward + f.bytes_reverse" : "f.end_ns",
                   scan->condition.sql, query_condition_columns(&scan->condition),
                   query_condition_tables(&scan->condition), range.where);
    sqlite3_stmt *const rows = query_prepare(scan->reader, db, sql);

    free(sql);
    if (rows != NULL) {
        query_condition_bind(&scan->condition, rows);
    }
    while (query_step(scan->reader, rows)) {
        const struct record_entry entry = {.key = sqlite3_column_int64(rows, AT_KEY),
                                           .rowid = sqlite3_column_int64(rows, AT_ROWID),
                                           .file = file};

        if (is_page_over(scan, entry.key)) {
            break;
        }
        if (!query_condition_holds(&scan->condition, rows, AT_MATCH, AT_RECORD) ||
            !query_merge_counts(scan->merge, (const char *)sqlite3_column_text(rows, AT_SENSOR),
                                (uint64_t)sqlite3_column_int64(rows, AT_FLOW))) {
            continue;
        }
        scan->matched++;
        if (after == NULL ||
            compare(&entry, &(struct record_entry){.key = after->key,
                                                   .rowid = after->rowid,
                                                   .file = (uint32_t)after->file}) > 0) {
            keep(scan, &entry);
        }
    }
    sqlite3_finalize(rows);
    return 0;
}

static int hand_out(struct record_scan *scan, struct history_record_page *out)
{
    struct query_place *const places = malloc(((size_t)scan->count + 1) * sizeof(*places));

    if (places == NULL) {
        return -ENOMEM;
    }
    if (scan->count > 0) {
        qsort(scan->heap, scan->count, sizeof(*scan->heap), by_order);
    }
    for (uint32_t i = 0; i < scan->count; i++) {
        places[i] = (struct query_place){scan->heap[i].rowid, scan->heap[i].file};
    }
    const int result = query_fetch_flows(scan->reader, scan->query->from_ns, scan->query->to_ns,
                                         places, scan->count, scan->merge, &out->records);

    free(places);
    out->matched = scan->query->after != NULL ? scan->query->after->matched : scan->matched;
    out->has_more = scan->beyond > 0;
    if (scan->count > 0) {
        const struct record_entry *const last = &scan->heap[scan->count - 1];

        out->last = (struct history_record_cursor){
            .key = last->key, .rowid = last->rowid, .file = last->file, .matched = out->matched};
    }
    return result;
}

int history_query_record_page(struct history_reader *reader,
                              const struct history_record_query *query,
                              struct history_record_page *out)
{
    struct record_scan scan = {.reader = reader, .query = query, .room = query->page_size};

    memset(out, 0, sizeof(*out));
    int result = query_condition_make(&scan.condition, query->filter);

    scan.heap = calloc((size_t)scan.room + 1, sizeof(*scan.heap));
    result = scan.heap == NULL ? -ENOMEM : result;
    if (result == 0) {
        result = query_past(reader, query->from_ns, query->to_ns, query->filter, query->is_all);
    }
    if (result == 0) {
        result = query_merge_make(
            reader, query->filter,
            &(struct merge_range){query->from_ns, query->to_ns, .until = UNTIL_END}, query->is_all,
            &scan.merge);
    }
    if (result == 0) {
        result = query_files(reader, query->from_ns, query->to_ns, false, scan_file, &scan);
    }
    if (result == 0) {
        result = hand_out(&scan, out);
    }
    query_condition_fini(&scan.condition);
    query_merge_free(scan.merge);
    free(scan.heap);
    return result;
}

void history_record_page_fini(struct history_record_page *page)
{
    history_list_fini(&page->records);
}
