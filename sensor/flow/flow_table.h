/* Live flows of one shard: a hash table keyed by the 5-tuple, both directions as one flow.
 *
 * What a record covers depends on the packets of its own flow alone: idle gap and UPDATE deadlines
 * are tested against each packet's own time before it is counted; the timer wheel finds silent
 * flows and cuts at the same limits. So records are equal for any number of shards and any speed,
 * as long as no table is full, flow_table_step_clock is told where the input's clock was set back,
 * and flow_table_finish the time of the whole input. Deadlines: start + first_update_ns, then each
 * active_timeout_ns; one without packets since the last record gives no record. An END always
 * comes, with what is left.
 *
 * The sum of the deltas of all records of a flow is what was counted into it, always. All memory is
 * taken in flow_table_new; afterwards nothing here allocates, locks or logs. Depends
 * on: base, proto/record.h, wire. Threads: one table, one thread; flow_budget is shared. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/name_table.h"
#include "proto/record_flow.h"
#include "proto/record_stats.h"
#include "proto/record_syn.h"
#include "sensor/flow/flow.h"
#include "sensor/wire/community_id.h"
#include "sensor/wire/packet.h"

#define FLOW_BATCH_MAX 256

/* One `flows_max` for several tables, handed out in chunks. */
struct flow_budget {
    _Atomic int64_t remaining;
};

/* Before any table is made on it. */
void flow_budget_init(struct flow_budget *budget, uint64_t flows_max);

struct flow_settings {
    uint32_t flows_max;         /* slots of this table; with a budget fewer may be granted */
    uint32_t touched_flows;     /* slots whose memory is touched at the start, which costs about
                                   1 us each; the others when they are first used */
    struct flow_budget *budget; /* NULL: flows_max alone counts. Outlives the table */
    uint64_t idle_timeout_ns;   /* IPFIX 37; 0: never */
    uint64_t active_timeout_ns; /* IPFIX 36; 0: no further UPDATE */
    uint64_t first_update_ns;   /* 0: the first UPDATE comes after active_timeout_ns */
    uint64_t linger_ns;         /* a closed TCP flow stays this long after its last packet, for what
                                   trails; 0: 1 s */
    bool measure_rtt;
    bool measure_retransmissions;
    bool measure_out_of_order; /* all three off: compact entries, half the memory */
    bool emit_start;
    struct hash_key key;
    uint16_t community_id_seed;
    const struct ip_prefix *internal; /* networks.internal; borrowed; none: address_is_private */
    uint32_t internal_count;
    struct record_text interface;   /* borrowed */
    const struct name_table *names; /* of packet.interface; borrowed. NULL: `interface` for all */
    uint32_t observation_point;
};

/* Whether the settings count the address as of the inside. */
bool flow_is_internal(const struct flow_settings *settings, const struct ip_address *address);
/* What records call the interface `number`; lives as long as the settings' texts. */
struct record_text flow_interface_name(const struct flow_settings *settings, uint16_t number);

struct flow_observer {
    void *context;
    /* Each packet counted, after it was counted. `frame_bytes` is as given to add_batch. */
    void (*on_packet)(void *context, const struct packet *packet, const uint8_t *frame_bytes,
                      struct flow *flow, bool is_new, int direction);
    /* A record is due: flow_fill_record gives it. After FLOW_END the flow is gone. The callback
     * must not call the table, but for flow_fill_record, flow_table_report and the const functions.
     */
    void (*on_record)(void *context, struct flow *flow, enum flow_event event,
                      enum flow_end_reason reason, enum flow_end_detail detail);
};

struct flow_table;

#define FLOW_CLOCK_STEP_NS UINT64_C(10000000000) /* going back this far is a step, not disorder */

/* NULL with `err` set: ENOMEM, EINVAL (flows_max 0, or the budget has no chunk left for it). Either
 * callback may be NULL. */
MUST_USE struct flow_table *flow_table_new(const struct flow_settings *settings,
                                           const struct flow_observer *observer, struct error *err);
/* Live flows vanish without records: call flow_table_finish first. NULL is allowed. */
void flow_table_free(struct flow_table *table);
DEFINE_AUTO(flow_table, flow_table_free);

/* Whoever keeps memory for flows is told, in two steps some flows apart, which of them are about to
 * be looked at for a record or an end, so that the memory is on its way: at step 0 what the flow
 * leads to, at step 1 what that leads to. For flows with an `app` handle alone. It may be told in
 * vain: the flow may have a packet, a record or its end between the steps, or stay as it is.
 * `ahead` reads, and changes nothing. To be set before the first packet. */
typedef void (*flow_ahead_function)(void *context, const struct flow *flow, unsigned step);
void flow_table_set_ahead(struct flow_table *table, flow_ahead_function ahead, void *context);

/* Counts each packet with ip_version != 0, whatever its verdict, into its flow; others are left to
 * the caller. At most FLOW_BATCH_MAX. Returns how many were counted. */
uint32_t flow_table_add_batch(struct flow_table *table, const struct packet *packets,
                              const uint8_t *const *frames, uint32_t count);

/* Reports flows that are due at packet time `now_ns`, looking at about `budget` flows and slots at
 * most; true when it got through. A time before the last one is allowed: beyond 10 s the clock has
 * stepped and timeouts count from the new time (FLOW_FLAG_CLOCK_STEP). */
bool flow_table_advance(struct flow_table *table, uint64_t now_ns, uint32_t budget);

/* The input's clock was set back, from `until_ns` to `now_ns`: its time so far is over. Ends all
 * flows as flow_table_finish does (FORCED, CAPTURE_END, FLOW_FLAG_CLOCK_STEP) and takes the new
 * time for its own. Told at the same packet for any number of shards, it keeps records equal. */
void flow_table_step_clock(struct flow_table *table, uint64_t until_ns, uint64_t now_ns);

/* Ends all flows: first what was due at `now_ns` (the last packet time of the whole input; 0: of
 * this table), then the rest with reason and detail. */
void flow_table_finish(struct flow_table *table, uint64_t now_ns, enum flow_end_reason reason,
                       enum flow_end_detail detail);

/* Flows with packets since the last tick, each once, with what they were: for rates and top flows
 * of a second without a look at silent ones (4 bytes a flow). A flow that ended before is not
 * among them: flow_table_tick_delta gives its own in on_record(FLOW_END). Starts the next tick.
 * `asks_first`: `each` asks for flow_first_ns, a line more that is fetched ahead then. */
typedef void (*flow_tick_function)(void *context, struct flow *flow,
                                   const struct flow_tick_delta *delta);
void flow_table_tick(struct flow_table *table, bool asks_first, flow_tick_function each,
                     void *context);
struct flow_tick_delta flow_table_tick_delta(const struct flow_table *table,
                                             const struct flow *flow);

/* Other limits from now on. A flow that is there is looked at when its old limit is over: a shorter
 * one ends it late once, by at most the old one; an UPDATE that is due keeps its time. */
void flow_table_set_timeouts(struct flow_table *table, uint64_t idle_ns, uint64_t active_ns);

/* Live flows from slot `*cursor` (0 first), looking at `slots_max` slots; false when all were seen.
 * A flow that comes or goes between two calls may be missed. */
bool flow_table_iterate(const struct flow_table *table, uint32_t *cursor, uint32_t slots_max,
                        void (*each)(void *context, const struct flow *flow), void *context);

/* Everything the flow knows; app, tls, dns, http, ssh and names are left to inspect. Texts are the
 * table's and stay until the next call of it. Counts nothing as reported: the table does so after
 * on_record. `event` FLOW_EVENT_NONE gives a look at a live flow. */
void flow_fill_record(const struct flow_table *table, const struct flow *flow,
                      enum flow_event event, enum flow_end_reason reason,
                      enum flow_end_detail detail, struct flow_record *out);
/* The same, but of a flow of ports over IPv4 the Community ID is left to the caller: true, with
 * what it is made of in `id` and COMMUNITY_ID_BLANK in its place. */
MUST_USE bool flow_fill_record_blank(const struct flow_table *table, const struct flow *flow,
                                     enum flow_event event, enum flow_end_reason reason,
                                     enum flow_end_detail detail, struct flow_record *out,
                                     struct community_id_words *id);

/* The same of a flow that is no more than a SYN without payload (record_syn.h), but for what
 * inspect says; the Community ID is left to the caller. False: it is more, or has what such a
 * record does not tell. A look at most of a flood that fills 130 bytes instead of 1,300. */
MUST_USE bool flow_fill_syn(const struct flow_table *table, const struct flow *flow,
                            enum flow_event event, enum flow_end_reason reason,
                            enum flow_end_detail detail, struct syn_record *out,
                            struct community_id_words *id);

/* An UPDATE of the flow at once, out of turn: more was found out than one record holds. Allowed in
 * on_packet and, before flow_fill_record, in on_record. */
void flow_table_report(struct flow_table *table, struct flow *flow);

/* NULL in compact mode, and for a flow that has had no TCP header so far, or none but a SYN. */
const struct flow_tcp_part *flow_tcp(const struct flow_table *table, const struct flow *flow);
/* Of the side's first SYN; 0 where there was none. */
uint32_t flow_tcp_initial_seq(const struct flow_table *table, const struct flow *flow,
                              int direction);
/* Segments of the side with the flag; 65535: so many or more. */
uint32_t flow_tcp_flags(const struct flow_table *table, const struct flow *flow, int direction,
                        enum flow_tcp_flag flag);
/* FINs and RSTs of both sides together: 1 at the first that ends a connection. */
uint32_t flow_tcp_endings(const struct flow_table *table, const struct flow *flow);
/* False: no sample so far. */
bool flow_tcp_round_trips(const struct flow_table *table, const struct flow *flow,
                          struct flow_tcp_rtt *out);
/* Of both sides. */
uint64_t flow_tcp_retransmitted_segments(const struct flow_table *table, const struct flow *flow);
/* When the flow's first packet was seen; 0 with `table` NULL. */
uint64_t flow_first_ns(const struct flow_table *table, const struct flow *flow);
/* packet.interface of its first packet. */
uint16_t flow_interface(const struct flow_table *table, const struct flow *flow);
/* A sum since the start of the flow: up to 2^48 frames, 2^63 bytes. `table` NULL: what struct flow
 * itself has of it. */
uint64_t flow_total(const struct flow_table *table, const struct flow *flow, int direction,
                    enum flow_sum which);
/* What records call the flow: a hash of its key, first time, VLANs and tunnels. `table` NULL: the
 * flow has no tunnels. */
uint64_t flow_id(const struct flow_table *table, const struct flow *flow);

/* endpoint_a is the smaller by version, address, port: is the client endpoint a? */
static inline bool flow_client_is_a(const struct flow *flow)
{
    return !flow_client_is_high(flow);
}

struct flow_table_statistics {
    uint64_t packets, bytes; /* counted since the start */
    uint64_t flows_created;
    uint64_t flows_evicted; /* LACK_OF_RESOURCES */
    uint64_t clock_steps;
    uint64_t late_packets;     /* older than their flow's last packet */
    uint64_t reported_packets; /* in records so far; packets - reported_packets are held */
    uint64_t tunnels_full;     /* flows whose tunnels found no room */
    /* TCP over all flows; 0 in compact mode. */
    uint64_t data_segments; /* with payload */
    uint64_t retransmitted_segments, out_of_order_segments, zero_window_events;
    uint64_t resets;                           /* segments with RST */
    uint64_t rtt_counts[STATS_RTT_BOUNDS + 1]; /* both sides' round trips added; up to
                                                  stats_rtt_bounds_seconds[i] */
    uint64_t rtt_sum_ns;
};

struct flow_table_statistics flow_table_statistics(const struct flow_table *table);
uint32_t flow_table_count(const struct flow_table *table);
uint32_t flow_table_capacity(const struct flow_table *table);
/* In use now or before: what the table occupies, rounded up to pages. */
uint64_t flow_table_memory_bytes(const struct flow_table *table);
/* For a memory estimate before the start: bytes of a table of these settings when it is full of
 * IPv6, each flow with round trips and a record; without tunnels. */
uint64_t flow_table_memory_needed(const struct flow_settings *settings);
