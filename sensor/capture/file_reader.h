/* The readers behind a file capture, and what they share. Inside sensor/capture only.
 *
 * Threads: one. A reader's errors do not name the file: file_input.c puts it before them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/name_table.h"
#include "sensor/capture/byte_source.h"
#include "sensor/capture/capture.h"
#include "sensor/capture/link_filters.h"

/* Packets and blocks that one call looks at when nothing passes the filter: then the caller is
 * asked whether to go on. */
#define FILE_READER_PATIENCE 65536

struct file_reader {
    struct byte_source source;
    struct link_filters *filters; /* borrowed */
    struct name_table *names;     /* borrowed; NULL: all frames have interface `name` */
    uint16_t name;                /* frame.interface where the file names no interface */
    uint32_t block_bytes;         /* of one read */
    const atomic_bool *stop;      /* capture_settings.stop */
    uint64_t packets_read;
    uint64_t kernel_dropped, interface_dropped; /* by those who wrote the file, as it tells */
    uint16_t link_type;                         /* of the file; pcapng: of its first interface */
    bool is_nanosecond;
};

/* What the first bytes (24, fewer in a shorter file) say. */
bool pcap_file_is(const uint8_t *first, size_t count);
bool pcapng_file_is(const uint8_t *first, size_t count);

/* Classic pcap: read() into large blocks, frames point into them. NULL with `err`. Borrows
 * `reader`. */
void *pcap_file_open(struct file_reader *reader, struct error *err);
extern const struct capture_ops pcap_file_ops;

/* pcapng, the same way. Reads up to the first interface, so that a filter that does not compile for
 * it is told at once. */
void *pcapng_file_open(struct file_reader *reader, struct error *err);
extern const struct capture_ops pcapng_file_ops;

/* What libpcap makes of a file, for comparison; the bytes of a batch are copied, as libpcap's die
 * at its next read. */
void *libpcap_file_open(struct file_reader *reader, struct error *err);
extern const struct capture_ops libpcap_file_ops;

/* The largest captured length of a packet that is believed: as libpcap's, but never more than a
 * block. */
uint32_t file_packet_bytes_max(uint16_t link_type);
