/* Rows of RowBinary out of an answer that comes in pieces. Nothing in it is trusted. */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/clickhouse/clickhouse_private.h"

#define MARK          1
#define SENSOR_BYTES  128
#define BOOT_BYTES    32
#define ROW_BYTES_MAX ((size_t)CODEC_FLOW_BYTES_MAX + SENSOR_BYTES + BOOT_BYTES + 64)

enum row_state { ROW_WHOLE, ROW_SHORT, ROW_MALFORMED };

struct bytes {
    const uint8_t *at, *end;
};

static enum row_state take_length(struct bytes *b, size_t most, size_t *length)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (b->at == b->end) {
            return ROW_SHORT;
        }
        const uint8_t byte = *b->at++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *length = (size_t)value;
            return value <= most ? ROW_WHOLE : ROW_MALFORMED;
        }
    }
    return ROW_MALFORMED;
}

static enum row_state take_text(struct bytes *b, size_t most, struct record_text *out)
{
    size_t length = 0;
    const enum row_state state = take_length(b, most, &length);

    if (state != ROW_WHOLE) {
        return state;
    }
    if ((size_t)(b->end - b->at) < length) {
        return ROW_SHORT;
    }
    *out = (struct record_text){(const char *)b->at, (uint32_t)length};
    b->at += length;
    return ROW_WHOLE;
}

static enum row_state take_number(struct bytes *b, uint64_t *out)
{
    *out = 0;
    if ((size_t)(b->end - b->at) < sizeof(*out)) {
        return ROW_SHORT;
    }
    for (unsigned i = 0; i < sizeof(*out); i++) {
        *out |= (uint64_t)*b->at++ << (8 * i);
    }
    return ROW_WHOLE;
}

static enum row_state take_row(struct bytes *b, struct clickhouse_record *out)
{
    struct record_text record = {"", 0};

    if (b->at == b->end) {
        return ROW_SHORT;
    }
    if (*b->at++ != MARK) {
        return ROW_MALFORMED;
    }
    enum row_state state = take_text(b, SENSOR_BYTES, &out->sensor_id);

    state = state != ROW_WHOLE ? state : take_text(b, BOOT_BYTES, &out->boot_id);
    state = state != ROW_WHOLE ? state : take_number(b, &out->seq);
    state = state != ROW_WHOLE ? state : take_text(b, CODEC_FLOW_BYTES_MAX, &record);
    out->bytes = (const uint8_t *)record.data;
    out->length = record.length;
    return state;
}

/* Hands out what is whole; returns how many bytes that took. */
static size_t take_rows(struct clickhouse_row_reader *reader, const uint8_t *bytes, size_t length,
                        bool *is_enough)
{
    struct bytes b = {bytes, bytes + length};
    const uint8_t *begin = bytes;
    enum row_state state;
    struct clickhouse_record record = {0};

    while (!*is_enough && (state = take_row(&b, &record)) != ROW_SHORT) {
        if (state == ROW_MALFORMED) {
            reader->is_malformed = true;
            *is_enough = true;
        } else {
            *is_enough = !reader->take(reader->context, &record);
            begin = b.at;
        }
    }
    return (size_t)(begin - bytes);
}

static bool keep(struct clickhouse_row_reader *reader, const uint8_t *bytes, size_t length)
{
    if (reader->room - reader->length < length) {
        const size_t room = reader->length + length + ROW_BYTES_MAX;
        uint8_t *more = realloc(reader->bytes, room);

        if (more == NULL) {
            reader->has_no_memory = true;
            return false;
        }
        reader->bytes = more;
        reader->room = room;
    }
    memcpy(reader->bytes + reader->length, bytes, length);
    reader->length += length;
    return true;
}

bool clickhouse_row_reader_take(struct clickhouse_row_reader *reader, const uint8_t *bytes,
                                size_t length)
{
    bool is_enough = false;

    /* A row that began in an earlier piece is completed in a buffer; the rest is read where it is.
     */
    while (reader->length > 0 && length > 0 && !is_enough) {
        const size_t part = length < ROW_BYTES_MAX ? length : ROW_BYTES_MAX;

        if (!keep(reader, bytes, part)) {
            return false;
        }
        bytes += part;
        length -= part;
        const size_t taken = take_rows(reader, reader->bytes, reader->length, &is_enough);

        reader->length -= taken;
        memmove(reader->bytes, reader->bytes + taken, reader->length);
    }
    if (!is_enough && length > 0) {
        const size_t taken = take_rows(reader, bytes, length, &is_enough);

        bytes += taken;
        length -= taken;
    }
    if (!is_enough && length > 0 && !keep(reader, bytes, length)) {
        return false;
    }
    return !is_enough;
}

void clickhouse_row_reader_fini(struct clickhouse_row_reader *reader)
{
    free(reader->bytes);
    *reader = (struct clickhouse_row_reader){0};
}
