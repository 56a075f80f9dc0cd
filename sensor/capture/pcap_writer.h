/* Writes frames to pcap files in a thread of its own, so that no shard waits for a disk.
 *
 * Each producer has a bounded ring. Live, a full ring drops and counts; from a file it makes the
 * producer wait (lossless). Records come out as they went in, byte for byte. Depends on: base,
 * wire/frame.h. Threads: one thread per producer index; open and close by the owner. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/wire/frame.h"

#define PCAP_WRITER_LINK_OF_FIRST 0xffff

struct pcap_writer_settings {
    const char *path;      /* "capture.pcap"; "-" is stdout (no rotation); borrowed for open */
    uint64_t rotate_bytes; /* with rotation: capture.000001.pcap, ...; 0 = one file */
    uint32_t files_max;    /* kept; the oldest is deleted. Both this and rotate_bytes, or neither */
    uint32_t producers;    /* 1..65 */
    uint64_t queue_bytes;  /* of each producer; 0 means 8 MiB */
    uint16_t link_type;    /* LINKTYPE number, or PCAP_WRITER_LINK_OF_FIRST: as the first frame */
    bool is_nanosecond;
    bool is_lossless; /* a full queue waits instead of dropping */
};

struct pcap_writer_counts {
    uint64_t offered;
    uint64_t written;           /* handed to the kernel after close, to the buffer before */
    uint64_t written_bytes;     /* with headers */
    uint64_t dropped;           /* queue full (live only) */
    uint64_t link_type_refused; /* a pcap file has one link type only */
    uint64_t failed;            /* after a failed write */
    uint32_t files;             /* opened so far */
};

struct pcap_writer;

/* NULL with `err`: EINVAL (one of rotate_bytes and files_max alone, "-" with rotation), EACCES ...
 */
MUST_USE struct pcap_writer *pcap_writer_open(const struct pcap_writer_settings *settings,
                                              struct error *err);

/* Copies the frames into the producer's queue. 0, or -errno with `err` once a write has failed (the
 * run ends with exit 1). Never blocks unless is_lossless. */
MUST_USE int pcap_writer_offer(struct pcap_writer *writer, uint32_t producer,
                               const struct frame *frames, uint32_t count, struct error *err);

/* offered == written + dropped + link_type_refused + failed + queued; any thread. */
void pcap_writer_counts_read(const struct pcap_writer *writer, struct pcap_writer_counts *out);

/* Writes what is queued, closes the file, frees. -errno with `err` if any write, flush or close
 * failed (now or before). `counts` (NULL allowed) gets the final numbers. NULL writer is allowed.
 */
MUST_USE int pcap_writer_close(struct pcap_writer *writer, struct pcap_writer_counts *counts,
                               struct error *err);
