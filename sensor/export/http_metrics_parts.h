/* Parts of the page of /metrics that have a file of their own; each writes its families, in the
 * order in which they stand on the page.
 *
 * Inside of http_metrics*.c alone. Depends on: base/metrics.h, pipeline. Threads: the HTTP server's
 * own. */
#pragma once

#include "base/metrics.h"
#include "sensor/pipeline/pipeline.h"

#define HTTP_METRICS_ROWS_MAX 64 /* of one table: shards, sinks, stages of the ledger */

/* Interfaces, the kernel's rings and the shards' queues; http_metrics_input.c. */
void http_write_input(struct metrics_page *page, struct pipeline *pipeline);
/* Flows, health of TCP and DNS, decoding, inspection, fragments; http_metrics_traffic.c. */
void http_write_traffic(struct metrics_page *page, struct pipeline *pipeline,
                        const struct pipeline_totals *totals);
/* Assets, names, labels of networks; http_metrics_hosts.c. */
void http_write_hosts(struct metrics_page *page, struct pipeline *pipeline,
                      const struct pipeline_totals *totals);
/* Alerts, detectors, what they have learnt; http_metrics_detection.c. */
void http_write_detection(struct metrics_page *page, struct pipeline *pipeline);
