/* `netscopectl status`: who answers, whether it is well, and what it has lost. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/connection.h"
#include "ctl/ledger.h"
#include "ctl/message.h"
#include "ctl/report.h"

#define SERVICE    "/netscope.v1."
#define JSON_BYTES ((size_t)4 << 20)

/* Asks without anything to choose. */
static enum ctl_exit fetch(struct connection *connection, const char *path, const char *name,
                           struct answer *answer, struct view *view, struct error *err)
{
    const enum ctl_exit status = ask(connection, path, NULL, 0, answer, err);

    *view = view_of(name, answer->bytes, answer->length);
    return status;
}

static void put_words(struct output *out, const char *name, enum show_colour colour,
                      const char *words)
{
    struct line line;

    line_named(&line, out, name);
    show_colour(&line.show, colour);
    show_text(&line.show, "%s", words);
    show_colour(&line.show, SHOW_PLAIN);
    line_end(&line);
}

/* "sensor edge-1, version 0.1.0, up 3h12m" */
static void put_who(struct output *out, const char *kind, struct record_text name,
                    struct record_text version, uint64_t start_ns, const char *target)
{
    const uint64_t now_ns = clock_wall_ns();
    struct line line;

    line_named(&line, out, kind);
    show_colour(&line.show, SHOW_NAME);
    show_name(&line.show, name);
    show_colour(&line.show, SHOW_PLAIN);
    show_text(&line.show, " at %s, version ", target);
    show_name(&line.show, version);
    if (start_ns != 0 && start_ns < now_ns) {
        show_text(&line.show, ", up ");
        show_duration(&line.show, now_ns - start_ns);
    }
    line_end(&line);
}

/* ---- a sensor ---- */

static void put_interfaces(struct output *out, const struct view *stats)
{
    struct view_list list = view_list_of(stats, "interfaces");
    struct view each;

    while (view_list_next(&list, &each)) {
        const uint64_t dropped =
            view_number(&each, "kernel_dropped") + view_number(&each, "interface_dropped");
        struct line line;

        line_named(&line, out, "capture");
        show_name(&line.show, view_text(&each, "name"));
        show_text(&line.show, "%s: ", view_bool(&each, "up") ? "" : " (down)");
        show_count(&line.show, view_number(&each, "received_packets"));
        show_text(&line.show, " packets received, ");
        show_colour(&line.show, dropped > 0 ? SHOW_BAD : SHOW_PLAIN);
        show_count(&line.show, dropped);
        show_text(&line.show, " dropped");
        show_colour(&line.show, SHOW_PLAIN);
        line_end(&line);
    }
}

static void put_traffic(struct output *out, const struct view *stats)
{
    const struct view totals = view_message(stats, "totals");
    struct line line;

    if (stats->message == NULL) {
        put_words(out, "traffic", SHOW_DIM, "none yet: no second of packet time has passed");
        return;
    }
    line_named(&line, out, "traffic");
    show_count(&line.show, view_number(&totals, "packets"));
    show_text(&line.show, " packets, ");
    show_bytes(&line.show, view_number(&totals, "bytes"));
    show_text(&line.show, " in the second to ");
    show_time(&line.show, view_ns(stats, "end_time"));
    show_text(&line.show, "; ");
    show_count(&line.show, view_number(&totals, "flows_active"));
    show_text(&line.show, " flows");
    line_end(&line);
}

static enum ctl_exit put_sensor(struct ctl *ctl, struct connection *connection,
                                const struct view *status, struct error *err)
{
    const struct view stats = view_message(status, "stats");
    const bool is_ready = view_bool(status, "ready");
    struct view_list reasons = view_list_of(status, "reasons");
    struct record_text reason;
    struct answer ledger = {0};
    struct view rows;

    put_words(&ctl->out, "ready", is_ready ? SHOW_GOOD : SHOW_BAD, is_ready ? "yes" : "no");
    while (view_list_text(&reasons, &reason)) {
        struct line line;

        line_named(&line, &ctl->out, "");
        show_name(&line.show, reason);
        line_end(&line);
    }
    put_traffic(&ctl->out, &stats);
    put_interfaces(&ctl->out, &stats);
    const enum ctl_exit result = fetch(connection, SERVICE "SensorService/GetLossLedger",
                                       "GetLossLedgerResponse", &ledger, &rows, err);

    if (result == CTL_OK) {
        ledger_put_loss(&ctl->out, &rows, "rows");
    }
    free(ledger.bytes);
    return result != CTL_OK ? result : is_ready ? CTL_OK : CTL_FAILED;
}

static enum ctl_exit tell_sensor(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct answer first = {0}, second = {0};
    struct view info, status;
    enum ctl_exit result =
        fetch(connection, SERVICE "SensorService/GetInfo", "GetInfoResponse", &first, &info, err);

    if (result == CTL_OK) {
        put_who(&ctl->out, "sensor", view_text(&info, "sensor_id"), view_text(&info, "version"),
                view_ns(&info, "start_time"), connection->target);
        result = fetch(connection, SERVICE "SensorService/GetStatus", "GetStatusResponse", &second,
                       &status, err);
    }
    if (result == CTL_OK) {
        result = put_sensor(ctl, connection, &status, err);
    }
    free(first.bytes);
    free(second.bytes);
    return result;
}

/* ---- a collector ---- */

static void put_ingest(struct output *out, const struct view *ingest)
{
    const uint64_t lost = view_number(ingest, "told_lost");
    struct line line;

    line_named(&line, out, "ingest");
    show_count(&line.show, view_number(ingest, "connections"));
    show_text(&line.show, " streams of sensors; ");
    show_count(&line.show, view_number(ingest, "records"));
    show_text(&line.show, " records since the start, ");
    show_bytes(&line.show, view_number(ingest, "backlog_bytes"));
    show_text(&line.show, " not stored yet, ");
    show_colour(&line.show, lost > 0 ? SHOW_BAD : SHOW_PLAIN);
    show_count(&line.show, lost);
    show_text(&line.show, " told lost by sensors");
    show_colour(&line.show, SHOW_PLAIN);
    line_end(&line);
    if (view_bool(ingest, "log_failing")) {
        put_words(out, "", SHOW_BAD, "its log cannot be written: nothing is acknowledged");
    }
    if (view_bool(ingest, "draining")) {
        put_words(out, "", SHOW_WARN, "it sends sensors to another collector");
    }
}

/* False: the store has stopped. */
static bool put_store(struct output *out, const struct view *store)
{
    const struct record_text failure = view_text(store, "failure");
    struct line line;

    line_named(&line, out, "store");
    show_bytes(&line.show, view_number(store, "bytes"));
    show_text(&line.show, " on disk, ");
    show_count(&line.show, view_number(store, "queue_batches"));
    show_text(&line.show, " batches wait");
    if (failure.length > 0) {
        show_colour(&line.show, SHOW_BAD);
        show_text(&line.show, "; stopped: ");
        show_name(&line.show, failure);
        show_colour(&line.show, SHOW_PLAIN);
    }
    line_end(&line);
    return failure.length == 0;
}

static void put_fleet(struct output *out, const struct view *sensors)
{
    static const char *const states[] = {"LIVE", "STALE", "OFFLINE"};
    uint64_t counts[ARRAY_COUNT(states)] = {0}, lost = 0;
    struct view_list list = view_list_of(sensors, "sensors");
    struct view each;
    struct line line;

    while (view_list_next(&list, &each)) {
        const char *state = view_choice(&each, "state", "SENSOR_STATE_");

        lost += view_number(&each, "records_lost");
        for (size_t i = 0; i < ARRAY_COUNT(states); i++) {
            counts[i] += strcmp(state, states[i]) == 0;
        }
    }
    line_named(&line, out, "sensors");
    show_text(&line.show, "%llu live, ", (unsigned long long)counts[0]);
    show_colour(&line.show, counts[1] > 0 ? SHOW_WARN : SHOW_PLAIN);
    show_text(&line.show, "%llu stale", (unsigned long long)counts[1]);
    show_colour(&line.show, SHOW_PLAIN);
    show_text(&line.show, ", ");
    show_colour(&line.show, counts[2] > 0 ? SHOW_BAD : SHOW_PLAIN);
    show_text(&line.show, "%llu offline", (unsigned long long)counts[2]);
    show_colour(&line.show, SHOW_PLAIN);
    show_text(&line.show, " of %llu; ", (unsigned long long)view_number(sensors, "total_size"));
    show_count(&line.show, lost);
    show_text(&line.show, " records lost on the way");
    line_end(&line);
}

static enum ctl_exit tell_collector(struct ctl *ctl, struct connection *connection,
                                    struct error *err)
{
    struct answer first = {0}, second = {0};
    struct request request;
    struct view status;
    bool is_well = true;
    enum ctl_exit result = fetch(connection, SERVICE "CollectorService/GetCollectorStatus",
                                 "GetCollectorStatusResponse", &first, &status, err);

    if (result == CTL_OK) {
        const struct view ingest = view_message(&status, "ingest");
        const struct view store = view_message(&status, "store");

        put_who(&ctl->out, "collector", view_text(&status, "host_name"),
                view_text(&status, "version"), view_ns(&status, "start_time"), connection->target);
        put_ingest(&ctl->out, &ingest);
        is_well = put_store(&ctl->out, &store) && !view_bool(&ingest, "log_failing");
        request_begin(&request, "ListSensorsRequest", err);
        request_set_number(&request, "page_size", 1000);
        result = ask(connection, SERVICE "FleetService/ListSensors", request.bytes, request.length,
                     &second, err);
    }
    if (result == CTL_OK) {
        const struct view sensors = view_of("ListSensorsResponse", second.bytes, second.length);

        put_fleet(&ctl->out, &sensors);
        result = is_well ? CTL_OK : CTL_FAILED;
    }
    free(first.bytes);
    free(second.bytes);
    return result;
}

/* ---- both ---- */

static enum ctl_exit tell_json(struct ctl *ctl, struct connection *connection,
                               enum server_kind kind, unsigned health, struct error *err)
{
    const bool is_collector = kind == SERVER_COLLECTOR;
    struct answer answer = {0};
    struct view view;
    char *text = malloc(JSON_BYTES);
    enum ctl_exit result = fetch(connection,
                                 is_collector ? SERVICE "CollectorService/GetCollectorStatus"
                                              : SERVICE "SensorService/GetStatus",
                                 is_collector ? "GetCollectorStatusResponse" : "GetStatusResponse",
                                 &answer, &view, err);

    if (result == CTL_OK && text != NULL) {
        struct json_writer w;

        json_init(&w, text, JSON_BYTES);
        json_object_begin(&w);
        json_key(&w, "server");
        json_text(&w, connection->target);
        json_key(&w, "kind");
        json_text(&w, is_collector ? "collector" : "sensor");
        json_key(&w, "serving");
        json_bool(&w, health == 1);
        json_key(&w, "status");
        if (!json_from_wire(view.message, view.bytes, view.length, &w) || w.overflow) {
            (void)error_set(err, EPROTO, "%s: its answer cannot be read", connection->target);
            result = CTL_FAILED;
        } else {
            json_object_end(&w);
            output_write(&ctl->out, text, w.length);
            output_write(&ctl->out, "\n", 1);
        }
    }
    free(text);
    free(answer.bytes);
    return result;
}

static enum ctl_exit tell_all(struct ctl *ctl, struct connection *connection, struct error *err)
{
    enum server_kind kind = SERVER_UNKNOWN;
    unsigned health = 0;
    enum ctl_exit result = connection_health(connection, "", &health, err);

    result = result == CTL_OK ? connection_kind(connection, &kind, err) : result;
    if (result != CTL_OK) {
        return result;
    }
    if (kind == SERVER_UNKNOWN) {
        (void)error_set(err, EPROTO, "%s speaks gRPC, and is neither a sensor nor a collector",
                        connection->target);
        return CTL_FAILED;
    }
    if (ctl->options.form == FORM_JSON) {
        result = tell_json(ctl, connection, kind, health, err);
    } else {
        put_words(&ctl->out, "health", health == 1 ? SHOW_GOOD : SHOW_BAD,
                  health == 1 ? "serving" : "not serving");
        result = kind == SERVER_COLLECTOR ? tell_collector(ctl, connection, err)
                                          : tell_sensor(ctl, connection, err);
    }
    return result == CTL_OK && health != 1 ? CTL_FAILED : result;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    struct connection connection;
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);

    if (status == CTL_OK) {
        status = tell_all(ctl, &connection, err);
    }
    connection_close(&connection);
    return status;
}

const struct ctl_command status_command = {
    .name = "status",
    .bit = FOR_STATUS,
    .summary = "who answers, whether it is well, what it has lost",
    .examples = "  netscopectl status\n"
                "  netscopectl status -s collector.example:50052 --token-file ~/.netscope-token\n"
                "  netscopectl status -o json | jq .status.ingest\n"
                "\nExit status 1: it answers and is not ready, or its store has stopped.\n",
    .run = run,
};
