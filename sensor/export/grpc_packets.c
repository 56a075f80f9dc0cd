/* PacketService. */
#include <string.h>

#include "netscope/v1/packet_service.pb-c.h"
#include "sensor/export/grpc_private.h"
#include "sensor/export/packet_layers.h"
#include "sensor/wire/packet.h"

enum { GET_PACKET = 1 };

bool grpc_packet_flow(const uint8_t *bytes, size_t length, struct flow_record *out)
{
    struct packet_sample sample;
    struct packet packet;

    if (!codec_decode_packet(bytes, length, &sample)) {
        return false;
    }
    const struct frame frame = {.bytes = sample.data,
                                .captured_bytes = sample.data_length,
                                .wire_bytes = sample.wire_length,
                                .time_ns = sample.time_ns,
                                .link_type = (uint16_t)sample.linktype};

    (void)packet_decode(&frame, 0, &packet);
    if (packet.ip_version == 0) {
        return false;
    }
    struct flow_endpoint source = {.ip = packet_source(&packet), .port = packet.source_port};
    struct flow_endpoint target = {.ip = packet_target(&packet), .port = packet.target_port};
    const bool is_reverse = sample.direction == 2;

    memset(out, 0, sizeof(*out));
    out->client = is_reverse ? target : source;
    out->server = is_reverse ? source : target;
    out->ip_version = packet.ip_version;
    out->ip_protocol = packet.protocol;
    out->flow_id = sample.flow_id;
    out->community_id = sample.community_id;
    out->start_ns = sample.time_ns;
    out->end_ns = sample.time_ns;
    return true;
}

static void answer_packet(struct grpc_ask *ask, const struct grpc_record *record)
{
    struct grpc_server *server = ask->server;
    const size_t capacity = record->length + (size_t)PACKET_LAYERS_BYTES_MAX;

    arena_reset(server->arena);
    uint8_t *out = arena_take(server->arena, capacity, 1);
    const size_t length =
        out == NULL ? 0 : packet_layers_append(record->bytes, record->length, out, capacity);

    if (length == 0) {
        grpc_refuse(ask, RPC_INTERNAL, "DAMAGED", -1, "the sample cannot be read");
        return;
    }
    grpc_answer_field(ask, GET_PACKET, out, length);
}

void grpc_get_packet(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const struct grpc_server *server = ask->server;
    const struct grpc_history *history = &server->histories[RECORD_PACKETS];
    const Netscope__V1__GetPacketRequest *request =
        (const Netscope__V1__GetPacketRequest *)grpc_unpack(
            ask, &netscope__v1__get_packet_request__descriptor, bytes, length);
    struct packet_sample sample = {0};

    if (request == NULL ||
        !grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, NULL)) {
        return;
    }
    const size_t id_length = strlen(request->id);

    if (id_length == 0) {
        grpc_refuse_field(ask, "id", "MISSING_FIELD", -1, "id: not given");
        return;
    }
    for (uint64_t at = history->end; at > history->first; at--) {
        const struct grpc_record *record = grpc_history_at(history, at - 1);

        if (codec_decode_packet(record->bytes, record->length, &sample) &&
            sample.id.length == id_length && memcmp(sample.id.data, request->id, id_length) == 0) {
            answer_packet(ask, record);
            return;
        }
    }
    if (history->first == history->end) {
        grpc_refuse(ask, RPC_NOT_FOUND, "NO_SUCH_PACKET", -1,
                    "packet %.60s: this sensor holds no samples (packets.samples_per_second)",
                    request->id);
        return;
    }
    grpc_refuse(ask, RPC_NOT_FOUND, "NO_SUCH_PACKET", -1,
                "packet %.60s: not held; the oldest sample held is %.*s", request->id,
                (int)sample.id.length, sample.id.data);
}
