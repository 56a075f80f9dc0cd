/* The records of one message of a stream, and the message made of them.
 *
 * Records that go out as they are stay where they are: next to each other in a parcel they are one
 * part of the message, however many they are, and the message shares the parcel's memory as long as
 * the parts are few and the parcels are not held for little. Depends on: proto/serve/grpc_history.
 * One thread. */
#pragma once

#include "proto/serve/grpc_history.h"

#define GRPC_BATCH_MAX  512 /* records in one message */
#define GRPC_PIECES_MAX 8   /* of parcels in one message; more are copied */
/* A message ends with the record that makes its records this long. */
#define GRPC_MESSAGE_BYTES ((size_t)1024 * 1024)

struct grpc_part {
    const struct grpc_parcel *parcel; /* NULL: one record, without its head, of somebody else's */
    const uint8_t *begin;
    size_t length;
};

struct grpc_batch {
    uint32_t count; /* records */
    uint32_t parts_count;
    size_t bytes;  /* of the records and their heads */
    size_t pinned; /* bytes of the parcels, each part's counted */
    bool has_other;
    struct grpc_part parts[GRPC_BATCH_MAX];
};

/* Empties it; it needs no other beginning and no end. */
static inline void grpc_batch_reset(struct grpc_batch *batch)
{
    batch->count = 0;
    batch->parts_count = 0;
    batch->bytes = 0;
    batch->pinned = 0;
    batch->has_other = false;
}

/* Adds `count` records that follow each other in their parcel, from `first` on; at most
 * GRPC_BATCH_MAX in all. They must stay until the message is made. */
void grpc_batch_add(struct grpc_batch *batch, const struct grpc_record *first, uint32_t count);
/* How many records from `first` on grpc_batch_add may take at once: `most` of them at most, none
 * behind the one with which the message ends, in this parcel. At least 1 where `most` is. */
uint32_t grpc_batch_run(const struct grpc_batch *batch, const struct grpc_record *first,
                        uint32_t most);
/* Adds one record that lies elsewhere, likewise. */
void grpc_batch_add_other(struct grpc_batch *batch, const uint8_t *bytes, uint32_t length);

/* Writes the message as pieces and returns how many: the caller owns them. `field`: of the response
 * that holds the list; 0: the list is the response. */
uint32_t grpc_batch_pieces(const struct grpc_batch *batch, uint32_t field,
                           struct rpc_bytes pieces[GRPC_PIECES_MAX + 1]);
