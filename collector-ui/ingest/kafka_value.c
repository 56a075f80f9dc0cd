#include "collector-ui/ingest/kafka_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"
#include "proto/asset_message.h"
#include "proto/json/transcoder.h"

#define LIST_FIELD 1

struct kafka_value {
    uint8_t record[LANE_RECORD_BYTES_MAX];     /* without its identity */
    uint8_t unjson[2 * LANE_RECORD_BYTES_MAX]; /* what JSON said */
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

/* A batch has field 1 alone, and each is a message; a record has others behind it. */
static bool is_batch(const uint8_t *bytes, size_t length)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field field;

    while (wire_next(&r, &field)) {
        if (field.number != LIST_FIELD || field.type != WIRE_BYTES) {
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

/* A text has no bytes below a space but those that part its words; a message of a few bytes has
 * them, as the lengths of what it holds. */
static bool is_json(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] < ' ' && bytes[i] != '\t' && bytes[i] != '\n' && bytes[i] != '\r') {
            return false;
        }
    }
    return length > 0 && bytes[0] == '{';
}

/* Behind the length of a length-delimited message, where the first number is that. Records are
 * longer than what their own first byte could be taken for: all begin with field 4 (34), and none
 * with an identity has 34 behind it; a batch begins with field 1 (10). JSON may have as many bytes
 * as its brace could be taken for (123). */
static const uint8_t *behind_length(const uint8_t *bytes, size_t *length)
{
    struct wire_reader r = wire_reader_over(bytes, *length);
    const uint64_t told = wire_read_varint(&r);

    if (!r.ok || told == 0 || told != wire_left(&r) || is_json(bytes, *length)) {
        return bytes;
    }
    *length = wire_left(&r);
    return r.at;
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

/* The value without what stands in front of it; NULL with `err`: there is none. */
static const uint8_t *unframe(const uint8_t *bytes, size_t length, size_t *left, struct error *err)
{
    const uint8_t *at = behind_framing(bytes, length, left);

    if (at == bytes) {
        at = behind_length(at, left);
    }
    if (at == NULL || *left == 0) {
        (void)refuse(err, "no value, or its framing is cut off");
        return NULL;
    }
    return at;
}

/* JSON as the bytes of its message, in `value`; their length, 0 with `err`. */
static size_t unjson(struct kafka_value *value, const char *message_name, const uint8_t *text,
                     size_t length, struct error *err)
{
    const struct json_message *message = json_message_find(message_name);
    const size_t made = message == NULL ? 0
                                        : json_to_wire(message, (const char *)text, length,
                                                       value->unjson, sizeof(value->unjson), err);

    if (made == 0 && err->code == 0) {
        (void)refuse(err, "JSON without a record");
    }
    return made;
}

static bool read_batch(struct kafka_value *value, const uint8_t *bytes, size_t length,
                       void (*each)(void *context, const struct lane_record *record), void *context,
                       struct error *err)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field field;
    struct lane_record record;

    while (wire_next(&r, &field)) {
        if (!lane_record_read(field.bytes, field.length, value->record, sizeof(value->record),
                              &record)) {
            return refuse(err, "a batch with something that is no record of a sensor");
        }
        each(context, &record);
    }
    return true;
}

bool kafka_value_read(struct kafka_value *value, enum record_stream stream, const uint8_t *bytes,
                      size_t length, void (*each)(void *context, const struct lane_record *record),
                      void *context, struct error *err)
{
    size_t left = 0;
    const uint8_t *at = unframe(bytes, length, &left, err);
    struct lane_record record;

    if (at == NULL) {
        return false;
    }
    if (at[0] == '{') {
        left = unjson(value, message_of(stream), at, left, err);
        if (left == 0) {
            return false;
        }
        at = value->unjson;
    } else if (is_batch(at, left)) {
        return read_batch(value, at, left, each, context, err);
    }
    if (!lane_record_read(at, left, value->record, sizeof(value->record), &record)) {
        return refuse(err, "no record of a sensor (sensor_id, boot_id and record_seq are needed)");
    }
    each(context, &record);
    return true;
}

bool kafka_value_read_asset(struct kafka_value *value, const uint8_t *bytes, size_t length,
                            struct kafka_asset *out, struct error *err)
{
    size_t left = 0;
    const uint8_t *at = unframe(bytes, length, &left, err);
    struct asset_message asset;

    if (at == NULL) {
        return false;
    }
    if (at[0] == '{') {
        left = unjson(value, "netscope.v1.Asset", at, left, err);
        at = value->unjson;
    }
    if (left == 0 || left > ASSET_MESSAGE_BYTES_MAX + INGEST_SENSOR_ID_BYTES ||
        !asset_message_read(at, left, &asset)) {
        return left == 0 && err->code != 0 ? false : refuse(err, "no asset");
    }
    if (asset.sensor_id.length == 0 || asset.sensor_id.length >= sizeof(out->sensor_id)) {
        return refuse(err, "an asset of no sensor (sensor_id)");
    }
    memcpy(out->sensor_id, asset.sensor_id.data, asset.sensor_id.length);
    out->sensor_id[asset.sensor_id.length] = '\0';
    struct wire_writer w = wire_writer_over(value->record, sizeof(value->record));

    wire_write_bytes(&w, ASSET_REPORT_ASSETS, at, left);
    out->report = value->record;
    out->length = wire_written(&w);
    return w.ok && strlen(out->sensor_id) == asset.sensor_id.length;
}
