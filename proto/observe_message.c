#include "proto/observe_message.h"

#include <string.h>

#include "base/wire_format.h"

enum { INFO_SENSOR_ID = 1, INFO_BOOT_ID = 2, INFO_VERSION = 3, INFO_CONFIG_HASH = 8 };
enum { POSITION_BOOT_ID = 1, POSITION_SEQ = 2 };
enum { FLOWS_FOLLOW = 8, FLOWS_AFTER = 13 };
enum { ALERTS_FOLLOW = 7, ALERTS_AFTER = 9 };
enum { STATS_AFTER = 3 };
enum { RESPONSE_RECORDS = 1, RESPONSE_LOSS = 2 };
enum { LOSS_FROM = 1, LOSS_TO = 2, LOSS_COUNT = 3, LOSS_REASON = 4 };

bool observe_decode_info(const uint8_t *bytes, size_t length, struct observe_info *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field field;
    bool is_good = true;

    *out = (struct observe_info){0};
    while (is_good && wire_next(&r, &field)) {
        switch (field.number) {
        case INFO_SENSOR_ID:
            is_good = wire_text_into(&field, out->sensor_id, sizeof(out->sensor_id));
            break;
        case INFO_BOOT_ID:
            is_good = wire_text_into(&field, out->boot_id, sizeof(out->boot_id));
            break;
        case INFO_VERSION:
            is_good = wire_text_into(&field, out->version, sizeof(out->version));
            break;
        case INFO_CONFIG_HASH:
            is_good = wire_text_into(&field, out->config_hash, sizeof(out->config_hash));
            break;
        default:
            break;
        }
    }
    return is_good && r.ok && out->sensor_id[0] != '\0' && out->boot_id[0] != '\0';
}

const char *observe_path(enum record_stream stream)
{
    switch (stream) {
    case RECORD_FLOWS:
        return "/netscope.v1.FlowService/ObserveFlows";
    case RECORD_ALERTS:
        return "/netscope.v1.AlertService/ObserveAlerts";
    case RECORD_STATS:
        return "/netscope.v1.StatsService/WatchStats";
    default:
        return NULL;
    }
}

static void write_position(struct wire_writer *w, uint32_t field, const char *boot_id, uint64_t seq)
{
    const struct wire_mark mark = wire_begin(w, field, 1);

    wire_write_text_if_any(w, POSITION_BOOT_ID, boot_id);
    wire_write_varint_if_any(w, POSITION_SEQ, seq);
    wire_end(w, mark);
}

size_t observe_encode_request(enum record_stream stream, const char *boot_id, uint64_t seq,
                              uint8_t *out)
{
    struct wire_writer w = wire_writer_over(out, OBSERVE_REQUEST_BYTES_MAX);

    switch (stream) {
    case RECORD_FLOWS:
        wire_write_bool(&w, FLOWS_FOLLOW, true);
        write_position(&w, FLOWS_AFTER, boot_id, seq);
        break;
    case RECORD_ALERTS:
        wire_write_bool(&w, ALERTS_FOLLOW, true);
        write_position(&w, ALERTS_AFTER, boot_id, seq);
        break;
    default:
        write_position(&w, STATS_AFTER, boot_id, seq);
        break;
    }
    return wire_written(&w);
}

static bool read_loss(const struct wire_field *from, struct observe_response *out)
{
    struct wire_reader r = wire_reader_over(from->bytes, from->length);
    struct wire_field field;

    out->has_loss = true;
    while (wire_next(&r, &field)) {
        switch (field.number) {
        case LOSS_FROM:
            out->loss_from = field.value;
            break;
        case LOSS_TO:
            out->loss_to = field.value;
            break;
        case LOSS_COUNT:
            out->loss_count = field.value;
            break;
        case LOSS_REASON:
            if (!wire_text_into(&field, out->loss_reason, sizeof(out->loss_reason))) {
                return false;
            }
            break;
        default:
            break;
        }
    }
    return r.ok;
}

bool observe_decode_response(const uint8_t *bytes, size_t length, struct observe_response *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field field;

    *out = (struct observe_response){0};
    while (wire_next(&r, &field)) {
        if (field.number == RESPONSE_RECORDS && field.type == WIRE_BYTES) {
            out->records = field.bytes;
            out->length = field.length;
        } else if (field.number == RESPONSE_LOSS && field.type == WIRE_BYTES &&
                   !read_loss(&field, out)) {
            return false;
        }
    }
    return r.ok;
}
