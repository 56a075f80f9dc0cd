/* Opens all handles of one interface so that no packet is seen twice or by the wrong shard.
 *
 * Inside sensor/capture only. Depends on: libpcap, Linux packet(7). Threads: one group, one thread.
 */
#pragma once

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"
#include "sensor/capture/capture.h"

#define LIVE_SHARDS_MAX 64

/* What 0 means in the settings. */
#define LIVE_SNAPLEN      65535U
#define LIVE_TIMEOUT_NS   (100 * NS_PER_MS)
#define LIVE_BUFFER_BYTES (UINT64_C(32) << 20)

struct live_opened {
    pcap_t *handles[LIVE_SHARDS_MAX];
    uint32_t
        received_base[LIVE_SHARDS_MAX];     /* libpcap's counts when the group was complete, less */
    uint32_t dropped_base[LIVE_SHARDS_MAX]; /* what is still in the ring */
    uint32_t count;
    /* Packets that came in between are not to be handed over. By the clock that stamps them: those
     * from before `opening_ns` have come since, and the clock was set back. */
    uint64_t opening_ns, start_ns;
    uint32_t fraction_ns;     /* of one unit of pcap's tv_usec */
    unsigned interface_index; /* 0 for "any" */
    uint32_t mtu_bytes;
    uint16_t link_type;
};

/* -errno with `err`. `warning` may be NULL. Settings must be complete (no zero for "default"). */
MUST_USE int live_open(const struct capture_settings *settings, const char *interface,
                       uint32_t shards, struct live_opened *out, struct error *warning,
                       struct error *err);
void live_opened_close(struct live_opened *opened);

/* Closes the tap of a handle that is to bring nothing more, and leaves the ring as it is. */
void live_tap_close(pcap_t *handle);

/* 0: it has none, or it is not known. */
uint32_t live_interface_mtu(const char *interface);

/* Is it up? Errors count as no. "any" is always up. */
bool live_interface_is_up(const char *interface);
