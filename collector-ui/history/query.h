/* Questions to the store: jobs on two threads with read-only connections, bounded in time and rows.
 *
 * A day file that overlaps the range is read after the other and the answers merged here. Times are
 * record times, ranges are half open. What the store thread has not committed yet (at most
 * commit_ns) is not seen. Depends on: history.h, live.h, rollup.h. Threads: history_submit and the
 * functions of struct history any; those of a reader only inside its job. */
#pragma once

#include "collector-ui/history/history.h"
#include "collector-ui/history/live.h"
#include "collector-ui/history/rollup.h"
#include "proto/filter/filter.h"

struct history_reader;

/* Runs `run` on a query thread; `drop` instead of it when the store closes first. `from_ns`: the
 * oldest record time that it asks for; what reaches back beyond the day files is asked of the other
 * store (history_settings.past), on threads of its own. UINT64_MAX: nothing is. False: too many
 * wait already, nothing will be called. */
#define HISTORY_OWN UINT64_MAX
MUST_USE bool history_submit(struct history *history, uint64_t from_ns,
                             void (*run)(struct history_reader *reader, void *context),
                             void (*drop)(void *context), void *context);

/* Whether a question about records from this time on would ask the other store. Any thread. */
bool history_reaches_past(struct history *history, uint64_t from_ns);

struct history_limits {
    bool (*is_wanted)(void *context); /* NULL: always */
    void *context;
    uint64_t time_ns;  /* 0: as set (store.query_time) */
    uint64_t rows_max; /* 0: as set (store.query_rows) */
};
void history_reader_limit(struct history_reader *reader, const struct history_limits *limits);

struct history_cost {
    uint64_t scanned;  /* rows */
    bool is_partial;   /* a bound was met: what was read until then is the answer */
    bool is_full;      /* groups found no room, and are among the others */
    const char *bound; /* which: "store.query_time", "store.query_rows"; NULL: none, or a failure */
    bool is_merged;    /* a flow of several sensors counts once */
    const char *merge_bound; /* not all flows were compared: some may count twice; NULL: all were */
    char failure[256];
    /* Of what was asked of the other store: */
    bool has_past;         /* something was */
    uint64_t past_records; /* that came from there */
    uint64_t past_from_ns; /* from this end on all of them; older ones are missing */
    char past_reason[300]; /* why; "": none is missing */
};
void history_reader_cost(const struct history_reader *reader, struct history_cost *out);

/* Record times in the store; false: it is empty. */
bool history_span(struct history *history, uint64_t *from_ns, uint64_t *to_ns);
/* The live feed's window since the last call. One caller. */
MUST_USE struct live_window *history_take_live(struct history *history);

struct history_bytes {
    uint8_t *bytes;
    uint32_t length;
};
/* A list of records, each malloc'ed. */
struct history_list {
    struct history_bytes *items;
    uint64_t count, room;
};
void history_list_fini(struct history_list *list);

/* ---- one flow of several sensors ----
 *
 * The questions below about flows, groups, records and sums count a flow once that several of the
 * sensors saw which the filter admits (observation.h), unless `is_all`; whether the filter lets it
 * through is then asked of the records of the sensor that counts, so that a condition and its
 * opposite are the whole. Which one that is follows from the records of the range and of
 * store.merge_tolerance around it: ranges that join may decide differently on a flow that crosses
 * their border, and then each has what its sensor saw. */

/* ---- flows ---- */

enum history_order {
    ORDER_END_TIME,
    ORDER_START_TIME,
    ORDER_BYTES,
    ORDER_PACKETS,
    ORDER_RATE,
    ORDER_RTT,
    ORDER_RETRANSMITS,
    ORDER_DURATION,
    ORDER_COUNT
};

struct history_cursor { /* the last flow of the page before */
    int64_t key;
    uint64_t flow_id, sensor_hash;
};

struct history_flows_query {
    uint64_t from_ns, to_ns;
    const struct filter *filter; /* NULL: all */
    enum history_order order;
    bool is_ascending;
    uint32_t page_size; /* 0: only the sums */
    const struct history_cursor *after;
    bool wants_facets;
    bool is_all;
};

#define HISTORY_FACETS_MAX 8
enum history_facet { FACET_APP, FACET_SENSOR, FACET_TCP_STATE, FACET_PORT, FACET_COUNT };
struct history_facet_value {
    char value[132];
    uint64_t bytes;
};

struct history_flows {
    struct history_list records; /* FlowRecords with identity, in order */
    uint64_t matched;            /* flows over all pages */
    bool has_more;
    struct history_cursor last;
    struct history_facet_value facets[FACET_COUNT][HISTORY_FACETS_MAX];
    uint32_t facets_count[FACET_COUNT];
};
/* 0, or -ENOMEM, -ECANCELED (not wanted any more). */
MUST_USE int history_query_flows(struct history_reader *reader,
                                 const struct history_flows_query *query,
                                 struct history_flows *out);
void history_flows_fini(struct history_flows *flows);
/* The newest record of a flow; `sensor_id` NULL: of any. False: unknown, or a
 * bound was met (see cost). */
MUST_USE bool history_query_flow(struct history_reader *reader, uint64_t flow_id,
                                 const char *sensor_id, struct history_bytes *out);
/* Appends the observers of its flow to a FlowRecord with identity; nothing where one sensor alone
 * saw it. The record is unchanged unless 0 is returned; -ENOMEM or -ECANCELED. */
MUST_USE int history_query_observers(struct history_reader *reader, struct history_bytes *record);

/* ---- groups ---- */

enum history_group {
    GROUP_FLOW,
    GROUP_CLIENT,
    GROUP_SERVER,
    GROUP_SERVER_PORT,
    GROUP_APPLICATION,
    GROUP_SENSOR,
    GROUP_COUNT
};

struct history_groups_query {
    uint64_t from_ns, to_ns;
    const struct filter *filter; /* NULL: all */
    enum history_group group;
    bool is_by_packets; /* else by bytes; largest first */
    uint32_t limit;
    bool is_all; /* also where groups are sensors */
};

struct history_group_row {
    char key[132]; /* the flow's id, an address, a port, ... */
    uint64_t bytes, packets, flows;
    uint64_t bytes_before; /* of records that began before the range: they count whole */
};

struct history_groups {
    struct history_group_row *rows;
    uint32_t count;
    struct history_list records; /* GROUP_FLOW: the newest record of each row, with identity */
    bool is_full;                /* more groups or flows than are held: the sums are lower bounds */
};
/* Sums of the deltas of all records that end in the range. 0, -ENOMEM or -ECANCELED. */
MUST_USE int history_query_groups(struct history_reader *reader,
                                  const struct history_groups_query *query,
                                  struct history_groups *out);
void history_groups_fini(struct history_groups *groups);

/* ---- records, each by itself ---- */

struct history_record_cursor { /* the last record of the page before */
    int64_t key;
    uint64_t seq, identity; /* which one of its key; the same in whatever file it lies */
    uint64_t matched;       /* as the first page told */
};

struct history_record_query {
    uint64_t from_ns, to_ns; /* records that end in it */
    const struct filter *filter;
    bool is_by_bytes; /* of the record, largest first; else by its end, newest first */
    uint32_t page_size;
    const struct history_record_cursor *after; /* NULL: the first page */
    bool is_all;
};

struct history_record_page {
    struct history_list records; /* FlowRecords with identity */
    uint64_t matched;            /* records over all pages */
    bool has_more;
    struct history_record_cursor last;
};
/* Memory is that of the page. 0, -ENOMEM or -ECANCELED. */
MUST_USE int history_query_record_page(struct history_reader *reader,
                                       const struct history_record_query *query,
                                       struct history_record_page *out);
void history_record_page_fini(struct history_record_page *page);

/* ---- sums by group and time bucket ---- */

enum history_dimension {
    DIMENSION_APPLICATION,
    DIMENSION_SENSOR,
    DIMENSION_CLIENT,
    DIMENSION_SERVER,
    DIMENSION_SERVER_PORT,
    DIMENSION_SERVER_NAME,
    DIMENSION_SERVER_LABEL, /* its name, else its address */
    DIMENSION_PROTOCOL,
    DIMENSION_IP_VERSION,
    DIMENSION_VLAN,
    DIMENSION_DIRECTION,
    DIMENSION_CLIENT_NETWORK, /* these two by the key of a label */
    DIMENSION_SERVER_NETWORK,
    DIMENSION_COUNT
};
/* "application"; of the two by a label what stands before its key: "client.labels."; static. */
const char *history_dimension_name(enum history_dimension dimension);

#define HISTORY_DIMENSIONS_MAX 4
#define HISTORY_VALUE_BYTES    256 /* of one, with a NUL; longer ones are cut */

struct history_aggregate_query {
    uint64_t from_ns, to_ns;
    const struct filter *filter; /* NULL: all */
    enum history_dimension by[HISTORY_DIMENSIONS_MAX];
    char labels[HISTORY_DIMENSIONS_MAX][FLOW_LABEL_KEY_BYTES + 1]; /* of by[], where it wants one */
    uint32_t by_count;
    uint64_t step_ns; /* 0: one bucket */
    uint32_t limit;   /* groups that keep their name */
    bool wants_quality;
    bool is_all; /* also where sensors are groups */
};

struct history_sums {
    uint64_t bytes_forward, bytes_reverse, bytes_in, packets;
    uint64_t records;   /* that end in it */
    uint64_t new_flows; /* whose first packet lies in it */
    /* Only where quality is wanted: */
    uint64_t rtt_sum_ns, rtt_count;    /* of the records that end in it and have one */
    uint64_t ended, failed;            /* flows that ended in it; those without success */
    uint64_t tcp_packets, retransmits; /* of those of TCP, over their whole life */
};
void history_sums_add(struct history_sums *to, const struct history_sums *from);

struct history_aggregate_row {
    uint64_t start_ns; /* of the bucket */
    const char *key;   /* by_count texts, each with its NUL; NULL: all other groups */
    struct history_sums sums;
};

struct history_aggregate {
    struct history_aggregate_row *rows; /* by time, then bytes; others at last */
    uint32_t count;
    uint32_t groups, groups_max; /* held, at most */
    bool is_full; /* what had no room is among the others: sums with a key are lower bounds */
    uint64_t matched;
    char *keys;
};
/* The deltas of all records that touch the range, spread evenly over [delta_start, end], both ends
 * included, as far as that lies in the range. Ranges and buckets that join add up exactly: a
 * record's part is the difference of two rounded-down running sums. 0, -ENOMEM or -ECANCELED. */
MUST_USE int history_query_aggregate(struct history_reader *reader,
                                     const struct history_aggregate_query *query,
                                     struct history_aggregate *out);
void history_aggregate_fini(struct history_aggregate *aggregate);
/* How many buckets of `step_ns` touch the range. */
uint64_t history_buckets(uint64_t from_ns, uint64_t to_ns, uint64_t step_ns);

/* ---- who takes part: hosts, or what servers offer ---- */

enum history_party_order {
    PARTY_BYTES,
    PARTY_SENT,
    PARTY_RECEIVED,
    PARTY_FLOWS,
    PARTY_PEERS,
    PARTY_FIRST,
    PARTY_LAST,
    PARTY_RTT,
    PARTY_RETRANSMITS, /* their share */
    PARTY_FAILURES,    /* likewise */
    PARTY_ORDER_COUNT
};

struct history_parties_query {
    uint64_t from_ns, to_ns;
    const struct filter *filter; /* NULL: all */
    bool is_all;                 /* a flow counts once for each sensor */
    bool is_services;   /* a server's address, port, protocol and application; else hosts */
    const char *self;   /* the address of a host that is told by itself; "": none */
    const char *search; /* only with this in the address, name, port or application; "": all */
    enum history_party_order order;
    bool is_ascending;
    uint32_t limit;
};

struct history_party {
    const char *address;
    const char *port, *protocol, *app; /* of services */
    const char *name;                  /* the newest that a flow called it; "": none has */
    struct history_sums sums;          /* forward: what it sent */
    uint64_t flows, served;            /* different ones; those where it is the server */
    uint64_t peers;                    /* different addresses */
    uint64_t first_ns, last_ns;
};

struct history_parties {
    struct history_party *rows;
    uint32_t count;
    struct history_party *self; /* not among the rows; NULL: not seen */
    uint32_t found;             /* with `search`, without `self` */
    uint32_t groups, groups_max;
    bool is_full;              /* some found no room and are left out */
    bool is_counting_full;     /* flows and peers are lower bounds */
    struct history_sums whole; /* of all records, each counted once */
    uint64_t matched;
    char *keys, *names;
};
/* Sums as of history_query_aggregate, each record counted for both of its hosts, or for its
 * service. 0, -ENOMEM or -ECANCELED. */
MUST_USE int history_query_parties(struct history_reader *reader,
                                   const struct history_parties_query *query,
                                   struct history_parties *out);
void history_parties_fini(struct history_parties *parties);

/* ---- sums ---- */

/* Calls `each` for every sensor and step of `step_s` (1, 60, 3600) that starts in the range. */
MUST_USE int history_query_rollups(struct history_reader *reader, uint32_t step_s, uint64_t from_s,
                                   uint64_t to_s,
                                   void (*each)(void *context, int64_t start_s,
                                                const char *sensor_id, const struct rollup *rollup),
                                   void *context);
/* Sums of the flow records whose end lies in the range, exact: whole minutes from their sums, the
 * edges from the rows. Talkers (key: sensor_id NUL app NUL host) go into `talkers`. */
struct history_record_sums {
    uint64_t rows, packets, bytes, new_flows;
};
MUST_USE int history_query_records(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
                                   struct history_record_sums *sums, struct rollup_list *talkers);

/* ---- alerts, packets ---- */

/* The newest record of each alert, newest first: all that are open, and unless `only_open` those
 * whose last_time lies in the range. */
MUST_USE int history_query_alerts(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
                                  bool only_open, struct history_list *out);
/* Newest first, the samples that `wants` says yes to, at most `limit`; any thread. */
MUST_USE int history_packets(struct history *history, uint32_t limit,
                             bool (*wants)(void *context, const struct packet_sample *sample),
                             void *context, struct history_list *out, uint64_t *held);
