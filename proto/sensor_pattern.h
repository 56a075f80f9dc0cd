/* Names of sensors as people choose them: '*' stands for anything. Depends on: libc. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* '*' stands for anything, also nothing. */
bool sensor_pattern_matches(const char *pattern, const char *sensor_id, size_t length);
