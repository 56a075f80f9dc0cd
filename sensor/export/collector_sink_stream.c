/* The stream itself: what is sent, in which order, and what comes back. All on the call's thread,
 * but collector_sink_wake. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/export/collector_sink_private.h"

#define TIME_BYTES         8 /* in front of each item, see collector_sink.c */
#define QUEUE_MESSAGES_MAX 128
#define QUEUE_BYTES_MAX    ((size_t)8 << 20)

/* Alerts and figures before the mass of flows. */
static const enum record_stream send_order[COLLECTOR_LANES] = {
    RECORD_ALERTS, RECORD_STATS, RECORD_FLOWS, RECORD_PACKETS, RECORD_DNS};

static struct collector_lane *lane_of(struct collector_sink *sink, enum record_stream stream)
{
    return &sink->lanes[stream - 1];
}

/* ---- sending ---- */

static void window_push(struct collector_lane *lane, uint64_t last_seq, uint64_t taken_ns,
                        uint32_t records)
{
    const uint32_t at = (lane->window_head + lane->window_count) % COLLECTOR_WINDOW_MAX;

    lane->window[at] = (struct collector_sent){last_seq, taken_ns, records};
    lane->window_count++;
}

/* Takes back what was pushed last: it did not go. */
static void window_pop_newest(struct collector_lane *lane)
{
    lane->window_count--;
}

enum sent { SENT_NOTHING, SENT_ONE, SENT_FULL };

static void count_sent(struct collector_sink *sink, struct collector_lane *lane,
                       const struct spool_item *item)
{
    if (item->first_seq > lane->highest_seq) {
        sink->sent += item->record_count;
        lane->highest_seq = item->last_seq;
    } else {
        sink->retried += item->record_count;
    }
}

static struct rpc_bytes gap_message(struct collector_sink *sink, const struct collector_lane *lane,
                                    const struct spool_gap *gap, uint64_t acked_seq,
                                    uint64_t *to_seq)
{
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_gap notice = {.stream = lane->stream, .from_seq = gap->from_seq};
    const bool was_acked = gap->from_seq <= acked_seq;

    /* A collector that lost what it had acknowledged asks for it in vain: two different reasons. */
    notice.to_seq = was_acked && acked_seq < gap->to_seq ? acked_seq : gap->to_seq;
    (void)snprintf(notice.reason, sizeof(notice.reason), "%s",
                   was_acked ? "acknowledged_before" : "spool_full");
    memcpy(notice.boot_id, sink->boot_id, sizeof(notice.boot_id));
    *to_seq = notice.to_seq;
    return rpc_bytes_copy(bytes, ingest_encode_gap(&notice, bytes, sizeof(bytes)));
}

/* One item or gap of the lane. The lock is held before and after, not while sending; the cursor
 * moves first, since the publisher may drop the item meanwhile. */
static enum sent send_next(struct collector_sink *sink, struct rpc_call *call,
                           struct collector_lane *lane)
{
    struct spool_item item = {0};
    struct spool_gap gap = {0};
    struct spool_cursor_state state;
    struct error err = {0};
    struct rpc_bytes message;
    uint64_t first_seq;
    uint64_t to_seq;

    if (lane->window_count >= sink->window_max) {
        return SENT_NOTHING;
    }
    switch (spool_cursor_peek(lane->spool, 0, &item, &gap)) {
    case SPOOL_END:
        return SENT_NOTHING;
    case SPOOL_GAP:
        spool_cursor_state(lane->spool, 0, &state);
        message = gap_message(sink, lane, &gap, state.acked_seq, &to_seq);
        first_seq = gap.from_seq;
        spool_cursor_sent(lane->spool, 0);
        if (to_seq < gap.to_seq && spool_cursor_seek(lane->spool, 0, to_seq + 1, &err) != 0) {
            log_error("collector", err.message, NULL);
        }
        window_push(lane, to_seq, clock_monotonic_ns(), 0);
        break;
    default: {
        uint64_t taken_ns;

        memcpy(&taken_ns, item.bytes, TIME_BYTES);
        message =
            rpc_bytes_copy((const uint8_t *)item.bytes + TIME_BYTES, item.length - TIME_BYTES);
        first_seq = item.first_seq;
        spool_cursor_sent(lane->spool, 0);
        window_push(lane, item.last_seq, taken_ns, item.record_count);
        break;
    }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    const enum rpc_send_result result = rpc_send(call, message);

    (void)pthread_mutex_lock(&sink->lock);
    if (result == RPC_SEND_QUEUED) {
        if (gap.from_seq > 0) {
            sink->gaps++;
        } else {
            count_sent(sink, lane, &item);
        }
        return SENT_ONE;
    }
    window_pop_newest(lane);
    if (spool_cursor_seek(lane->spool, 0, first_seq, &err) != 0) {
        log_error("collector", err.message, NULL);
    }
    sink->is_full = result == RPC_SEND_FULL;
    return SENT_FULL;
}

static void send_heartbeat(struct collector_sink *sink, struct rpc_call *call)
{
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    const struct ingest_heartbeat heartbeat = {
        .time_ns = clock_wall_ns(), .has_probe = sink->has_probe, .probe = sink->probe};

    sink->is_heartbeat_due = false;
    sink->has_probe = false;
    (void)pthread_mutex_unlock(&sink->lock);
    (void)rpc_send(call,
                   rpc_bytes_copy(bytes, ingest_encode_heartbeat(&heartbeat, bytes, sizeof bytes)));
    (void)pthread_mutex_lock(&sink->lock);
}

static void send_goodbye(struct collector_sink *sink, struct rpc_call *call)
{
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_goodbye goodbye = {.reason = "shutdown"};

    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct spool_state state;

        spool_state(sink->lanes[i].spool, &state);
        goodbye.undelivered_records += state.records;
    }
    sink->is_goodbye_sent = true;
    (void)pthread_mutex_unlock(&sink->lock);
    (void)rpc_send(call,
                   rpc_bytes_copy(bytes, ingest_encode_goodbye(&goodbye, bytes, sizeof bytes)));
    rpc_half_close(call);
    (void)pthread_mutex_lock(&sink->lock);
}

static void send_sketches(struct collector_sink *sink, struct rpc_call *call)
{
    while (sink->sketches_count > 0 && !sink->is_full) {
        const struct rpc_bytes message = sink->sketches[sink->sketches_head];

        sink->sketches_head = (sink->sketches_head + 1) % COLLECTOR_SKETCHES_MAX;
        sink->sketches_count--;
        (void)pthread_mutex_unlock(&sink->lock);
        const enum rpc_send_result result = rpc_send(call, message);

        (void)pthread_mutex_lock(&sink->lock);
        sink->sketches_dropped += result != RPC_SEND_QUEUED;
        sink->is_full = result == RPC_SEND_FULL;
    }
}

/* Sends what the window and the queue allow. With the lock. */
static void pump(struct collector_sink *sink, struct rpc_call *call)
{
    if (!sink->is_welcomed || sink->call != call || sink->is_goodbye_sent) {
        return;
    }
    if (sink->is_heartbeat_due || sink->has_probe) {
        send_heartbeat(sink, call);
    }
    for (uint32_t i = 0; i < COLLECTOR_LANES && !sink->is_full; i++) {
        enum sent sent;

        do {
            sent = send_next(sink, call, lane_of(sink, send_order[i]));
        } while (sent == SENT_ONE && sink->is_welcomed);
        if (sent == SENT_FULL) {
            break;
        }
        if (send_order[i] == RECORD_STATS) {
            send_sketches(sink, call); /* behind the alerts that they may explain */
        }
    }
    if (sink->is_closing && !sink->is_goodbye_sent) {
        send_goodbye(sink, call);
    }
}

static void run_pump(struct rpc_call *call, void *argument)
{
    struct collector_sink *sink = argument;

    (void)pthread_mutex_lock(&sink->lock);
    sink->is_posted = false; /* what comes while this sends asks for another one */
    pump(sink, call);
    sink->posts--;
    (void)pthread_cond_broadcast(&sink->changed); /* close() waits for the posts */
    (void)pthread_mutex_unlock(&sink->lock);
}

void collector_sink_wake(struct collector_sink *sink)
{
    (void)pthread_mutex_lock(&sink->lock);
    struct rpc_call *call = sink->is_welcomed && !sink->is_posted ? sink->call : NULL;
    if (call != NULL) {
        sink->is_posted = true;
        sink->posts++;
        rpc_ref(call);
    }
    (void)pthread_mutex_unlock(&sink->lock);
    if (call == NULL) {
        return;
    }
    if (!rpc_post(call, run_pump, sink)) {
        (void)pthread_mutex_lock(&sink->lock);
        sink->is_posted = false;
        sink->posts--;
        (void)pthread_cond_broadcast(&sink->changed);
        (void)pthread_mutex_unlock(&sink->lock);
    }
    rpc_unref(call);
}

/* ---- receiving ---- */

/* False with the error set: the collector acknowledges what it was never sent. */
static bool take_ack(struct collector_sink *sink, struct collector_lane *lane, uint64_t durable_seq,
                     struct error *err)
{
    struct spool_state before;
    struct spool_state after;

    spool_state(lane->spool, &before);
    if (spool_cursor_ack(lane->spool, 0, durable_seq, err) != 0) {
        return false;
    }
    spool_state(lane->spool, &after);
    sink->acked += before.records - after.records;
    while (lane->window_count > 0 && lane->window[lane->window_head].last_seq <= durable_seq) {
        lane->window_head = (lane->window_head + 1) % COLLECTOR_WINDOW_MAX;
        lane->window_count--;
    }
    return true;
}

static uint64_t resume_seq(const struct collector_sink *sink, const struct ingest_welcome *welcome,
                           enum record_stream stream)
{
    for (uint32_t i = 0; i < welcome->resume_count; i++) {
        if (welcome->resume[i].stream == stream && welcome->resume[i].next_seq > 0 &&
            strcmp(welcome->resume[i].boot_id, sink->boot_id) == 0) {
            return welcome->resume[i].next_seq;
        }
    }
    return 1;
}

static bool take_welcome(struct collector_sink *sink, const struct ingest_welcome *welcome,
                         struct error *err)
{
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct collector_lane *lane = &sink->lanes[i];
        const uint64_t next_seq = resume_seq(sink, welcome, lane->stream);

        lane->window_count = 0;
        if (!take_ack(sink, lane, next_seq - 1, err) ||
            spool_cursor_seek(lane->spool, 0, next_seq, err) != 0) {
            return false;
        }
    }
    sink->window_max = welcome->window_batches;
    if (sink->window_max == 0 || sink->window_max > COLLECTOR_WINDOW_MAX) {
        sink->window_max = sink->window_max == 0 ? 1 : COLLECTOR_WINDOW_MAX;
    }
    sink->batch_records_max = welcome->max_batch > 0 && welcome->max_batch < BATCH_RECORDS_MAX
                                  ? welcome->max_batch
                                  : BATCH_RECORDS_MAX;
    sink->heartbeat_ns = welcome->heartbeat_ns < NS_PER_SEC ? NS_PER_SEC : welcome->heartbeat_ns;
    sink->heartbeat_at_ns = clock_monotonic_ns() + sink->heartbeat_ns;
    sink->is_heartbeat_due = true; /* the first one brings a probe of the clock */
    sink->sketch_seed = welcome->sketch_seed;
    sink->is_welcomed = true;
    sink->is_posted = false; /* a post of the call before does nothing for this one */
    sink->last_error[0] = '\0';
    log_info("collector", "connected", "address=%s session=%s window=%u", sink->settings->address,
             welcome->session_id, sink->window_max);
    return true;
}

static bool take_response(struct collector_sink *sink, const struct ingest_response *response,
                          struct error *err)
{
    switch (response->kind) {
    case INGEST_WELCOME:
        return sink->is_welcomed || take_welcome(sink, &response->welcome, err);
    case INGEST_ACK:
        if (!sink->is_welcomed || strcmp(response->ack.boot_id, sink->boot_id) != 0) {
            return true;
        }
        sink->backoff_ns = 0; /* it works: the next trouble starts anew */
        return take_ack(sink, lane_of(sink, response->ack.stream), response->ack.next_seq, err);
    case INGEST_PROBE:
        sink->has_probe = true;
        sink->probe = response->probe;
        return true;
    default:
        return true; /* what this version does not know */
    }
}

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct collector_sink *sink = rpc_user_data(call);
    struct ingest_response response;
    struct error err = {0};

    if (!ingest_decode_response(bytes, length, &response)) {
        rpc_cancel(call, RPC_INTERNAL, "the collector sent what is no ConnectResponse");
        return;
    }
    (void)pthread_mutex_lock(&sink->lock);
    bool is_good = sink->call == call && take_response(sink, &response, &err);
    if (is_good) {
        pump(sink, call);
    }
    (void)pthread_cond_broadcast(&sink->changed);
    (void)pthread_mutex_unlock(&sink->lock);
    if (err.code != 0) {
        rpc_cancel(call, RPC_INTERNAL, err.message);
    }
}

static void on_writable(struct rpc_call *call)
{
    struct collector_sink *sink = rpc_user_data(call);

    (void)pthread_mutex_lock(&sink->lock);
    sink->is_full = false;
    pump(sink, call);
    (void)pthread_mutex_unlock(&sink->lock);
}

static void on_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct collector_sink *sink = rpc_user_data(call);

    (void)pthread_mutex_lock(&sink->lock);
    struct rpc_call *owned = sink->call;

    collector_sink_ended(sink, result, clock_monotonic_ns());
    sink->call = NULL;
    sink->is_dialing = false;
    sink->is_welcomed = false;
    sink->is_full = false;
    sink->has_probe = false;
    collector_sink_forget_sketches(sink);
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        spool_cursor_rewind(sink->lanes[i].spool, 0);
        sink->lanes[i].window_count = 0;
    }
    (void)pthread_cond_broadcast(&sink->changed);
    (void)pthread_mutex_unlock(&sink->lock);
    rpc_unref(owned); /* the sink may be gone by now; NULL: dial has not stored it yet */
}

void collector_sink_methods(struct collector_sink *sink)
{
    sink->method = (struct rpc_method){
        .path = INGEST_CONNECT_PATH,
        .on_message = on_message,
        .on_writable = on_writable,
        .on_done = on_done,
        .queue = {.messages_max = QUEUE_MESSAGES_MAX,
                  .bytes_max = QUEUE_BYTES_MAX,
                  .when_full = RPC_REJECT},
    };
}
