/* /v1/timeseries: figures by time. Without a filter they come from the sensors' StatsRecords (exact
 * by the second), with one from flow records (rest_series_filter.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/rest_series.h"

#define POINTS_MAX 10000u

static const char *const metric_names[SERIES_METRIC_COUNT] = {"bps",       "pps", "flows",
                                                              "new_flows", "rtt", "loss"};
static const char *const by_names[SERIES_BY_COUNT] = {"none", "app", "sensor", "direction", "site"};

struct series_column *series_column(struct series *s, const char *key, size_t length)
{
    if (length >= sizeof s->columns[0].key) {
        length = sizeof s->columns[0].key - 1;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        if (strlen(s->columns[i].key) == length && memcmp(s->columns[i].key, key, length) == 0) {
            return &s->columns[i];
        }
    }
    if (s->count == SERIES_COLUMNS_MAX) {
        return &s->columns[SERIES_COLUMNS_MAX - 1]; /* it is called other, see below */
    }
    struct series_column *const column = &s->columns[s->count];
    column->points = calloc(s->points, sizeof *column->points);
    column->rtt = s->metric == SERIES_RTT ? calloc(s->points, sizeof *column->rtt) : NULL;
    if (column->points == NULL || (s->metric == SERIES_RTT && column->rtt == NULL)) {
        s->is_out_of_memory = true;
        free(column->points);
        column->points = NULL;
        return NULL;
    }
    memcpy(column->key, key, length);
    column->key[length] = '\0';
    if (++s->count == SERIES_COLUMNS_MAX) {
        strcpy(column->key, "other");
    }
    return column;
}

static void add_point(struct series *s, const char *key, size_t length, uint32_t at, double a,
                      double b, const struct rollup_sums *sums)
{
    struct series_column *const column = series_column(s, key, length);
    if (column == NULL) {
        return;
    }
    struct series_point *const point = &column->points[at];
    point->a += a;
    point->b += b;
    point->is_known = true;
    column->weight += s->metric == SERIES_LOSS ? b : a + b;
    if (column->rtt != NULL) {
        for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
            column->rtt[at].rtt_counts[i] += sums->rtt_counts[i];
        }
        column->weight += 1;
    }
}

static void values_of(enum series_metric metric, const struct rollup_sums *sums, double *a,
                      double *b)
{
    *b = 0;
    switch (metric) {
    case SERIES_BPS:
        *a = (double)sums->bytes_in * 8;
        *b = (double)(sums->bytes > sums->bytes_in ? sums->bytes - sums->bytes_in : 0) * 8;
        break;
    case SERIES_PPS:
        *a = (double)sums->packets;
        break;
    case SERIES_FLOWS:
        *a = (double)sums->flows_active / (double)sums->seconds;
        break;
    case SERIES_NEW:
        *a = (double)sums->new_flows;
        break;
    case SERIES_LOSS:
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
    if (s->sensor[0] != '\0' && strcmp(s->sensor, sensor_id) != 0) {
        return;
    }
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
    if (s->by == SERIES_BY_APP) {
        for (uint32_t n = 0; n < rollup->apps.count; n++) {
            const struct rollup_name *const app = &rollup->apps.items[n];
            const bool is_bits = s->metric == SERIES_BPS;
            add_point(s, app->key, app->length, i,
                      is_bits ? (double)app->in * 8 : (double)app->packets,
                      is_bits ? (double)app->out * 8 : 0, sums);
        }
        return;
    }
    values_of(s->metric, sums, &a, &b);
    if (s->by == SERIES_BY_DIRECTION) {
        add_point(s, "in", 2, i, a, 0, sums);
        add_point(s, "out", 3, i, b, 0, sums);
    } else {
        const char *const key = s->by == SERIES_BY_SENSOR ? sensor_id
                                : s->by == SERIES_BY_SITE ? sensor_sites_find(&s->sites, sensor_id)
                                                          : "total";
        add_point(s, key, strlen(key), i, a, b, sums);
    }
}

static int by_weight(const void *a, const void *b)
{
    const struct series_column *const x = a;
    const struct series_column *const y = b;
    return x->weight > y->weight ? -1 : x->weight < y->weight ? 1 : strcmp(x->key, y->key);
}

/* What is behind the largest goes into one column called other. */
static void join_others(struct series *s)
{
    if (s->count <= s->shown) {
        return;
    }
    struct series_column *const other = &s->columns[s->shown];
    for (uint32_t c = s->shown + 1; c < s->count; c++) {
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
    s->count = s->shown + 1;
}

static int run_series(struct rest_job *job, struct history_reader *reader, struct error *err)
{
    struct series *const s = calloc(1, sizeof *s);
    if (s == NULL) {
        return -ENOMEM;
    }
    job->result = s;
    s->metric = (enum series_metric)job->number[N_METRIC];
    s->by = (enum series_by)job->number[N_BY];
    s->shown = (uint32_t)job->number[N_TOP];
    s->sensor = job->text[T_SENSOR];
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
    s->columns = calloc(SERIES_COLUMNS_MAX, sizeof *s->columns);
    s->covered = calloc(s->points, sizeof *s->covered);
    if (s->columns == NULL || s->covered == NULL ||
        (s->by == SERIES_BY_SITE && sensor_sites_read(job->api, &s->sites) != 0)) {
        return -ENOMEM;
    }
    const int result = job->filter != NULL
                           ? series_filter_run(job, s, reader)
                           : history_query_rollups(reader, (uint32_t)s->base_s, s->from_s,
                                                   last_s + s->step_s, add_series, s);
    if (s->is_out_of_memory) {
        return error_set(err, ENOMEM, "too many points and series; ask for a larger step");
    }
    if (s->count > 0) {
        qsort(s->columns, s->count, sizeof *s->columns, by_weight);
    }
    if (job->filter == NULL || s->by == SERIES_BY_SITE) {
        join_others(s);
    }
    return result;
}

static void write_value(const struct series *s, const struct series_column *column, uint32_t i,
                        double seconds, bool is_out, struct json_writer *out)
{
    const struct series_point *const p = &column->points[i];
    double value = is_out ? p->b : p->a;
    bool is_known = p->is_known || (s->covered[i].steps > 0 && s->by != SERIES_BY_SENSOR &&
                                    s->by != SERIES_BY_SITE);
    switch (s->metric) {
    case SERIES_RTT:
        is_known = rollup_rtt_median_ms(&column->rtt[i], &value);
        break;
    case SERIES_LOSS:
        is_known = is_known && p->a + p->b > 0;
        value = is_known ? p->b * 1e6 / (p->a + p->b) : 0;
        break;
    case SERIES_FLOWS: /* a mean for each base step was added */
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

static void write_column(const struct series *s, const struct series_column *column, bool is_out,
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
    json_key(out, "step_ms");
    rest_count(out, s->step_s * 1000);
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
        if (s->metric == SERIES_BPS && s->by != SERIES_BY_DIRECTION) {
            json_key(out, "out");
            write_column(s, &s->columns[c], true, now_s, out);
        }
        json_object_end(out);
    }
    json_array_end(out);
    json_key(out, "scanned");
    rest_count(out, job->cost.scanned);
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
    sensor_sites_fini(&s->sites);
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
    grpc_rest_refuse_request(request, "BAD_PARAMETER", name, detail, -1);
    return false;
}

static bool read_series(struct http_request *request, struct rest_job *job)
{
    const char *const sensor = http_request_query(request, "sensor");

    job->number[N_STEP_MS] = 1000;
    job->number[N_TOP] = SERIES_SHOWN;
    if (!read_choice(request, "metric", metric_names, SERIES_METRIC_COUNT,
                     "bps, pps, flows, new_flows, rtt, loss", &job->number[N_METRIC]) ||
        !read_choice(request, "by", by_names, SERIES_BY_COUNT, "none, app, sensor, direction, site",
                     &job->number[N_BY]) ||
        !rest_number(request, "step", 1, UINT64_C(31536000000), &job->number[N_STEP_MS]) ||
        !rest_number(request, "top", 1, SERIES_COLUMNS_MAX - 1, &job->number[N_TOP])) {
        return false;
    }
    if (sensor != NULL && (job->filter != NULL || strlen(sensor) >= sizeof job->text[T_SENSOR])) {
        grpc_rest_refuse_request(
            request, "BAD_PARAMETER", "sensor",
            "sensor: the id of one, without a filter (which can name sensors itself)", -1);
        return false;
    }
    if (sensor != NULL) {
        memcpy(job->text[T_SENSOR], sensor, strlen(sensor) + 1);
    }
    const enum series_metric metric = (enum series_metric)job->number[N_METRIC];
    const enum series_by by = (enum series_by)job->number[N_BY];
    const bool is_of_apps = metric == SERIES_BPS || metric == SERIES_PPS ||
                            (metric == SERIES_NEW && job->filter != NULL);
    if ((by == SERIES_BY_APP && !is_of_apps) ||
        (by == SERIES_BY_DIRECTION && metric != SERIES_BPS)) {
        grpc_rest_refuse_request(
            request, "BAD_PARAMETER", "by",
            "by: app goes with bps and pps (with a filter also new_flows), direction with bps", -1);
        return false;
    }
    return job->filter == NULL || series_filter_allows(request, metric);
}

void route_timeseries(struct http_request *request)
{
    struct rest_job *const job = rest_job_new(request, REST_RANGE | REST_FILTER | REST_DEDUP);
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
