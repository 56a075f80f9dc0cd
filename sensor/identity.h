/* Who this sensor is: its stable id. Depends on: base. Threads: main, at
 * start. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"

#define SENSOR_ID_BYTES 129

/* `configured` if not empty; else the UUID in DIRECTORY/sensor_id, made when it is not there; else
 * host name and `interface`. -errno with `err` when the directory cannot be written. */
MUST_USE int identity_sensor_id(const char *configured, const char *directory,
                                const char *interface, char out[SENSOR_ID_BYTES],
                                struct error *err);
