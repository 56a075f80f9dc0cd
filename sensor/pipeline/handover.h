/* One-way rings between the shards of live capture: a frame whose flow another shard owns is copied
 * to it.
 *
 * The kernel deals by the outer header; an inner flow, or a fragment, may belong to another shard.
 * There is one ring of bytes for each pair of shards, one writer and one reader, no lock. A full
 * ring refuses at once: the writer counts a drop and goes on. What was pushed is seen by the reader
 * after handover_publish. With one shard there is none of this. Depends on: base, wire. Threads:
 * each call says whose. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/counter.h"
#include "base/error.h"
#include "sensor/wire/packet.h"

#define HANDOVER_BATCH_MAX 64

/* How far the stages of handing over have come, as packet time; UINT64_MAX: for good. */
enum handover_stage {
    HANDOVER_RECEIVED, /* all frames of the shard's own capture before it have been pushed */
    HANDOVER_SETTLED,  /* and all that it was handed and had to hand on */
    HANDOVER_STAGES,
};

struct handover_item {
    const struct packet *packet;
    const uint8_t *bytes; /* packet->captured_bytes of them; NULL: none are known */
    bool is_settled;      /* its flow is known and the reader's; else a fragment to be looked up */
};

struct handover_counts {             /* one writer, any reader */
    struct counter pushed, dropped;  /* by the writer: packets that found room, or none */
    struct counter taken;            /* by the reader */
    struct counter high_water_bytes; /* in any one of the writer's rings */
};

struct handover;

/* Rings between `shards` (2..64), each shard reading at most `bytes_per_shard` over all its rings;
 * memory is taken when it is first used. `wake` ends the sleep of a shard, on a writer's thread.
 * NULL with `err`: ENOMEM. */
MUST_USE struct handover *handover_new(uint32_t shards, uint64_t bytes_per_shard,
                                       void (*wake)(void *context, uint32_t shard), void *context,
                                       struct error *err);
void handover_free(struct handover *handover); /* NULL is allowed */
DEFINE_AUTO(handover, handover_free);

/* Copies a packet and its bytes. False: no room, counted. Thread of `from`. */
bool handover_push(struct handover *handover, uint32_t from, uint32_t to,
                   const struct handover_item *item);
/* Shows what was pushed, and wakes those who sleep. Thread of `from`. */
void handover_publish(struct handover *handover, uint32_t from);
/* `stage` of `from` has reached `time_ns`: after handover_publish. A smaller time changes nothing.
 */
void handover_reached(struct handover *handover, uint32_t from, enum handover_stage stage,
                      uint64_t time_ns);
/* The least that any shard has reached. Ask before taking: what those had pushed is then there. Any
 * thread. */
uint64_t handover_reached_by_all(const struct handover *handover, enum handover_stage stage);

/* The next items for `to`, of one writer, into items[HANDOVER_BATCH_MAX]; 0: none from anybody.
 * They are borrowed until handover_done. Thread of `to`. */
uint32_t handover_take(struct handover *handover, uint32_t to, struct handover_item *items);
void handover_done(struct handover *handover, uint32_t to);
bool handover_is_empty(const struct handover *handover, uint32_t to);

const struct handover_counts *handover_counts(const struct handover *handover, uint32_t shard);
/* Sum over all shards of what is under way. Any thread. */
uint64_t handover_held(const struct handover *handover);
