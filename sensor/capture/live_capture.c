/* Live capture: opening, stopping and looking in. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "sensor/capture/live_internal.h"

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
    sum->in_ring += more->in_ring;
    sum->batch_max = more->batch_max > sum->batch_max ? more->batch_max : sum->batch_max;
    sum->in_ring_high_water = more->in_ring_high_water > sum->in_ring_high_water
                                  ? more->in_ring_high_water
                                  : sum->in_ring_high_water;
    sum->stall_ns = more->stall_ns < sum->stall_ns ? more->stall_ns : sum->stall_ns;
}

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
    ours->snaplen_bytes = ours->snaplen_bytes == 0 ? LIVE_SNAPLEN : ours->snaplen_bytes;
    ours->timeout_ns = ours->timeout_ns == 0 ? LIVE_TIMEOUT_NS : ours->timeout_ns;
    ours->buffer_bytes = ours->buffer_bytes == 0 ? LIVE_BUFFER_BYTES : ours->buffer_bytes;
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
    live->ring = capture_ring_of(ours);
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
    for (uint32_t i = 0; live->shards != NULL && i < live->shards_count; i++) {
        live->shards[i].epoll = -1;
        live->shards[i].wake = -1;
    }
    if (live->handles != NULL) {
        memset(live->handles, 0, handles * sizeof *live->handles);
    }
    live->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    live->has_lock = pthread_mutex_init(&live->lock, NULL) == 0;
    if (live->shards == NULL || live->handles == NULL || live->wake < 0 || !live->has_lock) {
        return error_set(err, ENOMEM, "out of memory");
    }
    for (uint32_t g = 0; g < live->groups_count; g++) {
        live->groups[g].handles = live->handles + (size_t)g * live->shards_count;
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
        live_group_publish(live, &live->groups[g], &opened);
    }
    return 0;
}

struct capture_live *capture_live_open(const struct capture_settings *settings, uint32_t shards,
                                       struct error *warning, struct error *err)
{
    struct capture_live *live = calloc(1, sizeof *live);
    if (live == NULL) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    live->wake = -1;
    live->groups = calloc(INTERFACES_MAX, sizeof *live->groups);
    if (live->groups == NULL) {
        error_set(err, ENOMEM, "out of memory");
        free(live);
        return NULL;
    }
    if (settings_take(live, settings, shards, err) != 0 ||
        interfaces_take(live, settings->interfaces, err) != 0 || memory_take(live, err) != 0 ||
        groups_open(live, warning, err) != 0) {
        capture_live_close(live);
        return NULL;
    }
    const int code = pthread_create(&live->housekeeping, NULL, live_keeper_run, live);
    if (code != 0) {
        error_set(err, code, "capture: start the housekeeping thread: %s", strerror(code));
        capture_live_close(live);
        return NULL;
    }
    live->has_housekeeping = true;
    (void)pthread_setname_np(live->housekeeping, "capture-keeper");
    return live;
}

void capture_live_stop(struct capture_live *live)
{
    (void)pthread_mutex_lock(&live->lock);
    atomic_store_explicit(&live->is_stopping, true, memory_order_release);
    for (uint32_t i = 0; i < live->groups_count * live->shards_count; i++) {
        if (live->handles[i].pcap != NULL) {
            live_tap_close(live->handles[i].pcap);
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
        live_wake_by(live->wake);
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

/* The kernel is asked once a second, and shards count on meanwhile: at least what they have handed
 * over has been received. At the end all is as the kernel says. Under the lock. */
static void counts_told(const struct capture_live *live, const struct live_handle *handle,
                        struct capture_counts *out)
{
    live_counts_of(handle, out);
    const uint64_t gone = out->processed + out->precut + out->kernel_dropped;

    if (out->received < gone && !atomic_load_explicit(&live->is_stopping, memory_order_relaxed)) {
        out->received = gone;
    }
    out->in_ring = out->received > gone ? out->received - gone : 0;
}

void capture_live_counts(struct capture_live *live, uint32_t interface, uint32_t shard,
                         struct capture_counts *out)
{
    (void)pthread_mutex_lock(&live->lock);
    counts_told(live, &live->groups[interface].handles[shard], out);
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
    out->sum.stall_ns = UINT64_MAX;
    (void)snprintf(out->name, sizeof out->name, "%s", group->name);
    (void)snprintf(out->last_error, sizeof out->last_error, "%s", group->last_error);
    for (uint32_t i = 0; i < live->shards_count; i++) {
        struct capture_counts counts;
        counts_told(live, &group->handles[i], &counts);
        counts_add(&out->sum, &counts);
    }
    (void)pthread_mutex_unlock(&live->lock);
}
