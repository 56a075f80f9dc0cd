/* Of which sensors: SensorSelector. */
#include <stdlib.h>
#include <string.h>

#include "netscope/v1/common.pb-c.h"
#include "proto/sensor_labels.h"
#include "proto/sensor_pattern.h"
#include "proto/serve/grpc_serve.h"

#define PATTERN_BYTES_MAX 128
#define LABELLED_MAX      1000 /* sensors that a selector of labels is made of */

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

bool grpc_check_sensors(struct grpc_ask *ask, const ProtobufCMessage *message, const char *field)
{
    const Netscope__V1__SensorSelector *selector = (const Netscope__V1__SensorSelector *)message;
    struct error err = {0};

    if (selector == NULL) {
        return true;
    }
    if (selector->n_sensor_ids > GRPC_SENSORS_MAX) {
        grpc_refuse_field(ask, field, "OUT_OF_BOUNDS", -1, "%s.sensor_ids: at most %d", field,
                          GRPC_SENSORS_MAX);
        return false;
    }
    for (size_t i = 0; i < selector->n_sensor_ids; i++) {
        const size_t length = strlen(selector->sensor_ids[i]);

        if (length == 0 || length > PATTERN_BYTES_MAX) {
            grpc_refuse_field(ask, field, "OUT_OF_BOUNDS", -1,
                              "%s.sensor_ids[%zu]: 1 to %d characters", field, i,
                              PATTERN_BYTES_MAX);
            return false;
        }
    }
    if (sensor_selector_check(selector->labels, &err) != 0) {
        grpc_refuse_field(ask, field, "BAD_LABELS", -1, "%s.%s", field, err.message);
        return false;
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

struct labelled {
    struct grpc_sensor_choice *out;
    uint32_t count; /* that there are */
    bool ok;        /* there was memory */
};

static void add_labelled(void *context, const char *sensor_id)
{
    struct labelled *all = context;

    all->count++;
    if (all->ok && all->count <= LABELLED_MAX) {
        char *copy = strdup(sensor_id);

        all->ok = copy != NULL;
        if (copy != NULL) {
            all->out->patterns[all->out->count++] = copy;
        }
    }
}

/* The sensors that have the labels now. */
static bool read_labelled(struct grpc_ask *ask, const Netscope__V1__SensorSelector *selector,
                          struct grpc_sensor_choice *out)
{
    const struct grpc_sensor_choice ids = {(uint32_t)selector->n_sensor_ids, selector->sensor_ids};
    const struct grpc_program *program = ask->server->program;
    struct labelled all = {.out = out};

    if (program->each_labelled == NULL) {
        grpc_refuse_field(ask, "sensor_selector", "NO_LABELS", -1,
                          "sensor_selector.labels: the collector knows them, one sensor does not");
        return false;
    }
    out->patterns = calloc(LABELLED_MAX, sizeof(*out->patterns));
    all.ok = out->patterns != NULL;
    program->each_labelled(ask->server, &ids, selector->labels, add_labelled, &all);
    if (all.ok && all.count == 0) {
        add_labelled(&all, ""); /* nobody's id: none, not all */
    }
    if (!all.ok) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the selector");
    } else if (all.count > LABELLED_MAX) {
        grpc_refuse_field(ask, "sensor_selector", "OUT_OF_BOUNDS", -1,
                          "sensor_selector.labels: %u sensors have them; at most %d", all.count,
                          LABELLED_MAX);
    }
    return all.ok && all.count <= LABELLED_MAX;
}

bool grpc_read_sensors(struct grpc_ask *ask, const ProtobufCMessage *message,
                       struct grpc_sensor_choice *out)
{
    const Netscope__V1__SensorSelector *selector = (const Netscope__V1__SensorSelector *)message;

    if (selector == NULL || (selector->n_sensor_ids == 0 && selector->labels[0] == '\0')) {
        return true;
    }
    if (!grpc_check_sensors(ask, message, "sensor_selector")) {
        return false;
    }
    if (selector->labels[0] != '\0') {
        return read_labelled(ask, selector, out);
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
