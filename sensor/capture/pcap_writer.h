/* Writes frames to pcap or pcapng files in a thread of its own, so that no shard waits for a disk.
 *
 * Each producer has a bounded ring. Live, a full ring drops and counts; from a file it makes the
 * producer wait (lossless). Records come out as they went in, byte for byte. A segment ends by its
 * size, its time or its packets, and the oldest ones go: by number, by the size of all, or by the
 * age of their last packet, which makes a ring of the last minutes. A full disk costs the oldest
 * segments first, then packets, counted apart; so does, without the first, one that turns
 * read-only. Each second it is tried again. Only a pipe or a device that fails is given up. Depends
 * on: base, wire/frame.h. Threads: one thread per producer index; open and close by the owner. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/wire/frame.h"

#define PCAP_WRITER_LINK_OF_FIRST 0xffff

enum pcap_writer_format {
    PCAP_WRITER_BY_PATH, /* pcapng where the path ends so, else pcap */
    PCAP_WRITER_PCAP,
    PCAP_WRITER_PCAPNG, /* holds several link types and names interfaces */
};

struct pcap_writer_settings {
    const char *path; /* "capture.pcap"; "-" is stdout (no rotation); borrowed for open */
    /* A segment (capture.000001.pcap, ...) ends when the first of these is reached; all 0 and no
     * keep_ns: one file. Times are those of the packets. */
    uint64_t rotate_bytes, rotate_ns, rotate_packets;
    /* What is kept; files_max or bytes_max is needed with segments, and refused without. */
    uint32_t files_max;
    uint64_t bytes_max; /* of all segments together */
    uint64_t keep_ns;   /* segments whose packets are all older than this go, and those of an
                           earlier run count as well; 0: no ring, numbers begin at 1 */
    enum pcap_writer_format format;
    /* NULL, or writes the name of an interface for pcapng; called on the writer's thread. */
    void (*name_of)(void *context, uint16_t interface, char *out, size_t capacity);
    void *name_context;
    uint32_t producers;   /* 1..65 */
    uint64_t queue_bytes; /* of each producer; 0 means 8 MiB */
    uint16_t link_type;   /* LINKTYPE number, or PCAP_WRITER_LINK_OF_FIRST: as the first frame */
    bool is_nanosecond;
    bool is_lossless; /* a full queue waits instead of dropping */
};

/* Whether packets go into segments, not into one file. */
static inline bool pcap_writer_has_segments(const struct pcap_writer_settings *settings)
{
    return settings->rotate_bytes > 0 || settings->rotate_ns > 0 || settings->rotate_packets > 0 ||
           settings->keep_ns > 0;
}

struct pcap_writer_counts {
    uint64_t offered;
    uint64_t written;           /* handed to the kernel after close, to the buffer before */
    uint64_t written_bytes;     /* with headers */
    uint64_t dropped;           /* queue full (live only) */
    uint64_t link_type_refused; /* a pcap file has one link type only; pcapng: 64 interfaces */
    uint64_t disk_full;         /* no room on the disk, and no older segment to delete */
    uint64_t failed;            /* another failure of the disk, or all after one of a pipe */
    uint32_t files;             /* opened so far */
    uint32_t files_deleted;
    uint64_t oldest_ns;         /* time of the oldest packet that is kept; 0: none yet */
    uint32_t oldest_number;     /* of the oldest segment that is kept */
    uint32_t number;            /* of the one being written */
    uint64_t queued_high_water; /* bytes in one queue, as the writer found them */
    int trouble;                /* errno of the last write to a file that is tried again; 0: none */
    int last_trouble;           /* of the last that failed; 0: none ever did */
    bool is_disk_full;          /* now */
};

struct pcap_writer;

/* Do they fit together? Opens nothing. 0, or with `err` -EINVAL (segments without a bound or a
 * bound without segments, "-" with rotation), -ENAMETOOLONG. */
MUST_USE int pcap_writer_check(const struct pcap_writer_settings *settings, struct error *err);
/* Could a run write the file `name` as a segment of `path`? Both without their directories. */
bool pcap_writer_is_segment(const char *path, const char *name);
/* NULL with `err`: what pcap_writer_check says, EACCES ... */
MUST_USE struct pcap_writer *pcap_writer_open(const struct pcap_writer_settings *settings,
                                              struct error *err);

/* Copies the frames into the producer's queue. 0, or -errno with `err` once a write to a pipe or
 * device has failed (the run ends with exit 1). Never blocks unless is_lossless. */
MUST_USE int pcap_writer_offer(struct pcap_writer *writer, uint32_t producer,
                               const struct frame *frames, uint32_t count, struct error *err);

/* Whether the files name interfaces. */
bool pcap_writer_is_pcapng(const struct pcap_writer_settings *settings);

/* Asks that all that was offered before goes to the kernel; returns a ticket, with which
 * pcap_writer_is_flushed tells whether it has. Any thread. */
MUST_USE uint64_t pcap_writer_flush(struct pcap_writer *writer);
MUST_USE bool pcap_writer_is_flushed(const struct pcap_writer *writer, uint64_t ticket);

/* offered == written + dropped + link_type_refused + disk_full + failed + queued; any thread. */
void pcap_writer_counts_read(const struct pcap_writer *writer, struct pcap_writer_counts *out);

/* Writes what is queued, closes the file, frees. -errno with `err` if a pipe or device has failed
 * (now or before) or the close did; what a disk did not take is in `counts`. `counts` (NULL
 * allowed) gets the final numbers. NULL writer is allowed.
 */
MUST_USE int pcap_writer_close(struct pcap_writer *writer, struct pcap_writer_counts *counts,
                               struct error *err);
