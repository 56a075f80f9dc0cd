/* `netscopectl sensors`: the fleet as the collector knows it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/choice.h"
#include "ctl/collector.h"
#include "ctl/connection.h"
#include "ctl/json_list.h"
#include "ctl/message.h"
#include "ctl/report.h"
#include "ctl/sensors.h"

#define PATH     "/netscope.v1.FleetService/ListSensors"
#define PAGE_MAX 1000

enum ctl_exit each_sensor(struct ctl *ctl, struct connection *connection,
                          void (*take)(void *context, const struct view *sensor), void *context,
                          struct error *err)
{
    char token[512] = "";
    enum ctl_exit status = CTL_OK;

    do {
        struct request request;
        struct answer answer = {0};
        struct view each;

        request_begin(&request, "ListSensorsRequest", err);
        request_set_number(&request, "page_size", PAGE_MAX);
        request_set(&request, "page_token", token[0] != '\0' ? token : NULL);
        choice_sensors(&request, &ctl->options);
        request_set_choices(&request, "states", "SENSOR_STATE_", "--state", ctl->options.state);
        if (!request_is_whole(&request)) {
            return CTL_USAGE;
        }
        status = ask(connection, PATH, request.bytes, request.length, &answer, err);

        const struct view page = view_of("ListSensorsResponse", answer.bytes, answer.length);
        const struct record_text next = view_text(&page, "next_page_token");
        struct view_list list = view_list_of(&page, "sensors");

        while (status == CTL_OK && output_is_open(&ctl->out) && view_list_next(&list, &each)) {
            take(context, &each);
        }
        (void)snprintf(token, sizeof(token), "%.*s", (int)next.length, next.data);
        free(answer.bytes);
    } while (status == CTL_OK && token[0] != '\0' && output_is_open(&ctl->out));
    return status;
}

/* Of -o csv. */
#define COLUMNS                                                                                    \
    "sensor_id,state,version,host_name,peer,connected_time,last_seen_time,records_received,"       \
    "records_duplicate,records_lost,clock_offset_ms,stats.totals.packets,stats.totals.bytes,"      \
    "stats.totals.flows_active,config_hash"

struct fleet {
    struct ctl *ctl;
    struct json_list json;
    bool is_damaged;
};

/* The first has room for a UUID, which is what a sensor is called by default. */
static const struct report_column columns[] = {
    {"SENSOR", 38}, {"STATE", 9}, {"SEEN", 9},  {"CONNECTED", 11}, {"VERSION", 9}, {"RECORDS", 9},
    {"LOST", 8},    {"PPS", 8},   {"FLOWS", 8}, {"CLOCK", 10},     {"HOST", 20},   {"PEER", 24}};

static void put_age(struct show *show, uint64_t since_ns, bool is_wanted)
{
    const uint64_t now_ns = clock_wall_ns();

    if (since_ns == 0 || !is_wanted) {
        show_text(show, "-");
    } else if (now_ns < since_ns + NS_PER_SEC) {
        show_text(show, "<1s");
    } else {
        show_duration(show, (now_ns - since_ns) / NS_PER_SEC * NS_PER_SEC);
    }
}

static void put_state(struct show *show, const char *state, bool is_revoked)
{
    if (is_revoked && strcmp(state, "OFFLINE") == 0) {
        state = "REVOKED";
    }
    show_colour(show, strcmp(state, "LIVE") == 0    ? SHOW_GOOD
                      : strcmp(state, "STALE") == 0 ? SHOW_WARN
                                                    : SHOW_BAD);
    show_lower(show, state);
    show_colour(show, SHOW_PLAIN);
}

static void put_figures(struct line *line, const struct view *sensor)
{
    const struct view stats = view_message(sensor, "stats");
    const struct view totals = view_message(&stats, "totals");
    const uint64_t lost = view_number(sensor, "records_lost");

    show_count(&line->show, view_number(sensor, "records_received"));
    line_cell(line, columns[5].width);
    show_colour(&line->show, lost > 0 ? SHOW_BAD : SHOW_PLAIN);
    show_count(&line->show, lost);
    show_colour(&line->show, SHOW_PLAIN);
    line_cell(line, columns[6].width);
    show_count(&line->show, view_number(&totals, "packets"));
    line_cell(line, columns[7].width);
    show_count(&line->show, view_number(&totals, "flows_active"));
    line_cell(line, columns[8].width);
    show_text(&line->show, "%+.1fms", view_double(sensor, "clock_offset_ms"));
    line_cell(line, columns[9].width);
}

static void put_sensor(struct output *out, const struct view *sensor)
{
    const char *state = view_choice(sensor, "state", "SENSOR_STATE_");
    struct line line;

    line_begin(&line, out);
    show_name(&line.show, view_text(sensor, "sensor_id"));
    line_cell(&line, columns[0].width);
    put_state(&line.show, state, view_has(sensor, "revocation"));
    line_cell(&line, columns[1].width);
    put_age(&line.show, view_ns(sensor, "last_seen_time"), true);
    line_cell(&line, columns[2].width);
    put_age(&line.show, view_ns(sensor, "connected_time"), strcmp(state, "OFFLINE") != 0);
    line_cell(&line, columns[3].width);
    show_name(&line.show, view_text(sensor, "version"));
    line_cell(&line, columns[4].width);
    put_figures(&line, sensor);
    show_name(&line.show, view_text(sensor, "host_name"));
    line_cell(&line, columns[10].width);
    show_name(&line.show, view_text(sensor, "peer"));
    line_end(&line);
}

static void take(void *context, const struct view *sensor)
{
    struct fleet *fleet = context;

    if (form_is_data(fleet->ctl->options.form)) {
        fleet->is_damaged |= !json_list_put(&fleet->json, sensor);
    } else {
        put_sensor(&fleet->ctl->out, sensor);
    }
}

static enum ctl_exit use(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct fleet fleet = {.ctl = ctl};
    const bool is_data = form_is_data(ctl->options.form);

    if (is_data && json_list_begin_with(&fleet.json, &ctl->out, ctl->options.form, "Sensor",
                                        COLUMNS, err) != 0) {
        return CTL_FAILED;
    }
    if (!is_data) {
        report_header(&ctl->out, columns, ARRAY_COUNT(columns));
    }
    const enum ctl_exit status = each_sensor(ctl, connection, take, &fleet, err);

    if (is_data) {
        json_list_end(&fleet.json);
    }
    return fleet.is_damaged && status == CTL_OK ? CTL_FAILED : status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    return collector_run(ctl, "sensors", use, err);
}

const struct ctl_command sensors_command = {
    .name = "sensors",
    .bit = FOR_SENSORS,
    .summary = "sensors that a collector knows: state, losses, traffic",
    .examples = "  netscopectl sensors\n"
                "  netscopectl sensors --state offline,stale\n"
                "  netscopectl sensors -o jsonl | jq -r .sensor_id\n",
    .run = run,
};
