/* What the files of this folder share about the table; no other folder includes it.
 *
 * Depends on: flow_table.h. Threads: those of the table. */
#pragma once

#include "sensor/flow/flow_table.h"
#include "sensor/flow/flow_tunnels.h"

#define FLOW_NONE         UINT32_MAX /* no slot */
#define FLOW_BUCKET_SLOTS 8
#define FLOW_WHEEL_SLOTS  2048 /* of 67 ms: 137 s ahead; what is due later is looked at again */
#define FLOW_WHEEL_SHIFT  26
#define FLOW_REUSE_NS     UINT64_C(1000000000) /* silence before a SYN opens a new connection */

/* One cache line. `overflows` counts the flows that wanted this bucket and were put further on: a
 * lookup stops at a bucket without, so removal needs no tombstones. */
struct flow_bucket {
    uint16_t tags[FLOW_BUCKET_SLOTS]; /* 0: empty */
    uint32_t slots[FLOW_BUCKET_SLOTS];
    uint32_t overflows;
    uint32_t reserved[3];
};
static_assert(sizeof(struct flow_bucket) == 64, "a bucket is a cache line");

struct flow_index {
    struct flow_bucket *buckets;
    uint32_t bucket_count;
};

struct flow_item {
    struct flow_key key;
    uint64_t hash;
    uint32_t candidate;
    bool source_is_high;
    bool is_ip;
};

struct flow_table {
    struct flow_settings settings;
    struct flow_observer observer;
    bool is_measured;
    uint8_t *pool;
    uint32_t stride;
    uint32_t fresh; /* slots from here on were never used */
    uint32_t free_head;
    uint32_t count;
    uint32_t granted; /* flows that the budget allows now */
    uint32_t chunk;
    struct flow_index index;
    struct flow_tunnels *tunnels;
    uint32_t *wheel;       /* heads of the lists */
    uint64_t wheel_cursor; /* the tick whose list is being emptied */
    uint64_t now_ns;       /* as far as the wheel has been told */
    uint64_t newest_ns;    /* of all packets */
    bool has_time;
    uint32_t tick;
    uint32_t *touched; /* slots with packets since the last tick */
    uint32_t touched_count;
    char *community_text;
    void *memory;
    uint64_t memory_bytes;
    struct flow_table_statistics statistics;
    struct flow_item items[FLOW_BATCH_MAX];
};

static inline struct flow *flow_at(const struct flow_table *table, uint32_t slot)
{
    return (struct flow *)(void *)(table->pool + (uint64_t)slot * table->stride);
}

static inline uint32_t flow_slot(const struct flow_table *table, const struct flow *flow)
{
    return (uint32_t)((uint64_t)((const uint8_t *)flow - table->pool) / table->stride);
}

static inline struct flow_tcp_part *flow_tcp_part(struct flow *flow)
{
    return (struct flow_tcp_part *)(void *)(flow + 1);
}

static inline bool flow_is_closed(const struct flow *flow)
{
    return flow->tcp_state == TCP_CLOSED || flow->tcp_state == TCP_RESET;
}

/* flow_index.c */
static inline uint32_t flow_index_home(const struct flow_index *index, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * index->bucket_count) >> 32);
}

static inline uint16_t flow_index_tag(uint64_t hash)
{
    const uint16_t tag = (uint16_t)(hash >> 16);

    return tag != 0 ? tag : 1;
}

/* Bit n: tags[n] is `tag`. */
unsigned flow_bucket_match(const struct flow_bucket *bucket, uint16_t tag);
/* The flow of the key; else one of the same 5-tuple whose answers come under the key's tenant, or
 * which has had no answer so far. FLOW_NONE: neither is there. */
uint32_t flow_index_find(const struct flow_table *table, const struct flow_key *key, uint64_t hash,
                         bool source_is_high);
/* There is room by construction: more places than flows. */
void flow_index_insert(struct flow_index *index, uint64_t hash, uint32_t slot);
void flow_index_remove(struct flow_index *index, uint64_t hash, uint32_t slot);
/* The longest silent flow of the first bucket from the home of `hash` on that has any. */
uint32_t flow_index_victim(const struct flow_table *table, uint64_t hash);

/* flow_budget.c */

/* A further chunk for `table`; false when there is none, or it has no slots for more. */
bool flow_budget_grant(struct flow_table *table);
/* Hands back a chunk where three are unused, so that a table at the edge does not take and give by
 * turns. */
void flow_budget_give_back(struct flow_table *table);

/* timer_wheel.c: intrusive lists of flows by when they are to be looked at next. */
void wheel_insert(struct flow_table *table, struct flow *flow, uint32_t slot, uint64_t due_ns);
void wheel_remove(struct flow_table *table, struct flow *flow);
/* Sets the wheel's time where it has none. */
void wheel_start(struct flow_table *table, uint64_t now_ns);
/* Calls `look` for each flow whose tick has passed, which takes it off the wheel first. */
bool wheel_advance(struct flow_table *table, uint64_t now_ns, uint32_t budget,
                   void (*look)(struct flow_table *table, uint32_t slot, uint64_t now_ns));

/* tcp_track.c */

/* State and flags, before tcp_measure and in compact mode alone. */
void tcp_follow(struct flow *flow, const struct packet *packet, int direction);
void tcp_measure(const struct flow_settings *settings, struct flow *flow,
                 struct flow_tcp_part *part, const struct packet *packet, int direction,
                 uint8_t state_before);
/* A SYN that opens a new connection over the ports of `flow`. */
bool tcp_is_reuse(const struct flow *flow, const struct flow_tcp_part *part,
                  const struct packet *packet, int direction);
/* Zeek's conn_state. Static. */
const char *tcp_conn_state(const struct flow *flow);
