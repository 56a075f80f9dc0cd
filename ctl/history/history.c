#include "ctl/history/history.h"

#include <stdlib.h>

#include "base/clock.h"
#include "ctl/choice.h"
#include "ctl/collector.h"
#include "ctl/coverage.h"
#include "ctl/csv.h"
#include "ctl/filter_text.h"

int history_begin(const struct ctl *ctl, struct request *request, const char *name,
                  struct error *err)
{
    struct choice_range range;

    if (choice_read_range(&ctl->options, clock_wall_ns(), &range, err) != 0) {
        return -err->code;
    }
    request_begin(request, name, err);
    request_set(request, "filter", ctl->options.filter);
    request_set_time(request, "from", range.since_ns);
    request_set_time(request, "to", range.until_ns);
    choice_sensors(request, &ctl->options);
    request_set(request, "dedup", ctl->options.each_sensor ? "DEDUP_ALL" : NULL);
    return request_is_whole(request) ? 0 : -err->code;
}

enum ctl_exit history_run(struct ctl *ctl, history_use use, struct error *err)
{
    AUTO(filter) filter = filter_read(ctl->options.filter, err);

    if (filter == NULL) {
        return CTL_USAGE;
    }
    if (ctl->options.print_filter) {
        filter_print(filter, &ctl->out);
        return CTL_OK;
    }
    struct choice_range range;

    if (choice_read_range(&ctl->options, clock_wall_ns(), &range, err) != 0) {
        return CTL_USAGE;
    }
    return collector_run(ctl, "questions to the history", use, err);
}

enum ctl_exit history_ask(struct ctl *ctl, struct connection *connection, const char *path,
                          const struct request *request, const char *answer_name,
                          bool (*show)(struct ctl *ctl, const struct view *answer,
                                       struct error *err),
                          struct error *err)
{
    struct answer answer = {0};
    enum ctl_exit status = ask(connection, path, request->bytes, request->length, &answer, err);

    if (status == CTL_OK) {
        const struct view view = view_of(answer_name, answer.bytes, answer.length);

        status = show(ctl, &view, err) ? CTL_OK : CTL_FAILED;
        output_flush(&ctl->out);
        coverage_tell(&view, ctl->options.since != NULL);
    }
    free(answer.bytes);
    return status;
}

bool history_put_csv(struct ctl *ctl, const struct view *answer, const char *name,
                     const char *message, const char *columns, struct error *err)
{
    static struct csv csv;
    struct view_list list = view_list_of(answer, name);
    struct view each;

    csv_begin(&csv, &ctl->out);
    if (csv_columns(&csv, message, columns, err) != 0) {
        return false;
    }
    csv_header(&csv);
    while (view_list_next(&list, &each)) {
        csv_fields(&csv, &each);
        csv_end_line(&csv);
    }
    return true;
}

bool history_put_table(struct ctl *ctl, const struct view *answer, const char *name,
                       const struct table_column *columns, unsigned count,
                       void (*put)(struct table *table, const struct view *each), struct error *err)
{
    AUTO(table) table = table_new(columns, count, err);
    struct view_list list = view_list_of(answer, name);
    struct view each;

    if (table == NULL) {
        return false;
    }
    while (view_list_next(&list, &each)) {
        put(table, &each);
    }
    return table_write(table, &ctl->out, err);
}

void history_put_share(struct table *table, const struct view *view, const char *field,
                       bool is_failure)
{
    const double share = view_double(view, field);

    if (view_has(view, field)) {
        show_text(table_cell(table), "%.1f%%", 100 * share);
    } else {
        (void)table_cell(table);
    }
    table_keep(table, is_failure && share > 0.1    ? SHOW_BAD
                      : is_failure && share > 0.01 ? SHOW_WARN
                                                   : SHOW_PLAIN);
}

void history_put_rtt(struct table *table, const struct view *view)
{
    struct show *cell = table_cell(table);

    if (view_has(view, "rtt")) {
        show_duration(cell, view_ns(view, "rtt"));
    }
    table_keep(table, SHOW_PLAIN);
}
