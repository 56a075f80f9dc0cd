/* What feeds the sensor's gRPC server without a pipeline: its settings, and records as the
 * publisher hands them over. Depends on: sensor/export. Any thread. */
#pragma once

#include "sensor/export/grpc_server.h"

/* On a free port of loopback, no TLS, no tokens, the history as large as by default. */
struct grpc_settings grpc_feed_settings(void);
/* Takes the `length` bytes at `at` (from batch_reserve) as the next record, with its identity
 * behind it. */
void grpc_feed_commit(struct record_batch *batch, uint8_t *at, size_t length,
                      enum record_stream stream, const struct record_identity *identity,
                      uint64_t time_ns);
