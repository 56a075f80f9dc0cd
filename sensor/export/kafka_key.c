#include "sensor/export/kafka_key.h"

#include "base/wire_format.h"

/* Numbers of proto/netscope/v1; a test keeps them equal. */
#define SENSOR_ID_FIELD     1
#define ALERT_KEY_FIELD     5
#define FLOW_COMMUNITY_ID   25
#define DNS_COMMUNITY_ID    33
#define PACKET_COMMUNITY_ID 13

struct record_text kafka_text_of(uint32_t number, const uint8_t *bytes, uint32_t length)
{
    struct wire_reader reader = wire_reader_over(bytes, length);
    struct wire_field field;

    while (wire_next(&reader, &field)) {
        if (field.number == number && field.type == WIRE_BYTES) { /* our codec writes it once */
            return (struct record_text){(const char *)field.bytes, (uint32_t)field.length};
        }
    }
    return (struct record_text){NULL, 0};
}

struct record_text kafka_key_of(enum record_stream stream, const uint8_t *bytes, uint32_t length)
{
    switch (stream) {
    case RECORD_FLOWS:
        return kafka_text_of(FLOW_COMMUNITY_ID, bytes, length);
    case RECORD_ALERTS:
        return kafka_text_of(ALERT_KEY_FIELD, bytes, length);
    case RECORD_DNS:
        return kafka_text_of(DNS_COMMUNITY_ID, bytes, length);
    case RECORD_PACKETS:
        return kafka_text_of(PACKET_COMMUNITY_ID, bytes, length);
    default:
        return kafka_text_of(SENSOR_ID_FIELD, bytes, length);
    }
}
