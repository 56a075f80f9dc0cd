/* What a row of `flows` counts for in a range of time: its deltas, spread evenly over
 * [delta_start, end], and how well its flow went.
 *
 * Ranges that join add up exactly: a part is the difference of two rounded-down running sums.
 * Depends on: query_private.h. One thread. */
#pragma once

#include "collector-ui/history/query_private.h"

enum { /* columns of a row */
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
       SHARE_FAILED,
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

/* Which rows are walked. */
struct record_walk {
    struct history_reader *reader;
    const struct query_condition *condition;
    const struct query_merge *merge;
    const enum history_dimension *by; /* their columns stand from SHARE_KEYS on */
    uint32_t by_count;
    bool wants_record;  /* for record_share_decode */
    bool wants_quality; /* for record_share_add_quality */
    uint64_t from_ns, to_ns;
};
/* All rows of a file that touch the range, pass and count. What fails is told in the cost. */
void record_share_walk(const struct record_walk *walk, sqlite3 *db,
                       void (*each)(void *context, sqlite3_stmt *row), void *context);
/* query_merge_make for the rows of record_share_walk. */
MUST_USE int record_share_merge(struct history_reader *reader, const struct filter *filter,
                                uint64_t from_ns, uint64_t to_ns, bool is_all,
                                struct query_merge **out);
void record_share_read(sqlite3_stmt *rows, struct record_share *out);
bool record_share_has_any(const struct record_share *share);
/* The flow's first packet lies in the range. */
bool record_share_begins(const struct record_share *share, uint64_t from_ns, uint64_t to_ns);
/* Bytes and packets between two times. */
void record_share_add(const struct record_share *share, uint64_t from_ns, uint64_t to_ns,
                      struct history_sums *to);
/* Into `scratch`; NULL: there is none, it was not asked for, or it cannot be read. */
const struct flow_record *record_share_decode(sqlite3_stmt *rows, struct flow_record *scratch);
/* A connection that was not answered, was refused, or that the server broke off; a name server's
 * fault or silence; a web server's fault. */
bool record_share_is_failure(const struct flow_record *record);
/* Round trip, end, failure, retransmits. */
void record_share_add_quality(sqlite3_stmt *rows, struct flow_record *scratch,
                              struct history_sums *to);
