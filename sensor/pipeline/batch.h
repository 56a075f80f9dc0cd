/* A batch of encoded records on its way from a shard to the sinks and back.
 *
 * The shard encodes each record once without its identity and leaves room behind it; the publisher
 * writes the identity there (sensor_id, boot_id, record_seq). From then on the batch is immutable,
 * shared by reference count, and returns to its shard when the last sink lets go. Depends on: base,
 * proto. Threads: a batch has one owner until it is published; references are dropped on any. */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/prefetch.h"
#include "proto/record.h"

#define BATCH_RECORDS_MAX 512

struct batch_entry {
    uint32_t offset; /* in batch.bytes */
    uint32_t length; /* without identity: what a Batch of the collector stream carries */
    uint32_t
        full_length; /* with identity: what gRPC, Kafka and files carry; set by the publisher */
    uint8_t stream;  /* enum record_stream; RECORD_STREAM_NONE: a line of text for the terminal */
    uint8_t event;   /* enum flow_event for flows, enum alert_state for alerts */
    uint8_t end_reason;  /* enum flow_end_reason for flows */
    uint64_t seq;        /* record_seq; set by the publisher */
    uint64_t time_ns;    /* end time of the record, packet time */
    uint64_t packets;    /* sum of delta_packets in it (flows) */
    uint64_t wire_bytes; /* sum of delta_bytes in it (flows) */
    /* What the publisher needs to name a flow's ends and to find its alerts, and bytes kept behind
     * the record for that. Where there are none (0) the rest is not set. */
    uint64_t start_ns;
    struct ip_address client, server;
    uint16_t name_room;
    bool wants_client_name, wants_server_name;
    bool client_is_named, server_is_named; /* by the shard, or by an answer since */
    uint8_t ip_protocol;
    uint16_t server_port;
};

struct batch_pool;

struct record_batch {
    atomic_uint references;
    struct batch_pool *pool;
    struct record_batch *next_free;
    uint32_t shard;
    uint32_t count;
    uint32_t used;          /* bytes taken */
    uint32_t capacity;      /* bytes there are */
    uint32_t identity_room; /* bytes kept behind each record */
    uint64_t
        opened_ns; /* monotonic time of the first record: old batches leave before they are full */
    uint64_t names_until_ns; /* latest start of a flow that wants a name; 0 = none does */
    struct batch_entry entries[BATCH_RECORDS_MAX];
    uint8_t *bytes;
};

/* `count` batches of `bytes_each`. `identity_room` bytes are kept behind each record. NULL with
 * `err`. */
MUST_USE struct batch_pool *batch_pool_new(uint32_t count, uint32_t bytes_each,
                                           uint32_t identity_room, struct error *err);
void batch_pool_free(struct batch_pool *pool); /* all batches must be back */

/* An empty batch with one reference, or NULL when all are in use. One thread takes; any thread
 * returns. */
MUST_USE struct record_batch *batch_take(struct batch_pool *pool);
void batch_ref(struct record_batch *batch);
void batch_unref(struct record_batch *batch); /* any thread */
uint32_t batch_pool_used(const struct batch_pool *pool);

/* Room for one more record of up to `bytes_max`: pointer to write to, or NULL when the batch is
 * full. */
MUST_USE uint8_t *batch_reserve(struct record_batch *batch, uint32_t bytes_max);
/* Takes the `length` bytes written at the reserved place as the next record; the caller fills the
 * entry. */
struct batch_entry *batch_commit(struct record_batch *batch, uint32_t length);
/* Likewise, with bytes kept behind it for names; both together at most what was reserved. */
static ALWAYS_INLINE struct batch_entry *batch_commit_named(struct record_batch *batch,
                                                            uint32_t length, uint16_t name_room)
{
    struct batch_entry *entry = &batch->entries[batch->count++];

    /* Member by member: as a whole GCC zeroes it by `rep stos`, which takes long to start. */
    entry->offset = batch->used;
    entry->length = entry->full_length = length;
    entry->stream = entry->event = entry->end_reason = 0;
    entry->seq = entry->time_ns = entry->packets = entry->wire_bytes = entry->start_ns = 0;
    entry->client.version = entry->server.version = 0;
    entry->name_room = name_room;
    entry->wants_client_name = entry->wants_server_name = false;
    entry->client_is_named = entry->server_is_named = false;
    batch->used += length + name_room + batch->identity_room;
    assert(batch->used <= batch->capacity);
    return entry;
}

#define BATCH_AHEAD_LINES 6 /* of a record of some 350 bytes */

/* Asks for the lines that the next record will be written to: batches go round through another
 * processor, so they are in no cache of this one. */
static ALWAYS_INLINE void batch_prefetch_next(const struct record_batch *batch)
{
    if (batch->count == BATCH_RECORDS_MAX ||
        batch->capacity - batch->used < BATCH_AHEAD_LINES * CACHE_LINE) {
        return;
    }
    for (uint32_t i = 0; i < BATCH_AHEAD_LINES; i++) {
        prefetch_to_write(batch->bytes + batch->used + (size_t)i * CACHE_LINE);
    }
    prefetch_to_write(&batch->entries[batch->count]);
    prefetch_to_write((const uint8_t *)&batch->entries[batch->count] + CACHE_LINE);
}
