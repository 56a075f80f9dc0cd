/* Records that come in lanes (a partition of a Kafka topic each): they go the way of all others,
 * through the log into the store; whoever brings them waits until they are on disk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/ingest/ingest_private.h"

/* Boots of a sensor times its partitions. */
#define LANE_BOOTS_MAX 4096

struct ingest_lanes {
    struct ingest_positions *positions;
    struct ingest_stream stream; /* what such batches come from instead of a call */
    pthread_cond_t settled;
    bool has_void; /* the log did not take something since the last wait that ended well */
};

int ingest_lanes_open(struct ingest *ingest, struct error *err)
{
    struct ingest_lanes *lanes = calloc(1, sizeof(*lanes));
    pthread_condattr_t attributes;

    if (lanes == NULL) {
        return error_set(err, ENOMEM, "ingest: no memory");
    }
    lanes->stream.ingest = ingest;
    lanes->stream.is_over = true; /* nothing is told to it */
    atomic_init(&lanes->stream.references, 1);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&lanes->settled, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    ingest->lanes = lanes;
    lanes->positions =
        ingest_positions_new((uint32_t)ingest->settings->sensors_max, LANE_BOOTS_MAX, err);
    return lanes->positions == NULL ? -err->code : 0;
}

void ingest_lanes_free(struct ingest *ingest)
{
    if (ingest->lanes != NULL) {
        ingest_positions_free(ingest->lanes->positions);
        (void)pthread_cond_destroy(&ingest->lanes->settled);
        free(ingest->lanes);
    }
}

struct ingest_boot *ingest_lanes_place(struct ingest *ingest, const char *sensor_id,
                                       const char *boot_id, uint32_t lane)
{
    return ingest_positions_lane(lane == INGEST_LANE_DIAL ? ingest->dialed
                                                          : ingest->lanes->positions,
                                 sensor_id, boot_id, lane);
}

bool ingest_lanes_have(struct ingest *ingest, const char *sensor_id, const char *boot_id)
{
    return ingest_positions_has(ingest->lanes->positions, sensor_id, boot_id);
}

void ingest_lanes_settle(struct ingest *ingest, const struct ingest_entry *entry)
{
    struct ingest_lanes *lanes = ingest->lanes;

    if (entry->stream == &lanes->stream) {
        lanes->has_void |= entry->is_void;
        if (lanes->stream.waiting == 0) {
            (void)pthread_cond_broadcast(&lanes->settled);
        }
    }
}

/* The registry knows of the process, once for each lane. With the lock. */
static bool make_known(struct ingest *ingest, struct ingest_boot *boot,
                       const struct ingest_lane_batch *batch)
{
    const struct ingest_peer told = {.sensor_id = boot->sensor->sensor_id,
                                     .boot_id = boot->boot_id,
                                     .version = "",
                                     .host_name = "",
                                     .config_hash = "",
                                     .peer = batch->peer,
                                     .connected_ns = batch->sent_ns,
                                     .is_relayed = true};

    boot->is_known = boot->is_known || ingest->events->connected(ingest->events->context, &told);
    return boot->is_known;
}

/* With the lock. */
static enum ingest_lane_verdict judge(struct ingest *ingest, const struct ingest_lane_batch *batch,
                                      uint32_t *taken)
{
    struct ingest_lanes *lanes = ingest->lanes;

    if (ingest->is_failed || ingest->is_stopping) {
        return INGEST_LANE_CLOSED;
    }
    if (ingest_positions_has(ingest->positions, batch->sensor_id, batch->boot_id)) {
        return INGEST_LANE_BY_STREAM;
    }
    if (ingest_positions_has(ingest->dialed, batch->sensor_id, batch->boot_id)) {
        return INGEST_LANE_BY_OTHER;
    }
    struct ingest_boot *boot =
        ingest_positions_lane(lanes->positions, batch->sensor_id, batch->boot_id, batch->lane);

    if (boot == NULL || !make_known(ingest, boot, batch)) {
        return INGEST_LANE_NO_ROOM;
    }
    struct ingest_place *place = &boot->places[batch->stream];
    const uint64_t known =
        place->next_seq > batch->first_seq ? place->next_seq - batch->first_seq : 0;

    if (known >= batch->record_count) {
        return INGEST_LANE_KNOWN;
    }
    const struct codec_slice *fresh = batch->records + known;
    const uint32_t count = batch->record_count - (uint32_t)known;
    const uint64_t first_seq = batch->first_seq + known;
    struct ingest_entry *entry =
        codec_batch_bytes(fresh, count) + 16 > ingest->settings->message_bytes_max
            ? NULL
            : ingest_entry_of_records(&lanes->stream, place, first_seq, fresh, count);

    if (entry == NULL) {
        return INGEST_LANE_NO_ROOM;
    }
    *taken = count;
    ingest_entry_queue(entry, first_seq, first_seq + count - 1);
    return INGEST_LANE_TAKEN;
}

enum ingest_lane_verdict ingest_lane_take(struct ingest *ingest,
                                          const struct ingest_lane_batch *batch, uint32_t *taken)
{
    const struct ingest_events *events = ingest->events;
    const bool has_sense = batch->lane > 0 && batch->lane < INGEST_LANE_DIAL &&
                           batch->record_count > 0 && batch->first_seq > 0 &&
                           batch->first_seq < UINT64_MAX - batch->record_count;

    *taken = 0;
    if (!has_sense || !ingest_is_name(batch->sensor_id, INGEST_SENSOR_ID_BYTES) ||
        !ingest_is_name(batch->boot_id, INGEST_BOOT_ID_BYTES) ||
        strcmp(batch->sensor_id, INGEST_LOCAL_SENSOR) == 0) {
        return INGEST_LANE_BAD_NAME;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    const enum ingest_lane_verdict verdict = judge(ingest, batch, taken);
    const uint32_t known = verdict == INGEST_LANE_TAKEN || verdict == INGEST_LANE_KNOWN
                               ? batch->record_count - *taken
                               : 0;

    ingest->counts.batches += verdict == INGEST_LANE_TAKEN;
    ingest->counts.records += *taken;
    ingest->counts.duplicates += known;
    (void)pthread_mutex_unlock(&ingest->lock);
    if (verdict == INGEST_LANE_TAKEN || verdict == INGEST_LANE_KNOWN) {
        events->records(events->context, batch->sensor_id, *taken, known, 0);
        events->seen(events->context, batch->sensor_id, batch->sent_ns);
    }
    return verdict;
}

int ingest_lane_wait(struct ingest *ingest, uint64_t wait_ns)
{
    struct ingest_lanes *lanes = ingest->lanes;
    const uint64_t until_ns = clock_monotonic_ns() + wait_ns;
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};
    int code = 0;

    (void)pthread_mutex_lock(&ingest->lock);
    while (lanes->stream.waiting > 0 && code == 0) {
        code = pthread_cond_timedwait(&lanes->settled, &ingest->lock, &until);
    }
    int result = lanes->stream.waiting > 0 ? -EAGAIN : 0;

    if (result == 0 && lanes->has_void) {
        lanes->has_void = false;
        result = -EIO;
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    return result;
}
