/* Records that the collector makes itself (alerts of the fleet): numbered here, then on the way of
 * all others, through the log into the store. */
#include <stdlib.h>

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

        entry = ingest_entry_of_records(local, place, place->next_seq, &slice, 1);
        if (entry != NULL) {
            ingest_entry_queue(entry, place->next_seq, place->next_seq);
        }
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    return entry != NULL;
}

void ingest_take_assets(struct ingest *ingest, const char *sensor_id, const uint8_t *bytes,
                        size_t length)
{
    if (ingest->events->assets != NULL && ingest_is_name(sensor_id, INGEST_SENSOR_ID_BYTES)) {
        ingest->events->assets(ingest->events->context, sensor_id, bytes, length);
    }
}
