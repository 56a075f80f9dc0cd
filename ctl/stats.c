/* `netscopectl stats`: rates and health of each sensor, once or each second. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/choice.h"
#include "ctl/connection.h"
#include "ctl/json_list.h"
#include "ctl/loss.h"
#include "ctl/message.h"
#include "ctl/report.h"

#define GET "/netscope.v1.StatsService/GetStats"
/* Of -o csv. */
#define COLUMNS                                                                                    \
    "sensor_id,start_time,end_time,totals.packets,totals.bytes,totals.flows_active,"               \
    "totals.new_flows,totals.ended_flows,totals.lost_packets,packets_total,bytes_total,uptime,"    \
    "version"
#define WATCH "/netscope.v1.StatsService/WatchStats"

struct stats {
    struct ctl *ctl;
    struct json_list json;
    uint64_t count;
    bool is_damaged;
};

static const struct report_column columns[] = {
    {"TIME", 25}, {"SENSOR", 20}, {"PACKETS/S", 11}, {"BITS/S", 10}, {"FLOWS", 9}, {"NEW/S", 9},
    {"RTX/S", 8}, {"RTT", 9},     {"DNS/S", 8},      {"LOST", 8},    {"TABLE", 8}};

static uint64_t per_second(uint64_t count, uint64_t interval_ns)
{
    return interval_ns == 0 ? count : (uint64_t)((double)count * 1e9 / (double)interval_ns);
}

static void put_health(struct line *line, const struct view *stats, uint64_t interval_ns)
{
    const struct view health = view_message(stats, "tcp_health");
    const uint64_t again = view_number(&health, "retransmitted_segments");
    const uint64_t samples = view_packed_sum(&health, "rtt_counts");

    show_count(&line->show, per_second(again, interval_ns));
    line_cell(line, columns[6].width);
    if (samples == 0) {
        show_text(&line->show, "-");
    } else {
        const double mean = view_double(&health, "rtt_sum_seconds") / (double)samples;

        show_duration(&line->show, mean > 0 && mean < 1e6 ? (uint64_t)(mean * 1e9) : 0);
    }
    line_cell(line, columns[7].width);
}

static void put_table_use(struct line *line, const struct view *stats)
{
    struct view_list list = view_list_of(stats, "shards");
    struct view each;
    uint64_t used = 0, room = 0;

    while (view_list_next(&list, &each)) {
        used += view_number(&each, "flows_active");
        room += view_number(&each, "flows_max");
    }
    if (room == 0) {
        show_text(&line->show, "-");
    } else {
        show_text(&line->show, "%.1f%%", 100.0 * (double)used / (double)room);
    }
}

static void put_stats(struct output *out, const struct view *stats)
{
    const struct view totals = view_message(stats, "totals");
    const struct view dns = view_message(stats, "dns");
    const uint64_t begin_ns = view_ns(stats, "start_time"), end_ns = view_ns(stats, "end_time");
    const uint64_t interval_ns = end_ns > begin_ns ? end_ns - begin_ns : 0;
    const uint64_t lost = view_number(&totals, "lost_packets");
    struct line line;

    line_begin(&line, out);
    show_time(&line.show, end_ns);
    line_cell(&line, columns[0].width);
    show_name(&line.show, view_text(stats, "sensor_id"));
    line_cell(&line, columns[1].width);
    show_count(&line.show, per_second(view_number(&totals, "packets"), interval_ns));
    line_cell(&line, columns[2].width);
    show_count(&line.show, 8 * per_second(view_number(&totals, "bytes"), interval_ns));
    line_cell(&line, columns[3].width);
    show_count(&line.show, view_number(&totals, "flows_active"));
    line_cell(&line, columns[4].width);
    show_count(&line.show, per_second(view_number(&totals, "new_flows"), interval_ns));
    line_cell(&line, columns[5].width);
    put_health(&line, stats, interval_ns);
    show_count(&line.show, per_second(view_number(&dns, "queries"), interval_ns));
    line_cell(&line, columns[8].width);
    show_colour(&line.show, lost > 0 ? SHOW_BAD : SHOW_PLAIN);
    show_count(&line.show, lost);
    show_colour(&line.show, SHOW_PLAIN);
    line_cell(&line, columns[9].width);
    put_table_use(&line, stats);
    line_end(&line);
}

static void take_record(struct stats *stats, const struct view *record)
{
    if (form_is_data(stats->ctl->options.form)) {
        stats->is_damaged |= !json_list_put(&stats->json, record);
    } else {
        if (stats->count == 0) {
            report_header(&stats->ctl->out, columns, ARRAY_COUNT(columns));
        }
        put_stats(&stats->ctl->out, record);
    }
    stats->count++;
}

static void take_message(void *context, const uint8_t *bytes, size_t length)
{
    struct stats *stats = context;
    const struct view message = view_of("WatchStatsResponse", bytes, length);
    const struct view batch = view_message(&message, "stats");
    struct view_list list = view_list_of(&batch, "stats");
    struct view each;

    while (view_list_next(&list, &each)) {
        take_record(stats, &each);
    }
    output_flush(&stats->ctl->out);
    if (view_has(&message, "loss_notice")) {
        const struct view loss = view_message(&message, "loss_notice");

        (void)loss_tell(&loss, "records of statistics");
    }
}

static enum ctl_exit watch(struct stats *stats, struct connection *connection, struct error *err)
{
    struct request request;

    request_begin(&request, "WatchStatsRequest", err);
    request_set_duration(&request, "interval", stats->ctl->options.interval_ns);
    choice_sensors(&request, &stats->ctl->options);
    if (!request_is_whole(&request)) {
        return CTL_USAGE;
    }
    const enum ctl_exit status =
        each_message(connection, WATCH, &request, &stats->ctl->out, true, take_message, stats, err);

    if (stop_is_wanted()) {
        tell("%llu records of %s, stopped by a signal", (unsigned long long)stats->count,
             connection->target);
    }
    return status;
}

static enum ctl_exit get(struct stats *stats, struct connection *connection, struct error *err)
{
    struct request request;
    struct answer answer = {0};
    struct view each;

    request_begin(&request, "GetStatsRequest", err);
    choice_sensors(&request, &stats->ctl->options);
    if (!request_is_whole(&request)) {
        return CTL_USAGE;
    }
    const enum ctl_exit status = ask(connection, GET, request.bytes, request.length, &answer, err);

    if (status == CTL_OK) {
        const struct view view = view_of("GetStatsResponse", answer.bytes, answer.length);
        struct view_list list = view_list_of(&view, "sensors");
        bool has_sensors = false;

        while (view_list_next(&list, &each)) {
            take_record(stats, &each);
            has_sensors = true;
        }
        if (!has_sensors && view_has(&view, "stats")) {
            each = view_message(&view, "stats");
            take_record(stats, &each);
        }
        if (stats->count == 0) {
            tell("%s has no statistics yet: no second of packet time has passed",
                 connection->target);
        }
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    struct stats stats = {.ctl = ctl};
    struct connection connection;
    const bool is_data = form_is_data(ctl->options.form);

    if (ctl->options.interval_ns > 0 && !ctl->options.follow) {
        (void)error_set(err, EINVAL, "--interval: goes with --follow");
        return CTL_USAGE;
    }
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);

    if (status == CTL_OK && is_data &&
        json_list_begin_with(&stats.json, &ctl->out, ctl->options.form, "StatsRecord", COLUMNS,
                             err) != 0) {
        status = CTL_FAILED;
    } else if (status == CTL_OK) {
        status =
            ctl->options.follow ? watch(&stats, &connection, err) : get(&stats, &connection, err);
        if (is_data) {
            json_list_end(&stats.json);
        }
        status = stats.is_damaged && status == CTL_OK ? CTL_FAILED : status;
    }
    connection_close(&connection);
    return status;
}

const struct ctl_command stats_command = {
    .name = "stats",
    .bit = FOR_STATS,
    .summary = "rates and health of each sensor, once or as time goes by",
    .examples =
        "  netscopectl stats                                     the last second of each sensor\n"
        "  netscopectl stats --follow --interval 10s --sensor 'edge-*'\n"
        "  netscopectl stats -o jsonl | jq .totals.packets\n",
    .run = run,
};
