#include "sensor/export/kafka_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"
#include "proto/codec.h"
#include "proto/json/descriptor_index.h"
#include "proto/row/flow_row.h"
#include "sensor/export/kafka_key.h"

/* Numbers of proto/netscope/v1; a test keeps them equal. */
#define ALERT_KIND_NAME_FIELD 7
#define ALERT_SEVERITY_FIELD  9
#define FLOW_ID_FIELD         4

struct kind {
    const char *name;
    enum record_stream stream;
    const char *message, *batch; /* netscope.v1.; batch NULL: never packed */
    const char *row, *row_batch; /* with value: flow_row; NULL: the same */
    const char *time;            /* the field that says when it was */
    unsigned partitions, days;   /* what kafka-topics proposes */
};

static const struct kind kinds[KAFKA_KINDS] = {
    [KAFKA_FLOWS] = {"flows", RECORD_FLOWS, "FlowRecord", "FlowBatch", "FlowRow", "FlowRowBatch",
                     "end_time", 6, 7},
    [KAFKA_ALERTS] = {"alerts", RECORD_ALERTS, "AlertRecord", NULL, NULL, NULL, "last_time", 3, 30},
    [KAFKA_STATS] = {"stats", RECORD_STATS, "StatsRecord", NULL, NULL, NULL, "end_time", 3, 7},
    [KAFKA_DNS] = {"dns", RECORD_DNS, "DnsRecord", "DnsBatch", NULL, NULL, "time", 6, 7},
    [KAFKA_PACKETS] = {"packets", RECORD_PACKETS, "PacketSample", "PacketBatch", NULL, NULL, "time",
                       3, 1},
    [KAFKA_AGGREGATES] = {"aggregates", RECORD_STREAM_NONE, "FlowRecord", "FlowBatch", "FlowRow",
                          "FlowRowBatch", "end_time", 3, 30},
    [KAFKA_ASSETS] = {"assets", RECORD_STREAM_NONE, "Asset", NULL, NULL, NULL, "last_time", 3, 0},
};

const char *kafka_kind_name(enum kafka_kind kind)
{
    return kinds[kind].name;
}

void kafka_kind_proposal(enum kafka_kind kind, unsigned *partitions, unsigned *days)
{
    *partitions = kinds[kind].partitions;
    *days = kinds[kind].days;
}

static bool is_row(const struct kafka_settings *settings, enum kafka_kind kind)
{
    return kinds[kind].row != NULL && strcmp(settings->value, "flow_row") == 0;
}

static bool is_packed(const struct kafka_settings *settings, enum kafka_kind kind)
{
    return settings->packed && kinds[kind].batch != NULL;
}

void kafka_topic_name(const struct kafka_settings *settings, enum kafka_kind kind,
                      char out[KAFKA_TOPIC_BYTES])
{
    if (settings->topics[kind] != NULL && settings->topics[kind][0] != '\0') {
        (void)snprintf(out, KAFKA_TOPIC_BYTES, "%s", settings->topics[kind]);
        return;
    }
    const char *name = kinds[kind].name;

    if (is_row(settings, kind)) {
        name = kind == KAFKA_FLOWS ? "flowrows" : "aggregaterows";
    }
    (void)snprintf(out, KAFKA_TOPIC_BYTES, "%.200s.%s%s.v1", settings->topic_prefix, name,
                   is_packed(settings, kind) ? "-packed" : "");
}

/* Index of a message among those of its file: what Confluent's framing names it by. -1: none. */
static int message_index(const char *name)
{
    size_t length;
    const uint8_t *bytes = json_descriptor_set(&length);
    struct wire_reader files = wire_reader_over(bytes, length);
    struct wire_field file;

    while (wire_next(&files, &file)) {
        struct wire_reader parts = wire_reader_over(file.bytes, file.length);
        struct wire_field part;
        bool is_ours = false;
        int index = 0;

        while (wire_next(&parts, &part)) {
            if (part.number == 2) { /* the package comes before the messages */
                is_ours = part.bytes != NULL && part.length == 11 &&
                          memcmp(part.bytes, "netscope.v1", 11) == 0;
            }
            if (part.number != 4) {
                continue;
            }
            struct wire_reader message = wire_reader_over(part.bytes, part.length);
            struct wire_field field;

            while (is_ours && name != NULL && wire_next(&message, &field)) {
                if (field.number == 1 && field.length == strlen(name) &&
                    memcmp(field.bytes, name, field.length) == 0) {
                    return index;
                }
            }
            index++;
        }
    }
    return -1;
}

/* 0x00, the id in four bytes, and for protobuf the way to the message: one index (zigzag), of which
 * [0] is written as a single 0. */
static int set_framing(struct kafka_stream *stream, const char *message, struct error *err)
{
    const struct config_map *ids = &stream->sink->settings.schema_ids;
    char *end = NULL;

    for (uint32_t i = 0; i < ids->count; i++) {
        if (strcmp(ids->keys[i], kinds[stream->kind].name) != 0) {
            continue;
        }
        const unsigned long id = strtoul(ids->values[i], &end, 10);
        uint8_t *at = stream->framing;

        if (*end != '\0' || end == ids->values[i] || id == 0 || id > INT32_MAX) {
            return error_set(err, EINVAL, "kafka.schema_ids.%s: \"%.40s\" is no id", ids->keys[i],
                             ids->values[i]);
        }
        *at++ = 0;
        *at++ = (uint8_t)(id >> 24);
        *at++ = (uint8_t)(id >> 16);
        *at++ = (uint8_t)(id >> 8);
        *at++ = (uint8_t)id;
        if (!stream->sink->is_json) {
            const int index = message_index(message);

            if (index == 0) {
                *at++ = 0;
            } else {
                *at++ = 2; /* one index follows */
                at = wire_put_varint(at, (uint64_t)index << 1);
            }
        }
        stream->framing_length = (uint32_t)(at - stream->framing);
    }
    return 0;
}

static int check_schema_ids(const struct config_map *ids, struct error *err)
{
    for (uint32_t i = 0; i < ids->count; i++) {
        bool is_known = false;

        for (int kind = 0; kind < KAFKA_KINDS; kind++) {
            is_known = is_known || strcmp(ids->keys[i], kinds[kind].name) == 0;
        }
        if (!is_known) {
            return error_set(err, EINVAL,
                             "kafka.schema_ids: \"%.40s\" is none of flows, alerts, stats, dns, "
                             "packets, aggregates, assets",
                             ids->keys[i]);
        }
    }
    return 0;
}

static int open_stream(struct kafka_sink *sink, enum kafka_kind kind, struct error *err)
{
    struct kafka_stream *stream = &sink->streams[kind];
    const struct kind *from = &kinds[kind];
    const bool as_row = is_row(&sink->settings, kind);
    char name[64];

    stream->sink = sink;
    stream->kind = kind;
    stream->is_on = sink->settings.is_on[kind];
    stream->is_packed = is_packed(&sink->settings, kind);
    const char *one = as_row ? from->row : from->message;
    const char *many = as_row ? from->row_batch : from->batch;

    if (many == NULL) {
        many = one;
    }

    (void)snprintf(name, sizeof(name), "netscope.v1.%s", from->message);
    stream->message = json_message_find(name);
    stream->time_field =
        message_field_named(stream->message, from->time, strlen(from->time))->number;
    (void)snprintf(stream->type_name, sizeof(stream->type_name), "netscope.v1.%s", one);
    return stream->is_on ? set_framing(stream, stream->is_packed ? many : one, err) : 0;
}

static int open_filter(struct kafka_sink *sink, struct error *err)
{
    const char *text = sink->settings.flows_filter;

    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    sink->streams[KAFKA_FLOWS].filter = filter_compile(text, strlen(text), err, NULL);
    if (sink->streams[KAFKA_FLOWS].filter == NULL) {
        error_prefix(err, "kafka.flows_filter");
        return -err->code;
    }
    return 0;
}

static int check_kinds(const struct config_list *names, struct error *err)
{
    for (uint32_t i = 0; i < names->count; i++) {
        if (alert_kind_by_name(names->items[i]) == ALERT_NONE) {
            return error_set(err, EINVAL, "kafka.alerts_kinds: \"%.40s\" is no kind of alert",
                             names->items[i]);
        }
    }
    return 0;
}

int kafka_streams_open(struct kafka_sink *sink, struct error *err)
{
    int result = check_schema_ids(&sink->settings.schema_ids, err);

    sink->severity_min = (uint8_t)severity_by_name(sink->settings.alerts_severity);
    if (result == 0) {
        result = check_kinds(&sink->settings.alerts_kinds, err);
    }
    for (int kind = 0; kind < KAFKA_KINDS && result == 0; kind++) {
        result = open_stream(sink, (enum kafka_kind)kind, err);
    }
    return result == 0 ? open_filter(sink, err) : result;
}

void kafka_streams_close(struct kafka_sink *sink)
{
    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        filter_free(sink->streams[kind].filter);
    }
}

struct kafka_stream *kafka_stream_of(struct kafka_sink *sink, const struct batch_entry *entry)
{
    if (entry->stream == RECORD_FLOWS && sink->only_ended && entry->event != FLOW_END) {
        return NULL;
    }
    for (int kind = 0; kind < KAFKA_AGGREGATES; kind++) {
        if ((uint8_t)kinds[kind].stream == entry->stream) {
            return sink->streams[kind].is_on ? &sink->streams[kind] : NULL;
        }
    }
    return NULL;
}

/* The last value of a field of an alert. */
static bool alert_passes(const struct kafka_sink *sink, const uint8_t *bytes, uint32_t length)
{
    const struct config_list *names = &sink->settings.alerts_kinds;
    struct wire_reader reader = wire_reader_over(bytes, length);
    struct wire_field field;
    uint64_t severity = 0;
    bool is_named = names->count == 0;

    while (wire_next(&reader, &field)) {
        if (field.number == ALERT_SEVERITY_FIELD && field.type == WIRE_VARINT) {
            severity = field.value;
        } else if (field.number == ALERT_KIND_NAME_FIELD && field.type == WIRE_BYTES) {
            for (uint32_t i = 0; i < names->count && !is_named; i++) {
                is_named = strlen(names->items[i]) == field.length &&
                           memcmp(names->items[i], field.bytes, field.length) == 0;
            }
        }
    }
    return is_named && severity >= sink->severity_min;
}

bool kafka_stream_wants(const struct kafka_stream *stream, const uint8_t *bytes, uint32_t length)
{
    static _Thread_local struct flow_record record;

    if (stream->kind == KAFKA_ALERTS) {
        const struct kafka_sink *sink = stream->sink;

        return (sink->severity_min == 0 && sink->settings.alerts_kinds.count == 0) ||
               alert_passes(sink, bytes, length);
    }
    return stream->filter == NULL || (codec_decode_flow(bytes, length, &record) &&
                                      filter_matches_flow(stream->filter, &record));
}

struct record_text kafka_stream_key(const struct kafka_stream *stream, const uint8_t *bytes,
                                    uint32_t length)
{
    const struct kafka_sink *sink = stream->sink;

    switch (stream->kind) {
    case KAFKA_ALERTS:
        return kafka_key_of(RECORD_ALERTS, bytes, length);
    case KAFKA_STATS:
        return (struct record_text){sink->sensor_id, sink->sensor_id_length};
    case KAFKA_AGGREGATES: /* the group */
        return kafka_text_of(FLOW_ID_FIELD, bytes, length);
    default:
        if (sink->keys_by_sensor) {
            return (struct record_text){sink->sensor_id, sink->sensor_id_length};
        }
        return sink->keys_by_flow ? kafka_key_of(kinds[stream->kind].stream, bytes, length)
                                  : (struct record_text){NULL, 0};
    }
}

const void *kafka_stream_value(struct kafka_stream *stream, const uint8_t *bytes, size_t *length)
{
    struct kafka_sink *sink = stream->sink;
    const bool has_length = sink->has_length && !stream->is_packed;
    const uint32_t framing = has_length          ? KAFKA_LENGTH_BYTES
                             : stream->is_packed ? 0
                                                 : stream->framing_length;
    uint8_t *out = sink->scratch + framing;
    const size_t room = SCRATCH_BYTES - framing;
    size_t made = 0;

    if (sink->is_json) {
        struct json_writer writer;

        json_init(&writer, (char *)out, room);
        if (json_from_wire(stream->message, bytes, *length, &writer) && !writer.overflow) {
            made = writer.length;
        }
    } else if (sink->is_row && kinds[stream->kind].row != NULL) {
        made = flow_row_from_flow(bytes, *length, out, room);
    } else if (framing == 0) {
        return bytes;
    } else if (*length <= room) {
        memcpy(out, bytes, *length);
        made = *length;
    }
    if (made == 0) {
        return NULL;
    }
    *length = made + framing;
    if (has_length) {
        return kafka_put_length(sink->scratch, length);
    }
    memcpy(sink->scratch, stream->framing, framing);
    return sink->scratch;
}

uint8_t *kafka_put_length(uint8_t *value, size_t *length)
{
    const size_t own = *length - KAFKA_LENGTH_BYTES;
    const unsigned bytes = wire_varint_bytes(own);
    uint8_t *begin = value + KAFKA_LENGTH_BYTES - bytes;

    (void)wire_put_varint(begin, own);
    *length = own + bytes;
    return begin;
}
