/* Dealing the frames of a file to several shards: a lane each, whose blocks go round. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/pipeline/reader_private.h"

#define BLOCKS 8

void reader_lanes_free(struct reader *reader)
{
    for (uint32_t i = 0; reader->lanes != NULL && i < reader->settings.shards_count; i++) {
        struct reader_lane *lane = &reader->lanes[i];

        for (struct reader_block *block; lane->full != NULL && (block = ring_pop(lane->full));) {
            free(block);
        }
        for (struct reader_block *block; lane->empty != NULL && (block = ring_pop(lane->empty));) {
            free(block);
        }
        free(lane->filling);
        ring_free(lane->full);
        ring_free(lane->empty);
    }
    free(reader->lanes);
}

int reader_lanes_new(struct reader *reader, struct error *err)
{
    reader->lanes = calloc(reader->settings.shards_count, sizeof(*reader->lanes));
    for (uint32_t i = 0; reader->lanes != NULL && i < reader->settings.shards_count; i++) {
        struct reader_lane *lane = &reader->lanes[i];

        lane->full = ring_new(BLOCKS);
        lane->empty = ring_new(BLOCKS);
        for (uint32_t j = 0; lane->full != NULL && lane->empty != NULL && j < BLOCKS; j++) {
            struct reader_block *block = malloc(sizeof(*block));

            if (block == NULL || !ring_push(lane->empty, block)) {
                free(block);
                return error_set(err, ENOMEM, "reader: no memory for blocks of shard %u", i);
            }
        }
        if (lane->full == NULL || lane->empty == NULL) {
            return error_set(err, ENOMEM, "reader: no memory for rings of shard %u", i);
        }
    }
    return reader->lanes == NULL ? error_set(err, ENOMEM, "reader: no memory") : 0;
}

static struct reader_block *take_block(struct reader_lane *lane)
{
    struct reader_block *block;

    while ((block = ring_pop(lane->empty)) == NULL) {
        wake_sleep(&lane->reader_wake, NS_PER_MS);
    }
    block->count = block->used = 0;
    block->is_last = block->is_step = false;
    return block;
}

static void hand_over(struct reader *reader, struct reader_lane *lane)
{
    if (lane->filling != NULL) {
        lane->filling->watermark_ns = reader->watermark_ns;
        /* A slot for every block: never full. */
        if (ring_push(lane->full, lane->filling)) {
            lane->filling = NULL;
        }
        wake_up(&lane->shard_wake);
    }
}

/* A new second: what was dealt so far goes out under the old time, and every shard learns the new
 * one. */
static void open_second(struct reader *reader, uint64_t time_ns)
{
    for (uint32_t i = 0; i < reader->settings.shards_count; i++) {
        hand_over(reader, &reader->lanes[i]);
    }
    reader->watermark_ns = time_ns;
    for (uint32_t i = 0; i < reader->settings.shards_count; i++) {
        reader->lanes[i].filling = take_block(&reader->lanes[i]);
        hand_over(reader, &reader->lanes[i]);
    }
}

static struct reader_lane *lane_of(const struct reader *reader, const struct packet *packet)
{
    const uint32_t hash = packet->ip_version == 0 ? 0 : deal_hash(packet, reader->deal_key);

    return &reader->lanes[hash % reader->settings.shards_count];
}

/* Puts an item into the lane's block. `frame->bytes` NULL: the packet alone. */
static void put(struct reader *reader, struct reader_lane *lane, const struct frame *frame,
                const struct packet *packet, uint64_t index, uint8_t works)
{
    const uint32_t length = frame->bytes != NULL ? frame->captured_bytes : 0;

    if (lane->filling != NULL && (lane->filling->count == READER_BLOCK_FRAMES ||
                                  READER_BLOCK_BYTES - lane->filling->used < length)) {
        hand_over(reader, lane);
    }
    if (lane->filling == NULL) {
        lane->filling = take_block(lane);
    }
    struct reader_block *block = lane->filling;
    uint8_t *bytes = block->bytes + block->used;

    block->frames[block->count] = *frame;
    if (frame->bytes != NULL) {
        memcpy(bytes, frame->bytes, length);
        block->frames[block->count].bytes = bytes;
    }
    block->packets[block->count] = *packet;
    block->works[block->count] = works;
    block->indexes[block->count++] = index;
    block->used += length;
}

/* Fragments that the table lets go. Their frames were counted when they came. */
static void deal_released(struct reader *reader)
{
    struct packet *packet;
    const uint8_t *bytes;

    while (fragment_table_next(reader->fragments, &packet, &bytes)) {
        const struct frame frame = {.bytes = bytes,
                                    .captured_bytes = packet->captured_bytes,
                                    .wire_bytes = packet->wire_bytes,
                                    .time_ns = packet->time_ns,
                                    .link_type = packet->link_type,
                                    .interface = packet->interface};

        if (packet->time_ns / NS_PER_SEC > reader->watermark_ns / NS_PER_SEC) {
            open_second(reader, packet->time_ns);
        }
        put(reader, lane_of(reader, packet), &frame, packet, 0, SHARD_WORK_FLOW);
    }
    reader->fragments_due_ns = fragment_table_due_ns(reader->fragments);
}

static void deal_fragment(struct reader *reader, const struct frame *frame, struct packet *packet,
                          uint64_t index)
{
    const bool is_held =
        fragment_table_add(reader->fragments, packet, frame->bytes) == FRAGMENT_HELD;

    put(reader, lane_of(reader, packet), frame, packet, index,
        is_held ? SHARD_WORK_FRAME : SHARD_WORK_FRAME | SHARD_WORK_FLOW);
    deal_released(reader);
}

/* All shards learn it behind the same frames. */
static void deal_step(struct reader *reader, uint64_t from_ns, uint64_t to_ns)
{
    if (reader->fragments != NULL) {
        fragment_table_finish(reader->fragments, reader->watermark_ns);
        deal_released(reader);
    }
    for (uint32_t i = 0; i < reader->settings.shards_count; i++) {
        struct reader_lane *lane = &reader->lanes[i];

        hand_over(reader, lane);
        lane->filling = take_block(lane);
        lane->filling->is_step = true;
        lane->filling->step_from_ns = from_ns;
        lane->filling->step_to_ns = to_ns;
        hand_over(reader, lane);
    }
}

static void deal(struct reader *reader, const struct frame *frame, uint64_t index)
{
    struct packet packet;
    uint64_t from_ns;

    if (reader_is_step_back(reader, frame->time_ns, &from_ns)) {
        deal_step(reader, from_ns, frame->time_ns);
    }
    if (frame->time_ns >= reader->fragments_due_ns) { /* before the time goes on: they are older */
        fragment_table_expire(reader->fragments, frame->time_ns);
        deal_released(reader);
    }
    if (frame->time_ns / NS_PER_SEC > reader->watermark_ns / NS_PER_SEC) {
        open_second(reader, frame->time_ns);
    } else if (frame->time_ns > reader->watermark_ns) {
        reader->watermark_ns = frame->time_ns;
    }
    (void)packet_decode_by(reader->settings.rules, frame, reader->settings.packet_options, &packet);
    if (reader->fragments != NULL && fragment_table_wants(&packet)) {
        deal_fragment(reader, frame, &packet, index);
    } else {
        put(reader, lane_of(reader, &packet), frame, &packet, index,
            SHARD_WORK_FRAME | SHARD_WORK_FLOW);
    }
}

void reader_deal(struct reader *reader, const struct frame *frames, uint64_t first_index,
                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        deal(reader, &frames[i], first_index + i);
    }
}

void reader_deal_now(struct reader *reader)
{
    for (uint32_t i = 0; i < reader->settings.shards_count; i++) {
        hand_over(reader, &reader->lanes[i]);
    }
}

void reader_deal_end(struct reader *reader)
{
    if (reader->fragments != NULL) {
        fragment_table_finish(reader->fragments, reader->watermark_ns);
        deal_released(reader);
    }
    for (uint32_t i = 0; i < reader->settings.shards_count; i++) {
        struct reader_lane *lane = &reader->lanes[i];

        hand_over(reader, lane);
        lane->filling = take_block(lane);
        lane->filling->is_last = true;
        hand_over(reader, lane);
    }
}

void reader_shard_run(struct reader *reader, uint32_t index)
{
    struct reader_lane *lane = &reader->lanes[index];
    struct shard *shard = reader->settings.shards[index];

    for (;;) {
        struct reader_block *block = ring_pop(lane->full);

        if (block == NULL) {
            shard_time(shard, 0);
            wake_sleep(&lane->shard_wake, READER_SLEEP_NS);
            continue;
        }
        const bool is_last = block->is_last;
        const uint64_t watermark_ns = block->watermark_ns;

        if (block->is_step) {
            shard_step_clock(shard, block->step_from_ns, block->step_to_ns);
        } else if (is_last) {
            shard_finish(shard, watermark_ns, reader_end_detail(reader));
        } else {
            /* The block's own frames lie before the end of its second: the time of its last second
             * is what counts, not the largest time, which a one-shard run would not have reached
             * yet. */
            const struct shard_dealt dealt = {block->frames, block->packets, block->works,
                                              block->indexes, block->count};

            shard_take_dealt(shard, &dealt, watermark_ns - watermark_ns % NS_PER_SEC);
        }
        if (!ring_push(lane->empty, block)) {
            free(block); /* cannot be: a slot for every block */
        }
        wake_up(&lane->reader_wake);
        if (is_last) {
            return;
        }
    }
}
