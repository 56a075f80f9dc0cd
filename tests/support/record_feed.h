/* Batches of synthetic records for tests of sinks, numbered as the publisher does.
 *
 * Flows for the most part; every 64th record is an alert's, every 128th a statistic's bytes.
 * Depends on: sensor/pipeline/batch.h. One feed, one thread. */
#pragma once

#include "base/error.h"
#include "sensor/pipeline/batch.h"

struct record_feed;

MUST_USE struct record_feed *record_feed_new(uint32_t batches, struct error *err);
/* From here on flows alone, all like this one. */
void record_feed_flows_alone(struct record_feed *feed, const struct flow_record *flow);
void record_feed_free(struct record_feed *feed);
/* A batch of `count` records with the caller's reference; NULL: all batches are in use. */
MUST_USE struct record_batch *record_feed_next(struct record_feed *feed, uint32_t count);
/* Leaves out numbers, as a publisher whose queue was full. */
void record_feed_skip(struct record_feed *feed, enum record_stream stream, uint64_t count);
/* The last number of the stream. */
uint64_t record_feed_last(const struct record_feed *feed, enum record_stream stream);
