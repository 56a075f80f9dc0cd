/* Is the sensor doing its work? For /readyz and SensorService.GetStatus. Depends on: pipeline. Any
 * thread. */
#pragma once

#include <stdint.h>

#include "sensor/pipeline/pipeline.h"

#define READINESS_REASONS_MAX 8

struct readiness {
    uint32_t count; /* 0 = ready */
    char reasons[READINESS_REASONS_MAX][160];
};

/* `pipeline` NULL: it is not there yet. */
void readiness_read(struct pipeline *pipeline, struct readiness *out);
