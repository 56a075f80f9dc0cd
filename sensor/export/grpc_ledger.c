/* SensorService.GetLossLedger: the pipeline's rows, since the start or since a second of the last
 * hour. */
#include <stdlib.h>
#include <string.h>

#include "netscope/v1/sensor_service.pb-c.h"
#include "sensor/export/grpc_private.h"

enum { STATS_LEDGER = 21 };
enum { LEDGER_ROWS = 1, LEDGER_BALANCED = 2, LEDGER_SINCE = 3 };

/* What one answer needs. */
struct ledger_room {
    struct stats_record now, then;
    uint8_t encoded[CODEC_STATS_BYTES_MAX];
};

static bool is_balanced(const struct stats_ledger_row *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].in != rows[i].out + stats_ledger_lost(&rows[i]) + rows[i].held) {
            return false;
        }
    }
    return true;
}

/* The last record of a second that ended at or before `since_ns`, else the oldest; NULL: none. */
static const struct grpc_record *base_of(const struct grpc_history *history, uint64_t since_ns)
{
    for (uint64_t at = history->end; at > history->first; at--) {
        const struct grpc_record *record = grpc_history_at(history, at - 1);

        if (record->time_ns <= since_ns || at - 1 == history->first) {
            return record;
        }
    }
    return NULL;
}

static const struct stats_ledger_row *same_row(const struct stats_record *stats,
                                               const struct stats_ledger_row *row)
{
    for (uint32_t i = 0; i < stats->ledger_count; i++) {
        if (stats->ledger[i].stage == row->stage && strcmp(stats->ledger[i].name, row->name) == 0) {
            return &stats->ledger[i];
        }
    }
    return NULL; /* an interface that came later */
}

static uint64_t minus(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

/* What was held then comes in again, so that the law holds for the difference. */
static void subtract(struct stats_ledger_row *row, const struct stats_ledger_row *then)
{
    row->in = minus(row->in, then->in) + then->held;
    row->out = minus(row->out, then->out);
    row->packets_in = minus(row->packets_in, then->packets_in);
    row->packets_out = minus(row->packets_out, then->packets_out);
    for (uint32_t i = 0; i < row->lost_count; i++) {
        for (uint32_t j = 0; j < then->lost_count; j++) {
            if (strcmp(row->lost[i].reason, then->lost[j].reason) == 0) {
                row->lost[i].count = minus(row->lost[i].count, then->lost[j].count);
            }
        }
    }
}

/* Returns the time from which the rows count; 0 = the start of the process. */
static uint64_t count_since(struct grpc_server *server, struct ledger_room *room, uint64_t since_ns)
{
    const struct grpc_record *base = base_of(&server->histories[RECORD_STATS], since_ns);

    if (base == NULL ||
        !codec_decode_stats(base->bytes, base->length, server->arena, &room->then)) {
        return 0;
    }
    for (uint32_t i = 0; i < room->now.ledger_count; i++) {
        struct stats_ledger_row *row = &room->now.ledger[i];
        const struct stats_ledger_row *then = same_row(&room->then, row);

        if (then != NULL) {
            subtract(row, then);
        }
    }
    return base->time_ns;
}

static void answer(struct grpc_ask *ask, struct ledger_room *room, uint64_t since_ns)
{
    struct grpc_server *server = ask->server;
    struct rpc_buffer buffer = rpc_buffer_new(2 * (size_t)CODEC_STATS_BYTES_MAX);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);
    struct stats_record *now = &room->now;

    now->ledger_count =
        pipeline_ledger(grpc_sensor_of(server)->pipeline, now->ledger, STATS_ROWS_MAX);
    const uint64_t from_ns = since_ns == 0 ? 0 : count_since(server, room, since_ns);

    grpc_copy_fields(&w, room->encoded,
                     codec_encode_stats(now, room->encoded, sizeof(room->encoded)), STATS_LEDGER,
                     LEDGER_ROWS);
    wire_write_bool(&w, LEDGER_BALANCED, is_balanced(now->ledger, now->ledger_count));
    if (from_ns != 0) {
        grpc_write_time(&w, LEDGER_SINCE, from_ns);
    }
    grpc_answer(ask, &buffer, wire_written(&w));
}

void grpc_get_loss_ledger(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetLossLedgerRequest *request =
        (const Netscope__V1__GetLossLedgerRequest *)grpc_unpack(
            ask, &netscope__v1__get_loss_ledger_request__descriptor, bytes, length);
    uint64_t since_ns = 0;

    if (request == NULL || !grpc_read_time(ask, request->since, "since", &since_ns) ||
        !grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, NULL)) {
        return;
    }
    struct ledger_room *room = calloc(1, sizeof(*room));

    if (room == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the ledger");
        return;
    }
    answer(ask, room, since_ns);
    free(room);
}
