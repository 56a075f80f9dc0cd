#include "sensor/export/kafka_key.h"

#include "base/wire_format.h"

/* Numbers of proto/netscope/v1; a test keeps them equal. */
#define SENSOR_ID_FIELD    1
#define ALERT_KEY_FIELD    5
#define COMMUNITY_ID_FIELD 25

struct record_text kafka_key_of(enum record_stream stream, const uint8_t *bytes, uint32_t length)
{
    const uint32_t number = stream == RECORD_FLOWS    ? COMMUNITY_ID_FIELD
                            : stream == RECORD_ALERTS ? ALERT_KEY_FIELD
                                                      : SENSOR_ID_FIELD;
    struct wire_reader reader = wire_reader_over(bytes, length);
    struct record_text key = {NULL, 0};
    struct wire_field field;

    while (wire_next(&reader, &field)) {
        if (field.number == number && field.type == WIRE_BYTES) {
            key = (struct record_text){(const char *)field.bytes, (uint32_t)field.length};
        }
    }
    return reader.ok ? key : (struct record_text){NULL, 0};
}
