#include "proto/ingest_message.h"

#include <string.h>

#include "base/wire_format.h"

#define SECOND_NS       UINT64_C(1000000000)
#define RETRY_INFO_TYPE "type.googleapis.com/google.rpc.RetryInfo"

/* ---- reading ---- */

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

/* Timestamp and Duration alike; what is before 1970 or beyond 64 bits of ns is refused. */
static bool read_time(const struct wire_field *message, uint64_t *ns)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    uint64_t seconds = 0;
    uint64_t nanos = 0;

    while (wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_VARINT) {
            seconds = f.value;
        } else if (f.number == 2 && f.type == WIRE_VARINT) {
            nanos = f.value;
        }
    }
    if (!r.ok || message->type != WIRE_BYTES || nanos >= SECOND_NS ||
        seconds > UINT64_MAX / SECOND_NS - 1) {
        return false;
    }
    *ns = seconds * SECOND_NS + nanos;
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

static void write_labels(struct wire_writer *w, uint32_t field, const char *labels)
{
    struct sensor_label label;

    while (sensor_labels_next(&labels, &label)) {
        const struct wire_mark mark = wire_begin(w, field, 2);

        wire_write_bytes(w, 1, label.key, label.key_length);
        wire_write_bytes(w, 2, label.value, label.value_length);
        wire_end(w, mark);
    }
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
            ok = read_time(&f, &out->sent_ns);
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
            ok = read_time(&f, &out->time_ns);
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
            ok = read_time(&f, &out->heartbeat_ns);
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

static uint64_t read_retry_info(const struct wire_field *value)
{
    struct wire_reader r = wire_reader_over(value->bytes, value->length);
    struct wire_field f;
    uint64_t delay_ns = 0;

    while (wire_next(&r, &f)) {
        if (f.number == 1 && !read_time(&f, &delay_ns)) {
            delay_ns = 0;
        }
    }
    return delay_ns;
}

uint64_t ingest_retry_delay(const uint8_t *bytes, size_t length)
{
    struct wire_reader status = wire_reader_over(bytes, bytes != NULL ? length : 0);
    struct wire_field f;
    uint64_t delay_ns = 0;

    while (wire_next(&status, &f)) {
        struct wire_reader any;
        bool is_retry = false;

        if (f.number != 3 || f.type != WIRE_BYTES) {
            continue;
        }
        any = wire_reader_over(f.bytes, f.length);
        while (wire_next(&any, &f)) {
            if (f.number == 1 && f.type == WIRE_BYTES) {
                is_retry = f.length == strlen(RETRY_INFO_TYPE) &&
                           memcmp(f.bytes, RETRY_INFO_TYPE, f.length) == 0;
            } else if (f.number == 2 && f.type == WIRE_BYTES && is_retry) {
                delay_ns = read_retry_info(&f);
            }
        }
    }
    return delay_ns;
}

/* ---- writing ---- */

static void write_time(struct wire_writer *w, uint32_t field, uint64_t ns)
{
    const struct wire_mark mark = wire_begin(w, field, 1);

    wire_write_varint_if_any(w, 1, ns / SECOND_NS);
    wire_write_varint_if_any(w, 2, ns % SECOND_NS);
    wire_end(w, mark);
}

static void write_positions(struct wire_writer *w, uint32_t field,
                            const struct ingest_position *positions, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct wire_mark mark = wire_begin(w, field, 1);

        wire_write_text_if_any(w, 1, positions[i].boot_id);
        wire_write_varint_if_any(w, 2, positions[i].stream);
        wire_write_varint_if_any(w, 3, positions[i].next_seq);
        wire_end(w, mark);
    }
}

static size_t finish(struct wire_writer *w, struct wire_mark mark)
{
    wire_end(w, mark);
    return w->ok ? wire_written(w) : 0;
}

size_t ingest_encode_hello(const struct ingest_hello *hello, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_HELLO, 2);

    wire_write_text_if_any(&w, 1, hello->sensor_id);
    wire_write_text_if_any(&w, 2, hello->boot_id);
    wire_write_text_if_any(&w, 3, hello->version);
    wire_write_text_if_any(&w, 4, hello->can_capture ? INGEST_CAPABILITY_CAPTURE : "");
    wire_write_text_if_any(&w, 5, hello->config_hash);
    write_positions(&w, 6, hello->resume, hello->resume_count);
    wire_write_varint_if_any(&w, 7, hello->protocol_version);
    wire_write_text_if_any(&w, 8, hello->host_name);
    write_labels(&w, 9, hello->labels);
    return finish(&w, mark);
}

size_t ingest_encode_gap(const struct ingest_gap *gap, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_GAP, 1);

    wire_write_text_if_any(&w, 1, gap->boot_id);
    wire_write_varint_if_any(&w, 2, gap->stream);
    wire_write_varint_if_any(&w, 3, gap->from_seq);
    wire_write_varint_if_any(&w, 4, gap->to_seq);
    wire_write_text_if_any(&w, 5, gap->reason);
    return finish(&w, mark);
}

static void write_probe(struct wire_writer *w, const struct ingest_probe *probe)
{
    wire_write_varint_if_any(w, 1, probe->id);
    write_time(w, 2, probe->sent_ns);
}

size_t ingest_encode_heartbeat(const struct ingest_heartbeat *heartbeat, uint8_t *out,
                               size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_HEARTBEAT, 1);

    write_time(&w, 1, heartbeat->time_ns);
    if (heartbeat->has_probe) {
        const struct wire_mark inner = wire_begin(&w, 2, 1);

        write_probe(&w, &heartbeat->probe);
        wire_end(&w, inner);
    }
    return finish(&w, mark);
}

size_t ingest_encode_sketch(const struct ingest_sketch *sketch, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_SKETCH, 4);

    wire_write_varint_if_any(&w, 1, sketch->kind);
    wire_write_varint_if_any(&w, 3, sketch->epoch);
    wire_write_varint_if_any(&w, 4, sketch->seed_id);
    wire_write_varint_if_any(&w, 5, sketch->encoding);
    wire_write_bytes(&w, 6, sketch->bytes, sketch->length);
    return finish(&w, mark);
}

size_t ingest_encode_packed(const struct ingest_packed *packed, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_PACKED, 4);

    wire_write_text_if_any(&w, 1, packed->encoding);
    wire_write_varint_if_any(&w, 2, packed->length);
    wire_write_bytes(&w, 3, packed->bytes, packed->packed_length);
    return finish(&w, mark);
}

size_t ingest_encode_goodbye(const struct ingest_goodbye *goodbye, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_GOODBYE, 1);

    wire_write_text_if_any(&w, 1, goodbye->reason);
    wire_write_varint_if_any(&w, 2, goodbye->undelivered_records);
    return finish(&w, mark);
}

size_t ingest_encode_welcome(const struct ingest_welcome *welcome, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_WELCOME, 2);

    wire_write_text_if_any(&w, 1, welcome->session_id);
    write_positions(&w, 2, welcome->resume, welcome->resume_count);
    write_time(&w, 3, welcome->heartbeat_ns);
    wire_write_varint_if_any(&w, 4, welcome->max_batch);
    wire_write_varint_if_any(&w, 5, welcome->window_batches);
    if (welcome->sketch_seed != 0) {
        wire_write_fixed64(&w, 6, welcome->sketch_seed);
    }
    if (welcome->takes_zstd) {
        wire_write_text_if_any(&w, 7, INGEST_ENCODING_ZSTD);
    }
    if (welcome->takes_assets) {
        wire_write_bool(&w, 8, true);
    }
    return finish(&w, mark);
}

size_t ingest_encode_ack(const struct ingest_position *durable, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);

    write_positions(&w, INGEST_ACK, durable, 1);
    return w.ok ? wire_written(&w) : 0;
}

size_t ingest_encode_probe(const struct ingest_probe *probe, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_PROBE, 1);

    write_probe(&w, probe);
    return finish(&w, mark);
}

size_t ingest_encode_retry(uint32_t code, const char *message, uint64_t delay_ns, uint8_t *out,
                           size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);

    wire_write_varint_if_any(&w, 1, code);
    wire_write_text_if_any(&w, 2, message);
    const struct wire_mark any = wire_begin(&w, 3, 1);

    wire_write_text_if_any(&w, 1, RETRY_INFO_TYPE);
    const struct wire_mark info = wire_begin(&w, 2, 1);

    write_time(&w, 1, delay_ns);
    wire_end(&w, info);
    return finish(&w, any);
}
