/* PacketService.CapturePackets. Each capture has a thread of its own, so that neither a name in a
 * filter nor a slow client keeps the rpc thread: it reads the capture (pipeline/tap.h), sends what
 * the call's queue takes and waits for the rest, while the capture's own queues drop and count. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/service/audit.h"
#include "netscope/v1/packet_service.pb-c.h"
#include "sensor/export/grpc_private.h"

#define IDLE_NS (10 * NS_PER_MS)
#define WAIT_NS (200 * NS_PER_MS)
/* A client that takes nothing for so long gives up its place. */
#define STALL_NS (60 * NS_PER_SEC)

enum { RESPONSE_CHUNK = 1, RESPONSE_SUMMARY = 2 };
enum { SUMMARY_PACKETS = 1, SUMMARY_BYTES = 2, SUMMARY_DROPPED = 3, SUMMARY_REASON = 4 };

/* Shared by the capture's thread and its call. */
struct capture {
    struct grpc_ask ask; /* kept */
    struct grpc_captures *captures;
    struct tap *tap;
    uint8_t *room; /* TAP_ROOM_BYTES */
    char who[GRPC_WHO_BYTES];
    char peer[RPC_PEER_BYTES];
    uint64_t started_ns;
    atomic_uint references;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_writable, is_call_over;
};

void grpc_captures_init(struct grpc_captures *captures)
{
    (void)pthread_mutex_init(&captures->lock, NULL);
    (void)pthread_cond_init(&captures->ended, NULL);
}

void grpc_captures_fini(struct grpc_captures *captures)
{
    (void)pthread_cond_destroy(&captures->ended);
    (void)pthread_mutex_destroy(&captures->lock);
}

void grpc_captures_join(struct grpc_captures *captures)
{
    (void)pthread_mutex_lock(&captures->lock);
    while (captures->threads > 0) {
        (void)pthread_cond_wait(&captures->ended, &captures->lock);
    }
    (void)pthread_mutex_unlock(&captures->lock);
}

static void unref(struct capture *capture)
{
    if (atomic_fetch_sub(&capture->references, 1) == 1) {
        (void)pthread_cond_destroy(&capture->changed);
        (void)pthread_mutex_destroy(&capture->lock);
        free(capture->room);
        free(capture);
    }
}

/* ---- what is noted ---- */

static void note_start(const struct capture *capture)
{
    const struct tap_request *limits = tap_limits(capture->tap);
    char detail[300];

    (void)snprintf(detail, sizeof(detail),
                   "bpf='%.100s' interface=%.40s snaplen=%u max_packets=%llu max_bytes=%llu "
                   "max_seconds=%.1f history=%s",
                   limits->filter, limits->interface[0] == '\0' ? "all" : limits->interface,
                   limits->snaplen_bytes, (unsigned long long)limits->packets_max,
                   (unsigned long long)limits->bytes_max,
                   (double)limits->duration_ns / (double)NS_PER_SEC,
                   limits->has_history ? "yes" : "no");
    audit_line(capture->who, capture->peer, capture->ask.row->path, "started", detail);
}

/* A storm of them is cut. */
static void note_refusal(const char *who, const char *peer, const char *path, const char *why)
{
    static struct log_limit limit;

    if (log_allowed(&limit, NS_PER_SEC / 10, NULL)) {
        audit_line(who, peer, path, "refused", why);
    }
}

static void note_end(const struct capture *capture, const struct tap_counts *counts,
                     const char *reason)
{
    char detail[300];

    (void)snprintf(detail, sizeof(detail),
                   "bpf='%.100s' packets=%llu bytes=%llu dropped=%llu seconds=%.1f reason=%s",
                   tap_limits(capture->tap)->filter, (unsigned long long)counts->packets,
                   (unsigned long long)counts->bytes, (unsigned long long)counts->dropped,
                   (double)(clock_monotonic_ns() - capture->started_ns) / (double)NS_PER_SEC,
                   reason);
    audit_line(capture->who, capture->peer, capture->ask.row->path, "ended", detail);
}

/* ---- the capture's thread ---- */

static bool is_call_over(struct capture *capture)
{
    (void)pthread_mutex_lock(&capture->lock);
    const bool is_over = capture->is_call_over;

    (void)pthread_mutex_unlock(&capture->lock);
    return is_over;
}

/* Until the call can take more or is over, or a moment has passed. */
static void wait_for_call(struct capture *capture)
{
    const uint64_t until_ns = clock_monotonic_ns() + WAIT_NS;
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};

    (void)pthread_mutex_lock(&capture->lock);
    if (!capture->is_writable && !capture->is_call_over) {
        (void)pthread_cond_timedwait(&capture->changed, &capture->lock, &until);
    }
    capture->is_writable = false;
    (void)pthread_mutex_unlock(&capture->lock);
}

/* Takes the bytes over. False: the call is over, or its client takes nothing any more. */
static bool send(struct capture *capture, struct rpc_bytes bytes)
{
    const uint64_t began_ns = clock_monotonic_ns();
    enum rpc_send_result result;

    while ((result = rpc_send(capture->ask.call, rpc_bytes_ref(&bytes))) == RPC_SEND_FULL) {
        if (clock_monotonic_ns() - began_ns >= STALL_NS) {
            rpc_cancel(capture->ask.call, RPC_ABORTED, "the client has taken nothing for a minute");
            break;
        }
        wait_for_call(capture);
    }
    rpc_bytes_unref(&bytes);
    return result == RPC_SEND_QUEUED;
}

static bool send_chunk(struct capture *capture, size_t length)
{
    struct rpc_buffer buffer = rpc_buffer_new(length + 16);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    wire_write_bytes(&w, RESPONSE_CHUNK, capture->room, length);
    return send(capture, rpc_buffer_done(&buffer, wire_written(&w)));
}

static void send_summary(struct capture *capture, const struct tap_counts *counts)
{
    uint8_t text[192];
    struct wire_writer w = wire_writer_over(text, sizeof(text));
    const struct wire_mark mark = wire_begin(&w, RESPONSE_SUMMARY, 1);

    wire_write_varint(&w, SUMMARY_PACKETS, counts->packets);
    wire_write_varint(&w, SUMMARY_BYTES, counts->bytes);
    wire_write_varint(&w, SUMMARY_DROPPED, counts->dropped);
    wire_write_text(&w, SUMMARY_REASON, tap_reason(capture->tap));
    wire_end(&w, mark);
    if (send(capture, rpc_bytes_copy(text, wire_written(&w)))) {
        rpc_finish(capture->ask.call, RPC_OK, NULL);
    }
}

/* False: the client did not get all of it. */
static bool send_packets(struct capture *capture)
{
    const struct timespec pause = {0, (long)IDLE_NS};

    while (!tap_is_over(capture->tap)) {
        const size_t length = tap_read(capture->tap, capture->room, TAP_ROOM_BYTES);

        if (length > 0 && !send_chunk(capture, length)) {
            return false;
        }
        if (length < TAP_CHUNK_BYTES && !tap_is_over(capture->tap)) {
            if (is_call_over(capture)) {
                return false;
            }
            (void)nanosleep(&pause, NULL); /* gathers: a message for each packet costs more */
        }
    }
    return true;
}

static void run(struct capture *capture)
{
    struct error err = {0};
    struct tap_counts counts;

    if (tap_start(capture->tap, &err) != 0) {
        note_refusal(capture->who, capture->peer, capture->ask.row->path, err.message);
        if (err.code == EINVAL) {
            grpc_refuse_field(&capture->ask, "bpf", "INVALID_FILTER", -1, "bpf: %s", err.message);
        } else {
            grpc_refuse(&capture->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "%s", err.message);
        }
        return;
    }
    note_start(capture);
    rpc_send_headers(capture->ask.call);
    const bool is_whole = send_packets(capture);

    tap_counts_read(capture->tap, &counts);
    /* First: who has the summary finds the line. */
    note_end(capture, &counts, is_whole ? tap_reason(capture->tap) : "client_left");
    if (is_whole) {
        send_summary(capture, &counts);
    }
}

static void *run_thread(void *argument)
{
    struct capture *capture = argument;
    struct grpc_captures *captures = capture->captures;

    run(capture);
    (void)pthread_mutex_lock(&capture->lock);
    tap_free(capture->tap);
    capture->tap = NULL;
    (void)pthread_mutex_unlock(&capture->lock);
    grpc_ask_release(&capture->ask);
    unref(capture);
    (void)pthread_mutex_lock(&captures->lock);
    captures->threads--;
    (void)pthread_cond_broadcast(&captures->ended);
    (void)pthread_mutex_unlock(&captures->lock);
    return NULL;
}

static int start_thread(struct capture *capture)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int code = pthread_attr_init(&attributes);

    if (code != 0) {
        return code;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_mutex_lock(&capture->captures->lock);
    code = pthread_create(&thread, &attributes, run_thread, capture);
    if (code == 0) {
        capture->captures->threads++;
        (void)pthread_setname_np(thread, "capture");
    }
    (void)pthread_mutex_unlock(&capture->captures->lock);
    (void)pthread_attr_destroy(&attributes);
    return code;
}

/* ---- the call ---- */

void grpc_capture_writable(struct rpc_call *call)
{
    struct capture *capture = rpc_user_data(call);

    if (capture != NULL) {
        (void)pthread_mutex_lock(&capture->lock);
        capture->is_writable = true;
        (void)pthread_cond_signal(&capture->changed);
        (void)pthread_mutex_unlock(&capture->lock);
    }
}

void grpc_capture_drain(struct rpc_call *call)
{
    struct capture *capture = rpc_user_data(call);

    if (capture != NULL) {
        (void)pthread_mutex_lock(&capture->lock);
        if (capture->tap != NULL) {
            tap_stop(capture->tap, "sensor_stopped");
        }
        (void)pthread_mutex_unlock(&capture->lock);
    }
}

void grpc_capture_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct capture *capture = rpc_user_data(call);

    (void)result;
    if (capture == NULL) {
        return;
    }
    rpc_set_user_data(call, NULL);
    (void)pthread_mutex_lock(&capture->lock);
    capture->is_call_over = true;
    (void)pthread_cond_signal(&capture->changed);
    (void)pthread_mutex_unlock(&capture->lock);
    unref(capture);
}

static void refuse(struct grpc_ask *ask, const struct error *err)
{
    char who[GRPC_WHO_BYTES];
    char peer[RPC_PEER_BYTES];
    struct error ignored = {0};

    (void)grpc_identify(ask->server, ask->call, GRPC_SCOPE_PACKETS, who, &ignored);
    rpc_peer(ask->call, peer);
    note_refusal(who, peer, ask->row->path, err->message);
    switch (err->code) {
    case EPERM:
        grpc_refuse(ask, RPC_FAILED_PRECONDITION, "CAPTURE_OFF", -1, "%s", err->message);
        break;
    case EBUSY:
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "TOO_MANY_CAPTURES", -1, "%s", err->message);
        break;
    case ENODATA:
        grpc_refuse(ask, RPC_FAILED_PRECONDITION, "NO_HISTORY", -1, "%s", err->message);
        break;
    case ENODEV:
        grpc_refuse_field(ask, "interface", "NO_SUCH_INTERFACE", -1, "%s", err->message);
        break;
    case EINVAL:
        grpc_refuse_field(ask, "bpf", "INVALID_FILTER", -1, "%s", err->message);
        break;
    default:
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "%s", err->message);
        break;
    }
}

/* Waits by the monotonic clock. */
static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static struct capture *new_capture(struct grpc_ask *ask, struct tap *tap)
{
    struct capture *capture = calloc(1, sizeof(*capture));
    struct error ignored = {0};

    if (capture == NULL || (capture->room = malloc(TAP_ROOM_BYTES)) == NULL) {
        free(capture);
        return NULL;
    }
    capture->ask = *ask;
    capture->captures = &grpc_sensor_of(ask->server)->captures;
    capture->tap = tap;
    capture->started_ns = clock_monotonic_ns();
    atomic_init(&capture->references, 2);
    (void)pthread_mutex_init(&capture->lock, NULL);
    init_condition(&capture->changed);
    (void)grpc_identify(ask->server, ask->call, GRPC_SCOPE_PACKETS, capture->who, &ignored);
    rpc_peer(ask->call, capture->peer);
    return capture;
}

static void start(struct grpc_ask *ask, struct tap *tap)
{
    struct capture *capture = new_capture(ask, tap);

    if (capture == NULL) {
        tap_free(tap);
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a capture");
        return;
    }
    grpc_ask_keep(ask);
    rpc_set_user_data(ask->call, capture);
    const int code = start_thread(capture);

    if (code != 0) {
        rpc_set_user_data(ask->call, NULL);
        tap_free(tap);
        capture->tap = NULL;
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_THREAD", -1, "no thread for a capture: %s",
                    strerrorname_np(code));
        grpc_ask_release(ask);
        unref(capture);
        unref(capture);
    }
}

void grpc_capture_packets(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__CapturePacketsRequest *request =
        (const Netscope__V1__CapturePacketsRequest *)grpc_unpack(
            ask, &netscope__v1__capture_packets_request__descriptor, bytes, length);
    struct error err = {0};

    if (request == NULL) {
        return;
    }
    struct tap_request wanted = {.filter = request->bpf,
                                 .interface = request->interface,
                                 .snaplen_bytes = request->snaplen,
                                 .packets_max = request->max_packets,
                                 .bytes_max = request->max_bytes,
                                 .has_history = request->include_history};

    if (!grpc_read_duration(ask, request->max_duration, "max_duration", &wanted.duration_ns)) {
        return;
    }
    struct tap *tap = pipeline_tap_new(grpc_sensor_of(ask->server)->pipeline, &wanted, &err);

    if (tap == NULL) {
        refuse(ask, &err);
        return;
    }
    start(ask, tap);
}
