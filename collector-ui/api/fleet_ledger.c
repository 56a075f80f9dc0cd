/* SensorService.GetLossLedger of the fleet: the collector's own stages, and what sensors told last.
 */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/api/fleet_private.h"
#include "collector-ui/api/ledger.h"
#include "netscope/v1/sensor_service.pb-c.h"

enum { STATS_LEDGER = 21 };
enum { LEDGER_ROWS = 1, LEDGER_BALANCED = 2, LEDGER_SENSORS = 4, LEDGER_COVERAGE = 5 };
enum { SENSOR_ID = 1, SENSOR_TIME = 2, SENSOR_ROWS = 3 };
enum {
    ROW_STAGE = 1,
    ROW_NAME = 2,
    ROW_UNIT = 3,
    ROW_IN = 4,
    ROW_OUT = 5,
    ROW_LOST = 6,
    ROW_HELD = 7,
};
enum { REASON_NAME = 1, REASON_COUNT = 2 };

#define ROW_BYTES  (160 + LEDGER_REASONS_MAX * 64)
#define OWN_BYTES  ((size_t)COLLECTOR_LEDGER_ROWS_MAX * ROW_BYTES)
#define HEAD_BYTES 192 /* of one sensor's ledger */

static void write_row(struct wire_writer *w, const struct stats_ledger_row *row)
{
    const struct wire_mark mark = wire_begin(w, LEDGER_ROWS, 2);

    wire_write_varint(w, ROW_STAGE, row->stage);
    wire_write_text(w, ROW_NAME, row->name);
    wire_write_text(w, ROW_UNIT, row->unit);
    wire_write_varint(w, ROW_IN, row->in);
    wire_write_varint(w, ROW_OUT, row->out);
    for (uint32_t i = 0; i < row->lost_count; i++) {
        const struct wire_mark inner = wire_begin(w, ROW_LOST, 1);

        wire_write_text(w, REASON_NAME, row->lost[i].reason);
        wire_write_varint(w, REASON_COUNT, row->lost[i].count);
        wire_end(w, inner);
    }
    wire_write_varint(w, ROW_HELD, row->held);
    wire_end(w, mark);
}

/* False: the collector starts or stops. */
static bool write_own(struct fleet_grpc *fleet, struct wire_writer *w)
{
    struct stats_ledger_row rows[COLLECTOR_LEDGER_ROWS_MAX];
    bool is_balanced = true;

    pthread_mutex_lock(&fleet->status_lock);
    const bool is_known = fleet->status_api != NULL;
    const uint32_t count = is_known ? collector_ledger(fleet->status_api, rows) : 0;
    pthread_mutex_unlock(&fleet->status_lock);

    for (uint32_t i = 0; i < count; i++) {
        write_row(w, &rows[i]);
        is_balanced =
            is_balanced && rows[i].in == rows[i].out + stats_ledger_lost(&rows[i]) + rows[i].held;
    }
    wire_write_bool(w, LEDGER_BALANCED, is_balanced);
    return is_known;
}

/* With stats_lock. */
static void write_sensors(const struct fleet_grpc *fleet, const struct grpc_sensor_choice *choice,
                          struct wire_writer *w)
{
    for (uint32_t i = 0; i < fleet->stats_count; i++) {
        const struct fleet_stats *stats = &fleet->stats[i];

        if (!grpc_sensor_is_chosen(choice, stats->sensor_id, strlen(stats->sensor_id))) {
            continue;
        }
        const struct wire_mark mark = wire_begin(w, LEDGER_SENSORS, 3);

        wire_write_text(w, SENSOR_ID, stats->sensor_id);
        grpc_write_time(w, SENSOR_TIME, stats->end_ns);
        grpc_copy_fields(w, stats->bytes, stats->length, STATS_LEDGER, SENSOR_ROWS);
        wire_end(w, mark);
    }
}

/* With stats_lock. The rows are a part of each record. */
static size_t sensors_bytes(const struct fleet_grpc *fleet)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < fleet->stats_count; i++) {
        bytes += fleet->stats[i].length + HEAD_BYTES;
    }
    return bytes;
}

static void answer(struct grpc_ask *ask, const struct grpc_sensor_choice *choice)
{
    struct fleet_grpc *fleet = fleet_of(ask->server);
    struct fleet_coverage coverage;

    if (!fleet_coverage_make(fleet, choice, NULL, &coverage)) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    pthread_mutex_lock(&fleet->stats_lock);
    struct rpc_buffer buffer =
        rpc_buffer_new(OWN_BYTES + sensors_bytes(fleet) + coverage.length + 64);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    write_sensors(fleet, choice, &w);
    pthread_mutex_unlock(&fleet->stats_lock);
    wire_write_bytes(&w, LEDGER_COVERAGE, coverage.bytes, coverage.length);
    free(coverage.bytes);
    if (write_own(fleet, &w)) {
        grpc_answer(ask, &buffer, wire_written(&w));
    } else {
        rpc_buffer_discard(&buffer);
        grpc_refuse(ask, RPC_UNAVAILABLE, "STARTING", -1, "the collector starts or stops");
    }
}

void fleet_get_loss_ledger(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetLossLedgerRequest *request =
        (const Netscope__V1__GetLossLedgerRequest *)grpc_unpack(
            ask, &netscope__v1__get_loss_ledger_request__descriptor, bytes, length);
    struct grpc_sensor_choice choice = {0};

    if (request == NULL) {
        return;
    }
    if (request->since != NULL) {
        grpc_refuse_field(ask, "since", "OUT_OF_BOUNDS", -1,
                          "since: a collector counts from its start; ask the sensor itself");
        return;
    }
    if (grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &choice)) {
        answer(ask, &choice);
    }
    grpc_sensor_choice_free(&choice);
}
