#include "collector-ui/history/record_share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/history/group_key.h"

enum { RCODE_NO_ERROR = 0, RCODE_NO_NAME = 3 }; /* RFC 1035 */

/* Rows of an earlier version do not say whether their flow failed. */
static const char *identity_columns(const struct record_walk *walk)
{
    if (!walk->condition->is_exact) {
        return query_condition_columns(walk->condition);
    }
    return walk->wants_record    ? "f.record, f.sensor_id, NULL, f.seq"
           : walk->wants_quality ? "CASE WHEN f.failed IS NULL THEN f.record END, f.sensor_id,"
                                   " NULL, f.seq"
                                 : query_condition_columns(walk->condition);
}

static sqlite3_stmt *prepare(const struct record_walk *walk, sqlite3 *db)
{
    struct history_reader *const reader = walk->reader;
    const struct query_condition *const condition = walk->condition;
    struct query_rows range;
    char columns[HISTORY_DIMENSIONS_MAX * 128] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < walk->by_count; i++) {
        used += (size_t)snprintf(columns + used, sizeof(columns) - used, ", %s",
                                 group_key_column(walk->by[i]));
    }
    const size_t room = strlen(condition->sql) + strlen(columns) + 1024;
    char *const sql = malloc(room);

    if (sql == NULL) {
        reader->cost.is_partial = true;
        return NULL;
    }
    query_rows_of(reader, db, walk->from_ns, walk->to_ns, UNTIL_DELTA, &range);
    (void)snprintf(
        sql, room,
        "SELECT f.end_ns, f.delta_start_ns, f.start_ns, f.bytes_forward, f.bytes_reverse,"
        " f.bytes_in, f.packets_forward + f.packets_reverse, f.total_packets, f.event,"
        " f.retransmits, f.rtt_ns, f.flow_id, f.failed, (%s), %s%s FROM %s WHERE %s",
        condition->sql, identity_columns(walk), columns, query_condition_tables(condition),
        range.where);
    sqlite3_stmt *const rows = query_prepare(reader, db, sql);

    free(sql);
    if (rows != NULL) {
        query_condition_bind(condition, rows);
    }
    return rows;
}

int record_share_merge(struct history_reader *reader, const struct filter *filter, uint64_t from_ns,
                       uint64_t to_ns, bool is_all, struct query_merge **out)
{
    return query_merge_make(
        reader, filter, &(struct merge_range){from_ns, to_ns, .until = UNTIL_DELTA}, is_all, out);
}

static bool counts(sqlite3_stmt *row, const struct query_merge *merge)
{
    return query_merge_counts(merge, (const char *)sqlite3_column_text(row, SHARE_SENSOR),
                              (uint64_t)sqlite3_column_int64(row, SHARE_FLOW));
}

void record_share_walk(const struct record_walk *walk, sqlite3 *db,
                       void (*each)(void *context, sqlite3_stmt *row), void *context)
{
    sqlite3_stmt *const rows = prepare(walk, db);

    while (query_step(walk->reader, rows)) {
        if (query_condition_holds(walk->condition, rows, SHARE_MATCH, SHARE_RECORD) &&
            counts(rows, walk->merge)) {
            each(context, rows);
        }
    }
    sqlite3_finalize(rows);
}

static uint64_t column(sqlite3_stmt *rows, int at)
{
    const int64_t value = sqlite3_column_int64(rows, at);

    return value < 0 ? 0 : (uint64_t)value;
}

void record_share_read(sqlite3_stmt *rows, struct record_share *out)
{
    const uint64_t end_ns = column(rows, SHARE_END), delta_ns = column(rows, SHARE_DELTA_START);
    const bool is_interval = delta_ns != 0 && delta_ns <= end_ns;
    const uint64_t packets = column(rows, SHARE_PACKETS);

    *out = (struct record_share){.end_ns = end_ns,
                                 .start_ns = column(rows, SHARE_START),
                                 .span_ns = is_interval ? delta_ns : end_ns,
                                 .length_ns = is_interval ? end_ns - delta_ns + 1 : 1,
                                 .is_first = packets > 0 && packets == column(rows, SHARE_TOTAL),
                                 .whole = {.bytes_forward = column(rows, SHARE_FORWARD),
                                           .bytes_reverse = column(rows, SHARE_REVERSE),
                                           .bytes_in = column(rows, SHARE_IN),
                                           .packets = packets}};
}

bool record_share_has_any(const struct record_share *share)
{
    return share->whole.packets > 0 || share->whole.bytes_forward > 0 ||
           share->whole.bytes_reverse > 0;
}

bool record_share_begins(const struct record_share *share, uint64_t from_ns, uint64_t to_ns)
{
    return share->is_first && share->start_ns >= from_ns && share->start_ns < to_ns;
}

/* How much of `value` lies before `ns`. */
static uint64_t before(const struct record_share *share, uint64_t value, uint64_t ns)
{
    __extension__ typedef unsigned __int128 wide;

    if (ns <= share->span_ns) {
        return 0;
    }
    const uint64_t past_ns = ns - share->span_ns;

    return past_ns >= share->length_ns ? value
                                       : (uint64_t)((wide)value * past_ns / share->length_ns);
}

void record_share_add(const struct record_share *share, uint64_t from_ns, uint64_t to_ns,
                      struct history_sums *to)
{
    const struct history_sums *const whole = &share->whole;

    to->bytes_forward +=
        before(share, whole->bytes_forward, to_ns) - before(share, whole->bytes_forward, from_ns);
    to->bytes_reverse +=
        before(share, whole->bytes_reverse, to_ns) - before(share, whole->bytes_reverse, from_ns);
    to->bytes_in += before(share, whole->bytes_in, to_ns) - before(share, whole->bytes_in, from_ns);
    to->packets += before(share, whole->packets, to_ns) - before(share, whole->packets, from_ns);
}

const struct flow_record *record_share_decode(sqlite3_stmt *rows, struct flow_record *scratch)
{
    return scratch != NULL &&
                   codec_decode_flow(sqlite3_column_blob(rows, SHARE_RECORD),
                                     (size_t)sqlite3_column_bytes(rows, SHARE_RECORD), scratch)
               ? scratch
               : NULL;
}

bool record_share_is_failure(const struct flow_record *record)
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

void record_share_add_quality(sqlite3_stmt *rows, struct flow_record *scratch,
                              struct history_sums *to)
{
    if (sqlite3_column_type(rows, SHARE_RTT) != SQLITE_NULL) {
        to->rtt_sum_ns += column(rows, SHARE_RTT);
        to->rtt_count++;
    }
    if (sqlite3_column_int(rows, SHARE_EVENT) != FLOW_END) {
        return;
    }
    to->ended++;
    if (sqlite3_column_type(rows, SHARE_FAILED) != SQLITE_NULL) {
        to->failed += sqlite3_column_int(rows, SHARE_FAILED) != 0;
    } else {
        const struct flow_record *const record = record_share_decode(rows, scratch);

        to->failed += record != NULL && record_share_is_failure(record);
    }
    if (sqlite3_column_type(rows, SHARE_RETRANSMITS) != SQLITE_NULL) {
        to->tcp_packets += column(rows, SHARE_TOTAL);
        to->retransmits += column(rows, SHARE_RETRANSMITS);
    }
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
