/* The inside of /v1/timeseries. Private to collector-ui/api. */
#pragma once

#include "collector-ui/api/api_private.h"
#include "collector-ui/api/sensor_site.h"

#define SERIES_COLUMNS_MAX 128u
#define SERIES_SHOWN       20u /* without top= */

enum series_metric {
    SERIES_BPS,
    SERIES_PPS,
    SERIES_FLOWS,
    SERIES_NEW,
    SERIES_RTT,
    SERIES_LOSS,
    SERIES_METRIC_COUNT
};
enum series_by {
    SERIES_BY_NONE,
    SERIES_BY_APP,
    SERIES_BY_SENSOR,
    SERIES_BY_DIRECTION,
    SERIES_BY_SITE,
    SERIES_BY_COUNT
};
/* Places in rest_job.number. */
enum { N_METRIC, N_BY, N_STEP_MS, N_TOP };
/* And in rest_job.text. */
enum { T_SENSOR };

struct series_point {
    double a, b; /* in and out; packets and lost; sums */
    bool is_known;
};

struct series_column {
    char key[132];
    double weight;
    struct series_point *points;
    struct rollup_sums *rtt;
};

struct series {
    enum series_metric metric;
    enum series_by by;
    uint64_t base_s, step_s, from_s;
    uint32_t points;
    const char *sensor; /* its seconds alone; "": those of all */
    struct series_column *columns;
    uint32_t count, shown;
    struct sensor_sites sites; /* read where it is by them */
    struct {
        int64_t last_s;
        uint32_t steps; /* base steps in it that a sensor told of */
    } * covered;
    bool is_out_of_memory;
};

/* The column of a key, made if new; the last of SERIES_COLUMNS_MAX is called other. NULL: no
 * memory. */
struct series_column *series_column(struct series *series, const char *key, size_t length);
/* False: only figures of flow records go with a filter; answered. */
MUST_USE bool series_filter_allows(struct http_request *request, enum series_metric metric);
/* Fills the columns from the flow records that the job's filter lets through. */
MUST_USE int series_filter_run(struct rest_job *job, struct series *series,
                               struct history_reader *reader);
