/* Inside of a shard, shared by shard*.c alone. */
#pragma once

#include "proto/codec.h"
#include "sensor/pipeline/batch.h"
#include "sensor/pipeline/epoch.h"
#include "sensor/pipeline/shard.h"

#define SHARD_BATCH_BYTES (384U * 1024U)

struct shard {
    struct shard_settings settings;
    struct shard_counts counts;
    struct flow_table *table;
    struct inspect *inspect;
    struct batch_pool *pool;
    struct record_batch *batch; /* being filled, or NULL */

    /* The two open seconds. `current` covers [current_start_ns, current_end_ns); `previous` may be
     * NULL. */
    struct epoch *current, *previous;
    uint64_t current_start_ns, current_end_ns;
    uint64_t time_ns; /* packet time reached */

    struct packet packets[FLOW_BATCH_MAX];
    const uint8_t *frames[FLOW_BATCH_MAX];
    struct flow_record *record;
    uint8_t *dns_room; /* CODEC_DNS_BYTES_MAX; NULL: no DNS records */
    uint64_t next_sample_ns, sample_interval_ns, samples_taken;
    struct flow_table_statistics told; /* at the last roll */
    struct inspect_statistics inspect_told;
    uint64_t current_index; /* of the frame on its way to the terminal */
    struct packet_tree *tree;
    _Atomic(struct shard_question *) questions;
    atomic_bool is_finished;
};

/* Room for a record in the batch being filled; NULL when none is free (live) - the caller counts.
 */
uint8_t *shard_reserve(struct shard *shard, uint32_t bytes_max);
void shard_flush(struct shard *shard); /* hands the batch over, if it holds anything */

/* Open second that a packet of this time belongs to. */
struct epoch *shard_epoch_of(struct shard *shard, uint64_t time_ns);

/* Callbacks of the flow table. */
void shard_on_packet(void *context, const struct packet *packet, const uint8_t *frame_bytes,
                     struct flow *flow, bool is_new, int direction);
void shard_on_record(void *context, struct flow *flow, enum flow_event event,
                     enum flow_end_reason reason, enum flow_end_detail detail);
/* Callbacks of inspect. */
void shard_on_dns(void *context, const struct flow *flow, struct dns_transaction *transaction);
void shard_on_name(void *context, const struct passive_name *name);
/* Adds a flow's bytes since its last tick to the current second. */
void shard_on_tick(void *context, struct flow *flow);

/* Lets the publisher work for a moment. */
void shard_pause(struct shard *shard);
/* Terminal text of one frame. */
void shard_print(struct shard *shard, const struct frame *frame, const struct packet *packet,
                 uint64_t index);
