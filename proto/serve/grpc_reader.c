/* Streams: each reader walks a history ring at its own pace, from history into live records. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "netscope/v1/flow.pb-c.h"
#include "proto/serve/grpc_reader_private.h"

enum { RECORD_SENSOR_ID = 1 };

/* ---- life ---- */

struct grpc_reader *grpc_reader_new(struct grpc_ask *ask, unsigned stream)
{
    struct grpc_server *server = ask->server;
    struct grpc_reader *reader;

    if (server->readers_count >= server->settings.streams_max) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS", -1,
                    "%u streams are served already (grpc.streams_max); try again later",
                    server->readers_count);
        return NULL;
    }
    reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a stream");
        return NULL;
    }
    reader->server = server;
    reader->call = ask->call;
    reader->stream = stream;
    reader->history = &server->histories[stream];
    reader->position = reader->history->end;
    reader->remaining = UINT64_MAX;
    if (stream == RECORD_FLOWS && server->program->own_sensor == NULL) {
        /* Of a fleet, news are what changes from here on. */
        server->program->look_at_nodes(server, clock_monotonic_ns());
        reader->node_told = server->node_version;
    }
    reader->batch_max = GRPC_BATCH_MAX;
    reader->last_sent_ns = clock_monotonic_ns();
    return reader;
}

void grpc_reader_drop_pending(struct grpc_reader *reader)
{
    for (uint32_t i = 0; i < reader->pending_pieces; i++) {
        rpc_bytes_unref(&reader->pending[i]);
    }
    reader->pending_pieces = 0;
}

void grpc_reader_free(struct grpc_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    grpc_reader_drop_pending(reader);
    filter_free(reader->filter);
    grpc_mask_free(reader->mask);
    free(reader->alerts.subjects);
    grpc_dns_choice_free(&reader->dns);
    grpc_sensor_choice_free(&reader->sensors);
    if (reader->prelude != NULL) {
        grpc_history_fini(reader->prelude);
        free(reader->prelude);
    }
    free(reader);
}

static void tell_count(struct grpc_server *server)
{
    counter_set(&server->streams, server->readers_count);
}

void grpc_reader_start(struct grpc_reader *reader)
{
    struct grpc_server *server = reader->server;

    if (rpc_is_done(reader->call)) {
        grpc_reader_free(reader);
        return;
    }
    rpc_set_user_data(reader->call, reader);
    reader->next = server->readers;
    if (reader->next != NULL) {
        reader->next->previous = reader;
    }
    server->readers = reader;
    server->readers_count++;
    tell_count(server);
    rpc_send_headers(reader->call);
    if (!server->is_ticking) {
        server->is_ticking = true;
        grpc_post_after(server, GRPC_TICK_NS, grpc_tick);
    }
    if (!server->is_pump_posted) {
        server->is_pump_posted = true;
        grpc_post(server, grpc_pump);
    }
}

void grpc_reader_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct grpc_reader *reader = rpc_user_data(call);

    (void)result;
    if (reader == NULL) {
        return;
    }
    struct grpc_server *server = reader->server;

    if (reader->previous != NULL) {
        reader->previous->next = reader->next;
    } else {
        server->readers = reader->next;
    }
    if (reader->next != NULL) {
        reader->next->previous = reader->previous;
    }
    server->readers_count--;
    tell_count(server);
    rpc_set_user_data(call, NULL);
    grpc_reader_free(reader);
}

/* ---- choice ---- */

/* All records name their sensor in field 1. */
static bool is_of_sensor(const struct grpc_reader *reader, const struct grpc_record *record)
{
    struct wire_reader in = wire_reader_over(record->bytes, record->length);
    struct wire_field field;

    while (wire_next(&in, &field)) {
        if (field.number == RECORD_SENSOR_ID && field.type == WIRE_BYTES) {
            return grpc_sensor_is_chosen(&reader->sensors, (const char *)field.bytes, field.length);
        }
    }
    return false;
}

static bool passes_filter(struct grpc_reader *reader, const struct grpc_record *record)
{
    struct grpc_server *server = reader->server;

    switch (reader->stream) {
    case RECORD_FLOWS:
        return reader->filter == NULL ||
               (codec_decode_flow(record->bytes, record->length, server->flow) &&
                filter_matches_flow(reader->filter, server->flow));
    case RECORD_PACKETS:
        return reader->filter == NULL ||
               (server->program->packet_flow(record->bytes, record->length, server->flow) &&
                filter_matches_flow(reader->filter, server->flow));
    case RECORD_ALERTS:
        return !reader->has_choice ||
               grpc_alert_matches(server, &reader->alerts, record->bytes, record->length, NULL);
    case RECORD_DNS:
        return !reader->has_choice ||
               grpc_dns_matches(server, &reader->dns, record->bytes, record->length);
    default:
        return true;
    }
}

bool grpc_reader_chooses(struct grpc_reader *reader, const struct grpc_record *record)
{
    return record->time_ns >= reader->since_ns &&
           (reader->until_ns == 0 || record->time_ns < reader->until_ns) &&
           (reader->sensors.count == 0 || is_of_sensor(reader, record)) &&
           passes_filter(reader, record);
}

void grpc_reader_rewind(struct grpc_reader *reader, uint64_t count)
{
    const struct grpc_history *history = reader->history;

    if (count == UINT64_MAX) {
        reader->position = history->first;
        return;
    }
    for (reader->position = history->end; reader->position > history->first && count > 0;) {
        reader->position--;
        count -= grpc_reader_chooses(reader, grpc_history_at(history, reader->position));
    }
}

/* ---- loss ---- */

void grpc_reader_add_loss(struct grpc_reader *reader, enum grpc_loss reason, uint64_t from,
                          uint64_t to)
{
    const uint64_t count = to - from + 1;

    if (reader->loss[reason].count == 0) {
        reader->loss[reason].from = from;
    }
    reader->loss[reason].to = to;
    reader->loss[reason].count += count;
    counter_add(&reader->server->records_dropped, count);
}

void grpc_reader_see_seq(struct grpc_reader *reader, uint64_t seq)
{
    if (reader->next_seq != 0 && seq > reader->next_seq) {
        grpc_reader_add_loss(reader, GRPC_LOSS_SINK, reader->next_seq, seq - 1);
    }
    reader->next_seq = seq + 1;
}

void grpc_reader_resume(struct grpc_reader *reader, uint64_t seq)
{
    const struct grpc_history *history = reader->history;
    uint64_t low = history->first;
    uint64_t high = history->end;

    while (low < high) { /* the numbers of one sensor rise */
        const uint64_t middle = low + (high - low) / 2;

        if (grpc_history_at(history, middle)->seq <= seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    reader->position = low;
    if (seq == 0) {
        return; /* whoever has nothing has lost nothing */
    }
    reader->next_seq = seq + 1;
    if (low < history->end && grpc_history_at(history, low)->seq > seq + 1) {
        reader->next_seq = grpc_history_at(history, low)->seq;
        grpc_reader_add_loss(reader, GRPC_LOSS_READER, seq + 1, reader->next_seq - 1);
    }
}

void grpc_on_evict(void *context, struct grpc_history *history, uint64_t from, uint64_t to)
{
    struct grpc_server *server = context;

    for (struct grpc_reader *reader = server->readers; reader != NULL; reader = reader->next) {
        if (reader->history != history || reader->position >= to || reader->is_finished) {
            continue;
        }
        for (uint64_t at = reader->position > from ? reader->position : from; at < to; at++) {
            const struct grpc_record *record = grpc_history_at(history, at);

            grpc_reader_see_seq(reader, record->seq);
            if (grpc_reader_chooses(reader, record)) {
                grpc_reader_add_loss(reader, GRPC_LOSS_READER, record->seq, record->seq);
            }
        }
        reader->position = to;
    }
}

void grpc_reader_leave_prelude(struct grpc_reader *reader)
{
    struct grpc_history *ring = &reader->server->histories[reader->stream];

    grpc_history_fini(reader->prelude);
    free(reader->prelude);
    reader->prelude = NULL;
    reader->history = ring;
    reader->position = reader->prelude_then;
    reader->next_seq = 0;
    if (reader->position < ring->first) { /* it took so long that some have left */
        grpc_reader_add_loss(reader, GRPC_LOSS_READER, reader->position, ring->first - 1);
        reader->position = ring->first;
    }
}

void grpc_reader_begin(struct grpc_reader *reader, struct grpc_history *prelude)
{
    reader->prelude = prelude;
    reader->prelude_then = reader->position;
    reader->history = prelude;
    reader->position = prelude->first;
}
