/* What the files of this folder share about the table; no other folder includes it.
 *
 * Depends on: flow_table.h. Threads: those of the table. */
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "sensor/flow/flow_links.h"
#include "sensor/flow/flow_table.h"
#include "sensor/flow/flow_tunnels.h"

#define FLOW_NONE         UINT32_MAX /* no slot */
#define FLOW_BUCKET_SLOTS 10
#define FLOW_WHEEL_SLOTS  2048 /* of 67 ms: 137 s ahead; what is due later is looked at again */
#define FLOW_WHEEL_SHIFT  26
#define FLOW_LOOK_NS      (UINT64_C(1) << 39)  /* 9 minutes: struct flow.update_tick */
#define FLOW_REUSE_NS     UINT64_C(1000000000) /* silence before a SYN opens a new connection */

/* One cache line. `overflows` counts the flows that wanted this bucket and were put further on: a
 * lookup stops at a bucket without, so removal needs no tombstones. */
struct flow_bucket {
    uint16_t tags[FLOW_BUCKET_SLOTS]; /* 0: empty */
    uint32_t slots[FLOW_BUCKET_SLOTS];
    uint32_t overflows;
};
static_assert(sizeof(struct flow_bucket) == 64, "a bucket is a cache line");

struct flow_index {
    struct flow_bucket *buckets;
    uint32_t bucket_count;
};

struct flow_item {
    struct flow_short_key short_key;
    struct flow_key key; /* of IPv6 alone */
    uint64_t hash;
    uint32_t candidate;
    struct flow *flow; /* of the candidate */
    bool source_is_high;
    bool is_ip;
};

/* What begin, end and records of a flow want: beside the flows, with the same place; of TCP that is
 * measured, at the begin of its struct flow_tcp_cold. */
struct flow_cold {
    uint64_t first_ns;
    uint32_t past; /* what was told: an index and, above it, enum flow_past; 0: nothing so far */
    uint32_t link; /* in table->links; the upper two bits: which of table->rounds */
};
static_assert(sizeof(struct flow_cold) == 16, "four a line");

/* The same of TCP, with what a side's first segments told. Without FLOW_HAS_TCP_PART and with
 * FLOW_SYN_IS_KEPT in mss[1] the flow's one TCP segment is a SYN of the client, whose IP id and
 * timestamp stand where the server's numbers do later. */
struct flow_tcp_cold {
    struct flow_cold cold;
    uint32_t initial_seq[2];
    uint16_t initial_window[2];
    uint16_t mss[2]; /* with REST_HAS_MSS */
};
static_assert(sizeof(struct flow_tcp_cold) == 32, "two a line");

enum flow_kept_syn {
    FLOW_SYN_IS_KEPT = 1 << 15,
    FLOW_SYN_OPTIONS = 0xff, /* enum tcp_option_bit */
    FLOW_SYN_SCALE_SHIFT = 8 /* window scale, 4 bits */
};

/* Round trips of a side that are below 8.5 s and at most FLOW_RTT_SAMPLES_MAX: shortest, longest,
 * last and mean in 29 bits of a word each, the lower half of the sum in the fifth. Above the 29
 * bits stand the number of samples (8 bits, 3 in each word, the lowest first), and the rest of the
 * sum (4 bits: the last one of the third word, and the fourth). */
struct flow_rtt_near {
    uint32_t words[5];
};
#define FLOW_RTT_UNIT_BITS   29
#define FLOW_RTT_SUM_BITS    36
#define FLOW_RTT_SAMPLES_MAX 254
#define FLOW_RTT_IS_FAR      255 /* of side 0: both stand in a struct flow_tcp_rtt, by words[4] */

/* Of a flow with samples or timed segments with timestamps. */
struct flow_tcp_rtt_near {
    struct flow_rtt_near side[2];
    uint32_t stamp[2]; /* timestamp of the segment being timed, with SIDE_RTT_IS_STAMPED */
};

/* What few segments of TCP ask for: beside the flows, with the same place. */
struct flow_tcp_rest {
    uint32_t history[2]; /* the halves of 64 bits: Zeek's letters in 5 bits each; in the upper 4 how
                            many of the first 12 */
    uint32_t handshake;  /* with REST_HAS_HANDSHAKE, in FLOW_ROUND_TRIP_UNIT_NS; before, with
                            REST_HAS_SYN, how long after the flow's begin the SYN came, in ns. Where
                            there is a struct flow_tcp_faults, this is its index, and it has that */
    uint32_t request;    /* how long after the flow's begin the client sent its first payload, the
                            lower 40 bits of ns with request_high; with SIDE_HAS_ANSWERED the
                            response time in FLOW_ROUND_TRIP_UNIT_NS */
    uint8_t request_high;
    uint8_t flags[2]; /* so many segments of a side, by flow_flag_shift; what goes on stands with
                         the faults */
    uint8_t bits;     /* enum flow_tcp_rest_bit */
    struct flow_tcp_rtt_near rtt; /* with SIDE_0_HAS_RTT */
};
static_assert(sizeof(struct flow_tcp_rest) == 68, "in two lines, wherever it begins");

#define FLOW_REQUEST_BITS 40

/* Counts of enum flow_tcp_flag: SYN and RST 3 bits, FIN 2. */
static inline unsigned flow_flag_shift(enum flow_tcp_flag flag)
{
    return flag == TCP_FLAG_SYN ? 0 : flag == TCP_FLAG_FIN ? 6 : 3;
}

static inline unsigned flow_flag_most(enum flow_tcp_flag flag)
{
    return flag == TCP_FLAG_FIN ? 3 : 7;
}

enum flow_tcp_rest_bit {
    REST_HAS_MSS = 1 << 0, /* this and the next: of the client; of the server ... */
    REST_SACK_PERMITTED = 1 << 1,
    REST_SERVER_SHIFT = 2, /* ... so much above */
    /* Of the connection. */
    REST_HAS_SYN = 1 << 4,    /* when the client's last SYN came is known ... */
    REST_SYN_IS_FAR = 1 << 5, /* ... and stands with the faults */
    REST_HAS_HANDSHAKE = 1 << 6,
    REST_REQUEST_IS_FAR = 1 << 7, /* when the first payload came stands with the faults */
};

static inline bool flow_rest_has(const struct flow_tcp_rest *rest, int direction,
                                 enum flow_tcp_rest_bit bit)
{
    return (rest->bits >> (direction * REST_SERVER_SHIFT) & bit) != 0;
}

enum flow_past { FLOW_PAST_TOLD, FLOW_PAST_TINY, FLOW_PAST_BRIEF, FLOW_PAST_LARGE };
#define FLOW_PAST_SHIFT 30
#define FLOW_PAST_MASK  ((UINT32_C(1) << FLOW_PAST_SHIFT) - 1)
#define FLOW_LINK_BITS  30
#define FLOW_LINK_MASK  ((UINT32_C(1) << FLOW_LINK_BITS) - 1)
#define FLOW_ROUNDS     4

/* Deadlines that flows were promised when they began. */
struct flow_round {
    uint64_t first_update_ns; /* behind the first packet; UINT64_MAX: never */
    uint64_t interval_ns;     /* between those that follow; 0: none */
};

/* What the last record told of a flow that is told as it was promised: by direction its sums and a
 * count, packed (flow_told.c). Of up to 15 packets with 511 bytes of payload each way ... */
struct flow_tiny {
    uint32_t sums[2];
};
static_assert(sizeof(struct flow_tiny) == 8, "eight a line");

/* ... and of up to 255 with 64 KiB. */
struct flow_brief {
    uint64_t sums[2];
};

/* The same of any flow whose sums are still whole in struct flow. */
struct flow_told {
    uint64_t sums[2];         /* as in struct flow */
    uint64_t next_update_ns;  /* UINT64_MAX: none */
    uint64_t since_and_index; /* how long before next_update_ns the delta began (up to 2^40 - 1 ns),
                                 and above it the update_index; what is longer is a flow_large's */
};
static_assert(sizeof(struct flow_told) == 32, "two a line");
#define FLOW_TOLD_SINCE_BITS 40

/* The same of any flow, and what few flows have: sums that outgrew struct flow, hop limits that
 * differ. */
struct flow_large {
    uint64_t delta_start_ns, next_update_ns;
    uint32_t highs[2][4];   /* what was carried, in halves of the field; by enum flow_sum */
    uint16_t highest[2][4]; /* of it the bits 32..47 */
    uint32_t told[2][4];    /* low halves of the sums */
    uint32_t carried[2][2]; /* packets and bytes in this tick, in halves ... */
    uint32_t tick;          /* ... the table's, when it was */
    uint32_t update_index;
    uint8_t ttl_max[2]; /* 0: as ttl */
    uint8_t reserved[6];
};
static_assert(sizeof(struct flow_large) == 128, "two cache lines");

/* What the last record told, from either of them. */
struct flow_reported {
    uint64_t delta_start_ns, next_update_ns;
    uint32_t sums[2][4]; /* low halves; by enum flow_sum */
    uint32_t update_index;
};

/* Sixteen neighbours, which wait in the wheel together: for the first that is due. */
#define FLOW_GROUP_SHIFT 4
#define FLOW_GROUP_FLOWS (1U << FLOW_GROUP_SHIFT)
struct flow_group {
    uint32_t next, previous; /* in a list of the wheel */
    uint32_t list;           /* 1 + its number; 0: in none */
};

/* Flows come in four kinds, by the room that they take. A slot is the kind and the place in it. */
enum flow_kind { FLOW_KIND_WIDE = 1, FLOW_KIND_TCP = 2, FLOW_KINDS = 4 };
#define FLOW_KIND_SHIFT 30
#define FLOW_PLACE_MASK ((UINT32_C(1) << FLOW_KIND_SHIFT) - 1)

struct flow_kind_pool {
    uint8_t *base;
    uint8_t *cold; /* a struct flow_cold each; of TCP a struct flow_tcp_cold */
    uint16_t *due; /* 1 + the number of the wheel's list; 0: none */
    struct flow_group *groups;
    uint64_t *touched;          /* a bit each: with packets since the tick */
    struct flow_tcp_part *tcps; /* of TCP alone, as the next one */
    struct flow_tcp_rest *rests;
    uint32_t tcps_fresh; /* places from here on never had these two */
    uint32_t fresh;      /* places from here on were never used */
    uint32_t free_head;  /* a slot; FLOW_NONE: no place was given back. The next is in key.low */
};

static inline uint32_t flow_kind_stride(unsigned kind)
{
    return (kind & FLOW_KIND_WIDE) != 0 ? sizeof(struct flow_wide) : sizeof(struct flow);
}

/* How far apart the struct flow_cold of the kind stand, as a power of 2. */
static inline unsigned flow_cold_shift(unsigned kind)
{
    static_assert(sizeof(struct flow_cold) == 1U << 4 &&
                      sizeof(struct flow_tcp_cold) == 1U << (4 + FLOW_KIND_TCP / 2),
                  "one addition tells it");
    return 4 + (kind & FLOW_KIND_TCP) / 2;
}

/* Parts of one sort. Indexes begin at 1, since 0 means none. */
struct flow_pool {
    uint8_t *base; /* of entry 1 */
    uint32_t stride;
    uint32_t fresh; /* entries from here on were never used */
    uint32_t free_head;
};

enum flow_part {
    FLOW_PART_FAULTS,
    FLOW_PART_RTT,
    FLOW_PART_TOLD, /* from here on by enum flow_past */
    FLOW_PART_TINY,
    FLOW_PART_BRIEF,
    FLOW_PART_LARGE,
    FLOW_PARTS
};
static_assert(FLOW_PART_LARGE == FLOW_PART_TOLD + FLOW_PAST_LARGE, "one addition tells it");

struct flow_table {
    struct flow_settings settings;
    struct flow_observer observer;
    flow_ahead_function ahead; /* NULL: nobody */
    void *ahead_context;
    bool is_measured;
    struct flow_kind_pool kinds[FLOW_KINDS];
    struct flow_pool parts[FLOW_PARTS];
    struct flow_links links;
    struct flow_round rounds[FLOW_ROUNDS];
    unsigned round; /* of new flows */
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
    char *community_text;
    void *memory;
    uint64_t memory_bytes;
    uint64_t fixed_bytes; /* of memory_bytes, those of index and wheel */
    struct flow_table_statistics statistics;
    struct flow_item items[FLOW_BATCH_MAX];
};

static ALWAYS_INLINE void flow_prefetch_lines(const void *entry, unsigned lines)
{
    for (unsigned i = 0; i < lines; i++) {
        __builtin_prefetch((const uint8_t *)entry + (size_t)i * CACHE_LINE, 1);
    }
}

static inline void *flow_pool_at(const struct flow_pool *pool, uint32_t index)
{
    return pool->base + (uint64_t)(index - 1) * pool->stride;
}

static inline struct flow *flow_at(const struct flow_table *table, uint32_t slot)
{
    const unsigned kind = slot >> FLOW_KIND_SHIFT;

    return (struct flow *)(void *)(table->kinds[kind].base +
                                   (uint64_t)(slot & FLOW_PLACE_MASK) * flow_kind_stride(kind));
}

static inline struct flow_cold *flow_cold_at(const struct flow_table *table, uint32_t slot)
{
    const unsigned kind = slot >> FLOW_KIND_SHIFT;
    const uint64_t at = (uint64_t)(slot & FLOW_PLACE_MASK) << flow_cold_shift(kind);

    return (struct flow_cold *)(void *)(table->kinds[kind].cold + at);
}

static inline unsigned flow_kind_of(const struct flow *flow)
{
    return (flow->key.ip_version == 6 ? FLOW_KIND_WIDE : 0U) |
           ((flow->bits & FLOW_HAS_TCP_ROOM) != 0 ? FLOW_KIND_TCP : 0U);
}

static inline uint32_t flow_slot(const struct flow_table *table, const struct flow *flow)
{
    const unsigned kind = flow_kind_of(flow);
    const uint64_t at = (uint64_t)((const uint8_t *)flow - table->kinds[kind].base);
    const uint64_t place = LIKELY((kind & FLOW_KIND_WIDE) == 0) ? at / sizeof(struct flow)
                                                                : at / sizeof(struct flow_wide);

    return kind << FLOW_KIND_SHIFT | (uint32_t)place;
}

/* Where other memory has a flow's place: slots without gaps. */
static inline uint32_t flow_place(const struct flow_table *table, uint32_t slot)
{
    return (slot >> FLOW_KIND_SHIFT) * table->settings.flows_max + (slot & FLOW_PLACE_MASK);
}

static inline struct flow_cold *flow_cold(const struct flow_table *table, const struct flow *flow)
{
    return flow_cold_at(table, flow_slot(table, flow));
}

static inline const struct flow_link *flow_link_of(const struct flow_table *table,
                                                   const struct flow_cold *cold)
{
    return flow_links_at(&table->links, cold->link & FLOW_LINK_MASK);
}

/* flow_parts.c */

/* A zeroed entry; there is always one, since no pool has fewer than flows_max. */
uint32_t flow_pool_take(struct flow_pool *pool);
void flow_pool_give(struct flow_pool *pool, uint32_t index);

struct flow_tcp_faults *flow_take_faults(struct flow_table *table, struct flow_tcp_part *part);
/* All parts of a flow that has ended. */
void flow_give_parts(struct flow_table *table, struct flow *flow, uint32_t slot);

/* flow_told.c */

/* What was told goes with its flow. */
void flow_give_told(struct flow_table *table, uint32_t past);
/* What the last record told; of a flow without one, zeros, its begin and its first deadline. */
void flow_get_reported(const struct flow_table *table, const struct flow_cold *cold,
                       struct flow_reported *out);
void flow_set_reported(struct flow_table *table, struct flow_cold *cold,
                       const struct flow_reported *reported);
static inline bool flow_past_is(const struct flow_cold *cold, enum flow_past form)
{
    return cold->past != 0 && cold->past >> FLOW_PAST_SHIFT == (uint32_t)form;
}
static inline bool flow_past_is_short(const struct flow_cold *cold)
{
    return flow_past_is(cold, FLOW_PAST_TINY) || flow_past_is(cold, FLOW_PAST_BRIEF);
}
/* Where it stands; there is one. */
static inline void *flow_past_at(const struct flow_table *table, const struct flow_cold *cold)
{
    return flow_pool_at(&table->parts[FLOW_PART_TOLD + (cold->past >> FLOW_PAST_SHIFT)],
                        cold->past & FLOW_PAST_MASK);
}
/* NULL: the flow has none. */
static inline struct flow_large *flow_large(const struct flow_table *table,
                                            const struct flow_cold *cold)
{
    return flow_past_is(cold, FLOW_PAST_LARGE) ? flow_past_at(table, cold) : NULL;
}
/* The flow's, made where there is none. */
struct flow_large *flow_take_large(struct flow_table *table, struct flow_cold *cold);
/* When the next UPDATE is due; UINT64_MAX: never. */
uint64_t flow_next_update_ns(const struct flow_table *table, const struct flow_cold *cold);
/* Sets flow->update_tick for packets behind `from_ns`: with a delta that is full, for the next. */
void flow_set_update_tick(const struct flow_table *table, struct flow *flow,
                          const struct flow_cold *cold, uint64_t from_ns);
/* Deadlines of flows to come; what was promised to others stays. */
void flow_set_first_update(struct flow_table *table);

/* flow_sums.c */

/* One of the sums is about to outgrow its field, or what is added is large. */
void flow_carry_sums(struct flow_table *table, struct flow *flow, const struct packet *packet,
                     int direction);
/* Whether a delta may leave 32 bits with the next packets, however small: a packet of crafted
 * length has filled it. */
bool flow_delta_is_full(const struct flow_table *table, const struct flow *flow,
                        const struct flow_cold *cold);
void flow_add_carried(const struct flow_large *large, int direction, uint64_t totals[4]);

/* A direction's sums, by enum flow_sum; `large` is the flow's, or NULL. */
static inline void flow_totals(const struct flow_large *large, const struct flow *flow,
                               int direction, uint64_t out[4])
{
    const uint64_t sums = flow->sums[direction];

    out[FLOW_SUM_PACKETS] = flow_low_sum(sums, FLOW_SUM_PACKETS);
    out[FLOW_SUM_BYTES] = flow_low_sum(sums, FLOW_SUM_BYTES);
    out[FLOW_SUM_PAYLOAD] = flow_low_sum(sums, FLOW_SUM_PAYLOAD);
    out[FLOW_SUM_IP] = flow_low_sum(sums, FLOW_SUM_IP);
    if (UNLIKELY(large != NULL)) {
        flow_add_carried(large, direction, out);
    }
}

/* The flow has the room for it. */
static inline struct flow_tcp_part *flow_tcp_part_at(const struct flow_table *table, uint32_t slot)
{
    return &table->kinds[slot >> FLOW_KIND_SHIFT].tcps[slot & FLOW_PLACE_MASK];
}

static inline struct flow_tcp_part *flow_tcp_part(const struct flow_table *table,
                                                  const struct flow *flow)
{
    return flow_tcp_part_at(table, flow_slot(table, flow));
}

static inline bool flow_has_tcp_part(const struct flow *flow)
{
    return (flow->bits & FLOW_HAS_TCP_PART) != 0;
}

static inline struct flow_tcp_rest *flow_tcp_rest_at(const struct flow_table *table, uint32_t slot)
{
    return &table->kinds[slot >> FLOW_KIND_SHIFT].rests[slot & FLOW_PLACE_MASK];
}

static inline struct flow_tcp_rtt_near *flow_tcp_rtt_at(const struct flow_table *table,
                                                        uint32_t slot)
{
    return &flow_tcp_rest_at(table, slot)->rtt;
}

/* Of a flow with room for TCP. */
static inline struct flow_tcp_cold *flow_tcp_cold_at(const struct flow_table *table, uint32_t slot)
{
    return (struct flow_tcp_cold *)(void *)flow_cold_at(table, slot);
}

/* NULL: the flow has more than the SYN, or none. */
static inline const struct flow_tcp_cold *flow_kept_syn(const struct flow_table *table,
                                                        const struct flow *flow)
{
    if ((flow->bits & (FLOW_HAS_TCP_ROOM | FLOW_HAS_TCP_PART)) != FLOW_HAS_TCP_ROOM) {
        return NULL;
    }
    const struct flow_tcp_cold *cold = flow_tcp_cold_at(table, flow_slot(table, flow));

    return (cold->mss[1] & FLOW_SYN_IS_KEPT) != 0 ? cold : NULL;
}

static inline uint32_t flow_tcp_slot(const struct flow_table *table,
                                     const struct flow_tcp_part *part)
{
    const struct flow_kind_pool *narrow = &table->kinds[FLOW_KIND_TCP];
    const struct flow_kind_pool *wide = &table->kinds[FLOW_KIND_TCP | FLOW_KIND_WIDE];
    const bool is_wide = (uint64_t)(part - narrow->tcps) >= table->settings.flows_max;
    const unsigned kind = FLOW_KIND_TCP | (UNLIKELY(is_wide) ? FLOW_KIND_WIDE : 0U);

    return kind << FLOW_KIND_SHIFT |
           (uint32_t)(part - (UNLIKELY(is_wide) ? wide->tcps : narrow->tcps));
}

static inline struct flow_tcp_rest *flow_tcp_rest(const struct flow_table *table,
                                                  const struct flow_tcp_part *part)
{
    return flow_tcp_rest_at(table, flow_tcp_slot(table, part));
}

static inline bool flow_tcp_has_faults(const struct flow_tcp_part *part)
{
    return (part->side[1].bits & SIDE_1_HAS_FAULTS) != 0;
}

static inline struct flow_tcp_cold *flow_tcp_cold(const struct flow_table *table,
                                                  const struct flow_tcp_part *part)
{
    return flow_tcp_cold_at(table, flow_tcp_slot(table, part));
}

static inline bool flow_tcp_has_rtt(const struct flow_tcp_part *part)
{
    return (part->side[0].bits & SIDE_0_HAS_RTT) != 0;
}

/* To be read: zeros where there was no fault so far. */
static inline const struct flow_tcp_faults *flow_tcp_faults(const struct flow_table *table,
                                                            const struct flow_tcp_part *part)
{
    static const struct flow_tcp_faults none;

    return flow_tcp_has_faults(part) ? flow_pool_at(&table->parts[FLOW_PART_FAULTS],
                                                    flow_tcp_rest(table, part)->handshake)
                                     : &none;
}

/* Segments of a side with the flag; 65535: so many or more. */
static inline uint16_t flow_tcp_flag_count(const struct flow_table *table,
                                           const struct flow_tcp_part *part,
                                           const struct flow_tcp_rest *rest, int direction,
                                           enum flow_tcp_flag flag)
{
    uint32_t count = rest->flags[direction] >> flow_flag_shift(flag) & flow_flag_most(flag);

    if (UNLIKELY(count == flow_flag_most(flag))) {
        count += flow_tcp_faults(table, part)->flags[direction][flag];
    }
    return count < UINT16_MAX ? (uint16_t)count : UINT16_MAX;
}

/* flow_tcp_rest.handshake, wherever it stands. */
static inline uint32_t flow_tcp_handshake_field(const struct flow_table *table,
                                                const struct flow_tcp_part *part,
                                                const struct flow_tcp_rest *rest)
{
    return flow_tcp_has_faults(part) ? flow_tcp_faults(table, part)->handshake : rest->handshake;
}

/* In FLOW_ROUND_TRIP_UNIT_NS; 0: not measured. */
static inline uint32_t flow_tcp_handshake(const struct flow_table *table,
                                          const struct flow_tcp_part *part,
                                          const struct flow_tcp_rest *rest)
{
    return (rest->bits & REST_HAS_HANDSHAKE) != 0 ? flow_tcp_handshake_field(table, part, rest) : 0;
}

/* With the round trips. */
static ALWAYS_INLINE void flow_prefetch_rest(const struct flow_table *table, uint32_t slot)
{
    const struct flow_tcp_rest *rest = flow_tcp_rest_at(table, slot);

    __builtin_prefetch(rest, 1);
    __builtin_prefetch((const uint8_t *)(rest + 1) - 1, 1);
}

static inline unsigned flow_rtt_samples(const struct flow_rtt_near *side)
{
    return side->words[0] >> FLOW_RTT_UNIT_BITS | side->words[1] >> FLOW_RTT_UNIT_BITS << 3 |
           (side->words[2] >> FLOW_RTT_UNIT_BITS & 3) << 6;
}

/* NULL: they stand in `near`. */
static inline struct flow_tcp_rtt *flow_rtt_far(const struct flow_table *table,
                                                const struct flow_tcp_rtt_near *near)
{
    return UNLIKELY(flow_rtt_samples(&near->side[0]) == FLOW_RTT_IS_FAR)
               ? flow_pool_at(&table->parts[FLOW_PART_RTT], near->side[0].words[4])
               : NULL;
}

/* The flow's, zeroed when it is first asked for. */
static inline struct flow_tcp_rtt_near *flow_take_rtt(const struct flow_table *table,
                                                      struct flow_tcp_part *part)
{
    struct flow_tcp_rtt_near *rtt = flow_tcp_rtt_at(table, flow_tcp_slot(table, part));

    if (!flow_tcp_has_rtt(part)) {
        part->side[0].bits |= SIDE_0_HAS_RTT;
        *rtt = (struct flow_tcp_rtt_near){0};
    }
    return rtt;
}

/* tcp_round_trips.c */

/* All of the flow's; zeros where there are none. */
void flow_get_rtt(const struct flow_table *table, const struct flow_tcp_part *part,
                  struct flow_tcp_rtt *out);
/* One more, of the data that `direction` has sent. */
void flow_add_rtt(struct flow_table *table, struct flow_tcp_part *part, int direction, uint64_t ns);
/* The means of both sides together, in FLOW_ROUND_TRIP_UNIT_NS; of a flow with samples. */
uint64_t flow_rtt_ewmas(const struct flow_table *table, const struct flow_tcp_part *part);

/* In FLOW_ROUND_TRIP_UNIT_NS. */
static inline uint32_t flow_round_trip_units(uint64_t ns)
{
    const uint64_t units = ns / FLOW_ROUND_TRIP_UNIT_NS;

    return units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

/* Which of rtt_counts the sum of both sides' round trips belongs to. */
static inline unsigned flow_rtt_bucket(uint64_t units)
{
    /* stats_rtt_bounds_seconds in FLOW_ROUND_TRIP_UNIT_NS */
    static const uint32_t bounds[STATS_RTT_BOUNDS] = {
        31250,   62500,   125000,   312500,   625000,   1250000,
        3125000, 6250000, 12500000, 31250000, 62500000, 125000000,
    };
    const uint32_t value = units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
    unsigned bucket = 0;

    for (unsigned i = 0; i < STATS_RTT_BOUNDS; i++) { /* no jump: times come in no order */
        bucket += value > bounds[i];
    }
    return bucket;
}

/* Tells the keeper of other memory: see flow_table_set_ahead. */
static inline void flow_tell_ahead(const struct flow_table *table, const struct flow *flow,
                                   unsigned step)
{
    if (flow->app != 0 && table->ahead != NULL) {
        table->ahead(table->ahead_context, flow, step);
    }
}

/* For a flow that is about to be reported or to end, whose line is there: what stands beside it is
 * on its way... */
static ALWAYS_INLINE void flow_prefetch_near_parts(const struct flow_table *table, uint32_t slot)
{
    const struct flow *flow = flow_at(table, slot);

    __builtin_prefetch(flow_cold_at(table, slot), 1);
    if (flow_has_tcp_part(flow)) {
        __builtin_prefetch(flow_tcp_part_at(table, slot), 0);
        flow_prefetch_rest(table, slot);
    }
    flow_tell_ahead(table, flow, 0);
}

/* Whether the flow is that of the item's key; `mask` says what counts of its last word. */
static inline bool flow_is_of(const struct flow *flow, const struct flow_item *item, uint64_t mask)
{
    uint64_t x[2], y[2];

    memcpy(x, &flow->key, sizeof(x));
    memcpy(y, &item->short_key, sizeof(y));
    if (((x[0] ^ y[0]) | ((x[1] ^ y[1]) & mask)) != 0) {
        return false;
    }
    return LIKELY(item->short_key.ip_version != 6) ||
           memcmp(flow_wide_ips(flow), item->key.low_ip, 32) == 0;
}

static inline bool flow_is_closed(const struct flow *flow)
{
    const enum tcp_state state = flow_tcp_state(flow);

    return state == TCP_CLOSED || state == TCP_RESET;
}

static inline uint64_t flow_add_time(uint64_t time_ns, uint64_t by_ns)
{
    return time_ns > UINT64_MAX - by_ns ? UINT64_MAX : time_ns + by_ns;
}

/* How long the flow may be silent. */
static inline uint64_t flow_silence_limit(const struct flow_table *table, const struct flow *flow)
{
    const uint64_t idle =
        table->settings.idle_timeout_ns != 0 ? table->settings.idle_timeout_ns : UINT64_MAX;

    if (UNLIKELY(flow_is_closed(flow))) {
        return table->settings.linger_ns < idle ? table->settings.linger_ns : idle;
    }
    return idle;
}

/* flow_limits.c */

/* A record of the flow; what it told is kept, but for the last. */
void flow_emit(struct flow_table *table, struct flow *flow, enum flow_event event,
               enum flow_end_reason reason, enum flow_end_detail detail);
/* A record out of turn: the next delta begins now. */
void flow_cut_delta(struct flow_table *table, struct flow *flow, uint64_t now_ns);
/* The last record; the slot is free then. */
void flow_end(struct flow_table *table, uint32_t slot, enum flow_end_reason reason,
              enum flow_end_detail detail);
/* Brings the flow to `now_ns`: what was due before is reported. False: it ended. Packets are
 * expected behind `from_ns`. */
bool flow_settle(struct flow_table *table, uint32_t slot, uint64_t now_ns, uint64_t from_ns);
/* The clock went back behind the flow's last packet. */
void flow_step_clock(struct flow_table *table, struct flow *flow, uint64_t now_ns);
/* When the flow is to be looked at next. */
uint64_t flow_due_ns(const struct flow_table *table, const struct flow *flow,
                     const struct flow_cold *cold);

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

static inline uint64_t flow_hash(const struct flow_table *table, const struct flow *flow)
{
    if (LIKELY(flow->key.ip_version == 4)) {
        uint64_t words[2];

        memcpy(words, &flow->key, sizeof(words));
        return flow_key_hash_ipv4(words[0], words[1], table->settings.key);
    }
    const struct flow_key key = flow_whole_key(flow);
    return flow_key_hash(&key, table->settings.key);
}

/* ... and then, once that is there, the bucket that the end takes it out of, and what it leads to.
 */
static ALWAYS_INLINE void flow_prefetch_bucket(const struct flow_table *table, uint32_t slot)
{
    const uint64_t hash = flow_hash(table, flow_at(table, slot));

    __builtin_prefetch(&table->index.buckets[flow_index_home(&table->index, hash)], 1);
}

static ALWAYS_INLINE void flow_prefetch_past(const struct flow_table *table, uint32_t slot)
{
    const struct flow_cold *cold = flow_cold_at(table, slot);

    if (cold->past != 0) {
        const uint8_t *past = flow_past_at(table, cold);

        __builtin_prefetch(past, 1);
        if (flow_past_is(cold, FLOW_PAST_LARGE)) {
            __builtin_prefetch(past + CACHE_LINE, 1);
        }
    }
    flow_tell_ahead(table, flow_at(table, slot), 1);
}

/* Bit n: tags[n] is `tag`. */
static inline unsigned flow_bucket_match(const struct flow_bucket *bucket, uint16_t tag)
{
#ifdef __SSE2__
    const __m128i tags = _mm_load_si128((const __m128i *)(const void *)bucket->tags);
    const __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));
    const unsigned first = (unsigned)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));

    return first | (unsigned)(bucket->tags[8] == tag) << 8 |
           (unsigned)(bucket->tags[9] == tag) << 9;
#else
    unsigned mask = 0;

    for (unsigned i = 0; i < FLOW_BUCKET_SLOTS; i++) {
        mask |= (unsigned)(bucket->tags[i] == tag) << i;
    }
    return mask;
#endif
}
/* The flow of the item's key; else one of the same 5-tuple whose answers come under the key's
 * tenant, or which has had no answer so far. FLOW_NONE: neither is there. */
uint32_t flow_index_find(const struct flow_table *table, const struct flow_item *item);
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

/* timer_wheel.c: lists of groups of flows by when the first of them is to be looked at next. */

/* Instead of when it was to be looked at before. */
void wheel_set(struct flow_table *table, uint32_t slot, uint64_t due_ns);
static inline void wheel_clear(struct flow_table *table, uint32_t slot)
{
    table->kinds[slot >> FLOW_KIND_SHIFT].due[slot & FLOW_PLACE_MASK] = 0;
}
/* Sets the wheel's time where it has none. */
void wheel_start(struct flow_table *table, uint64_t now_ns);
/* The clock stepped back to `now_ns`: the lists keep their place, and groups wait for what comes
 * first from there on. */
void wheel_turn_back(struct flow_table *table, uint64_t now_ns);
/* Calls `look` for each flow whose tick has passed, which is in no list then. */
bool wheel_advance(struct flow_table *table, uint64_t now_ns, uint32_t budget,
                   void (*look)(struct flow_table *table, uint32_t slot, uint64_t now_ns));

/* tcp_track.c */

/* State and flags, before tcp_measure and in compact mode alone. */
void tcp_follow(struct flow *flow, const struct packet *packet, int direction);
/* What one segment added, besides bytes: for the sums over all flows. */
enum tcp_event {
    TCP_EVENT_RETRANSMITTED = 1 << 0,
    TCP_EVENT_OUT_OF_ORDER = 1 << 1,
    TCP_EVENT_ZERO_WINDOW = 1 << 2,
    TCP_EVENT_SAMPLE = 1 << 3, /* a round trip of the peer's data */
};
/* Keeps the flow's first segment in its struct flow_tcp_cold where that has room for all of it;
 * else false. */
bool tcp_keep_syn(const struct flow_table *table, const struct flow *flow, uint32_t slot,
                  const struct packet *packet);
/* The flow's part, made from what was kept. */
struct flow_tcp_part *tcp_make_part(struct flow_table *table, struct flow *flow, uint32_t slot,
                                    uint64_t now_ns);
/* Returns enum tcp_event bits. */
unsigned tcp_measure(struct flow_table *table, struct flow_tcp_part *part,
                     const struct packet *packet, int direction, uint8_t state_before);
/* A SYN that opens a new connection over the ports of `flow`. */
bool tcp_is_reuse(const struct flow_table *table, const struct flow *flow,
                  const struct packet *packet, int direction);
/* What is timed for long is kept whole, since its 40 bits wrap in 18 minutes: at `now_ns`, within
 * FLOW_LOOK_NS of the last call or of a timed segment, and before the flow's last_ns goes back. */
void tcp_settle(struct flow_table *table, struct flow *flow, uint64_t now_ns);

/* Whether the segment completes the sample that is waited for. */
static inline bool tcp_may_sample(const struct flow_tcp_part *part, const struct packet *packet,
                                  int direction)
{
    const struct flow_tcp_side *peer = &part->side[!direction];

    return (peer->bits & SIDE_RTT_IS_TIMED) != 0 &&
           (int32_t)(packet->tcp_ack - peer->rtt_until) >= 0;
}

/* Whether the segment may be timed by its timestamp. */
static inline bool tcp_may_stamp(const struct flow_tcp_part *part, const struct packet *packet,
                                 int direction)
{
    return (packet->tcp_options & TCP_OPTION_TIMESTAMPS) != 0 && packet->payload_bytes > 0 &&
           (part->side[direction].bits & SIDE_RTT_IS_TIMED) == 0;
}

/* tcp_history.c: Zeek's view of a connection. */

/* States of one side, by Zeek's names. */
enum tcp_endpoint {
    ENDPOINT_INACTIVE,
    ENDPOINT_SYN_SENT,
    ENDPOINT_SYN_ACK_SENT, /* and no SYN before it */
    ENDPOINT_PARTIAL,      /* seen without its SYN */
    ENDPOINT_ESTABLISHED,
    ENDPOINT_CLOSED, /* sent a FIN */
    ENDPOINT_RESET,  /* sent a RST */
};
enum tcp_letter {
    LETTER_RETRANSMISSION, /* T */
    LETTER_ZERO_WINDOW,    /* W */
    LETTER_GAP,            /* G */
};
/* Letters of a side by bit of its history_seen. */
enum tcp_history_bit {
    HISTORY_SYN,
    HISTORY_SYN_ACK,
    HISTORY_ACK,
    HISTORY_DATA,
    HISTORY_FIN,
    HISTORY_RST,
    HISTORY_FIN_RST,
    HISTORY_MULTI_FLAG,
    HISTORY_SCALED, /* + enum tcp_letter */
    HISTORY_NOTHING = HISTORY_SCALED,
};

/* What flags and data of the segment are called; HISTORY_NOTHING: no letter. */
static inline enum tcp_history_bit tcp_history_bit_of(const struct packet *packet)
{
    const bool has_ack = (packet->tcp_flags & TCP_ACK) != 0;

    switch (packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) {
    case 0:
        return packet->payload_bytes > 0 ? HISTORY_DATA : has_ack ? HISTORY_ACK : HISTORY_NOTHING;
    case TCP_SYN:
        return has_ack ? HISTORY_SYN_ACK : HISTORY_SYN;
    case TCP_FIN:
        return HISTORY_FIN;
    case TCP_RST:
        return HISTORY_RST;
    case TCP_FIN | TCP_RST:
    case TCP_FIN | TCP_RST | TCP_SYN:
        return HISTORY_FIN_RST;
    default:
        return HISTORY_MULTI_FLAG;
    }
}

/* Whether the segment has a letter that its side has not had. */
static inline bool tcp_adds_to_history(const struct flow_tcp_part *part,
                                       const struct packet *packet, int direction)
{
    const enum tcp_history_bit bit = tcp_history_bit_of(packet);

    return bit != HISTORY_NOTHING && (part->side[direction].history_seen >> bit & 1) == 0;
}

/* Flags and data of a segment, before anything else is made of it. */
void tcp_note_flags(struct flow_table *table, struct flow_tcp_part *part,
                    const struct packet *packet, int direction);
/* The letters so far, into room for FLOW_HISTORY_MAX; returns how many. */
unsigned tcp_history(const struct flow_table *table, const struct flow_tcp_part *part, char *out);
/* One more of what has a letter at the first, tenth, hundredth, ... time. */
void tcp_note_letter(struct flow_table *table, struct flow_tcp_part *part, int direction,
                     enum tcp_letter letter);
/* The states after the segment. */
void tcp_note_endpoints(struct flow_tcp_part *part, const struct packet *packet, int direction);
/* Zeek's conn_state; with `part` NULL (compact mode) as far as flags tell it. Static. */
const char *tcp_conn_state(const struct flow *flow, const struct flow_tcp_part *part);
