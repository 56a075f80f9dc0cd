/* The pool of inspect: blocks of one size, chained by index. No other folder includes it; handlers
 * count in `statistics` and otherwise keep to handler.h.
 *
 * Depends on: handler.h. Threads: those of inspect. */
#pragma once

#include <stdalign.h>
#include <stddef.h>

#include "sensor/inspect/byte_pool.h"
#include "sensor/inspect/handler.h"

/* Packets with payload before an unknown flow is left alone. One in which nothing can begin counts
 * for two on a port that says nothing either. */
#define INSPECT_PAYLOADS_MAX   8
#define INSPECT_TRICKLE_MAX    64   /* ... when those payloads are tiny and more may come of them */
#define INSPECT_TRICKLE_BYTES  256  /* of the flow, to be called so */
#define INSPECT_UNKNOWN_BYTES  1024 /* contiguous bytes that say nothing: looked at no more */
#define INSPECT_SWITCHES_MAX   8    /* in one call */
#define INSPECT_REFUSALS_MAX   3    /* a flow whose handlers gave up so often is left alone */
#define INSPECT_DNS_TIMEOUT_NS UINT64_C(10000000000)
#define INSPECT_STREAM_BYTES   16384
#define INSPECT_HELD_BYTES     (UINT64_C(4) << 20)
#define INSPECT_DATAGRAMS      1024
#define INSPECT_DATAGRAM_NS    UINT64_C(30000000000)

struct inspect_block {
    uint32_t next; /* in the flow's chain, in a list or in the free list */
    uint8_t tag;   /* enum inspect_part_tag; PART_NONE in a list */
    uint8_t reserved[3];
    alignas(8) uint8_t bytes[INSPECT_PART_BYTES];
};
static_assert(sizeof(struct inspect_block) == 384, "six cache lines");

/* PART_STREAM of a flow, which most have and many have alone: it stands in an array of its own and
 * leads the flow's chain, by a handle with INSPECT_IS_STREAM. */
#define INSPECT_STREAM_PART_BYTES 56
#define INSPECT_IS_STREAM         (UINT32_C(1) << 31)
struct inspect_stream {
    uint32_t next; /* the flow's first block, or in the free list */
    uint32_t reserved;
    alignas(8) uint8_t bytes[INSPECT_STREAM_PART_BYTES];
};
static_assert(sizeof(struct inspect_stream) == 64, "one cache line");

/* flow.bits: those of inspect.h, and these. */
#define INSPECT_DONE_BOTH    (INSPECT_DONE_CLIENT | INSPECT_DONE_SERVER)
#define INSPECT_SAW_CONFLICT (8U << FLOW_INSPECT_SHIFT) /* bytes sent again with other contents */

struct dns_scratch;

#define INSPECT_SCRATCH_BYTES 65536 /* a handshake message, an opened packet */

struct crypto;
struct fingerprints;
struct tls_texts;

/* What records say of an application that was seen. */
struct inspect_label {
    struct record_text name, method;
};

struct inspect {
    struct inspect_block *blocks; /* in blocks_memory, from a line of memory on */
    void *blocks_memory;
    struct inspect_stream *streams; /* the same, in streams_memory */
    void *streams_memory;
    uint32_t blocks_max; /* of both together, too */
    uint32_t fresh, streams_fresh;
    uint32_t free_head, streams_free_head;
    const struct flow_table *table; /* NULL: streams begin at what is seen */
    struct byte_pool held;          /* for the windows of all flows */
    uint32_t stream_bytes;
    uint32_t datagrams_max;
    uint32_t datagram_oldest, datagram_youngest; /* handles; see datagrams.c */
    uint64_t datagram_timeout_ns;
    const struct packet_rules *rules; /* of datagrams put together */
    uint64_t dns_timeout_ns;
    struct inspect_observer observer;
    char *dns_names; /* texts of the record filled last: FLOW_QUERIES_MAX of DNS_NAME_TEXT_BYTES */
    struct dns_scratch *dns_scratch; /* where transactions are put together; NULL: nobody asks */
    struct inspect_statistics statistics;
    struct inspect_dns_health dns_health;
    char *port_text; /* "port 443" of the record filled last */
    struct crypto *crypto;
    struct fingerprints *fingerprints;
    uint8_t *scratch; /* INSPECT_SCRATCH_BYTES, and behind them room for one more message */
    struct tls_hello *seen_hello; /* of the payload that is looked at now, read to recognise it */
    const uint8_t *seen_body;     /* where that hello's body stands; NULL: none */
    struct tls_texts *tls_texts;  /* of the record filled last */
    char *quic_text;
    struct inspect_label labels[APP_COUNT]; /* so that their lengths are counted once */
};

static inline struct inspect_block *inspect_block(const struct inspect *inspect, uint32_t handle)
{
    return &inspect->blocks[handle - 1];
}

static inline struct inspect_stream *inspect_stream(const struct inspect *inspect, uint32_t handle)
{
    return &inspect->streams[(handle & ~INSPECT_IS_STREAM) - 1];
}

/* Where the chain of the flow's blocks begins. */
static inline uint32_t inspect_chain(const struct inspect *inspect, const struct flow *flow)
{
    return (flow->app & INSPECT_IS_STREAM) != 0 ? inspect_stream(inspect, flow->app)->next
                                                : flow->app;
}

/* Which parts the flow has, a bit a tag: one walk of the chain. */
static inline uint32_t inspect_parts(const struct inspect *inspect, const struct flow *flow)
{
    uint32_t parts = (flow->app & INSPECT_IS_STREAM) != 0 ? UINT32_C(1) << PART_STREAM : 0;

    static_assert(PART_COUNT <= 32, "a bit each");
    for (uint32_t at = inspect_chain(inspect, flow); at != INSPECT_NONE;
         at = inspect_block(inspect, at)->next) {
        parts |= UINT32_C(1) << inspect_block(inspect, at)->tag;
    }
    return parts;
}

static inline bool inspect_has(uint32_t parts, enum inspect_part_tag tag)
{
    return (parts >> tag & 1) != 0;
}

/* The handlers of the flow's parts, in order of precedence: for (uint32_t left = parts &
 * INSPECT_HANDLED; left != 0; left &= left - 1) with the first of `left`. */
static inline const struct inspect_app_ops *inspect_first_handler(uint32_t left)
{
    return inspect_handlers[__builtin_ctz(left)];
}

/* Of a part or an item of a list. */
static inline uint32_t inspect_handle(const struct inspect *inspect, const void *bytes)
{
    const uint8_t *block = (const uint8_t *)bytes - offsetof(struct inspect_block, bytes);

    return (uint32_t)((uint64_t)(block - (const uint8_t *)inspect->blocks) /
                      sizeof(struct inspect_block)) +
           1;
}

/* The payload of a whole TCP segment or UDP datagram, in `bytes`. */
void inspect_transport(struct inspect *inspect, struct flow *flow, const struct packet *packet,
                       const struct wire_span *bytes, int direction);

/* Offers `input` to the flow's handler, found by these bytes where there is none so far; `fresh` is
 * where the newest segment of a stream begins in them. The verdict is one of MORE, DIRECTION_DONE
 * and DONE. */
struct inspect_step inspect_dispatch(struct inspect *inspect, struct flow *flow,
                                     const struct inspect_input *input, uint32_t fresh);

/* All parts of the flow go back; their lists must be freed before. */
void inspect_drop_all(struct inspect *inspect, struct flow *flow);

/* inspect_record.c: fills inspect->labels. */
void inspect_make_labels(struct inspect *inspect);

/* inspect_dns_report.c: memory for transactions. NULL: none. */
struct dns_scratch *inspect_dns_scratch_new(void);
void inspect_dns_scratch_free(struct dns_scratch *scratch); /* NULL is allowed */
