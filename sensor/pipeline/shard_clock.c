/* Live: the machine's clock is set back while packets are stamped by it. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/capture/capture.h"
#include "sensor/pipeline/shard_private.h"

/* A packet has its time from the same clock before, so a shard is never ahead of it. */
static bool is_ahead(uint64_t time_ns, uint64_t wall_ns)
{
    return time_ns > wall_ns && time_ns - wall_ns > FLOW_CLOCK_STEP_NS;
}

/* All shards count the same steps: of those that meet one, the first counts it. */
static void note_step(struct shard *shard, uint64_t wall_ns)
{
    uint64_t era = shard->era;

    if (atomic_compare_exchange_strong_explicit(shard->settings.era, &era, era + 1,
                                                memory_order_acq_rel, memory_order_acquire)) {
        log_warn("capture", "the clock was set back: seconds are counted from it anew",
                 "by_seconds=%" PRIu64, (shard->time_ns - wall_ns) / NS_PER_SEC);
    }
}

void shard_follow_clock(struct shard *shard, uint64_t wall_ns)
{
    if (is_ahead(shard->time_ns, wall_ns) &&
        atomic_load_explicit(shard->settings.era, memory_order_acquire) == shard->era) {
        note_step(shard, wall_ns);
    }
    const uint64_t era = atomic_load_explicit(shard->settings.era, memory_order_acquire);

    if (LIKELY(era == shard->era)) {
        return;
    }
    shard_end_fragments(shard);
    shard_close_seconds(shard);
    shard->era = era;
    shard->next_sample_ns = 0;
    shard->time_ns = shard->flow_ns = wall_ns;
    shard->current_start_ns = shard->current_end_ns = 0;
    shard_roll(shard, wall_ns);
    shard_tell_passed(shard);
}

uint64_t shard_time_bound(const struct shard *shard, uint64_t time_ns)
{
    if (shard->settings.era == NULL) {
        return time_ns;
    }
    const uint64_t wall_ns = clock_wall_ns();

    return is_ahead(time_ns, wall_ns) ? wall_ns : time_ns;
}

void shard_live_frames(struct shard *shard, const struct frame *frames, uint32_t count)
{
    const uint64_t wall_ns = clock_wall_ns();
    struct frame settled[CAPTURE_BATCH_MAX];

    shard_follow_clock(shard, wall_ns);
    if (UNLIKELY(is_ahead(frames[0].time_ns, wall_ns))) {
        memcpy(settled, frames, count * sizeof(*frames));
        for (uint32_t i = 0; i < count; i++) {
            settled[i].time_ns = is_ahead(frames[i].time_ns, wall_ns) ? wall_ns : frames[i].time_ns;
        }
        frames = settled;
    }
    shard_frames(shard, frames, count, 0);
}
