/* What is written as JSON is read again. */
#include <stdlib.h>

#include "proto/json/transcoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"netscope.v1.FlowRecord", "netscope.v1.ConnectRequest",
                                        "netscope.v1.StatsRecord", "netscope.v1.AlertRecord"};
    static uint8_t wire[1 << 20];
    static char json[1 << 20];
    if (size == 0 || size > 4096) {
        return 0;
    }
    const struct json_message *message = json_message_find(names[data[0] & 3]);
    struct json_writer out;
    json_init(&out, json, sizeof json);
    if (json_from_wire(message, data + 1, size - 1, &out) && !out.overflow) {
        struct error err = {0};
        (void)!json_to_wire(message, json, out.length, wire, sizeof wire, &err);
        if (err.code != 0) {
            abort();
        }
    }
    return 0;
}
