/* Section `spool`: where records wait that a durable sink (the collector, each Kafka cluster) has
 * not yet, through long outages and restarts. Depends on: base/config. Threads:
 * main, at start; read by the sinks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/config/config.h"

/* When an item of the spool is in a file, see spool_fields. */
enum spool_write {
    SPOOL_WRITE_LAGGING, /* when a reader lags, and at the end */
    SPOOL_WRITE_ALWAYS,  /* before it is sent: survives a killed process */
    SPOOL_WRITE_SYNCED,  /* the same, and synced in groups: survives a power cut */
};

struct spool_settings {
    const char *directory; /* empty: the sink's own rule; SPOOL_NO_DIRECTORY: none */
    uint64_t bytes_max;    /* on disk, of one sink */
    uint64_t age_max_ns;
    uint64_t memory_bytes; /* of one stream; a reader further behind reads from disk */
    const char *write;
};

#define SPOOL_NO_DIRECTORY "memory"

extern const struct config_field spool_fields[];

enum spool_write spool_settings_write(const struct spool_settings *settings);
/* NULL: nothing is kept on disk. */
const char *spool_settings_directory(const struct spool_settings *settings);
