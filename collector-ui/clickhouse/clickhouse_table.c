/* A table as the server describes it, in the form of its stream. */
#include <string.h>

#include "collector-ui/clickhouse/clickhouse_private.h"

int clickhouse_table_read(enum record_stream stream, const char *description, size_t length,
                          struct clickhouse_table *out, struct error *err)
{
    static const struct {
        const char *message, *time_column;
    } forms[RECORD_STREAM_COUNT] = {
        [RECORD_ALERTS] = {"netscope.v1.AlertRecord", "last_time"},
        [RECORD_STATS] = {"netscope.v1.StatsRecord", "end_time"},
        [RECORD_DNS] = {"netscope.v1.DnsRecord", "time"},
    };

    *out = (struct clickhouse_table){0};
    if (stream == RECORD_FLOWS) {
        out->flows = row_table_new(description, length, err);
    } else {
        out->others = record_table_new(forms[stream].message, forms[stream].time_column,
                                       description, length, err);
    }
    return clickhouse_table_is_known(out) ? 0 : -err->code;
}

void clickhouse_table_fini(struct clickhouse_table *table)
{
    row_table_free(table->flows);
    record_table_free(table->others);
    *table = (struct clickhouse_table){0};
}

const char *clickhouse_table_columns(const struct clickhouse_table *table)
{
    return table->flows != NULL ? row_table_columns(table->flows)
                                : record_table_columns(table->others);
}

uint32_t clickhouse_table_left_out(const struct clickhouse_table *table, const char **first)
{
    return table->flows != NULL ? row_table_left_out(table->flows, first)
                                : record_table_left_out(table->others, first);
}

bool clickhouse_table_keeps_records(const struct clickhouse_table *table)
{
    return table->flows != NULL ? row_table_keeps_records(table->flows)
                                : record_table_keeps_records(table->others);
}
