/* Time series of what a filter lets through: the deltas of flow records, spread over the time that
 * they cover. */
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/rest_series.h"

bool series_filter_allows(struct http_request *request, enum series_metric metric)
{
    if (metric == SERIES_BPS || metric == SERIES_PPS || metric == SERIES_NEW) {
        return true;
    }
    grpc_rest_refuse_request(
        request, "BAD_PARAMETER", "filter",
        "filter: goes with the metrics bps, pps and new_flows; flows, rtt and loss are "
        "measured by the second for all traffic of a sensor alone",
        -1);
    return false;
}

static void add(struct series *s, const char *key, size_t length, uint32_t at, double a, double b)
{
    struct series_column *const column = series_column(s, key, length);

    if (column != NULL) {
        column->points[at].a += a;
        column->points[at].b += b;
        column->points[at].is_known = true;
        column->weight += a + b;
    }
}

static void add_row(struct series *s, const struct history_aggregate_row *row)
{
    const uint32_t at = (uint32_t)((row->start_ns / NS_PER_SEC - s->from_s) / s->step_s);
    const struct history_sums *const sums = &row->sums;
    const char *const key = row->key == NULL          ? "other"
                            : s->by == SERIES_BY_NONE ? "total"
                            : s->by == SERIES_BY_SITE ? sensor_sites_find(&s->sites, row->key)
                                                      : row->key;
    const double in = (double)sums->bytes_in * 8;
    const double out = (double)(sums->bytes_forward + sums->bytes_reverse - sums->bytes_in) * 8;

    if (s->by == SERIES_BY_DIRECTION) {
        add(s, "in", 2, at, in, 0);
        add(s, "out", 3, at, out, 0);
    } else if (s->metric == SERIES_BPS) {
        add(s, key, strlen(key), at, in, out);
    } else {
        add(s, key, strlen(key), at,
            (double)(s->metric == SERIES_PPS ? sums->packets : sums->new_flows), 0);
    }
}

/* Steps of which a sensor told: nothing that matches is 0 there, and not unknown. */
static void cover(void *context, int64_t start_s, const char *sensor_id,
                  const struct rollup *rollup)
{
    struct series *const s = context;
    const uint64_t at = ((uint64_t)start_s - s->from_s) / s->step_s;

    if ((uint64_t)start_s < s->from_s || at >= s->points || rollup->sums.seconds == 0) {
        return;
    }
    s->covered[at].steps++;
    const bool is_of_sites = s->by == SERIES_BY_SITE;
    const char *const key = is_of_sites ? sensor_sites_find(&s->sites, sensor_id) : sensor_id;
    for (uint32_t i = 0; (is_of_sites || s->by == SERIES_BY_SENSOR) && i < s->count; i++) {
        if (strcmp(s->columns[i].key, key) == 0) {
            s->columns[i].points[at].is_known = true;
        }
    }
}

int series_filter_run(struct rest_job *job, struct series *s, struct history_reader *reader)
{
    const uint64_t to_s = s->from_s + s->points * s->step_s;
    const bool is_of_sensors = s->by == SERIES_BY_SENSOR || s->by == SERIES_BY_SITE;
    struct series_column *other;
    bool has_others = false;
    const struct history_aggregate_query query = {
        .from_ns = s->from_s * NS_PER_SEC,
        .to_ns = to_s * NS_PER_SEC,
        .filter = job->filter,
        .by = {is_of_sensors ? DIMENSION_SENSOR : DIMENSION_APPLICATION},
        .by_count = is_of_sensors || s->by == SERIES_BY_APP,
        .step_ns = s->step_s * NS_PER_SEC,
        .limit = s->by == SERIES_BY_SITE ? SERIES_COLUMNS_MAX - 1 : s->shown,
        .is_all = job->is_all};
    struct history_aggregate sums;
    int result = history_query_aggregate(reader, &query, &sums);

    if (s->by == SERIES_BY_DIRECTION) {
        (void)series_column(s, "in", 2);
        (void)series_column(s, "out", 3);
    } else if (s->by == SERIES_BY_NONE) {
        (void)series_column(s, "total", 5);
    }
    for (uint32_t i = 0; result == 0 && i < sums.count; i++) {
        if (sums.rows[i].key == NULL) {
            has_others = true;
        }
        add_row(s, &sums.rows[i]);
    }
    if (has_others && (other = series_column(s, "other", 5)) != NULL) {
        other->weight = -1; /* the last */
    }
    history_aggregate_fini(&sums);
    return result != 0
               ? result
               : history_query_rollups(reader, (uint32_t)s->base_s, s->from_s, to_s, cover, s);
}
