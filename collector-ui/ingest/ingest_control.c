/* What sensors are asked for: to go to another collector, and to send less than they could. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/ingest/ingest_private.h"

#define MESSAGE_BYTES  512
#define ASK_AGAIN_NS   (60 * NS_PER_SEC)
#define RATE_LEAST     64  /* records a second: a store that stands still is not for ever */
#define SHARE_OF_STORE 0.8 /* of what it took: so the backlog gets smaller */
#define STEP_LEAST     0.125

/* Alerts and figures are few, and what a person looks at in trouble. */
static const enum record_stream throttled_streams[] = {RECORD_FLOWS, RECORD_PACKETS, RECORD_DNS};

/* ---- to go ---- */

/* With the lock. True when the request is on its way. */
static bool send_redirect(struct ingest_stream *stream, uint64_t now_ns)
{
    struct ingest *ingest = stream->ingest;
    struct ingest_redirect redirect;
    uint8_t bytes[MESSAGE_BYTES];
    char id[INGEST_SENSOR_ID_BYTES * 2];

    memcpy(redirect.address, ingest->control.redirect_to, sizeof(redirect.address));
    if (rpc_send(stream->call,
                 rpc_bytes_copy(bytes, ingest_encode_redirect(&redirect, bytes, sizeof(bytes)))) !=
        RPC_SEND_QUEUED) {
        return false; /* the next tick tries again */
    }
    stream->redirected_ns = now_ns;
    ingest->counts.redirects++;
    log_info("ingest", "a sensor is sent to another collector", "sensor=%s to=%s",
             log_quote(stream->boot->sensor->sensor_id, id, sizeof(id)), redirect.address);
    return true;
}

/* With the lock. */
static uint32_t send_all_away(struct ingest *ingest, uint64_t now_ns)
{
    uint32_t sent = 0;

    for (struct ingest_stream *stream = ingest->streams; stream != NULL; stream = stream->next) {
        const bool is_due =
            stream->redirected_ns == 0 || now_ns - stream->redirected_ns >= ASK_AGAIN_NS;

        if (stream->boot != NULL && !stream->is_over && is_due && send_redirect(stream, now_ns)) {
            sent++;
        }
    }
    return sent;
}

/* ---- to send less ---- */

/* With the lock. */
static void send_rate(struct ingest_stream *stream, enum record_stream which, uint32_t rate)
{
    const struct ingest_throttle throttle = {.stream = which, .max_rate = rate};
    uint8_t bytes[MESSAGE_BYTES];

    if (rate != stream->told[which] &&
        rpc_send(stream->call,
                 rpc_bytes_copy(bytes, ingest_encode_throttle(&throttle, bytes, sizeof(bytes)))) ==
            RPC_SEND_QUEUED) {
        stream->told[which] = rate;
        stream->ingest->counts.throttles++;
    }
}

/* The lower one of what the settings and the backlog allow. With the lock. */
static void tell_rates(struct ingest_stream *stream)
{
    const uint32_t most = stream->ingest->control.max_record_rate;

    if (stream->boot == NULL || stream->is_over) {
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(throttled_streams); i++) {
        const enum record_stream which = throttled_streams[i];
        const uint32_t backlog = stream->backlog_rate[which];

        send_rate(stream, which, backlog == 0 || (most > 0 && most < backlog) ? most : backlog);
    }
}

/* Each keeps its part of what all sent: who sent nothing is not bounded. With the lock. */
static void bound_stream(struct ingest_stream *stream, double seconds, double share)
{
    for (size_t i = 0; i < ARRAY_COUNT(throttled_streams); i++) {
        const enum record_stream which = throttled_streams[i];
        const double rate = stream->recent[which] / seconds * share;

        if (stream->recent[which] > 0) {
            stream->backlog_rate[which] = rate > RATE_LEAST ? (uint32_t)rate : RATE_LEAST;
        }
    }
}

/* With the lock. */
static void let_go(struct ingest_stream *stream)
{
    memset(stream->backlog_rate, 0, sizeof(stream->backlog_rate));
}

static bool is_bound(const struct ingest_stream *stream)
{
    for (size_t i = 0; i < ARRAY_COUNT(throttled_streams); i++) {
        if (stream->backlog_rate[throttled_streams[i]] > 0) {
            return true;
        }
    }
    return false;
}

static void tell_change(const struct ingest *ingest, bool was_behind)
{
    static struct log_limit limit;

    if (ingest->control.is_behind != was_behind && log_allowed(&limit, NS_PER_SEC, NULL)) {
        if (was_behind) {
            log_info("ingest", "the store has caught up: sensors send all again",
                     "backlog_bytes=%llu", (unsigned long long)ingest->counts.backlog_bytes);
        } else {
            log_warn("ingest", "the store is behind: sensors are asked to send less",
                     "backlog_bytes=%llu backlog_max=%llu",
                     (unsigned long long)ingest->counts.backlog_bytes,
                     (unsigned long long)ingest->control.backlog_bytes_max);
        }
    }
}

/* What came and what the store took since the last tick, in bytes of the log. With the lock. */
static double share_of_store(struct ingest *ingest, uint64_t stored, uint64_t backlog_before)
{
    const uint64_t taken = stored - ingest->control.stored;
    const uint64_t backlog = ingest->counts.backlog_bytes;
    /* The backlog grew by what came and shrank by what was stored. */
    const uint64_t came =
        backlog + taken > backlog_before ? backlog + taken - backlog_before : taken;
    const double share = came > 0 ? SHARE_OF_STORE * (double)taken / (double)came : 1;

    return share < STEP_LEAST ? STEP_LEAST : share;
}

/* With the lock. */
static void keep_up(struct ingest *ingest, double seconds, double share)
{
    struct ingest_control *control = &ingest->control;
    const uint64_t backlog = ingest->counts.backlog_bytes;
    const bool was_behind = control->is_behind;
    const bool is_above = control->backlog_bytes_max > 0 && backlog > control->backlog_bytes_max;

    control->is_behind = is_above || (was_behind && control->backlog_bytes_max > 0 &&
                                      backlog > control->backlog_bytes_max / 2);
    tell_change(ingest, was_behind);
    ingest->counts.throttled = 0;
    for (struct ingest_stream *stream = ingest->streams; stream != NULL; stream = stream->next) {
        if (!control->is_behind) {
            let_go(stream);
        } else if (is_above) { /* below that what was told may stay */
            bound_stream(stream, seconds, share);
        }
        memset(stream->recent, 0, sizeof(stream->recent));
        ingest->counts.throttled += is_bound(stream);
        tell_rates(stream);
    }
}

void ingest_tick(struct ingest *ingest, uint64_t now_ns)
{
    struct ingest_control *control = &ingest->control;
    const uint64_t stored = ingest->events->stored_position(ingest->events->context);

    (void)pthread_mutex_lock(&ingest->lock);
    const uint64_t before = ingest->counts.backlog_bytes;
    const uint64_t waits = control->log_end > stored ? control->log_end - stored : 0;
    const double seconds = (double)(now_ns - control->tick_ns) / (double)NS_PER_SEC;

    ingest->counts.backlog_bytes = ingest->queue_bytes + waits;
    if (control->tick_ns != 0 && seconds > 0) {
        keep_up(ingest, seconds, share_of_store(ingest, stored, before));
    }
    control->stored = stored;
    control->tick_ns = now_ns;
    if (control->redirect_to[0] != '\0') {
        (void)send_all_away(ingest, now_ns);
    }
    (void)pthread_mutex_unlock(&ingest->lock);
}

/* ---- settings for them ---- */

/* With the lock. */
static bool send_offer(const struct ingest_stream *stream, const struct ingest_config_offer *offer)
{
    const size_t room = offer->yaml_bytes + INGEST_OFFER_HEAD_BYTES;
    struct rpc_buffer buffer = rpc_buffer_new(room);
    const size_t used = ingest_encode_offer(offer, buffer.data, room);

    return rpc_send(stream->call, rpc_buffer_done(&buffer, used)) == RPC_SEND_QUEUED;
}

bool ingest_offer_config(struct ingest *ingest, const char *sensor_id,
                         const struct ingest_config_offer *offer)
{
    bool is_sent = false;

    (void)pthread_mutex_lock(&ingest->lock);
    for (struct ingest_stream *stream = ingest->streams; stream != NULL && !is_sent;
         stream = stream->next) {
        is_sent = stream->boot != NULL && !stream->is_over &&
                  strcmp(stream->boot->sensor->sensor_id, sensor_id) == 0 &&
                  send_offer(stream, offer);
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    return is_sent;
}

/* ---- commands ---- */

/* NULL: it is not connected. With the lock. */
static struct ingest_stream *stream_of(struct ingest *ingest, const char *sensor_id)
{
    for (struct ingest_stream *stream = ingest->streams; stream != NULL; stream = stream->next) {
        if (stream->boot != NULL && !stream->is_over && stream->boot->sensor->stream == stream &&
            strcmp(stream->boot->sensor->sensor_id, sensor_id) == 0) {
            return stream;
        }
    }
    return NULL;
}

int ingest_command(struct ingest *ingest, const char *sensor_id,
                   const struct ingest_command *command)
{
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    const size_t length = ingest_encode_command(command, bytes, sizeof(bytes));
    int result = 0;

    (void)pthread_mutex_lock(&ingest->lock);
    const struct ingest_stream *stream = stream_of(ingest, sensor_id);

    if (stream == NULL) {
        result = -ENOTCONN;
    } else if (!stream->can_capture) {
        result = -EPROTONOSUPPORT;
    } else if (rpc_send(stream->call, rpc_bytes_copy(bytes, length)) != RPC_SEND_QUEUED) {
        result = -EAGAIN;
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    return result;
}

/* ---- settings, and who comes ---- */

/* What its call shows lies with it until its end, which takes the lock. */
uint32_t ingest_check_streams(struct ingest *ingest)
{
    uint32_t ended = 0;

    (void)pthread_mutex_lock(&ingest->lock);
    for (struct ingest_stream *stream = ingest->streams; stream != NULL; stream = stream->next) {
        struct error reason = {0};
        char id[INGEST_SENSOR_ID_BYTES * 2];

        if (stream->boot == NULL || stream->is_over ||
            ingest_auth_bind(ingest->auth, stream->call, stream->boot->sensor->sensor_id,
                             &reason) == RPC_OK) {
            continue;
        }
        log_warn("ingest", "the stream of a sensor is ended: its credentials count no more",
                 "sensor=%s", log_quote(stream->boot->sensor->sensor_id, id, sizeof(id)));
        ingest_stream_end(stream, RPC_PERMISSION_DENIED, reason.message);
        ingest->counts.refused++;
        ended++;
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    return ended;
}

void ingest_control_begin(struct ingest_stream *stream)
{
    tell_rates(stream);
    if (stream->ingest->control.redirect_to[0] != '\0') {
        (void)send_redirect(stream, clock_monotonic_ns());
    }
}

uint32_t ingest_retune(struct ingest *ingest)
{
    const struct ingest_settings *settings = ingest->settings;
    struct ingest_control *control = &ingest->control;
    uint32_t sent = 0;

    (void)pthread_mutex_lock(&ingest->lock);
    const bool is_other = strcmp(control->redirect_to, settings->redirect_to) != 0;

    (void)snprintf(control->redirect_to, sizeof(control->redirect_to), "%s", settings->redirect_to);
    control->max_record_rate = (uint32_t)settings->max_record_rate;
    control->backlog_bytes_max = settings->backlog_bytes_max;
    ingest->counts.is_draining = control->redirect_to[0] != '\0';
    for (struct ingest_stream *stream = ingest->streams; stream != NULL; stream = stream->next) {
        stream->redirected_ns = is_other ? 0 : stream->redirected_ns;
        tell_rates(stream);
    }
    if (is_other && ingest->counts.is_draining) {
        sent = send_all_away(ingest, clock_monotonic_ns());
    }
    (void)pthread_mutex_unlock(&ingest->lock);
    return sent;
}
