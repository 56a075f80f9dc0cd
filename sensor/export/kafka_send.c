#include "sensor/export/kafka_private.h"

#include <inttypes.h>
#include <string.h>

#include "base/wire_format.h"

#define FULL_WAIT_MS         20
#define LOG_INTERVAL_NS      (10 * NS_PER_SEC)
#define METADATA_MS          1000
#define PARTITIONS_FRESH_NS  (60 * NS_PER_SEC)
#define PARTITIONS_RETRY_NS  NS_PER_SEC
#define KAFKA_PARTITIONS_MAX 10000

bool kafka_is_permanent(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
        return true;
    default:
        return false;
    }
}

/* The opaque of a message: its first record's ticket, or without one the number of its records. */
static void *opaque_of(struct kafka_ticket *ticket, uint32_t first, uint32_t records)
{
    return ticket != NULL ? (uint8_t *)ticket + first : (void *)(uintptr_t)records;
}

/* As rd_kafka_produce(), with headers. */
static rd_kafka_resp_err_t produce_with_headers(struct kafka_stream *stream, int32_t partition,
                                                const void *value, size_t length,
                                                struct record_text key, rd_kafka_headers_t *headers,
                                                void *opaque)
{
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = stream->sink->client.topics[stream->kind]},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)value, length}},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {key.length > 0 ? (void *)(uintptr_t)key.data : NULL, key.length}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = opaque},
    };
    rd_kafka_error_t *error =
        rd_kafka_produceva(stream->sink->client.producer, parts, ARRAY_COUNT(parts));
    const rd_kafka_resp_err_t code =
        error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);

    rd_kafka_error_destroy(error);
    return code;
}

/* A message that holds `records`; `headers` (NULL: none) become librdkafka's, or are ended. */
static rd_kafka_resp_err_t produce(struct kafka_stream *stream, int32_t partition,
                                   const void *value, size_t length, struct record_text key,
                                   rd_kafka_headers_t *headers, uint32_t records,
                                   struct kafka_ticket *ticket, uint32_t first)
{
    struct kafka_sink *sink = stream->sink;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__FATAL;
    void *opaque = opaque_of(ticket, first, records);

    if (sink->client.producer != NULL && headers != NULL) {
        code = produce_with_headers(stream, partition, value, length, key, headers, opaque);
    } else if (sink->client.producer != NULL) {
        code = rd_kafka_produce(sink->client.topics[stream->kind], partition, RD_KAFKA_MSG_F_COPY,
                                (void *)(uintptr_t)value, length, key.length > 0 ? key.data : NULL,
                                key.length, opaque) == 0
                   ? RD_KAFKA_RESP_ERR_NO_ERROR
                   : rd_kafka_last_error();
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (headers != NULL) {
            rd_kafka_headers_destroy(headers);
        }
        return code;
    }
    counter_add(&sink->sent, records);
    counter_add(&sink->messages, 1);
    if (ticket != NULL) {
        ticket->in_flight += records;
        stream->in_flight += records;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* A message of one record. No memory for its headers is as a full queue: it is tried again. */
static rd_kafka_resp_err_t produce_one(struct kafka_stream *stream, const uint8_t *bytes,
                                       uint32_t record_length, struct record_text key,
                                       struct kafka_ticket *ticket, uint32_t first)
{
    rd_kafka_headers_t *headers = NULL;
    size_t length = record_length;
    const void *value = kafka_stream_value(stream, bytes, &length);

    if (value == NULL) {
        return RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    }
    if (stream->sink->has_headers) {
        headers = kafka_headers_new(stream, bytes, record_length, key);
        if (headers == NULL) {
            return RD_KAFKA_RESP_ERR__QUEUE_FULL;
        }
    }
    return produce(stream, RD_KAFKA_PARTITION_UA, value, length, key, headers, 1, ticket, first);
}

/* What follows from a produce() that did not take the message. `give_up`: no spool keeps it. */
static enum kafka_sent verdict_of(struct kafka_stream *stream, rd_kafka_resp_err_t code)
{
    struct kafka_sink *sink = stream->sink;

    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        counter_add(&sink->queue_full, 1);
        return KAFKA_FULL;
    }
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        sink->has_fatal_error = true;
    }
    return KAFKA_REFUSED;
}

static void fail_records(struct kafka_stream *stream, struct kafka_ticket *ticket, uint32_t first,
                         uint32_t records, rd_kafka_resp_err_t code)
{
    kafka_count_failure(stream->sink, code, records, false);
    for (uint32_t i = first; ticket != NULL && i < RUN_MAX; i = ticket->following[i]) {
        bit_set(ticket->done, i);
        ticket->done_count++;
    }
}

rd_kafka_resp_err_t kafka_produce_keyed(struct kafka_stream *stream, const uint8_t *bytes,
                                        uint32_t length, struct record_text key)
{
    return produce_one(stream, bytes, length, key, NULL, 0);
}

static enum kafka_sent send_singly(struct kafka_stream *stream, const struct kafka_run *run,
                                   uint64_t sent[BIT_WORDS], struct kafka_ticket *ticket,
                                   rd_kafka_resp_err_t *code)
{
    for (uint32_t i = 0; i < run->count; i++) {
        if (bit_get(sent, i)) {
            continue;
        }
        if (ticket != NULL) {
            ticket->following[i] = RUN_MAX;
        }
        *code =
            produce_one(stream, run->at[i].bytes, run->at[i].length,
                        kafka_stream_key(stream, run->at[i].bytes, run->at[i].length), ticket, i);
        if (*code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (!kafka_is_permanent(*code)) {
                return verdict_of(stream, *code);
            }
            fail_records(stream, ticket, i, 1, *code);
        }
        bit_set(sent, i);
    }
    return KAFKA_SENT;
}

/* ---- packed: a message holds records of one partition only ---- */

/* How many partitions the topic has; asked again now and then, since they may become more. */
static rd_kafka_resp_err_t learn_partitions(struct kafka_stream *stream)
{
    struct kafka_sink *sink = stream->sink;
    const struct rd_kafka_metadata *metadata = NULL;
    const uint64_t now_ns = clock_monotonic_ns();

    if (stream->partitions_ns != 0 &&
        now_ns - stream->partitions_ns <
            (stream->partitions > 0 ? PARTITIONS_FRESH_NS : PARTITIONS_RETRY_NS)) {
        return stream->partitions > 0 ? RD_KAFKA_RESP_ERR_NO_ERROR
                                      : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    }
    if (sink->client.producer == NULL) {
        return RD_KAFKA_RESP_ERR__FATAL;
    }
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(sink->client.producer, 0, sink->client.topics[stream->kind], &metadata,
                          stream->partitions > 0 ? METADATA_MS / 10 : METADATA_MS);

    stream->partitions_ns = clock_monotonic_ns();
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = metadata->topic_cnt == 1 ? metadata->topics[0].err
                                        : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR &&
            metadata->topics[0].partition_cnt <= KAFKA_PARTITIONS_MAX) {
            stream->partitions = metadata->topics[0].partition_cnt;
        }
        rd_kafka_metadata_destroy(metadata);
    }
    return stream->partitions > 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : code;
}

static int32_t partition_of(struct kafka_stream *stream, const uint8_t *bytes, uint32_t length)
{
    const struct record_text key = kafka_stream_key(stream, bytes, length);

    if (key.length == 0) {
        return (int32_t)(stream->next_partition % (uint32_t)stream->partitions);
    }
    return rd_kafka_msg_partitioner_murmur2(NULL, key.data, key.length, stream->partitions, NULL,
                                            NULL);
}

/* Lists the records to be sent by partition: `heads` and `following`. The last one goes first into
 * the lists, so that they are in order. */
static void list_by_partition(struct kafka_stream *stream, const struct kafka_run *run,
                              const uint64_t sent[BIT_WORDS], uint16_t following[RUN_MAX])
{
    int16_t *heads = stream->sink->heads;

    for (int32_t p = 0; p < stream->partitions; p++) {
        heads[p] = RUN_MAX;
    }
    for (uint32_t i = run->count; i-- > 0;) {
        if (!bit_get(sent, i)) {
            const int32_t p = partition_of(stream, run->at[i].bytes, run->at[i].length);

            following[i] = (uint16_t)heads[p];
            heads[p] = (int16_t)i;
        }
    }
    stream->next_partition++;
}

/* Room for a record as field 1 of the batch. */
#define ENTRY_OVERHEAD 6

/* One message from `first` on along the list, up to pack_bytes. `last`: its last record. NULL: not
 * even the first has room. */
static const uint8_t *pack(struct kafka_stream *stream, const struct kafka_run *run, uint32_t first,
                           const uint16_t following[RUN_MAX], uint32_t *last, uint32_t *records,
                           size_t *length)
{
    struct kafka_sink *sink = stream->sink;
    uint8_t *value =
        sink->scratch + SCRATCH_BYTES; /* the second half; rows are made in the first */
    uint8_t *at = value + (sink->has_length ? KAFKA_LENGTH_BYTES : stream->framing_length);

    memcpy(value, stream->framing, stream->framing_length);
    *records = 0;
    for (uint32_t i = first; i < RUN_MAX; i = following[i]) {
        size_t row_length = run->at[i].length;
        const void *row = kafka_stream_value(stream, run->at[i].bytes, &row_length);
        const size_t used = (size_t)(at - value);

        if (row == NULL || used + row_length + ENTRY_OVERHEAD > SCRATCH_BYTES ||
            (*records > 0 && used + row_length + ENTRY_OVERHEAD > sink->settings.pack_bytes)) {
            break;
        }
        at = wire_put_varint(at, WIRE_TAG(1, WIRE_BYTES));
        at = wire_put_bytes(at, row, row_length);
        *last = i;
        (*records)++;
    }
    if (*records == 0) {
        return NULL;
    }
    *length = (size_t)(at - value);
    return sink->has_length ? kafka_put_length(value, length) : value;
}

static enum kafka_sent send_packed(struct kafka_stream *stream, const struct kafka_run *run,
                                   uint64_t sent[BIT_WORDS], struct kafka_ticket *ticket,
                                   rd_kafka_resp_err_t *code)
{
    struct kafka_sink *sink = stream->sink;
    uint16_t lists[RUN_MAX];

    *code = learn_partitions(stream);
    if (*code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return verdict_of(stream, *code);
    }
    list_by_partition(stream, run, sent, lists);
    for (int32_t p = 0; p < stream->partitions; p++) {
        for (uint32_t first = (uint32_t)sink->heads[p]; first < RUN_MAX;) {
            uint32_t last = first;
            uint32_t records = 1;
            size_t length = 0;
            const uint8_t *value = pack(stream, run, first, lists, &last, &records, &length);
            const uint32_t next = lists[last];

            if (ticket != NULL) {
                for (uint32_t i = first; i != last; i = lists[i]) {
                    ticket->following[i] = lists[i];
                }
                ticket->following[last] = RUN_MAX;
            }
            *code = value == NULL ? RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
                                  : produce(stream, p, value, length, (struct record_text){NULL, 0},
                                            NULL, records, ticket, first);
            if (value == NULL) {
                records = 1;
            }
            if (*code != RD_KAFKA_RESP_ERR_NO_ERROR) {
                if (!kafka_is_permanent(*code)) {
                    return verdict_of(stream, *code);
                }
                fail_records(stream, ticket, first, records, *code);
            }
            for (uint32_t i = first; i != next; i = lists[i]) {
                bit_set(sent, i);
            }
            first = next;
        }
    }
    return KAFKA_SENT;
}

enum kafka_sent kafka_send(struct kafka_stream *stream, const struct kafka_run *run,
                           uint64_t sent[BIT_WORDS], struct kafka_ticket *ticket,
                           rd_kafka_resp_err_t *code)
{
    *code = RD_KAFKA_RESP_ERR_NO_ERROR;
    return stream->is_packed ? send_packed(stream, run, sent, ticket, code)
                             : send_singly(stream, run, sent, ticket, code);
}

void kafka_send_all(struct kafka_stream *stream, const struct kafka_run *run)
{
    struct kafka_sink *sink = stream->sink;
    uint64_t sent[BIT_WORDS] = {0};
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    enum kafka_sent result = KAFKA_FULL;

    for (;;) {
        uint64_t suppressed = 0;

        result = kafka_send(stream, run, sent, NULL, &code);
        /* A producer that is being made anew, and partitions that nobody has told yet, are waited
         * for. */
        const bool is_waiting = result == KAFKA_FULL || code == RD_KAFKA_RESP_ERR__FATAL ||
                                (result == KAFKA_REFUSED && stream->is_packed &&
                                 code != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);

        if (!is_waiting || atomic_load_explicit(&sink->is_stopping, memory_order_acquire)) {
            break;
        }
        if (result == KAFKA_FULL && log_allowed(&sink->full_log, LOG_INTERVAL_NS, &suppressed)) {
            log_warn(sink->name, "the queue is full: later records wait, then are dropped",
                     "queue_full=%" PRIu64, counter_get(&sink->queue_full));
        }
        kafka_serve(sink, FULL_WAIT_MS);
        if (sink->client.producer == NULL) {
            (void)poll(NULL, 0, FULL_WAIT_MS);
        }
    }
    if (result == KAFKA_SENT) {
        return;
    }
    for (uint32_t i = 0; i < run->count; i++) { /* refused one by one, or what a stop leaves over */
        if (!bit_get(sent, i)) {
            kafka_count_failure(sink, result == KAFKA_FULL ? RD_KAFKA_RESP_ERR__PURGE_QUEUE : code,
                                1, false);
        }
    }
}
