/* The seconds of packet time that a shard has open, and when they go to the publisher. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "sensor/pipeline/shard_private.h"

/* Closed connections linger for seconds; the wheel looks a tick later. */
#define SILENT_SLACK_SECONDS 120

static void hand_over(struct shard *shard, struct epoch *epoch)
{
    if (epoch != NULL) {
        while (!ring_push(shard->settings.outlet->epochs, epoch)) {
            shard_pause(shard); /* cannot be: the ring has a slot for each */
        }
    }
}

static struct epoch *take_idle(struct shard *shard)
{
    struct epoch *epoch;

    while (shard->idle_count < SHARD_EPOCHS + SHARD_EPOCHS_HANDED &&
           (epoch = ring_pop(shard->settings.outlet->epochs_free)) != NULL) {
        shard->idle[shard->idle_count++] = epoch;
    }
    return shard->idle_count > 0 ? shard->idle[--shard->idle_count] : NULL;
}

/* A free second. The publisher returns them as soon as all shards have passed them; a shard far
 * ahead of the others waits here (files) or, live, for at most the other shards' read timeout. */
static struct epoch *open_epoch(struct shard *shard, uint64_t second)
{
    struct epoch *epoch;

    while ((epoch = take_idle(shard)) == NULL) {
        shard_pause(shard);
    }
    if (shard->settings.sketch_seed != NULL) {
        epoch->seed = atomic_load_explicit(shard->settings.sketch_seed, memory_order_relaxed);
    }
    if (epoch->detection != NULL && shard->settings.detection_now != NULL) {
        detection_frame_use(epoch->detection, atomic_load_explicit(shard->settings.detection_now,
                                                                   memory_order_acquire));
    }
    epoch_reset(epoch, second);
    epoch->place = epoch_place(shard->era, second);
    return epoch;
}

static void add_dns(struct shard *shard, struct epoch *epoch)
{
    const struct inspect_dns_health *now = inspect_dns_health(shard->inspect);

    for (uint32_t i = 0; i < STATS_RCODES; i++) {
        epoch->dns_rcode_counts[i] += now->rcode_counts[i] - shard->dns_told.rcode_counts[i];
    }
    for (uint32_t i = 0; i <= STATS_RTT_BOUNDS; i++) {
        epoch->dns_response_counts[i] +=
            now->response_counts[i] - shard->dns_told.response_counts[i];
    }
    epoch->dns_response_sum_seconds +=
        (double)(now->response_ns - shard->dns_told.response_ns) * 1e-9;
    shard->dns_told = *now;
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec used = {0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used); /* cannot fail on Linux */
    return (uint64_t)used.tv_sec * NS_PER_SEC + (uint64_t)used.tv_nsec;
}

/* How much of a processor the thread takes. A file's seconds pass by the hundred. */
static void measure_cpu(struct shard *shard)
{
    const uint64_t wall_ns = clock_monotonic_ns();
    const uint64_t passed_ns = wall_ns - shard->cpu_wall_ns;

    if (passed_ns < NS_PER_SEC / 2) {
        return;
    }
    const uint64_t cpu_ns = thread_cpu_ns();

    if (shard->cpu_wall_ns != 0) {
        const uint64_t used_ns = cpu_ns - counter_get(&shard->counts.cpu_ns);

        counter_set(&shard->counts.cpu_millionths, used_ns * 1000 / (passed_ns / 1000));
    }
    counter_set(&shard->counts.cpu_ns, cpu_ns);
    shard->cpu_wall_ns = wall_ns;
}

static void close_second(struct shard *shard)
{
    struct epoch *epoch = shard->current;
    const struct flow_table_statistics now = flow_table_statistics(shard->table);
    const struct inspect_statistics seen = inspect_statistics(shard->inspect);

    flow_table_tick(shard->table, epoch->detection != NULL, shard_on_tick, shard);
    epoch->totals.new_flows += now.flows_created - shard->told.flows_created;
    epoch->totals.flows_active = flow_table_count(shard->table);
    epoch->data_segments += now.data_segments - shard->told.data_segments;
    epoch->retransmitted_segments +=
        now.retransmitted_segments - shard->told.retransmitted_segments;
    epoch->out_of_order_segments += now.out_of_order_segments - shard->told.out_of_order_segments;
    epoch->zero_window_events += now.zero_window_events - shard->told.zero_window_events;
    epoch->resets += now.resets - shard->told.resets;
    for (uint32_t i = 0; i <= STATS_RTT_BOUNDS; i++) {
        epoch->rtt_counts[i] += now.rtt_counts[i] - shard->told.rtt_counts[i];
    }
    epoch->rtt_sum_seconds += (double)(now.rtt_sum_ns - shard->told.rtt_sum_ns) * 1e-9;
    epoch->dns_queries += seen.dns_queries - shard->inspect_told.dns_queries;
    epoch->dns_responses += seen.dns_responses - shard->inspect_told.dns_responses;
    add_dns(shard, epoch);
    shard->told = now;
    shard->inspect_told = seen;
    measure_cpu(shard);
}

/* What all packets of this shard have passed: its own input, and those who may hand it some. */
static uint64_t passed_ns(const struct shard *shard)
{
    return shard->time_ns < shard->limit_ns ? shard->time_ns : shard->limit_ns;
}

static uint64_t passed_second(const struct shard *shard)
{
    return passed_ns(shard) / NS_PER_SEC;
}

void shard_tell_passed(struct shard *shard)
{
    shard_passed(shard, passed_ns(shard));
}

/* Hands over what lies before the second in front of the one passed: a packet may be late by less
 * than a second. */
static void hand_over_passed(struct shard *shard)
{
    const uint64_t passed = passed_second(shard);
    const uint64_t end = passed - (passed > 0);
    uint32_t count = 0;

    while (count < shard->older_count && shard->older[count]->second < end) {
        hand_over(shard, shard->older[count++]);
    }
    if (count > 0) {
        shard->older_count -= count;
        memmove(shard->older, shard->older + count, shard->older_count * sizeof(void *));
    }
    const uint64_t place = epoch_place(shard->era, end);

    if (place > atomic_load_explicit(&shard->settings.outlet->place, memory_order_relaxed)) {
        atomic_store_explicit(&shard->settings.outlet->place, place, memory_order_release);
        wake_up(shard->settings.publisher_wake);
    }
}

/* Puts an open second among the older ones, which stay in order. A full list hands over the oldest,
 * whatever may still come for it: then it counts late. */
static void keep_open(struct shard *shard, struct epoch *epoch)
{
    if (shard->older_count == SHARD_OLDER_MAX) {
        hand_over(shard, shard->older[0]);
        shard->older_count--;
        memmove(shard->older, shard->older + 1, shard->older_count * sizeof(void *));
    }
    uint32_t at = shard->older_count++;

    for (; at > 0 && shard->older[at - 1]->second > epoch->second; at--) {
        shard->older[at] = shard->older[at - 1];
    }
    shard->older[at] = epoch;
}

static void open_second(struct shard *shard, uint64_t second)
{
    hand_over_passed(shard);
    shard->current = open_epoch(shard, second);
    shard->current_start_ns = second * NS_PER_SEC;
    shard->current_end_ns = shard->current_start_ns + NS_PER_SEC;
}

static void leave_second(struct shard *shard)
{
    if (shard->current != NULL) {
        close_second(shard);
        keep_open(shard, shard->current);
        shard->current = NULL;
        shard_flush(shard);
    }
}

void shard_second_of_end(struct shard *shard)
{
    if (shard->current == NULL && shard->silent_second != 0) {
        open_second(shard, shard->silent_second);
    }
}

/* Files: a flow that falls silent ends in the second in which it is due, and not in the one in
 * which this shard has its next packet, which depends on the number of shards. Until then what this
 * shard has passed is no more than those seconds. */
static void end_silent_flows(struct shard *shard, uint64_t second)
{
    const uint64_t now_ns = shard->time_ns;
    const uint64_t first = shard->current_end_ns / NS_PER_SEC;
    /* Behind that none ends any more: a leap of years passes in no time. */
    const uint64_t last =
        first + shard->settings.flow.idle_timeout_ns / NS_PER_SEC + SILENT_SLACK_SECONDS;

    shard->time_ns = shard->current_end_ns - 1;
    (void)flow_table_advance(shard->table, shard->current_end_ns, UINT32_MAX);
    leave_second(shard);
    for (uint64_t silent = first;
         silent < second && silent < last && flow_table_count(shard->table) > 0; silent++) {
        shard->silent_second = silent;
        shard->time_ns = (silent + 1) * NS_PER_SEC - 1;
        (void)flow_table_advance(shard->table, (silent + 1) * NS_PER_SEC, UINT32_MAX);
        leave_second(shard);
    }
    shard->silent_second = 0;
    shard->time_ns = now_ns;
}

void shard_roll(struct shard *shard, uint64_t now_ns)
{
    if (now_ns >= shard->current_end_ns) {
        now_ns = shard_time_bound(shard, now_ns);
    }
    if (now_ns > shard->time_ns) {
        shard->time_ns = shard->flow_ns = now_ns;
    }
    if (now_ns < shard->current_end_ns) {
        return;
    }
    const uint64_t second = now_ns / NS_PER_SEC;

    if (shard->current != NULL && shard->settings.is_lossless) {
        end_silent_flows(shard, second);
    }
    leave_second(shard);
    open_second(shard, second);
}

void shard_limit(struct shard *shard, uint64_t limit_ns)
{
    const uint64_t before = passed_second(shard);

    shard->limit_ns = limit_ns;
    if (shard->current != NULL && passed_second(shard) != before) {
        hand_over_passed(shard);
    }
}

struct epoch *shard_epoch_of(struct shard *shard, uint64_t time_ns)
{
    if (time_ns >= shard->current_start_ns) {
        return shard->current;
    }
    const uint64_t passed = passed_second(shard);
    const uint64_t first = passed - (passed > 0); /* before it all have gone */
    const uint64_t wanted = time_ns / NS_PER_SEC;
    const uint64_t second = wanted > first ? wanted : first;

    if (second >= shard->current->second) {
        return shard->current;
    }
    for (uint32_t i = 0; i < shard->older_count; i++) {
        if (shard->older[i]->second >= second) {
            if (shard->older[i]->second == second || shard->older_count == SHARD_OLDER_MAX) {
                return shard->older[i];
            }
            break;
        }
    }
    if (shard->older_count == SHARD_OLDER_MAX) {
        return shard->older[SHARD_OLDER_MAX - 1];
    }
    struct epoch *epoch = open_epoch(shard, second);

    keep_open(shard, epoch);
    return epoch;
}

void shard_close_seconds(struct shard *shard)
{
    if (shard->current == NULL) {
        return;
    }
    close_second(shard);
    for (uint32_t i = 0; i < shard->older_count; i++) {
        hand_over(shard, shard->older[i]);
    }
    shard->older_count = 0;
    hand_over(shard, shard->current);
    shard->current = NULL;
}
