#include "sensor/export/capture_pump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/service/audit.h"

#define IDLE_NS (10 * NS_PER_MS)
#define WAIT_NS (200 * NS_PER_MS)
/* A reader that takes nothing for so long gives up its place. */
#define STALL_NS (60 * NS_PER_SEC)

/* ---- threads ---- */

void capture_threads_init(struct capture_threads *threads)
{
    (void)pthread_mutex_init(&threads->lock, NULL);
    (void)pthread_cond_init(&threads->ended, NULL);
}

void capture_threads_fini(struct capture_threads *threads)
{
    (void)pthread_cond_destroy(&threads->ended);
    (void)pthread_mutex_destroy(&threads->lock);
}

int capture_threads_start(struct capture_threads *threads, void *(*run)(void *argument),
                          void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int code = pthread_attr_init(&attributes);

    if (code != 0) {
        return code;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_mutex_lock(&threads->lock);
    code = pthread_create(&thread, &attributes, run, argument);
    if (code == 0) {
        threads->count++;
        (void)pthread_setname_np(thread, "capture");
    }
    (void)pthread_mutex_unlock(&threads->lock);
    (void)pthread_attr_destroy(&attributes);
    return code;
}

void capture_threads_leave(struct capture_threads *threads)
{
    (void)pthread_mutex_lock(&threads->lock);
    threads->count--;
    (void)pthread_cond_broadcast(&threads->ended);
    (void)pthread_mutex_unlock(&threads->lock);
}

uint32_t capture_threads_count(struct capture_threads *threads)
{
    (void)pthread_mutex_lock(&threads->lock);
    const uint32_t count = threads->count;

    (void)pthread_mutex_unlock(&threads->lock);
    return count;
}

void capture_threads_join(struct capture_threads *threads)
{
    (void)pthread_mutex_lock(&threads->lock);
    while (threads->count > 0) {
        (void)pthread_cond_wait(&threads->ended, &threads->lock);
    }
    (void)pthread_mutex_unlock(&threads->lock);
}

/* ---- life ---- */

/* Waits by the monotonic clock. */
static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

bool capture_pump_init(struct capture_pump *pump, struct tap *tap)
{
    pump->room = malloc(TAP_ROOM_BYTES);
    if (pump->room == NULL) {
        return false;
    }
    pump->tap = tap;
    pump->started_ns = clock_monotonic_ns();
    (void)pthread_mutex_init(&pump->lock, NULL);
    init_condition(&pump->changed);
    return true;
}

void capture_pump_close(struct capture_pump *pump)
{
    (void)pthread_mutex_lock(&pump->lock);
    tap_free(pump->tap);
    pump->tap = NULL;
    (void)pthread_mutex_unlock(&pump->lock);
}

void capture_pump_fini(struct capture_pump *pump)
{
    tap_free(pump->tap);
    (void)pthread_cond_destroy(&pump->changed);
    (void)pthread_mutex_destroy(&pump->lock);
    free(pump->room);
}

struct capture_refusal capture_refusal_of(int code)
{
    switch (code) {
    case EPERM:
        return (struct capture_refusal){RPC_FAILED_PRECONDITION, "CAPTURE_OFF", NULL};
    case EBUSY:
        return (struct capture_refusal){RPC_RESOURCE_EXHAUSTED, "TOO_MANY_CAPTURES", NULL};
    case ENODATA:
        return (struct capture_refusal){RPC_FAILED_PRECONDITION, "NO_HISTORY", NULL};
    case ENODEV:
        return (struct capture_refusal){RPC_INVALID_ARGUMENT, "NO_SUCH_INTERFACE", "interface"};
    case ERANGE:
        return (struct capture_refusal){RPC_INVALID_ARGUMENT, "BAD_RANGE", "packets_until"};
    case EINVAL:
        return (struct capture_refusal){RPC_INVALID_ARGUMENT, "INVALID_FILTER", "bpf"};
    default:
        return (struct capture_refusal){RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", NULL};
    }
}

/* ---- what is noted ---- */

void capture_pump_note_start(const struct capture_pump *pump)
{
    const struct tap_request *limits = tap_limits(pump->tap);
    char detail[320];

    (void)snprintf(detail, sizeof(detail),
                   "bpf='%.100s' interface=%.40s snaplen=%u max_packets=%llu max_bytes=%llu "
                   "max_seconds=%.1f history=%s packets=%s",
                   limits->filter, limits->interface[0] == '\0' ? "all" : limits->interface,
                   limits->snaplen_bytes, (unsigned long long)limits->packets_max,
                   (unsigned long long)limits->bytes_max,
                   (double)limits->duration_ns / (double)NS_PER_SEC,
                   limits->has_history ? "yes" : "no", limits->is_headers ? "headers" : "whole");
    audit_line(pump->who, pump->peer, pump->what, "started", detail);
}

void capture_note_refusal(const char *who, const char *peer, const char *what, const char *why)
{
    static struct log_limit limit;

    if (log_allowed(&limit, NS_PER_SEC / 10, NULL)) {
        audit_line(who, peer, what, "refused", why);
    }
}

void capture_pump_note_end(const struct capture_pump *pump, const struct tap_counts *counts,
                           const char *reason)
{
    char detail[300];

    (void)snprintf(detail, sizeof(detail),
                   "bpf='%.100s' packets=%llu bytes=%llu dropped=%llu seconds=%.1f reason=%s",
                   tap_limits(pump->tap)->filter, (unsigned long long)counts->packets,
                   (unsigned long long)counts->bytes, (unsigned long long)counts->dropped,
                   (double)(clock_monotonic_ns() - pump->started_ns) / (double)NS_PER_SEC, reason);
    audit_line(pump->who, pump->peer, pump->what, "ended", detail);
}

/* ---- the call ---- */

void capture_pump_writable(struct capture_pump *pump)
{
    (void)pthread_mutex_lock(&pump->lock);
    pump->is_writable = true;
    (void)pthread_cond_signal(&pump->changed);
    (void)pthread_mutex_unlock(&pump->lock);
}

void capture_pump_call_over(struct capture_pump *pump)
{
    (void)pthread_mutex_lock(&pump->lock);
    pump->is_call_over = true;
    (void)pthread_cond_signal(&pump->changed);
    (void)pthread_mutex_unlock(&pump->lock);
}

void capture_pump_stop(struct capture_pump *pump, const char *reason)
{
    (void)pthread_mutex_lock(&pump->lock);
    if (pump->tap != NULL) {
        tap_stop(pump->tap, reason);
    }
    (void)pthread_mutex_unlock(&pump->lock);
}

/* ---- the capture's thread ---- */

static bool is_call_over(struct capture_pump *pump)
{
    (void)pthread_mutex_lock(&pump->lock);
    const bool is_over = pump->is_call_over;

    (void)pthread_mutex_unlock(&pump->lock);
    return is_over;
}

/* Until the call can take more or is over, or a moment has passed. */
static void wait_for_call(struct capture_pump *pump)
{
    const uint64_t until_ns = clock_monotonic_ns() + WAIT_NS;
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};

    (void)pthread_mutex_lock(&pump->lock);
    if (!pump->is_writable && !pump->is_call_over) {
        (void)pthread_cond_timedwait(&pump->changed, &pump->lock, &until);
    }
    pump->is_writable = false;
    (void)pthread_mutex_unlock(&pump->lock);
}

void capture_pump_await_call(struct capture_pump *pump)
{
    const uint64_t began_ns = clock_monotonic_ns();
    bool is_cancelled = false;

    while (!is_call_over(pump)) {
        if (!is_cancelled && clock_monotonic_ns() - began_ns >= STALL_NS) {
            rpc_cancel(pump->call, RPC_ABORTED, "the peer has not answered for a minute");
            is_cancelled = true;
        }
        wait_for_call(pump);
    }
}

bool capture_pump_send(struct capture_pump *pump, struct rpc_bytes bytes)
{
    const uint64_t began_ns = clock_monotonic_ns();
    enum rpc_send_result result;

    while ((result = rpc_send(pump->call, rpc_bytes_ref(&bytes))) == RPC_SEND_FULL) {
        if (clock_monotonic_ns() - began_ns >= STALL_NS) {
            rpc_cancel(pump->call, RPC_ABORTED, "the client has taken nothing for a minute");
            break;
        }
        tap_tell_dropped(pump->tap); /* seen while it is stuck, not when that is over */
        wait_for_call(pump);
    }
    rpc_bytes_unref(&bytes);
    return result == RPC_SEND_QUEUED;
}

bool capture_pump_run(struct capture_pump *pump, capture_message *message, void *context)
{
    const struct timespec pause = {0, (long)IDLE_NS};

    while (!tap_is_over(pump->tap)) {
        const size_t length = tap_read(pump->tap, pump->room, TAP_ROOM_BYTES);

        if (length > 0 && !capture_pump_send(pump, message(context, pump->room, length))) {
            return false;
        }
        if (length < TAP_CHUNK_BYTES && !tap_is_over(pump->tap)) {
            if (is_call_over(pump)) {
                return false;
            }
            (void)nanosleep(&pause, NULL); /* gathers: a message for each packet costs more */
        }
    }
    return true;
}
