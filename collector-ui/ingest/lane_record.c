#include "collector-ui/ingest/lane_record.h"

#include <string.h>

#include "base/wire_format.h"

enum { FIELD_SENSOR_ID = 1, FIELD_BOOT_ID = 2, FIELD_RECORD_SEQ = 3 };

/* One field of a record: its identity is read, all else copied. */
static bool take_field(struct lane_record *record, uint8_t *room, size_t room_bytes,
                       const struct wire_field *field, const uint8_t *from, const uint8_t *to)
{
    const size_t length = (size_t)(to - from);

    switch (field->number) {
    case FIELD_SENSOR_ID:
        return wire_text_into(field, record->sensor_id, sizeof(record->sensor_id));
    case FIELD_BOOT_ID:
        return wire_text_into(field, record->boot_id, sizeof(record->boot_id));
    case FIELD_RECORD_SEQ:
        record->seq = field->value;
        return field->type == WIRE_VARINT;
    default:
        if (length > room_bytes - record->length) {
            return false;
        }
        memcpy(room + record->length, from, length);
        record->length += (uint32_t)length;
        return true;
    }
}

bool lane_record_read(const uint8_t *bytes, size_t length, uint8_t *room, size_t room_bytes,
                      struct lane_record *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field field;

    *out = (struct lane_record){.bytes = room};
    if (bytes == NULL) {
        return false;
    }
    for (const uint8_t *from = r.at; wire_next(&r, &field); from = r.at) {
        if (!take_field(out, room, room_bytes, &field, from, r.at)) {
            return false;
        }
    }
    return r.ok && out->sensor_id[0] != '\0' && out->boot_id[0] != '\0' && out->seq != 0;
}
