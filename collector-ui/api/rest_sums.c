/* /v1/summary and /v1/timeseries. Traffic figures come from the sensors' StatsRecords (exact by the
 * second), the totals of packets and bytes of a summary from flow records. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/api_private.h"

#define POINTS_MAX    10000u
#define SERIES_MAX    128u
#define SERIES_SHOWN  20u
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
    enum { SENSORS_MAX = 4096 };
    struct sensor_info *const list = calloc(SENSORS_MAX, sizeof *list);
    if (list == NULL) {
        return;
    }
    s->sensors = sensor_registry_list(api->registry, clock_wall_ns(), list, SENSORS_MAX);
    for (uint64_t i = 0; i < s->sensors && i < SENSORS_MAX; i++) {
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

/* ---- time series ---- */

enum metric {
    METRIC_BPS,
    METRIC_PPS,
    METRIC_FLOWS,
    METRIC_NEW,
    METRIC_RTT,
    METRIC_LOSS,
    METRIC_COUNT
};
static const char *const metric_names[] = {"bps", "pps", "flows", "new_flows", "rtt", "loss"};
enum by { BY_NONE, BY_APP, BY_SENSOR, BY_DIRECTION, BY_COUNT };
static const char *const by_names[] = {"none", "app", "sensor", "direction"};
enum { N_METRIC, N_BY, N_STEP_MS };

struct point {
    double a, b; /* in and out; packets and lost; sums */
    bool is_known;
};

struct column {
    char key[132];
    double weight;
    struct point *points;
    struct rollup_sums *rtt;
};

struct series {
    enum metric metric;
    enum by by;
    uint64_t base_s, step_s, from_s;
    uint32_t points;
    struct column *columns;
    uint32_t count;
    struct {
        int64_t last_s;
        uint32_t steps; /* base steps in it that a sensor told of */
    } * covered;
    bool is_out_of_memory;
};

static struct column *column_of(struct series *s, const char *key, size_t length)
{
    if (length >= sizeof s->columns[0].key) {
        length = sizeof s->columns[0].key - 1;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        if (strlen(s->columns[i].key) == length && memcmp(s->columns[i].key, key, length) == 0) {
            return &s->columns[i];
        }
    }
    if (s->count == SERIES_MAX) {
        return &s->columns[SERIES_MAX - 1]; /* it is called other, see below */
    }
    struct column *const column = &s->columns[s->count];
    column->points = calloc(s->points, sizeof *column->points);
    column->rtt = s->metric == METRIC_RTT ? calloc(s->points, sizeof *column->rtt) : NULL;
    if (column->points == NULL || (s->metric == METRIC_RTT && column->rtt == NULL)) {
        s->is_out_of_memory = true;
        free(column->points);
        column->points = NULL;
        return NULL;
    }
    memcpy(column->key, key, length);
    column->key[length] = '\0';
    if (++s->count == SERIES_MAX) {
        strcpy(column->key, "other");
    }
    return column;
}

static void add_point(struct series *s, const char *key, size_t length, uint32_t at, double a,
                      double b, const struct rollup_sums *sums)
{
    struct column *const column = column_of(s, key, length);
    if (column == NULL) {
        return;
    }
    struct point *const point = &column->points[at];
    point->a += a;
    point->b += b;
    point->is_known = true;
    column->weight += a + b;
    if (column->rtt != NULL) {
        for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
            column->rtt[at].rtt_counts[i] += sums->rtt_counts[i];
        }
        column->weight += 1;
    }
}

static void values_of(enum metric metric, const struct rollup_sums *sums, double *a, double *b)
{
    *b = 0;
    switch (metric) {
    case METRIC_BPS:
        *a = (double)sums->bytes_in * 8;
        *b = (double)(sums->bytes > sums->bytes_in ? sums->bytes - sums->bytes_in : 0) * 8;
        break;
    case METRIC_PPS:
        *a = (double)sums->packets;
        break;
    case METRIC_FLOWS:
        *a = (double)sums->flows_active / (double)sums->seconds;
        break;
    case METRIC_NEW:
        *a = (double)sums->new_flows;
        break;
    case METRIC_LOSS:
        *a = (double)sums->packets;
        *b = (double)sums->lost;
        break;
    default:
        *a = 0;
    }
}

static void add_series(void *context, int64_t start_s, const char *sensor_id,
                       const struct rollup *rollup)
{
    struct series *const s = context;
    const struct rollup_sums *const sums = &rollup->sums;
    const uint64_t at = ((uint64_t)start_s - s->from_s) / s->step_s;
    if ((uint64_t)start_s < s->from_s || at >= s->points || sums->seconds == 0) {
        return; /* minutes that hold flow records alone tell nothing of rates */
    }
    const uint32_t i = (uint32_t)at;
    double a;
    double b;
    if (s->covered[i].steps == 0 || s->covered[i].last_s != start_s) {
        s->covered[i].last_s = start_s;
        s->covered[i].steps++;
    }
    if (s->by == BY_APP) {
        for (uint32_t n = 0; n < rollup->apps.count; n++) {
            const struct rollup_name *const app = &rollup->apps.items[n];
            const bool is_bits = s->metric == METRIC_BPS;
            add_point(s, app->key, app->length, i,
                      is_bits ? (double)app->in * 8 : (double)app->packets,
                      is_bits ? (double)app->out * 8 : 0, sums);
        }
        return;
    }
    values_of(s->metric, sums, &a, &b);
    if (s->by == BY_DIRECTION) {
        add_point(s, "in", 2, i, a, 0, sums);
        add_point(s, "out", 3, i, b, 0, sums);
    } else {
        const char *const key = s->by == BY_SENSOR ? sensor_id : "total";
        add_point(s, key, strlen(key), i, a, b, sums);
    }
}

static int by_weight(const void *a, const void *b)
{
    const struct column *const x = a;
    const struct column *const y = b;
    return x->weight > y->weight ? -1 : x->weight < y->weight ? 1 : strcmp(x->key, y->key);
}

/* What is behind the largest goes into one column called other. */
static void join_others(struct series *s)
{
    if (s->count <= SERIES_SHOWN) {
        return;
    }
    struct column *const other = &s->columns[SERIES_SHOWN];
    for (uint32_t c = SERIES_SHOWN + 1; c < s->count; c++) {
        for (uint32_t i = 0; i < s->points; i++) {
            other->points[i].a += s->columns[c].points[i].a;
            other->points[i].b += s->columns[c].points[i].b;
            other->points[i].is_known |= s->columns[c].points[i].is_known;
            for (unsigned n = 0; other->rtt != NULL && n <= STATS_RTT_BOUNDS; n++) {
                other->rtt[i].rtt_counts[n] += s->columns[c].rtt[i].rtt_counts[n];
            }
        }
        free(s->columns[c].points);
        free(s->columns[c].rtt);
    }
    strcpy(other->key, "other");
    s->count = SERIES_SHOWN + 1;
}

static int run_series(struct rest_job *job, struct history_reader *reader, struct error *err)
{
    struct series *const s = calloc(1, sizeof *s);
    if (s == NULL) {
        return -ENOMEM;
    }
    job->result = s;
    s->metric = (enum metric)job->number[N_METRIC];
    s->by = (enum by)job->number[N_BY];
    const uint64_t range_s = (job->to_ns - job->from_ns + NS_PER_SEC - 1) / NS_PER_SEC;
    uint64_t step_s = (job->number[N_STEP_MS] + 999) / 1000;
    const uint64_t least_s = (range_s + POINTS_MAX - 3) / (POINTS_MAX - 2);
    step_s = step_s < least_s ? least_s : step_s;
    /* Seconds are kept as long as the flows are, but a long range of them is too much to read. */
    s->base_s = step_s >= 3600 || range_s > UINT64_C(60) * 86400 ? 3600
                : step_s >= 60 || range_s > 86400                ? 60
                                                                 : 1;
    s->step_s = (step_s + s->base_s - 1) / s->base_s * s->base_s;
    s->from_s = job->from_ns / NS_PER_SEC / s->step_s * s->step_s;
    const uint64_t last_s = (job->to_ns - 1) / NS_PER_SEC / s->step_s * s->step_s;
    s->points = (uint32_t)((last_s - s->from_s) / s->step_s) + 1;
    s->columns = calloc(SERIES_MAX, sizeof *s->columns);
    s->covered = calloc(s->points, sizeof *s->covered);
    if (s->columns == NULL || s->covered == NULL) {
        return -ENOMEM;
    }
    const int result = history_query_rollups(reader, (uint32_t)s->base_s, s->from_s,
                                             last_s + s->step_s, add_series, s);
    if (s->is_out_of_memory) {
        return error_set(err, ENOMEM, "too many points and series; ask for a larger step");
    }
    qsort(s->columns, s->count, sizeof *s->columns, by_weight);
    join_others(s);
    return result;
}

static void write_value(const struct series *s, const struct column *column, uint32_t i,
                        double seconds, bool is_out, struct json_writer *out)
{
    const struct point *const p = &column->points[i];
    double value = is_out ? p->b : p->a;
    bool is_known = p->is_known || (s->covered[i].steps > 0 && s->by != BY_SENSOR);
    switch (s->metric) {
    case METRIC_RTT:
        is_known = rollup_rtt_median_ms(&column->rtt[i], &value);
        break;
    case METRIC_LOSS:
        is_known = is_known && p->a + p->b > 0;
        value = is_known ? p->b * 1e6 / (p->a + p->b) : 0;
        break;
    case METRIC_FLOWS: /* a mean for each base step was added */
        value /= s->covered[i].steps > 0 ? s->covered[i].steps : 1;
        break;
    default:
        value /= seconds;
    }
    if (is_known) {
        json_double(out, value);
    } else {
        json_null(out);
    }
}

static void write_column(const struct series *s, const struct column *column, bool is_out,
                         double now_s, struct json_writer *out)
{
    json_array_begin(out);
    for (uint32_t i = 0; i < s->points; i++) {
        const double start = (double)(s->from_s + i * s->step_s);
        const double elapsed = now_s - start; /* a running step holds the mean so far */
        const double seconds =
            elapsed > 1 && elapsed < (double)s->step_s ? elapsed : (double)s->step_s;
        write_value(s, column, i, seconds, is_out, out);
    }
    json_array_end(out);
}

static void write_series(struct rest_job *job, struct json_writer *out)
{
    const struct series *const s = job->result;
    const double now_s = (double)clock_wall_ns() / 1e9;
    json_object_begin(out);
    key_count(out, "step_ms", s->step_s * 1000);
    json_key(out, "t");
    json_array_begin(out);
    for (uint32_t i = 0; i < s->points; i++) {
        json_u64(out, (s->from_s + i * s->step_s) * 1000);
    }
    json_array_end(out);
    json_key(out, "series");
    json_array_begin(out);
    for (uint32_t c = 0; c < s->count; c++) {
        json_object_begin(out);
        json_key(out, "key");
        json_text(out, s->columns[c].key);
        json_key(out, "in");
        write_column(s, &s->columns[c], false, now_s, out);
        if (s->metric == METRIC_BPS && s->by != BY_DIRECTION) {
            json_key(out, "out");
            write_column(s, &s->columns[c], true, now_s, out);
        }
        json_object_end(out);
    }
    json_array_end(out);
    key_count(out, "scanned", job->cost.scanned);
    rest_meta(job, out);
    json_object_end(out);
}

static void fini_series(struct rest_job *job)
{
    struct series *const s = job->result;
    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; s->columns != NULL && i < s->count; i++) {
        free(s->columns[i].points);
        free(s->columns[i].rtt);
    }
    free(s->columns);
    free(s->covered);
}

static bool read_choice(struct http_request *request, const char *name, const char *const *names,
                        unsigned count, const char *list, uint64_t *value)
{
    const char *const text = http_request_query(request, name);
    for (unsigned i = 0; i < count; i++) {
        if (text == NULL || strcmp(text, names[i]) == 0) {
            *value = i;
            return true;
        }
    }
    char detail[160];
    snprintf(detail, sizeof detail, "%s: one of %s", name, list);
    http_problem(request, 400, "BAD_PARAMETER", detail, -1);
    return false;
}

static bool read_series(struct http_request *request, struct rest_job *job)
{
    job->number[N_STEP_MS] = 1000;
    if (!read_choice(request, "metric", metric_names, METRIC_COUNT,
                     "bps, pps, flows, new_flows, rtt, loss", &job->number[N_METRIC]) ||
        !read_choice(request, "by", by_names, BY_COUNT, "none, app, sensor, direction",
                     &job->number[N_BY]) ||
        !rest_number(request, "step", 1, UINT64_C(31536000000), &job->number[N_STEP_MS])) {
        return false;
    }
    const enum metric metric = (enum metric)job->number[N_METRIC];
    const enum by by = (enum by)job->number[N_BY];
    if ((by == BY_APP && metric != METRIC_BPS && metric != METRIC_PPS) ||
        (by == BY_DIRECTION && metric != METRIC_BPS)) {
        http_problem(request, 400, "BAD_PARAMETER",
                     "by: app goes with bps and pps, direction with bps", -1);
        return false;
    }
    if (job->filter != NULL) {
        http_problem(request, 501, "UNIMPLEMENTED",
                     "filter: this collector has no filtered time series", -1);
        return false;
    }
    return true;
}

void route_timeseries(struct http_request *request)
{
    struct rest_job *const job = rest_job_new(request, REST_RANGE | REST_FILTER);
    if (job == NULL) {
        return;
    }
    if (!read_series(request, job)) {
        rest_job_free(job);
        return;
    }
    job->run = run_series;
    job->write = write_series;
    job->fini = fini_series;
    rest_job_submit(request, job);
}
