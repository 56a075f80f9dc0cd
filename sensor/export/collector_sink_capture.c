/* Captures that the collector asks for: taken where this sensor's own settings let it, sent by
 * UploadCapture beside the stream of records, with flow control of their own. They end with the
 * connection that they were asked on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/export/collector_sink_private.h"
#include "sensor/pipeline/pipeline.h"

#define AUDIT_NAME         "collector.capture"
#define QUEUE_MESSAGES_MAX 8
#define QUEUE_BYTES_MAX    ((size_t)1 << 20)
#define RESULT_BYTES       1024
#define CLOSING_WAIT_NS    NS_PER_SEC /* for the last packets, when the sensor stops */
#define SUMMARY_BYTES_MAX  256
#define COLLECTOR_GONE     "collector_gone"

/* A capture that runs: its thread's and its call's. */
struct collector_capture {
    struct collector_capture *next; /* with the sink's lock */
    struct capture_pump pump;
    struct collector_sink *sink; /* the thread's: it outlives that */
    char command_id[INGEST_COMMAND_ID_BYTES];
    char ended[256]; /* what the collector ended the upload with; "": in order. With pump.lock */
    atomic_uint references;
};

struct collector_result {
    struct collector_result *next;
    struct ingest_command_result result;
};

/* ---- results ---- */

/* Any thread. */
static void answer(struct collector_sink *sink, const struct ingest_command_result *result)
{
    struct collector_result *queued = malloc(sizeof(*queued));

    if (queued == NULL) {
        return; /* the collector waits in vain, and says so */
    }
    *queued = (struct collector_result){.result = *result};
    (void)pthread_mutex_lock(&sink->lock);
    *sink->captures.results_last = queued;
    sink->captures.results_last = &queued->next;
    sink->has_news = true;
    (void)pthread_cond_signal(&sink->wake);
    (void)pthread_mutex_unlock(&sink->lock);
}

static void answer_outcome(struct collector_sink *sink, const char *command_id,
                           enum ingest_outcome outcome)
{
    struct ingest_command_result result = {.outcome = outcome};

    memcpy(result.command_id, command_id, sizeof(result.command_id));
    answer(sink, &result);
}

static void answer_failure(struct collector_sink *sink, const char *command_id,
                           enum rpc_status status, const char *reason, const char *message)
{
    struct ingest_command_result result = {.outcome = INGEST_FAILED, .error_code = status};

    memcpy(result.command_id, command_id, sizeof(result.command_id));
    (void)snprintf(result.error, sizeof(result.error), "%s", message);
    (void)snprintf(result.error_reason, sizeof(result.error_reason), "%s", reason);
    answer(sink, &result);
}

/* NULL: none waits. */
static struct collector_result *take_result(struct collector_sink *sink)
{
    struct collector_captures *captures = &sink->captures;

    (void)pthread_mutex_lock(&sink->lock);
    struct collector_result *first = captures->results;

    if (first != NULL) {
        captures->results = first->next;
        captures->results_last =
            captures->results == NULL ? &captures->results : captures->results_last;
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return first;
}

static void put_back(struct collector_sink *sink, struct collector_result *result)
{
    struct collector_captures *captures = &sink->captures;

    (void)pthread_mutex_lock(&sink->lock);
    result->next = captures->results;
    captures->results_last = captures->results == NULL ? &result->next : captures->results_last;
    captures->results = result;
    (void)pthread_mutex_unlock(&sink->lock);
}

void collector_captures_pump(struct collector_sink *sink)
{
    struct collector_result *result;

    while (!sink->is_full && (result = take_result(sink)) != NULL) {
        uint8_t bytes[RESULT_BYTES];
        const size_t length = ingest_encode_command_result(&result->result, bytes, sizeof(bytes));

        if (!collector_stream_send(sink, bytes, length) && sink->is_full) {
            put_back(sink, result);
            return;
        }
        free(result);
    }
}

static void forget_results(struct collector_sink *sink)
{
    struct collector_result *result;

    while ((result = take_result(sink)) != NULL) {
        free(result);
    }
}

/* ---- the upload ---- */

static void unref(struct collector_capture *capture)
{
    if (atomic_fetch_sub(&capture->references, 1) == 1) {
        rpc_unref(capture->pump.call);
        capture_pump_fini(&capture->pump);
        free(capture);
    }
}

static void on_writable(struct rpc_call *call)
{
    struct collector_capture *capture = rpc_user_data(call);

    capture_pump_writable(&capture->pump);
}

static void on_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct collector_capture *capture = rpc_user_data(call);

    if (result->status != RPC_OK) {
        (void)pthread_mutex_lock(&capture->pump.lock);
        (void)snprintf(capture->ended, sizeof(capture->ended), "%s: %.200s",
                       rpc_status_name(result->status), result->message);
        (void)pthread_mutex_unlock(&capture->pump.lock);
    }
    capture_pump_call_over(&capture->pump);
    unref(capture);
}

static struct rpc_bytes chunk_message(void *context, const uint8_t *chunk, size_t length)
{
    const struct collector_capture *capture = context;
    struct rpc_buffer buffer = rpc_buffer_new(length + INGEST_UPLOAD_HEAD_BYTES);
    struct ingest_upload upload = {.chunk = chunk, .chunk_length = length};

    memcpy(upload.command_id, capture->command_id, sizeof(upload.command_id));
    return rpc_buffer_done(&buffer, ingest_encode_upload(&upload, buffer.data, buffer.capacity));
}

static bool send_summary(struct collector_capture *capture, const struct tap_counts *counts)
{
    uint8_t bytes[SUMMARY_BYTES_MAX];
    struct ingest_upload upload = {.has_summary = true,
                                   .summary = {.packets = counts->packets,
                                               .bytes = counts->bytes,
                                               .dropped = counts->dropped}};

    memcpy(upload.command_id, capture->command_id, sizeof(upload.command_id));
    (void)snprintf(upload.summary.reason, sizeof(upload.summary.reason), "%s",
                   tap_reason(capture->pump.tap));
    return capture_pump_send(
        &capture->pump, rpc_bytes_copy(bytes, ingest_encode_upload(&upload, bytes, sizeof(bytes))));
}

/* True: the collector has all of it. */
static bool upload(struct collector_capture *capture)
{
    struct capture_pump *pump = &capture->pump;
    struct tap_counts counts;
    bool is_whole = capture_pump_run(pump, chunk_message, capture);

    tap_counts_read(pump->tap, &counts);
    capture_pump_note_end(pump, &counts, is_whole ? tap_reason(pump->tap) : "collector_left");
    is_whole = is_whole && send_summary(capture, &counts);
    capture_pump_close(pump); /* another one may have the place */
    if (is_whole) {
        rpc_half_close(pump->call);
    } else {
        rpc_cancel(pump->call, RPC_CANCELLED, "the capture is broken off");
    }
    capture_pump_await_call(pump);
    return is_whole && capture->ended[0] == '\0';
}

static void run(struct collector_capture *capture)
{
    struct capture_pump *pump = &capture->pump;
    struct error err = {0};

    if (tap_start(pump->tap, &err) != 0) {
        const struct capture_refusal refusal = capture_refusal_of(err.code);

        capture_note_refusal(pump->who, pump->peer, pump->what, err.message);
        answer_failure(capture->sink, capture->command_id, refusal.status, refusal.reason,
                       err.message);
        capture_pump_close(pump);
        rpc_cancel(pump->call, RPC_CANCELLED, "refused");
        capture_pump_await_call(pump);
        return;
    }
    capture_pump_note_start(pump);
    answer_outcome(capture->sink, capture->command_id, INGEST_ACCEPTED);
    if (upload(capture)) {
        answer_outcome(capture->sink, capture->command_id, INGEST_DONE);
    } else {
        answer_failure(capture->sink, capture->command_id, RPC_ABORTED, "UPLOAD_BROKEN",
                       capture->ended);
    }
}

static void forget(struct collector_sink *sink, const struct collector_capture *capture)
{
    (void)pthread_mutex_lock(&sink->lock);
    struct collector_capture **at = &sink->captures.list;

    while (*at != NULL && *at != capture) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = capture->next;
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

static void *run_thread(void *argument)
{
    struct collector_capture *capture = argument;
    struct collector_sink *sink = capture->sink;

    run(capture);
    forget(sink, capture);
    unref(capture);
    capture_threads_leave(&sink->captures.threads);
    return NULL;
}

/* ---- commands ---- */

/* NULL with `err`. */
static struct tap *open_tap(struct collector_sink *sink, const struct ingest_capture_order *order,
                            struct error *err)
{
    const struct tap_request request = {
        .filter = order->bpf,
        .interface = order->interface,
        .snaplen_bytes = order->snaplen,
        .packets_max = order->packets_max,
        .bytes_max = order->bytes_max,
        .duration_ns = order->duration_ns,
        .from_ns = order->from_ns,
        .until_ns = order->until_ns,
        .has_history = order->has_history,
        .is_headers = strcmp(sink->settings->captures, "full") != 0,
    };

    (void)pthread_mutex_lock(&sink->lock);
    struct pipeline *pipeline = sink->captures.pipeline;

    (void)pthread_mutex_unlock(&sink->lock);
    if (strcmp(sink->settings->captures, "off") == 0 || pipeline == NULL) {
        (void)error_set(err, EPERM,
                        "this sensor does not capture for its collector (collector.captures)");
        return NULL;
    }
    return pipeline_tap_new(pipeline, &request, err);
}

static void fill_who(const struct collector_sink *sink, const struct ingest_capture_order *order,
                     char who[CAPTURE_WHO_BYTES], char peer[RPC_PEER_BYTES])
{
    (void)snprintf(who, CAPTURE_WHO_BYTES, "collector%s%s", order->requester[0] != '\0' ? ":" : "",
                   order->requester);
    (void)snprintf(peer, RPC_PEER_BYTES, "%.*s", RPC_PEER_BYTES - 1,
                   collector_redirect_address(sink));
}

/* NULL with `err`; the tap is the caller's then. */
static struct collector_capture *new_capture(struct collector_sink *sink, struct tap *tap,
                                             const struct ingest_command *command,
                                             struct error *err)
{
    struct collector_capture *capture = calloc(1, sizeof(*capture));
    struct rpc_call_options options = {.user_data = capture};
    char token[COLLECTOR_TOKEN_MAX];

    if (capture == NULL || !capture_pump_init(&capture->pump, tap)) {
        free(capture);
        (void)error_set(err, ENOMEM, "no memory for a capture");
        return NULL;
    }
    capture->sink = sink;
    memcpy(capture->command_id, command->command_id, sizeof(capture->command_id));
    capture->pump.what = AUDIT_NAME;
    fill_who(sink, &command->capture, capture->pump.who, capture->pump.peer);
    atomic_init(&capture->references, 2);
    if (collector_sink_token(sink, token, err) == 0) {
        options.bearer = token[0] != '\0' ? token : NULL;
        capture->pump.call = rpc_call_start(sink->channel, &sink->captures.method, &options, err);
    }
    if (capture->pump.call == NULL) {
        capture->pump.tap = NULL;
        capture_pump_fini(&capture->pump);
        free(capture);
        return NULL;
    }
    return capture;
}

static bool is_known(struct collector_sink *sink, const char *command_id)
{
    bool is_found = false;

    (void)pthread_mutex_lock(&sink->lock);
    for (const struct collector_capture *at = sink->captures.list; at != NULL; at = at->next) {
        is_found = is_found || strcmp(at->command_id, command_id) == 0;
    }
    (void)pthread_mutex_unlock(&sink->lock);
    return is_found;
}

static void refuse(struct collector_sink *sink, const struct ingest_command *command,
                   const struct error *err)
{
    const struct capture_refusal refusal = capture_refusal_of(err->code);
    char who[CAPTURE_WHO_BYTES];
    char peer[RPC_PEER_BYTES];

    fill_who(sink, &command->capture, who, peer);
    capture_note_refusal(who, peer, AUDIT_NAME, err->message);
    answer_failure(sink, command->command_id, refusal.status, refusal.reason, err->message);
}

static void start(struct collector_sink *sink, const struct ingest_command *command)
{
    struct error err = {0};

    if (command->command_id[0] == '\0' || is_known(sink, command->command_id)) {
        answer_failure(sink, command->command_id, RPC_ALREADY_EXISTS, "COMMAND_ID",
                       "the command has no id, or that of a capture that runs");
        return;
    }
    struct tap *tap = open_tap(sink, &command->capture, &err);
    struct collector_capture *capture = tap == NULL ? NULL : new_capture(sink, tap, command, &err);

    if (capture == NULL) {
        tap_free(tap);
        refuse(sink, command, &err);
        return;
    }
    (void)pthread_mutex_lock(&sink->lock);
    capture->next = sink->captures.list;
    sink->captures.list = capture;
    (void)pthread_mutex_unlock(&sink->lock);
    const int code = capture_threads_start(&sink->captures.threads, run_thread, capture);

    if (code != 0) {
        (void)error_set(&err, code, "no thread for a capture: %s", strerror(code));
        refuse(sink, command, &err);
        forget(sink, capture);
        rpc_cancel(capture->pump.call, RPC_CANCELLED, "refused");
        unref(capture); /* the call has the other reference */
    }
}

static void cancel(struct collector_sink *sink, const struct ingest_command *command)
{
    bool is_found = false;

    (void)pthread_mutex_lock(&sink->lock);
    for (struct collector_capture *at = sink->captures.list; at != NULL; at = at->next) {
        if (strcmp(at->command_id, command->cancel_id) == 0) {
            capture_pump_stop(&at->pump, "cancelled");
            is_found = true;
        }
    }
    (void)pthread_mutex_unlock(&sink->lock);
    if (is_found) {
        answer_outcome(sink, command->command_id, INGEST_DONE);
    } else {
        answer_failure(sink, command->command_id, RPC_NOT_FOUND, "NO_SUCH_COMMAND",
                       "no capture with this id runs");
    }
}

void collector_captures_take(struct collector_sink *sink, struct collector_command *commands)
{
    struct collector_command *ordered = NULL;

    while (commands != NULL) { /* they come newest first */
        struct collector_command *next = commands->next;

        commands->next = ordered;
        ordered = commands;
        commands = next;
    }
    while (ordered != NULL) {
        struct collector_command *command = ordered;

        ordered = command->next;
        if (!sink->is_welcomed) {
            /* Before the welcome nobody may ask; on a call that is over nobody does any more. */
        } else if (command->command.kind == INGEST_COMMAND_CAPTURE) {
            start(sink, &command->command);
        } else if (command->command.kind == INGEST_COMMAND_CANCEL) {
            cancel(sink, &command->command);
        } else {
            answer_failure(sink, command->command.command_id, RPC_UNIMPLEMENTED, "UNKNOWN_COMMAND",
                           "this sensor does not know the command");
        }
        free(command);
    }
}

/* ---- life ---- */

void collector_captures_init(struct collector_sink *sink)
{
    struct collector_captures *captures = &sink->captures;

    capture_threads_init(&captures->threads);
    captures->results_last = &captures->results;
    captures->method = (struct rpc_method){
        .path = INGEST_UPLOAD_PATH,
        .on_writable = on_writable,
        .on_done = on_done,
        .queue = {.messages_max = QUEUE_MESSAGES_MAX,
                  .bytes_max = QUEUE_BYTES_MAX,
                  .when_full = RPC_REJECT},
    };
}

void collector_captures_leave(struct collector_sink *sink)
{
    (void)pthread_mutex_lock(&sink->lock);
    for (struct collector_capture *at = sink->captures.list; at != NULL; at = at->next) {
        capture_pump_stop(&at->pump, COLLECTOR_GONE);
        rpc_cancel(at->pump.call, RPC_CANCELLED, "the stream to the collector has ended");
    }
    (void)pthread_mutex_unlock(&sink->lock);
    forget_results(sink);
}

bool collector_captures_are_over(struct collector_sink *sink, uint64_t now_ns)
{
    return capture_threads_count(&sink->captures.threads) == 0 ||
           now_ns - sink->closing_ns >= CLOSING_WAIT_NS;
}

void collector_captures_fini(struct collector_sink *sink)
{
    capture_threads_join(&sink->captures.threads);
    capture_threads_fini(&sink->captures.threads);
    forget_results(sink);
    while (sink->news.commands != NULL) {
        struct collector_command *next = sink->news.commands->next;

        free(sink->news.commands);
        sink->news.commands = next;
    }
}
