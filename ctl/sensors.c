/* `netscopectl sensors`: the fleet as the collector knows it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/choice.h"
#include "ctl/collector.h"
#include "ctl/connection.h"
#include "ctl/json_list.h"
#include "ctl/message.h"
#include "ctl/sensors.h"
#include "ctl/table.h"

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
    struct table *table; /* NULL: for programs */
    bool is_damaged;
};

static const struct table_column columns[] = {
    {"SENSOR", TABLE_WORD},      {"STATE", TABLE_WORD},   {"SEEN", TABLE_FIGURE},
    {"CONNECTED", TABLE_FIGURE}, {"VERSION", TABLE_WORD}, {"RECORDS", TABLE_FIGURE},
    {"LOST", TABLE_FIGURE},      {"PPS", TABLE_FIGURE},   {"FLOWS", TABLE_FIGURE},
    {"CLOCK", TABLE_FIGURE},     {"HOST", TABLE_TEXT},    {"PEER", TABLE_WORD}};

/* "-": never, or it does not count. */
static void put_age(struct table *table, uint64_t since_ns, bool is_wanted)
{
    const uint64_t now_ns = clock_wall_ns();
    struct show *cell = table_cell(table);

    if (since_ns != 0 && is_wanted && now_ns < since_ns + NS_PER_SEC) {
        show_text(cell, "<1s");
    } else if (since_ns != 0 && is_wanted) {
        show_duration(cell, (now_ns - since_ns) / NS_PER_SEC * NS_PER_SEC);
    }
    table_keep(table, SHOW_PLAIN);
}

static void put_state(struct table *table, const char *state, bool is_revoked)
{
    const bool is_out = is_revoked && strcmp(state, "OFFLINE") == 0;

    show_lower(table_cell(table), is_out ? "REVOKED" : state);
    table_keep(table, strcmp(state, "LIVE") == 0    ? SHOW_GOOD
                      : strcmp(state, "STALE") == 0 ? SHOW_WARN
                                                    : SHOW_BAD);
}

/* What its last second was is nothing of now where it is not connected. */
static void put_figures(struct table *table, const struct view *sensor, bool is_connected)
{
    const struct view stats = view_message(sensor, "stats");
    const struct view totals = view_message(&stats, "totals");
    const uint64_t lost = view_number(sensor, "records_lost");

    table_put_count(table, view_number(sensor, "records_received"));
    show_count(table_cell(table), lost);
    table_keep(table, lost > 0 ? SHOW_BAD : SHOW_PLAIN);
    if (!is_connected) {
        for (unsigned i = 0; i < 3; i++) {
            (void)table_cell(table);
            table_keep(table, SHOW_PLAIN);
        }
        return;
    }
    table_put_count(table, view_number(&totals, "packets"));
    table_put_count(table, view_number(&totals, "flows_active"));
    table_put(table, SHOW_PLAIN, "%+.1fms", view_double(sensor, "clock_offset_ms"));
}

static void put_sensor(struct table *table, const struct view *sensor)
{
    const char *state = view_choice(sensor, "state", "SENSOR_STATE_");
    const bool is_connected = strcmp(state, "OFFLINE") != 0;

    table_put_name(table, SHOW_NAME, view_text(sensor, "sensor_id"));
    put_state(table, state, view_has(sensor, "revocation"));
    put_age(table, view_ns(sensor, "last_seen_time"), true);
    put_age(table, view_ns(sensor, "connected_time"), is_connected);
    table_put_name(table, SHOW_PLAIN, view_text(sensor, "version"));
    put_figures(table, sensor, is_connected);
    table_put_name(table, SHOW_PLAIN, view_text(sensor, "host_name"));
    table_put_name(table, SHOW_PLAIN, view_text(sensor, "peer"));
}

static void take(void *context, const struct view *sensor)
{
    struct fleet *fleet = context;

    if (fleet->table == NULL) {
        fleet->is_damaged |= !json_list_put(&fleet->json, sensor);
    } else {
        put_sensor(fleet->table, sensor);
    }
}

static enum ctl_exit put_data(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct fleet fleet = {.ctl = ctl};

    if (json_list_begin_with(&fleet.json, &ctl->out, ctl->options.form, "Sensor", COLUMNS, err) !=
        0) {
        return CTL_FAILED;
    }
    const enum ctl_exit status = each_sensor(ctl, connection, take, &fleet, err);

    json_list_end(&fleet.json);
    return fleet.is_damaged && status == CTL_OK ? CTL_FAILED : status;
}

static enum ctl_exit use(struct ctl *ctl, struct connection *connection, struct error *err)
{
    if (form_is_data(ctl->options.form)) {
        return put_data(ctl, connection, err);
    }
    AUTO(table) table = table_new(columns, ARRAY_COUNT(columns), err);
    struct fleet fleet = {.ctl = ctl, .table = table};

    if (table == NULL) {
        return CTL_FAILED;
    }
    const enum ctl_exit status = each_sensor(ctl, connection, take, &fleet, err);

    return status == CTL_OK && !table_write(table, &ctl->out, err) ? CTL_FAILED : status;
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
