#include "sensor/wire/wire_name.h"

size_t wire_name_text(const struct wire_span *name, char *out, size_t capacity)
{
    struct cursor c = cursor_over(name->bytes, name->length);
    size_t length = 0;

    out[0] = '\0';
    if (name->length > WIRE_NAME_BYTES_MAX) {
        return 0;
    }
    while (cursor_left(&c) > 0) {
        const uint8_t label_bytes = cursor_u8(&c);

        if (label_bytes == 0) {
            break;
        }
        const uint8_t *label = cursor_take(&c, label_bytes);
        const size_t dot = length > 0 ? 1 : 0;

        if (label_bytes > 63 || label == NULL || length + dot + label_bytes >= capacity) {
            out[0] = '\0';
            return 0;
        }
        if (dot > 0) {
            out[length++] = '.';
        }
        memcpy(out + length, label, label_bytes);
        length += label_bytes;
        out[length] = '\0';
    }
    return length;
}
