/* `netscopectl ledger`: where packets and records went, stage by stage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/connection.h"
#include "ctl/json_list.h"
#include "ctl/ledger.h"
#include "ctl/report.h"
#include "ctl/sensors.h"

#define PATH       "/netscope.v1.SensorService/GetLossLedger"
#define INFO       "/netscope.v1.SensorService/GetInfo"
#define JSON_BYTES ((size_t)1 << 20)

struct ledger {
    struct ctl *ctl;
    struct json_list json;
    char *room; /* for the JSON of one ledger */
    uint64_t lost, sensors;
    bool is_damaged;
};

static void put_json(struct ledger *ledger, struct record_text sensor, const struct view *view,
                     const char *field)
{
    struct view_list list = view_list_of(view, field);
    struct json_writer w;
    struct view row;

    json_init(&w, ledger->room, JSON_BYTES);
    json_object_begin(&w);
    json_key(&w, "sensor_id");
    json_text_bytes(&w, sensor.data, sensor.length);
    json_key(&w, "rows");
    json_array_begin(&w);
    while (view_list_next(&list, &row)) {
        ledger->is_damaged |= !json_from_wire(row.message, row.bytes, row.length, &w);
    }
    json_array_end(&w);
    json_object_end(&w);
    if (w.overflow) {
        ledger->is_damaged = true;
    } else {
        json_list_put_text(&ledger->json, ledger->room, w.length);
    }
}

static void put(struct ledger *ledger, struct record_text sensor, const struct view *view,
                const char *field)
{
    if (form_is_json(ledger->ctl->options.form)) {
        put_json(ledger, sensor, view, field);
    } else {
        ledger->lost += ledger_put_table(&ledger->ctl->out, sensor, view, field);
    }
    ledger->sensors++;
}

static void take_sensor(void *context, const struct view *sensor)
{
    const struct view stats = view_message(sensor, "stats");

    put(context, view_text(sensor, "sensor_id"), &stats, "ledger");
}

static enum ctl_exit of_collector(struct ledger *ledger, struct connection *connection,
                                  struct error *err)
{
    if (ledger->ctl->options.since != NULL) {
        (void)error_set(err, EINVAL,
                        "--since: a collector has the sums since each sensor's start; ask the "
                        "sensor itself");
        return CTL_USAGE;
    }
    return each_sensor(ledger->ctl, connection, take_sensor, ledger, err);
}

static enum ctl_exit of_sensor(struct ledger *ledger, struct connection *connection,
                               struct error *err)
{
    const char *since = ledger->ctl->options.since;
    struct answer info = {0}, answer = {0};
    struct request request;
    uint64_t since_ns = 0;
    enum ctl_exit status = CTL_USAGE;

    if (since == NULL || time_parse("--since", since, clock_wall_ns(), &since_ns, err) == 0) {
        request_begin(&request, "GetLossLedgerRequest", err);
        request_set_time(&request, "since", since_ns);
        status = ask(connection, INFO, NULL, 0, &info, err);
    }
    status = status == CTL_OK ? ask(connection, PATH, request.bytes, request.length, &answer, err)
                              : status;
    if (status == CTL_OK) {
        const struct view who = view_of("GetInfoResponse", info.bytes, info.length);
        const struct view rows = view_of("GetLossLedgerResponse", answer.bytes, answer.length);

        put(ledger, view_text(&who, "sensor_id"), &rows, "rows");
        if (!view_bool(&rows, "balanced")) {
            (void)error_set(err, EPROTO, "%s: its ledger does not add up, a fault of the sensor",
                            connection->target);
            status = CTL_FAILED;
        }
    }
    free(info.bytes);
    free(answer.bytes);
    return status;
}

static enum ctl_exit ask_ledger(struct ledger *ledger, struct connection *connection,
                                struct error *err)
{
    const bool is_json = form_is_json(ledger->ctl->options.form);
    enum server_kind kind = SERVER_UNKNOWN;
    enum ctl_exit status = connection_kind(connection, &kind, err);

    ledger->room = malloc(JSON_BYTES);
    if (status != CTL_OK) {
        return status;
    }
    if (ledger->room == NULL || (is_json && json_list_begin(&ledger->json, &ledger->ctl->out,
                                                            ledger->ctl->options.form, err) != 0)) {
        (void)error_set(err, ENOMEM, "no memory for a ledger");
        return CTL_FAILED;
    }
    status = kind == SERVER_COLLECTOR ? of_collector(ledger, connection, err)
                                      : of_sensor(ledger, connection, err);
    if (is_json) {
        json_list_end(&ledger->json);
    } else if (status == CTL_OK && ledger->sensors == 0) {
        tell("%s knows no sensor", connection->target);
    }
    return ledger->is_damaged && status == CTL_OK ? CTL_FAILED : status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    struct ledger ledger = {.ctl = ctl};
    struct connection connection;
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);

    if (status == CTL_OK) {
        status = ask_ledger(&ledger, &connection, err);
    }
    free(ledger.room);
    connection_close(&connection);
    return status;
}

const struct ctl_command ledger_command = {
    .name = "ledger",
    .bit = FOR_LEDGER,
    .summary = "where packets and records went, stage by stage, and what was lost why",
    .examples = "  netscopectl ledger\n"
                "  netscopectl ledger -s 127.0.0.1:50051 --since 5m\n"
                "  netscopectl ledger -s collector.example:50052 --sensor edge-1 -o json\n",
    .run = run,
};
