/* The small messages of IngestService.Connect, read. */
#include <string.h>

#include "proto/ingest_private.h"

/* What is too long is cut: a reason or a version is for people alone. */
static bool read_note(const struct wire_field *f, char *out, size_t out_bytes)
{
    struct wire_field cut = *f;

    cut.length = cut.length < out_bytes ? cut.length : out_bytes - 1;
    return wire_text_into(&cut, out, out_bytes);
}

static bool is_text(const struct wire_field *f, const char *text)
{
    return f->type == WIRE_BYTES && f->length == strlen(text) &&
           memcmp(f->bytes, text, f->length) == 0;
}

static bool read_stream(const struct wire_field *f, enum record_stream *out)
{
    if (f->type != WIRE_VARINT || f->value == RECORD_STREAM_NONE ||
        f->value >= RECORD_STREAM_COUNT) {
        return false;
    }
    *out = (enum record_stream)f->value;
    return true;
}

static bool read_position(const struct wire_field *message, struct ingest_position *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = message->type == WIRE_BYTES;

    *out = (struct ingest_position){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == 1) {
            ok = wire_text_into(&f, out->boot_id, sizeof(out->boot_id));
        } else if (f.number == 2) {
            ok = read_stream(&f, &out->stream);
        } else if (f.number == 3 && f.type == WIRE_VARINT) {
            out->next_seq = f.value;
        }
    }
    return ok && r.ok && out->stream != RECORD_STREAM_NONE;
}

/* Further positions than there is room for are left out: they start where the collector knows. */
static bool add_position(const struct wire_field *f, struct ingest_position *out, uint32_t *count)
{
    struct ingest_position position;

    if (!read_position(f, &position)) {
        return false;
    }
    if (*count < INGEST_POSITIONS_MAX) {
        out[(*count)++] = position;
    }
    return true;
}

/* What is no label, or one too many, is left out. False: the message is none. */
static bool add_label(const struct wire_field *f, char labels[SENSOR_LABELS_BYTES])
{
    struct wire_reader r = wire_reader_over(f->bytes, f->length);
    struct sensor_label label = {.key = "", .value = ""};
    struct wire_field part;

    if (f->type != WIRE_BYTES) {
        return false;
    }
    while (wire_next(&r, &part)) {
        if (part.type == WIRE_BYTES && part.number == 1) {
            label.key = part.length > 0 ? (const char *)part.bytes : "";
            label.key_length = part.length;
        } else if (part.type == WIRE_BYTES && part.number == 2) {
            label.value = part.length > 0 ? (const char *)part.bytes : "";
            label.value_length = part.length;
        }
    }
    if (r.ok) {
        (void)!sensor_labels_put(labels, &label);
    }
    return r.ok;
}

static bool read_hello(const uint8_t *bytes, size_t length, struct ingest_hello *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct ingest_hello){0};
    while (ok && wire_next(&r, &f)) {
        switch (f.number) {
        case 1:
            ok = wire_text_into(&f, out->sensor_id, sizeof(out->sensor_id));
            break;
        case 2:
            ok = wire_text_into(&f, out->boot_id, sizeof(out->boot_id));
            break;
        case 3:
            ok = read_note(&f, out->version, sizeof(out->version));
            break;
        case 4:
            out->can_capture = out->can_capture || is_text(&f, INGEST_CAPABILITY_CAPTURE);
            break;
        case 5:
            ok = read_note(&f, out->config_hash, sizeof(out->config_hash));
            break;
        case 6:
            ok = add_position(&f, out->resume, &out->resume_count);
            break;
        case 7:
            ok = f.type == WIRE_VARINT && f.value <= UINT32_MAX;
            out->protocol_version = (uint32_t)f.value;
            break;
        case 8:
            ok = read_note(&f, out->host_name, sizeof(out->host_name));
            break;
        case 9:
            ok = add_label(&f, out->labels);
            break;
        default:
            break;
        }
    }
    return ok && r.ok;
}

bool ingest_decode_gap(const uint8_t *bytes, size_t length, struct ingest_gap *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct ingest_gap){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == 1) {
            ok = wire_text_into(&f, out->boot_id, sizeof(out->boot_id));
        } else if (f.number == 2) {
            ok = read_stream(&f, &out->stream);
        } else if (f.number == 3 && f.type == WIRE_VARINT) {
            out->from_seq = f.value;
        } else if (f.number == 4 && f.type == WIRE_VARINT) {
            out->to_seq = f.value;
        } else if (f.number == 5) {
            ok = read_note(&f, out->reason, sizeof(out->reason));
        }
    }
    return ok && r.ok && out->stream != RECORD_STREAM_NONE && out->from_seq > 0 &&
           out->to_seq >= out->from_seq && out->to_seq < UINT64_MAX;
}

static bool read_probe(const uint8_t *bytes, size_t length, struct ingest_probe *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct ingest_probe){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_VARINT) {
            out->id = f.value;
        } else if (f.number == 2) {
            ok = ingest_read_time(&f, &out->sent_ns);
        }
    }
    return ok && r.ok;
}

static bool read_heartbeat(const uint8_t *bytes, size_t length, struct ingest_heartbeat *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct ingest_heartbeat){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == 1) {
            ok = ingest_read_time(&f, &out->time_ns);
        } else if (f.number == 2) {
            out->has_probe = true;
            ok = f.type == WIRE_BYTES && read_probe(f.bytes, f.length, &out->probe);
        }
    }
    return ok && r.ok;
}

static bool read_goodbye(const uint8_t *bytes, size_t length, struct ingest_goodbye *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct ingest_goodbye){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == 1) {
            ok = read_note(&f, out->reason, sizeof(out->reason));
        } else if (f.number == 2 && f.type == WIRE_VARINT) {
            out->undelivered_records = f.value;
        }
    }
    return ok && r.ok;
}

/* The last member there is: what a oneof means. False: no protobuf. */
static bool read_sketch(const uint8_t *bytes, size_t length, struct ingest_sketch *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;

    *out = (struct ingest_sketch){0};
    while (wire_next(&r, &f)) {
        if (f.number == 6 && f.type == WIRE_BYTES) {
            out->bytes = f.bytes;
            out->length = f.length;
        } else if (f.type != WIRE_VARINT) {
            continue;
        } else if (f.number == 1 && f.value <= UINT32_MAX) {
            out->kind = (uint32_t)f.value;
        } else if (f.number == 3) {
            out->epoch = f.value;
        } else if (f.number == 4 && f.value <= UINT32_MAX) {
            out->seed_id = (uint32_t)f.value;
        } else if (f.number == 5 && f.value <= UINT32_MAX) {
            out->encoding = (uint32_t)f.value;
        }
    }
    return r.ok;
}

static bool read_packed(const uint8_t *bytes, size_t length, struct ingest_packed *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct ingest_packed){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == 1) {
            ok = wire_text_into(&f, out->encoding, sizeof(out->encoding));
        } else if (f.number == 2 && f.type == WIRE_VARINT) {
            ok = f.value <= UINT32_MAX;
            out->length = (uint32_t)f.value;
        } else if (f.number == 3 && f.type == WIRE_BYTES) {
            out->bytes = f.bytes;
            out->packed_length = f.length;
        }
    }
    return ok && r.ok;
}

static bool find_member(const uint8_t *bytes, size_t length, uint32_t numbers_max,
                        struct wire_field *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;

    *out = (struct wire_field){0};
    while (wire_next(&r, &f)) {
        if (f.number <= numbers_max && f.type == WIRE_BYTES) {
            *out = f;
        }
    }
    return r.ok;
}

bool ingest_decode_request(const uint8_t *bytes, size_t length, struct ingest_request *out)
{
    struct wire_field member;

    if (!find_member(bytes, length, INGEST_ASSETS, &member)) {
        return false;
    }
    out->kind = (enum ingest_request_kind)member.number;
    out->bytes = member.bytes;
    out->length = member.length;
    switch (out->kind) {
    case INGEST_HELLO:
        return read_hello(member.bytes, member.length, &out->hello);
    case INGEST_GAP:
        return ingest_decode_gap(member.bytes, member.length, &out->gap);
    case INGEST_HEARTBEAT:
        return read_heartbeat(member.bytes, member.length, &out->heartbeat);
    case INGEST_SKETCH:
        return read_sketch(member.bytes, member.length, &out->sketch);
    case INGEST_GOODBYE:
        return read_goodbye(member.bytes, member.length, &out->goodbye);
    case INGEST_PACKED:
        return read_packed(member.bytes, member.length, &out->packed);
    case INGEST_CONFIG_STATUS:
        return ingest_decode_config_status(member.bytes, member.length, &out->config_status);
    case INGEST_COMMAND_RESULT:
        return ingest_decode_command_result(member.bytes, member.length, &out->result);
    default:
        return true;
    }
}

static bool read_welcome(const uint8_t *bytes, size_t length, struct ingest_welcome *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct ingest_welcome){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == 1) {
            ok = read_note(&f, out->session_id, sizeof(out->session_id));
        } else if (f.number == 2) {
            ok = add_position(&f, out->resume, &out->resume_count);
        } else if (f.number == 3) {
            ok = ingest_read_time(&f, &out->heartbeat_ns);
        } else if (f.number == 4 && f.type == WIRE_VARINT) {
            out->max_batch = f.value < UINT32_MAX ? (uint32_t)f.value : UINT32_MAX;
        } else if (f.number == 5 && f.type == WIRE_VARINT) {
            out->window_batches = f.value < UINT32_MAX ? (uint32_t)f.value : UINT32_MAX;
        } else if (f.number == 6 && f.type == WIRE_FIXED64) {
            out->sketch_seed = f.value;
        } else if (f.number == 7) {
            out->takes_zstd = out->takes_zstd || is_text(&f, INGEST_ENCODING_ZSTD);
        } else if (f.number == 8 && f.type == WIRE_VARINT) {
            out->takes_assets = f.value != 0;
        }
    }
    return ok && r.ok;
}

bool ingest_decode_response(const uint8_t *bytes, size_t length, struct ingest_response *out)
{
    struct wire_field member;

    if (!find_member(bytes, length, INGEST_PROBE, &member)) {
        return false;
    }
    out->kind = (enum ingest_response_kind)member.number;
    switch (out->kind) {
    case INGEST_WELCOME:
        return read_welcome(member.bytes, member.length, &out->welcome);
    case INGEST_ACK: /* the same fields as a position */
        return read_position(&member, &out->ack);
    case INGEST_PROBE:
        return read_probe(member.bytes, member.length, &out->probe);
    case INGEST_THROTTLE:
        return ingest_decode_throttle(member.bytes, member.length, &out->throttle);
    case INGEST_REDIRECT:
        return ingest_decode_redirect(member.bytes, member.length, &out->redirect);
    case INGEST_CONFIG_OFFER:
        return ingest_decode_offer(member.bytes, member.length, &out->offer);
    case INGEST_COMMAND:
        return ingest_decode_command(member.bytes, member.length, &out->command);
    default:
        return true;
    }
}
