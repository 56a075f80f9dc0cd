#include "sensor/pipeline/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/pipeline/reader_private.h"

#define READ_FRAMES 256
#define PACE_GAP_NS (60 * NS_PER_SEC) /* told about */

/* A file may claim anything: times stop in the year 2262, so that time plus a timeout never wraps.
 */
#define FRAME_TIME_MAX_NS ((uint64_t)INT64_MAX)

void reader_free(struct reader *reader)
{
    if (reader != NULL) {
        reader_lanes_free(reader);
        fragment_table_free(reader->fragments);
        capture_close(reader->capture);
        free(reader);
    }
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
        if (reader_lanes_new(reader, err) != 0) {
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
    while (due == 0 && !reader_is_stopped(reader)) {
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
            const uint64_t wait =
                due_ns - now_ns < READER_SLEEP_NS ? due_ns - now_ns : READER_SLEEP_NS;

            sleep_ns(wait);
            for (uint32_t i = 0; i < reader->settings.shards_count && reader->lanes == NULL; i++) {
                shard_time(reader->settings.shards[i], now_ns);
            }
        }
    }
    return due;
}

/* ---- reading ---- */

/* Times of some frames. */
struct span {
    uint64_t oldest_ns, newest_ns;
};

static struct span count_frames(struct reader *reader, const struct frame *frames, uint32_t count)
{
    struct span span = {.oldest_ns = UINT64_MAX};
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        const uint64_t time_ns = frames[i].time_ns;

        bytes += frames[i].wire_bytes;
        span.oldest_ns = time_ns < span.oldest_ns ? time_ns : span.oldest_ns;
        span.newest_ns = time_ns > span.newest_ns ? time_ns : span.newest_ns;
    }
    counter_add(&reader->counts.packets, count);
    counter_add(&reader->counts.bytes, bytes);
    return span;
}

/* Among the frames the input's clock may have been set back. */
static void forward_in_steps(struct reader *reader, const struct frame *frames, uint32_t count,
                             uint64_t first_index)
{
    struct shard *shard = reader->settings.shards[0];
    uint32_t begin = 0;
    uint64_t from_ns;

    for (uint32_t i = 0; i < count; i++) {
        if (reader_is_step_back(reader, frames[i].time_ns, &from_ns)) {
            if (i > begin) {
                shard_frames(shard, frames + begin, i - begin, first_index + begin);
            }
            shard_step_clock(shard, from_ns, frames[i].time_ns);
            begin = i;
        }
    }
    shard_frames(shard, frames + begin, count - begin, first_index + begin);
}

static void forward_to_one(struct reader *reader, const struct frame *frames, uint32_t count,
                           uint64_t first_index, struct span span)
{
    uint64_t from_ns;

    if (span.newest_ns > reader->watermark_ns) {
        reader->watermark_ns = span.newest_ns;
    }
    if (LIKELY(!reader_may_step_back(reader, span.oldest_ns, span.newest_ns))) {
        (void)reader_is_step_back(reader, span.newest_ns, &from_ns);
        shard_frames(reader->settings.shards[0], frames, count, first_index);
    } else {
        forward_in_steps(reader, frames, count, first_index);
    }
}

static void forward(struct reader *reader, const struct frame *frames, uint32_t count)
{
    const uint64_t first_index = reader->packets + 1;
    const struct span span = count_frames(reader, frames, count);

    reader->packets += count;
    if (reader->lanes == NULL) {
        forward_to_one(reader, frames, count, first_index, span);
        return;
    }
    reader_deal(reader, frames, first_index, count);
    if (reader->settings.is_paced) {
        reader_deal_now(reader);
    }
}

static void forward_paced(struct reader *reader, struct frame *frames, uint32_t count)
{
    while (count > 0 && !reader_is_stopped(reader)) {
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
    uint64_t last_ns = reader->last_ns;

    for (uint32_t i = 0; i < count; i++) {
        if (UNLIKELY(frames[i].time_ns - 1 >= FRAME_TIME_MAX_NS)) {
            frames[i].time_ns = frames[i].time_ns == 0 ? last_ns : FRAME_TIME_MAX_NS;
        }
        if (UNLIKELY(frames[i].captured_bytes > READER_FRAME_BYTES_MAX)) {
            frames[i].captured_bytes = READER_FRAME_BYTES_MAX;
        }
        last_ns = frames[i].time_ns;
    }
    reader->last_ns = last_ns;
}

/* One pass over the input. Returns 0 at its end or when stopped, -errno on a fault. */
static int read_pass(struct reader *reader, struct error *err)
{
    struct frame frames[READ_FRAMES];
    struct error told = {0};
    int result = 0;

    while (!reader_is_stopped(reader)) {
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
        if (got < 0 && reader_is_stopped(reader)) {
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

    while (result == 0 && reader->settings.is_looped && !reader_is_stopped(reader) &&
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
        shard_finish(reader->settings.shards[0], reader->watermark_ns, reader_end_detail(reader));
    } else {
        reader_deal_end(reader);
    }
    return result;
}
