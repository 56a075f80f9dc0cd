/* Captures that a collector asks of a sensor: the command, its result, the pieces of the file. */
#include <string.h>

#include "proto/ingest_private.h"

enum { COMMAND_ID = 1, COMMAND_BPF, COMMAND_CANCEL, COMMAND_STATUS, COMMAND_CAPTURE };
enum { ORDER_REQUEST = 1, ORDER_REQUESTER };
enum {
    REQUEST_BPF = 1,
    REQUEST_INTERFACE,
    REQUEST_SNAPLEN,
    REQUEST_PACKETS,
    REQUEST_BYTES,
    REQUEST_DURATION,
    REQUEST_HISTORY,
    REQUEST_FROM = 9,
    REQUEST_UNTIL
};
enum { RESULT_ID = 1, RESULT_ACCEPTED, RESULT_DONE, RESULT_ERROR, RESULT_CODE, RESULT_REASON };
enum { UPLOAD_ID = 1, UPLOAD_CHUNK, UPLOAD_SUMMARY };
enum { SUMMARY_PACKETS = 1, SUMMARY_BYTES, SUMMARY_DROPPED, SUMMARY_REASON };

/* ---- reading ---- */

/* An id that is cut would be another one. */
static bool read_id(const struct wire_field *f, char out[INGEST_COMMAND_ID_BYTES])
{
    return f->length < INGEST_COMMAND_ID_BYTES && wire_text_into(f, out, INGEST_COMMAND_ID_BYTES);
}

static void read_number(const struct wire_field *f, struct ingest_capture_order *out)
{
    if (f->number == REQUEST_SNAPLEN) {
        out->snaplen = f->value < UINT32_MAX ? (uint32_t)f->value : UINT32_MAX;
    } else if (f->number == REQUEST_PACKETS) {
        out->packets_max = f->value;
    } else if (f->number == REQUEST_BYTES) {
        out->bytes_max = f->value;
    } else if (f->number == REQUEST_HISTORY) {
        out->has_history = f->value != 0;
    }
}

static bool read_capture_request(const struct wire_field *message, struct ingest_capture_order *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = message->type == WIRE_BYTES;

    while (ok && wire_next(&r, &f)) {
        if (f.type == WIRE_VARINT) {
            read_number(&f, out);
        } else if (f.number == REQUEST_BPF) {
            ok = wire_text_into(&f, out->bpf, sizeof(out->bpf));
        } else if (f.number == REQUEST_INTERFACE) {
            ok = wire_text_into(&f, out->interface, sizeof(out->interface));
        } else if (f.number == REQUEST_DURATION) {
            ok = ingest_read_time(&f, &out->duration_ns);
        } else if (f.number == REQUEST_FROM) {
            ok = ingest_read_time(&f, &out->from_ns);
        } else if (f.number == REQUEST_UNTIL) {
            ok = ingest_read_time(&f, &out->until_ns);
        }
    }
    return ok && r.ok;
}

static bool read_order(const struct wire_field *message, struct ingest_capture_order *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = message->type == WIRE_BYTES;

    *out = (struct ingest_capture_order){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == ORDER_REQUEST) {
            ok = read_capture_request(&f, out);
        } else if (f.number == ORDER_REQUESTER) {
            ok = wire_text_into(&f, out->requester, sizeof(out->requester));
        }
    }
    return ok && r.ok;
}

bool ingest_decode_command(const uint8_t *bytes, size_t length, struct ingest_command *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct ingest_command){0};
    while (ok && wire_next(&r, &f)) {
        switch (f.number) {
        case COMMAND_ID:
            ok = read_id(&f, out->command_id);
            break;
        case COMMAND_BPF: /* of a collector that says no more than this */
            out->kind = INGEST_COMMAND_CAPTURE;
            out->capture = (struct ingest_capture_order){0};
            ok = wire_text_into(&f, out->capture.bpf, sizeof(out->capture.bpf));
            break;
        case COMMAND_CANCEL:
            out->kind = INGEST_COMMAND_CANCEL;
            ok = read_id(&f, out->cancel_id);
            break;
        case COMMAND_CAPTURE:
            out->kind = INGEST_COMMAND_CAPTURE;
            ok = read_order(&f, &out->capture);
            break;
        default:
            break;
        }
    }
    return ok && r.ok;
}

bool ingest_decode_command_result(const uint8_t *bytes, size_t length,
                                  struct ingest_command_result *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct ingest_command_result){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == RESULT_ID) {
            ok = read_id(&f, out->command_id);
        } else if (f.number == RESULT_ERROR) {
            out->outcome = INGEST_FAILED;
            ok = wire_text_into(&f, out->error, sizeof(out->error));
        } else if (f.number == RESULT_REASON) {
            ok = wire_text_into(&f, out->error_reason, sizeof(out->error_reason));
        } else if (f.type != WIRE_VARINT) {
            continue;
        } else if (f.number == RESULT_ACCEPTED) {
            out->outcome = INGEST_ACCEPTED;
        } else if (f.number == RESULT_DONE) {
            out->outcome = INGEST_DONE;
        } else if (f.number == RESULT_CODE) {
            out->error_code = f.value < UINT32_MAX ? (uint32_t)f.value : UINT32_MAX;
        }
    }
    return ok && r.ok;
}

static bool read_summary(const struct wire_field *message, struct ingest_capture_summary *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = message->type == WIRE_BYTES;

    *out = (struct ingest_capture_summary){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == SUMMARY_REASON) {
            ok = wire_text_into(&f, out->reason, sizeof(out->reason));
        } else if (f.type != WIRE_VARINT) {
            continue;
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

bool ingest_decode_upload(const uint8_t *bytes, size_t length, struct ingest_upload *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    *out = (struct ingest_upload){0};
    while (ok && wire_next(&r, &f)) {
        if (f.number == UPLOAD_ID) {
            ok = read_id(&f, out->command_id);
        } else if (f.number == UPLOAD_CHUNK && f.type == WIRE_BYTES) {
            out->chunk = f.bytes;
            out->chunk_length = f.length;
        } else if (f.number == UPLOAD_SUMMARY) {
            out->has_summary = true;
            ok = read_summary(&f, &out->summary);
        }
    }
    return ok && r.ok;
}

/* ---- writing ---- */

static void write_time_if_any(struct wire_writer *w, uint32_t field, uint64_t ns)
{
    if (ns > 0) {
        ingest_write_time(w, field, ns);
    }
}

static void write_order(struct wire_writer *w, const struct ingest_capture_order *order)
{
    const struct wire_mark mark = wire_begin(w, COMMAND_CAPTURE, 2);
    const struct wire_mark request = wire_begin(w, ORDER_REQUEST, 2);

    wire_write_text_if_any(w, REQUEST_BPF, order->bpf);
    wire_write_text_if_any(w, REQUEST_INTERFACE, order->interface);
    wire_write_varint_if_any(w, REQUEST_SNAPLEN, order->snaplen);
    wire_write_varint_if_any(w, REQUEST_PACKETS, order->packets_max);
    wire_write_varint_if_any(w, REQUEST_BYTES, order->bytes_max);
    write_time_if_any(w, REQUEST_DURATION, order->duration_ns);
    wire_write_varint_if_any(w, REQUEST_HISTORY, order->has_history ? 1 : 0);
    write_time_if_any(w, REQUEST_FROM, order->from_ns);
    write_time_if_any(w, REQUEST_UNTIL, order->until_ns);
    wire_end(w, request);
    wire_write_text_if_any(w, ORDER_REQUESTER, order->requester);
    wire_end(w, mark);
}

size_t ingest_encode_command(const struct ingest_command *command, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_COMMAND, 2);

    wire_write_text_if_any(&w, COMMAND_ID, command->command_id);
    if (command->kind == INGEST_COMMAND_CANCEL) {
        wire_write_text(&w, COMMAND_CANCEL, command->cancel_id);
    } else if (command->kind == INGEST_COMMAND_CAPTURE) {
        write_order(&w, &command->capture);
    }
    wire_end(&w, mark);
    return w.ok ? wire_written(&w) : 0;
}

size_t ingest_encode_command_result(const struct ingest_command_result *result, uint8_t *out,
                                    size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_COMMAND_RESULT, 2);

    wire_write_text_if_any(&w, RESULT_ID, result->command_id);
    if (result->outcome == INGEST_ACCEPTED || result->outcome == INGEST_DONE) {
        wire_write_varint(&w, result->outcome == INGEST_DONE ? RESULT_DONE : RESULT_ACCEPTED, 1);
    } else if (result->outcome == INGEST_FAILED) {
        wire_write_text(&w, RESULT_ERROR, result->error);
        wire_write_varint_if_any(&w, RESULT_CODE, result->error_code);
        wire_write_text_if_any(&w, RESULT_REASON, result->error_reason);
    }
    wire_end(&w, mark);
    return w.ok ? wire_written(&w) : 0;
}

size_t ingest_encode_upload(const struct ingest_upload *upload, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);

    wire_write_text_if_any(&w, UPLOAD_ID, upload->command_id);
    if (upload->chunk != NULL) {
        wire_write_bytes(&w, UPLOAD_CHUNK, upload->chunk, upload->chunk_length);
    }
    if (upload->has_summary) {
        const struct wire_mark mark = wire_begin(&w, UPLOAD_SUMMARY, 1);

        wire_write_varint_if_any(&w, SUMMARY_PACKETS, upload->summary.packets);
        wire_write_varint_if_any(&w, SUMMARY_BYTES, upload->summary.bytes);
        wire_write_varint_if_any(&w, SUMMARY_DROPPED, upload->summary.dropped);
        wire_write_text_if_any(&w, SUMMARY_REASON, upload->summary.reason);
        wire_end(&w, mark);
    }
    return w.ok ? wire_written(&w) : 0;
}
