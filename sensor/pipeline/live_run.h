/* What a shard's thread does with an interface: polls its handles, and with several shards takes
 * what others hand over and tells how far it is. Depends on: base, capture, shard, handover.
 * Threads: the shard's. */
#pragma once

#include "sensor/capture/capture.h"
#include "sensor/pipeline/handover.h"
#include "sensor/pipeline/shard.h"

struct live_run {
    struct capture_shard *input;
    struct shard *shard;
    struct handover *handover; /* NULL: this is the only shard */
    uint32_t index;
    uint64_t wait_ns;                  /* the kernel hands frames over after it at the latest */
    capture_frames_function on_frames; /* gives them to shard_frames */
    void *context;
};

/* Until the capture has ended, here and in all others; the shard is then finished. */
void live_run(const struct live_run *run);
