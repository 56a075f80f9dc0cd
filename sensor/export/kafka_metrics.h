/* Delivery of each Kafka cluster as metrics: by outcome, and failures by error. Depends on:
 * base/metrics.h, pipeline, kafka_sink.h. Any thread. */
#pragma once

struct metrics_page;
struct pipeline;

/* Nothing where no sink is a Kafka cluster. */
void kafka_metrics_write(struct pipeline *pipeline, struct metrics_page *page);
