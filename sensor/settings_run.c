/* Settings of the run: its length, its threads and their queues. One row is the whole truth
 * (settings.h). */
#include <stddef.h>

#include "sensor/settings_fields.h"

#define FIELD(section, member) offsetof(struct section, member)

const struct config_field run_fields[] = {
    {.type = CONFIG_U64,
     .key = "count",
     .offset = FIELD(run_section, count),
     .value = "0",
     .help = "Stop after so many packets; 0: never."},
    {0},
};

const struct config_field pipeline_fields[] = {
    {.type = CONFIG_BOOL,
     .key = "enabled",
     .offset = FIELD(pipeline_section, enabled),
     .value = "false",
     .help = "Use several shards: half the CPUs, at most 8, unless workers says how many."},
    {.type = CONFIG_U64,
     .key = "workers",
     .offset = FIELD(pipeline_section, workers),
     .value = "0",
     .max = 8,
     .help = "Shards by the older name; above 0 it implies enabled."},
    {.type = CONFIG_TEXT,
     .key = "shards",
     .offset = FIELD(pipeline_section, shards),
     .value = "1",
     .max = 4,
     .help =
         "Threads that each own a part of the flows: 1 to 64, or auto (half the CPUs, at most 8)."},
    {.type = CONFIG_LIST,
     .key = "cpus",
     .offset = FIELD(pipeline_section, cpus),
     .value = "",
     .help =
         "CPUs that shards are pinned to in turn, as 0,2-3; empty: the kernel chooses. One that "
         "is not there, or not allowed, ends the start."},
    {.type = CONFIG_U64,
     .key = "channel_capacity",
     .offset = FIELD(pipeline_section, channel_capacity),
     .value = "4096",
     .min = 1024,
     .max = 1048576,
     .help = "Records a shard may have on their way to the sinks; rounded up to batches of 512."},
    {.type = CONFIG_BOOL,
     .key = "lossless",
     .offset = FIELD(pipeline_section, lossless),
     .value = "false",
     .help = "From files: let slow network sinks hold the reader back instead of losing records."},
    {.type = CONFIG_U64,
     .key = "sink_queue",
     .offset = FIELD(pipeline_section, sink_queue),
     .value = "4",
     .min = 1,
     .max = 4096,
     .help = "Batches that wait for one sink before its rule applies."},
    {.type = CONFIG_BYTES,
     .key = "handover_buffer",
     .offset = FIELD(pipeline_section, handover_bytes),
     .value = "16MiB",
     .min = 0,
     .max = 1073741824.0,
     .bare_unit = "MiB",
     .help = "Live with several shards: rings into each shard for packets of tunnels and fragments "
             "that another one received; at least 256 KiB from each other shard."},
    {.type = CONFIG_DURATION,
     .key = "flush_timeout",
     .offset = FIELD(pipeline_section, flush_timeout_ns),
     .value = "10s",
     .max = 3.6e12,
     .help = "Longest wait for sinks at the end."},
    {0},
};
