#include "sensor/export/kafka_metrics.h"

#include "base/metrics.h"
#include "sensor/export/kafka_sink.h"
#include "sensor/pipeline/pipeline.h"

static void write_outcomes(const struct sink *sink, struct metrics_page *page)
{
    struct kafka_counts counts;

    kafka_sink_counts(sink, &counts);
    const struct {
        const char *outcome;
        uint64_t records;
    } rows[] = {
        {"acknowledged", counts.acked},
        {"failed", counts.failed},
        {"possibly_persisted", counts.possibly_persisted},
        {"left_out", counts.left_out},
        {"resent", counts.resent},
        {"recovered", counts.recovered},
        {"dropped_from_spool", counts.spool_lost},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        metrics_u64(page, "netscope_kafka_records_total",
                    METRICS_LABELS("sink", sink->ops->name, "outcome", rows[i].outcome),
                    rows[i].records);
    }
}

static void write_errors(const struct sink *sink, struct metrics_page *page)
{
    struct kafka_counts counts;

    kafka_sink_counts(sink, &counts);
    for (uint32_t i = 0; i < counts.errors_count; i++) {
        metrics_u64(page, "netscope_kafka_errors_total",
                    METRICS_LABELS("sink", sink->ops->name, "error", counts.errors[i].name),
                    counts.errors[i].count);
    }
}

void kafka_metrics_write(struct pipeline *pipeline, struct metrics_page *page)
{
    uint32_t count = 0;
    const struct sink *sinks = pipeline_sinks(pipeline, &count);
    bool has_family = false;

    for (uint32_t i = 0; i < count; i++) {
        if (!kafka_is_sink(&sinks[i])) {
            continue;
        }
        if (!has_family) {
            metrics_family(page, "netscope_kafka_records_total", METRICS_COUNTER,
                           "Records by what became of them; possibly_persisted and resent are "
                           "part of others.");
            has_family = true;
        }
        write_outcomes(&sinks[i], page);
    }
    if (has_family) {
        metrics_family(page, "netscope_kafka_errors_total", METRICS_COUNTER,
                       "Records that failed for good, by librdkafka's error.");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (kafka_is_sink(&sinks[i])) {
            write_errors(&sinks[i], page);
        }
    }
}
