/* Reads FlowRecord: any order of fields, unknown fields stepped over, repeated sub-messages
 * merged. Parts of protocols are in codec_flow_decode_tcp.c and codec_flow_decode_parts.c. */
#include "proto/codec_flow_decode.h"
#include "proto/codec.h"

static bool read_mac(struct wire_reader *from, struct flow_endpoint *out)
{
    size_t length;
    const uint8_t *text = wire_read_bytes(from, &length);
    out->has_mac = length > 0 && mac_parse((const char *)text, length, out->mac);
    return out->has_mac || length == 0;
}

/* An element of a map. The last one of a key counts; what has no room is left out. */
static bool read_label(struct wire_reader *from, struct flow_endpoint *out,
                       struct record_label labels[FLOW_LABELS_MAX])
{
    struct wire_reader r = take_message(from);
    struct record_label label = {0};
    uint32_t tag;
    while ((tag = wire_read_tag(&r)) != 0) {
        if (tag == BYTES(1)) {
            label.key = take_text(&r);
        } else if (tag == BYTES(2)) {
            label.value = take_text(&r);
        } else {
            wire_skip(&r, tag);
        }
    }
    const struct record_label *const known =
        record_label_find(labels, out->labels_count, label.key);
    const ptrdiff_t i = known != NULL ? known - labels : out->labels_count;
    if (i < FLOW_LABELS_MAX && label.key.length > 0 && label.key.length <= FLOW_LABEL_KEY_BYTES &&
        label.value.length <= FLOW_LABEL_VALUE_BYTES) {
        labels[i] = label;
        out->labels_count = (uint8_t)(out->labels_count + (known == NULL));
    }
    return r.ok;
}

static bool read_endpoint(struct wire_reader *from, struct flow_endpoint *out,
                          struct record_label labels[FLOW_LABELS_MAX])
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    while ((tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case BYTES(1):
            ok &= take_address(&r, &out->ip);
            break;
        case NUMBER(2):
            out->port = (uint16_t)take_number(&r, UINT16_MAX, &ok);
            break;
        case BYTES(3):
            ok &= read_mac(&r, out);
            break;
        case BYTES(4):
            out->name = take_text(&r);
            break;
        case NUMBER(5):
            out->name_source = take_enum(&r);
            break;
        case NUMBER(6):
            out->scope = take_enum(&r);
            break;
        case BYTES(7):
            ok &= read_label(&r, out, labels);
            break;
        default:
            wire_skip(&r, tag);
            break;
        }
    }
    return r.ok && ok;
}

static bool read_counters(struct wire_reader *from, struct flow_counters *out)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    while ((tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case NUMBER(1):
            out->delta_packets = wire_read_varint(&r);
            break;
        case NUMBER(2):
            out->delta_bytes = wire_read_varint(&r);
            break;
        case NUMBER(3):
            out->delta_payload_bytes = wire_read_varint(&r);
            break;
        case NUMBER(4):
            out->total_packets = wire_read_varint(&r);
            break;
        case NUMBER(5):
            out->total_bytes = wire_read_varint(&r);
            break;
        case NUMBER(6):
            out->total_payload_bytes = wire_read_varint(&r);
            break;
        case NUMBER(7):
            out->delta_ip_bytes = wire_read_varint(&r);
            break;
        case NUMBER(8):
            out->total_ip_bytes = wire_read_varint(&r);
            break;
        case NUMBER(9):
            out->missed_bytes = wire_read_varint(&r);
            break;
        case NUMBER(10):
            out->ttl_min = (uint8_t)take_number(&r, UINT8_MAX, &ok);
            out->has_ttl = true;
            break;
        case NUMBER(11):
            out->ttl_max = (uint8_t)take_number(&r, UINT8_MAX, &ok);
            out->has_ttl = true;
            break;
        case NUMBER(12):
            out->dscp = (uint8_t)take_number(&r, UINT8_MAX, &ok);
            out->has_dscp = true;
            break;
        default:
            wire_skip(&r, tag);
            break;
        }
    }
    return r.ok && ok;
}

static bool read_tunnel(struct wire_reader *from, struct flow_tunnel *out)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    *out = (struct flow_tunnel){0};
    while ((tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case NUMBER(1):
            out->type = take_enum(&r);
            break;
        case NUMBER(2):
            out->id = wire_read_varint(&r);
            break;
        case BYTES(3):
            ok &= take_address(&r, &out->outer_source);
            break;
        case BYTES(4):
            ok &= take_address(&r, &out->outer_target);
            break;
        case NUMBER(5):
            out->omitted = (uint32_t)wire_read_varint(&r);
            break;
        default:
            wire_skip(&r, tag);
            break;
        }
    }
    return r.ok && ok;
}

static bool read_app(struct wire_reader *from, struct flow_record *out)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    while ((tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case BYTES(1):
            out->app = take_text(&r);
            break;
        case NUMBER(2):
            out->app_confidence = take_enum(&r);
            break;
        case BYTES(3):
            out->app_method = take_text(&r);
            break;
        case BYTES(4):
            out->app_carrier = take_text(&r);
            break;
        default:
            wire_skip(&r, tag);
            break;
        }
    }
    return r.ok;
}

static void add_flag(struct flow_record *out, uint64_t value)
{
    if (value < 16) {
        out->flags |= (uint16_t)(1U << value);
    }
}

static bool read_flags(struct wire_reader *from, struct flow_record *out)
{
    struct wire_reader r = take_message(from);
    while (!wire_at_end(&r)) {
        add_flag(out, wire_read_varint(&r));
    }
    return r.ok;
}

/* Fields 20 and above, and the rare ones. */
static bool read_rest(struct wire_reader *r, uint32_t tag, struct flow_record *out,
                      unsigned *rcodes)
{
    bool ok = true;
    switch (tag) {
    case NUMBER(20):
        out->end_reason = take_enum(r);
        break;
    case NUMBER(21):
        out->end_detail = take_enum(r);
        break;
    case NUMBER(22):
        out->update_index = (uint32_t)take_number(r, UINT32_MAX, &ok);
        break;
    case NUMBER(23):
        out->initiator = take_enum(r);
        break;
    case NUMBER(24):
        out->ip_version = (uint8_t)take_number(r, UINT8_MAX, &ok);
        break;
    case BYTES(25):
        out->community_id = take_text(r);
        break;
    case NUMBER(30):
        out->vlan_id = (uint16_t)take_number(r, UINT16_MAX, &ok);
        out->has_vlan = true;
        break;
    case NUMBER(31):
        out->outer_vlan_id = (uint16_t)take_number(r, UINT16_MAX, &ok);
        out->has_outer_vlan = true;
        break;
    case BYTES(32):
        if (out->tunnels_count < FLOW_TUNNELS_MAX) {
            ok = read_tunnel(r, &out->tunnels[out->tunnels_count++]);
        } else {
            wire_skip(r, tag);
        }
        break;
    case BYTES(33):
        out->interface = take_text(r);
        break;
    case NUMBER(34):
        out->observation_point = (uint32_t)take_number(r, UINT32_MAX, &ok);
        break;
    case NUMBER(35):
        out->sampling_interval = (uint32_t)take_number(r, UINT32_MAX, &ok);
        break;
    case BYTES(52):
        ok = read_flags(r, out);
        break;
    case NUMBER(52): /* not packed: legal too */
        add_flag(out, wire_read_varint(r));
        break;
    default:
        return codec_read_flow_part(r, tag, out, rcodes);
    }
    return ok;
}

bool codec_decode_flow(const uint8_t *bytes, size_t length, struct flow_record *out)
{
    memset(out, 0, offsetof(struct flow_record, tcp)); /* the rest is zeroed where it is used */
    struct wire_reader r = wire_reader_over(bytes, length);
    unsigned rcodes = 0;
    uint32_t tag;
    bool ok = true;
    while (ok && (tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case BYTES(1):
            out->identity.sensor_id = take_text(&r);
            break;
        case BYTES(2):
            out->identity.boot_id = take_text(&r);
            break;
        case NUMBER(3):
            out->identity.seq = wire_read_varint(&r);
            break;
        case BYTES(4):
            ok = take_flow_id(&r, &out->flow_id);
            break;
        case NUMBER(5):
            out->event = take_enum(&r);
            break;
        case BYTES(6):
            ok = take_time(&r, &out->start_ns);
            break;
        case BYTES(7):
            ok = take_time(&r, &out->end_ns);
            break;
        case BYTES(8):
            ok = read_endpoint(&r, &out->client, out->client_labels);
            break;
        case BYTES(9):
            ok = read_endpoint(&r, &out->server, out->server_labels);
            break;
        case NUMBER(10):
            out->ip_protocol = (uint8_t)take_number(&r, UINT8_MAX, &ok);
            break;
        case BYTES(11):
            ok = read_counters(&r, &out->forward);
            break;
        case BYTES(12):
            ok = read_counters(&r, &out->reverse);
            break;
        case BYTES(13):
            ok = take_time(&r, &out->delta_start_ns);
            break;
        case BYTES(14):
            ok = read_app(&r, out);
            break;
        default:
            ok = read_rest(&r, tag, out, &rcodes);
            break;
        }
    }
    return ok && r.ok;
}
