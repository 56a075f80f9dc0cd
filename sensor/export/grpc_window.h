/* FlowService.GetTopFlows over the last part of packet time: what the records of the history say,
 * and what the flows alive now have not reported yet.
 *
 * A flow's delta counts whole when its interval reaches into the window; the bytes of those that
 * began before it are told as max_overcount. Private to sensor/export/grpc_*.c; rpc thread, but for
 * the shards' part. */
#pragma once

#include "sensor/export/grpc_gather.h"

/* Rows of one shard, and of the sum: flows, or groups. */
#define WINDOW_ROWS_MAX 65536U

/* Answers the question, in a second or less. `settings` as for gather_start, with window_ns. */
void window_start(struct grpc_ask *ask, const struct gather_settings *settings);
