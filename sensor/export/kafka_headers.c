/* CloudEvents 1.0 in the headers of a message (Kafka protocol binding, binary content mode): who
 * made the record, which one it is and when, without a look into its value. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/wire_format.h"
#include "sensor/export/kafka_private.h"

/* Of every record of proto/netscope/v1 (assets are none); a test keeps them equal. */
#define SENSOR_ID_FIELD  1
#define BOOT_ID_FIELD    2
#define RECORD_SEQ_FIELD 3

#define SENSOR_BYTES 128
#define ID_BYTES     400
#define HEADERS      7

struct identity {
    struct record_text sensor_id, boot_id;
    uint64_t seq, time_ns;
};

/* Timestamp: seconds = 1, nanos = 2. */
static uint64_t time_of(const struct wire_field *message)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    uint64_t ns = 0;

    while (wire_next(&r, &f)) {
        ns += f.number == 1 ? f.value * NS_PER_SEC : f.number == 2 ? f.value : 0;
    }
    return ns;
}

static struct identity read_identity(uint32_t time_field, const uint8_t *bytes, uint32_t length)
{
    struct identity out = {0};
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;

    while (wire_next(&r, &f)) {
        const struct record_text text = {(const char *)f.bytes, (uint32_t)f.length};

        if (f.type == WIRE_VARINT && f.number == RECORD_SEQ_FIELD) {
            out.seq = f.value;
        } else if (f.type == WIRE_BYTES && f.number == SENSOR_ID_FIELD) {
            out.sensor_id = text;
        } else if (f.type == WIRE_BYTES && f.number == BOOT_ID_FIELD) {
            out.boot_id = text;
        } else if (f.type == WIRE_BYTES && f.number == time_field) {
            out.time_ns = time_of(&f);
        }
    }
    return out;
}

/* A path segment of a URI (RFC 3986 section 3.3): what is neither letter, digit nor one of "-._~"
 * as %XX. */
static void write_source(char *out, size_t room, struct record_text id)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    size_t used = (size_t)snprintf(out, room, "/sensors/");

    for (uint32_t i = 0; i < id.length && used + 4 <= room; i++) {
        const char c = id.data[i];
        const bool is_plain = c != '\0' && strchr(plain, c) != NULL;

        used += (size_t)snprintf(out + used, room - used, is_plain ? "%c" : "%%%02X",
                                 is_plain ? c : (unsigned char)c);
    }
}

static bool add(rd_kafka_headers_t *headers, const char *name, const void *value, size_t length)
{
    return rd_kafka_header_add(headers, name, -1, value, (ssize_t)length) ==
           RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool add_text(rd_kafka_headers_t *headers, const char *name, const char *text)
{
    return add(headers, name, text, strlen(text));
}

/* "BOOT:KIND:SEQ"; an asset has no number, but its key and its time. */
static void write_id(char *out, size_t room, const struct kafka_stream *stream,
                     const struct identity *identity, struct record_text key)
{
    if (stream->kind == KAFKA_ASSETS) {
        (void)snprintf(out, room, "assets:%.*s:%" PRIu64, (int)key.length, key.data,
                       identity->time_ns);
    } else {
        (void)snprintf(out, room, "%.*s:%s:%" PRIu64, (int)identity->boot_id.length,
                       identity->boot_id.data == NULL ? "" : identity->boot_id.data,
                       kafka_kind_name(stream->kind), identity->seq);
    }
}

rd_kafka_headers_t *kafka_headers_new(const struct kafka_stream *stream, const uint8_t *bytes,
                                      uint32_t length, struct record_text key)
{
    const bool is_asset = stream->kind == KAFKA_ASSETS;
    struct identity identity = read_identity(stream->time_field, bytes, length);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(HEADERS);
    char source[16 + 3 * SENSOR_BYTES];
    char id[ID_BYTES];
    char time[CLOCK_TEXT_BYTES];
    uint8_t seq[8];

    if (is_asset) {
        identity.sensor_id =
            (struct record_text){stream->sink->sensor_id, stream->sink->sensor_id_length};
    }
    write_source(source, sizeof(source), identity.sensor_id);
    write_id(id, sizeof(id), stream, &identity, key);
    (void)clock_text(identity.time_ns, 9, time);
    for (unsigned i = 0; i < sizeof(seq); i++) {
        seq[i] = (uint8_t)(identity.seq >> (56 - 8 * i));
    }
    if (headers != NULL && add_text(headers, "ce_specversion", "1.0") &&
        add_text(headers, "ce_type", stream->type_name) && add_text(headers, "ce_source", source) &&
        add_text(headers, "ce_id", id) && add_text(headers, "ce_time", time) &&
        add_text(headers, "content-type",
                 stream->sink->is_json ? "application/json" : "application/x-protobuf") &&
        (is_asset || add(headers, "ns-seq", seq, sizeof(seq)))) {
        return headers;
    }
    if (headers != NULL) {
        rd_kafka_headers_destroy(headers);
    }
    return NULL;
}
