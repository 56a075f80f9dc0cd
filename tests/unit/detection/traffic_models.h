/* For each detector an attack just at its level, the same just below, and benign traffic that looks
 * like it. A detector without all three fails test_traffic_models. Depends on: scene.h. */
#pragma once

#include <stdint.h>

#include "detection/detection.h"
#include "tests/unit/detection/scene.h"

/* Where and when a model plays: `at_ms` of the scene, hosts of its own by `hosts` (0 to 255). */
struct traffic_place {
    uint64_t at_ms;
    uint32_t hosts;
};

struct traffic_model {
    const char *detector;
    enum alert_kind kind; /* of the incident that the attack is */
    void (*attack)(const struct traffic_place *place);
    void (*below)(const struct traffic_place *place);
    void (*look_alike)(const struct traffic_place *place);
    const char *benign; /* what the look-alike is */
};

extern const struct traffic_model traffic_models[];
uint32_t traffic_models_count(void);
/* NULL: none. */
const struct traffic_model *traffic_model_of(const char *detector);

#define MODEL_LEARNING_MS 20000 /* the learning periods that models count on */
