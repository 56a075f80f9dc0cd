/* Durations and sizes as people write them: "30s", "1h30m", "64MiB". Depends on: libc. Pure. */
#pragma once

#include <stdint.h>

enum config_unit_status {
    CONFIG_UNIT_OK,
    CONFIG_UNIT_MISSING,
    CONFIG_UNIT_BAD,
    CONFIG_UNIT_TOO_LARGE
};

/* `bare_unit` is that of a number without one; NULL: CONFIG_UNIT_MISSING then. */
enum config_unit_status config_read_duration(const char *text, const char *bare_unit, uint64_t *ns);
enum config_unit_status config_read_bytes(const char *text, const char *bare_unit, uint64_t *bytes);
