/* Batches and gaps: judged by their place, queued for the log, acknowledged. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/packing/packing.h"
#include "collector-ui/ingest/ingest_private.h"

void ingest_stream_acknowledge(struct ingest_place *place)
{
    struct ingest_stream *stream = place->boot->sensor->stream;
    struct ingest_position durable = {.stream = place->stream, .next_seq = place->durable_seq};
    uint8_t bytes[128];

    if (stream == NULL || stream->is_over || durable.next_seq == 0) {
        return;
    }
    memcpy(durable.boot_id, place->boot->boot_id, sizeof(durable.boot_id));
    if (rpc_send(stream->call,
                 rpc_bytes_copy(bytes, ingest_encode_ack(&durable, bytes, sizeof(bytes)))) ==
        RPC_SEND_FULL) {
        stream->is_ack_due = true; /* acknowledgements are cumulative: on_writable sends the last */
    }
}

struct ingest_entry *ingest_entry_for(struct ingest_stream *stream, struct ingest_place *place,
                                      const uint8_t *message, size_t length, bool is_gap)
{
    struct ingest_frame frame = {
        .lane = place->boot->lane, .receive_ns = clock_wall_ns(), .length = (uint32_t)length};

    memcpy(frame.sensor_id, place->boot->sensor->sensor_id, sizeof(frame.sensor_id));
    if (is_gap) {
        frame.gap = message;
    } else {
        frame.batch = message;
    }
    struct ingest_entry *entry = ingest_entry_new(&frame, stream->call);

    if (entry != NULL) {
        entry->stream = stream;
        entry->place = place;
        entry->generation = place->generation;
    }
    return entry;
}

struct ingest_entry *ingest_entry_of_records(struct ingest_stream *stream,
                                             struct ingest_place *place, uint64_t first_seq,
                                             const struct codec_slice *records, uint32_t count)
{
    struct codec_batch head = {
        .stream = place->stream, .first_seq = first_seq, .record_count = count};
    const size_t room = codec_batch_bytes(records, count) + 16;
    uint8_t *bytes = malloc(room);
    struct ingest_entry *entry = NULL;
    struct ingest_request request;

    memcpy(head.boot_id, place->boot->boot_id, sizeof(head.boot_id));
    const size_t length = bytes == NULL ? 0 : codec_encode_batch(&head, records, bytes, room);

    if (length > 0 && ingest_decode_request(bytes, length, &request)) {
        entry = ingest_entry_for(stream, place, request.bytes, request.length, false);
    }
    free(bytes);
    return entry;
}

void ingest_entry_queue(struct ingest_entry *entry, uint64_t first_seq, uint64_t last_seq)
{
    struct ingest_stream *stream = entry->stream;

    entry->first_seq = first_seq;
    entry->last_seq = last_seq;
    ingest_place_accept(entry->place, last_seq);
    entry->place->boot->pins++;
    stream->waiting++;
    (void)atomic_fetch_add(&stream->references, 1);
    ingest_log_push(stream->ingest, entry);
}

struct taken {
    enum ingest_verdict verdict;
    uint64_t records, duplicates, lost;
    uint64_t next_seq; /* what was expected */
    bool has_no_room;
};

/* With the lock. */
static void judge_batch(struct ingest_stream *stream, const struct ingest_request *request,
                        const struct codec_batch *batch, const struct codec_slice *slices,
                        struct taken *taken)
{
    struct ingest *ingest = stream->ingest;
    struct ingest_boot *boot =
        ingest_connect_boot(ingest, stream->boot->sensor->sensor_id, batch->boot_id);
    uint32_t skip = 0;

    if (boot == NULL) {
        taken->has_no_room = true;
        return;
    }
    struct ingest_place *place = &boot->places[batch->stream];

    if (batch->record_count > 0) {
        ingest_dial_hand_over(ingest, place, batch->first_seq,
                              batch->first_seq + batch->record_count - 1);
    }
    taken->next_seq = place->next_seq;
    taken->verdict = ingest_place_judge(place, batch->first_seq, batch->record_count, &skip);
    if (taken->verdict == INGEST_DUPLICATE) {
        taken->duplicates = batch->record_count;
        ingest_stream_acknowledge(place);
    } else if (taken->verdict == INGEST_TAKE || taken->verdict == INGEST_OVERLAP) {
        struct ingest_entry *entry =
            skip == 0 ? ingest_entry_for(stream, place, request->bytes, request->length, false)
                      : ingest_entry_of_records(stream, place, batch->first_seq + skip,
                                                slices + skip, batch->record_count - skip);

        if (entry == NULL) {
            taken->has_no_room = true;
            return;
        }
        ingest_entry_queue(entry, batch->first_seq + skip,
                           batch->first_seq + batch->record_count - 1);
        stream->recent[batch->stream] += batch->record_count - skip;
        taken->records = batch->record_count - skip;
        taken->duplicates = skip;
    }
    ingest->counts.batches++;
    ingest->counts.records += taken->records;
    ingest->counts.duplicates += taken->duplicates;
}

/* Ends the stream where the verdict says so; true when it goes on. */
static bool pass_verdict(struct ingest_stream *stream, const struct taken *taken, const char *what,
                         uint64_t first_seq)
{
    struct error reason = {0};

    if (taken->has_no_room) {
        ingest_stream_refuse(stream, RPC_RESOURCE_EXHAUSTED, "no room for a further batch or boot");
        return false;
    }
    if (taken->verdict == INGEST_NONSENSE) {
        (void)error_set(&reason, EINVAL, "%s with an impossible range of sequence numbers", what);
        ingest_stream_refuse(stream, RPC_INVALID_ARGUMENT, reason.message);
        return false;
    }
    if (taken->verdict == INGEST_HOLE) {
        (void)error_set(&reason, EINVAL,
                        "%s begins at record %llu, but %llu is next and no gap notice came", what,
                        (unsigned long long)first_seq, (unsigned long long)taken->next_seq);
        ingest_stream_refuse(stream, RPC_FAILED_PRECONDITION, reason.message);
        return false;
    }
    return true;
}

void ingest_take_batch(struct ingest_stream *stream, const struct ingest_request *request)
{
    static _Thread_local struct codec_slice slices[INGEST_BATCH_RECORDS_MAX];
    struct ingest *ingest = stream->ingest;
    struct codec_batch batch;
    struct taken taken = {0};
    char sensor_id[INGEST_SENSOR_ID_BYTES];

    if (!codec_decode_batch(request->bytes, request->length, &batch, slices,
                            (uint32_t)ingest->settings->batch_records_max)) {
        ingest_stream_refuse(stream, RPC_INVALID_ARGUMENT,
                             "a batch that cannot be read, or with more records than max_batch");
        return;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    const bool is_over = stream->is_over;
    memcpy(sensor_id, stream->boot->sensor->sensor_id, sizeof(sensor_id));
    if (!is_over) {
        judge_batch(stream, request, &batch, slices, &taken);
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    if (!is_over && pass_verdict(stream, &taken, "batch", batch.first_seq)) {
        ingest->events->records(ingest->events->context, sensor_id, taken.records, taken.duplicates,
                                0);
    }
}

/* The announced length bounds what is taken for it, whatever the packed bytes say. */
void ingest_take_packed(struct ingest_stream *stream, const struct ingest_packed *packed)
{
    const struct ingest_settings *settings = stream->ingest->settings;
    struct ingest_request request;

    if (!settings->takes_packed || strcmp(packed->encoding, INGEST_ENCODING_ZSTD) != 0) {
        ingest_stream_refuse(stream, RPC_INVALID_ARGUMENT,
                             "a packed batch of an encoding that Welcome did not name");
        return;
    }
    if (packed->length == 0 || packed->length > settings->message_bytes_max) {
        ingest_stream_refuse(stream, RPC_RESOURCE_EXHAUSTED,
                             "a packed batch of no bytes, or of more than ingest.message_max");
        return;
    }
    uint8_t *bytes = malloc(packed->length);

    if (bytes == NULL) {
        ingest_stream_refuse(stream, RPC_RESOURCE_EXHAUSTED, "no memory for a packed batch");
    } else if (!packing_unpack(packed->bytes, packed->packed_length, bytes, packed->length) ||
               !ingest_decode_request(bytes, packed->length, &request) ||
               request.kind != INGEST_BATCH) {
        ingest_stream_refuse(stream, RPC_INVALID_ARGUMENT,
                             "a packed batch that is none when unpacked");
    } else {
        ingest_take_batch(stream, &request);
    }
    free(bytes);
}

void ingest_take_gap(struct ingest_stream *stream, const struct ingest_request *request)
{
    struct ingest *ingest = stream->ingest;
    const struct ingest_gap *gap = &request->gap;
    struct taken taken = {0};
    char sensor_id[INGEST_SENSOR_ID_BYTES];

    (void)pthread_mutex_lock(&ingest->lock);
    memcpy(sensor_id, stream->boot->sensor->sensor_id, sizeof(sensor_id));
    struct ingest_boot *boot =
        stream->is_over ? NULL : ingest_connect_boot(ingest, sensor_id, gap->boot_id);
    taken.has_no_room = boot == NULL && !stream->is_over;
    if (boot != NULL) {
        struct ingest_place *place = &boot->places[gap->stream];

        ingest_dial_hand_over(ingest, place, gap->from_seq, gap->to_seq);
        taken.next_seq = place->next_seq;
        taken.verdict = ingest_place_judge_gap(place, gap->from_seq, gap->to_seq, &taken.lost);
        if (taken.verdict == INGEST_TAKE) {
            struct ingest_entry *entry =
                ingest_entry_for(stream, place, request->bytes, request->length, true);

            taken.has_no_room = entry == NULL;
            if (entry != NULL) {
                ingest_entry_queue(entry, place->next_seq, gap->to_seq);
                if (strcmp(gap->reason, INGEST_GAP_ELSEWHERE) == 0) {
                    ingest->counts.elsewhere_records += taken.lost;
                    taken.lost = 0; /* the sensor was sent here by the one that has them */
                }
                ingest->counts.gap_records += taken.lost;
            }
        } else if (taken.verdict == INGEST_DUPLICATE) {
            ingest_stream_acknowledge(place);
        }
    }
    const bool is_over = stream->is_over;
    (void)pthread_mutex_unlock(&ingest->lock);
    if (is_over || !pass_verdict(stream, &taken, "gap notice", gap->from_seq)) {
        return;
    }
    if (taken.lost > 0) {
        char id[INGEST_SENSOR_ID_BYTES * 2];
        char reason[128];

        ingest->events->records(ingest->events->context, sensor_id, 0, 0, taken.lost);
        log_warn("ingest", "a sensor lost records", "sensor=%s stream=%d lost=%llu reason=%s",
                 log_quote(sensor_id, id, sizeof(id)), (int)gap->stream,
                 (unsigned long long)taken.lost, log_quote(gap->reason, reason, sizeof(reason)));
    }
}
