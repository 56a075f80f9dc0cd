/* Records that the collector makes itself (alerts of the fleet): numbered here, then on the way of
 * all others, through the log into the store. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/ingest/ingest_private.h"

/* What such batches come from instead of a call; never told anything, never freed before the end.
 * With the lock. */
static struct ingest_stream *local_stream(struct ingest *ingest)
{
    if (ingest->local == NULL) {
        ingest->local = calloc(1, sizeof(*ingest->local));
        if (ingest->local != NULL) {
            ingest->local->ingest = ingest;
            ingest->local->is_over = true;
            atomic_init(&ingest->local->references, 1);
            hash_random_hex(ingest->local_boot_id);
        }
    }
    return ingest->local;
}

/* The record as the member of a batch, in a frame of the log. NULL: no memory. */
static struct ingest_entry *entry_of(struct ingest *ingest, struct ingest_place *place,
                                     const struct codec_slice *record)
{
    struct codec_batch head = {
        .stream = place->stream, .first_seq = place->next_seq, .record_count = 1};
    const size_t room = codec_batch_bytes(record, 1) + 16;
    uint8_t *bytes = malloc(room);
    struct ingest_entry *entry = NULL;
    struct ingest_request request;

    memcpy(head.boot_id, ingest->local_boot_id, sizeof(head.boot_id));
    const size_t length = bytes == NULL ? 0 : codec_encode_batch(&head, record, bytes, room);

    if (length > 0 && ingest_decode_request(bytes, length, &request)) {
        const struct ingest_frame frame = {.sensor_id = INGEST_LOCAL_SENSOR,
                                           .receive_ns = clock_wall_ns(),
                                           .batch = request.bytes,
                                           .length = (uint32_t)request.length};

        entry = ingest_entry_new(&frame, NULL);
    }
    if (entry != NULL) {
        entry->stream = ingest->local;
        entry->place = place;
        entry->generation = place->generation;
        entry->first_seq = entry->last_seq = place->next_seq;
    }
    free(bytes);
    return entry;
}

bool ingest_local(struct ingest *ingest, enum record_stream stream, const uint8_t *record,
                  uint32_t length)
{
    const struct codec_slice slice = {record, length};
    struct ingest_entry *entry = NULL;

    (void)pthread_mutex_lock(&ingest->lock);
    struct ingest_stream *local =
        ingest->is_failed || ingest->is_stopping ? NULL : local_stream(ingest);
    struct ingest_boot *boot =
        local == NULL
            ? NULL
            : ingest_positions_boot(ingest->positions, INGEST_LOCAL_SENSOR, ingest->local_boot_id);

    if (boot != NULL) {
        struct ingest_place *place = &boot->places[stream];

        entry = entry_of(ingest, place, &slice);
        if (entry != NULL) {
            ingest_place_accept(place, entry->last_seq);
            boot->pins++;
            local->waiting++;
            (void)atomic_fetch_add(&local->references, 1);
            ingest_log_push(ingest, entry);
        }
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    return entry != NULL;
}
