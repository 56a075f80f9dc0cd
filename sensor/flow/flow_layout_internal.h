/* How flows, what stands beside them and what leads to them lie in memory; flow.h has the entry.
 *
 * Depends on: flow_table.h. Threads: those of the table. */
#pragma once

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
    uint32_t bucket; /* that it would be in */
    uint32_t candidate;
    struct flow *flow;         /* of the candidate */
    struct flow_tcp_part *tcp; /* of the candidate: room for it; NULL: none */
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
#define FLOW_RTT_IS_FAR      255 /* of both sides: they stand in a struct flow_tcp_rtt, by words[4] */

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
    uint8_t plain_flags; /* of a segment that tcp_count_plain counts: an ACK */
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
    uint64_t look_ns[2];   /* silence behind which a packet brings its flow up to date first; of
                              closed connections */
    bool has_time;
    uint32_t tick;
    char *community_text;
    void *memory;
    uint64_t memory_bytes;
    uint64_t fixed_bytes; /* of memory_bytes, those of index and wheel */
    struct flow_table_statistics statistics;
    struct flow_item items[FLOW_BATCH_MAX];
};
