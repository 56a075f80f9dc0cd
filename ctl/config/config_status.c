/* `netscopectl config status` and `netscopectl config list`. */
#include "ctl/config/config_status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "ctl/choice.h"
#include "ctl/collector.h"
#include "ctl/json_list.h"
#include "ctl/output.h"
#include "ctl/table.h"

#define WHAT     "settings of a fleet"
#define PATH     "/netscope.v1.FleetService/GetConfigStatus"
#define PAGE_MAX 1000

enum ctl_exit each_config(struct ctl *ctl, struct connection *connection,
                          void (*take_sensor)(void *context, const struct view *row),
                          void (*take_wish)(void *context, const struct view *desired),
                          void *context, struct error *err)
{
    char token[512] = "";
    bool is_first = true;
    enum ctl_exit status = CTL_OK;

    do {
        struct request request;
        struct answer answer = {0};
        struct view each;

        request_begin(&request, "GetConfigStatusRequest", err);
        request_set_number(&request, "page_size", PAGE_MAX);
        request_set(&request, "page_token", token[0] != '\0' ? token : NULL);
        choice_sensors(&request, &ctl->options);
        request_set_choices(&request, "states", "CONFIG_STATE_", "--state", ctl->options.state);
        if (!request_is_whole(&request)) {
            return CTL_USAGE;
        }
        status = ask(connection, PATH, request.bytes, request.length, &answer, err);

        const struct view page = view_of("GetConfigStatusResponse", answer.bytes, answer.length);
        const struct record_text next = view_text(&page, "next_page_token");
        struct view_list wishes = view_list_of(&page, "desired_configs");
        struct view_list sensors = view_list_of(&page, "sensors");

        while (status == CTL_OK && is_first && take_wish != NULL &&
               view_list_next(&wishes, &each)) {
            take_wish(context, &each);
        }
        while (status == CTL_OK && take_sensor != NULL && view_list_next(&sensors, &each)) {
            take_sensor(context, &each);
        }
        is_first = false;
        (void)snprintf(token, sizeof(token), "%.*s", (int)next.length, next.data);
        free(answer.bytes);
    } while (status == CTL_OK && token[0] != '\0' && take_sensor != NULL);
    return status;
}

/* "flow.idle_timeout: expected a duration (line 3)", and what waits for a restart. */
static void put_reason(struct show *show, const struct view *row)
{
    const struct record_text path = view_text(row, "path");
    const uint64_t line = view_number(row, "line");
    struct view_list list = view_list_of(row, "needs_restart");
    struct record_text key;

    show_name(show, path);
    show_text(show, "%s", path.length > 0 ? ": " : "");
    show_name(show, view_text(row, "reason"));
    if (line > 0) {
        show_text(show, " (line %llu)", (unsigned long long)line);
    }
    for (bool is_first = true; view_list_text(&list, &key); is_first = false) {
        show_text(show, "%s", is_first && show->length > 0 ? " " : is_first ? "" : ", ");
        show_name(show, key);
    }
}

void config_status_sentence(struct show *show, const struct view *row)
{
    char reason[500] = "";
    struct show why = SHOW_OVER(reason);

    for (const char *at = view_choice(row, "state", "CONFIG_STATE_"); *at != '\0'; at++) {
        show_text(show, "%c", *at == '_' ? ' ' : ascii_lower(*at));
    }
    put_reason(&why, row);
    show_text(show, "%s%s", reason[0] != '\0' ? ": " : "", reason);
    show_text(show, "%s", view_bool(row, "connected") ? "" : " (not connected)");
}

/* ---- as lists ---- */

struct listing {
    struct ctl *ctl;
    struct table *table;
    struct json_list json;
    bool is_damaged;
};

static void put_record(struct listing *listing, const struct view *record)
{
    listing->is_damaged |= !json_list_put(&listing->json, record);
}

static enum show_colour colour_of(const char *state)
{
    return strcmp(state, "APPLIED") == 0                                       ? SHOW_GOOD
           : strcmp(state, "FAILED") == 0 || strcmp(state, "ROLLED_BACK") == 0 ? SHOW_BAD
           : strcmp(state, "UNSET") == 0                                       ? SHOW_DIM
                                                                               : SHOW_WARN;
}

static const struct table_column sensor_columns[] = {
    {"SENSOR", TABLE_WORD}, {"STATE", TABLE_WORD}, {"CONFIG", TABLE_WORD},
    {"FIRST", TABLE_WORD},  {"SINCE", TABLE_WORD}, {"CONNECTED", TABLE_WORD},
    {"WHY", TABLE_TEXT}};

static void put_sensor(void *context, const struct view *row)
{
    struct listing *listing = context;
    const char *state = view_choice(row, "state", "CONFIG_STATE_");

    if (listing->table == NULL) {
        put_record(listing, row);
        return;
    }
    table_put_name(listing->table, SHOW_NAME, view_text(row, "sensor_id"));
    show_lower(table_cell(listing->table), state);
    table_keep(listing->table, colour_of(state));
    table_put_name(listing->table, SHOW_PLAIN, view_text(row, "config_id"));
    table_put(listing->table, SHOW_PLAIN, "%s", view_bool(row, "is_canary") ? "yes" : "-");
    table_put_time(listing->table, view_ns(row, "state_time"));
    table_put(listing->table, view_bool(row, "connected") ? SHOW_PLAIN : SHOW_WARN, "%s",
              view_bool(row, "connected") ? "yes" : "no");
    put_reason(table_cell(listing->table), row);
    table_keep(listing->table, SHOW_PLAIN);
}

static const struct table_column wish_columns[] = {
    {"CONFIG", TABLE_WORD}, {"STAGE", TABLE_WORD}, {"SENSORS", TABLE_TEXT}, {"LABELS", TABLE_TEXT},
    {"FIRST", TABLE_TEXT},  {"HOLD", TABLE_WORD},  {"SET", TABLE_WORD},     {"BY", TABLE_WORD},
    {"HASH", TABLE_WORD},   {"WHY", TABLE_TEXT}};

/* "edge-1,lab-*" */
static void put_ids(struct show *show, const struct view *selector)
{
    struct view_list list = view_list_of(selector, "sensor_ids");
    struct record_text id;

    for (bool is_first = true; view_list_text(&list, &id); is_first = false) {
        show_text(show, "%s", is_first ? "" : ",");
        show_name(show, id);
    }
}

static void put_first(struct show *show, const struct view *desired)
{
    const uint64_t canary = view_number(desired, "canary");
    const struct view selector = view_message(desired, "canary_selector");

    if (canary > 0) {
        show_text(show, "%llu", (unsigned long long)canary);
    }
    if (view_has(desired, "canary_selector")) {
        show_text(show, "%s", canary > 0 ? " of " : "");
        put_ids(show, &selector);
        show_text(show, "%s", view_text(&selector, "labels").length > 0 ? " " : "");
        show_name(show, view_text(&selector, "labels"));
    }
}

static void put_wish(void *context, const struct view *desired)
{
    struct listing *listing = context;
    const struct view who = view_message(desired, "sensor_selector");
    const char *stage = view_choice(desired, "stage", "ROLLOUT_STAGE_");

    if (listing->table == NULL) {
        put_record(listing, desired);
        return;
    }
    table_put_name(listing->table, SHOW_NAME, view_text(desired, "config_id"));
    show_lower(table_cell(listing->table), stage);
    table_keep(listing->table, strcmp(stage, "STOPPED") == 0 ? SHOW_BAD : SHOW_PLAIN);
    if (view_list_any(&who, "sensor_ids") || view_text(&who, "labels").length > 0) {
        put_ids(table_cell(listing->table), &who);
        table_keep(listing->table, SHOW_PLAIN);
    } else {
        table_put(listing->table, SHOW_PLAIN, "all");
    }
    table_put_name(listing->table, SHOW_PLAIN, view_text(&who, "labels"));
    put_first(table_cell(listing->table), desired);
    table_keep(listing->table, SHOW_PLAIN);
    show_duration(table_cell(listing->table), view_ns(desired, "hold_time"));
    table_keep(listing->table, SHOW_PLAIN);
    table_put_time(listing->table, view_ns(desired, "set_time"));
    table_put_name(listing->table, SHOW_PLAIN, view_text(desired, "set_by"));
    table_put_name(listing->table, SHOW_DIM, view_text(desired, "config_hash"));
    table_put_name(listing->table, SHOW_PLAIN, view_text(desired, "stop_reason"));
}

/* Ends what was begun; a refusal leaves a table unwritten. */
static enum ctl_exit finish(struct listing *listing, enum ctl_exit status, struct error *err)
{
    if (listing->table == NULL) {
        json_list_end(&listing->json);
        return listing->is_damaged && status == CTL_OK ? CTL_FAILED : status;
    }
    return status == CTL_OK && !table_write(listing->table, &listing->ctl->out, err) ? CTL_FAILED
                                                                                     : status;
}

static enum ctl_exit list(struct ctl *ctl, struct connection *connection, bool is_sensors,
                          struct error *err)
{
    struct listing listing = {.ctl = ctl};
    AUTO(table)
    table = is_sensors ? table_new(sensor_columns, ARRAY_COUNT(sensor_columns), err)
                       : table_new(wish_columns, ARRAY_COUNT(wish_columns), err);

    if (table == NULL) {
        return CTL_FAILED;
    }
    if (!form_is_json(ctl->options.form)) {
        listing.table = table;
    } else if (json_list_begin(&listing.json, &ctl->out, ctl->options.form, err) != 0) {
        return CTL_FAILED;
    }
    const enum ctl_exit status = each_config(ctl, connection, is_sensors ? put_sensor : NULL,
                                             is_sensors ? NULL : put_wish, &listing, err);

    return finish(&listing, status, err);
}

static enum ctl_exit list_sensors(struct ctl *ctl, struct connection *connection, struct error *err)
{
    return list(ctl, connection, true, err);
}

static enum ctl_exit list_wishes(struct ctl *ctl, struct connection *connection, struct error *err)
{
    return list(ctl, connection, false, err);
}

static enum ctl_exit run_status(struct ctl *ctl, struct error *err)
{
    return collector_run(ctl, WHAT, list_sensors, err);
}

static enum ctl_exit run_list(struct ctl *ctl, struct error *err)
{
    return collector_run(ctl, WHAT, list_wishes, err);
}

const struct ctl_command config_status_command = {
    .name = "config status",
    .bit = FOR_CONFIG_STATUS,
    .summary = "what became of pushed settings at each sensor",
    .examples = "  netscopectl config status\n"
                "  netscopectl config status --state failed,rolled_back -o jsonl\n",
    .run = run_status,
};

const struct ctl_command config_list_command = {
    .name = "config list",
    .bit = FOR_CONFIG_LIST,
    .summary = "settings that sensors shall have: for whom, and how far they have come",
    .examples = "  netscopectl config list\n"
                "  netscopectl config list -o jsonl | jq -r .yaml\n",
    .run = run_list,
};
