/* `netscope-sensor doctor`: what is missing for this sensor, by its settings, in plain words.
 * Depends on: base/service/doctor.h, sensor/settings.h. Threads: main, in place of a run. */
#pragma once

#include <stdio.h>

#include "sensor/settings.h"

/* Looks at everything and prints the report. 0: nothing fails; 1: something does. */
int sensor_doctor(const struct sensor_settings *settings, bool is_json, FILE *out);
