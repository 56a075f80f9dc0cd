/* The small messages of IngestService.Connect, written. */
#include "proto/ingest_private.h"

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
    return ingest_finish(&w, mark);
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
    return ingest_finish(&w, mark);
}

static void write_probe(struct wire_writer *w, const struct ingest_probe *probe)
{
    wire_write_varint_if_any(w, 1, probe->id);
    ingest_write_time(w, 2, probe->sent_ns);
}

size_t ingest_encode_heartbeat(const struct ingest_heartbeat *heartbeat, uint8_t *out,
                               size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_HEARTBEAT, 1);

    ingest_write_time(&w, 1, heartbeat->time_ns);
    if (heartbeat->has_probe) {
        const struct wire_mark inner = wire_begin(&w, 2, 1);

        write_probe(&w, &heartbeat->probe);
        wire_end(&w, inner);
    }
    return ingest_finish(&w, mark);
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
    return ingest_finish(&w, mark);
}

size_t ingest_encode_packed(const struct ingest_packed *packed, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_PACKED, 4);

    wire_write_text_if_any(&w, 1, packed->encoding);
    wire_write_varint_if_any(&w, 2, packed->length);
    wire_write_bytes(&w, 3, packed->bytes, packed->packed_length);
    return ingest_finish(&w, mark);
}

size_t ingest_encode_goodbye(const struct ingest_goodbye *goodbye, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_GOODBYE, 1);

    wire_write_text_if_any(&w, 1, goodbye->reason);
    wire_write_varint_if_any(&w, 2, goodbye->undelivered_records);
    return ingest_finish(&w, mark);
}

size_t ingest_encode_welcome(const struct ingest_welcome *welcome, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_WELCOME, 2);

    wire_write_text_if_any(&w, 1, welcome->session_id);
    write_positions(&w, 2, welcome->resume, welcome->resume_count);
    ingest_write_time(&w, 3, welcome->heartbeat_ns);
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
    return ingest_finish(&w, mark);
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
    return ingest_finish(&w, mark);
}
