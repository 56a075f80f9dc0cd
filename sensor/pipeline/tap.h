/* Captures on request: packets that pass a filter, taken off the shards as they come and handed on
 * as pieces of a pcapng file.
 *
 * Shards copy what passes into a bounded queue of each capture; a full one drops and counts, no
 * shard waits. While nobody captures, a batch costs them two loads. The other side merges the
 * queues by time: live and paced, a packet waits until every shard has told that it has passed its
 * time (tap_set_reached), but not longer than two seconds, nor where a queue is half full or very
 * many wait. So memory is bounded, and the order is as good as that allows; packets that one shard
 * took from one interface keep theirs, but for less than a window (tap_source.window_ns). What a
 * request may ask for is bounded by the policy, whatever it says. Depends on: base, capture, wire.
 * Threads: tap_set_offer by the shards, one tap by one thread, tap_stop and counts by any. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/counter.h"
#include "base/error.h"
#include "sensor/capture/pcap_history.h"
#include "sensor/wire/frame.h"
#include "sensor/wire/packet.h"

#define TAPS_MAX             16
#define TAP_INTERFACES_MAX   64
#define TAP_NAME_BYTES       64
#define TAP_FILTER_BYTES_MAX 4096
/* Of what is no IP packet that could be read to its end, TAP_HEADERS keeps so much. */
#define TAP_UNREAD_BYTES 64U
/* tap_read stops behind the packet with which it has written so much ... */
#define TAP_CHUNK_BYTES ((size_t)128 * 1024)
/* ... and needs this room for the largest one. */
#define TAP_ROOM_BYTES (TAP_CHUNK_BYTES + (size_t)257 * 1024)

enum tap_mode {
    TAP_OFF,
    TAP_HEADERS, /* up to the transport header */
    TAP_FULL,
};

/* What no request can raise. */
struct tap_policy {
    enum tap_mode mode;
    uint32_t at_once; /* captures: 1..TAPS_MAX */
    uint32_t snaplen_bytes;
    uint64_t packets_max, bytes_max, duration_ns; /* of one capture */
    uint64_t queue_bytes;                         /* of each capture and shard */
};

/* 0 and "" stand for what the policy allows. Texts are copied.
 *
 * With `has_history` the packets that the source has kept come first, up to the time at which the
 * reading of them has caught up; from there on they are those of the shards. Packet times decide,
 * so none comes twice. With `until_ns` it ends when that has passed, behind the history: what was
 * kept may be all it is for. */
struct tap_request {
    const char *filter;    /* pcap-filter(7) */
    const char *interface; /* its name */
    uint32_t snaplen_bytes;
    uint64_t packets_max, bytes_max, duration_ns;
    uint64_t from_ns, until_ns; /* times of packets, kept ones too; 0: any */
    bool has_history;
    bool is_headers; /* no more than TAP_HEADERS keeps, whatever the policy allows */
};

/* Files in which a source keeps its packets. */
struct tap_history {
    const char *path; /* NULL: none are kept. Borrowed, as in pcap_history.h */
    bool has_segments;
    bool is_named; /* they name interfaces */
    void (*segments)(void *context, uint32_t *oldest, uint32_t *now);
    /* Returns when what the shards have put before is in the files, or soon without. */
    void (*flush)(void *context);
};

struct tap_interface {
    uint16_t number; /* frame.interface */
    uint16_t link_type;
    char name[TAP_NAME_BYTES];
};

/* Where packets come from. */
struct tap_source {
    /* Those there are; none: they turn up in a file, whose first link type is this. */
    uint32_t interfaces_count;
    struct tap_interface interfaces[TAP_INTERFACES_MAX];
    uint16_t link_type;
    bool is_timed;      /* packet times are those of the clock: live or paced */
    bool is_mixed;      /* packets of several shards or interfaces come side by side */
    uint64_t window_ns; /* by how much a packet may be older than one before it of its shard */
    /* Writes the name of an interface; called on the capture's thread. */
    void (*name_of)(void *context, uint16_t interface, char *out, size_t capacity);
    /* Why no packet will come any more: "input_ended", "sensor_stopped"; NULL: some may. The text
     * lives for ever. */
    const char *(*over)(void *context);
    struct tap_history history; /* with the same context */
    void *context;
};

struct tap_counts {
    uint64_t packets; /* written to chunks */
    uint64_t bytes;   /* of the chunks */
    uint64_t dropped; /* passed and found no room; of a link type that the filter cannot be asked
                         for; of more interfaces than TAP_INTERFACES_MAX */
};

struct tap;

/* All captures of a sensor. */
struct tap_set {
    _Atomic uint32_t open; /* taps that want packets: what shards look at */
    _Atomic(struct tap *) taps[TAPS_MAX];
    struct tap_policy policy;
    uint32_t shards;
    struct tap_pass *passes;  /* of each shard */
    _Atomic uint32_t running; /* taps there are */
    struct counter started, packets, bytes, dropped, refused;
};

/* NULL with `err`: ENOMEM. */
MUST_USE struct tap_set *tap_set_new(const struct tap_policy *policy, uint32_t shards,
                                     struct error *err);
void tap_set_free(struct tap_set *set); /* when all taps and shards have ended; NULL is allowed */

/* NULL is allowed. */
static inline bool tap_set_is_open(const struct tap_set *set)
{
    return set != NULL && atomic_load_explicit(&((struct tap_set *)(uintptr_t)set)->open,
                                               memory_order_relaxed) != 0;
}
/* By the shard `shard`: `packets` are the frames, decoded. Never waits. */
void tap_set_offer(struct tap_set *set, uint32_t shard, const struct frame *frames,
                   const struct packet *packets, uint32_t count);

/* By the shard: it has offered all its packets from before `time_ns`; UINT64_MAX: it has ended. */
void tap_set_reached(struct tap_set *set, uint32_t shard, uint64_t time_ns);

/* A place among the captures, with its memory; looks neither at the filter's words nor at a packet.
 * NULL with `err`: EPERM (switched off), EBUSY (as many run as may), ENODEV (no such interface),
 * EINVAL (a filter too long), ERANGE (no time between from_ns and until_ns), ENODATA (no history is
 * kept, or times are not those of the clock), ENOMEM. */
MUST_USE struct tap *tap_new(struct tap_set *set, const struct tap_source *source,
                             const struct tap_request *request, struct error *err);
/* Compiles the filter and lets packets in. It may look up names in the filter, so it may take long.
 * -EINVAL with libpcap's words, -ENOMEM. */
MUST_USE int tap_start(struct tap *tap, struct error *err);
/* The next bytes of the file, whole blocks: 0 where there is nothing now. `room` is at least
 * TAP_ROOM_BYTES. Waits for no packet; with history it reads files. */
size_t tap_read(struct tap *tap, uint8_t *out, size_t room);
/* What was dropped since the last time, to the sum of all: tap_read does it too, but whoever cannot
 * read on should. On the same thread. */
void tap_tell_dropped(struct tap *tap);
/* All has been read: no bytes come any more. */
bool tap_is_over(const struct tap *tap);
/* Lets no more packets in; what waits can still be read. Any thread. `reason` lives for ever. */
void tap_stop(struct tap *tap, const char *reason);
/* Why it ended: "max_packets", "max_bytes" and "max_duration" where the request's own limit was
 * reached, "packets.capture_max_packets" and so on where the policy's was; of tap_source.over; or
 * of tap_stop, while packets could still come. "" while it runs. */
const char *tap_reason(const struct tap *tap);
void tap_counts_read(const struct tap *tap, struct tap_counts *out);
/* The limits in force. Borrowed; its texts are those of the request. */
const struct tap_request *tap_limits(const struct tap *tap);
void tap_free(struct tap *tap); /* waits until no shard looks at it; NULL is allowed */
