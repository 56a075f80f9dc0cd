#include "ctl/captures/capture_show.h"

#include <string.h>

#include "base/clock.h"
#include "ctl/report.h"

const struct table_column capture_columns[CAPTURE_COLUMNS] = {
    {"CAPTURE", TABLE_WORD}, {"STATE", TABLE_WORD},  {"SENSORS", TABLE_TEXT},
    {"STARTED", TABLE_WORD}, {"SIZE", TABLE_FIGURE}, {"PACKETS", TABLE_FIGURE},
    {"BY", TABLE_WORD},      {"FILTER", TABLE_TEXT}, {"WHY IT ENDED", TABLE_TEXT}};

enum show_colour capture_show_colour(const char *state)
{
    return strcmp(state, "RUNNING") == 0  ? SHOW_GOOD
           : strcmp(state, "FAILED") == 0 ? SHOW_BAD
                                          : SHOW_PLAIN;
}

static void put_sensors(struct show *show, const struct view *capture)
{
    struct view_list list = view_list_of(capture, "sensors");
    struct view each;

    for (bool is_first = true; view_list_next(&list, &each); is_first = false) {
        show_text(show, "%s", is_first ? "" : ",");
        show_name(show, view_text(&each, "sensor_id"));
    }
}

/* What was asked for: a filter, or what it was made for. */
static void put_filter(struct show *show, const struct view *capture)
{
    if (view_text(capture, "flow_id").length > 0) {
        show_text(show, "flow ");
        show_name(show, view_text(capture, "flow_id"));
    } else if (view_text(capture, "alert_id").length > 0) {
        show_text(show, "alert ");
        show_name(show, view_text(capture, "alert_id"));
    } else {
        show_name(show, view_text(capture, "bpf"));
    }
}

static void put_end(struct show *show, const struct view *capture)
{
    const struct view summary = view_message(capture, "summary");
    const struct record_text error = view_text(capture, "error");

    show_name(show, error.length > 0 ? error : view_text(&summary, "reason"));
}

void capture_show_row(struct table *table, const struct view *capture)
{
    const char *state = view_choice(capture, "state", "CAPTURE_STATE_");
    const struct view summary = view_message(capture, "summary");

    table_put_name(table, SHOW_NAME, view_text(capture, "capture_id"));
    show_lower(table_cell(table), state);
    table_keep(table, capture_show_colour(state));
    put_sensors(table_cell(table), capture);
    table_keep(table, SHOW_PLAIN);
    table_put_time(table, view_ns(capture, "start_time"));
    table_put_bytes(table, view_number(capture, "bytes"));
    if (view_has(capture, "summary")) {
        table_put_count(table, view_number(&summary, "packets"));
    } else {
        table_put(table, SHOW_PLAIN, "-");
    }
    table_put_name(table, SHOW_PLAIN, view_text(capture, "requester"));
    put_filter(table_cell(table), capture);
    table_keep(table, SHOW_PLAIN);
    put_end(table_cell(table), capture);
    table_keep(table, strcmp(state, "FAILED") == 0 ? SHOW_BAD : SHOW_PLAIN);
}

/* ---- all of one ---- */

static void put_named(struct output *out, const char *name, struct record_text text)
{
    struct line line;

    if (text.length > 0) {
        line_named(&line, out, name);
        show_name(&line.show, text);
        line_end(&line);
    }
}

static void put_sensor(struct output *out, const struct view *sensor)
{
    const char *state = view_choice(sensor, "state", "CAPTURE_STATE_");
    const struct view summary = view_message(sensor, "summary");
    const uint64_t dropped = view_number(&summary, "dropped");
    struct line line;

    line_named(&line, out, "sensor");
    show_name(&line.show, view_text(sensor, "sensor_id"));
    show_text(&line.show, ": ");
    show_colour(&line.show, capture_show_colour(state));
    show_lower(&line.show, strcmp(state, "UNSPECIFIED") == 0 ? "no answer yet" : state);
    show_colour(&line.show, SHOW_PLAIN);
    show_text(&line.show, ", ");
    show_bytes(&line.show, view_number(sensor, "bytes"));
    if (dropped > 0) {
        show_text(&line.show, ", %llu packets found no room", (unsigned long long)dropped);
    }
    if (view_text(&summary, "reason").length > 0) {
        show_text(&line.show, ", ended by ");
        show_name(&line.show, view_text(&summary, "reason"));
    }
    if (view_text(sensor, "error").length > 0) {
        show_text(&line.show, ": ");
        show_name(&line.show, view_text(sensor, "error"));
    }
    line_end(&line);
}

void capture_show_report(struct output *out, const struct view *capture)
{
    const char *state = view_choice(capture, "state", "CAPTURE_STATE_");
    struct view_list list = view_list_of(capture, "sensors");
    struct view each;
    struct line line;

    put_named(out, "capture", view_text(capture, "capture_id"));
    line_named(&line, out, "state");
    show_colour(&line.show, capture_show_colour(state));
    show_lower(&line.show, state);
    show_colour(&line.show, SHOW_PLAIN);
    show_text(&line.show, ", ");
    show_bytes(&line.show, view_number(capture, "bytes"));
    line_end(&line);
    line_named(&line, out, "started");
    show_time(&line.show, view_ns(capture, "start_time"));
    show_text(&line.show, " by ");
    show_name(&line.show, view_text(capture, "requester"));
    line_end(&line);
    line_named(&line, out, "ended");
    show_time(&line.show, view_ns(capture, "end_time"));
    show_text(&line.show, " ");
    put_end(&line.show, capture);
    line_end(&line);
    line_named(&line, out, "filter");
    put_filter(&line.show, capture);
    line_end(&line);
    put_named(out, "interface", view_text(capture, "interface"));
    while (view_list_next(&list, &each)) {
        put_sensor(out, &each);
    }
}

void capture_show_troubles(const struct view *capture)
{
    struct view_list list = view_list_of(capture, "sensors");
    struct view each;

    while (view_list_next(&list, &each)) {
        char text[500] = "";
        struct show show = SHOW_OVER(text);

        show_name(&show, view_text(&each, "sensor_id"));
        if (view_text(&each, "error").length > 0) {
            show_text(&show, " does not capture: ");
            show_name(&show, view_text(&each, "error"));
            tell("%s", text);
        } else if (view_bool(&each, "without_vlan")) {
            show_text(&show, " captures by the filter without what looks behind VLAN tags: its "
                             "interfaces have none");
            tell("%s", text);
        }
    }
}
