/* Parts of the page of /metrics that have a file of their own.
 *
 * Inside sensor/export only. Depends on: base/metrics, pipeline. Threads: the HTTP server's own. */
#pragma once

#include "base/metrics.h"
#include "sensor/pipeline/pipeline.h"

/* Interfaces, the kernel's rings and the shards' queues. */
void http_write_capture(struct metrics_page *page, struct pipeline *pipeline);
