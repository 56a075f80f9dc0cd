/* PacketService.CapturePackets: a client of the sensor gets a capture. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netscope/v1/packet_service.pb-c.h"
#include "sensor/export/capture_pump.h"
#include "sensor/export/grpc_private.h"

enum { RESPONSE_CHUNK = 1, RESPONSE_SUMMARY = 2 };
enum { SUMMARY_PACKETS = 1, SUMMARY_BYTES = 2, SUMMARY_DROPPED = 3, SUMMARY_REASON = 4 };

/* Shared by the capture's thread and its call. */
struct capture {
    struct capture_pump pump;
    struct grpc_ask ask; /* kept */
    struct capture_threads *threads;
    atomic_uint references;
};

static void unref(struct capture *capture)
{
    if (atomic_fetch_sub(&capture->references, 1) == 1) {
        capture_pump_fini(&capture->pump);
        free(capture);
    }
}

/* ---- the capture's thread ---- */

static struct rpc_bytes chunk_message(void *context, const uint8_t *chunk, size_t length)
{
    struct rpc_buffer buffer = rpc_buffer_new(length + 16);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    (void)context;
    wire_write_bytes(&w, RESPONSE_CHUNK, chunk, length);
    return rpc_buffer_done(&buffer, wire_written(&w));
}

static void send_summary(struct capture *capture, const struct tap_counts *counts)
{
    uint8_t text[192];
    struct wire_writer w = wire_writer_over(text, sizeof(text));
    const struct wire_mark mark = wire_begin(&w, RESPONSE_SUMMARY, 1);

    wire_write_varint(&w, SUMMARY_PACKETS, counts->packets);
    wire_write_varint(&w, SUMMARY_BYTES, counts->bytes);
    wire_write_varint(&w, SUMMARY_DROPPED, counts->dropped);
    wire_write_text(&w, SUMMARY_REASON, tap_reason(capture->pump.tap));
    wire_end(&w, mark);
    if (capture_pump_send(&capture->pump, rpc_bytes_copy(text, wire_written(&w)))) {
        rpc_finish(capture->ask.call, RPC_OK, NULL);
    }
}

static void run(struct capture *capture)
{
    struct capture_pump *pump = &capture->pump;
    struct error err = {0};
    struct tap_counts counts;

    if (tap_start(pump->tap, &err) != 0) {
        capture_note_refusal(pump->who, pump->peer, pump->what, err.message);
        if (err.code == EINVAL) {
            grpc_refuse_field(&capture->ask, "bpf", "INVALID_FILTER", -1, "bpf: %s", err.message);
        } else {
            grpc_refuse(&capture->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "%s", err.message);
        }
        return;
    }
    capture_pump_note_start(pump);
    rpc_send_headers(capture->ask.call);
    const bool is_whole = capture_pump_run(pump, chunk_message, NULL);

    tap_counts_read(pump->tap, &counts);
    capture_pump_note_end(pump, &counts, is_whole ? tap_reason(pump->tap) : "client_left");
    if (is_whole) {
        send_summary(capture, &counts);
    }
}

static void *run_thread(void *argument)
{
    struct capture *capture = argument;
    struct capture_threads *threads = capture->threads;

    run(capture);
    capture_pump_close(&capture->pump);
    grpc_ask_release(&capture->ask);
    unref(capture);
    capture_threads_leave(threads);
    return NULL;
}

/* ---- the call ---- */

void grpc_capture_writable(struct rpc_call *call)
{
    struct capture *capture = rpc_user_data(call);

    if (capture != NULL) {
        capture_pump_writable(&capture->pump);
    }
}

void grpc_capture_drain(struct rpc_call *call)
{
    struct capture *capture = rpc_user_data(call);

    if (capture != NULL) {
        capture_pump_stop(&capture->pump, "sensor_stopped");
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
    capture_pump_call_over(&capture->pump);
    unref(capture);
}

static void refuse(struct grpc_ask *ask, const struct error *err)
{
    char who[GRPC_WHO_BYTES];
    char peer[RPC_PEER_BYTES];
    struct error ignored = {0};

    (void)grpc_identify(ask->server, ask->call, GRPC_SCOPE_PACKETS, who, &ignored);
    rpc_peer(ask->call, peer);
    capture_note_refusal(who, peer, ask->row->path, err->message);
    const struct capture_refusal refusal = capture_refusal_of(err->code);

    if (refusal.field != NULL) {
        grpc_refuse_field(ask, refusal.field, refusal.reason, -1, "%s", err->message);
    } else {
        grpc_refuse(ask, refusal.status, refusal.reason, -1, "%s", err->message);
    }
}

static struct capture *new_capture(struct grpc_ask *ask, struct tap *tap)
{
    struct capture *capture = calloc(1, sizeof(*capture));
    struct error ignored = {0};

    if (capture == NULL || !capture_pump_init(&capture->pump, tap)) {
        free(capture);
        return NULL;
    }
    capture->ask = *ask;
    capture->threads = &grpc_sensor_of(ask->server)->captures;
    capture->pump.call = ask->call;
    capture->pump.what = ask->row->path;
    atomic_init(&capture->references, 2);
    (void)grpc_identify(ask->server, ask->call, GRPC_SCOPE_PACKETS, capture->pump.who, &ignored);
    rpc_peer(ask->call, capture->pump.peer);
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
    const int code = capture_threads_start(capture->threads, run_thread, capture);

    if (code != 0) {
        rpc_set_user_data(ask->call, NULL);
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

    if (!grpc_read_duration(ask, request->max_duration, "max_duration", &wanted.duration_ns) ||
        !grpc_read_time(ask, request->packets_from, "packets_from", &wanted.from_ns) ||
        !grpc_read_time(ask, request->packets_until, "packets_until", &wanted.until_ns)) {
        return;
    }
    struct grpc_sensor_choice sensors = {0};
    const bool is_ours =
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &sensors);

    grpc_sensor_choice_free(&sensors);
    if (!is_ours) {
        return;
    }
    struct tap *tap = pipeline_tap_new(grpc_sensor_of(ask->server)->pipeline, &wanted, &err);

    if (tap == NULL) {
        refuse(ask, &err);
        return;
    }
    start(ask, tap);
}
