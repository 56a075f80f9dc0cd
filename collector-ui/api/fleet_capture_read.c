/* CaptureService.StreamCapture and DownloadCapture: the file of a capture in pieces, the next one
 * when the call has taken the one before, and how the capture stands at the end. */
#include <errno.h>
#include <stdlib.h>

#include "base/service/audit.h"
#include "collector-ui/api/fleet_private.h"
#include "collector-ui/capture/capture_stream.h"
#include "netscope/v1/capture_service.pb-c.h"

/* The same in both responses. */
enum { RESPONSE_CHUNK = 1, RESPONSE_CAPTURE = 2 };

/* A client that reads. The rpc thread's. */
struct reading {
    struct grpc_ask ask; /* of a call */
    struct capture_stream *file;
    struct fleet_pending pending;
    bool is_over; /* `pending` is the last message then */
};

static void piece(void *context, const uint8_t *bytes, size_t length)
{
    struct reading *reading = context;
    struct rpc_buffer buffer = rpc_buffer_new(length + 16);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    wire_write_bytes(&w, RESPONSE_CHUNK, bytes, length);
    if (fleet_send(reading->ask.call, &reading->pending,
                   rpc_buffer_done(&buffer, wire_written(&w)))) {
        capture_stream_next(reading->file);
    }
}

static void over(void *context, const struct capture_info *info)
{
    struct reading *reading = context;
    uint8_t bytes[CAPTURE_INFO_BYTES];

    reading->is_over = true;
    if (info == NULL) {
        grpc_refuse(&reading->ask, RPC_ABORTED, "CAPTURE_GONE", -1,
                    "the capture was deleted, or its file cannot be read");
        return;
    }
    const size_t length = capture_info_encode(info, bytes, sizeof(bytes));
    struct rpc_buffer buffer = rpc_buffer_new(length + 16);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    wire_write_bytes(&w, RESPONSE_CAPTURE, bytes, length);
    if (fleet_send(reading->ask.call, &reading->pending,
                   rpc_buffer_done(&buffer, wire_written(&w)))) {
        rpc_finish(reading->ask.call, RPC_OK, NULL);
    }
}

void fleet_capture_read_writable(struct rpc_call *call)
{
    struct reading *reading = rpc_user_data(call);

    if (reading == NULL || !fleet_send_again(call, &reading->pending)) {
        return;
    }
    if (reading->is_over) {
        rpc_finish(call, RPC_OK, NULL);
    } else {
        capture_stream_next(reading->file);
    }
}

void fleet_capture_read_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct reading *reading = rpc_user_data(call);

    (void)result;
    if (reading != NULL) {
        rpc_set_user_data(call, NULL);
        capture_stream_close(reading->file);
        fleet_send_forget(&reading->pending);
        free(reading);
    }
}

/* ---- the requests ---- */

static void refuse(struct grpc_ask *ask, const char *id, const struct error *err)
{
    switch (err->code) {
    case ENOENT:
        fleet_refuse_capture(ask, id);
        break;
    case ERANGE:
        grpc_refuse(ask, RPC_OUT_OF_RANGE, "OUT_OF_BOUNDS", -1, "%s", err->message);
        break;
    case EBUSY:
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "TOO_MANY_READERS", -1, "%s", err->message);
        break;
    default:
        grpc_refuse(ask, RPC_UNAVAILABLE, "NO_FILE", -1, "%s", err->message);
        break;
    }
}

static void start(struct grpc_ask *ask, const char *id, uint64_t offset, bool is_following)
{
    struct reading *reading = calloc(1, sizeof(*reading));
    const struct capture_stream_reader reader = {.piece = piece, .over = over, .context = reading};
    char who[GRPC_WHO_BYTES];
    char peer[RPC_PEER_BYTES];
    struct error err = {0};

    if (reading == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a reader");
        return;
    }
    reading->ask = *ask;
    reading->file = capture_stream_open(fleet_of(ask->server)->parts.files, id, offset,
                                        is_following, &reader, &err);
    if (reading->file == NULL) {
        free(reading);
        refuse(ask, id, &err);
        return;
    }
    fleet_capture_who(ask, who, peer);
    audit_line(who, peer, ask->row->path, "ok", id);
    rpc_set_user_data(ask->call, reading);
    rpc_send_headers(ask->call);
    capture_stream_next(reading->file);
}

void fleet_stream_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__StreamCaptureRequest *request =
        (const Netscope__V1__StreamCaptureRequest *)grpc_unpack(
            ask, &netscope__v1__stream_capture_request__descriptor, bytes, length);

    if (request != NULL) {
        start(ask, request->capture_id, 0, true);
    }
}

void fleet_download_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__DownloadCaptureRequest *request =
        (const Netscope__V1__DownloadCaptureRequest *)grpc_unpack(
            ask, &netscope__v1__download_capture_request__descriptor, bytes, length);

    if (request != NULL) {
        start(ask, request->capture_id, request->offset, false);
    }
}
