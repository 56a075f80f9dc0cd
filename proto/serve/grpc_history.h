/* The last records of one stream: a ring bounded by records and bytes.
 *
 * Records come in parcels, one block of memory for what one batch held of one stream; a parcel is
 * freed when its last record has left. A place in the ring is a position that only grows, so that a
 * reader who holds one meets every record once, history and live alike. In its parcel a record
 * stands as the element of a list of field 1, so that records next to each other are a piece of a
 * message as they are. Depends on: base, base/rpc. One thread; parcels are made by another and
 * handed over whole. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/rpc/rpc.h"

struct grpc_parcel;

struct grpc_record {
    struct grpc_parcel *parcel;
    const uint8_t *bytes; /* with identity; in the parcel */
    uint32_t length;
    uint64_t seq, time_ns;
};

struct grpc_parcel {
    struct grpc_parcel *next; /* of whoever holds it: a queue, then the ring */
    uint8_t stream;           /* enum record_stream */
    uint32_t count;           /* records filled */
    uint32_t live;            /* records still in a ring */
    bool is_dense;            /* each seq is the one before and one */
    uint64_t oldest_ns, newest_ns;
    size_t used;            /* bytes of records and their heads */
    size_t memory;          /* of all of it */
    struct rpc_buffer room; /* messages under way share it */
    struct grpc_record records[];
};

/* In front of each record: its tag and length. */
#define GRPC_RECORD_HEAD_MAX 6

/* Room for `count` records of `bytes` in all. NULL: no memory. */
MUST_USE struct grpc_parcel *grpc_parcel_new(uint8_t stream, uint32_t count, size_t bytes);
void grpc_parcel_free(struct grpc_parcel *parcel); /* one that is in no ring; NULL is allowed */
/* Copies one record; the parcel was made with room for it. */
void grpc_parcel_add(struct grpc_parcel *parcel, const uint8_t *bytes, uint32_t length,
                     uint64_t seq, uint64_t time_ns);

/* The same with a record that lies in two pieces. */
void grpc_parcel_add_two(struct grpc_parcel *parcel, const uint8_t *bytes, uint32_t length,
                         const uint8_t *tail, uint32_t tail_length, uint64_t seq, uint64_t time_ns);

/* Bytes of the head in front of the record. */
size_t grpc_record_head(const struct grpc_record *record);

struct grpc_history {
    const struct grpc_record **slots; /* in their parcels, by position & slots_mask */
    uint64_t slots_mask;
    struct grpc_parcel *oldest, *newest;
    uint64_t records_max, bytes_max;
    uint64_t bytes;      /* of the parcels held */
    uint64_t first, end; /* positions: [first, end) are held */
    uint64_t last_seq, newest_ns;
    /* The records at [from, to) are about to leave; may be NULL. */
    void (*on_evict)(void *context, struct grpc_history *history, uint64_t from, uint64_t to);
    void *context;
};

MUST_USE int grpc_history_init(struct grpc_history *history, uint64_t records_max,
                               uint64_t bytes_max, struct error *err);
void grpc_history_fini(struct grpc_history *history);
/* Takes the parcel over; the oldest records leave to make room. */
void grpc_history_add(struct grpc_history *history, struct grpc_parcel *parcel);

static inline const struct grpc_record *grpc_history_at(const struct grpc_history *history,
                                                        uint64_t position)
{
    return history->slots[position & history->slots_mask];
}
