/* What clients of the live feed and of the login send: values lie inside the text, strings decode
 * within their room. */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/api/json_reader.h"

#define ROOM 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json_reader reader;
    char text[ROOM];

    if (!json_read(&reader, (const char *)data, size)) {
        return 0;
    }
    if (reader.count == 0 || reader.count > JSON_VALUES_MAX) {
        abort();
    }
    for (uint32_t i = 0; i < reader.count; i++) {
        const struct json_value *value = &reader.values[i];

        if (value->start > value->end || value->end > size || value->after <= i ||
            value->after > reader.count) {
            abort();
        }
        memset(text, 'x', sizeof(text));
        if (json_string(&reader, value, text, sizeof(text)) &&
            (value->type != JSON_STRING || memchr(text, '\0', sizeof(text)) == NULL)) {
            abort();
        }
        (void)json_member(&reader, value, "topics");
    }
    return 0;
}
