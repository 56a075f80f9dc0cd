#include "sensor/capture/pcap_writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"

#define FILE_HEADER_BYTES   24U
#define RECORD_HEADER_BYTES 16U
#define BUFFER_BYTES        (1U << 20)
#define QUEUE_DEFAULT_BYTES (UINT64_C(8) << 20)
#define QUEUE_MIN_BYTES     (UINT64_C(1) << 20) /* holds the largest record several times */
#define FRAME_MAX_BYTES     262144U
#define PRODUCERS_MAX       65U
#define IDLE_NS             (5 * NS_PER_MS)
#define FULL_NS             (100 * NS_PER_US)
#define SEGMENT_NUMBER_MAX  999999U

/* What stands before the bytes of a frame in a queue. A record never wraps: `queued_bytes` with the
 * frame missing (is_filler) leads to the start of the ring. Records are 8-byte aligned. */
struct queued_record {
    uint64_t time_ns;
    uint32_t record_bytes; /* with this header and the padding */
    uint32_t captured_bytes;
    uint32_t wire_bytes;
    uint16_t link_type;
    uint16_t is_filler;
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
    struct pcap_writer_settings settings;
    char *path; /* as given */
    uint32_t queues_count;
    struct byte_queue *queues;

    pthread_t thread;
    _Atomic bool is_stopping;
    _Atomic bool is_failed;
    struct error fault; /* written before is_failed is set */
    struct counter written, written_bytes, link_type_refused, failed, files;

    /* The writer thread's own. */
    int fd;
    bool is_started; /* the link type is known and the header written */
    uint16_t link_type;
    uint32_t segment;
    uint64_t segment_bytes;
    uint8_t *buffer;
    size_t buffered_bytes;
};

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
            const struct queued_record filler = {.record_bytes = (uint32_t)to_end, .is_filler = 1};
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
        if (header->is_filler == 0) {
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

/* ---- the file -------------------------------------------------------------------------------- */

static bool has_rotation(const struct pcap_writer *writer)
{
    return writer->settings.rotate_bytes > 0;
}

/* "dir/capture.pcap", 7 -> "dir/capture.000007.pcap". */
static void segment_path(const struct pcap_writer *writer, uint32_t segment, char *out,
                         size_t out_bytes)
{
    const char *slash = strrchr(writer->path, '/');
    const char *dot = strrchr(slash == NULL ? writer->path : slash, '.');
    const bool has_suffix = dot != NULL && dot != writer->path && dot[-1] != '/';
    const int stem = has_suffix ? (int)(dot - writer->path) : (int)strlen(writer->path);

    (void)snprintf(out, out_bytes, "%.*s.%06u%s", stem, writer->path, segment,
                   has_suffix ? dot : "");
}

static const char *path_now(const struct pcap_writer *writer, char *out, size_t out_bytes)
{
    if (has_rotation(writer)) {
        segment_path(writer, writer->segment, out, out_bytes);
    } else {
        (void)snprintf(out, out_bytes, "%s", writer->path);
    }
    return out;
}

static int fail(struct pcap_writer *writer, const char *what, int code)
{
    char path[PATH_MAX];
    if (!atomic_load_explicit(&writer->is_failed, memory_order_relaxed)) {
        error_set(&writer->fault, code, "%s %s: %s", what, path_now(writer, path, sizeof path),
                  strerror(code));
        atomic_store_explicit(&writer->is_failed, true, memory_order_release);
    }
    return -code;
}

static int flush_buffer(struct pcap_writer *writer)
{
    size_t done = 0;
    while (done < writer->buffered_bytes) {
        const ssize_t sent =
            write(writer->fd, writer->buffer + done, writer->buffered_bytes - done);
        if (sent < 0 && errno != EINTR) {
            writer->buffered_bytes = 0;
            return fail(writer, "write", errno);
        }
        done += sent > 0 ? (size_t)sent : 0;
    }
    writer->buffered_bytes = 0;
    return 0;
}

static int append(struct pcap_writer *writer, const void *bytes, size_t bytes_count)
{
    if (bytes_count > BUFFER_BYTES - writer->buffered_bytes) {
        const int status = flush_buffer(writer);
        if (status != 0) {
            return status;
        }
    }
    memcpy(writer->buffer + writer->buffered_bytes, bytes, bytes_count);
    writer->buffered_bytes += bytes_count;
    writer->segment_bytes += bytes_count;
    counter_add(&writer->written_bytes, bytes_count);
    return 0;
}

static int file_open(struct pcap_writer *writer)
{
    char path[PATH_MAX];
    if (strcmp(writer->path, "-") == 0) {
        writer->fd = STDOUT_FILENO;
    } else {
        writer->fd = open(path_now(writer, path, sizeof path),
                          O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
        if (writer->fd < 0) {
            return fail(writer, "open", errno);
        }
    }
    counter_add(&writer->files, 1);
    writer->segment_bytes = 0;
    return 0;
}

static int header_write(struct pcap_writer *writer)
{
    struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, snaplen, link_type;
    } header = {writer->settings.is_nanosecond ? 0xa1b23c4dU : 0xa1b2c3d4U,
                2,
                4,
                0,
                0,
                FRAME_MAX_BYTES,
                writer->link_type};
    static_assert(sizeof header == FILE_HEADER_BYTES, "pcap file header");
    writer->is_started = true;
    return append(writer, &header, sizeof header);
}

static int file_close(struct pcap_writer *writer)
{
    int status = 0;
    if (writer->fd < 0) {
        return 0;
    }
    if (!atomic_load_explicit(&writer->is_failed, memory_order_relaxed)) {
        status = flush_buffer(writer);
    }
    if (writer->fd != STDOUT_FILENO && close(writer->fd) != 0 && status == 0) {
        status = fail(writer, "close", errno);
    }
    writer->fd = -1;
    return status;
}

static int rotate(struct pcap_writer *writer)
{
    int status = file_close(writer);
    if (status != 0) {
        return status;
    }
    if (writer->segment == SEGMENT_NUMBER_MAX) {
        return fail(writer, "rotate", EOVERFLOW);
    }
    writer->segment++;
    if (writer->segment > writer->settings.files_max) {
        char oldest[PATH_MAX];
        segment_path(writer, writer->segment - writer->settings.files_max, oldest, sizeof oldest);
        if (unlink(oldest) != 0 && errno != ENOENT) {
            return fail(writer, "delete the segment before", errno);
        }
    }
    status = file_open(writer);
    return status != 0 ? status : header_write(writer);
}

static int record_write(struct pcap_writer *writer, const struct queued_record *record,
                        const uint8_t *bytes)
{
    const uint64_t fraction = record->time_ns % NS_PER_SEC;
    const uint32_t header[4] = {
        (uint32_t)(record->time_ns / NS_PER_SEC),
        (uint32_t)(writer->settings.is_nanosecond ? fraction : fraction / 1000),
        record->captured_bytes,
        record->wire_bytes,
    };
    if (has_rotation(writer) && writer->segment_bytes > FILE_HEADER_BYTES &&
        writer->segment_bytes + sizeof header + record->captured_bytes >
            writer->settings.rotate_bytes) {
        const int status = rotate(writer);
        if (status != 0) {
            return status;
        }
    }
    const int status = append(writer, header, sizeof header);
    return status != 0 ? status : append(writer, bytes, record->captured_bytes);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void record_take(struct pcap_writer *writer, const struct queued_record *record,
                        const uint8_t *bytes)
{
    if (atomic_load_explicit(&writer->is_failed, memory_order_relaxed)) {
        counter_add(&writer->failed, 1);
        return;
    }
    if (!writer->is_started) {
        if (writer->link_type == PCAP_WRITER_LINK_OF_FIRST) {
            writer->link_type = record->link_type;
        }
        if (header_write(writer) != 0) {
            counter_add(&writer->failed, 1);
            return;
        }
    }
    if (record->link_type != writer->link_type) {
        counter_add(&writer->link_type_refused, 1);
    } else if (record_write(writer, record, bytes) != 0) {
        counter_add(&writer->failed, 1);
    } else {
        counter_add(&writer->written, 1);
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
        while (drain_one(writer)) {
            was_idle = false;
        }
        if (is_last) {
            return NULL;
        }
        if (was_idle) {
            if (writer->buffered_bytes > 0 &&
                !atomic_load_explicit(&writer->is_failed, memory_order_relaxed)) {
                (void)flush_buffer(writer); /* the fault is kept and told by offer and close */
            }
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
    free(writer->buffer);
    free(writer->path);
    free(writer);
}

static int settings_check(const struct pcap_writer_settings *settings, struct error *err)
{
    const char *path = settings->path;
    if (path == NULL || path[0] == '\0') {
        return error_set(err, EINVAL, "write-pcap: no path is given");
    }
    if ((settings->rotate_bytes == 0) != (settings->files_max == 0)) {
        return error_set(err, EINVAL,
                         "%s: rotation needs both a size (write-pcap-rotate-mb) and a number of "
                         "files (write-pcap-max-files)",
                         path);
    }
    if (settings->rotate_bytes > 0 && strcmp(path, "-") == 0) {
        return error_set(err, EINVAL, "standard output cannot be rotated: name a file");
    }
    if (strlen(path) + 16 > PATH_MAX) {
        return error_set(err, ENAMETOOLONG, "%s: path is too long", path);
    }
    if (settings->producers == 0 || settings->producers > PRODUCERS_MAX) {
        return error_set(err, EINVAL, "%s: 1 to %u producers, not %u", path, PRODUCERS_MAX,
                         settings->producers);
    }
    return 0;
}

static int memory_take(struct pcap_writer *writer)
{
    uint64_t size = QUEUE_MIN_BYTES;
    const uint64_t asked =
        writer->settings.queue_bytes == 0 ? QUEUE_DEFAULT_BYTES : writer->settings.queue_bytes;
    while (size < asked && size < (UINT64_C(1) << 40)) {
        size *= 2;
    }
    writer->path = strdup(writer->settings.path);
    writer->settings.path = writer->path;
    writer->buffer = malloc(BUFFER_BYTES);
    writer->queues = aligned_alloc(CACHE_LINE, writer->settings.producers * sizeof *writer->queues);
    if (writer->path == NULL || writer->buffer == NULL || writer->queues == NULL) {
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

struct pcap_writer *pcap_writer_open(const struct pcap_writer_settings *settings, struct error *err)
{
    if (settings_check(settings, err) != 0) {
        return NULL;
    }
    struct pcap_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        error_set(err, ENOMEM, "%s: out of memory", settings->path);
        return NULL;
    }
    writer->settings = *settings;
    writer->link_type = settings->link_type;
    writer->segment = 1;
    writer->fd = -1;
    if (memory_take(writer) != 0) {
        error_set(err, ENOMEM, "%s: out of memory", settings->path);
        writer_free(writer);
        return NULL;
    }
    if (file_open(writer) != 0) {
        error_set(err, writer->fault.code, "%s", writer->fault.message);
        writer_free(writer);
        return NULL;
    }
    const int code = pthread_create(&writer->thread, NULL, writer_run, writer);
    if (code != 0) {
        error_set(err, code, "%s: start the writer thread: %s", settings->path, strerror(code));
        (void)file_close(writer);
        writer_free(writer);
        return NULL;
    }
    (void)pthread_setname_np(writer->thread, "pcap-writer");
    return writer;
}

/* Waits for room when lossless. */
static bool push(struct pcap_writer *writer, struct byte_queue *queue, const struct frame *frame)
{
    if (frame->captured_bytes > FRAME_MAX_BYTES) {
        return false; /* no reader takes such a record, nor would it fit behind a filler */
    }
    while (!queue_push(queue, frame)) {
        if (!writer->settings.is_lossless ||
            atomic_load_explicit(&writer->is_failed, memory_order_relaxed)) {
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
    if (atomic_load_explicit(&writer->is_failed, memory_order_acquire)) {
        counter_add(&queue->failed_offers, count);
        return error_set(err, writer->fault.code, "%s", writer->fault.message);
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
    *out = (struct pcap_writer_counts){
        .written = counter_get(&writer->written),
        .written_bytes = counter_get(&writer->written_bytes),
        .link_type_refused = counter_get(&writer->link_type_refused),
        .failed = counter_get(&writer->failed),
        .files = (uint32_t)counter_get(&writer->files),
    };
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

    if (!writer->is_started && !atomic_load_explicit(&writer->is_failed, memory_order_relaxed)) {
        if (writer->link_type == PCAP_WRITER_LINK_OF_FIRST) {
            writer->link_type = LINK_ETHERNET; /* no packet came: an empty, valid file */
        }
        (void)header_write(writer);
    }
    (void)file_close(writer);
    if (counts != NULL) {
        pcap_writer_counts_read(writer, counts);
    }
    int status = 0;
    if (atomic_load_explicit(&writer->is_failed, memory_order_relaxed)) {
        status = error_set(err, writer->fault.code, "%s", writer->fault.message);
    }
    writer_free(writer);
    return status;
}
