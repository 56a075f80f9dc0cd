/* One call to the collector: what goes, in which order, and what comes of what came back. On the
 * sink's thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/export/collector_sink_private.h"

/* Alerts and figures before the mass of flows. */
static const enum record_stream send_order[COLLECTOR_LANES] = {
    RECORD_ALERTS, RECORD_STATS, RECORD_FLOWS, RECORD_PACKETS, RECORD_DNS};

static struct collector_lane *lane_of(struct collector_sink *sink, enum record_stream stream)
{
    return &sink->lanes[stream - 1];
}

/* ---- what is on its way ---- */

static void window_push(struct collector_lane *lane, const char *boot_id, uint64_t last_seq,
                        const struct spool_log_item *item)
{
    struct collector_sent *sent =
        &lane->window[(lane->window_head + lane->window_count) % COLLECTOR_WINDOW_MAX];

    *sent = (struct collector_sent){.last_seq = last_seq, .taken_ns = clock_wall_ns()};
    (void)snprintf(sent->boot_id, sizeof(sent->boot_id), "%s", boot_id);
    if (item != NULL) {
        sent->taken_ns = item->time_ns;
        sent->records = item->records;
        sent->place = item->place;
    }
    lane->window_count++;
}

/* What the collector has leaves the window, and the spool. */
static void settle(struct collector_sink *sink, struct collector_lane *lane)
{
    while (lane->window_count > 0) {
        const struct collector_sent *sent = &lane->window[lane->window_head];
        const struct collector_course *course = collector_spool_course(sink, lane, sent->boot_id);

        if (sent->last_seq > course->durable_seq) {
            return;
        }
        if (sent->place.ordinal > 0) {
            spool_log_ack(lane->log, lane->cursor, &sent->place);
            sink->acked += sent->records;
        }
        lane->window_head = (lane->window_head + 1) % COLLECTOR_WINDOW_MAX;
        lane->window_count--;
    }
}

/* ---- sending ---- */

enum sent { SENT_NOTHING, SENT_ONE, SENT_FULL };

static enum sent send_bytes(struct collector_sink *sink, const uint8_t *bytes, size_t length)
{
    const enum rpc_send_result result = rpc_send(sink->call, rpc_bytes_copy(bytes, length));

    if (result == RPC_SEND_QUEUED) {
        return SENT_ONE;
    }
    sink->is_full = result == RPC_SEND_FULL;
    return SENT_FULL;
}

bool collector_stream_send(struct collector_sink *sink, const uint8_t *bytes, size_t length)
{
    return send_bytes(sink, bytes, length) == SENT_ONE;
}

static enum sent send_gap(struct collector_sink *sink, struct collector_lane *lane,
                          const char *boot_id, struct collector_course *course, uint64_t to_seq)
{
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_gap notice = {
        .stream = lane->stream, .from_seq = course->sent_seq + 1, .to_seq = to_seq};
    /* A collector that lost what it had acknowledged asks for it in vain: another reason. */
    const bool was_acked = notice.from_seq <= course->acked_seq;
    const int boot = collector_boots_find(&sink->boots, boot_id);
    const bool has_moved = boot >= 0 && sink->boots.at[boot].has_moved;
    struct spool_log_state state;

    spool_log_state(lane->log, &state);
    if (was_acked && course->acked_seq < to_seq) {
        notice.to_seq = course->acked_seq;
    }
    (void)snprintf(notice.reason, sizeof(notice.reason), "%s",
                   was_acked && has_moved               ? INGEST_GAP_ELSEWHERE
                   : was_acked                          ? "acknowledged_before"
                   : state.damages > lane->damages_seen ? "spool_damaged"
                                                        : "spool_full");
    memcpy(notice.boot_id, boot_id, sizeof(notice.boot_id));
    const enum sent sent =
        send_bytes(sink, bytes, ingest_encode_gap(&notice, bytes, sizeof(bytes)));

    if (sent == SENT_ONE) {
        lane->damages_seen = state.damages;
        window_push(lane, boot_id, notice.to_seq, NULL);
        course->sent_seq = notice.to_seq;
        if (course->highest_seq < notice.to_seq) {
            course->highest_seq = notice.to_seq;
        }
        sink->gaps++;
    }
    return sent;
}

/* What earlier processes numbered, and is not in the spool before the records of `boot_id`. */
static enum sent send_gap_before(struct collector_sink *sink, struct collector_lane *lane,
                                 const char *boot_id)
{
    const int end = collector_boots_find(&sink->boots, boot_id);

    for (int i = 0; i < end; i++) {
        struct collector_boot *boot = &sink->boots.at[i];
        struct collector_course *course = &boot->lanes[lane->stream - 1];

        if (course->sent_seq < course->last_seq) {
            return send_gap(sink, lane, boot->boot_id, course, course->last_seq);
        }
    }
    return SENT_NOTHING;
}

/* The item packed, or as it is where that does not help. */
static enum sent send_message(struct collector_sink *sink, const struct collector_item *item)
{
    const size_t bound = packer_bound(item->length);
    const size_t room = 2 * (bound + INGEST_PACKED_HEAD_BYTES); /* packed, and the whole message */
    struct ingest_packed packed = {.encoding = INGEST_ENCODING_ZSTD, .length = item->length};

    if (sink->packs && room > sink->packed_bytes) {
        uint8_t *larger = realloc(sink->packed, room);

        sink->packed = larger != NULL ? larger : sink->packed;
        sink->packed_bytes = larger != NULL ? room : sink->packed_bytes;
    }
    if (sink->packs && room <= sink->packed_bytes) {
        uint8_t *message = sink->packed + bound;

        packed.packed_length =
            packer_pack(sink->packer, item->message, item->length, sink->packed, bound);
        packed.bytes = sink->packed;
        if (packed.packed_length > 0) {
            return send_bytes(sink, message, ingest_encode_packed(&packed, message, room - bound));
        }
    }
    return send_bytes(sink, item->message, item->length);
}

static enum sent send_item(struct collector_sink *sink, struct collector_lane *lane,
                           struct collector_course *course, const struct spool_log_item *raw,
                           const struct collector_item *item)
{
    if (item->last_seq > course->sent_seq) {
        if (!collector_rate_allows(lane, clock_monotonic_ns())) {
            return SENT_NOTHING;
        }
        const enum sent sent = send_message(sink, item);

        if (sent != SENT_ONE) {
            return sent;
        }
        collector_rate_spend(lane, item->records);
        if (item->last_seq > course->highest_seq) {
            sink->sent += item->records;
            course->highest_seq = item->last_seq;
        } else {
            sink->retried += item->records;
        }
        course->sent_seq = item->last_seq;
    }
    /* Else the collector had it before this connection. */
    window_push(lane, item->boot_id, item->last_seq, raw);
    spool_log_sent(lane->log, lane->cursor);
    settle(sink, lane);
    return SENT_ONE;
}

/* One item or gap of the lane. */
static enum sent send_next(struct collector_sink *sink, struct collector_lane *lane)
{
    struct spool_log_item raw;
    struct collector_item item;

    if (lane->window_count >= sink->window_max) {
        return SENT_NOTHING;
    }
    const int found = collector_spool_peek(sink, lane, &raw, &item);

    if (found < 0) {
        return SENT_NOTHING;
    }
    const char *boot_id = found > 0 ? item.boot_id : sink->boot_id;
    struct collector_course *course = collector_spool_course(sink, lane, boot_id);
    const uint64_t before_seq = found > 0 ? item.first_seq - 1 : course->last_seq;

    if (collector_redirect_is_leaving(sink)) { /* it may have the head of the spool already */
        return found > 0 && item.first_seq <= course->durable_seq
                   ? send_item(sink, lane, course, &raw, &item)
                   : SENT_NOTHING;
    }
    const enum sent told = send_gap_before(sink, lane, boot_id);

    if (told != SENT_NOTHING) {
        return told;
    }
    if (course->sent_seq < before_seq) {
        return send_gap(sink, lane, boot_id, course, before_seq);
    }
    return found > 0 ? send_item(sink, lane, course, &raw, &item) : SENT_NOTHING;
}

static void send_heartbeat(struct collector_sink *sink)
{
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    const struct ingest_heartbeat heartbeat = {
        .time_ns = clock_wall_ns(), .has_probe = sink->has_probe, .probe = sink->probe};

    if (!sink->has_probe) { /* it is answered with a probe, whose time is looked at */
        sink->clock.sent_wall_ns = heartbeat.time_ns;
        sink->clock.sent_monotonic_ns = clock_monotonic_ns();
    }
    sink->has_probe = false;
    (void)send_bytes(sink, bytes, ingest_encode_heartbeat(&heartbeat, bytes, sizeof(bytes)));
}

/* True when the collector is to answer. */
static bool send_config_status(struct collector_sink *sink)
{
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    bool is_asked;
    const size_t length = collector_config_due(sink, bytes, sizeof(bytes), &is_asked);

    if (length > 0 && send_bytes(sink, bytes, length) != SENT_ONE) {
        collector_config_unsent(sink);
    }
    return is_asked;
}

static void send_goodbye(struct collector_sink *sink, const char *reason)
{
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_goodbye goodbye = {0};
    struct stats_sink figures = {0};

    (void)snprintf(goodbye.reason, sizeof(goodbye.reason), "%s", reason);
    collector_spool_figures(sink, &figures);
    goodbye.undelivered_records = figures.unacked;
    sink->is_goodbye_sent = true;
    (void)send_bytes(sink, bytes, ingest_encode_goodbye(&goodbye, bytes, sizeof(bytes)));
    rpc_half_close(sink->call);
}

static void send_sketches(struct collector_sink *sink)
{
    for (;;) {
        struct rpc_bytes message;

        (void)pthread_mutex_lock(&sink->lock);
        const bool has_one = sink->sketches_count > 0 && !sink->is_full;
        if (has_one) {
            message = sink->sketches[sink->sketches_head];
            sink->sketches_head = (sink->sketches_head + 1) % COLLECTOR_SKETCHES_MAX;
            sink->sketches_count--;
        }
        (void)pthread_mutex_unlock(&sink->lock);
        if (!has_one) {
            return;
        }
        const enum rpc_send_result result = rpc_send(sink->call, message);

        sink->is_full = result == RPC_SEND_FULL;
        if (result != RPC_SEND_QUEUED) {
            (void)pthread_mutex_lock(&sink->lock);
            sink->sketches_dropped++;
            (void)pthread_mutex_unlock(&sink->lock);
        }
    }
}

void collector_stream_pump(struct collector_sink *sink, uint64_t now_ns, bool is_closing)
{
    if (!sink->is_welcomed || sink->is_goodbye_sent) {
        return;
    }
    if (sink->has_probe) {
        send_heartbeat(sink);
    }
    const bool is_asked = send_config_status(sink);

    if (now_ns >= sink->heartbeat_at_ns || is_asked) {
        sink->heartbeat_at_ns = now_ns + sink->heartbeat_ns;
        send_heartbeat(sink);
    }
    collector_captures_pump(sink);
    for (uint32_t i = 0; i < COLLECTOR_LANES && !sink->is_full; i++) {
        enum sent sent;

        do {
            sent = send_next(sink, lane_of(sink, send_order[i]));
        } while (sent == SENT_ONE);
        if (sent == SENT_FULL) {
            break;
        }
        if (send_order[i] == RECORD_STATS) {
            send_sketches(sink); /* behind the alerts that they may explain */
        }
    }
    const bool is_all_known = collector_assets_pump(sink, now_ns, is_closing);

    if (is_closing) {
        if (is_all_known && collector_captures_are_over(sink, now_ns)) {
            send_goodbye(sink, "shutdown");
        }
    } else if (collector_redirect_is_ready(sink, now_ns)) {
        send_goodbye(sink, "redirected");
    }
}

/* ---- what came ---- */

static void advance(struct collector_course *course, uint64_t durable_seq)
{
    course->durable_seq = durable_seq;
    course->sent_seq = course->sent_seq < durable_seq ? durable_seq : course->sent_seq;
    course->acked_seq = course->acked_seq < durable_seq ? durable_seq : course->acked_seq;
}

/* NULL, or what is wrong with it. */
static const char *take_ack(struct collector_sink *sink, const struct ingest_position *ack)
{
    struct collector_lane *lane = lane_of(sink, ack->stream);
    const int found = collector_boots_find(&sink->boots, ack->boot_id);

    if (found < 0) {
        return NULL; /* of a process that is long forgotten here */
    }
    struct collector_course *course = &sink->boots.at[found].lanes[ack->stream - 1];
    const bool is_current = (uint32_t)found == sink->boots.count - 1;

    /* It may acknowledge what came on an earlier connection, and for an earlier process what that
     * one sent. */
    if (is_current && ack->next_seq > course->highest_seq) {
        return "it acknowledges records that were never sent";
    }
    sink->backoff_ns = 0; /* it works: the next trouble starts anew */
    if (ack->next_seq > course->durable_seq) {
        advance(course, ack->next_seq);
        settle(sink, lane);
    }
    return NULL;
}

/* Where each course stands with this collector; what it does not name begins at 1. */
static const char *take_positions(struct collector_sink *sink, const struct ingest_welcome *welcome)
{
    const struct collector_boot *current = &sink->boots.at[sink->boots.count - 1];

    for (uint32_t i = 0; i < sink->boots.count; i++) {
        for (uint32_t lane = 0; lane < COLLECTOR_LANES; lane++) {
            sink->boots.at[i].lanes[lane].durable_seq = 0;
            sink->boots.at[i].lanes[lane].sent_seq = 0;
        }
    }
    for (uint32_t i = 0; i < welcome->resume_count; i++) {
        const struct ingest_position *position = &welcome->resume[i];
        const int found = collector_boots_find(&sink->boots, position->boot_id);

        if (found < 0 || position->next_seq == 0) {
            continue;
        }
        struct collector_course *course = &sink->boots.at[found].lanes[position->stream - 1];

        /* What an earlier process sent is not known here; what this one did is. */
        if (&sink->boots.at[found] == current && position->next_seq - 1 > course->highest_seq) {
            return "it has records that were never sent";
        }
        advance(course, position->next_seq - 1);
    }
    return NULL;
}

static uint32_t bounded(uint32_t value, uint32_t least, uint32_t most)
{
    return value < least ? least : value > most ? most : value;
}

static const char *take_welcome(struct collector_sink *sink, const struct ingest_welcome *welcome,
                                uint64_t now_ns)
{
    const char *complaint = take_positions(sink, welcome);

    if (complaint != NULL) {
        return complaint;
    }
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct collector_lane *lane = &sink->lanes[i];

        settle(sink, lane); /* what had arrived before the last call ended */
        lane->window_count = 0;
        spool_log_rewind(lane->log, lane->cursor);
    }
    sink->window_max = bounded(welcome->window_batches, 1, COLLECTOR_WINDOW_MAX);
    sink->heartbeat_ns = welcome->heartbeat_ns < NS_PER_SEC ? NS_PER_SEC : welcome->heartbeat_ns;
    sink->heartbeat_at_ns = now_ns; /* the first one brings a probe of the clock */
    sink->packs = sink->packer != NULL && welcome->takes_zstd;
    sink->is_welcomed = true;
    sink->redirect.welcomed_ns = now_ns;
    sink->redirect.failures = 0;
    sink->last_error[0] = '\0';
    (void)pthread_mutex_lock(&sink->lock);
    sink->batch_records_max = welcome->max_batch > 0 && welcome->max_batch < BATCH_RECORDS_MAX
                                  ? welcome->max_batch
                                  : BATCH_RECORDS_MAX;
    sink->sketch_seed = welcome->sketch_seed;
    (void)pthread_mutex_unlock(&sink->lock);
    collector_config_linked(sink, now_ns);
    collector_assets_linked(sink, welcome->takes_assets);
    log_info("collector", "connected", "address=%s session=%s window=%u",
             collector_redirect_address(sink), welcome->session_id, sink->window_max);
    return NULL;
}

/* The answer to a heartbeat shows the collector's clock: it is asked for halfway, and the shortest
 * way there and back knows best (as NTP, RFC 5905). */
static void take_clock(struct collector_sink *sink, const struct collector_news *news)
{
    struct collector_clock *clock = &sink->clock;
    const uint64_t trip_ns = news->probe_monotonic_ns - clock->sent_monotonic_ns;
    const uint64_t wall_ns = news->probe_wall_ns - clock->sent_wall_ns;

    /* A clock that was set meanwhile shows nothing. */
    if (clock->sent_monotonic_ns != 0 && wall_ns - trip_ns + NS_PER_MS < 2 * NS_PER_MS) {
        clock->samples[clock->count % COLLECTOR_CLOCK_SAMPLES].trip_ns = trip_ns;
        clock->samples[clock->count % COLLECTOR_CLOCK_SAMPLES].offset_ns =
            (int64_t)(clock->sent_wall_ns + wall_ns / 2 - news->probe.sent_ns);
        clock->count++;
    }
    clock->sent_monotonic_ns = 0;
}

static void forget_call(struct collector_sink *sink)
{
    rpc_unref(sink->call);
    sink->call = NULL;
    sink->complaint = NULL;
    sink->down_ns = sink->is_welcomed ? clock_monotonic_ns() : sink->down_ns;
    sink->is_welcomed = false;
    collector_config_linked(sink, 0);
    sink->is_full = false;
    sink->is_goodbye_sent = false;
    sink->has_probe = false;
    collector_rate_reset(sink);
    collector_captures_leave(sink);
    sink->clock.sent_monotonic_ns = 0;
    (void)pthread_mutex_lock(&sink->lock);
    collector_sink_forget_sketches(sink);
    (void)pthread_mutex_unlock(&sink->lock);
}

/* What the collector asks for. It may come before the welcome, to hold from the first batch on. */
static void take_requests(struct collector_sink *sink, const struct collector_news *news,
                          uint64_t now_ns)
{
    if (news->throttles > 0) {
        collector_rate_take(sink, news, now_ns);
    }
    if (news->has_redirect) {
        collector_redirect_take(sink, news->redirect.address, now_ns);
    }
}

void collector_stream_take(struct collector_sink *sink, struct collector_news *news,
                           uint64_t now_ns)
{
    const char *complaint = news->complaint;

    if (news->has_welcome && !sink->is_welcomed && complaint == NULL) {
        complaint = take_welcome(sink, &news->welcome, now_ns);
    }
    for (uint32_t i = 0; sink->is_welcomed && i < news->acks_count && complaint == NULL; i++) {
        complaint = take_ack(sink, &news->acks[i]);
    }
    if (news->has_probe) {
        take_clock(sink, news);
        sink->has_probe = true;
        sink->probe = news->probe;
    }
    if (news->is_writable) {
        sink->is_full = false;
    }
    if (complaint == NULL) {
        take_requests(sink, news, now_ns);
    }
    collector_config_take(sink, news);
    collector_captures_take(sink, news->commands);
    if (complaint != NULL && sink->complaint == NULL) {
        sink->complaint = complaint;
        if (!news->is_over) {
            rpc_cancel(sink->call, RPC_INTERNAL, complaint);
        }
    }
    if (news->is_over) {
        /* What was wrong says more than how the call ended: the peer may have ended it before it
         * was cancelled, and be told of in a later turn. */
        if (sink->complaint != NULL) {
            news->status = RPC_INTERNAL;
            (void)snprintf(news->message, sizeof(news->message), "%s", sink->complaint);
        }
        collector_sink_ended(sink, news, now_ns);
        forget_call(sink);
    }
}
