/* `netscopectl query`: sums of the collector's history by group and time. */
#include <errno.h>
#include <string.h>

#include "ctl/choice.h"
#include "ctl/csv.h"
#include "ctl/history/history.h"
#include "ctl/json_list.h"
#include "ctl/table.h"

#define PATH          "/netscope.v1.QueryService/Aggregate"
#define LIMIT_DEFAULT 10
#define KEYS_MAX      4
#define KEY_BYTES     96
#define SUMS          "bytes_forward,bytes_reverse,packets,records,new_flows,other"

static const char *groups_of(const struct ctl *ctl)
{
    return ctl->options.by != NULL ? ctl->options.by : "application";
}

/* The names of --by, each as a text; how many. */
static unsigned split_groups(const struct ctl *ctl, char keys[KEYS_MAX][KEY_BYTES])
{
    unsigned count = 0;

    for (const char *at = groups_of(ctl); *at != '\0' && count < KEYS_MAX;) {
        const size_t length = strcspn(at, ",");

        if (length > 0) {
            (void)snprintf(keys[count++], KEY_BYTES, "%.*s", (int)length, at);
        }
        at += length + (at[length] == ',');
    }
    return count;
}

/* ---- a table ---- */

static unsigned add_columns(struct table_column *columns, unsigned count)
{
    static const char *const figures[] = {"BYTES", "UP", "DOWN", "PACKETS", "RECORDS", "NEW FLOWS"};

    for (size_t i = 0; i < ARRAY_COUNT(figures); i++) {
        columns[count++] = (struct table_column){figures[i], TABLE_FIGURE};
    }
    return count;
}

static void put_row(struct table *table, const struct view *row, bool has_time, unsigned keys)
{
    const bool is_other = view_bool(row, "other");
    const uint64_t up = view_number(row, "bytes_forward");
    const uint64_t down = view_number(row, "bytes_reverse");
    struct view_list list = view_list_of(row, "key");

    if (has_time) {
        table_put_time(table, view_ns(row, "time"));
    }
    for (unsigned i = 0; i < keys; i++) {
        struct record_text key = {"", 0};

        (void)!view_list_text(&list, &key);
        table_put_name(table, is_other ? SHOW_DIM : SHOW_NAME, key);
    }
    table_put_bytes(table, up + down);
    table_put_bytes(table, up);
    table_put_bytes(table, down);
    table_put_count(table, view_number(row, "packets"));
    table_put_count(table, view_number(row, "records"));
    table_put_count(table, view_number(row, "new_flows"));
}

static bool put_table(struct ctl *ctl, const struct view *answer, struct error *err)
{
    static char keys[KEYS_MAX][KEY_BYTES];
    struct table_column columns[1 + KEYS_MAX + 6];
    const bool has_time = ctl->options.step_ns > 0;
    const unsigned groups = split_groups(ctl, keys);
    unsigned count = 0;

    if (has_time) {
        columns[count++] = (struct table_column){"TIME", TABLE_WORD};
    }
    for (unsigned i = 0; i < groups; i++) {
        for (char *at = keys[i]; *at != '\0'; at++) {
            *at = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
        }
        columns[count++] = (struct table_column){keys[i], TABLE_TEXT};
    }
    AUTO(table) table = table_new(columns, add_columns(columns, count), err);
    struct view_list list = view_list_of(answer, "rows");
    struct view each;

    if (table == NULL) {
        return false;
    }
    while (view_list_next(&list, &each)) {
        put_row(table, &each, has_time, groups);
    }
    return table_write(table, &ctl->out, err);
}

/* ---- CSV: a column for each key ---- */

static bool put_csv(struct ctl *ctl, const struct view *answer, struct error *err)
{
    static char keys[KEYS_MAX][KEY_BYTES];
    static struct csv time, sums;
    const unsigned groups = split_groups(ctl, keys);
    struct view_list list = view_list_of(answer, "rows");
    struct view each;

    csv_begin(&sums, &ctl->out);
    csv_begin(&time, &ctl->out);
    if (csv_columns(&time, "AggregateRow", "time", err) != 0 ||
        csv_columns(&sums, "AggregateRow", SUMS, err) != 0) {
        return false;
    }
    csv_name(&sums, "time", 4);
    for (unsigned i = 0; i < groups; i++) {
        csv_name(&sums, keys[i], strlen(keys[i]));
    }
    csv_header(&sums);
    while (view_list_next(&list, &each)) {
        struct view_list key_list = view_list_of(&each, "key");

        time.cells = 0;
        csv_fields(&time, &each);
        sums.cells = 1;
        for (unsigned i = 0; i < groups; i++) {
            struct record_text key = {"", 0};

            (void)!view_list_text(&key_list, &key);
            csv_text(&sums, key);
        }
        csv_fields(&sums, &each);
        csv_end_line(&sums);
    }
    return true;
}

static bool show(struct ctl *ctl, const struct view *answer, struct error *err)
{
    return form_is_json(ctl->options.form)
               ? json_list_put_all(&ctl->out, ctl->options.form, answer, "rows", err)
           : ctl->options.form == FORM_CSV ? put_csv(ctl, answer, err)
                                           : put_table(ctl, answer, err);
}

static enum ctl_exit use(struct ctl *ctl, struct connection *connection, struct error *err)
{
    const struct ctl_options *o = &ctl->options;
    struct request request;

    if (history_begin(ctl, &request, "AggregateRequest", err) != 0) {
        return CTL_USAGE;
    }
    request_set_each(&request, "group_by", groups_of(ctl));
    request_set_duration(&request, "step", o->step_ns);
    request_set_number(&request, "limit", o->last > 0 ? o->last : LIMIT_DEFAULT);
    return request_is_whole(&request)
               ? history_ask(ctl, connection, PATH, &request, "AggregateResponse", show, err)
               : CTL_USAGE;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    if (choice_check_groups(&ctl->options, KEYS_MAX, err) != 0) {
        return CTL_USAGE;
    }
    return history_run(ctl, use, err);
}

const struct ctl_command query_command = {
    .name = "query",
    .bit = FOR_QUERY,
    .summary = "sums of a collector's history by group and time",
    .examples =
        "  netscopectl query                                     applications of the last hour\n"
        "  netscopectl query --by client,server_label --since 1d -n 50 -o csv\n"
        "  netscopectl query --by application --step 5m --since 2h\n"
        "  netscopectl query --by sensor --filter 'app = dns' --step 1h --since 1d -o jsonl\n"
        "\nGroups: up to four of application, sensor, client, server, server_port, server_name,\n"
        "server_label, ip_protocol, ip_version, vlan, direction, client.labels.KEY and\n"
        "server.labels.KEY. The largest keep their names, the rest is other.\n",
    .run = run,
};
