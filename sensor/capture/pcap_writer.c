#include "sensor/capture/pcap_writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/counter.h"
#include "sensor/capture/frame_queue.h"
#include "sensor/capture/pcap_format.h"
#include "sensor/capture/pcap_output.h"

#define QUEUE_DEFAULT_BYTES (UINT64_C(8) << 20)
#define PRODUCERS_MAX       65U
#define IDLE_NS             (5 * NS_PER_MS)
#define FULL_NS             (100 * NS_PER_US)
#define ROUND_FRAMES        4096U /* before it is looked whether a flush is asked for */

/* Between one producer and the writer. */
struct producer {
    struct frame_queue queue;
    struct counter offered, dropped, failed_offers;
    uint64_t flush_until; /* the writer's: position in the queue that a flush waits for */
};

struct pcap_writer {
    struct pcap_output output; /* the writer thread's own, but for its counters */
    struct pcap_writer_settings settings;
    uint32_t producers_count;
    struct producer *producers;
    struct counter queued_high_water;
    pthread_t thread;
    _Atomic bool is_stopping;
    _Atomic uint64_t flushes_asked, flushes_done;
    uint64_t flush_under_way; /* the writer's: ticket; 0: none */
};

static bool is_failed(const struct pcap_writer *writer)
{
    return atomic_load_explicit(&((struct pcap_writer *)(uintptr_t)writer)->output.is_failed,
                                memory_order_acquire);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void look_at_queues(struct pcap_writer *writer)
{
    for (uint32_t i = 0; i < writer->producers_count; i++) {
        const uint64_t used = frame_queue_used(&writer->producers[i].queue);

        if (used > counter_get(&writer->queued_high_water)) {
            counter_set(&writer->queued_high_water, used);
        }
    }
}

/* One frame, of the queue whose next one is the oldest; false when all are empty. */
static bool drain_one(struct pcap_writer *writer)
{
    struct frame_queue *chosen = NULL;
    struct frame frame = {0};

    for (uint32_t i = 0; i < writer->producers_count; i++) {
        struct frame candidate;

        if (frame_queue_first(&writer->producers[i].queue, &candidate) &&
            (chosen == NULL || candidate.time_ns < frame.time_ns)) {
            chosen = &writer->producers[i].queue;
            frame = candidate;
        }
    }
    if (chosen == NULL) {
        return false;
    }
    pcap_output_put(&writer->output, &frame);
    frame_queue_drop_first(chosen);
    return true;
}

/* Takes up what is asked for: all that lies in the queues now. */
static void begin_flush(struct pcap_writer *writer)
{
    const uint64_t asked = atomic_load_explicit(&writer->flushes_asked, memory_order_acquire);

    if (writer->flush_under_way != 0 ||
        asked == atomic_load_explicit(&writer->flushes_done, memory_order_relaxed)) {
        return;
    }
    writer->flush_under_way = asked;
    for (uint32_t i = 0; i < writer->producers_count; i++) {
        struct producer *producer = &writer->producers[i];

        producer->flush_until =
            atomic_load_explicit(&producer->queue.written, memory_order_acquire);
    }
}

static void end_flush(struct pcap_writer *writer)
{
    if (writer->flush_under_way == 0) {
        return;
    }
    for (uint32_t i = 0; i < writer->producers_count; i++) {
        struct frame first;
        struct producer *producer = &writer->producers[i];

        if (frame_queue_first(&producer->queue, &first) &&
            atomic_load_explicit(&producer->queue.read, memory_order_relaxed) <
                producer->flush_until) {
            return;
        }
    }
    pcap_output_flush(&writer->output);
    atomic_store_explicit(&writer->flushes_done, writer->flush_under_way, memory_order_release);
    writer->flush_under_way = 0;
}

static void *writer_run(void *context)
{
    struct pcap_writer *writer = context;
    for (;;) {
        const bool is_last = atomic_load_explicit(&writer->is_stopping, memory_order_acquire);
        bool was_idle = true;

        look_at_queues(writer);
        begin_flush(writer);
        for (uint32_t i = 0; (is_last || i < ROUND_FRAMES) && drain_one(writer); i++) {
            was_idle = false;
        }
        end_flush(writer);
        if (is_last) {
            return NULL;
        }
        if (was_idle) {
            pcap_output_flush(&writer->output);
            const struct timespec pause = {.tv_nsec = (long)IDLE_NS};
            (void)nanosleep(&pause, NULL);
        }
    }
}

/* ---- open, offer, close ---------------------------------------------------------------------- */

static void writer_free(struct pcap_writer *writer)
{
    for (uint32_t i = 0; i < writer->producers_count; i++) {
        frame_queue_fini(&writer->producers[i].queue);
    }
    free(writer->producers);
    pcap_output_fini(&writer->output);
    free(writer);
}

static int memory_take(struct pcap_writer *writer)
{
    const uint64_t asked = writer->settings.queue_bytes;

    writer->producers =
        aligned_alloc(CACHE_LINE, writer->settings.producers * sizeof *writer->producers);
    if (writer->producers == NULL) {
        return -ENOMEM;
    }
    memset(writer->producers, 0, writer->settings.producers * sizeof *writer->producers);
    writer->producers_count = writer->settings.producers;
    for (uint32_t i = 0; i < writer->producers_count; i++) {
        if (frame_queue_init(&writer->producers[i].queue,
                             asked == 0 ? QUEUE_DEFAULT_BYTES : asked) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

bool pcap_writer_is_pcapng(const struct pcap_writer_settings *settings)
{
    return pcap_output_is_pcapng(settings);
}

uint64_t pcap_writer_flush(struct pcap_writer *writer)
{
    return atomic_fetch_add_explicit(&writer->flushes_asked, 1, memory_order_acq_rel) + 1;
}

bool pcap_writer_is_flushed(const struct pcap_writer *writer, uint64_t ticket)
{
    return atomic_load_explicit(&((struct pcap_writer *)(uintptr_t)writer)->flushes_done,
                                memory_order_acquire) >= ticket;
}

bool pcap_writer_is_segment(const char *path, const char *name)
{
    return pcap_segment_is_name(path, name);
}

int pcap_writer_check(const struct pcap_writer_settings *settings, struct error *err)
{
    return pcap_output_check(settings, err);
}

struct pcap_writer *pcap_writer_open(const struct pcap_writer_settings *settings, struct error *err)
{
    if (settings->producers == 0 || settings->producers > PRODUCERS_MAX) {
        error_set(err, EINVAL, "write-pcap: 1 to %u producers, not %u", PRODUCERS_MAX,
                  settings->producers);
        return NULL;
    }
    struct pcap_writer *writer =
        aligned_alloc(CACHE_LINE, (sizeof *writer + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
    if (writer == NULL) {
        error_set(err, ENOMEM, "write-pcap: out of memory");
        return NULL;
    }
    memset(writer, 0, sizeof *writer);
    writer->settings = *settings;
    int code = -pcap_output_init(&writer->output, settings, err);
    if (code == 0 && memory_take(writer) != 0) {
        code = ENOMEM;
        error_set(err, ENOMEM, "%s: out of memory", settings->path);
    }
    if (code == 0) {
        code = pthread_create(&writer->thread, NULL, writer_run, writer);
        if (code != 0) {
            error_set(err, code, "%s: start the writer thread: %s", settings->path, strerror(code));
        }
    }
    if (code != 0) {
        writer_free(writer);
        return NULL;
    }
    (void)pthread_setname_np(writer->thread, "pcap-writer");
    return writer;
}

/* Waits for room when lossless. */
static bool push(struct pcap_writer *writer, struct frame_queue *queue, const struct frame *frame)
{
    if (frame->captured_bytes > PCAP_FORMAT_FRAME_MAX) {
        return false; /* no reader takes such a record, nor would it fit behind a filler */
    }
    while (!frame_queue_put(queue, frame)) {
        if (!writer->settings.is_lossless || is_failed(writer)) {
            return false;
        }
        const struct timespec pause = {.tv_nsec = (long)FULL_NS};
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

int pcap_writer_offer(struct pcap_writer *writer, uint32_t producer, const struct frame *frames,
                      uint32_t count, struct error *err)
{
    struct producer *from = &writer->producers[producer];

    counter_add(&from->offered, count);
    if (is_failed(writer)) {
        counter_add(&from->failed_offers, count);
        return error_set(err, writer->output.fault.code, "%s", writer->output.fault.message);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!push(writer, &from->queue, &frames[i])) {
            counter_add(&from->dropped, 1);
        }
    }
    return 0;
}

void pcap_writer_counts_read(const struct pcap_writer *writer, struct pcap_writer_counts *out)
{
    const struct pcap_output *output = &writer->output;

    *out = (struct pcap_writer_counts){
        .written = counter_get(&output->written),
        .written_bytes = counter_get(&output->written_bytes),
        .link_type_refused = counter_get(&output->link_type_refused),
        .disk_full = counter_get(&output->disk_full),
        .failed = counter_get(&output->failed),
        .files = (uint32_t)counter_get(&output->files),
        .files_deleted = (uint32_t)counter_get(&output->deleted),
        .oldest_ns = counter_get(&output->oldest_ns),
        .oldest_number = (uint32_t)counter_get(&output->oldest_number),
        .number = (uint32_t)counter_get(&output->number),
        .queued_high_water = counter_get(&writer->queued_high_water),
        .trouble = (int)counter_get(&output->trouble),
        .last_trouble = (int)counter_get(&output->last_trouble),
    };
    out->is_disk_full = out->trouble == ENOSPC || out->trouble == EDQUOT;
    for (uint32_t i = 0; i < writer->producers_count; i++) {
        out->offered += counter_get(&writer->producers[i].offered);
        out->dropped += counter_get(&writer->producers[i].dropped);
        out->failed += counter_get(&writer->producers[i].failed_offers);
    }
}

int pcap_writer_close(struct pcap_writer *writer, struct pcap_writer_counts *counts,
                      struct error *err)
{
    if (writer == NULL) {
        return 0;
    }
    atomic_store_explicit(&writer->is_stopping, true, memory_order_release);
    (void)pthread_join(writer->thread, NULL);

    pcap_output_close(&writer->output);
    if (counts != NULL) {
        pcap_writer_counts_read(writer, counts);
    }
    int status = 0;
    if (is_failed(writer)) {
        status = error_set(err, writer->output.fault.code, "%s", writer->output.fault.message);
    }
    writer_free(writer);
    return status;
}
