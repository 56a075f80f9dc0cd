/* `netscope-collector doctor`: what is missing for this collector, by its settings, in plain words.
 * Depends on: base/service/doctor.h, collector-ui/settings.h. */
#pragma once

#include <stdio.h>

#include "collector-ui/settings.h"

/* Looks at everything and prints the report. 0: nothing fails; 1: something does. */
int collector_doctor(const struct collector_settings_all *settings, bool is_json, FILE *out);
