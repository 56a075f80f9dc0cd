/* The section `log` of both programs. Depends on: base, base/config. Threads: main. */
#pragma once

#include "base/config/config.h"
#include "base/log.h"

struct log_settings {
    const char *level;  /* "auto": by -v */
    const char *format; /* "auto" */
    uint64_t lines_max; /* of one sentence in `interval_ns`; 0: no limit */
    uint64_t interval_ns;
};

extern const struct config_field log_fields[];

/* Puts them in force; `otherwise` is the level for "auto". Any number of times. */
void log_settings_apply(const struct log_settings *settings, enum log_level otherwise);

/* A warning for each variable of the environment that just misses a setting (config_slips). */
void log_settings_tell_slips(const struct config *config);
