/* What the three files of live capture share: the states of a handle and who may touch what.
 *
 * live_capture.c opens and closes, live_shard.c is a shard's thread, live_keeper.c the housekeeping
 * thread. A handle goes round: EMPTY -(keeper opens)-> READY -(shard adopts)-> RUNNING -(lost, or
 * asked to)-> LEAVING -(shard has emptied it)-> RELEASED -(keeper closes)-> EMPTY. So each handle
 * has one user at a time, except for pcap_stats() and the closing of its tap, which touch nothing
 * of what a dispatch does. */
#pragma once

#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "base/clock.h"
#include "sensor/capture/capture.h"
#include "sensor/capture/live_open.h"

#define INTERFACES_MAX    32U
#define COPY_MAX_BYTES    2048U /* longer frames are handed over in place, as the last of a batch */
#define COPY_BUFFER_BYTES ((size_t)CAPTURE_BATCH_MAX * COPY_MAX_BYTES)

enum phase { EMPTY, READY, RUNNING, LEAVING, RELEASED };

struct live_group;

struct live_handle {
    /* Set by housekeeping while EMPTY. */
    pcap_t *pcap;
    struct live_group *group;
    uint64_t opening_ns, start_ns; /* as in struct live_opened */
    uint32_t fraction_ns;
    _Atomic uint32_t superpacket_bytes; /* longer is one; UINT32_MAX: unknown MTU; follows it */

    _Atomic int phase;
    _Atomic bool is_release_asked;
    char fault[256]; /* by the shard before RELEASED */

    /* By the shard. */
    _Alignas(CACHE_LINE) struct counter processed;
    struct counter processed_bytes, precut, truncated, superpackets, wakeups, batch_max;
    bool is_drained;         /* while stopping */
    uint64_t agreed_ns;      /* when the counts first agreed while draining; 0: they do not */
    uint64_t drain_limit_ns; /* no longer than this for a disagreement */

    /* Under the lock of the capture. */
    _Alignas(CACHE_LINE) uint32_t received_last;
    uint32_t dropped_last, interface_dropped_last;
    uint64_t received, kernel_dropped, interface_dropped;
    uint64_t in_ring_high_water;                      /* of the looks once a second */
    uint64_t looked_ns, packets_looked, bytes_looked; /* at the last look */
    uint64_t stall_ns;
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
    struct capture_ring ring;
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

static inline void live_wake_by(int event)
{
    const uint64_t one = 1;
    const ssize_t sent = write(event, &one, sizeof one);
    (void)sent; /* full means that it is awake */
}

static inline void live_wake_taken(int event)
{
    uint64_t value;
    const ssize_t got = read(event, &value, sizeof value);
    (void)got;
}

static inline int live_phase_of(const struct live_handle *handle)
{
    return atomic_load_explicit(&((struct live_handle *)(uintptr_t)handle)->phase,
                                memory_order_acquire);
}

/* libpcap's counts have 32 bits and wrap: differences are taken modulo 2^32. Under the lock. */
void live_statistics_add(struct live_handle *handle, const struct pcap_stat *stat,
                         bool is_first_shard);
/* Asks the kernel for a handle's counts. Under the lock. */
void live_statistics_take(struct live_handle *handle, bool is_first_shard);

void live_counts_of(const struct live_handle *handle,
                    struct capture_counts *out); /* under the lock */

/* Hands what was opened to the shards. Under the lock, or before there is any thread. */
void live_group_publish(struct capture_live *live, struct live_group *group,
                        const struct live_opened *opened);

void *live_keeper_run(void *live); /* the housekeeping thread, until is_closing */
