/* Messages of a dialed sensor's streams, taken apart: records to ingest, losses counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"
#include "collector-ui/ingest/dial_private.h"
#include "collector-ui/ingest/lane_record.h"

#define RUN_RECORDS_MAX 512 /* no setting of batch_records_max is below */

/* Records with numbers that follow each other, until they are handed on. */
struct run {
    struct dial *dial;
    struct ingest_dial_batch batch;
    struct codec_slice records[RUN_RECORDS_MAX];
};

static bool complain(struct dial *dial, const char *what)
{
    (void)snprintf(dial->complaint, sizeof(dial->complaint), "%s", what);
    return false;
}

static bool hand_on(struct run *run)
{
    struct dial *dial = run->dial;
    struct dial_counts *counts = &dial->counts;
    const uint32_t count = run->batch.record_count;
    struct ingest_dial_taken taken;

    if (count == 0) {
        return true;
    }
    const enum ingest_dial_verdict verdict = ingest_dial_take(dial->way, &run->batch, &taken);

    run->batch.record_count = 0;
    counts->taken += taken.taken;
    counts->known += taken.known;
    counts->lost += taken.lost;
    counts->before += taken.before;
    switch (verdict) {
    case INGEST_DIAL_TAKEN:
    case INGEST_DIAL_KNOWN:
        return true;
    case INGEST_DIAL_BY_STREAM:
        counts->passed += count;
        dial->next_state = DIAL_PASSING;
        return complain(dial, "the sensor reports by its own stream now");
    case INGEST_DIAL_CLOSED:
        return complain(dial, "the collector takes nothing any more");
    default:
        counts->refused += count;
        return complain(dial, "no room for its records");
    }
}

/* Of this process of this sensor, and behind the last one of the run or in a new one. */
static bool add_record(struct run *run, enum record_stream stream, const struct lane_record *record)
{
    const struct observe_info *info = &run->dial->info;
    struct ingest_dial_batch *batch = &run->batch;

    if (strcmp(record->sensor_id, info->sensor_id) != 0 ||
        strcmp(record->boot_id, info->boot_id) != 0) {
        return complain(run->dial, "it sends records of another sensor than it says it is");
    }
    if ((batch->record_count == RUN_RECORDS_MAX ||
         (batch->record_count > 0 && record->seq != batch->first_seq + batch->record_count)) &&
        !hand_on(run)) {
        return false;
    }
    if (batch->record_count == 0) {
        *batch = (struct ingest_dial_batch){
            .stream = stream, .first_seq = record->seq, .records = run->records};
    }
    run->records[batch->record_count++] = (struct codec_slice){record->bytes, record->length};
    return true;
}

/* `room` holds all of them without their identities. */
static bool take_records(struct run *run, enum record_stream stream,
                         const struct observe_response *response, uint8_t *room)
{
    struct wire_reader r = wire_reader_over(response->records, response->length);
    struct wire_field field;
    struct lane_record record;
    size_t used = 0;

    while (wire_next(&r, &field)) {
        if (!lane_record_read(field.bytes, field.length, room + used, response->length - used,
                              &record)) {
            run->dial->counts.undecodable++;
            return complain(run->dial, "it sent what is no record of a sensor");
        }
        used += record.length;
        if (!add_record(run, stream, &record)) {
            return false;
        }
    }
    if (!r.ok) {
        run->dial->counts.undecodable++;
        return complain(run->dial, "it sent a batch that cannot be read");
    }
    return hand_on(run);
}

bool dial_take_message(struct dial *dial, enum record_stream stream, const uint8_t *bytes,
                       size_t length)
{
    struct observe_response response;
    bool is_good = true;

    dial->counts.messages++;
    if (!observe_decode_response(bytes, length, &response)) {
        dial->counts.undecodable++;
        return complain(dial, "it sent what is no message of such a stream");
    }
    ingest_dial_seen(dial->way);
    if (response.length > 0) {
        struct run *run = malloc(sizeof(*run));
        uint8_t *room = malloc(response.length);

        if (run == NULL || room == NULL) {
            is_good = complain(dial, "no memory for its records");
        } else {
            run->dial = dial;
            run->batch.record_count = 0;
            is_good = take_records(run, stream, &response, room);
        }
        free(room);
        free(run);
    }
    if (is_good && response.has_loss && response.loss_to >= response.loss_from &&
        response.loss_count == response.loss_to - response.loss_from + 1) {
        dial->counts.lost += ingest_dial_lose(dial->way, stream, response.loss_from,
                                              response.loss_to, response.loss_reason);
    }
    return is_good;
}
