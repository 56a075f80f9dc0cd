/* PacketService.CapturePackets of the fleet: one sensor captures, its file goes through to the
 * client. What the client's queue does not take now waits, and the sensor is not read meanwhile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/packet_service.pb-c.h"

enum { RESPONSE_CHUNK = 1, RESPONSE_SUMMARY = 2 };
enum { SUMMARY_PACKETS = 1, SUMMARY_BYTES = 2, SUMMARY_DROPPED = 3, SUMMARY_REASON = 4 };

/* A client that reads. The rpc thread's. */
struct stream {
    struct grpc_ask ask; /* of a call */
    struct captures *captures;
    char id[CAPTURES_COMMAND_BYTES];
    struct fleet_pending pending;
    bool is_over; /* the capture is; `pending` is the last message then */
};

/* ---- to the client ---- */

bool fleet_send(struct rpc_call *call, struct fleet_pending *pending, struct rpc_bytes bytes)
{
    const enum rpc_send_result result = rpc_send(call, rpc_bytes_ref(&bytes));

    pending->is_there = result == RPC_SEND_FULL;
    if (pending->is_there) {
        pending->bytes = bytes;
    } else {
        rpc_bytes_unref(&bytes);
    }
    return !pending->is_there;
}

bool fleet_send_again(struct rpc_call *call, struct fleet_pending *pending)
{
    return pending->is_there && fleet_send(call, pending, pending->bytes);
}

void fleet_send_forget(struct fleet_pending *pending)
{
    if (pending->is_there) {
        rpc_bytes_unref(&pending->bytes);
        pending->is_there = false;
    }
}

static bool send(struct stream *stream, struct rpc_bytes bytes)
{
    return fleet_send(stream->ask.call, &stream->pending, bytes);
}

static void begun(void *context)
{
    const struct stream *stream = context;

    rpc_send_headers(stream->ask.call);
}

static bool chunk(void *context, const uint8_t *bytes, size_t length)
{
    struct rpc_buffer buffer = rpc_buffer_new(length + 16);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    wire_write_bytes(&w, RESPONSE_CHUNK, bytes, length);
    return send(context, rpc_buffer_done(&buffer, wire_written(&w)));
}

static void over(void *context, const struct captures_end *end)
{
    struct stream *stream = context;
    const struct ingest_capture_summary *summary = &end->summary;
    uint8_t text[192];
    struct wire_writer w = wire_writer_over(text, sizeof(text));

    stream->is_over = true;
    if (end->status != RPC_OK) {
        fleet_capture_refuse_end(&stream->ask, end);
        return;
    }
    const struct wire_mark mark = wire_begin(&w, RESPONSE_SUMMARY, 1);

    wire_write_varint(&w, SUMMARY_PACKETS, summary->packets);
    wire_write_varint(&w, SUMMARY_BYTES, summary->bytes);
    wire_write_varint(&w, SUMMARY_DROPPED, summary->dropped);
    wire_write_text(&w, SUMMARY_REASON, summary->reason);
    wire_end(&w, mark);
    if (send(stream, rpc_bytes_copy(text, wire_written(&w)))) {
        rpc_finish(stream->ask.call, RPC_OK, NULL);
    }
}

void fleet_capture_writable(struct rpc_call *call)
{
    struct stream *stream = rpc_user_data(call);

    if (stream == NULL || !fleet_send_again(call, &stream->pending)) {
        return;
    }
    if (stream->is_over) {
        rpc_finish(call, RPC_OK, NULL);
    } else {
        captures_read_on(stream->captures, stream->id);
    }
}

void fleet_capture_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct stream *stream = rpc_user_data(call);

    (void)result;
    if (stream != NULL) {
        rpc_set_user_data(call, NULL);
        captures_leave(stream->captures, stream->id); /* if it is not over */
        fleet_send_forget(&stream->pending);
        free(stream);
    }
}

/* ---- the request ---- */

static bool read_order(struct grpc_ask *ask, const Netscope__V1__CapturePacketsRequest *request,
                       struct ingest_capture_order *out)
{
    *out = (struct ingest_capture_order){.snaplen = request->snaplen,
                                         .packets_max = request->max_packets,
                                         .bytes_max = request->max_bytes,
                                         .has_history = request->include_history};
    (void)snprintf(out->bpf, sizeof(out->bpf), "%s", request->bpf);
    (void)snprintf(out->interface, sizeof(out->interface), "%s", request->interface);
    return grpc_read_duration(ask, request->max_duration, "max_duration", &out->duration_ns) &&
           grpc_read_time(ask, request->packets_from, "packets_from", &out->from_ns) &&
           grpc_read_time(ask, request->packets_until, "packets_until", &out->until_ns);
}

bool fleet_capture_sensor(struct grpc_ask *ask, const char *field, const char *id)
{
    struct sensor_info info;

    if (id[0] == '\0' || strchr(id, '*') != NULL) {
        grpc_refuse_field(ask, field, "MISSING_FIELD", -1,
                          "%s: name the one sensor that captures by its id "
                          "(FleetService.ListSensors)",
                          field);
        return false;
    }
    if (!sensor_registry_find(fleet_of(ask->server)->parts.registry, clock_wall_ns(), id, &info)) {
        grpc_refuse(ask, RPC_NOT_FOUND, "NO_SUCH_SENSOR", -1, "no sensor '%.128s' is known", id);
        return false;
    }
    return true;
}

void fleet_capture_refuse_start(struct grpc_ask *ask, const struct error *err)
{
    static const struct {
        int code;
        enum rpc_status status;
        const char *reason;
    } refusals[] = {{EPROTONOSUPPORT, RPC_FAILED_PRECONDITION, "SENSOR_TOO_OLD"},
                    {ENOTCONN, RPC_UNAVAILABLE, "SENSOR_OFFLINE"},
                    {EAGAIN, RPC_UNAVAILABLE, "SENSOR_BUSY"},
                    {ESHUTDOWN, RPC_UNAVAILABLE, "STOPPING"},
                    {EBUSY, RPC_RESOURCE_EXHAUSTED, "TOO_MANY_CAPTURES"},
                    {ENOMEM, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY"}};

    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        if (refusals[i].code == err->code) {
            grpc_refuse(ask, refusals[i].status, refusals[i].reason, -1, "%s", err->message);
            return;
        }
    }
    grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_ROOM", -1, "%s", err->message);
}

void fleet_capture_refuse_end(struct grpc_ask *ask, const struct captures_end *end)
{
    if (end->field != NULL) {
        grpc_refuse_field(ask, end->field, end->reason, -1, "%s", end->message);
    } else if (end->status != RPC_OK) {
        grpc_refuse(ask, end->status, end->reason, -1, "%s", end->message);
    } else { /* it ended before it began */
        grpc_refuse(ask, RPC_UNAVAILABLE, "NO_FILE", -1, "the sensor sent no file");
    }
}

void fleet_capture_who(const struct grpc_ask *ask, char who[GRPC_WHO_BYTES],
                       char peer[RPC_PEER_BYTES])
{
    struct error ignored = {0};

    if (ask->call != NULL) {
        (void)grpc_identify(ask->server, ask->call, GRPC_SCOPE_PACKETS, who, &ignored);
        rpc_peer(ask->call, peer);
    } else {
        (void)snprintf(who, GRPC_WHO_BYTES, "%s", ask->who);
        (void)snprintf(peer, RPC_PEER_BYTES, "%s", ask->peer);
    }
}

struct captures_request fleet_capture_request(const struct grpc_ask *ask, const char *sensor_id,
                                              struct ingest_capture_order *order,
                                              char peer[RPC_PEER_BYTES])
{
    char who[GRPC_WHO_BYTES];

    fleet_capture_who(ask, who, peer);
    (void)snprintf(order->requester, sizeof(order->requester), "%s", who);
    return (struct captures_request){
        .sensor_id = sensor_id, .order = order, .peer = peer, .what = ask->row->path};
}

static void start(struct grpc_ask *ask, const char *sensor_id, struct ingest_capture_order *order)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    const struct captures_reader reader = {
        .begun = begun, .chunk = chunk, .over = over, .context = stream};
    char peer[RPC_PEER_BYTES];
    struct error err = {0};

    if (stream == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a capture");
        return;
    }
    const struct captures_request request = fleet_capture_request(ask, sensor_id, order, peer);

    stream->ask = *ask;
    stream->captures = fleet_of(ask->server)->parts.captures;
    if (captures_start(stream->captures, &request, &reader, stream->id, &err) != 0) {
        free(stream);
        fleet_capture_refuse_start(ask, &err);
        return;
    }
    rpc_set_user_data(ask->call, stream);
}

void fleet_capture_packets(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__CapturePacketsRequest *request =
        (const Netscope__V1__CapturePacketsRequest *)grpc_unpack(
            ask, &netscope__v1__capture_packets_request__descriptor, bytes, length);
    struct ingest_capture_order order;

    if (request == NULL) {
        return;
    }
    const Netscope__V1__SensorSelector *selector = request->sensor_selector;
    const char *sensor_id =
        selector != NULL && selector->n_sensor_ids == 1 ? selector->sensor_ids[0] : "";

    if (selector != NULL && selector->labels[0] != '\0') {
        grpc_refuse_field(ask, "sensor_selector", "NO_LABELS", -1,
                          "sensor_selector: the id of one sensor, and no labels");
    } else if (fleet_capture_sensor(ask, "sensor_selector", sensor_id) &&
               read_order(ask, request, &order)) {
        start(ask, sensor_id, &order);
    }
}
