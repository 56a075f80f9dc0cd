/* Packet samples: one by its id, and which flow one is of. The collector has no parsers: it reads
 * the protocol tree that the sensor has put beside the bytes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/wire_format.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/packet_service.pb-c.h"
#include "proto/codec.h"

enum { SAMPLE_LAYERS = 20 };
enum { LAYER_NAME = 1, LAYER_FIELDS = 4 };
enum { FIELD_NAME = 1, FIELD_VALUE = 2 };

#define PORT_MAX     65535
#define PROTOCOL_MAX 255

/* Of the innermost IP header so far. */
struct ends {
    struct flow_endpoint source, target;
    uint8_t ip_protocol;
    bool has_ports;
};

static bool is_text(const struct wire_field *f, const char *text)
{
    return f->type == WIRE_BYTES && f->length == strlen(text) &&
           memcmp(f->bytes, text, f->length) == 0;
}

/* "6 TCP", "443". -1: no number, or above `most`. */
static int number_of(const struct wire_field *value, int most)
{
    int number = -1;

    for (size_t i = 0; i < value->length && value->bytes[i] >= '0' && value->bytes[i] <= '9'; i++) {
        number = (number < 0 ? 0 : number) * 10 + (value->bytes[i] - '0');
        if (number > most) {
            return -1;
        }
    }
    return number;
}

static void take_address(const struct wire_field *value, struct flow_endpoint *end)
{
    struct ip_address ip;

    if (address_parse((const char *)value->bytes, value->length, &ip)) {
        end->ip = ip;
    }
}

static void take_field(struct ends *ends, bool is_ip, const struct wire_field *name,
                       const struct wire_field *value)
{
    const bool is_source = is_text(name, is_ip ? "source" : "source_port");
    struct flow_endpoint *end = is_source ? &ends->source : &ends->target;
    const int port = number_of(value, PORT_MAX);

    if (is_text(name, "protocol") || is_text(name, "next_header")) {
        const int protocol = number_of(value, PROTOCOL_MAX);

        ends->ip_protocol = protocol < 0 ? ends->ip_protocol : (uint8_t)protocol;
    } else if (is_ip && (is_source || is_text(name, "target"))) {
        take_address(value, end);
    } else if (!is_ip && !ends->has_ports && port >= 0 &&
               (is_source || is_text(name, "target_port"))) {
        end->port = (uint16_t)port;
        ends->has_ports = !is_source;
    }
}

/* One name and its value. */
static void take_pair(struct ends *ends, bool is_ip, const struct wire_field *pair)
{
    struct wire_reader r = wire_reader_over(pair->bytes, pair->length);
    struct wire_field f, name = {0}, value = {0};

    while (wire_next(&r, &f)) {
        if (f.number == FIELD_NAME && f.type == WIRE_BYTES) {
            name = f;
        } else if (f.number == FIELD_VALUE && f.type == WIRE_BYTES) {
            value = f;
        }
    }
    if (r.ok && name.length > 0 && value.length > 0) {
        take_field(ends, is_ip, &name, &value);
    }
}

/* An IP header below another one is a tunnel's: the flow is what is inside. */
static void take_layer(struct ends *ends, const struct wire_field *layer)
{
    struct wire_reader r = wire_reader_over(layer->bytes, layer->length);
    struct wire_field f;
    bool is_ip = false, is_extension = false;

    while (wire_next(&r, &f)) {
        if (f.number == LAYER_NAME && f.type == WIRE_BYTES) {
            is_ip = is_text(&f, "IPv4") || is_text(&f, "IPv6");
            is_extension = is_text(&f, "AH") || (f.length > 5 && memcmp(f.bytes, "IPv6 ", 5) == 0);
            if (is_ip) {
                *ends = (struct ends){0};
            }
        } else if (f.number == LAYER_FIELDS && f.type == WIRE_BYTES) {
            /* What applications say of ports and protocols is not the packet's. */
            if (is_ip || is_extension || !ends->has_ports) {
                take_pair(ends, is_ip, &f);
            }
        }
    }
}

bool fleet_packet_flow(const uint8_t *bytes, size_t length, struct flow_record *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct packet_sample sample;
    struct wire_field f;
    struct ends ends = {0};

    if (!codec_decode_packet(bytes, length, &sample)) {
        return false;
    }
    while (wire_next(&r, &f)) {
        if (f.number == SAMPLE_LAYERS && f.type == WIRE_BYTES) {
            take_layer(&ends, &f);
        }
    }
    if (!r.ok || ends.source.ip.version == 0 || ends.target.ip.version == 0) {
        return false; /* no IP, or of a sensor that sends no tree */
    }
    const bool is_reverse = sample.direction == 2;

    memset(out, 0, sizeof(*out));
    out->client = is_reverse ? ends.target : ends.source;
    out->server = is_reverse ? ends.source : ends.target;
    out->ip_version = ends.source.ip.version;
    out->ip_protocol = ends.ip_protocol;
    out->flow_id = sample.flow_id;
    out->community_id = sample.community_id;
    out->start_ns = sample.time_ns;
    out->end_ns = sample.time_ns;
    return true;
}

/* ---- GetPacket: samples are in memory ---- */

struct packet_search {
    const char *id;
    struct grpc_sensor_choice sensors;
};

static bool is_packet(void *context, const struct packet_sample *sample)
{
    const struct packet_search *search = context;

    return sample->id.length == strlen(search->id) &&
           memcmp(sample->id.data, search->id, sample->id.length) == 0 &&
           grpc_sensor_is_chosen(&search->sensors, sample->identity.sensor_id.data,
                                 sample->identity.sensor_id.length);
}

/* REST: as much of it as web.payload_bytes lets people see. */
static void answer_shown(struct grpc_ask *ask, const struct history_bytes *record)
{
    uint8_t *bytes = malloc(record->length);

    if (bytes == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    grpc_answer_field(ask, 1, bytes,
                      api_cut_packet(record, fleet_of(ask->server)->shown_bytes, bytes));
    free(bytes);
}

static void answer_packet(struct grpc_ask *ask, const struct packet_search *search)
{
    struct history_list list = {0};
    uint64_t held = 0;
    const int result = history_packets(fleet_of(ask->server)->parts.history, 1, is_packet,
                                       (void *)(uintptr_t)search, &list, &held);

    if (result != 0) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
    } else if (list.count == 0) {
        grpc_refuse(ask, RPC_NOT_FOUND, "NO_SUCH_PACKET", -1,
                    "packet %.60s: not among the %" PRIu64 " samples that are held", search->id,
                    held);
    } else if (ask->http == NULL) {
        grpc_answer_field(ask, 1, list.items[0].bytes, list.items[0].length);
    } else {
        answer_shown(ask, &list.items[0]);
    }
    history_list_fini(&list);
}

void fleet_get_packet(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetPacketRequest *request =
        (const Netscope__V1__GetPacketRequest *)grpc_unpack(
            ask, &netscope__v1__get_packet_request__descriptor, bytes, length);
    struct packet_search search = {0};

    if (request == NULL) {
        return;
    }
    search.id = request->id;
    if (ask->http != NULL && fleet_of(ask->server)->hides_packets) {
        grpc_refuse(ask, RPC_NOT_FOUND, "SWITCHED_OFF", -1, API_PACKETS_OFF);
    } else if (search.id[0] == '\0') {
        grpc_refuse_field(ask, "id", "MISSING_FIELD", -1, "id: not given");
    } else if (grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector,
                                 &search.sensors)) {
        answer_packet(ask, &search);
    }
    grpc_sensor_choice_free(&search.sensors);
}
