/* `netscopectl top`: who moves most. A collector adds up its history; a sensor the flows it holds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/choice.h"
#include "ctl/connection.h"
#include "ctl/coverage.h"
#include "ctl/filter_text.h"
#include "ctl/json_list.h"
#include "ctl/message.h"
#include "ctl/table.h"

#define AGGREGATE     "/netscope.v1.QueryService/Aggregate"
#define TOP_FLOWS     "/netscope.v1.FlowService/GetTopFlows"
#define LIMIT_DEFAULT 10
#define KEY_BYTES     96
#define COLUMNS_MAX   (KEYS_MAX + 6)
#define KEYS_MAX      4

/* ---- what is asked ---- */

static uint64_t limit_of(const struct ctl_options *options)
{
    return options->last > 0 ? options->last : LIMIT_DEFAULT;
}

static const char *groups_of(const struct ctl_options *options)
{
    return options->by != NULL ? options->by : "application";
}

static int ask_collector(const struct ctl *ctl, struct request *request, struct error *err)
{
    const struct ctl_options *o = &ctl->options;
    struct choice_range range;

    if (choice_read_range(o, clock_wall_ns(), &range, err) != 0) {
        return -err->code;
    }
    request_begin(request, "AggregateRequest", err);
    request_set(request, "filter", o->filter);
    request_set_time(request, "from", range.since_ns);
    request_set_time(request, "to", range.until_ns);
    request_set_each(request, "group_by", groups_of(o));
    request_set_number(request, "limit", limit_of(o));
    choice_sensors(request, o);
    return request_is_whole(request) ? 0 : -err->code;
}

/* The sensor groups by one thing, and knows fewer. */
static int ask_sensor(const struct ctl *ctl, struct request *request, struct error *err)
{
    static const char *const names[][2] = {
        {"application", "app"}, {"client", "client"},           {"server", "server"},
        {"sensor", "sensor"},   {"server_port", "server_port"},
    };
    const struct ctl_options *o = &ctl->options;
    const char *group = NULL;
    uint64_t since_ns = 0;
    const uint64_t now_ns = clock_wall_ns();

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        group = strcmp(groups_of(o), names[i][0]) == 0 ? names[i][1] : group;
    }
    if (group == NULL) {
        return error_set(err, EINVAL,
                         "--by %s: a sensor groups by one of application, client, server, "
                         "server_port; a collector knows more",
                         groups_of(o));
    }
    if (o->until != NULL) {
        return error_set(err, EINVAL, "--until: a sensor has no history; ask a collector");
    }
    if (o->since != NULL && time_parse("--since", o->since, now_ns, &since_ns, err) != 0) {
        return -err->code;
    }
    request_begin(request, "GetTopFlowsRequest", err);
    request_set(request, "filter", o->filter);
    request_set(request, "group_by", group);
    request_set_number(request, "limit", limit_of(o));
    request_set_duration(request, "window", since_ns == 0 ? 0 : now_ns - since_ns);
    choice_sensors(request, o);
    return request_is_whole(request) ? 0 : -err->code;
}

/* ---- what is answered ---- */

struct row {
    struct record_text keys[KEYS_MAX];
    unsigned keys_count;
    uint64_t up, down, packets, flows;
    bool is_other;
};

static uint64_t bytes_of(const struct row *row)
{
    return row->up + row->down;
}

static struct row read_aggregate(const struct view *view)
{
    struct view_list list = view_list_of(view, "key");
    struct row row = {.up = view_number(view, "bytes_forward"),
                      .down = view_number(view, "bytes_reverse"),
                      .packets = view_number(view, "packets"),
                      .flows = view_number(view, "new_flows"),
                      .is_other = view_bool(view, "other")};

    while (row.keys_count < KEYS_MAX && view_list_text(&list, &row.keys[row.keys_count])) {
        row.keys_count++;
    }
    return row;
}

/* Of a sensor: both directions are one sum. */
static struct row read_group(const struct view *view)
{
    return (struct row){.keys = {view_text(view, "key")},
                        .keys_count = 1,
                        .up = view_number(view, "bytes"),
                        .packets = view_number(view, "packets"),
                        .flows = view_number(view, "flows")};
}

static void put_row(struct table *table, const struct row *row, unsigned keys, uint64_t total,
                    bool has_ways)
{
    for (unsigned i = 0; i < keys; i++) {
        table_put_name(table, row->is_other ? SHOW_DIM : SHOW_NAME,
                       i < row->keys_count ? row->keys[i] : (struct record_text){"", 0});
    }
    table_put_bytes(table, bytes_of(row));
    table_put(table, SHOW_PLAIN, "%.1f%%",
              total == 0 ? 0 : 100.0 * (double)bytes_of(row) / (double)total);
    if (has_ways) {
        table_put_bytes(table, row->up);
        table_put_bytes(table, row->down);
    }
    table_put_count(table, row->packets);
    table_put_count(table, row->flows);
}

/* The groups in capitals, then the figures; how many groups. */
static unsigned name_columns(const struct ctl *ctl, bool has_ways, char names[KEYS_MAX][KEY_BYTES],
                             struct table_column columns[COLUMNS_MAX], unsigned *count)
{
    const struct table_column figures[] = {
        {"BYTES", TABLE_FIGURE},   {"SHARE", TABLE_FIGURE},
        {"UP", TABLE_FIGURE},      {"DOWN", TABLE_FIGURE},
        {"PACKETS", TABLE_FIGURE}, {has_ways ? "NEW FLOWS" : "FLOWS", TABLE_FIGURE}};
    unsigned keys = 0;

    for (const char *at = groups_of(&ctl->options); *at != '\0' && keys < KEYS_MAX;) {
        const size_t length = strcspn(at, ",");

        (void)snprintf(names[keys], KEY_BYTES, "%.*s", (int)length, at);
        for (char *letter = names[keys]; *letter != '\0'; letter++) {
            *letter = (char)(*letter >= 'a' && *letter <= 'z' ? *letter - 'a' + 'A' : *letter);
        }
        columns[keys] = (struct table_column){names[keys], TABLE_TEXT};
        keys++;
        at += length + (at[length] == ',');
    }
    *count = keys;
    for (size_t i = 0; i < ARRAY_COUNT(figures); i++) {
        if (has_ways || (i != 2 && i != 3)) {
            columns[(*count)++] = figures[i];
        }
    }
    return keys;
}

static bool put_rows(struct ctl *ctl, const struct view *answer, bool is_collector,
                     struct error *err)
{
    const char *field = is_collector ? "rows" : "groups";
    static char names[KEYS_MAX][KEY_BYTES];
    struct table_column columns[COLUMNS_MAX];
    unsigned count = 0;
    const unsigned keys = name_columns(ctl, is_collector, names, columns, &count);
    AUTO(table) table = table_new(columns, count, err);
    struct view_list list = view_list_of(answer, field);
    struct view each;
    uint64_t total = 0;

    if (table == NULL) {
        return false;
    }
    while (view_list_next(&list, &each)) {
        const struct row row = is_collector ? read_aggregate(&each) : read_group(&each);

        total += bytes_of(&row);
    }
    list = view_list_of(answer, field);
    while (view_list_next(&list, &each)) {
        const struct row row = is_collector ? read_aggregate(&each) : read_group(&each);

        put_row(table, &row, keys, total, is_collector);
    }
    return table_write(table, &ctl->out, err);
}

static enum ctl_exit put_json(struct ctl *ctl, const struct view *answer, bool is_collector,
                              struct error *err)
{
    struct view_list list = view_list_of(answer, is_collector ? "rows" : "groups");
    struct json_list json;
    struct view each;
    bool is_whole = true;

    if (json_list_begin(&json, &ctl->out, ctl->options.form, err) != 0) {
        return CTL_FAILED;
    }
    while (view_list_next(&list, &each)) {
        is_whole = json_list_put(&json, &each) && is_whole;
    }
    json_list_end(&json);
    return is_whole ? CTL_OK : CTL_FAILED;
}

/* What the figures lack, in plain words. */
static void put_limits(const struct view *answer, const struct ctl_options *options,
                       bool is_collector, const char *target)
{
    if (is_collector) {
        coverage_tell(answer, options->since != NULL);
        return;
    }
    tell("%s is a sensor: it adds up the flows that it holds, a collector its history", target);
    if (view_bool(answer, "truncated")) {
        tell("a bound was met, the figures are lower bounds");
    }
}

static enum ctl_exit ask_top(struct ctl *ctl, struct connection *connection, bool is_collector,
                             struct error *err)
{
    struct answer answer = {0};
    struct request request = {.length = 0};
    enum ctl_exit status = CTL_USAGE;

    if ((is_collector ? ask_collector : ask_sensor)(ctl, &request, err) == 0) {
        status = ask(connection, is_collector ? AGGREGATE : TOP_FLOWS, request.bytes,
                     request.length, &answer, err);
    }
    if (status == CTL_OK) {
        const struct view view = view_of(is_collector ? "AggregateResponse" : "GetTopFlowsResponse",
                                         answer.bytes, answer.length);

        if (form_is_json(ctl->options.form)) {
            status = put_json(ctl, &view, is_collector, err);
        } else {
            status = put_rows(ctl, &view, is_collector, err) ? CTL_OK : CTL_FAILED;
        }
        output_flush(&ctl->out);
        put_limits(&view, &ctl->options, is_collector, connection->target);
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    struct connection connection;
    enum server_kind kind = SERVER_UNKNOWN;
    struct choice_range range;
    AUTO(filter) filter = filter_read(ctl->options.filter, err);

    if (filter == NULL) {
        return CTL_USAGE;
    }
    if (ctl->options.print_filter) {
        filter_print(filter, &ctl->out);
        return CTL_OK;
    }
    if (choice_check_groups(&ctl->options, KEYS_MAX, err) != 0 ||
        choice_read_range(&ctl->options, clock_wall_ns(), &range, err) != 0) {
        return CTL_USAGE;
    }
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);
    status = status == CTL_OK ? connection_kind(&connection, &kind, err) : status;
    if (status == CTL_OK) {
        status = ask_top(ctl, &connection, kind == SERVER_COLLECTOR, err);
    }
    connection_close(&connection);
    return status;
}

const struct ctl_command top_command = {
    .name = "top",
    .bit = FOR_TOP,
    .summary = "who moves most: sums by application, client, server, ...",
    .examples =
        "  netscopectl top                                       applications of the last hour\n"
        "  netscopectl top --by client,server_label --since 10m -n 20\n"
        "  netscopectl top --by sensor --filter 'app = dns' -o jsonl\n"
        "\nA collector groups by up to four of application, sensor, client, server, server_port,\n"
        "server_name, server_label, ip_protocol, ip_version, vlan, direction. A sensor groups the\n"
        "flows that it holds by one of application, client, server, server_port.\n",
    .run = run,
};
