/* Reads the log beside the log thread: what is on disk, in its order. */
#include <errno.h>
#include <stdlib.h>

#include "collector-ui/ingest/ingest_private.h"

struct ingest_reader {
    struct ingest *ingest;
    struct segment_reader *segments;
    struct ingest_frame frame; /* the batch borrows from it */
    struct codec_batch head;
    uint64_t position, missing_bytes;
    struct codec_slice slices[INGEST_BATCH_RECORDS_MAX];
};

struct ingest_reader *ingest_reader_new(struct ingest *ingest, uint64_t position, struct error *err)
{
    struct ingest_reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL) {
        (void)error_set(err, ENOMEM, "ingest: no memory to read the log");
        return NULL;
    }
    reader->ingest = ingest;
    reader->position = position;
    reader->segments =
        segment_reader_new(ingest->directory, position,
                           (uint32_t)ingest->settings->message_bytes_max + INGEST_FRAME_ROOM, err);
    if (reader->segments == NULL) {
        free(reader);
        return NULL;
    }
    return reader;
}

void ingest_reader_free(struct ingest_reader *reader)
{
    if (reader != NULL) {
        segment_reader_free(reader->segments);
        free(reader);
    }
}

uint64_t ingest_reader_missing(const struct ingest_reader *reader)
{
    return reader->missing_bytes;
}

/* A batch that can be read. */
static bool take(struct ingest_reader *reader, const struct segment_frame *from,
                 struct ingest_batch *out)
{
    const struct ingest_frame *frame = &reader->frame;

    if (reader->position != 0 && from->position > reader->position) {
        reader->missing_bytes += from->position - reader->position;
    }
    reader->position = from->next_position;
    if (!ingest_frame_decode(from->bytes, from->length, &reader->frame) || frame->batch == NULL ||
        !codec_decode_batch(frame->batch, frame->length, &reader->head, reader->slices,
                            INGEST_BATCH_RECORDS_MAX)) {
        return false; /* a gap; what cannot be read was told when it came */
    }
    *out = (struct ingest_batch){.sensor_id = frame->sensor_id,
                                 .boot_id = reader->head.boot_id,
                                 .stream = reader->head.stream,
                                 .lane = frame->lane,
                                 .first_seq = reader->head.first_seq,
                                 .record_count = reader->head.record_count,
                                 .receive_ns = frame->receive_ns,
                                 .log_position = from->next_position,
                                 .message = frame->batch,
                                 .length = frame->length,
                                 .records = reader->slices};
    return true;
}

int ingest_reader_next(struct ingest_reader *reader, uint64_t until, struct ingest_batch *out,
                       struct error *err)
{
    const uint64_t durable = segment_log_durable_end(reader->ingest->log);
    const uint64_t end = until != 0 && until < durable ? until : durable;
    struct segment_frame frame;

    for (;;) {
        const int result = segment_reader_next(reader->segments, end, &frame, err);

        if (result <= 0 || take(reader, &frame, out)) {
            return result;
        }
    }
}

uint64_t ingest_reader_position(const struct ingest_reader *reader)
{
    return reader->position;
}

uint64_t ingest_log_end(const struct ingest *ingest)
{
    return segment_log_durable_end(ingest->log);
}
