#include "proto/codec.h"
#include "proto/codec_wire.h"

size_t codec_encode_packet(const struct packet_sample *record, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    write_identity(&w, &record->identity);
    write_text(&w, 4, record->id);
    write_packet_time(&w, 5, record->time_ns);
    write_text(&w, 6, record->interface);
    write_number(&w, 7, record->linktype);
    write_number(&w, 8, record->wire_length);
    write_number(&w, 9, record->captured_length);
    if (record->data_length > 0) {
        wire_write_bytes(&w, 10, record->data, record->data_length);
    }
    write_number(&w, 11, record->payload_redacted);
    write_flow_id(&w, 12, record->flow_id);
    write_text(&w, 13, record->community_id);
    write_number(&w, 14, record->direction);
    write_text(&w, 15, record->summary);
    write_number(&w, 21, record->reason);
    write_number(&w, 22, record->sampling_interval);
    write_text(&w, 23, record->alert_id);
    return w.ok ? wire_written(&w) : 0;
}

static bool read_text_field(const struct wire_field *f, struct packet_sample *out)
{
    switch (f->number) {
    case 4:
        out->id = read_text(f);
        return true;
    case 5:
        return read_time(f, &out->time_ns);
    case 6:
        out->interface = read_text(f);
        return true;
    case 10:
        out->data = f->bytes;
        out->data_length = (uint32_t)f->length;
        return f->length <= UINT32_MAX;
    case 12:
        return read_flow_id(f, &out->flow_id);
    case 13:
        out->community_id = read_text(f);
        return true;
    case 15:
        out->summary = read_text(f);
        return true;
    case 23:
        out->alert_id = read_text(f);
        return true;
    default: /* layers (20) are made where they are asked for */
        return true;
    }
}

static bool read_number_field(const struct wire_field *f, struct packet_sample *out)
{
    bool ok = true;
    switch (f->number) {
    case 7:
        out->linktype = (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    case 8:
        out->wire_length = (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    case 9:
        out->captured_length = (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    case 11:
        out->payload_redacted = f->value != 0;
        break;
    case 14:
        out->direction = read_enum(f);
        break;
    case 21:
        out->reason = read_enum(f);
        break;
    case 22:
        out->sampling_interval = (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    default:
        break;
    }
    return ok;
}

bool codec_decode_packet(const uint8_t *bytes, size_t length, struct packet_sample *out)
{
    *out = (struct packet_sample){0};
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;
    while (ok && wire_next(&r, &f)) {
        if (read_identity(&f, &out->identity)) {
            continue;
        }
        if (f.type == WIRE_BYTES) {
            ok = read_text_field(&f, out);
        } else if (f.type == WIRE_VARINT) {
            ok = read_number_field(&f, out);
        }
    }
    return ok && r.ok;
}
