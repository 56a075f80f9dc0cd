#include "collector-ui/ingest/kafka_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"
#include "proto/codec.h"
#include "proto/json/transcoder.h"

enum { FIELD_SENSOR_ID = 1, FIELD_BOOT_ID = 2, FIELD_RECORD_SEQ = 3 };

#define RECORD_BYTES_MAX CODEC_DNS_BYTES_MAX /* of the largest kind */

struct kafka_value {
    uint8_t record[RECORD_BYTES_MAX];     /* without its identity */
    uint8_t unjson[2 * RECORD_BYTES_MAX]; /* what JSON said */
};

struct kafka_value *kafka_value_new(struct error *err)
{
    struct kafka_value *value = malloc(sizeof(*value));

    if (value == NULL) {
        (void)error_set(err, ENOMEM, "kafka_source: no memory");
    }
    return value;
}

void kafka_value_free(struct kafka_value *value)
{
    free(value);
}

/* One field of a record: its identity is read, all else copied. */
static bool take_field(struct kafka_value *value, struct kafka_part *part,
                       const struct wire_field *field, const uint8_t *from, const uint8_t *to)
{
    switch (field->number) {
    case FIELD_SENSOR_ID:
        return wire_text_into(field, part->sensor_id, sizeof(part->sensor_id));
    case FIELD_BOOT_ID:
        return wire_text_into(field, part->boot_id, sizeof(part->boot_id));
    case FIELD_RECORD_SEQ:
        part->seq = field->value;
        return field->type == WIRE_VARINT;
    default:
        if ((size_t)(to - from) > sizeof(value->record) - part->length) {
            return false;
        }
        memcpy(value->record + part->length, from, (size_t)(to - from));
        part->length += (uint32_t)(to - from);
        return true;
    }
}

static bool read_record(struct kafka_value *value, const uint8_t *bytes, size_t length,
                        struct kafka_part *part)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field field;

    *part = (struct kafka_part){.bytes = value->record};
    if (bytes == NULL) {
        return false;
    }
    for (const uint8_t *from = r.at; wire_next(&r, &field); from = r.at) {
        if (!take_field(value, part, &field, from, r.at)) {
            return false;
        }
    }
    return r.ok && part->sensor_id[0] != '\0' && part->boot_id[0] != '\0' && part->seq != 0;
}

/* A batch has field 1 alone, and each is a message; a record has others behind it. */
static bool is_batch(const uint8_t *bytes, size_t length)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field field;

    while (wire_next(&r, &field)) {
        if (field.number != FIELD_SENSOR_ID || field.type != WIRE_BYTES) {
            return false;
        }
    }
    return r.ok && length > 0;
}

/* Behind the framing of a schema registry, if there is one: NULL: it is cut off. */
static const uint8_t *behind_framing(const uint8_t *bytes, size_t length, size_t *left)
{
    if (length == 0 || bytes[0] != 0) { /* no protobuf and no JSON begins with a zero */
        *left = length;
        return bytes;
    }
    if (length < 6) {
        return NULL;
    }
    struct wire_reader r = wire_reader_over(bytes + 5, length - 5);
    const uint64_t count = wire_read_varint(&r); /* zigzag; 0 stands for the one index 0 */

    if (count > 64) {
        return NULL;
    }
    for (uint64_t i = 0; i < count / 2; i++) {
        (void)wire_read_varint(&r);
    }
    *left = wire_left(&r);
    return r.ok ? r.at : NULL;
}

static const char *message_of(enum record_stream stream)
{
    switch (stream) {
    case RECORD_FLOWS:
        return "netscope.v1.FlowRecord";
    case RECORD_ALERTS:
        return "netscope.v1.AlertRecord";
    case RECORD_STATS:
        return "netscope.v1.StatsRecord";
    case RECORD_PACKETS:
        return "netscope.v1.PacketSample";
    default:
        return "netscope.v1.DnsRecord";
    }
}

static bool refuse(struct error *err, const char *message)
{
    (void)error_set(err, EBADMSG, "%s", message);
    return false;
}

static bool read_batch(struct kafka_value *value, const uint8_t *bytes, size_t length,
                       void (*each)(void *context, const struct kafka_part *part), void *context,
                       struct error *err)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field field;
    struct kafka_part part;

    while (wire_next(&r, &field)) {
        if (!read_record(value, field.bytes, field.length, &part)) {
            return refuse(err, "a batch with something that is no record of a sensor");
        }
        each(context, &part);
    }
    return true;
}

bool kafka_value_read(struct kafka_value *value, enum record_stream stream, const uint8_t *bytes,
                      size_t length, void (*each)(void *context, const struct kafka_part *part),
                      void *context, struct error *err)
{
    size_t left = 0;
    const uint8_t *at = behind_framing(bytes, length, &left);
    struct kafka_part part;

    if (at == NULL || left == 0) {
        return refuse(err, "no value, or its framing is cut off");
    }
    if (at[0] == '{') {
        const struct json_message *message = json_message_find(message_of(stream));

        left = message == NULL ? 0
                               : json_to_wire(message, (const char *)at, left, value->unjson,
                                              sizeof(value->unjson), err);
        if (left == 0) {
            return err->code == 0 ? refuse(err, "JSON without a record") : false;
        }
        at = value->unjson;
    } else if (is_batch(at, left)) {
        return read_batch(value, at, left, each, context, err);
    }
    if (!read_record(value, at, left, &part)) {
        return refuse(err, "no record of a sensor (sensor_id, boot_id and record_seq are needed)");
    }
    each(context, &part);
    return true;
}
