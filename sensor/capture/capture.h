/* Where frames come from: capture files, and live interfaces with one handle per shard.
 *
 * The two differ in who drives. A file is pulled (capture_next_batch) by one reader thread and
 * pushes back; an interface hands over what the kernel has (capture_live_poll) in each shard's own
 * thread. Depends on: base, wire/frame.h, libpcap, zlib, libzstd (hidden). Nothing here logs. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/attributes.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/name_table.h"
#include "sensor/wire/frame.h"

enum capture_direction {
    CAPTURE_BOTH,
    CAPTURE_IN,  /* done by the kernel (PACKET_IGNORE_OUTGOING) */
    CAPTURE_OUT, /* done by the kernel filter; no effect on lo, where each packet is kept once */
    CAPTURE_DIRECTION_COUNT
};

enum capture_fanout {
    CAPTURE_FANOUT_CBPF, /* deal_hash() of the outer addresses and ports, under `key` */
    CAPTURE_FANOUT_HASH, /* the kernel's flow hash, which nobody can compute again */
    CAPTURE_FANOUT_COUNT
};

/* Who gives live packets their time. */
enum capture_timestamps {
    CAPTURE_TIME_HOST,    /* the kernel */
    CAPTURE_TIME_HIPREC,  /* the kernel, at its finest */
    CAPTURE_TIME_ADAPTER, /* the network card, by a clock that follows the machine's */
    CAPTURE_TIMESTAMPS_COUNT
};

/* What to read. Texts are borrowed until the open call returns. */
struct capture_settings {
    const char *interfaces; /* live: "eth0" or "eth0,eth1"; NULL or "": the default route's */
    const char *const *read_paths; /* files, directories, patterns; "-" is stdin */
    uint32_t read_paths_count;
    struct name_table *names; /* gets the names that frame.interface is a number in: of the file, or
                                 of the interface where pcapng names it; NULL: all are 0. Files
                                 alone; outlives the capture */
    const char *filter;       /* BPF in the syntax of pcap-filter(7); NULL or "": all */
    uint32_t snaplen_bytes;   /* live; 0 means 65535. Files keep what they hold */
    uint64_t timeout_ns;      /* live: the kernel hands over a block after this; 0 means 100 ms */
    uint64_t buffer_bytes;    /* live: ring of each shard and interface; 0 means 32 MiB */
    bool is_promiscuous;      /* live */
    bool is_immediate;        /* live: a wake-up per packet, about 100 times the CPU */
    bool is_libpcap_forced;   /* files: not by the own readers (for comparison) */
    /* Files: true ends the wait for a pipe that says nothing, and the pipe with it, be it amid a
     * packet; NULL: it is waited for. Outlives the capture. */
    const atomic_bool *stop;
    enum capture_direction direction;
    enum capture_timestamps timestamps; /* live; what is not supported is told as a warning */
    enum capture_fanout fanout;
    struct hash_key key; /* of the fanout program */
};

/* ---- files ----------------------------------------------------------------------------------- */

struct capture; /* one thread at a time */

/* The file behind a capture: one table of functions for each reader. */
struct capture_ops {
    const char *name;
    /* Fills at most `frames_max` frames; 0 = end, -EAGAIN = none passed the filter for long: ask
     * again, else -errno with `err`. */
    int32_t (*next_batch)(void *state, struct frame *frames, uint32_t frames_max,
                          struct error *err);
    void (*close)(void *state);
};

struct capture_progress {
    const char *path;        /* of the file being read; borrowed until the next capture_ call */
    const char *reader;      /* "pcap", "pcapng" or "libpcap" */
    uint64_t bytes_read;     /* of all files, as they are on disk (compressed) */
    uint64_t bytes_total;    /* 0 where unknown (pipe, stdin) */
    uint64_t packets_read;   /* of all files, before the filter */
    uint64_t packets_passed; /* by the filter: those handed over */
    /* What pcapng files say that those who wrote them did not get, as far as it was read. */
    uint64_t kernel_dropped, interface_dropped;
    uint32_t files_done;
    uint32_t files_total;
    uint16_t link_type; /* of this file; pcapng: of its first interface */
    bool is_nanosecond; /* a file holds nanoseconds; pcapng counts as such */
};

/* A path is a file, a directory (the captures in it) or a pattern of glob(7). Several files are
 * merged by time: each is looked at once for when it begins. NULL with `err` when none can be read:
 * ENOENT, EACCES, EBADMSG ("x: not a capture file (unknown file format)"), or for the first file
 * that the filter does not compile for EINVAL (libpcap's message and the text); ENOMEM. */
MUST_USE struct capture *capture_open_file(const struct capture_settings *settings,
                                           struct error *err);

/* Fills `frames` with up to `frames_max` (>= 1) frames that pass the filter and returns how many.
 * Their bytes are borrowed until the next capture_ call. 0: the end of all files. Negative: -errno
 * with `err` ("trace.pcap: truncated after 12 packets"); everything before it has been handed over,
 * and the next call goes on with the other files (0 when there is none). -EAGAIN, without `err`:
 * the filter passed nothing for so long that the caller is asked whether to go on. Blocks where the
 * file does (pipe). */
MUST_USE int32_t capture_next_batch(struct capture *capture, struct frame *frames,
                                    uint32_t frames_max, struct error *err);

/* Bytes of all files that `settings` names; UINT64_MAX where that says nothing about how much is in
 * them: pipes, compressed files, what cannot be opened. */
uint64_t capture_input_bytes(const struct capture_settings *settings);

/* Asks `is_it` of each regular file that `settings` names, whatever it is called there (a file of a
 * directory, standard input as "-", a link), until it says yes. False: of none, or none is there.
 */
bool capture_any_file(const struct capture_settings *settings,
                      bool (*is_it)(void *context, const char *path, const struct stat *info),
                      void *context);

void capture_progress_read(const struct capture *capture, struct capture_progress *out);
void capture_close(struct capture *capture); /* NULL is allowed */
DEFINE_AUTO(capture, capture_close);

/* ---- live ------------------------------------------------------------------------------------ */

#define CAPTURE_BATCH_MAX 64 /* frames in one hand-over of a live shard */

struct capture_live;  /* all interfaces and shards of one live capture; has a housekeeping thread */
struct capture_shard; /* one shard's handles (one per interface); polled by one thread */

enum capture_state {
    CAPTURE_UP,   /* delivering */
    CAPTURE_DOWN, /* the interface is there and down; resumes by itself */
    CAPTURE_GONE, /* deleted or renamed; opened again when the name is back */
    CAPTURE_STATE_COUNT
};

/* The kernel's ring of one shard and interface. It is given in blocks, and a block is closed at the
 * timeout however empty it is: a stall is survived for the time of all blocks, or until their bytes
 * are full, whichever comes first. In immediate mode there are frames of full size and no time. */
struct capture_ring {
    uint64_t bytes;
    uint32_t blocks; /* 0: is_by_frames */
    uint32_t frame_bytes_max;
    uint64_t timeout_ns;
    bool is_by_frames;
};
/* As capture_live_open() will make it. */
struct capture_ring capture_ring_of(const struct capture_settings *settings);
/* How many frames of this length find room. */
uint64_t capture_ring_packets(const struct capture_ring *ring, uint64_t wire_bytes);
/* How long nobody may read before packets are lost; UINT64_MAX: no traffic, and nothing but that
 * fills it. */
uint64_t capture_ring_stall_ns(const struct capture_ring *ring, uint64_t packets_per_second,
                               uint64_t wire_bytes);

/* Counters of one shard on one interface since the start, over all re-openings.
 * received == processed + precut + kernel_dropped + in_ring; in_ring is 0 after the end. */
struct capture_counts {
    uint64_t received;           /* what the kernel's filter passed to this handle */
    uint64_t processed;          /* handed over */
    uint64_t processed_bytes;    /* on the wire, of those */
    uint64_t precut;             /* from before the group was complete: not handed over */
    uint64_t kernel_dropped;     /* ring full */
    uint64_t interface_dropped;  /* by the device, as sysfs tells; of the interface: shard 0 only */
    uint64_t truncated;          /* captured less than was on the wire */
    uint64_t superpackets;       /* larger than the MTU allows: segmentation offload */
    uint64_t wakeups;            /* of the poll loop for this handle */
    uint64_t in_ring;            /* not handed over yet */
    uint64_t in_ring_high_water; /* most that was found at the looks, once a second */
    uint64_t batch_max;          /* most packets handed over in one go */
    uint64_t stall_ns; /* capture_ring_stall_ns at the last second's rate; of a sum: the least */
};

struct capture_interface_status {
    char name[16];
    uint16_t index;     /* frame.interface */
    uint16_t link_type; /* LINKTYPE number */
    uint32_t mtu_bytes;
    enum capture_state state;
    uint64_t reopened;         /* how often it came back */
    char last_error[256];      /* why it was lost or could not be opened again; "" if never */
    struct capture_counts sum; /* over the shards */
};

/* Opens every interface `shards` (1..64) times, joined in one fanout group per interface, so that
 * both directions of a flow meet one shard, and starts the housekeeping thread (statistics once a
 * second, re-opening). No shard sees a packet from before its group was complete. `warning` (NULL
 * allowed) gets what libpcap warned of. NULL with `err`: EPERM, ENODEV (lists the interfaces there
 * are), ENETDOWN, EINVAL (filter, shards), ENOMEM. Takes about 2 x timeout: the rings are drained
 * once. Re-opening a deleted interface needs CAP_NET_RAW again; all else works without. */
MUST_USE struct capture_live *capture_live_open(const struct capture_settings *settings,
                                                uint32_t shards, struct error *warning,
                                                struct error *err);

/* Shard 0..shards-1; borrowed until capture_live_close(). */
struct capture_shard *capture_live_shard(struct capture_live *live, uint32_t index);

/* Called with 1..CAPTURE_BATCH_MAX frames; frames and bytes are borrowed for the call. */
typedef void (*capture_frames_function)(void *context, const struct frame *frames, uint32_t count);

enum { CAPTURE_ENDED = -1 };

/* Waits at most `timeout_ns` for frames (returns earlier when woken) and hands over about 1024 of
 * them at most. Returns how many, 0 when there were none, CAPTURE_ENDED once after
 * capture_live_stop() everything the kernel had taken has been handed over. A lost interface is no
 * error here: see the status. Only the thread that owns the shard. */
MUST_USE int32_t capture_live_poll(struct capture_shard *shard, uint64_t timeout_ns,
                                   capture_frames_function on_frames, void *context);

void capture_wake(
    struct capture_shard *shard); /* ends the wait of its poll; any thread, signal safe */
void capture_live_stop(struct capture_live *live); /* closes the tap and wakes all; any thread */

/* Fixed once it is open. Any thread. */
uint32_t capture_live_shards(const struct capture_live *live);
uint32_t capture_live_interfaces(const struct capture_live *live);

/* At most a second old, exact after CAPTURE_ENDED of all shards; right behind capture_live_look, of
 * that moment. Any thread. */
void capture_live_status(struct capture_live *live, uint32_t interface,
                         struct capture_interface_status *out);
void capture_live_counts(struct capture_live *live, uint32_t interface, uint32_t shard,
                         struct capture_counts *out);
/* Asks the kernel now for what it has received and dropped: a system call a handle. Any thread. */
void capture_live_look(struct capture_live *live);

/* After all shards have ended (or were never polled). NULL is allowed. */
void capture_live_close(struct capture_live *live);
DEFINE_AUTO(capture_live, capture_live_close);

/* ---- interfaces and filters ------------------------------------------------------------------ */

struct capture_interface {
    const char *name;
    const char *description; /* "" if none */
    const char *addresses;   /* "10.0.0.1, fe80::1"; "" if none */
    bool is_up, is_running, is_loopback, is_wireless;
};

/* Calls `found` for each interface in libpcap's order; what it gets is borrowed for the call.
 * Returns their number or -errno. Needs no privilege. */
MUST_USE int capture_list_interfaces(void (*found)(void *context,
                                                   const struct capture_interface *interface),
                                     void *context, struct error *err);

/* Name of the default route's interface (IPv4 first, then IPv6, lowest metric) into `name`, 16
 * bytes. -ENODEV when there is no default route. */
MUST_USE int capture_default_interface(char *name, struct error *err);

/* What libpcap calls a LINKTYPE number ("BSD/OS SLIP"), or "unknown". Static. */
const char *capture_link_name(uint16_t link_type);

/* 0 when `filter` compiles for `link_type`; else -EINVAL with libpcap's message and the text. */
MUST_USE int capture_filter_check(const char *filter, uint16_t link_type, struct error *err);
