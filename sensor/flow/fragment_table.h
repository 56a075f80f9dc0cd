/* IP datagrams in pieces: gives later fragments, which carry no ports, the flow of their first one.
 *
 * A later fragment that comes before the first is held back: its `struct packet` (for counting, a
 * bounded number) and, while there is room, a copy of its bytes (for who puts datagrams together).
 * It is let go when the first one comes, and then counts in that flow, or without ports when the
 * time is over, the table is full or the input ends. So every fragment is counted once. An outer
 * fragment around a tunnel counts in the flow inside, once its first fragment has shown it.
 *
 * Whoever deals packets to several shards has one table and asks it in input order, so the answer
 * does not depend on their number. Time is the packets'. All memory is taken in fragment_table_new;
 * the hash is keyed, chains are short and the table is bounded, so a flood costs what other packets
 * cost. Standards: RFC 791, 815, 1858, 3128, 5722, 6946, 7112, 8200. Depends on: base, wire.
 * Threads: one table, one thread; counts from any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/hash.h"
#include "sensor/wire/packet.h"

struct fragment_settings {
    uint32_t datagrams_max; /* tracked at once; the oldest makes room for a new one */
    uint32_t held_max;      /* fragments held back at once, over all datagrams */
    uint64_t timeout_v4_ns; /* after its first fragment seen a datagram is given up */
    uint64_t timeout_v6_ns;
    struct hash_key key;
};

/* Why the packets of a fragmented datagram are called evasive: overlapping pieces, a first one
 * without its transport header, pieces beyond 65535 bytes, not last and not a multiple of 8 bytes,
 * empty, with a second end, or too many. Several of them may be counted for one fragment. */
struct fragment_counts {      /* one writer, any reader */
    struct counter fragments; /* seen, atomic ones not among them */
    struct counter atomic;
    struct counter datagrams;  /* begun */
    struct counter completed;  /* all their bytes were seen */
    struct counter attributed; /* later fragments that got their flow */
    struct counter held;       /* of all: came before their first and were held back */
    struct counter held_now;
    struct counter unattributed_timeout; /* later fragments counted without ports: time over, ... */
    struct counter unattributed_evicted; /* ... their datagram made room for another, ... */
    struct counter unattributed_full;    /* ... no room to hold them, ... */
    struct counter unattributed_end;     /* ... or the input ended */
    struct counter evicted;              /* datagrams given up for want of room */
    struct counter duplicates;           /* same place and length as one before: no fault */
    struct counter overlaps, tiny, oversized, odd, empty, contradictory, too_many;
};

struct fragment_table;

/* NULL with `err`: ENOMEM, EINVAL (no datagrams). */
MUST_USE struct fragment_table *fragment_table_new(const struct fragment_settings *settings,
                                                   struct error *err);
void fragment_table_free(struct fragment_table *table); /* NULL is allowed */
DEFINE_AUTO(fragment_table, fragment_table_free);

enum fragment_verdict {
    FRAGMENT_COUNT, /* count the packet now; ports and addresses are its flow's, if known */
    FRAGMENT_HELD,  /* it comes back by fragment_table_next */
};

/* Whether the table is to be asked about `packet`. */
static inline bool fragment_table_wants(const struct packet *packet)
{
    return (packet->facts & (PACKET_IS_FRAGMENT | PACKET_OUTER_FRAGMENT)) != 0;
}

/* Looks at a decoded fragment, `frame` being the bytes it was decoded from (captured_bytes of
 * them). A later one whose first is known gets that one's addresses, protocol, ports and ICMP type.
 * Evasive ones get PACKET_FRAGMENT_FAULT. Afterwards fragment_table_next until it says no. O(1). */
enum fragment_verdict fragment_table_add(struct fragment_table *table, struct packet *packet,
                                         const uint8_t *frame);

/* What was let go, in order, with PACKET_WAS_HELD: `time_ns` is when it was (never before it was
 * seen, which is held_since_ns). `*frame` NULL: no copy was kept. False: nothing (more). Both are
 * borrowed until the next call that is not this one. */
bool fragment_table_next(struct fragment_table *table, struct packet **packet,
                         const uint8_t **frame);

/* Packet time from which fragment_table_expire has something to do; UINT64_MAX: never. */
uint64_t fragment_table_due_ns(const struct fragment_table *table);
/* Gives up what is older than its timeout at `now_ns`: held ones come by fragment_table_next. */
void fragment_table_expire(struct fragment_table *table, uint64_t now_ns);
/* Gives up everything; the end of the input. */
void fragment_table_finish(struct fragment_table *table, uint64_t now_ns);

/* Lives as long as the table; any thread reads it. */
const struct fragment_counts *fragment_table_counts(const struct fragment_table *table);
