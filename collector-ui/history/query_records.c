/* Flow records of a range, each by itself, a page at a time: one walk that keeps the page alone.
 *
 * Records of one key come in an order of what they are (sequence number, flow, sensor, boot), not
 * of where they lie: between two pages a record may come into a day file that was fetched from the
 * other store before, leave one with it, or get another place in what is fetched anew. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "collector-ui/history/query_private.h"

#define BOOTS_KNOWN 64u /* a power of two */

struct record_entry {
    struct history_record_cursor at; /* without `matched` */
    int64_t rowid;
    uint32_t file;
};

/* What boots of a file are called, as far as they were asked for. */
struct boot_names {
    sqlite3_stmt *read; /* NULL: the file tells none */
    struct {
        int64_t no; /* from 1 on */
        uint64_t hash;
    } known[BOOTS_KNOWN];
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

/* Negative: `a` comes first. 0: the same record. */
static int compare_places(const struct history_record_cursor *a,
                          const struct history_record_cursor *b)
{
    if (a->key != b->key) {
        return a->key > b->key ? -1 : 1;
    }
    if (a->seq != b->seq) {
        return a->seq > b->seq ? -1 : 1;
    }
    return a->identity > b->identity ? -1 : a->identity < b->identity;
}

static int compare(const struct record_entry *a, const struct record_entry *b)
{
    const int by_place = compare_places(&a->at, &b->at);

    if (by_place != 0) {
        return by_place;
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
           scan->beyond > 0 && key < scan->heap[0].at.key;
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

static uint64_t boot_hash(struct boot_names *boots, int64_t no)
{
    const size_t at = (size_t)no & (BOOTS_KNOWN - 1);

    if (boots->known[at].no != no && boots->read != NULL) {
        sqlite3_bind_int64(boots->read, 1, no);
        const char *const name = sqlite3_step(boots->read) == SQLITE_ROW
                                     ? (const char *)sqlite3_column_text(boots->read, 0)
                                     : NULL;

        boots->known[at].no = no;
        boots->known[at].hash = query_text_hash(name == NULL ? "" : name);
        sqlite3_reset(boots->read);
    }
    return boots->known[at].hash;
}

enum { AT_ROWID, AT_KEY, AT_FLOW, AT_BOOT, AT_MATCH, AT_RECORD, AT_SENSOR, AT_SEQ = AT_RECORD + 3 };

/* The same in whatever file the record lies. */
static struct history_record_cursor place_of(sqlite3_stmt *rows, struct boot_names *boots)
{
    const char *const sensor_id = (const char *)sqlite3_column_text(rows, AT_SENSOR);
    uint64_t identity = hash_mix((uint64_t)sqlite3_column_int64(rows, AT_FLOW));

    identity = hash_mix(identity ^ query_text_hash(sensor_id == NULL ? "" : sensor_id));
    identity = hash_mix(identity ^ boot_hash(boots, sqlite3_column_int64(rows, AT_BOOT)));
    return (struct history_record_cursor){.key = sqlite3_column_int64(rows, AT_KEY),
                                          .seq = (uint64_t)sqlite3_column_int64(rows, AT_SEQ),
                                          .identity = identity};
}

static void scan_rows(struct record_scan *scan, sqlite3_stmt *rows, struct boot_names *boots,
                      uint32_t file)
{
    const struct history_record_cursor *const after = scan->query->after;

    while (query_step(scan->reader, rows)) {
        if (is_page_over(scan, sqlite3_column_int64(rows, AT_KEY))) {
            break;
        }
        if (!query_condition_holds(&scan->condition, rows, AT_MATCH, AT_RECORD) ||
            !query_merge_counts(scan->merge, (const char *)sqlite3_column_text(rows, AT_SENSOR),
                                (uint64_t)sqlite3_column_int64(rows, AT_FLOW))) {
            continue;
        }
        const struct record_entry entry = {.at = place_of(rows, boots),
                                           .rowid = sqlite3_column_int64(rows, AT_ROWID),
                                           .file = file};

        scan->matched++;
        if (after == NULL || compare_places(&entry.at, after) > 0) {
            keep(scan, &entry);
        }
    }
}

static int scan_file(void *context, sqlite3 *db, uint32_t file)
{
    struct record_scan *const scan = context;
    const struct history_record_query *const query = scan->query;
    const size_t room = strlen(scan->condition.sql) + 1024;
    char *const sql = malloc(room);
    struct boot_names boots = {0};
    struct query_rows range;

    if (sql == NULL) {
        return -ENOMEM;
    }
    find_rows(scan, db, &range);
    (void)snprintf(sql, room, "SELECT f.rowid, %s, f.flow_id, f.boot_no, (%s), %s FROM %s WHERE %s",
                   query->is_by_bytes ? "f.bytes_forward + f.bytes_reverse" : "f.end_ns",
                   scan->condition.sql, query_condition_columns(&scan->condition),
                   query_condition_tables(&scan->condition), range.where);
    sqlite3_stmt *const rows = query_prepare(scan->reader, db, sql);

    free(sql);
    if (rows != NULL) {
        query_condition_bind(&scan->condition, rows);
    }
    boots.read = query_prepare(scan->reader, db, "SELECT boot_id FROM boots WHERE no = ?");
    scan_rows(scan, rows, &boots, file);
    sqlite3_finalize(boots.read);
    sqlite3_finalize(rows);
    return 0;
}

/* A record that has come into a day file since the other store was asked is in both. */
static void leave_out_twins(struct record_scan *scan)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < scan->count; i++) {
        if (count == 0 || compare_places(&scan->heap[i].at, &scan->heap[count - 1].at) != 0) {
            scan->heap[count++] = scan->heap[i];
        }
    }
    scan->count = count;
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
    leave_out_twins(scan);
    for (uint32_t i = 0; i < scan->count; i++) {
        places[i] = (struct query_place){scan->heap[i].rowid, scan->heap[i].file};
    }
    const int result = query_fetch_flows(scan->reader, scan->query->from_ns, scan->query->to_ns,
                                         places, scan->count, scan->merge, &out->records);

    free(places);
    out->matched = scan->query->after != NULL ? scan->query->after->matched : scan->matched;
    out->has_more = scan->beyond > 0;
    if (scan->count > 0) {
        out->last = scan->heap[scan->count - 1].at;
        out->last.matched = out->matched;
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
