#include "sensor/capture/pcap_writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "sensor/capture/pcap_format.h"
#include "sensor/capture/pcap_output.h"

#define QUEUE_DEFAULT_BYTES (UINT64_C(8) << 20)
#define QUEUE_MIN_BYTES     (UINT64_C(1) << 20) /* holds the largest record several times */
#define PRODUCERS_MAX       65U
#define IDLE_NS             (5 * NS_PER_MS)
#define FULL_NS             (100 * NS_PER_US)
#define FILLER              UINT32_MAX

/* What stands before the bytes of a frame in a queue. A record never wraps: one without a frame
 * (captured_bytes FILLER) leads to the start of the ring. Records are 8-byte aligned. */
struct queued_record {
    uint64_t time_ns;
    uint32_t record_bytes; /* with this header and the padding */
    uint32_t captured_bytes;
    uint32_t wire_bytes;
    uint16_t link_type;
    uint16_t interface;
};

/* Bytes between one producer and the writer; positions only grow. */
struct byte_queue {
    uint8_t *bytes;
    uint64_t size;                                 /* power of two */
    _Alignas(CACHE_LINE) _Atomic uint64_t written; /* by the producer */
    uint64_t read_seen;                            /* the producer's last look at `read` */
    struct counter offered, dropped, failed_offers;
    _Alignas(CACHE_LINE) _Atomic uint64_t read; /* by the writer */
};

struct pcap_writer {
    struct pcap_output output; /* the writer thread's own, but for its counters */
    struct pcap_writer_settings settings;
    uint32_t queues_count;
    struct byte_queue *queues;
    struct counter queued_high_water;
    pthread_t thread;
    _Atomic bool is_stopping;
};

static bool is_failed(const struct pcap_writer *writer)
{
    return atomic_load_explicit(&((struct pcap_writer *)(uintptr_t)writer)->output.is_failed,
                                memory_order_acquire);
}

/* ---- the queue ------------------------------------------------------------------------------- */

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + 7) & ~UINT64_C(7);
}

static bool queue_push(struct byte_queue *queue, const struct frame *frame)
{
    const uint64_t record = aligned(sizeof(struct queued_record) + frame->captured_bytes);
    uint64_t written = atomic_load_explicit(&queue->written, memory_order_relaxed);
    const uint64_t to_end = queue->size - (written & (queue->size - 1));
    const uint64_t needed = record <= to_end ? record : to_end + record;

    if (written + needed - queue->read_seen > queue->size) {
        queue->read_seen = atomic_load_explicit(&queue->read, memory_order_acquire);
        if (written + needed - queue->read_seen > queue->size) {
            return false;
        }
    }
    if (record > to_end) {
        if (to_end >= sizeof(struct queued_record)) {
            const struct queued_record filler = {.record_bytes = (uint32_t)to_end,
                                                 .captured_bytes = FILLER};
            memcpy(queue->bytes + (written & (queue->size - 1)), &filler, sizeof filler);
        }
        written += to_end; /* a shorter rest is skipped by the reader without a header */
    }
    const struct queued_record header = {
        .time_ns = frame->time_ns,
        .record_bytes = (uint32_t)record,
        .captured_bytes = frame->captured_bytes,
        .wire_bytes = frame->wire_bytes,
        .link_type = frame->link_type,
        .interface = frame->interface,
    };
    uint8_t *at = queue->bytes + (written & (queue->size - 1));
    memcpy(at, &header, sizeof header);
    memcpy(at + sizeof header, frame->bytes, frame->captured_bytes);
    atomic_store_explicit(&queue->written, written + record, memory_order_release);
    return true;
}

/* The next record, left in place; false when there is none. */
static bool queue_front(struct byte_queue *queue, struct queued_record *header,
                        const uint8_t **bytes)
{
    const uint64_t written = atomic_load_explicit(&queue->written, memory_order_acquire);
    uint64_t read = atomic_load_explicit(&queue->read, memory_order_relaxed);

    while (read != written) {
        const uint64_t to_end = queue->size - (read & (queue->size - 1));
        if (to_end < sizeof *header) {
            read += to_end;
            continue;
        }
        const uint8_t *at = queue->bytes + (read & (queue->size - 1));
        memcpy(header, at, sizeof *header);
        if (header->captured_bytes != FILLER) {
            *bytes = at + sizeof *header;
            atomic_store_explicit(&queue->read, read, memory_order_release);
            return true;
        }
        read += header->record_bytes;
    }
    return false;
}

static void queue_drop_front(struct byte_queue *queue, const struct queued_record *header)
{
    const uint64_t read = atomic_load_explicit(&queue->read, memory_order_relaxed);
    atomic_store_explicit(&queue->read, read + header->record_bytes, memory_order_release);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void record_take(struct pcap_writer *writer, const struct queued_record *record,
                        const uint8_t *bytes)
{
    const struct frame frame = {.bytes = bytes,
                                .captured_bytes = record->captured_bytes,
                                .wire_bytes = record->wire_bytes,
                                .time_ns = record->time_ns,
                                .link_type = record->link_type,
                                .interface = record->interface};

    pcap_output_put(&writer->output, &frame);
}

static void look_at_queues(struct pcap_writer *writer)
{
    for (uint32_t i = 0; i < writer->queues_count; i++) {
        const uint64_t used =
            atomic_load_explicit(&writer->queues[i].written, memory_order_acquire) -
            atomic_load_explicit(&writer->queues[i].read, memory_order_relaxed);

        if (used > counter_get(&writer->queued_high_water)) {
            counter_set(&writer->queued_high_water, used);
        }
    }
}

/* One record, of the queue whose next one is the oldest; false when all are empty. */
static bool drain_one(struct pcap_writer *writer)
{
    struct byte_queue *chosen = NULL;
    struct queued_record record = {0};
    const uint8_t *bytes = NULL;

    for (uint32_t i = 0; i < writer->queues_count; i++) {
        struct queued_record candidate;
        const uint8_t *candidate_bytes;
        if (queue_front(&writer->queues[i], &candidate, &candidate_bytes) &&
            (chosen == NULL || candidate.time_ns < record.time_ns)) {
            chosen = &writer->queues[i];
            record = candidate;
            bytes = candidate_bytes;
        }
    }
    if (chosen == NULL) {
        return false;
    }
    record_take(writer, &record, bytes);
    queue_drop_front(chosen, &record);
    return true;
}

static void *writer_run(void *context)
{
    struct pcap_writer *writer = context;
    for (;;) {
        const bool is_last = atomic_load_explicit(&writer->is_stopping, memory_order_acquire);
        bool was_idle = true;

        look_at_queues(writer);
        while (drain_one(writer)) {
            was_idle = false;
        }
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
    for (uint32_t i = 0; i < writer->queues_count; i++) {
        free(writer->queues[i].bytes);
    }
    free(writer->queues);
    pcap_output_fini(&writer->output);
    free(writer);
}

static int memory_take(struct pcap_writer *writer)
{
    uint64_t size = QUEUE_MIN_BYTES;
    const uint64_t asked =
        writer->settings.queue_bytes == 0 ? QUEUE_DEFAULT_BYTES : writer->settings.queue_bytes;
    while (size < asked && size < (UINT64_C(1) << 40)) {
        size *= 2;
    }
    writer->queues = aligned_alloc(CACHE_LINE, writer->settings.producers * sizeof *writer->queues);
    if (writer->queues == NULL) {
        return -ENOMEM;
    }
    memset(writer->queues, 0, writer->settings.producers * sizeof *writer->queues);
    for (uint32_t i = 0; i < writer->settings.producers; i++) {
        writer->queues[i].size = size;
        writer->queues[i].bytes = malloc(size);
        if (writer->queues[i].bytes == NULL) {
            return -ENOMEM;
        }
        writer->queues_count++;
    }
    return 0;
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
static bool push(struct pcap_writer *writer, struct byte_queue *queue, const struct frame *frame)
{
    if (frame->captured_bytes > PCAP_FORMAT_FRAME_MAX) {
        return false; /* no reader takes such a record, nor would it fit behind a filler */
    }
    while (!queue_push(queue, frame)) {
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
    struct byte_queue *queue = &writer->queues[producer];

    counter_add(&queue->offered, count);
    if (is_failed(writer)) {
        counter_add(&queue->failed_offers, count);
        return error_set(err, writer->output.fault.code, "%s", writer->output.fault.message);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!push(writer, queue, &frames[i])) {
            counter_add(&queue->dropped, 1);
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
        .queued_high_water = counter_get(&writer->queued_high_water),
        .trouble = (int)counter_get(&output->trouble),
        .last_trouble = (int)counter_get(&output->last_trouble),
    };
    out->is_disk_full = out->trouble == ENOSPC || out->trouble == EDQUOT;
    for (uint32_t i = 0; i < writer->queues_count; i++) {
        out->offered += counter_get(&writer->queues[i].offered);
        out->dropped += counter_get(&writer->queues[i].dropped);
        out->failed += counter_get(&writer->queues[i].failed_offers);
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
