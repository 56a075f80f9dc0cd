/* A shard's thread: polls its handles, hands over batches, drains at the end. */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/wire_format.h"
#include "sensor/capture/live_internal.h"

#define DISPATCH_MAX      1024
#define DRAIN_STEP_NS     (2 * NS_PER_MS)
#define FETCH_AHEAD_BYTES 1024
#define FETCH_LINES       3

static void pause_for(uint64_t time_ns)
{
    const struct timespec pause = {.tv_sec = (time_t)(time_ns / NS_PER_SEC),
                                   .tv_nsec = (long)(time_ns % NS_PER_SEC)};
    (void)nanosleep(&pause, NULL);
}

struct delivery {
    struct live_handle *handle;
    uint8_t *buffer;
    size_t used;
    uint32_t count;
    uint32_t delivered;
    capture_frames_function on_frames;
    void *context;
    struct frame frames[CAPTURE_BATCH_MAX];
};

static void deliver(struct delivery *delivery)
{
    if (delivery->count > 0) {
        delivery->on_frames(delivery->context, delivery->frames, delivery->count);
        delivery->delivered += delivery->count;
    }
    delivery->count = 0;
    delivery->used = 0;
}

/* The frames behind this one stand behind it in the ring, each with its header, and nobody but the
 * kernel has touched them. Behind the ring it asks in vain. */
static ALWAYS_INLINE void fetch_behind(const unsigned char *bytes)
{
    for (unsigned i = 0; i < FETCH_LINES; i++) {
        __builtin_prefetch(bytes + FETCH_AHEAD_BYTES + (size_t)i * CACHE_LINE);
    }
}

/* libpcap gives a block of the ring back to the kernel as soon as its last packet has been through
 * here, without saying so: a frame that waits in the batch must be a copy. */
static void on_packet(unsigned char *context, const struct pcap_pkthdr *header,
                      const unsigned char *bytes)
{
    struct delivery *delivery = (struct delivery *)(void *)context;
    struct live_handle *handle = delivery->handle;
    const uint64_t time_ns = (uint64_t)header->ts.tv_sec * NS_PER_SEC +
                             (uint64_t)header->ts.tv_usec * handle->fraction_ns;
    if (UNLIKELY(time_ns < handle->start_ns) && time_ns >= handle->opening_ns) {
        counter_add(&handle->precut, 1);
        return;
    }

    fetch_behind(bytes);
    struct frame *frame = &delivery->frames[delivery->count++];
    *frame = (struct frame){
        .bytes = bytes,
        .captured_bytes = header->caplen,
        .wire_bytes = header->len,
        .time_ns = time_ns,
        .link_type = handle->group->link_type,
        .interface = handle->group->index,
    };
    counter_add(&handle->processed, 1);
    counter_add(&handle->processed_bytes, header->len);
    if (header->caplen < header->len) {
        counter_add(&handle->truncated, 1);
    }
    if (header->len > atomic_load_explicit(&handle->superpacket_bytes, memory_order_relaxed)) {
        counter_add(&handle->superpackets, 1);
    }

    if (header->caplen <= COPY_MAX_BYTES) {
        frame->bytes = delivery->buffer + delivery->used;
        wire_copy(delivery->buffer + delivery->used, bytes, header->caplen);
        delivery->used += (header->caplen + 15U) & ~15U;
    }
    if (delivery->count == CAPTURE_BATCH_MAX || header->caplen > COPY_MAX_BYTES) {
        deliver(delivery);
    }
}

/* One dispatch; its packets are handed over when this returns. As pcap_dispatch(). */
static int dispatch(struct delivery *delivery, struct live_handle *handle)
{
    delivery->handle = handle;
    const int status =
        pcap_dispatch(handle->pcap, DISPATCH_MAX, on_packet, (unsigned char *)(void *)delivery);
    deliver(delivery);
    if (status > 0 && (uint64_t)status > counter_get(&handle->batch_max)) {
        counter_set(&handle->batch_max, (uint64_t)status);
    }
    return status;
}

/* The handle is lost, or asked for: nothing comes in any more, but the kernel may still hold a
 * block that is not full, until its timeout. It leaves the polling (its descriptor would be ready
 * with an error for ever) and is emptied beside it. */
static void handle_leave(struct capture_shard *shard, struct live_handle *handle, const char *fault)
{
    (void)snprintf(handle->fault, sizeof handle->fault, "%s", fault);
    (void)epoll_ctl(shard->epoll, EPOLL_CTL_DEL, pcap_get_selectable_fd(handle->pcap), NULL);
    atomic_store_explicit(&handle->phase, LEAVING, memory_order_release);
    live_wake_by(shard->live->wake);
}

static struct live_handle *handle_at(const struct capture_shard *shard, uint32_t group)
{
    return &shard->live->groups[group].handles[shard->index];
}

/* Takes over what housekeeping has opened, lets go what it asks for. */
static void handles_update(struct capture_shard *shard)
{
    for (uint32_t i = 0; i < shard->live->groups_count; i++) {
        struct live_handle *handle = handle_at(shard, i);
        const int phase = live_phase_of(handle);
        if (phase == READY) {
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = handle};
            if (epoll_ctl(shard->epoll, EPOLL_CTL_ADD, pcap_get_selectable_fd(handle->pcap),
                          &event) == 0) {
                atomic_store_explicit(&handle->phase, RUNNING, memory_order_release);
            }
        } else if (phase == RUNNING &&
                   atomic_load_explicit(&handle->is_release_asked, memory_order_relaxed)) {
            handle_leave(shard, handle, "");
        }
    }
}

/* The tap is closed or the interface gone: nothing comes in any more. True when everything that had
 * come has been handed over, seen twice, as a packet may be under way inside the kernel. */
static bool handle_is_drained(struct capture_shard *shard, struct live_handle *handle)
{
    struct capture_live *live = shard->live;
    const uint64_t now_ns = clock_monotonic_ns();
    struct capture_counts counts;

    (void)pthread_mutex_lock(&live->lock);
    live_statistics_take(handle, shard->index == 0);
    live_counts_of(handle, &counts);
    (void)pthread_mutex_unlock(&live->lock);

    if (handle->drain_limit_ns == 0) {
        handle->drain_limit_ns = now_ns + 3 * live->settings.timeout_ns;
    }
    if (counts.received != counts.processed + counts.precut + counts.kernel_dropped) {
        handle->agreed_ns = 0;
        return now_ns >= handle->drain_limit_ns;
    }
    if (handle->agreed_ns == 0) {
        handle->agreed_ns = now_ns;
    }
    return now_ns - handle->agreed_ns >= DRAIN_STEP_NS;
}

/* One step of emptying a ring that takes nothing more in. libpcap gives what is left between two
 * error returns, so one failure is not the end. */
static bool handle_drain(struct capture_shard *shard, struct delivery *delivery,
                         struct live_handle *handle)
{
    for (int failures = 0; failures < 3; failures++) {
        if (dispatch(delivery, handle) > 0) {
            return false;
        }
    }
    return handle_is_drained(shard, handle);
}

/* The shard's last touch of a handle that leaves: empty, it is housekeeping's. Returns whether one
 * is not yet. */
static bool leaving_drain(struct capture_shard *shard, struct delivery *delivery)
{
    bool is_any_left = false;
    for (uint32_t i = 0; i < shard->live->groups_count; i++) {
        struct live_handle *handle = handle_at(shard, i);
        if (live_phase_of(handle) != LEAVING) {
            continue;
        }
        if (handle_drain(shard, delivery, handle)) {
            atomic_store_explicit(&handle->phase, RELEASED, memory_order_release);
            live_wake_by(shard->live->wake);
        } else {
            is_any_left = true;
        }
    }
    return is_any_left;
}

static int32_t poll_stopping(struct capture_shard *shard, struct delivery *delivery)
{
    bool is_all_drained = !leaving_drain(shard, delivery);
    for (uint32_t i = 0; i < shard->live->groups_count; i++) {
        struct live_handle *handle = handle_at(shard, i);
        if (handle->is_drained || live_phase_of(handle) != RUNNING) {
            continue;
        }
        handle->is_drained = handle_drain(shard, delivery, handle);
        is_all_drained = is_all_drained && handle->is_drained;
    }
    if (delivery->delivered > 0) {
        return (int32_t)delivery->delivered;
    }
    if (is_all_drained) {
        shard->is_ended = true;
        return CAPTURE_ENDED;
    }
    pause_for(DRAIN_STEP_NS);
    return 0;
}

int32_t capture_live_poll(struct capture_shard *shard, uint64_t timeout_ns,
                          capture_frames_function on_frames, void *context)
{
    struct epoll_event events[INTERFACES_MAX + 1];
    struct delivery delivery;
    delivery.buffer = shard->buffer;
    delivery.used = 0;
    delivery.count = 0;
    delivery.delivered = 0;
    delivery.on_frames = on_frames;
    delivery.context = context;

    if (shard->is_ended) {
        return CAPTURE_ENDED;
    }
    handles_update(shard);
    if (atomic_load_explicit(&shard->live->is_stopping, memory_order_acquire)) {
        return poll_stopping(shard, &delivery);
    }

    if (leaving_drain(shard, &delivery) && timeout_ns > DRAIN_STEP_NS) {
        timeout_ns = DRAIN_STEP_NS;
    }
    const struct timespec wait = {.tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
                                  .tv_nsec = (long)(timeout_ns % NS_PER_SEC)};
    const int count = epoll_pwait2(shard->epoll, events, (int)ARRAY_COUNT(events), &wait, NULL);
    for (int i = 0; i < count; i++) {
        struct live_handle *handle = events[i].data.ptr;
        if (handle == NULL) {
            live_wake_taken(shard->wake);
            continue;
        }
        counter_add(&handle->wakeups, 1);
        const int status = dispatch(&delivery, handle);
        if (status < 0 && status != PCAP_ERROR_BREAK) {
            char fault[sizeof handle->fault];
            (void)snprintf(fault, sizeof fault, "%.*s", (int)sizeof fault - 1,
                           pcap_geterr(handle->pcap));
            handle_leave(shard, handle, fault);
        }
    }
    return (int32_t)delivery.delivered;
}

void capture_wake(struct capture_shard *shard)
{
    live_wake_by(shard->wake);
}
