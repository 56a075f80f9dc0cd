/* Values of Kafka messages of all streams: what is told is bounded, named, and read by the codec
 * without a fault. */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/ingest/kafka_value.h"
#include "proto/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(void *context, const struct lane_record *record)
{
    static struct flow_record flow;

    (void)context;
    if (record->seq == 0 || record->sensor_id[0] == '\0' || record->boot_id[0] == '\0' ||
        memchr(record->sensor_id, '\0', sizeof(record->sensor_id)) == NULL ||
        memchr(record->boot_id, '\0', sizeof(record->boot_id)) == NULL ||
        record->length > CODEC_DNS_BYTES_MAX) {
        abort();
    }
    (void)!codec_decode_flow(record->bytes, record->length, &flow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    AUTO(kafka_value) value = kafka_value_new(&err);

    if (value == NULL || size == 0) {
        return 0;
    }
    const enum record_stream stream = (enum record_stream)(1 + data[0] % (RECORD_STREAM_COUNT - 1));
    const bool is_read = kafka_value_read(value, stream, data + 1, size - 1, look, NULL, &err);

    if (is_read == (err.code != 0)) {
        abort();
    }
    return 0;
}
