/* /v1/summary. Traffic figures come from the sensors' StatsRecords (exact by the
 * second), the totals of packets and bytes of a summary from flow records. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/api_private.h"

#define TALKERS_SHOWN 60u

/* The finest step that keeps a query over this range small. */
static uint32_t sums_step(uint64_t from_ns, uint64_t to_ns)
{
    const uint64_t seconds = (to_ns - from_ns) / NS_PER_SEC;
    return seconds <= 7200 ? 1 : seconds <= UINT64_C(14) * 86400 ? 60 : 3600;
}

/* ---- summary ---- */

struct summary {
    struct history_record_sums records;
    struct rollup all; /* apps: of all sensors */
    struct rollup_list talkers;
    int64_t active_at;
    uint64_t active, open_alerts, sensors, stale;
    uint64_t steps;
};

static void add_summary(void *context, int64_t start_s, const char *sensor_id,
                        const struct rollup *rollup)
{
    struct summary *const s = context;
    (void)sensor_id;
    if (start_s > s->active_at) {
        s->active_at = start_s;
        s->active = 0;
    }
    if (start_s == s->active_at && rollup->sums.seconds > 0) {
        s->active += rollup->sums.flows_active / rollup->sums.seconds;
    }
    rollup_merge(&s->all, rollup);
    s->steps++;
}

static void count_sensors(struct api *api, struct summary *s)
{
    uint32_t count;
    struct sensor_info *const list = sensor_registry_all(api->registry, clock_wall_ns(), &count);
    s->sensors = count;
    for (uint32_t i = 0; i < count; i++) {
        s->stale += list[i].state != SENSOR_LIVE;
    }
    free(list);
}

static int run_summary(struct rest_job *job, struct history_reader *reader, struct error *err)
{
    (void)err;
    struct summary *const s = calloc(1, sizeof *s);
    if (s == NULL) {
        return -ENOMEM;
    }
    job->result = s;
    rollup_init(&s->all);
    s->all.apps.max = 256;
    s->talkers.max = 4096;
    s->active_at = -1;
    const uint32_t step = sums_step(job->from_ns, job->to_ns);
    const uint64_t step_ns = step * NS_PER_SEC;
    int result = history_query_records(reader, job->from_ns, job->to_ns, &s->records, &s->talkers);
    result = result != 0 ? result
                         : history_query_rollups(reader, step, job->from_ns / step_ns * step,
                                                 (job->to_ns + step_ns - 1) / step_ns * step,
                                                 add_summary, s);
    struct history_list alerts = {0};
    result = result != 0 ? result : history_query_alerts(reader, 0, 0, true, &alerts);
    s->open_alerts = alerts.count;
    history_list_fini(&alerts);
    count_sensors(job->api, s);
    rollup_list_sort(&s->all.apps);
    rollup_list_sort(&s->talkers);
    return result;
}

static void key_count(struct json_writer *out, const char *key, uint64_t value)
{
    json_key(out, key);
    rest_count(out, value);
}

static void key_maybe(struct json_writer *out, const char *key, bool is_known, double value)
{
    json_key(out, key);
    if (is_known) {
        json_double(out, value);
    } else {
        json_null(out);
    }
}

static void write_talker(struct json_writer *out, const struct rollup_name *item)
{
    const char *const app = item->key + strlen(item->key) + 1;
    const char *const host = app + strlen(app) + 1;
    json_object_begin(out);
    json_key(out, "sensor");
    json_text(out, item->key);
    json_key(out, "app");
    json_text(out, app);
    json_key(out, "host");
    json_text_bytes(out, host, (size_t)(item->key + item->length - host));
    key_count(out, "bytes", item->in + item->out);
    json_object_end(out);
}

static void write_talkers(struct json_writer *out, const struct rollup_list *talkers)
{
    uint64_t rest = talkers->other_in + talkers->other_out;
    json_array_begin(out);
    for (uint32_t i = 0; i < talkers->count; i++) {
        if (i < TALKERS_SHOWN) {
            write_talker(out, &talkers->items[i]);
        } else {
            rest += talkers->items[i].in + talkers->items[i].out;
        }
    }
    if (rest > 0) {
        json_object_begin(out);
        json_key(out, "sensor");
        json_text(out, "");
        json_key(out, "app");
        json_text(out, "");
        json_key(out, "host");
        json_text(out, "");
        key_count(out, "bytes", rest);
        json_object_end(out);
    }
    json_array_end(out);
}

static void write_apps(struct json_writer *out, const struct rollup_list *apps)
{
    json_array_begin(out);
    for (uint32_t i = 0; i < apps->count && i < 32; i++) {
        json_object_begin(out);
        json_key(out, "name");
        json_text_bytes(out, apps->items[i].key, apps->items[i].length);
        key_count(out, "bytes_in", apps->items[i].in);
        key_count(out, "bytes_out", apps->items[i].out);
        json_object_end(out);
    }
    json_array_end(out);
}

static void write_summary(struct rest_job *job, struct json_writer *out)
{
    const struct summary *const s = job->result;
    const struct rollup_sums *const sums = &s->all.sums;
    double rtt_ms = 0;
    const bool has_rtt = rollup_rtt_median_ms(sums, &rtt_ms);
    const uint64_t offered = sums->packets + sums->lost;
    json_object_begin(out);
    key_count(out, "from_ms", job->from_ns / NS_PER_MS);
    key_count(out, "to_ms", job->to_ns / NS_PER_MS);
    json_key(out, "totals");
    json_object_begin(out);
    key_count(out, "bytes", s->records.bytes);
    key_count(out, "packets", s->records.packets);
    key_maybe(out, "flows_active", s->steps > 0, (double)s->active);
    key_count(out, "new_flows", s->records.new_flows);
    key_maybe(out, "rtt_ms", has_rtt, rtt_ms);
    key_maybe(out, "loss_ppm", offered > 0, (double)sums->lost * 1e6 / (double)offered);
    json_object_end(out);
    json_key(out, "measured"); /* the same by the sensors' own sums, flows still running included */
    json_object_begin(out);
    key_count(out, "bytes", sums->bytes);
    key_count(out, "packets", sums->packets);
    key_count(out, "bytes_in", sums->bytes_in);
    key_count(out, "new_flows", sums->new_flows);
    json_object_end(out);
    json_key(out, "top_apps");
    write_apps(out, &s->all.apps);
    json_key(out, "talkers");
    write_talkers(out, &s->talkers);
    key_count(out, "open_alerts", s->open_alerts);
    key_count(out, "sensors_total", s->sensors);
    key_count(out, "sensors_stale", s->stale);
    key_count(out, "matched", s->records.rows);
    key_count(out, "scanned", job->cost.scanned);
    rest_meta(job, out);
    json_object_end(out);
}

static void fini_summary(struct rest_job *job)
{
    struct summary *const s = job->result;
    if (s != NULL) {
        rollup_fini(&s->all);
        struct rollup talkers = {.talkers = s->talkers};
        rollup_fini(&talkers);
    }
}

void route_summary(struct http_request *request)
{
    struct rest_job *const job = rest_job_new(request, REST_RANGE);
    if (job != NULL) {
        job->run = run_summary;
        job->write = write_summary;
        job->fini = fini_summary;
        rest_job_submit(request, job);
    }
}
