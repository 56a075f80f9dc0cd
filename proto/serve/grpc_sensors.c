/* Of which sensors: SensorSelector. */
#include <stdlib.h>
#include <string.h>

#include "netscope/v1/common.pb-c.h"
#include "proto/sensor_pattern.h"
#include "proto/serve/grpc_serve.h"

#define PATTERN_BYTES_MAX 128

bool grpc_sensor_is_chosen(const struct grpc_sensor_choice *choice, const char *sensor_id,
                           size_t length)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        if (sensor_pattern_matches(choice->patterns[i], sensor_id, length)) {
            return true;
        }
    }
    return choice->count == 0;
}

void grpc_sensor_choice_free(struct grpc_sensor_choice *choice)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        free(choice->patterns[i]);
    }
    free(choice->patterns);
    *choice = (struct grpc_sensor_choice){0};
}

static bool check(struct grpc_ask *ask, const Netscope__V1__SensorSelector *selector)
{
    if (selector->n_sensor_ids > GRPC_SENSORS_MAX) {
        grpc_refuse_field(ask, "sensor_selector", "OUT_OF_BOUNDS", -1,
                          "sensor_selector.sensor_ids: at most %d", GRPC_SENSORS_MAX);
        return false;
    }
    for (size_t i = 0; i < selector->n_sensor_ids; i++) {
        const size_t length = strlen(selector->sensor_ids[i]);

        if (length == 0 || length > PATTERN_BYTES_MAX) {
            grpc_refuse_field(ask, "sensor_selector", "OUT_OF_BOUNDS", -1,
                              "sensor_selector.sensor_ids[%zu]: 1 to %d characters", i,
                              PATTERN_BYTES_MAX);
            return false;
        }
    }
    return true;
}

/* On one sensor alone. */
static bool is_asked(struct grpc_ask *ask, const Netscope__V1__SensorSelector *selector)
{
    const struct grpc_sensor_choice choice = {(uint32_t)selector->n_sensor_ids,
                                              selector->sensor_ids};
    const char *own = ask->server->program->own_sensor(ask->server);

    if (!grpc_sensor_is_chosen(&choice, own, strlen(own))) {
        grpc_refuse(ask, RPC_NOT_FOUND, "NO_SUCH_SENSOR", -1,
                    "sensor_selector: this is sensor '%s' alone; the collector answers for all",
                    own);
        return false;
    }
    return true;
}

bool grpc_read_sensors(struct grpc_ask *ask, const ProtobufCMessage *message,
                       struct grpc_sensor_choice *out)
{
    const Netscope__V1__SensorSelector *selector = (const Netscope__V1__SensorSelector *)message;

    if (selector == NULL || selector->n_sensor_ids == 0) {
        return true;
    }
    if (!check(ask, selector)) {
        return false;
    }
    if (ask->server->program->own_sensor != NULL) {
        return is_asked(ask, selector);
    }
    out->patterns = calloc(selector->n_sensor_ids, sizeof(*out->patterns));
    for (size_t i = 0; out->patterns != NULL && i < selector->n_sensor_ids; i++) {
        out->patterns[i] = strdup(selector->sensor_ids[i]);
        if (out->patterns[i] == NULL) {
            break;
        }
        out->count++;
    }
    if (out->count < selector->n_sensor_ids) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the selector");
        return false;
    }
    return true;
}
