/* What is accepted as JSON is a message that can be written as JSON. */
#include <stdlib.h>

#include "proto/json/transcoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"netscope.v1.ObserveFlowsRequest", "netscope.v1.FlowRecord",
                                        "netscope.v1.AlertRecord", "netscope.v1.ConnectRequest"};
    static uint8_t wire[1 << 16];
    static char json[1 << 20];
    if (size == 0) {
        return 0;
    }
    const struct json_message *message = json_message_find(names[data[0] & 3]);
    struct error err = {0};
    const size_t length =
        json_to_wire(message, (const char *)data + 1, size - 1, wire, sizeof wire, &err);
    if (err.code == 0) {
        struct json_writer out;
        json_init(&out, json, sizeof json);
        if (!json_from_wire(message, wire, length, &out)) {
            abort();
        }
    }
    return 0;
}
