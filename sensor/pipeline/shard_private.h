/* Inside of a shard, shared by shard*.c alone. Threads: the shard's, but for its counters, which
 * any reads. */
#pragma once

#include "proto/codec.h"
#include "sensor/pipeline/batch.h"
#include "sensor/pipeline/epoch.h"
#include "sensor/pipeline/shard.h"
#include "sensor/wire/community_id.h"
#include "sensor/wire/deal_hash.h"

#define SHARD_BATCH_BYTES (384U * 1024U)
#define SHARD_OLDER_MAX   SHARD_EPOCHS_HANDED /* seconds open beside the current one */

struct shard {
    struct shard_settings settings;
    struct shard_counts counts;
    struct flow_table *table;
    struct inspect *inspect;
    struct batch_pool *pool;
    struct record_batch *batch; /* being filled, or NULL */

    /* The open seconds. `current` covers [current_start_ns, current_end_ns); `older` are before it,
     * in order. */
    uint64_t silent_second; /* between two packets: opened when a flow ends in it; 0: none */
    struct epoch *current, *older[SHARD_OLDER_MAX];
    uint32_t older_count;
    /* Free ones; the last that came back is used first: its memory is still near. */
    struct epoch *idle[SHARD_EPOCHS + SHARD_EPOCHS_HANDED];
    uint32_t idle_count;
    uint64_t current_start_ns, current_end_ns;
    uint64_t flow_ns;  /* as time_ns, since the input's clock was last set back */
    uint64_t time_ns;  /* packet time reached */
    uint64_t limit_ns; /* and by those who may hand packets over: UINT64_MAX: nobody */
    uint64_t era;      /* as settings.era when it was last looked at */

    struct fragment_table *fragments; /* NULL: whoever deals to this shard has it */
    uint64_t fragments_due_ns;
    struct deal_key deal_key;
    uint16_t facts; /* of all packets of the batch */

    struct packet packets[FLOW_BATCH_MAX];
    const uint8_t *frames[FLOW_BATCH_MAX];
    struct flow_record *record;
    struct codec_syn_memory syn_memory;
    struct community_ids ids; /* to be made, of records in `batch` */
    uint8_t *dns_room;        /* CODEC_DNS_BYTES_MAX; NULL: no DNS records */
    uint64_t cpu_wall_ns;     /* monotonic time at which counts.cpu_ns was looked at; 0: never */
    uint64_t next_sample_ns, sample_interval_ns, samples_taken;
    uint64_t evidence_taken;
    uint32_t evidence_skipped;
    struct flow_table_statistics told; /* at the last roll */
    struct inspect_statistics inspect_told;
    struct inspect_dns_health dns_told;
    uint64_t current_index; /* of the frame on its way to the terminal */
    struct packet_tree *tree;
    struct question_list questions; /* closed: the shard has finished */
};

/* Room for a record in the batch being filled; NULL when none is free (live) - the caller counts.
 */
uint8_t *shard_reserve(struct shard *shard, uint32_t bytes_max);
void shard_flush(struct shard *shard); /* hands the batch over, if it holds anything */

/* Lets the publisher work for a moment. */
void shard_pause(struct shard *shard);

/* Tells the publisher how far the packets of this shard are, those of others included. */
void shard_tell_passed(struct shard *shard);
/* Time has reached `now_ns`: closes the current second when it is over. shard_seconds.c */
void shard_roll(struct shard *shard, uint64_t now_ns);
/* Hands over all that is open: at the end, and where the clock was set back. */
void shard_close_seconds(struct shard *shard);
/* No later than the machine's clock, where time comes from it. shard_clock.c */
uint64_t shard_time_bound(const struct shard *shard, uint64_t time_ns);
/* Open second that a packet of this time belongs to. */
struct epoch *shard_epoch_of(struct shard *shard, uint64_t time_ns);

/* Counts shard->packets[0..count) into flows: fragments into that of their first one, packets of
 * other shards' flows by handing them over. shard_route.c */
void shard_route(struct shard *shard, uint32_t count);
/* Counts fragments that have waited too long by `now_ns`, at the end of their wait. */
void shard_expire_fragments(struct shard *shard, uint64_t now_ns);

/* Callbacks of the flow table. */
void shard_on_packet(void *context, const struct packet *packet, const uint8_t *frame_bytes,
                     struct flow *flow, bool is_new, int direction);
void shard_on_record(void *context, struct flow *flow, enum flow_event event,
                     enum flow_end_reason reason, enum flow_end_detail detail);
/* Keeps a packet between these two in its second. shard_evidence.c */
void shard_note_evidence(struct shard *shard, const struct packet *packet, const uint8_t *bytes,
                         uint8_t ip_version, const uint8_t source[16], const uint8_t target[16],
                         const struct flow *flow, int direction);
/* Counts a frame that is ARP, and what it tells. */
void shard_note_arp(struct shard *shard, const struct packet *packet, const uint8_t *bytes,
                    struct epoch *epoch);
/* Callbacks of inspect. */
/* Before what an ending flow tells: its second is open. */
void shard_second_of_end(struct shard *shard);
void shard_on_login(void *context, const struct flow *flow, const struct inspect_login *login);
void shard_on_dns(void *context, const struct flow *flow, struct dns_transaction *transaction);
void shard_on_name(void *context, const struct passive_name *name);
/* Adds a flow's bytes since its last tick to the current second. shard_rates.c */
void shard_on_tick(void *context, struct flow *flow, const struct flow_tick_delta *delta);
/* The same; `app`: what inspect_app says; `id`: the flow's, where it is known, else 0. There is a
 * current second. */
void shard_count_flow(struct shard *shard, struct flow *flow, const struct flow_tick_delta *delta,
                      unsigned app, uint64_t id);

/* Terminal text of one frame. */
void shard_print(struct shard *shard, const struct frame *frame, const struct packet *packet,
                 uint64_t index);
