#include "collector-ui/ingest/ingest_dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/ingest/ingest_private.h"

#define LOG_EVERY_NS (10 * NS_PER_SEC)

struct ingest_dial {
    struct ingest *ingest;
    struct ingest_stream *stream; /* what its batches come from instead of a call */
    void (*settled)(void *context);
    void *context;
    char sensor_id[INGEST_SENSOR_ID_BYTES]; /* that is missed when it is silent; "": none */
    bool has_void;
};

struct ingest_dial *ingest_dial_new(struct ingest *ingest, void (*settled)(void *context),
                                    void *context, struct error *err)
{
    struct ingest_dial *dial = calloc(1, sizeof(*dial));
    struct ingest_stream *stream = calloc(1, sizeof(*stream));

    if (dial == NULL || stream == NULL) {
        free(dial);
        free(stream);
        (void)error_set(err, ENOMEM, "ingest: no memory");
        return NULL;
    }
    stream->ingest = ingest;
    stream->dial = dial;
    stream->is_over = true; /* nothing is told to it */
    atomic_init(&stream->references, 1);
    *dial = (struct ingest_dial){
        .ingest = ingest, .stream = stream, .settled = settled, .context = context};
    return dial;
}

void ingest_dial_free(struct ingest_dial *dial)
{
    if (dial == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&dial->ingest->lock);
    dial->stream->dial = NULL; /* batches on their way still hold the stream */
    (void)pthread_mutex_unlock(&dial->ingest->lock);
    ingest_stream_unref(dial->stream);
    free(dial);
}

void ingest_dials_settle(const struct ingest_entry *entry)
{
    struct ingest_dial *dial = entry->stream->dial;

    if (dial != NULL) {
        dial->has_void |= entry->is_void;
        dial->settled(dial->context);
    }
}

bool ingest_dial_is_void(struct ingest_dial *dial)
{
    (void)pthread_mutex_lock(&dial->ingest->lock);
    const bool has_void = dial->has_void;

    dial->has_void = false;
    (void)pthread_mutex_unlock(&dial->ingest->lock);
    return has_void;
}

uint32_t ingest_dial_waiting(struct ingest_dial *dial)
{
    struct ingest *ingest = dial->ingest;

    (void)pthread_mutex_lock(&ingest->lock);
    const bool is_full = ingest->queue_bytes >= ingest->settings->log_queue_bytes;
    const uint32_t waiting = dial->stream->waiting;
    (void)pthread_mutex_unlock(&ingest->lock);
    return is_full ? UINT32_MAX : waiting;
}

/* ---- who it is ---- */

/* NULL: this process of the sensor was not dialed. */
static struct ingest_boot *dialed_boot(struct ingest *ingest, const char *sensor_id,
                                       const char *boot_id)
{
    return ingest_positions_has(ingest->dialed, sensor_id, boot_id)
               ? ingest_positions_lane(ingest->dialed, sensor_id, boot_id, INGEST_LANE_DIAL)
               : NULL;
}

struct ingest_boot *ingest_connect_boot(struct ingest *ingest, const char *sensor_id,
                                        const char *boot_id)
{
    const bool is_new = !ingest_positions_has(ingest->positions, sensor_id, boot_id);
    struct ingest_boot *dialed = is_new ? dialed_boot(ingest, sensor_id, boot_id) : NULL;

    for (int s = 0; dialed != NULL && s < RECORD_STREAM_COUNT; s++) {
        ingest_place_reset(&dialed->places[s]); /* what is still in the queue comes by the stream */
    }
    return ingest_positions_boot(ingest->positions, sensor_id, boot_id);
}

void ingest_dial_hand_over(struct ingest *ingest, struct ingest_place *place, uint64_t first_seq,
                           uint64_t last_seq)
{
    const struct ingest_boot *dialed =
        dialed_boot(ingest, place->boot->sensor->sensor_id, place->boot->boot_id);

    /* Where dialing began late, the stream may still have what was before: rather twice. */
    if (dialed == NULL || first_seq > place->next_seq || dialed->places[place->stream].is_open) {
        return;
    }
    const uint64_t durable_seq = dialed->places[place->stream].durable_seq;
    const uint64_t known_seq = durable_seq < last_seq ? durable_seq : last_seq;

    if (known_seq >= place->next_seq) {
        ingest_place_durable(place, known_seq);
    }
}

/* With the lock, as all that is static here. */
static void let_go(struct ingest_dial *dial)
{
    struct ingest_boot *boot = dial->stream->boot;

    if (boot != NULL) {
        boot->sensor->stream = NULL;
        boot->pins--;
        dial->stream->boot = NULL;
    }
}

static enum ingest_dial_verdict settle_in(struct ingest_dial *dial, const struct ingest_peer *peer)
{
    struct ingest *ingest = dial->ingest;

    if (ingest->is_failed || ingest->is_stopping) {
        return INGEST_DIAL_CLOSED;
    }
    if (ingest_positions_has(ingest->positions, peer->sensor_id, peer->boot_id)) {
        return INGEST_DIAL_BY_STREAM;
    }
    if (ingest_lanes_have(ingest, peer->sensor_id, peer->boot_id)) {
        return INGEST_DIAL_BY_KAFKA;
    }
    const bool is_first = !ingest_positions_has(ingest->dialed, peer->sensor_id, NULL);
    struct ingest_boot *boot =
        ingest_positions_lane(ingest->dialed, peer->sensor_id, peer->boot_id, INGEST_LANE_DIAL);

    if (boot == NULL) {
        return INGEST_DIAL_NO_ROOM;
    }
    if (boot->sensor->stream != NULL) {
        return INGEST_DIAL_TWICE;
    }
    if (!ingest->events->connected(ingest->events->context, peer)) {
        return INGEST_DIAL_NO_ROOM;
    }
    for (int s = 0; is_first && s < RECORD_STREAM_COUNT; s++) {
        boot->places[s].is_open = true;
    }
    boot->pins++;
    boot->sensor->stream = dial->stream;
    dial->stream->boot = boot;
    memcpy(dial->sensor_id, peer->sensor_id, strlen(peer->sensor_id) + 1);
    return INGEST_DIAL_TAKEN;
}

enum ingest_dial_verdict ingest_dial_hello(struct ingest_dial *dial, const struct ingest_peer *peer,
                                           uint64_t next_seq[RECORD_STREAM_COUNT])
{
    struct ingest *ingest = dial->ingest;

    if (!ingest_is_name(peer->sensor_id, INGEST_SENSOR_ID_BYTES) ||
        !ingest_is_name(peer->boot_id, INGEST_BOOT_ID_BYTES) ||
        strcmp(peer->sensor_id, INGEST_LOCAL_SENSOR) == 0) {
        return INGEST_DIAL_BAD_NAME;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    let_go(dial);
    dial->sensor_id[0] = '\0';
    const enum ingest_dial_verdict verdict = settle_in(dial, peer);

    for (int s = 0; verdict == INGEST_DIAL_TAKEN && s < RECORD_STREAM_COUNT; s++) {
        next_seq[s] = dial->stream->boot->places[s].next_seq;
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    return verdict;
}

void ingest_dial_met(struct ingest_dial *dial)
{
    (void)pthread_mutex_lock(&dial->ingest->lock);
    struct ingest_boot *boot = dial->stream->boot;

    for (int s = 0; boot != NULL && s < RECORD_STREAM_COUNT; s++) {
        boot->places[s].is_open = boot->places[s].is_open && boot->places[s].next_seq > 1;
    }
    (void)pthread_mutex_unlock(&dial->ingest->lock);
}

void ingest_dial_bye(struct ingest_dial *dial, bool has_left)
{
    struct ingest *ingest = dial->ingest;
    const struct ingest_events *events = ingest->events;

    (void)pthread_mutex_lock(&ingest->lock);
    const struct ingest_boot *boot = dial->stream->boot;

    /* Its own stream speaks for it where it has one. */
    if (boot != NULL &&
        ingest_positions_has(ingest->positions, boot->sensor->sensor_id, boot->boot_id)) {
        dial->sensor_id[0] = '\0';
    } else if (boot != NULL) {
        events->disconnected(events->context, boot->sensor->sensor_id, boot->boot_id);
    }
    if (has_left && dial->sensor_id[0] != '\0') {
        events->goodbye(events->context, dial->sensor_id);
        dial->sensor_id[0] = '\0';
    }
    let_go(dial);
    (void)pthread_mutex_unlock(&ingest->lock);
}

/* ---- what it says ---- */

/* These never come: told in the log, and counted. */
static bool queue_gap(struct ingest_dial *dial, struct ingest_place *place, uint64_t from_seq,
                      uint64_t to_seq, const char *reason)
{
    struct ingest_gap gap = {.stream = place->stream, .from_seq = from_seq, .to_seq = to_seq};
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_request request;

    memcpy(gap.boot_id, place->boot->boot_id, sizeof(gap.boot_id));
    (void)snprintf(gap.reason, sizeof(gap.reason), "%s", reason);
    const size_t length = ingest_encode_gap(&gap, bytes, sizeof(bytes));
    struct ingest_entry *entry =
        length > 0 && ingest_decode_request(bytes, length, &request)
            ? ingest_entry_for(dial->stream, place, request.bytes, request.length, true)
            : NULL;

    if (entry != NULL) {
        ingest_entry_queue(entry, from_seq, to_seq);
        dial->ingest->counts.gap_records += to_seq - from_seq + 1;
    }
    return entry != NULL;
}

static enum ingest_dial_verdict judge(struct ingest_dial *dial,
                                      const struct ingest_dial_batch *batch,
                                      struct ingest_dial_taken *out)
{
    struct ingest *ingest = dial->ingest;
    struct ingest_boot *boot = dial->stream->boot;
    struct ingest_place *place = &boot->places[batch->stream];
    const uint64_t next_seq = place->next_seq;
    const uint64_t known = next_seq > batch->first_seq ? next_seq - batch->first_seq : 0;

    if (ingest->is_failed || ingest->is_stopping) {
        return INGEST_DIAL_CLOSED;
    }
    if (ingest_positions_has(ingest->positions, boot->sensor->sensor_id, boot->boot_id)) {
        return INGEST_DIAL_BY_STREAM;
    }
    if (known >= batch->record_count) {
        out->known = batch->record_count;
        return INGEST_DIAL_KNOWN;
    }
    const struct codec_slice *fresh = batch->records + known;
    const uint32_t count = batch->record_count - (uint32_t)known;
    const uint64_t first_seq = batch->first_seq + known;
    const uint64_t missing = first_seq - next_seq;
    const bool is_begin = place->is_open && next_seq == 1;

    if (codec_batch_bytes(fresh, count) + 16 > ingest->settings->message_bytes_max ||
        (missing > 0 && !is_begin &&
         !queue_gap(dial, place, next_seq, first_seq - 1, "not_in_stream"))) {
        return INGEST_DIAL_NO_ROOM;
    }
    place->is_open = place->is_open && !(is_begin && missing == 0);
    out->lost = is_begin ? 0 : missing;
    out->before = is_begin ? missing : 0;
    struct ingest_entry *entry =
        ingest_entry_of_records(dial->stream, place, first_seq, fresh, count);

    if (entry == NULL) {
        return INGEST_DIAL_NO_ROOM;
    }
    ingest_entry_queue(entry, first_seq, first_seq + count - 1);
    out->known = known;
    out->taken = count;
    return INGEST_DIAL_TAKEN;
}

static void tell_lost(const char *sensor_id, enum record_stream stream, uint64_t lost,
                      const char *reason)
{
    static struct log_limit limit;
    char id[INGEST_SENSOR_ID_BYTES * 2];
    char quoted[128];

    if (lost > 0 && log_allowed(&limit, LOG_EVERY_NS, NULL)) {
        log_warn("ingest", "a dialed sensor lost records",
                 "sensor=%s stream=%d lost=%llu reason=%s", log_quote(sensor_id, id, sizeof(id)),
                 (int)stream, (unsigned long long)lost, log_quote(reason, quoted, sizeof(quoted)));
    }
}

enum ingest_dial_verdict ingest_dial_take(struct ingest_dial *dial,
                                          const struct ingest_dial_batch *batch,
                                          struct ingest_dial_taken *out)
{
    struct ingest *ingest = dial->ingest;
    const struct ingest_events *events = ingest->events;
    char sensor_id[INGEST_SENSOR_ID_BYTES];

    *out = (struct ingest_dial_taken){0};
    if (batch->stream >= RECORD_STREAM_COUNT || batch->record_count == 0 || batch->first_seq == 0 ||
        batch->first_seq >= UINT64_MAX - batch->record_count) {
        return INGEST_DIAL_BAD_NAME;
    }
    (void)pthread_mutex_lock(&ingest->lock);
    memcpy(sensor_id, dial->stream->boot->sensor->sensor_id, sizeof(sensor_id));
    const enum ingest_dial_verdict verdict = judge(dial, batch, out);

    ingest->counts.batches += verdict == INGEST_DIAL_TAKEN;
    ingest->counts.records += out->taken;
    ingest->counts.duplicates += out->known;
    (void)pthread_mutex_unlock(&ingest->lock);
    if (out->taken + out->known + out->lost > 0) {
        events->records(events->context, sensor_id, out->taken, out->known, out->lost);
    }
    tell_lost(sensor_id, batch->stream, out->lost, "not_in_stream");
    return verdict;
}

uint64_t ingest_dial_lose(struct ingest_dial *dial, enum record_stream stream, uint64_t from_seq,
                          uint64_t to_seq, const char *reason)
{
    struct ingest *ingest = dial->ingest;
    const struct ingest_events *events = ingest->events;
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    uint64_t lost = 0;

    (void)pthread_mutex_lock(&ingest->lock);
    struct ingest_boot *boot = dial->stream->boot;
    struct ingest_place *place = &boot->places[stream];

    memcpy(sensor_id, boot->sensor->sensor_id, sizeof(sensor_id));
    /* Of a stream without a record so far, what is told was lost since it was asked for. */
    const bool is_begin = place->is_open && place->next_seq == 1;
    const uint64_t begin_seq = is_begin && from_seq > 1 ? from_seq : place->next_seq;

    if (ingest->is_failed || ingest->is_stopping ||
        ingest_positions_has(ingest->positions, sensor_id, boot->boot_id) || to_seq < begin_seq ||
        (!is_begin && ingest_place_judge_gap(place, from_seq, to_seq, &lost) != INGEST_TAKE) ||
        to_seq == UINT64_MAX || !queue_gap(dial, place, begin_seq, to_seq, reason)) {
        lost = 0;
    } else {
        lost = to_seq - begin_seq + 1;
        place->is_open = place->is_open && begin_seq > 1;
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    if (lost > 0) {
        events->records(events->context, sensor_id, 0, 0, lost);
        tell_lost(sensor_id, stream, lost, reason);
    }
    return lost;
}

void ingest_dial_seen(struct ingest_dial *dial)
{
    const struct ingest_events *events = dial->ingest->events;
    const struct ingest_boot *boot = dial->stream->boot; /* ours while it is pinned */

    if (boot != NULL) {
        events->seen(events->context, boot->sensor->sensor_id, clock_wall_ns());
    }
}
