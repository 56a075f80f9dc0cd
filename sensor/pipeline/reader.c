#include "sensor/pipeline/reader.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/ring.h"
#include "base/wake.h"
#include "sensor/wire/deal_hash.h"
#include "sensor/wire/packet.h"

#define BLOCK_FRAMES 256
#define BLOCK_BYTES  (512U * 1024U)
#define BLOCKS       8
#define READ_FRAMES  256
#define PACE_STEP_NS (20 * NS_PER_MS)
#define PACE_GAP_NS  (60 * NS_PER_SEC) /* told about */

/* A file may claim anything. Times stop in the year 2262, so that time plus a timeout never wraps;
 * frames stop at libpcap's usual bound, which a block always has room for. */
#define FRAME_TIME_MAX_NS ((uint64_t)INT64_MAX)
#define FRAME_BYTES_MAX   (256U * 1024U)
static_assert(FRAME_BYTES_MAX <= BLOCK_BYTES, "a block holds at least one frame");

struct frame_block {
    uint64_t watermark_ns;
    uint32_t count, used;
    bool is_last;
    bool is_step; /* nothing but the news that the clock was set back, from and to */
    uint64_t step_from_ns, step_to_ns;
    struct frame frames[BLOCK_FRAMES];
    struct packet packets[BLOCK_FRAMES];
    uint64_t indexes[BLOCK_FRAMES];
    uint8_t works[BLOCK_FRAMES]; /* enum shard_work */
    uint8_t bytes[BLOCK_BYTES];
};

/* One shard's side. */
struct lane {
    struct ring *full, *empty;
    struct frame_block *filling;
    struct wake shard_wake, reader_wake;
};

struct reader {
    struct reader_settings settings;
    struct reader_counts counts;
    struct capture *capture;
    struct lane *lanes;               /* NULL with one shard */
    struct fragment_table *fragments; /* with several: asked in the order of the file */
    uint64_t fragments_due_ns;
    struct deal_key deal_key;
    uint64_t packets;
    uint64_t last_ns;                     /* time of the last frame */
    uint64_t watermark_ns;                /* largest packet time so far */
    uint64_t era_ns;                      /* the same, since the clock was last set back */
    uint64_t pass_wall_ns, pass_first_ns; /* pacing: this pass began at, with the packet of */
    bool pass_has_begun;
};

static void lanes_free(struct reader *reader)
{
    for (uint32_t i = 0; reader->lanes != NULL && i < reader->settings.shards_count; i++) {
        struct lane *lane = &reader->lanes[i];

        for (struct frame_block *block; lane->full != NULL && (block = ring_pop(lane->full));) {
            free(block);
        }
        for (struct frame_block *block; lane->empty != NULL && (block = ring_pop(lane->empty));) {
            free(block);
        }
        free(lane->filling);
        ring_free(lane->full);
        ring_free(lane->empty);
    }
    free(reader->lanes);
}

void reader_free(struct reader *reader)
{
    if (reader != NULL) {
        lanes_free(reader);
        fragment_table_free(reader->fragments);
        capture_close(reader->capture);
        free(reader);
    }
}

static int lanes_new(struct reader *reader, struct error *err)
{
    reader->lanes = calloc(reader->settings.shards_count, sizeof(*reader->lanes));
    for (uint32_t i = 0; reader->lanes != NULL && i < reader->settings.shards_count; i++) {
        struct lane *lane = &reader->lanes[i];

        lane->full = ring_new(BLOCKS);
        lane->empty = ring_new(BLOCKS);
        for (uint32_t j = 0; lane->full != NULL && lane->empty != NULL && j < BLOCKS; j++) {
            struct frame_block *block = malloc(sizeof(*block));

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

struct reader *reader_new(const struct reader_settings *settings, struct error *err)
{
    AUTO(reader) reader = calloc(1, sizeof(*reader));

    if (reader == NULL) {
        error_set(err, ENOMEM, "reader: no memory");
        return NULL;
    }
    reader->settings = *settings;
    reader->deal_key = deal_key_of(settings->key);
    reader->fragments_due_ns = UINT64_MAX;
    if (settings->shards_count > 1) {
        if (settings->fragments.datagrams_max > 0) {
            reader->fragments = fragment_table_new(&settings->fragments, err);
            if (reader->fragments == NULL) {
                return NULL;
            }
        }
        if (lanes_new(reader, err) != 0) {
            return NULL;
        }
    }
    reader->capture = capture_open_file(&settings->capture, err);
    return reader->capture == NULL ? NULL : TAKE(reader);
}

const struct reader_counts *reader_counts_of(const struct reader *reader)
{
    return &reader->counts;
}

const struct fragment_counts *reader_fragment_counts(const struct reader *reader)
{
    return reader->fragments == NULL ? NULL : fragment_table_counts(reader->fragments);
}

void reader_progress(struct reader *reader, struct capture_progress *out)
{
    capture_progress_read(reader->capture, out);
}

/* ---- pacing ---- */

static bool is_stopped(const struct reader *reader)
{
    return atomic_load_explicit(reader->settings.stop, memory_order_relaxed);
}

static void sleep_ns(uint64_t ns)
{
    const struct timespec pause = {(time_t)(ns / NS_PER_SEC), (long)(ns % NS_PER_SEC)};

    (void)nanosleep(&pause, NULL);
}

/* A day without packets, or files of different years, look as if nothing worked. */
static void tell_of_gap(uint64_t wait_ns)
{
    if (wait_ns >= PACE_GAP_NS) {
        log_warn("capture", "the next packet of the file is due much later", "in_seconds=%llu",
                 (unsigned long long)(wait_ns / NS_PER_SEC));
    }
}

/* Shifts the frames' times to this pass and returns how many are due by now; waits for the first.
 */
static uint32_t pace(struct reader *reader, struct frame *frames, uint32_t count)
{
    uint32_t due = 0;
    bool has_waited = false;

    if (!reader->pass_has_begun) {
        reader->pass_has_begun = true;
        reader->pass_wall_ns = clock_wall_ns();
        reader->pass_first_ns = frames[0].time_ns;
    }
    while (due == 0 && !is_stopped(reader)) {
        const uint64_t now_ns = clock_wall_ns();
        uint64_t due_ns = 0;

        for (; due < count; due++) {
            const uint64_t offset = frames[due].time_ns > reader->pass_first_ns
                                        ? frames[due].time_ns - reader->pass_first_ns
                                        : 0;

            due_ns = reader->pass_wall_ns + offset;
            if (due_ns > now_ns) {
                break;
            }
            frames[due].time_ns = due_ns;
        }
        if (due == 0) {
            if (!has_waited) {
                tell_of_gap(due_ns - now_ns);
                has_waited = true;
            }
            const uint64_t wait = due_ns - now_ns < PACE_STEP_NS ? due_ns - now_ns : PACE_STEP_NS;

            sleep_ns(wait);
            for (uint32_t i = 0; i < reader->settings.shards_count && reader->lanes == NULL; i++) {
                shard_time(reader->settings.shards[i], now_ns);
            }
        }
    }
    return due;
}

/* ---- dealing to several shards ---- */

static struct frame_block *take_block(struct lane *lane)
{
    struct frame_block *block;

    while ((block = ring_pop(lane->empty)) == NULL) {
        wake_sleep(&lane->reader_wake, NS_PER_MS);
    }
    block->count = block->used = 0;
    block->is_last = block->is_step = false;
    return block;
}

static void hand_over(struct reader *reader, struct lane *lane)
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

static struct lane *lane_of(const struct reader *reader, const struct packet *packet)
{
    const uint32_t hash = packet->ip_version == 0 ? 0 : deal_hash(packet, reader->deal_key);

    return &reader->lanes[hash % reader->settings.shards_count];
}

/* Puts an item into the lane's block. `frame->bytes` NULL: the packet alone. */
static void put(struct reader *reader, struct lane *lane, const struct frame *frame,
                const struct packet *packet, uint64_t index, uint8_t works)
{
    const uint32_t length = frame->bytes != NULL ? frame->captured_bytes : 0;

    if (lane->filling != NULL &&
        (lane->filling->count == BLOCK_FRAMES || BLOCK_BYTES - lane->filling->used < length)) {
        hand_over(reader, lane);
    }
    if (lane->filling == NULL) {
        lane->filling = take_block(lane);
    }
    struct frame_block *block = lane->filling;
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

/* Whether the input's clock was set back before this frame; keeps the largest time since then. */
static bool is_step_back(struct reader *reader, uint64_t time_ns, uint64_t *from_ns)
{
    *from_ns = reader->era_ns;
    if (time_ns + FLOW_CLOCK_STEP_NS < reader->era_ns) {
        reader->era_ns = time_ns;
        return true;
    }
    if (time_ns > reader->era_ns) {
        reader->era_ns = time_ns;
    }
    return false;
}

/* All shards learn it behind the same frames. */
static void deal_step(struct reader *reader, uint64_t from_ns, uint64_t to_ns)
{
    if (reader->fragments != NULL) {
        fragment_table_finish(reader->fragments, reader->watermark_ns);
        deal_released(reader);
    }
    for (uint32_t i = 0; i < reader->settings.shards_count; i++) {
        struct lane *lane = &reader->lanes[i];

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

    if (is_step_back(reader, frame->time_ns, &from_ns)) {
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

static void deal_end(struct reader *reader)
{
    if (reader->fragments != NULL) {
        fragment_table_finish(reader->fragments, reader->watermark_ns);
        deal_released(reader);
    }
    for (uint32_t i = 0; i < reader->settings.shards_count; i++) {
        struct lane *lane = &reader->lanes[i];

        hand_over(reader, lane);
        lane->filling = take_block(lane);
        lane->filling->is_last = true;
        hand_over(reader, lane);
    }
}

static enum flow_end_detail end_detail(const struct reader *reader)
{
    return is_stopped(reader) ? FLOW_DETAIL_SHUTDOWN : FLOW_DETAIL_CAPTURE_END;
}

void reader_shard_run(struct reader *reader, uint32_t index)
{
    struct lane *lane = &reader->lanes[index];
    struct shard *shard = reader->settings.shards[index];

    for (;;) {
        struct frame_block *block = ring_pop(lane->full);

        if (block == NULL) {
            shard_time(shard, 0);
            wake_sleep(&lane->shard_wake, PACE_STEP_NS);
            continue;
        }
        const bool is_last = block->is_last;
        const uint64_t watermark_ns = block->watermark_ns;

        if (block->is_step) {
            shard_step_clock(shard, block->step_from_ns, block->step_to_ns);
        } else if (is_last) {
            shard_finish(shard, watermark_ns, end_detail(reader));
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

/* ---- reading ---- */

static void count_frames(struct reader *reader, const struct frame *frames, uint32_t count)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        bytes += frames[i].wire_bytes;
    }
    counter_add(&reader->counts.packets, count);
    counter_add(&reader->counts.bytes, bytes);
}

static void forward_to_one(struct reader *reader, const struct frame *frames, uint32_t count,
                           const uint64_t *indexes)
{
    struct shard *shard = reader->settings.shards[0];
    uint32_t begin = 0;
    uint64_t from_ns;

    for (uint32_t i = 0; i < count; i++) {
        if (is_step_back(reader, frames[i].time_ns, &from_ns)) {
            if (i > begin) {
                shard_frames(shard, frames + begin, i - begin, indexes + begin);
            }
            shard_step_clock(shard, from_ns, frames[i].time_ns);
            begin = i;
        }
        if (frames[i].time_ns > reader->watermark_ns) {
            reader->watermark_ns = frames[i].time_ns;
        }
    }
    shard_frames(shard, frames + begin, count - begin, indexes + begin);
}

static void forward(struct reader *reader, const struct frame *frames, uint32_t count)
{
    uint64_t indexes[READ_FRAMES];

    for (uint32_t i = 0; i < count; i++) {
        indexes[i] = ++reader->packets;
    }
    count_frames(reader, frames, count);
    if (reader->lanes == NULL) {
        forward_to_one(reader, frames, count, indexes);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        deal(reader, &frames[i], indexes[i]);
    }
    if (reader->settings.is_paced) {
        for (uint32_t i = 0; i < reader->settings.shards_count; i++) {
            hand_over(reader, &reader->lanes[i]);
        }
    }
}

static void forward_paced(struct reader *reader, struct frame *frames, uint32_t count)
{
    while (count > 0 && !is_stopped(reader)) {
        const uint32_t due = pace(reader, frames, count);

        forward(reader, frames, due);
        frames += due;
        count -= due;
    }
}

static void note_progress(struct reader *reader)
{
    struct capture_progress progress;

    capture_progress_read(reader->capture, &progress);
    counter_set(&reader->counts.file_bytes_read, progress.bytes_read);
    counter_set(&reader->counts.file_bytes_total, progress.bytes_total);
    counter_set(&reader->counts.kernel_dropped, progress.kernel_dropped);
    counter_set(&reader->counts.interface_dropped, progress.interface_dropped);
}

/* A packet without a time (Simple Packet Block) gets that of the one before it: at the epoch it
 * would end flows, and begin them. */
static void bound_frames(struct reader *reader, struct frame *frames, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (frames[i].time_ns == 0) {
            frames[i].time_ns = reader->last_ns;
        }
        if (frames[i].time_ns > FRAME_TIME_MAX_NS) {
            frames[i].time_ns = FRAME_TIME_MAX_NS;
        }
        if (frames[i].captured_bytes > FRAME_BYTES_MAX) {
            frames[i].captured_bytes = FRAME_BYTES_MAX;
        }
        reader->last_ns = frames[i].time_ns;
    }
}

/* One pass over the input. Returns 0 at its end or when stopped, -errno on a fault. */
static int read_pass(struct reader *reader, struct error *err)
{
    struct frame frames[READ_FRAMES];
    struct error told = {0};
    int result = 0;

    while (!is_stopped(reader)) {
        uint32_t wanted = READ_FRAMES;

        if (reader->settings.count_max > 0) {
            const uint64_t left = reader->settings.count_max - reader->packets;

            if (left == 0) {
                break;
            }
            wanted = left < wanted ? (uint32_t)left : wanted;
        }
        struct error fault = {0};
        const int32_t got = capture_next_batch(reader->capture, frames, wanted, &fault);

        if (got == 0) {
            break;
        }
        if (got == -EAGAIN) {
            note_progress(reader);
            continue;
        }
        if (got < 0 && is_stopped(reader)) {
            break; /* a pipe may have been left amid a packet: no fault of its */
        }
        if (got < 0) {
            if (result != 0) { /* the last one is the caller's to tell */
                log_warn("capture", told.message, NULL);
            }
            result = got;
            told = fault;
            continue; /* the other files may still be read */
        }
        bound_frames(reader, frames, (uint32_t)got);
        if (reader->settings.is_paced) {
            forward_paced(reader, frames, (uint32_t)got);
        } else {
            forward(reader, frames, (uint32_t)got);
        }
        note_progress(reader);
    }
    note_progress(reader); /* what stands behind the last packet, too */
    counter_add(&reader->counts.passes, 1);
    return result == 0 ? 0 : error_set(err, told.code, "%s", told.message);
}

static int reopen(struct reader *reader, struct error *err)
{
    capture_close(reader->capture);
    reader->capture = capture_open_file(&reader->settings.capture, err);
    reader->pass_has_begun = false;
    reader->last_ns = 0;
    return reader->capture == NULL ? -err->code : 0;
}

int reader_run(struct reader *reader, struct error *err)
{
    int result = read_pass(reader, err);
    uint64_t packets = 0;

    while (result == 0 && reader->settings.is_looped && !is_stopped(reader) &&
           (reader->settings.count_max == 0 || reader->packets < reader->settings.count_max)) {
        if (reader->packets == packets) {
            result = error_set(err, ENODATA, "%s: nothing to loop over: no packet was read from it",
                               reader->settings.capture.read_paths[0]);
            break;
        }
        packets = reader->packets;
        result = reopen(reader, err);
        if (result == 0) {
            result = read_pass(reader, err);
        }
    }
    if (reader->lanes == NULL) {
        shard_finish(reader->settings.shards[0], reader->watermark_ns, end_detail(reader));
    } else {
        deal_end(reader);
    }
    return result;
}
