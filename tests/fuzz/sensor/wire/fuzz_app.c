/* The recogniser over any bytes: the first two choose protocol and port, the rest is the payload.
 * Whatever it says has a name, and the same bytes give the same answer. */
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/app.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ports that some application is known by, and one that none is. */
static const uint16_t ports[] = {
    20,   21,   22,   25,   53,   67,   69,   80,   110,  123,  137,  143,   161,   179,  389,
    443,  445,  502,  514,  554,  636,  853,  1433, 1812, 1883, 1900, 3306,  3389,  3478, 5060,
    5222, 5353, 5355, 5432, 5683, 5900, 6379, 6667, 8080, 9092, 9200, 27017, 51820, 40000};

static void check(int holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const struct wire_span payload = {.bytes = data + 2, .length = (uint32_t)(size - 2)};
    const uint8_t protocol = (data[0] & 1) != 0 ? 6 : 17;
    const uint16_t port = ports[data[1] % (sizeof(ports) / sizeof(ports[0]))];
    const struct app_guess guess = app_recognise(protocol, &payload, 40001, port);
    const struct app_guess again = app_recognise(protocol, &payload, 40001, port);

    check(app_name(guess.app) != NULL && app_method_name(guess.method) != NULL);
    check(guess.app == again.app && guess.method == again.method);
    return 0;
}
