#include "sensor/pipeline/live_run.h"

#include <time.h>

#include "base/clock.h"

#define END_STEP_NS NS_PER_MS

/* All frames from before this time have been handed over by the kernel when a poll that began at
 * `polled_ns` found none: one that came then is older than the wait, twice over to be sure. A
 * thread that stood still has not looked since, so the time now says nothing alone. */
static uint64_t seen_until_ns(const struct live_run *run, uint64_t polled_ns)
{
    const uint64_t by_now_ns = clock_wall_ns() - 2 * run->wait_ns;
    const uint64_t by_poll_ns = polled_ns - run->wait_ns;

    return by_now_ns < by_poll_ns ? by_now_ns : by_poll_ns;
}

/* A poll that began at `polled_ns` found no frame: the clock may have been set back meanwhile. */
static uint64_t silent_until_ns(const struct live_run *run, uint64_t polled_ns)
{
    shard_follow_clock(run->shard, clock_wall_ns());
    return seen_until_ns(run, polled_ns);
}

static void run_alone(const struct live_run *run)
{
    for (;;) {
        const uint64_t polled_ns = clock_wall_ns();
        const int32_t got =
            capture_live_poll(run->input, run->wait_ns, run->on_frames, run->context);

        if (got == CAPTURE_ENDED) {
            break;
        }
        shard_time(run->shard, got == 0 ? silent_until_ns(run, polled_ns) : 0);
    }
}

/* Takes what others have pushed. The times that they had reached are asked for first: what lies
 * before those is then here. True when nothing was left. */
static bool take_handed(const struct live_run *run)
{
    const uint64_t received_ns = handover_reached_by_all(run->handover, HANDOVER_RECEIVED);
    const uint64_t settled_ns = handover_reached_by_all(run->handover, HANDOVER_SETTLED);
    const bool is_all = shard_take_handed(run->shard);

    handover_publish(run->handover, run->index);
    if (is_all) {
        if (received_ns != UINT64_MAX) { /* the end of it is told apart, see run_end */
            handover_reached(run->handover, run->index, HANDOVER_SETTLED, received_ns);
        }
        shard_limit(run->shard, settled_ns);
    }
    return is_all;
}

static void pause_for(uint64_t time_ns)
{
    const struct timespec pause = {0, (long)time_ns};

    (void)nanosleep(&pause, NULL);
}

/* Takes what comes until all shards have come to the end of `stage`. */
static void wait_for_all(const struct live_run *run, enum handover_stage stage)
{
    for (;;) {
        const bool is_last = handover_reached_by_all(run->handover, stage) == UINT64_MAX;

        if (take_handed(run) && is_last) {
            return;
        }
        if (!is_last) {
            pause_for(END_STEP_NS);
        }
    }
}

/* First all have pushed what they captured, then all that they had to hand on of it; nobody waits
 * for room, so nobody waits for ever. */
static void run_end(const struct live_run *run)
{
    handover_publish(run->handover, run->index);
    handover_reached(run->handover, run->index, HANDOVER_RECEIVED, UINT64_MAX);
    wait_for_all(run, HANDOVER_RECEIVED);
    shard_end_fragments(run->shard);
    handover_publish(run->handover, run->index);
    handover_reached(run->handover, run->index, HANDOVER_SETTLED, UINT64_MAX);
    wait_for_all(run, HANDOVER_SETTLED);
    shard_limit(run->shard, UINT64_MAX);
}

static void run_among_others(const struct live_run *run)
{
    for (;;) {
        const uint64_t polled_ns = clock_wall_ns();
        const int32_t got =
            capture_live_poll(run->input, run->wait_ns, run->on_frames, run->context);

        if (got == CAPTURE_ENDED) {
            break;
        }
        handover_publish(run->handover, run->index);
        const uint64_t now_ns = got == 0 ? silent_until_ns(run, polled_ns) : 0;

        handover_reached(run->handover, run->index, HANDOVER_RECEIVED,
                         got == 0 ? now_ns : shard_time_ns(run->shard));
        (void)take_handed(run);
        shard_time(run->shard, now_ns);
        handover_publish(run->handover, run->index); /* what fragments gave up */
    }
    run_end(run);
}

void live_run(const struct live_run *run)
{
    if (run->handover == NULL) {
        run_alone(run);
    } else {
        run_among_others(run);
    }
    shard_finish(run->shard, 0, FLOW_DETAIL_SHUTDOWN);
}
