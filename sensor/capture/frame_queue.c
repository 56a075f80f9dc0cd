#include "sensor/capture/frame_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILLER UINT32_MAX

/* What stands before the bytes of a frame. A record never wraps: one without a frame
 * (captured_bytes FILLER) leads to the start of the ring, or was let go. Records are 8-byte
 * aligned. */
struct queued_record {
    uint64_t time_ns;
    uint32_t record_bytes; /* with this header and the padding */
    uint32_t captured_bytes;
    uint32_t wire_bytes;
    uint16_t link_type;
    uint16_t interface;
};

int frame_queue_init(struct frame_queue *queue, uint64_t bytes)
{
    uint64_t size = FRAME_QUEUE_BYTES_MIN;

    while (size < bytes && size < (UINT64_C(1) << 40)) {
        size *= 2;
    }
    queue->bytes = malloc(size);
    queue->size = size;
    return queue->bytes == NULL ? -ENOMEM : 0;
}

void frame_queue_fini(struct frame_queue *queue)
{
    free(queue->bytes);
    queue->bytes = NULL;
}

uint64_t frame_queue_used(const struct frame_queue *queue)
{
    const uint64_t read = atomic_load_explicit(&queue->read, memory_order_relaxed);

    return atomic_load_explicit(&queue->written, memory_order_acquire) - read;
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + 7) & ~UINT64_C(7);
}

bool frame_queue_put(struct frame_queue *queue, const struct frame *frame)
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

static uint8_t *header_at(const struct frame_queue *queue, uint64_t at,
                          struct queued_record *header)
{
    uint8_t *bytes = queue->bytes + (at & (queue->size - 1));

    memcpy(header, bytes, sizeof *header);
    return bytes;
}

/* Moves `*at` over what holds no frame; false: there is none before `written`. */
static bool find_frame(const struct frame_queue *queue, uint64_t *at, struct queued_record *header)
{
    const uint64_t written = atomic_load_explicit(&queue->written, memory_order_acquire);

    while (*at != written) {
        const uint64_t to_end = queue->size - (*at & (queue->size - 1));

        if (to_end < sizeof *header) {
            *at += to_end;
            continue;
        }
        (void)header_at(queue, *at, header);
        if (header->captured_bytes != FILLER) {
            return true;
        }
        *at += header->record_bytes;
    }
    return false;
}

void frame_queue_at(const struct frame_queue *queue, uint64_t at, struct frame *out)
{
    struct queued_record header;
    const uint8_t *bytes = header_at(queue, at, &header);

    *out = (struct frame){.bytes = bytes + sizeof header,
                          .captured_bytes = header.captured_bytes,
                          .wire_bytes = header.wire_bytes,
                          .time_ns = header.time_ns,
                          .link_type = header.link_type,
                          .interface = header.interface};
}

bool frame_queue_first(struct frame_queue *queue, struct frame *out)
{
    uint64_t read = atomic_load_explicit(&queue->read, memory_order_relaxed);
    struct queued_record header;

    if (!find_frame(queue, &read, &header)) {
        return false;
    }
    atomic_store_explicit(&queue->read, read, memory_order_release);
    frame_queue_at(queue, read, out);
    return true;
}

void frame_queue_drop_first(struct frame_queue *queue)
{
    const uint64_t read = atomic_load_explicit(&queue->read, memory_order_relaxed);
    struct queued_record header;

    (void)header_at(queue, read, &header);
    atomic_store_explicit(&queue->read, read + header.record_bytes, memory_order_release);
}

bool frame_queue_next(struct frame_queue *queue, uint64_t *look, uint64_t *at, struct frame *out)
{
    const uint64_t read = atomic_load_explicit(&queue->read, memory_order_relaxed);
    struct queued_record header;

    if (*look < read) { /* what leads to the start of the ring went with the last release */
        *look = read;
    }
    if (!find_frame(queue, look, &header)) {
        return false;
    }
    *at = *look;
    *look += header.record_bytes;
    frame_queue_at(queue, *at, out);
    return true;
}

void frame_queue_release(struct frame_queue *queue, uint64_t at)
{
    struct queued_record header;
    uint8_t *bytes = header_at(queue, at, &header);
    uint64_t read = atomic_load_explicit(&queue->read, memory_order_relaxed);

    header.captured_bytes = FILLER;
    memcpy(bytes, &header, sizeof header);
    (void)find_frame(queue, &read, &header);
    atomic_store_explicit(&queue->read, read, memory_order_release);
}
