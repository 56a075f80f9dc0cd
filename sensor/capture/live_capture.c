/* Live capture: shard threads poll their handles; a housekeeping thread asks for the statistics and
 * re-opens what was lost.
 *
 * A handle goes round: EMPTY -(housekeeping opens)-> READY -(shard adopts)-> RUNNING -(lost, or
 * asked to: shard lets go)-> RELEASED -(housekeeping closes)-> EMPTY. So each handle has one user
 * at a time, except for pcap_stats(), which touches nothing of what a dispatch does. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <net/if.h>

#include "base/clock.h"
#include "sensor/capture/capture.h"
#include "sensor/capture/live_open.h"

#define INTERFACES_MAX    32U
#define DISPATCH_MAX      1024
#define COPY_MAX_BYTES    2048U /* longer frames are handed over in place, as the last of a batch */
#define COPY_BUFFER_BYTES (CAPTURE_BATCH_MAX * COPY_MAX_BYTES)
#define HOUSEKEEPING_NS   NS_PER_SEC
#define RETRY_FIRST_NS    (100 * NS_PER_MS)
#define RETRY_LAST_NS     (5 * NS_PER_SEC)
#define RELEASE_CHECK_NS  (5 * NS_PER_MS)
#define STOP_STEP_NS      (2 * NS_PER_MS)
#define LINK_OVERHEAD_BYTES                                                                        \
    22U /* Ethernet header and two VLAN tags: above MTU + this is offload                          \
         */

enum phase { EMPTY, READY, RUNNING, RELEASED };

struct live_group;

struct live_handle {
    /* Set by housekeeping while EMPTY. */
    pcap_t *pcap;
    struct live_group *group;
    uint64_t start_ns;
    uint32_t fraction_ns;
    uint32_t superpacket_bytes; /* longer is one; UINT32_MAX: unknown MTU */

    _Atomic int phase;
    _Atomic bool is_release_asked;
    char fault[256]; /* by the shard before RELEASED */

    /* By the shard. */
    _Alignas(CACHE_LINE) struct counter processed;
    struct counter processed_bytes, precut, truncated, superpackets, wakeups;
    bool is_drained;        /* while stopping */
    uint64_t agreed_ns;     /* when the counts first agreed while stopping; 0: they do not */
    uint64_t stop_limit_ns; /* no longer than this for a disagreement */

    /* Under the lock of the capture. */
    _Alignas(CACHE_LINE) uint32_t received_last;
    uint32_t dropped_last, interface_dropped_last;
    uint64_t received, kernel_dropped, interface_dropped;
};

struct live_group {
    char name[IFNAMSIZ];
    uint16_t index;
    struct live_handle *handles; /* one per shard */
    /* Housekeeping's own. */
    unsigned interface_index;
    bool is_lost, is_closed;
    uint64_t retry_at_ns, retry_ns;
    /* Under the lock. */
    enum capture_state state;
    uint16_t link_type;
    uint32_t mtu_bytes;
    uint64_t reopened;
    char last_error[256];
};

struct capture_shard {
    struct capture_live *live;
    uint32_t index;
    int epoll, wake;
    bool is_ended;
    uint8_t *buffer; /* COPY_BUFFER_BYTES */
};

struct capture_live {
    struct capture_settings settings; /* texts are ours; no zero for "default" */
    char *filter;
    uint32_t shards_count, groups_count;
    struct capture_shard *shards;
    struct live_group *groups;
    struct live_handle *handles;
    pthread_mutex_t lock;
    pthread_t housekeeping;
    bool has_lock, has_housekeeping;
    int wake;                 /* of housekeeping */
    _Atomic bool is_stopping; /* no more packets */
    _Atomic bool is_closing;  /* no more housekeeping */
};

static void wake_by(int event)
{
    const uint64_t one = 1;
    const ssize_t sent = write(event, &one, sizeof one);
    (void)sent; /* full means that it is awake */
}

static void wake_taken(int event)
{
    uint64_t value;
    const ssize_t got = read(event, &value, sizeof value);
    (void)got;
}

static void pause_for(uint64_t time_ns)
{
    const struct timespec pause = {.tv_sec = (time_t)(time_ns / NS_PER_SEC),
                                   .tv_nsec = (long)(time_ns % NS_PER_SEC)};
    (void)nanosleep(&pause, NULL);
}

static int phase_of(const struct live_handle *handle)
{
    return atomic_load_explicit(&((struct live_handle *)(uintptr_t)handle)->phase,
                                memory_order_acquire);
}

/* ---- counters, under the lock ---------------------------------------------------------------- */

/* libpcap's counts have 32 bits and wrap: differences are taken modulo 2^32. */
static void statistics_take(struct live_handle *handle, bool is_first_shard)
{
    struct pcap_stat stat;
    if (handle->pcap == NULL || pcap_stats(handle->pcap, &stat) != 0) {
        return;
    }
    handle->received += (uint32_t)(stat.ps_recv - handle->received_last);
    handle->kernel_dropped += (uint32_t)(stat.ps_drop - handle->dropped_last);
    if (is_first_shard) {
        handle->interface_dropped += (uint32_t)(stat.ps_ifdrop - handle->interface_dropped_last);
    }
    handle->received_last = stat.ps_recv;
    handle->dropped_last = stat.ps_drop;
    handle->interface_dropped_last = stat.ps_ifdrop;
}

static void counts_of(const struct live_handle *handle, struct capture_counts *out)
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
    };
}

static void counts_add(struct capture_counts *sum, const struct capture_counts *more)
{
    sum->received += more->received;
    sum->processed += more->processed;
    sum->processed_bytes += more->processed_bytes;
    sum->precut += more->precut;
    sum->kernel_dropped += more->kernel_dropped;
    sum->interface_dropped += more->interface_dropped;
    sum->truncated += more->truncated;
    sum->superpackets += more->superpackets;
    sum->wakeups += more->wakeups;
}

/* ---- the shard's side ------------------------------------------------------------------------ */

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

/* libpcap gives a block of the ring back to the kernel as soon as its last packet has been through
 * here, without saying so: a frame that waits in the batch must be a copy. */
static void on_packet(unsigned char *context, const struct pcap_pkthdr *header,
                      const unsigned char *bytes)
{
    struct delivery *delivery = (struct delivery *)(void *)context;
    struct live_handle *handle = delivery->handle;
    const uint64_t time_ns = (uint64_t)header->ts.tv_sec * NS_PER_SEC +
                             (uint64_t)header->ts.tv_usec * handle->fraction_ns;
    if (UNLIKELY(time_ns < handle->start_ns)) {
        counter_add(&handle->precut, 1);
        return;
    }

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
    if (header->len > handle->superpacket_bytes) {
        counter_add(&handle->superpackets, 1);
    }

    if (header->caplen <= COPY_MAX_BYTES) {
        frame->bytes = memcpy(delivery->buffer + delivery->used, bytes, header->caplen);
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
    return status;
}

/* The shard's last touch of a handle: hands over what is left in the ring (libpcap gives it between
 * two error returns, so one failure is not the end) and leaves it to housekeeping. */
static void handle_release(struct capture_shard *shard, struct delivery *delivery,
                           struct live_handle *handle, const char *fault)
{
    (void)snprintf(handle->fault, sizeof handle->fault, "%s", fault);
    for (int failures = 0; failures < 3;) {
        failures = dispatch(delivery, handle) > 0 ? 0 : failures + 1;
    }
    (void)epoll_ctl(shard->epoll, EPOLL_CTL_DEL, pcap_get_selectable_fd(handle->pcap), NULL);
    atomic_store_explicit(&handle->phase, RELEASED, memory_order_release);
    wake_by(shard->live->wake);
}

static struct live_handle *handle_at(const struct capture_shard *shard, uint32_t group)
{
    return &shard->live->groups[group].handles[shard->index];
}

/* Takes over what housekeeping has opened, lets go what it asks for. */
static void handles_update(struct capture_shard *shard, struct delivery *delivery)
{
    for (uint32_t i = 0; i < shard->live->groups_count; i++) {
        struct live_handle *handle = handle_at(shard, i);
        const int phase = phase_of(handle);
        if (phase == READY) {
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = handle};
            if (epoll_ctl(shard->epoll, EPOLL_CTL_ADD, pcap_get_selectable_fd(handle->pcap),
                          &event) == 0) {
                atomic_store_explicit(&handle->phase, RUNNING, memory_order_release);
            }
        } else if (phase == RUNNING &&
                   atomic_load_explicit(&handle->is_release_asked, memory_order_relaxed)) {
            handle_release(shard, delivery, handle, "");
        }
    }
}

/* The tap is closed: nothing comes in any more. True when everything that had come has been handed
 * over, seen twice, as a packet may be under way inside the kernel. */
static bool handle_is_drained(struct capture_shard *shard, struct live_handle *handle)
{
    struct capture_live *live = shard->live;
    const uint64_t now_ns = clock_monotonic_ns();
    struct capture_counts counts;

    (void)pthread_mutex_lock(&live->lock);
    statistics_take(handle, shard->index == 0);
    counts_of(handle, &counts);
    (void)pthread_mutex_unlock(&live->lock);

    if (handle->stop_limit_ns == 0) {
        handle->stop_limit_ns = now_ns + 3 * live->settings.timeout_ns;
    }
    if (counts.received != counts.processed + counts.precut + counts.kernel_dropped) {
        handle->agreed_ns = 0;
        return now_ns >= handle->stop_limit_ns;
    }
    if (handle->agreed_ns == 0) {
        handle->agreed_ns = now_ns;
    }
    return now_ns - handle->agreed_ns >= STOP_STEP_NS;
}

static int32_t poll_stopping(struct capture_shard *shard, struct delivery *delivery)
{
    bool is_all_drained = true;
    for (uint32_t i = 0; i < shard->live->groups_count; i++) {
        struct live_handle *handle = handle_at(shard, i);
        if (handle->is_drained || phase_of(handle) != RUNNING) {
            continue;
        }
        handle->is_drained = dispatch(delivery, handle) <= 0 && handle_is_drained(shard, handle);
        is_all_drained = is_all_drained && handle->is_drained;
    }
    if (delivery->delivered > 0) {
        return (int32_t)delivery->delivered;
    }
    if (is_all_drained) {
        shard->is_ended = true;
        return CAPTURE_ENDED;
    }
    pause_for(STOP_STEP_NS);
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
    handles_update(shard, &delivery);
    if (atomic_load_explicit(&shard->live->is_stopping, memory_order_acquire)) {
        return poll_stopping(shard, &delivery);
    }

    const struct timespec wait = {.tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
                                  .tv_nsec = (long)(timeout_ns % NS_PER_SEC)};
    const int count = epoll_pwait2(shard->epoll, events, (int)ARRAY_COUNT(events), &wait, NULL);
    for (int i = 0; i < count; i++) {
        struct live_handle *handle = events[i].data.ptr;
        if (handle == NULL) {
            wake_taken(shard->wake);
            continue;
        }
        counter_add(&handle->wakeups, 1);
        const int status = dispatch(&delivery, handle);
        if (status < 0 && status != PCAP_ERROR_BREAK) {
            char fault[sizeof handle->fault];
            (void)snprintf(fault, sizeof fault, "%.*s", (int)sizeof fault - 1,
                           pcap_geterr(handle->pcap));
            handle_release(shard, &delivery, handle, fault);
        }
    }
    return (int32_t)delivery.delivered;
}

void capture_wake(struct capture_shard *shard)
{
    wake_by(shard->wake);
}

/* ---- housekeeping ---------------------------------------------------------------------------- */

/* Puts the opened handles into the group. Under the lock. */
static void group_publish(struct capture_live *live, struct live_group *group,
                          const struct live_opened *opened)
{
    group->interface_index = opened->interface_index;
    group->mtu_bytes = opened->mtu_bytes;
    group->link_type = opened->link_type;
    group->state = CAPTURE_UP;
    group->is_lost = false;
    group->is_closed = false;
    for (uint32_t i = 0; i < live->shards_count; i++) {
        struct live_handle *handle = &group->handles[i];
        handle->pcap = opened->handles[i];
        handle->start_ns = opened->start_ns;
        handle->fraction_ns = opened->fraction_ns;
        handle->superpacket_bytes =
            opened->mtu_bytes == 0 ? UINT32_MAX : opened->mtu_bytes + LINK_OVERHEAD_BYTES;
        handle->received_last = opened->received_base[i];
        handle->dropped_last = opened->dropped_base[i];
        handle->interface_dropped_last = 0; /* libpcap counts from its own opening */
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
        if (phase_of(&group->handles[i]) == RELEASED) {
            return true;
        }
    }
    return false;
}

/* All members leave together, since one that leaves alone moves the flows of the others. */
static void group_begin_release(struct capture_live *live, struct live_group *group)
{
    group->is_lost = true;
    for (uint32_t i = 0; i < live->shards_count; i++) {
        atomic_store_explicit(&group->handles[i].is_release_asked, true, memory_order_relaxed);
        capture_wake(&live->shards[i]);
    }
}

static bool group_is_released(const struct capture_live *live, const struct live_group *group)
{
    for (uint32_t i = 0; i < live->shards_count; i++) {
        const int phase = phase_of(&group->handles[i]);
        if (phase == READY || phase == RUNNING) {
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
        statistics_take(handle, i == 0);
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
        group_publish(live, group, &opened);
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

static void statistics_take_all(struct capture_live *live)
{
    (void)pthread_mutex_lock(&live->lock);
    for (uint32_t g = 0; g < live->groups_count; g++) {
        struct live_group *group = &live->groups[g];
        for (uint32_t i = 0; i < live->shards_count; i++) {
            statistics_take(&group->handles[i], i == 0);
        }
        if (group->state != CAPTURE_GONE) {
            group->state = live_interface_is_up(group->name) ? CAPTURE_UP : CAPTURE_DOWN;
        }
    }
    (void)pthread_mutex_unlock(&live->lock);
}

static void *housekeeping_run(void *context)
{
    struct capture_live *live = context;
    uint64_t statistics_at_ns = 0;

    while (!atomic_load_explicit(&live->is_closing, memory_order_acquire)) {
        const uint64_t now_ns = clock_monotonic_ns();
        if (now_ns >= statistics_at_ns) {
            statistics_take_all(live);
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
            wake_taken(live->wake);
        }
    }
    return NULL;
}

/* ---- open, stop, close ----------------------------------------------------------------------- */

/* Fills in the defaults and checks. */
static int settings_take(struct capture_live *live, const struct capture_settings *settings,
                         uint32_t shards, struct error *err)
{
    live->settings = *settings;
    struct capture_settings *ours = &live->settings;
    if (shards == 0 || shards > LIVE_SHARDS_MAX) {
        return error_set(err, EINVAL, "1 to %d shards, not %u", LIVE_SHARDS_MAX, shards);
    }
    live->shards_count = shards;
    ours->snaplen_bytes = ours->snaplen_bytes == 0 ? 65535 : ours->snaplen_bytes;
    ours->timeout_ns = ours->timeout_ns == 0 ? 100 * NS_PER_MS : ours->timeout_ns;
    ours->buffer_bytes = ours->buffer_bytes == 0 ? UINT64_C(32) << 20 : ours->buffer_bytes;
    /* A timeout of 0 would mean that nothing comes before a block is full. */
    ours->timeout_ns = ours->timeout_ns < NS_PER_MS ? NS_PER_MS : ours->timeout_ns;
    if (ours->snaplen_bytes > 262144 || ours->timeout_ns > 60 * NS_PER_SEC ||
        ours->buffer_bytes > INT32_MAX) {
        return error_set(err, EINVAL,
                         "capture: snaplen at most 262144 bytes, timeout 60 s, buffer below 2 GiB");
    }
    live->filter = strdup(settings->filter == NULL ? "" : settings->filter);
    ours->filter = live->filter;
    ours->interfaces = NULL;
    ours->read_paths = NULL;
    return live->filter == NULL ? error_set(err, ENOMEM, "out of memory") : 0;
}

static int group_name_add(struct capture_live *live, const char *name, size_t length,
                          struct error *err)
{
    if (length == 0 || length >= IFNAMSIZ) {
        return error_set(err, EINVAL, "\"%.*s\" is not the name of an interface",
                         (int)(length < 64 ? length : 64), name);
    }
    if (live->groups_count == INTERFACES_MAX) {
        return error_set(err, EINVAL, "more than %u interfaces", INTERFACES_MAX);
    }
    for (uint32_t i = 0; i < live->groups_count; i++) {
        if (strlen(live->groups[i].name) == length &&
            strncmp(live->groups[i].name, name, length) == 0) {
            return error_set(err, EINVAL, "interface %s is named twice", live->groups[i].name);
        }
    }
    struct live_group *group = &live->groups[live->groups_count];
    memcpy(group->name, name, length);
    group->index = (uint16_t)live->groups_count++;
    return 0;
}

/* "eth0, eth1" into groups; the default route's interface where nothing is named. */
static int interfaces_take(struct capture_live *live, const char *list, struct error *err)
{
    if (list == NULL || list[0] == '\0') {
        char name[IFNAMSIZ];
        const int status = capture_default_interface(name, err);
        return status != 0 ? status : group_name_add(live, name, strlen(name), err);
    }
    for (const char *at = list;; at++) {
        at += strspn(at, " ");
        const size_t length = strcspn(at, ",");
        size_t kept = length;
        while (kept > 0 && at[kept - 1] == ' ') {
            kept--;
        }
        const int status = group_name_add(live, at, kept, err);
        if (status != 0) {
            return status;
        }
        at += length;
        if (*at == '\0') {
            return 0;
        }
    }
}

static int shard_init(struct capture_live *live, uint32_t index, struct error *err)
{
    struct capture_shard *shard = &live->shards[index];
    shard->live = live;
    shard->index = index;
    shard->epoll = epoll_create1(EPOLL_CLOEXEC);
    shard->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    shard->buffer = malloc(COPY_BUFFER_BYTES);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (shard->epoll < 0 || shard->wake < 0 ||
        epoll_ctl(shard->epoll, EPOLL_CTL_ADD, shard->wake, &event) != 0) {
        const int code = errno;
        return error_set(err, code, "capture: make the wake-up of a shard: %s", strerror(code));
    }
    return shard->buffer == NULL ? error_set(err, ENOMEM, "out of memory") : 0;
}

static int memory_take(struct capture_live *live, struct error *err)
{
    const size_t handles = (size_t)live->groups_count * live->shards_count;
    live->shards = calloc(live->shards_count, sizeof *live->shards);
    live->handles = aligned_alloc(CACHE_LINE, handles * sizeof *live->handles);
    live->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    live->has_lock = pthread_mutex_init(&live->lock, NULL) == 0;
    if (live->shards == NULL || live->handles == NULL || live->wake < 0 || !live->has_lock) {
        return error_set(err, ENOMEM, "out of memory");
    }
    memset(live->handles, 0, handles * sizeof *live->handles);
    for (uint32_t i = 0; i < live->shards_count; i++) {
        live->shards[i].epoll = -1;
        live->shards[i].wake = -1;
    }
    for (uint32_t g = 0; g < live->groups_count; g++) {
        live->groups[g].handles = &live->handles[(size_t)g * live->shards_count];
        for (uint32_t i = 0; i < live->shards_count; i++) {
            live->groups[g].handles[i].group = &live->groups[g];
        }
    }
    for (uint32_t i = 0; i < live->shards_count; i++) {
        const int status = shard_init(live, i, err);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int groups_open(struct capture_live *live, struct error *warning, struct error *err)
{
    for (uint32_t g = 0; g < live->groups_count; g++) {
        struct live_opened opened;
        const int status = live_open(&live->settings, live->groups[g].name, live->shards_count,
                                     &opened, warning, err);
        if (status != 0) {
            return status;
        }
        group_publish(live, &live->groups[g], &opened);
    }
    return 0;
}

struct capture_live *capture_live_open(const struct capture_settings *settings, uint32_t shards,
                                       struct error *warning, struct error *err)
{
    AUTO(capture_live) live = calloc(1, sizeof *live);
    if (live == NULL) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    live->wake = -1;
    live->groups = calloc(INTERFACES_MAX, sizeof *live->groups);
    if (live->groups == NULL) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    if (settings_take(live, settings, shards, err) != 0 ||
        interfaces_take(live, settings->interfaces, err) != 0 || memory_take(live, err) != 0 ||
        groups_open(live, warning, err) != 0) {
        return NULL;
    }
    const int code = pthread_create(&live->housekeeping, NULL, housekeeping_run, live);
    if (code != 0) {
        error_set(err, code, "capture: start the housekeeping thread: %s", strerror(code));
        return NULL;
    }
    live->has_housekeeping = true;
    (void)pthread_setname_np(live->housekeeping, "capture-keeper");
    return TAKE(live);
}

void capture_live_stop(struct capture_live *live)
{
    (void)pthread_mutex_lock(&live->lock);
    atomic_store_explicit(&live->is_stopping, true, memory_order_release);
    for (uint32_t i = 0; i < live->groups_count * live->shards_count; i++) {
        if (live->handles[i].pcap != NULL) {
            /* Fails only on an interface that is gone, where nothing comes any more. */
            const int status = live_reject_all(pcap_fileno(live->handles[i].pcap));
            (void)status;
        }
    }
    (void)pthread_mutex_unlock(&live->lock);
    for (uint32_t i = 0; i < live->shards_count; i++) {
        capture_wake(&live->shards[i]);
    }
}

void capture_live_close(struct capture_live *live)
{
    if (live == NULL) {
        return;
    }
    if (live->has_housekeeping) {
        atomic_store_explicit(&live->is_closing, true, memory_order_release);
        wake_by(live->wake);
        (void)pthread_join(live->housekeeping, NULL);
    }
    for (uint32_t i = 0; live->handles != NULL && i < live->groups_count * live->shards_count;
         i++) {
        if (live->handles[i].pcap != NULL) {
            pcap_close(live->handles[i].pcap);
        }
    }
    for (uint32_t i = 0; live->shards != NULL && i < live->shards_count; i++) {
        if (live->shards[i].epoll >= 0) {
            close(live->shards[i].epoll);
        }
        if (live->shards[i].wake >= 0) {
            close(live->shards[i].wake);
        }
        free(live->shards[i].buffer);
    }
    if (live->wake >= 0) {
        close(live->wake);
    }
    if (live->has_lock) {
        (void)pthread_mutex_destroy(&live->lock);
    }
    free(live->shards);
    free(live->groups);
    free(live->handles);
    free(live->filter);
    free(live);
}

/* ---- looking in ------------------------------------------------------------------------------ */

struct capture_shard *capture_live_shard(struct capture_live *live, uint32_t index)
{
    return &live->shards[index];
}

uint32_t capture_live_shards(const struct capture_live *live)
{
    return live->shards_count;
}

uint32_t capture_live_interfaces(const struct capture_live *live)
{
    return live->groups_count;
}

void capture_live_counts(struct capture_live *live, uint32_t interface, uint32_t shard,
                         struct capture_counts *out)
{
    (void)pthread_mutex_lock(&live->lock);
    counts_of(&live->groups[interface].handles[shard], out);
    (void)pthread_mutex_unlock(&live->lock);
}

void capture_live_status(struct capture_live *live, uint32_t interface,
                         struct capture_interface_status *out)
{
    struct live_group *group = &live->groups[interface];
    (void)pthread_mutex_lock(&live->lock);
    *out = (struct capture_interface_status){
        .index = group->index,
        .link_type = group->link_type,
        .mtu_bytes = group->mtu_bytes,
        .state = group->state,
        .reopened = group->reopened,
    };
    (void)snprintf(out->name, sizeof out->name, "%s", group->name);
    (void)snprintf(out->last_error, sizeof out->last_error, "%s", group->last_error);
    for (uint32_t i = 0; i < live->shards_count; i++) {
        struct capture_counts counts;
        counts_of(&group->handles[i], &counts);
        counts_add(&out->sum, &counts);
    }
    (void)pthread_mutex_unlock(&live->lock);
}
