/* The two readers behind a file capture, and what they share. Inside sensor/capture only.
 *
 * Threads: one. A reader's errors do not name the file: replay_capture.c puts it before them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sensor/capture/byte_source.h"
#include "sensor/capture/capture.h"

struct file_reader {
    struct byte_source source;
    const char *filter; /* NULL: none */
    uint64_t packets_read;
    uint16_t link_type;
    bool is_nanosecond;
};

/* Classic pcap, version 2.4, plain link types: read() into 1 MiB, frames point into it. `*is_taken`
 * false and NULL without `err`: not its kind of file, libpcap shall try. Borrows `reader`. */
void *pcap_file_open(struct file_reader *reader, bool *is_taken, struct error *err);
extern const struct capture_ops pcap_file_ops;

/* All that libpcap can read; the bytes of a batch are copied, as libpcap's die at its next read. */
void *libpcap_file_open(struct file_reader *reader, struct error *err);
extern const struct capture_ops libpcap_file_ops;
