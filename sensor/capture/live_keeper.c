/* Housekeeping of live capture: statistics once a second, lost interfaces opened again. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sensor/capture/live_internal.h"

#define HOUSEKEEPING_NS  NS_PER_SEC
#define RETRY_FIRST_NS   (100 * NS_PER_MS)
#define RETRY_LAST_NS    (5 * NS_PER_SEC)
#define RELEASE_CHECK_NS (5 * NS_PER_MS)
/* Ethernet header and two VLAN tags: what is longer than MTU + this comes from offload. */
#define LINK_OVERHEAD_BYTES 22U

void live_statistics_add(struct live_handle *handle, const struct pcap_stat *stat,
                         bool is_first_shard)
{
    handle->received += (uint32_t)(stat->ps_recv - handle->received_last);
    handle->kernel_dropped += (uint32_t)(stat->ps_drop - handle->dropped_last);
    if (is_first_shard) {
        handle->interface_dropped += (uint32_t)(stat->ps_ifdrop - handle->interface_dropped_last);
    }
    handle->received_last = stat->ps_recv;
    handle->dropped_last = stat->ps_drop;
    handle->interface_dropped_last = stat->ps_ifdrop;
}

void live_statistics_take(struct live_handle *handle, bool is_first_shard)
{
    struct pcap_stat stat;
    if (handle->pcap != NULL && pcap_stats(handle->pcap, &stat) == 0) {
        live_statistics_add(handle, &stat, is_first_shard);
    }
}

void live_counts_of(const struct live_handle *handle, struct capture_counts *out)
{
    *out = (struct capture_counts){
        .received = handle->received,
        .processed = counter_get(&handle->processed),
        .processed_bytes = counter_get(&handle->processed_bytes),
        .precut = counter_get(&handle->precut),
        .kernel_dropped = handle->kernel_dropped,
        .interface_dropped = handle->interface_dropped,
        .truncated = counter_get(&handle->truncated),
        .superpackets = counter_get(&handle->superpackets),
        .wakeups = counter_get(&handle->wakeups),
        .batch_max = counter_get(&handle->batch_max),
        .in_ring_high_water = handle->in_ring_high_water,
        .stall_ns = handle->stall_ns,
    };
}

/* What the ring holds, and how long it could hold out at the rate since the last look. Under the
 * lock, after live_statistics_take. */
static void ring_look(const struct capture_live *live, struct live_handle *handle, uint64_t now_ns)
{
    struct capture_counts counts;
    live_counts_of(handle, &counts);
    const uint64_t gone = counts.processed + counts.precut + counts.kernel_dropped;
    const uint64_t held = counts.received > gone ? counts.received - gone : 0;
    const uint64_t packets = counts.processed - handle->packets_looked;
    const uint64_t bytes = counts.processed_bytes - handle->bytes_looked;
    const uint64_t passed_ns = now_ns - handle->looked_ns;

    if (held > handle->in_ring_high_water) {
        handle->in_ring_high_water = held;
    }
    handle->stall_ns = capture_ring_stall_ns(
        &live->ring,
        handle->looked_ns == 0 ? 0 : (uint64_t)((double)packets * 1e9 / (double)passed_ns),
        packets == 0 ? 0 : bytes / packets);
    handle->looked_ns = now_ns;
    handle->packets_looked = counts.processed;
    handle->bytes_looked = counts.processed_bytes;
}

/* Under the lock. */
static void mtu_note(struct capture_live *live, struct live_group *group, uint32_t mtu_bytes)
{
    const uint32_t longest = mtu_bytes == 0 ? UINT32_MAX : mtu_bytes + LINK_OVERHEAD_BYTES;

    group->mtu_bytes = mtu_bytes;
    for (uint32_t i = 0; i < live->shards_count; i++) {
        atomic_store_explicit(&group->handles[i].superpacket_bytes, longest, memory_order_relaxed);
    }
}

/* Puts the opened handles into the group. Under the lock. */
void live_group_publish(struct capture_live *live, struct live_group *group,
                        const struct live_opened *opened)
{
    group->interface_index = opened->interface_index;
    mtu_note(live, group, opened->mtu_bytes);
    group->link_type = opened->link_type;
    group->state = CAPTURE_UP;
    group->is_lost = false;
    group->is_closed = false;
    for (uint32_t i = 0; i < live->shards_count; i++) {
        struct live_handle *handle = &group->handles[i];
        handle->pcap = opened->handles[i];
        handle->opening_ns = opened->opening_ns;
        handle->start_ns = opened->start_ns;
        handle->fraction_ns = opened->fraction_ns;
        handle->received_last = opened->received_base[i];
        handle->dropped_last = opened->dropped_base[i];
        handle->interface_dropped_last = 0; /* libpcap counts from its own opening */
        handle->agreed_ns = 0;
        handle->drain_limit_ns = 0;
        atomic_store_explicit(&handle->is_release_asked, false, memory_order_relaxed);
        atomic_store_explicit(&handle->phase, READY, memory_order_release);
    }
}

static bool is_present(const struct live_group *group)
{
    /* "any" has no index and is always there. */
    return strcmp(group->name, "any") == 0 || if_nametoindex(group->name) == group->interface_index;
}

/* Has a shard met an error, or has the name gone or changed hands? */
static bool group_is_lost(struct capture_live *live, struct live_group *group)
{
    if (!is_present(group)) {
        return true;
    }
    for (uint32_t i = 0; i < live->shards_count; i++) {
        const int phase = live_phase_of(&group->handles[i]);
        if (phase == LEAVING || phase == RELEASED) {
            return true;
        }
    }
    return false;
}

/* All members leave together, since one that leaves alone moves the flows of the others. Their taps
 * are closed: an interface that was renamed still brings packets, and a ring that fills has no end.
 */
static void group_begin_release(struct capture_live *live, struct live_group *group)
{
    group->is_lost = true;
    for (uint32_t i = 0; i < live->shards_count; i++) {
        live_tap_close(group->handles[i].pcap);
        atomic_store_explicit(&group->handles[i].is_release_asked, true, memory_order_relaxed);
        capture_wake(&live->shards[i]);
    }
}

static bool group_is_released(const struct capture_live *live, const struct live_group *group)
{
    for (uint32_t i = 0; i < live->shards_count; i++) {
        const int phase = live_phase_of(&group->handles[i]);
        if (phase == READY || phase == RUNNING || phase == LEAVING) {
            return false;
        }
    }
    return true;
}

static void group_close(struct capture_live *live, struct live_group *group)
{
    const char *fault = "The interface disappeared";
    (void)pthread_mutex_lock(&live->lock);
    for (uint32_t i = 0; i < live->shards_count; i++) {
        struct live_handle *handle = &group->handles[i];
        live_statistics_take(handle, i == 0);
        if (handle->pcap != NULL) {
            pcap_close(handle->pcap);
            handle->pcap = NULL;
        }
        fault = handle->fault[0] != '\0' ? handle->fault : fault;
        atomic_store_explicit(&handle->phase, EMPTY, memory_order_release);
    }
    group->state = CAPTURE_GONE;
    (void)snprintf(group->last_error, sizeof group->last_error, "%s", fault);
    (void)pthread_mutex_unlock(&live->lock);

    group->is_closed = true;
    group->retry_ns = RETRY_FIRST_NS;
    group->retry_at_ns = clock_monotonic_ns() + group->retry_ns;
}

static void group_retry(struct capture_live *live, struct live_group *group, uint64_t now_ns)
{
    struct live_opened opened;
    struct error fault = {0};

    const int status =
        live_open(&live->settings, group->name, live->shards_count, &opened, NULL, &fault);
    (void)pthread_mutex_lock(&live->lock);
    if (status != 0) {
        (void)snprintf(group->last_error, sizeof group->last_error, "%.255s", fault.message);
        group->retry_ns = 2 * group->retry_ns < RETRY_LAST_NS ? 2 * group->retry_ns : RETRY_LAST_NS;
        group->retry_at_ns = now_ns + group->retry_ns;
    } else if (atomic_load_explicit(&live->is_stopping, memory_order_acquire)) {
        live_opened_close(&opened);
    } else {
        group->reopened++;
        live_group_publish(live, group, &opened);
        for (uint32_t i = 0; i < live->shards_count; i++) {
            capture_wake(&live->shards[i]);
        }
    }
    (void)pthread_mutex_unlock(&live->lock);
}

/* Moves one group on. Returns when it wants to be looked at again. */
static uint64_t group_keep(struct capture_live *live, struct live_group *group, uint64_t now_ns)
{
    if (!group->is_lost && group_is_lost(live, group)) {
        group_begin_release(live, group);
    }
    if (group->is_lost && !group->is_closed) {
        if (!group_is_released(live, group)) {
            return now_ns + RELEASE_CHECK_NS;
        }
        group_close(live, group);
    }
    if (group->is_closed) {
        if (now_ns >= group->retry_at_ns) {
            group_retry(live, group, now_ns);
        }
        return group->is_closed ? group->retry_at_ns : now_ns + HOUSEKEEPING_NS;
    }
    return now_ns + HOUSEKEEPING_NS;
}

void capture_live_look(struct capture_live *live)
{
    (void)pthread_mutex_lock(&live->lock);
    for (uint32_t g = 0; g < live->groups_count; g++) {
        for (uint32_t i = 0; i < live->shards_count; i++) {
            live_statistics_take(&live->groups[g].handles[i], i == 0);
        }
    }
    (void)pthread_mutex_unlock(&live->lock);
}

static void statistics_take_all(struct capture_live *live, uint64_t now_ns)
{
    (void)pthread_mutex_lock(&live->lock);
    for (uint32_t g = 0; g < live->groups_count; g++) {
        struct live_group *group = &live->groups[g];
        for (uint32_t i = 0; i < live->shards_count; i++) {
            live_statistics_take(&group->handles[i], i == 0);
            ring_look(live, &group->handles[i], now_ns);
        }
        if (group->state != CAPTURE_GONE) {
            group->state = live_interface_is_up(group->name) ? CAPTURE_UP : CAPTURE_DOWN;
            mtu_note(live, group, live_interface_mtu(group->name));
        }
    }
    (void)pthread_mutex_unlock(&live->lock);
}

void *live_keeper_run(void *context)
{
    struct capture_live *live = context;
    uint64_t statistics_at_ns = 0;

    while (!atomic_load_explicit(&live->is_closing, memory_order_acquire)) {
        const uint64_t now_ns = clock_monotonic_ns();
        if (now_ns >= statistics_at_ns) {
            statistics_take_all(live, now_ns);
            statistics_at_ns = now_ns + HOUSEKEEPING_NS;
        }
        uint64_t next_ns = statistics_at_ns;
        for (uint32_t g = 0; g < live->groups_count; g++) {
            if (atomic_load_explicit(&live->is_stopping, memory_order_acquire)) {
                break; /* what is lost now stays so; the shards finish what they have */
            }
            const uint64_t due_ns = group_keep(live, &live->groups[g], now_ns);
            next_ns = due_ns < next_ns ? due_ns : next_ns;
        }
        const uint64_t later_ns = clock_monotonic_ns();
        const uint64_t wait_ns = next_ns > later_ns ? next_ns - later_ns : NS_PER_MS;
        const struct timespec wait = {.tv_sec = (time_t)(wait_ns / NS_PER_SEC),
                                      .tv_nsec = (long)(wait_ns % NS_PER_SEC)};
        struct pollfd event = {.fd = live->wake, .events = POLLIN};
        if (ppoll(&event, 1, &wait, NULL) > 0) {
            live_wake_taken(live->wake);
        }
    }
    return NULL;
}
