#include "tests/support/record_feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proto/codec.h"
#include "tests/support/record_random.h"

#define BATCH_BYTES (1U << 20)
#define FLOW_BYTES  4096
#define ALERT_EVERY 64
#define STATS_EVERY 128

struct record_feed {
    struct batch_pool *pool;
    uint64_t last[RECORD_STREAM_COUNT];
    uint64_t made;
    bool is_flows_alone;
    uint8_t flow[FLOW_BYTES], alert[CODEC_ALERT_BYTES_MAX], stats[CODEC_STATS_BYTES_MAX];
    uint32_t flow_bytes, alert_bytes, stats_bytes;
};

static bool encode(struct record_feed *feed)
{
    static struct flow_record flow;
    static struct alert_record alert;
    static struct stats_record stats;

    record_typical_flow(&flow);
    flow.identity = (struct record_identity){0};
    alert = (struct alert_record){.kind = ALERT_SYN_FLOOD, .state = ALERT_OPEN, .score = 50};
    stats = (struct stats_record){.packets_total = 1000, .bytes_total = 64000};
    feed->flow_bytes = (uint32_t)codec_encode_flow(&flow, feed->flow, sizeof(feed->flow));
    feed->alert_bytes = (uint32_t)codec_encode_alert(&alert, feed->alert, sizeof(feed->alert));
    feed->stats_bytes = (uint32_t)codec_encode_stats(&stats, feed->stats, sizeof(feed->stats));
    return feed->flow_bytes > 0 && feed->alert_bytes > 0 && feed->stats_bytes > 0;
}

struct record_feed *record_feed_new(uint32_t batches, struct error *err)
{
    struct record_feed *feed = calloc(1, sizeof(*feed));

    if (feed != NULL) {
        feed->pool = batch_pool_new(batches, BATCH_BYTES, CODEC_IDENTITY_BYTES_MAX, err);
    }
    if (feed == NULL || feed->pool == NULL || !encode(feed)) {
        (void)error_set(err, ENOMEM, "record feed: no memory");
        record_feed_free(feed);
        return NULL;
    }
    return feed;
}

void record_feed_flows_alone(struct record_feed *feed, const struct flow_record *flow)
{
    feed->is_flows_alone = true;
    feed->flow_bytes = (uint32_t)codec_encode_flow(flow, feed->flow, sizeof(feed->flow));
}

void record_feed_free(struct record_feed *feed)
{
    if (feed != NULL) {
        batch_pool_free(feed->pool);
        free(feed);
    }
}

static bool add(struct record_feed *feed, struct record_batch *batch)
{
    enum record_stream stream = RECORD_FLOWS;
    const uint8_t *bytes = feed->flow;
    uint32_t length = feed->flow_bytes;

    if (!feed->is_flows_alone && feed->made % STATS_EVERY == STATS_EVERY - 1) {
        stream = RECORD_STATS;
        bytes = feed->stats;
        length = feed->stats_bytes;
    } else if (!feed->is_flows_alone && feed->made % ALERT_EVERY == ALERT_EVERY - 1) {
        stream = RECORD_ALERTS;
        bytes = feed->alert;
        length = feed->alert_bytes;
    }
    uint8_t *at = batch_reserve(batch, length);
    if (at == NULL) {
        return false;
    }
    memcpy(at, bytes, length);
    struct batch_entry *entry = batch_commit(batch, length);

    entry->stream = (uint8_t)stream;
    entry->seq = ++feed->last[stream];
    feed->made++;
    return true;
}

struct record_batch *record_feed_next(struct record_feed *feed, uint32_t count)
{
    struct record_batch *batch = batch_take(feed->pool);

    for (uint32_t i = 0; batch != NULL && i < count && add(feed, batch); i++) {
    }
    return batch;
}

void record_feed_skip(struct record_feed *feed, enum record_stream stream, uint64_t count)
{
    feed->last[stream] += count;
}

uint64_t record_feed_last(const struct record_feed *feed, enum record_stream stream)
{
    return feed->last[stream];
}
