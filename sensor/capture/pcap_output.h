/* The files behind a pcap writer: one file, or segments of which the newest are kept.
 *
 * Inside sensor/capture only. Depends on: base, pcap_format. Threads: one at a time; counters and
 * `is_failed` are read from any. */
#pragma once

#include <stdatomic.h>

#include "base/counter.h"
#include "sensor/capture/pcap_segments.h"
#include "sensor/capture/pcap_writer.h"

#define PCAP_OUTPUT_INTERFACES_MAX 64

struct pcap_output {
    struct pcap_writer_settings settings; /* the path is ours */
    _Atomic bool is_failed;
    struct error fault; /* written before is_failed is set */
    struct counter written, written_bytes, link_type_refused, disk_full, failed, files, deleted;
    struct counter trouble, last_trouble; /* errno of the last write, of the last that failed */
    struct counter oldest_ns;             /* time of the oldest packet that is kept */
    struct counter oldest_number, number; /* of the oldest segment, of the one being written */

    int fd; /* -1: none is open */
    bool is_pcapng;
    bool is_headed; /* the file has its head */
    bool recovers;  /* a regular file: cut behind its last whole packet, it can be written again */
    uint16_t link_type;
    struct pcap_segment now;
    uint64_t now_packets;
    uint64_t flushed_bytes; /* of it, on the disk: a whole number of records */
    uint64_t newest_ns;     /* of all packets */
    uint64_t retry_ns;      /* monotonic: after a failed write not before this */
    struct pcap_segments closed;
    struct {
        uint16_t link_type, interface;
    } interfaces[PCAP_OUTPUT_INTERFACES_MAX]; /* of this file, pcapng */
    uint32_t interfaces_count, interfaces_flushed;
    uint8_t *buffer;
    size_t buffered_bytes;
    uint64_t buffered_packets;
};

/* Do they fit together? Opens nothing. 0, or -EINVAL, -ENAMETOOLONG with `err`. */
MUST_USE int pcap_output_check(const struct pcap_writer_settings *settings, struct error *err);
bool pcap_output_is_pcapng(const struct pcap_writer_settings *settings);
/* Checks the settings, opens the first file. -errno with `err`; pcap_output_fini in any case. */
MUST_USE int pcap_output_init(struct pcap_output *output,
                              const struct pcap_writer_settings *settings, struct error *err);
void pcap_output_fini(struct pcap_output *output);

/* Writes one packet, into the buffer first. What becomes of it is counted. */
void pcap_output_put(struct pcap_output *output, const struct frame *frame);
/* Gives what is in the buffer to the kernel. */
void pcap_output_flush(struct pcap_output *output);
/* The end; a file without packets gets its head. Faults are kept. */
void pcap_output_close(struct pcap_output *output);
