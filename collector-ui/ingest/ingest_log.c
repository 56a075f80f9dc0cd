/* The log thread: appends in groups, syncs, acknowledges, stores. And the reading of the log at
 * start. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/ingest/ingest_private.h"

#define HOUSEKEEPING_NS (2 * NS_PER_SEC)

/* ---- start ---- */

struct replay {
    struct ingest *ingest;
    uint64_t batches, records, gaps;
    struct error *err;
};

static void take_position(void *argument, const char *sensor_id, const char *boot_id,
                          enum record_stream stream, uint32_t lane, uint64_t next_seq)
{
    const struct replay *replay = argument;
    struct ingest *ingest = replay->ingest;
    struct ingest_boot *boot = lane == 0
                                   ? ingest_positions_boot(ingest->positions, sensor_id, boot_id)
                                   : ingest_lanes_place(ingest, sensor_id, boot_id, lane);

    if (boot != NULL && stream < RECORD_STREAM_COUNT && next_seq > 0) {
        ingest_place_durable(&boot->places[stream], next_seq - 1);
    }
}

static int replay_batch(struct replay *replay, const struct ingest_frame *frame,
                        uint64_t log_position)
{
    struct ingest *ingest = replay->ingest;
    struct codec_batch batch;

    if (!codec_decode_batch(frame->batch, frame->length, &batch, ingest->slices,
                            INGEST_BATCH_RECORDS_MAX)) {
        log_error("ingest", "a batch in the log cannot be read", "position=%llu",
                  (unsigned long long)log_position);
        return 0;
    }
    const struct ingest_batch event = {.sensor_id = frame->sensor_id,
                                       .boot_id = batch.boot_id,
                                       .stream = batch.stream,
                                       .lane = frame->lane,
                                       .first_seq = batch.first_seq,
                                       .record_count = batch.record_count,
                                       .receive_ns = frame->receive_ns,
                                       .log_position = log_position,
                                       .message = frame->batch,
                                       .length = frame->length};
    if (!ingest->events->store(ingest->events->context, &event)) {
        return error_set(replay->err, EIO, "the store does not take what is in the log");
    }
    take_position(replay, frame->sensor_id, batch.boot_id, batch.stream, frame->lane,
                  batch.first_seq + batch.record_count);
    replay->batches++;
    replay->records += batch.record_count;
    return 0;
}

static int replay_frame(struct replay *replay, const struct segment_frame *from)
{
    const struct ingest_events *events = replay->ingest->events;
    struct ingest_frame frame;
    struct ingest_gap gap;

    if (!ingest_frame_decode(from->bytes, from->length, &frame)) {
        log_error("ingest", "a frame in the log cannot be read", "position=%llu",
                  (unsigned long long)from->position);
        return 0;
    }
    if (frame.batch != NULL) {
        return replay_batch(replay, &frame, from->next_position);
    }
    if (ingest_decode_gap(frame.gap, frame.length, &gap)) {
        take_position(replay, frame.sensor_id, gap.boot_id, gap.stream, frame.lane, gap.to_seq + 1);
        events->gap(events->context, frame.sensor_id, gap.boot_id, gap.stream, gap.from_seq,
                    gap.to_seq);
        replay->gaps++;
    }
    return 0;
}

/* Gives the store all behind what it has. */
static int replay_log(struct ingest *ingest, struct error *err)
{
    const struct ingest_events *events = ingest->events;
    struct replay replay = {.ingest = ingest, .err = err};

    events->each_position(events->context, take_position, &replay);
    const uint64_t end = segment_log_end(ingest->log);
    AUTO(segment_reader)
    reader =
        segment_reader_new(ingest->directory, events->stored_position(events->context),
                           (uint32_t)ingest->settings->message_bytes_max + INGEST_FRAME_ROOM, err);
    if (reader == NULL) {
        return -err->code;
    }
    for (;;) {
        struct segment_frame frame;
        int result = segment_reader_next(reader, end, &frame, err);

        if (result == 0) {
            break;
        }
        if (result == -EBADMSG) {
            log_error("ingest", err->message, NULL); /* what is behind it in the file is lost */
            error_clear(err);
            continue;
        }
        result = result < 0 ? result : replay_frame(&replay, &frame);
        if (result < 0) {
            return result;
        }
    }
    if (replay.batches > 0 || replay.gaps > 0) {
        log_info("ingest", "read the log behind the store", "batches=%llu records=%llu gaps=%llu",
                 (unsigned long long)replay.batches, (unsigned long long)replay.records,
                 (unsigned long long)replay.gaps);
    }
    return 0;
}

int ingest_log_open(struct ingest *ingest, struct error *err)
{
    const struct segment_log_limits limits = {
        .segment_bytes_max = ingest->settings->log_segment_bytes,
        .frame_bytes_max = (uint32_t)ingest->settings->message_bytes_max + INGEST_FRAME_ROOM};
    struct segment_log_recovery recovery = {0};

    ingest->log = segment_log_open(ingest->directory, &limits, &recovery, err);
    if (ingest->log == NULL) {
        return -err->code;
    }
    if (recovery.truncated_bytes > 0) {
        log_warn("ingest", "cut off what a crash left unfinished; it was never acknowledged",
                 "bytes=%llu", (unsigned long long)recovery.truncated_bytes);
    }
    return replay_log(ingest, err);
}

/* ---- running ---- */

void ingest_log_push(struct ingest *ingest, struct ingest_entry *entry)
{
    entry->next = NULL;
    *ingest->last = entry;
    ingest->last = &entry->next;
    ingest->queue_bytes += entry->length;
    (void)pthread_cond_signal(&ingest->wake);
}

/* Nothing more is taken in this life: the reason is told, streams end, sensors keep what they have.
 * With the lock. */
static void fail(struct ingest *ingest, const char *message)
{
    if (ingest->is_failed) {
        return;
    }
    (void)error_set(&ingest->failure, EIO, "%s", message);
    ingest->is_failed = true;
    log_error("ingest", message, NULL);
    for (struct ingest_stream *stream = ingest->streams; stream != NULL; stream = stream->next) {
        ingest_stream_end(stream, RPC_UNAVAILABLE, "the collector cannot store");
    }
}

/* ---- a disk that fails: full, read-only, broken ---- */

/* Nothing of the entry is kept: its sensor sends it again. With the lock. */
static void give_back(struct ingest_entry *entry)
{
    entry->is_void = true;
    ingest_place_reset(entry->place);
    ingest_stream_end(entry->stream, RPC_UNAVAILABLE, "the collector cannot write its log");
}

static void tell_trouble(struct ingest *ingest, const char *message)
{
    static struct log_limit limit;

    (void)pthread_mutex_lock(&ingest->lock);
    ingest->counts.log_errors++;
    ingest->counts.has_log_trouble = true;
    (void)pthread_mutex_unlock(&ingest->lock);
    if (log_allowed(&limit, NS_PER_SEC, NULL)) {
        log_error("ingest", "the log cannot be written: sensors keep what they have",
                  "reason=\"%s\"", message);
    }
}

static void end_trouble(struct ingest *ingest)
{
    (void)pthread_mutex_lock(&ingest->lock);
    const bool had_trouble = ingest->counts.has_log_trouble;

    ingest->counts.has_log_trouble = false;
    (void)pthread_mutex_unlock(&ingest->lock);
    if (had_trouble) {
        log_info("ingest", "the log can be written again", NULL);
    }
}

/* What the disk held back at a failure is cut off: it was never acknowledged. */
static void mend_log(struct ingest *ingest)
{
    struct error err = {0};

    if (segment_log_mend(ingest->log, &err) != 0) {
        tell_trouble(ingest, err.message);
    }
}

static int append_entry(struct ingest *ingest, struct ingest_entry *entry, struct error *err)
{
    const struct iovec frame[2] = {{entry->bytes, entry->head_bytes},
                                   {(void *)(uintptr_t)entry->message, entry->message_bytes}};

    return segment_log_append_two(ingest->log, frame, NULL, err);
}

static void append_group(struct ingest *ingest, struct ingest_entry *group)
{
    for (struct ingest_entry *entry = group; entry != NULL; entry = entry->next) {
        struct error err = {0};

        (void)pthread_mutex_lock(&ingest->lock);
        entry->is_void = entry->generation != entry->place->generation || ingest->is_failed;
        (void)pthread_mutex_unlock(&ingest->lock);
        if (entry->is_void || append_entry(ingest, entry, &err) == 0) {
            entry->log_position = segment_log_end(ingest->log);
            continue;
        }
        (void)pthread_mutex_lock(&ingest->lock);
        give_back(entry);
        (void)pthread_mutex_unlock(&ingest->lock);
        tell_trouble(ingest, err.message);
    }
}

static bool has_entries(const struct ingest_entry *group)
{
    while (group != NULL && group->is_void) {
        group = group->next;
    }
    return group != NULL;
}

static void sync_group(struct ingest *ingest, struct ingest_entry *group)
{
    struct error err = {0};

    if (segment_log_sync(ingest->log, &err) == 0) {
        if (has_entries(group)) {
            end_trouble(ingest);
        }
        return;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    for (struct ingest_entry *entry = group; entry != NULL; entry = entry->next) {
        give_back(entry);
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    tell_trouble(ingest, err.message);
}

/* The group is on disk, or void: places move, one acknowledgement each goes out. */
static void settle_group(struct ingest *ingest, struct ingest_entry *group)
{
    (void)pthread_mutex_lock(&ingest->lock);
    for (struct ingest_entry *entry = group; entry != NULL; entry = entry->next) {
        ingest->queue_bytes -= entry->length;
        entry->stream->waiting--;
        ingest_lanes_settle(ingest, entry);
        ingest_dials_settle(entry);
        if (!entry->is_void) {
            ingest_place_durable(entry->place, entry->last_seq);
            entry->place->is_touched = true;
        } else if (!entry->is_gap) {
            ingest->counts.returned += entry->last_seq - entry->first_seq + 1;
        }
    }
    for (struct ingest_entry *entry = group; entry != NULL; entry = entry->next) {
        if (entry->place->is_touched) {
            entry->place->is_touched = false;
            ingest_stream_acknowledge(entry->place);
        }
    }
    ingest->counts.log_bytes = segment_log_bytes(ingest->log);
    ingest->control.log_end = segment_log_end(ingest->log);
    (void)pthread_mutex_unlock(&ingest->lock);
}

static void tell_stats(struct ingest *ingest, const struct ingest_batch *batch)
{
    struct codec_batch head;

    if (!codec_decode_batch(batch->message, batch->length, &head, ingest->slices,
                            INGEST_BATCH_RECORDS_MAX)) {
        return;
    }
    for (uint32_t i = 0; i < head.record_count; i++) {
        arena_reset(ingest->scratch);
        if (codec_decode_stats(ingest->slices[i].bytes, ingest->slices[i].length, ingest->scratch,
                               ingest->stats)) {
            ingest->events->stats(ingest->events->context, batch->sensor_id, ingest->stats);
        }
    }
}

static void store_entry(struct ingest *ingest, const struct ingest_entry *entry)
{
    const struct ingest_events *events = ingest->events;
    const struct ingest_boot *boot = entry->place->boot;
    const struct ingest_batch batch = {.sensor_id = boot->sensor->sensor_id,
                                       .boot_id = boot->boot_id,
                                       .stream = entry->place->stream,
                                       .lane = boot->lane,
                                       .first_seq = entry->first_seq,
                                       .record_count =
                                           (uint32_t)(entry->last_seq - entry->first_seq + 1),
                                       .receive_ns = entry->receive_ns,
                                       .log_position = entry->log_position,
                                       .message = entry->message,
                                       .length = (uint32_t)entry->message_bytes};

    if (entry->is_gap) {
        events->gap(events->context, batch.sensor_id, batch.boot_id, batch.stream, entry->first_seq,
                    entry->last_seq);
        return;
    }
    if (batch.stream == RECORD_STATS) {
        tell_stats(ingest, &batch);
    }
    if (!ingest->is_failed && !events->store(events->context, &batch)) {
        (void)pthread_mutex_lock(&ingest->lock);
        fail(ingest, "the store takes nothing any more; see its message above");
        (void)pthread_mutex_unlock(&ingest->lock);
    }
}

static void free_group(struct ingest *ingest, struct ingest_entry *group)
{
    while (group != NULL) {
        struct ingest_entry *next = group->next;

        (void)pthread_mutex_lock(&ingest->lock);
        group->place->boot->pins--;
        (void)pthread_mutex_unlock(&ingest->lock);
        ingest_stream_unref(group->stream);
        ingest_entry_free(group);
        group = next;
    }
}

static void write_group(struct ingest *ingest, struct ingest_entry *group)
{
    mend_log(ingest);
    append_group(ingest, group);
    sync_group(ingest, group);
    settle_group(ingest, group);
    for (struct ingest_entry *entry = group; entry != NULL; entry = entry->next) {
        if (!entry->is_void) {
            store_entry(ingest, entry);
        }
    }
    (void)pthread_mutex_lock(&ingest->lock);
    ingest_stream_resume(ingest); /* after the store: who fills it faster than it writes waits */
    (void)pthread_mutex_unlock(&ingest->lock);
    free_group(ingest, group);
}

static void delete_stored(struct ingest *ingest)
{
    const struct ingest_events *events = ingest->events;
    const uint64_t position = events->needed_position != NULL
                                  ? events->needed_position(events->context)
                                  : events->stored_position(events->context);
    struct error err = {0};

    if (segment_log_delete_before(ingest->log, position, &err) < 0) {
        log_warn("ingest", err.message, NULL);
    }
    (void)pthread_mutex_lock(&ingest->lock);
    ingest->counts.log_bytes = segment_log_bytes(ingest->log);
    (void)pthread_mutex_unlock(&ingest->lock);
}

static void wait_until(struct ingest *ingest, uint64_t until_ns)
{
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};

    (void)pthread_cond_timedwait(&ingest->wake, &ingest->lock, &until);
}

/* All that is queued, once it is worth a sync. NULL: it is time for housekeeping, or to end. */
static struct ingest_entry *take_group(struct ingest *ingest, bool *is_over)
{
    const uint64_t idle_ns = clock_monotonic_ns() + HOUSEKEEPING_NS;

    (void)pthread_mutex_lock(&ingest->lock);
    while (ingest->first == NULL && !ingest->is_stopping && clock_monotonic_ns() < idle_ns) {
        wait_until(ingest, idle_ns);
    }
    const uint64_t commit_ns = clock_monotonic_ns() + ingest->settings->commit_ns;

    while (ingest->first != NULL && ingest->queue_bytes < ingest->settings->commit_bytes &&
           !ingest->is_stopping && clock_monotonic_ns() < commit_ns) {
        wait_until(ingest, commit_ns);
    }
    struct ingest_entry *group = ingest->first;

    ingest->first = NULL;
    ingest->last = &ingest->first;
    *is_over = group == NULL && ingest->is_stopping;
    (void)pthread_mutex_unlock(&ingest->lock);
    return group;
}

static void *run(void *argument)
{
    struct ingest *ingest = argument;
    uint64_t clean_ns = clock_monotonic_ns() + HOUSEKEEPING_NS;
    bool is_over = false;

    while (!is_over) {
        struct ingest_entry *group = take_group(ingest, &is_over);

        if (group != NULL) {
            write_group(ingest, group);
        }
        if (clock_monotonic_ns() >= clean_ns) {
            delete_stored(ingest);
            clean_ns = clock_monotonic_ns() + HOUSEKEEPING_NS;
        }
    }
    return NULL;
}

int ingest_log_start(struct ingest *ingest, struct error *err)
{
    const int code = pthread_create(&ingest->thread, NULL, run, ingest);

    ingest->has_thread = code == 0;
    return code == 0 ? 0 : error_set(err, code, "ingest: no thread: %s", strerror(code));
}

void ingest_log_stop(struct ingest *ingest)
{
    if (!ingest->has_thread) {
        return;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    ingest->is_stopping = true;
    (void)pthread_cond_signal(&ingest->wake);
    (void)pthread_mutex_unlock(&ingest->lock);
    (void)pthread_join(ingest->thread, NULL);
    ingest->has_thread = false;
}
