#include "collector-ui/capture/capture_info.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/wire_format.h"

enum {
    CAPTURE_ID = 1,
    CAPTURE_SENSOR,
    CAPTURE_BPF,
    CAPTURE_INTERFACE,
    CAPTURE_SNAPLEN,
    CAPTURE_PACKETS_MAX,
    CAPTURE_BYTES_MAX,
    CAPTURE_DURATION,
    CAPTURE_HISTORY,
    CAPTURE_REQUESTER,
    CAPTURE_START,
    CAPTURE_END,
    CAPTURE_STATE,
    CAPTURE_BYTES,
    CAPTURE_SUMMARY,
    CAPTURE_ERROR,
    CAPTURE_SENSORS,
    CAPTURE_SENSOR_PACKETS,
    CAPTURE_SENSOR_BYTES,
    CAPTURE_FLOW,
    CAPTURE_ALERT,
    CAPTURE_FROM,
    CAPTURE_UNTIL
};
enum {
    PART_SENSOR = 1,
    PART_STATE,
    PART_BYTES,
    PART_PACKETS,
    PART_SUMMARY,
    PART_ERROR,
    PART_NO_VLAN
};
enum { SUMMARY_PACKETS = 1, SUMMARY_BYTES, SUMMARY_DROPPED, SUMMARY_REASON };

bool capture_id_is_good(const char *id)
{
    return strlen(id) == CAPTURES_ID_BYTES - 1 &&
           strspn(id, "0123456789abcdef") == CAPTURES_ID_BYTES - 1;
}

bool capture_info_has_sensor(const struct capture_info *info, const char *sensor_id)
{
    for (uint32_t i = 0; i < info->parts_count; i++) {
        if (strcmp(info->parts[i].sensor_id, sensor_id) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- writing ---- */

/* A Timestamp or Duration; none for 0. */
static void write_time(struct wire_writer *w, uint32_t field, uint64_t ns)
{
    if (ns != 0) {
        const struct wire_mark mark = wire_begin(w, field, 1);

        wire_write_varint_if_any(w, 1, ns / NS_PER_SEC);
        wire_write_varint_if_any(w, 2, ns % NS_PER_SEC);
        wire_end(w, mark);
    }
}

static void write_summary(struct wire_writer *w, uint32_t field,
                          const struct ingest_capture_summary *summary)
{
    const struct wire_mark mark = wire_begin(w, field, 1);

    wire_write_varint_if_any(w, SUMMARY_PACKETS, summary->packets);
    wire_write_varint_if_any(w, SUMMARY_BYTES, summary->bytes);
    wire_write_varint_if_any(w, SUMMARY_DROPPED, summary->dropped);
    wire_write_text_if_any(w, SUMMARY_REASON, summary->reason);
    wire_end(w, mark);
}

static void write_part(struct wire_writer *w, const struct capture_part_info *part)
{
    const struct wire_mark mark = wire_begin(w, CAPTURE_SENSORS, 2);

    wire_write_text_if_any(w, PART_SENSOR, part->sensor_id);
    wire_write_varint_if_any(w, PART_STATE, part->state);
    wire_write_varint_if_any(w, PART_BYTES, part->bytes);
    wire_write_varint_if_any(w, PART_PACKETS, part->packets);
    if (part->state == CAPTURE_ENDED) {
        write_summary(w, PART_SUMMARY, &part->summary);
    }
    wire_write_text_if_any(w, PART_ERROR, part->error);
    wire_write_varint_if_any(w, PART_NO_VLAN, part->without_vlan ? 1 : 0);
    wire_end(w, mark);
}

size_t capture_info_encode(const struct capture_info *info, uint8_t *out, size_t capacity)
{
    const struct ingest_capture_order *order = &info->order;
    struct wire_writer w = wire_writer_over(out, capacity);

    wire_write_text_if_any(&w, CAPTURE_ID, info->id);
    wire_write_text_if_any(&w, CAPTURE_SENSOR, info->parts[0].sensor_id);
    wire_write_text_if_any(&w, CAPTURE_BPF, order->bpf);
    wire_write_text_if_any(&w, CAPTURE_INTERFACE, order->interface);
    wire_write_varint_if_any(&w, CAPTURE_SNAPLEN, order->snaplen);
    wire_write_varint_if_any(&w, CAPTURE_PACKETS_MAX, order->packets_max);
    wire_write_varint_if_any(&w, CAPTURE_BYTES_MAX, order->bytes_max);
    write_time(&w, CAPTURE_DURATION, order->duration_ns);
    wire_write_varint_if_any(&w, CAPTURE_HISTORY, order->has_history ? 1 : 0);
    wire_write_text_if_any(&w, CAPTURE_REQUESTER, order->requester);
    write_time(&w, CAPTURE_START, info->start_ns);
    write_time(&w, CAPTURE_END, info->end_ns);
    wire_write_varint_if_any(&w, CAPTURE_STATE, info->state);
    wire_write_varint_if_any(&w, CAPTURE_BYTES, info->bytes);
    if (info->state == CAPTURE_ENDED) {
        write_summary(&w, CAPTURE_SUMMARY, &info->summary);
    }
    wire_write_text_if_any(&w, CAPTURE_ERROR, info->error);
    for (uint32_t i = 0; i < info->parts_count; i++) {
        write_part(&w, &info->parts[i]);
    }
    wire_write_varint_if_any(&w, CAPTURE_SENSOR_PACKETS, info->sensor_packets_max);
    wire_write_varint_if_any(&w, CAPTURE_SENSOR_BYTES, info->sensor_bytes_max);
    wire_write_text_if_any(&w, CAPTURE_FLOW, info->flow_id);
    wire_write_text_if_any(&w, CAPTURE_ALERT, info->alert_id);
    write_time(&w, CAPTURE_FROM, order->from_ns);
    write_time(&w, CAPTURE_UNTIL, order->until_ns);
    return w.ok ? wire_written(&w) : 0;
}

/* ---- reading: only what was written above, but of a disk ---- */

static uint64_t read_time(const struct wire_field *message)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    uint64_t ns = 0;

    while (wire_next(&r, &f)) {
        ns += f.number == 1 ? f.value * NS_PER_SEC : f.value;
    }
    return ns;
}

static bool read_summary(const struct wire_field *message, struct ingest_capture_summary *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;

    while (ok && wire_next(&r, &f)) {
        if (f.number == SUMMARY_REASON) {
            ok = wire_text_into(&f, out->reason, sizeof(out->reason));
        } else if (f.number == SUMMARY_PACKETS) {
            out->packets = f.value;
        } else if (f.number == SUMMARY_BYTES) {
            out->bytes = f.value;
        } else if (f.number == SUMMARY_DROPPED) {
            out->dropped = f.value;
        }
    }
    return ok && r.ok;
}

static enum capture_state state_of(uint64_t number)
{
    return number == CAPTURE_ENDED ? CAPTURE_ENDED : CAPTURE_FAILED;
}

static bool read_part(const struct wire_field *message, struct capture_part_info *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;

    out->state = CAPTURE_FAILED;
    while (ok && wire_next(&r, &f)) {
        switch (f.number) {
        case PART_SENSOR:
            ok = wire_text_into(&f, out->sensor_id, sizeof(out->sensor_id));
            break;
        case PART_STATE:
            out->state = state_of(f.value);
            break;
        case PART_BYTES:
            out->bytes = f.value;
            break;
        case PART_PACKETS:
            out->packets = f.value;
            break;
        case PART_SUMMARY:
            ok = f.type == WIRE_BYTES && read_summary(&f, &out->summary);
            break;
        case PART_ERROR:
            ok = wire_text_into(&f, out->error, sizeof(out->error));
            break;
        case PART_NO_VLAN:
            out->without_vlan = f.value != 0;
            break;
        default:
            break;
        }
    }
    return ok && r.ok && out->sensor_id[0] != '\0';
}

static bool read_bytes(const struct wire_field *f, struct capture_info *out)
{
    switch (f->number) {
    case CAPTURE_ID:
        return wire_text_into(f, out->id, sizeof(out->id));
    case CAPTURE_SENSOR:
        return wire_text_into(f, out->parts[0].sensor_id, sizeof(out->parts[0].sensor_id));
    case CAPTURE_SENSORS:
        return out->parts_count < CAPTURE_SENSORS_MAX &&
               read_part(f, &out->parts[out->parts_count++]);
    case CAPTURE_FLOW:
        return wire_text_into(f, out->flow_id, sizeof(out->flow_id));
    case CAPTURE_ALERT:
        return wire_text_into(f, out->alert_id, sizeof(out->alert_id));
    case CAPTURE_BPF:
        return wire_text_into(f, out->order.bpf, sizeof(out->order.bpf));
    case CAPTURE_INTERFACE:
        return wire_text_into(f, out->order.interface, sizeof(out->order.interface));
    case CAPTURE_REQUESTER:
        return wire_text_into(f, out->order.requester, sizeof(out->order.requester));
    case CAPTURE_ERROR:
        return wire_text_into(f, out->error, sizeof(out->error));
    case CAPTURE_DURATION:
        out->order.duration_ns = read_time(f);
        return true;
    case CAPTURE_FROM:
        out->order.from_ns = read_time(f);
        return true;
    case CAPTURE_UNTIL:
        out->order.until_ns = read_time(f);
        return true;
    case CAPTURE_START:
        out->start_ns = read_time(f);
        return true;
    case CAPTURE_END:
        out->end_ns = read_time(f);
        return true;
    case CAPTURE_SUMMARY:
        return read_summary(f, &out->summary);
    default:
        return true;
    }
}

static void read_number(const struct wire_field *f, struct capture_info *out)
{
    switch (f->number) {
    case CAPTURE_SNAPLEN:
        out->order.snaplen = (uint32_t)f->value;
        break;
    case CAPTURE_PACKETS_MAX:
        out->order.packets_max = f->value;
        break;
    case CAPTURE_BYTES_MAX:
        out->order.bytes_max = f->value;
        break;
    case CAPTURE_HISTORY:
        out->order.has_history = f->value != 0;
        break;
    case CAPTURE_STATE:
        out->state = state_of(f->value);
        break;
    case CAPTURE_BYTES:
        out->bytes = f->value;
        break;
    case CAPTURE_SENSOR_PACKETS:
        out->sensor_packets_max = f->value;
        break;
    case CAPTURE_SENSOR_BYTES:
        out->sensor_bytes_max = f->value;
        break;
    default:
        break;
    }
}

bool capture_info_decode(const uint8_t *bytes, size_t length, struct capture_info *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct capture_info){.state = CAPTURE_FAILED};
    while (ok && wire_next(&r, &f)) {
        if (f.type == WIRE_BYTES) {
            ok = read_bytes(&f, out);
        } else if (f.type == WIRE_VARINT) {
            read_number(&f, out);
        }
    }
    if (out->parts_count == 0) { /* written before there could be several */
        struct capture_part_info *part = &out->parts[0];

        out->parts_count = 1;
        part->state = out->state;
        part->bytes = out->bytes;
        part->summary = out->summary;
        (void)snprintf(part->error, sizeof(part->error), "%.255s", out->error);
    }
    return ok && r.ok && capture_id_is_good(out->id) && out->parts[0].sensor_id[0] != '\0';
}
