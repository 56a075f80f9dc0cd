#include "sensor/export/spool_settings.h"

#include <stddef.h>
#include <string.h>

#define FIELD(member) offsetof(struct spool_settings, member)

const struct config_field spool_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "directory",
     .offset = FIELD(directory),
     .value = "",
     .max = 1024,
     .help =
         "Where records wait that the collector or a broker has not acknowledged, through long "
         "outages and restarts; empty: for the collector the state directory where there is one, "
         "for Kafka memory; 'memory': never on disk."},
    {.type = CONFIG_BYTES,
     .key = "bytes",
     .offset = FIELD(bytes_max),
     .value = "1GiB",
     .min = 8388608,
     .max = 1e15,
     .help = "On disk at most, for each sink; the oldest records are dropped, told and counted."},
    {.type = CONFIG_DURATION,
     .key = "age",
     .offset = FIELD(age_max_ns),
     .value = "0s",
     .min = 0,
     .max = 3.2e16,
     .help = "Older records are dropped from disk, told and counted; 0: never."},
    {.type = CONFIG_BYTES,
     .key = "memory",
     .offset = FIELD(memory_bytes),
     .value = "16MiB",
     .min = 65536,
     .max = 4294967296.0,
     .help = "Records in memory for each stream or topic; what lags further behind goes to disk."},
    {.type = CONFIG_CHOICE,
     .key = "write",
     .offset = FIELD(write),
     .value = "lagging",
     .choices = "lagging|always|synced",
     .help =
         "When records are written to disk. lagging: when a reader lags by more than memory, and "
         "at the end; always: before they are sent, so that a killed sensor loses none that the "
         "spool has taken; synced: the same and synced in groups, so that a power cut does not "
         "either."},
    {0},
};

enum spool_write spool_settings_write(const struct spool_settings *settings)
{
    if (settings->write == NULL || strcmp(settings->write, "lagging") == 0) {
        return SPOOL_WRITE_LAGGING;
    }
    return strcmp(settings->write, "always") == 0 ? SPOOL_WRITE_ALWAYS : SPOOL_WRITE_SYNCED;
}

const char *spool_settings_directory(const struct spool_settings *settings)
{
    const bool is_none = settings->directory == NULL || settings->directory[0] == '\0' ||
                         strcmp(settings->directory, SPOOL_NO_DIRECTORY) == 0;

    return is_none ? NULL : settings->directory;
}
