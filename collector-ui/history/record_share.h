/* What a row of `flows` counts for in a range of time: its deltas, spread evenly over
 * [delta_start, end], and how well its flow went.
 *
 * Ranges that join add up exactly: a part is the difference of two rounded-down running sums.
 * Depends on: query_private.h. One thread. */
#pragma once

#include "collector-ui/history/query_private.h"

enum { /* columns of record_share_prepare */
       SHARE_END,
       SHARE_DELTA_START,
       SHARE_START,
       SHARE_FORWARD,
       SHARE_REVERSE,
       SHARE_IN,
       SHARE_PACKETS,
       SHARE_TOTAL,
       SHARE_EVENT,
       SHARE_RETRANSMITS,
       SHARE_RTT,
       SHARE_FLOW,
       SHARE_MATCH,
       SHARE_RECORD,
       SHARE_SENSOR,
       SHARE_KEYS = SHARE_RECORD + 4
};

struct record_share {
    uint64_t end_ns, start_ns;
    uint64_t span_ns, length_ns; /* its deltas lie in [span, span + length) */
    bool is_first;               /* of its flow */
    struct history_sums whole;   /* bytes and packets alone */
};

/* All rows that touch the range and may pass; `columns` (", f.app", ...) stand from SHARE_KEYS on.
 * NULL: failed, told in the cost. */
sqlite3_stmt *record_share_prepare(struct history_reader *reader, sqlite3 *db,
                                   const struct query_condition *condition, const char *columns,
                                   uint64_t from_ns, uint64_t to_ns);
/* query_merge_make for the rows of record_share_prepare, and whether a row counts by it. */
MUST_USE int record_share_merge(struct history_reader *reader, const struct filter *filter,
                                uint64_t from_ns, uint64_t to_ns, bool is_all,
                                struct query_merge **out);
bool record_share_counts(sqlite3_stmt *rows, const struct query_merge *merge);
void record_share_read(sqlite3_stmt *rows, struct record_share *out);
bool record_share_has_any(const struct record_share *share);
/* The flow's first packet lies in the range. */
bool record_share_begins(const struct record_share *share, uint64_t from_ns, uint64_t to_ns);
/* Bytes and packets between two times. */
void record_share_add(const struct record_share *share, uint64_t from_ns, uint64_t to_ns,
                      struct history_sums *to);
/* Into `scratch`; NULL: there is none, or it cannot be read. */
const struct flow_record *record_share_decode(sqlite3_stmt *rows, struct flow_record *scratch);
/* Round trip, end, failure, retransmits. */
void record_share_add_quality(sqlite3_stmt *rows, struct flow_record *scratch,
                              struct history_sums *to);
