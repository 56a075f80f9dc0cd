/* `netscopectl ledger`: where packets and records went, stage by stage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/choice.h"
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
    uint64_t lost, owners;
    bool is_damaged;
};

/* Whose a ledger is: a sensor's, or that of the server that is asked. */
struct owner {
    const char *key; /* of JSON */
    struct record_text name;
};

static struct owner sensor_of(const struct view *view)
{
    return (struct owner){"sensor_id", view_text(view, "sensor_id")};
}

static void put_json(struct ledger *ledger, const struct owner *owner, const struct view *view,
                     const char *field)
{
    struct view_list list = view_list_of(view, field);
    struct json_writer w;
    struct view row;

    json_init(&w, ledger->room, JSON_BYTES);
    json_object_begin(&w);
    json_key(&w, owner->key);
    json_text_bytes(&w, owner->name.data, owner->name.length);
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

static void put(struct ledger *ledger, const struct owner *owner, const struct view *view,
                const char *field)
{
    if (form_is_json(ledger->ctl->options.form)) {
        put_json(ledger, owner, view, field);
    } else {
        ledger->lost += ledger_put_table(&ledger->ctl->out, owner->name, view, field);
    }
    ledger->owners++;
}

/* Counted twice somewhere: what it says of losses is not to be trusted. */
static enum ctl_exit check_balance(const struct connection *connection, const struct view *rows,
                                   const char *program, struct error *err)
{
    if (view_bool(rows, "balanced")) {
        return CTL_OK;
    }
    (void)error_set(err, EPROTO, "%s: its ledger does not add up, a fault of the %s",
                    connection->target, program);
    return CTL_FAILED;
}

static void take_sensor(void *context, const struct view *sensor)
{
    const struct view stats = view_message(sensor, "stats");
    const struct owner owner = sensor_of(sensor);

    put(context, &owner, &stats, "ledger");
}

/* Its own stages, unless some sensors alone are asked for, then the sensors. */
static enum ctl_exit put_fleet(struct ledger *ledger, struct connection *connection,
                               const struct answer *answer, struct error *err)
{
    const struct view fleet = view_of("GetLossLedgerResponse", answer->bytes, answer->length);
    const struct owner own = {"collector",
                              {connection->target, (uint32_t)strlen(connection->target)}};
    struct view_list list = view_list_of(&fleet, "sensors");
    struct view each;

    if (ledger->ctl->options.sensor == NULL && ledger->ctl->options.labels == NULL) {
        put(ledger, &own, &fleet, "rows");
    }
    while (output_is_open(&ledger->ctl->out) && view_list_next(&list, &each)) {
        const struct owner owner = sensor_of(&each);

        put(ledger, &owner, &each, "rows");
    }
    return check_balance(connection, &fleet, "collector", err);
}

static enum ctl_exit of_collector(struct ledger *ledger, struct connection *connection,
                                  struct error *err)
{
    struct answer answer = {0};
    struct request request;

    if (ledger->ctl->options.since != NULL) {
        (void)error_set(err, EINVAL,
                        "--since: a collector has the sums since each sensor's start; ask the "
                        "sensor itself");
        return CTL_USAGE;
    }
    request_begin(&request, "GetLossLedgerRequest", err);
    choice_sensors(&request, &ledger->ctl->options);
    if (!request_is_whole(&request)) {
        return CTL_USAGE;
    }
    enum ctl_exit status = ask(connection, PATH, request.bytes, request.length, &answer, err);

    if (status == CTL_OK) {
        status = put_fleet(ledger, connection, &answer, err);
    } else if (answer.status == RPC_UNIMPLEMENTED) { /* an older one tells of its sensors alone */
        error_clear(err);
        status = each_sensor(ledger->ctl, connection, take_sensor, ledger, err);
    }
    free(answer.bytes);
    return status;
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

        const struct owner owner = sensor_of(&who);

        put(ledger, &owner, &rows, "rows");
        status = check_balance(connection, &rows, "sensor", err);
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
    } else if (status == CTL_OK && ledger->owners == 0) {
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
