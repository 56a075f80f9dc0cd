/* The interfaces of one section of a pcapng file: link type, name, how to read times, what was
 * dropped.
 *
 * Inside sensor/capture only. Depends on: file_reader. Threads: one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/capture/file_reader.h"

/* Of one section; real files have a few dozen. Bounds memory to some 6 MiB. */
#define PCAPNG_INTERFACES_MAX 65536U

struct pcapng_interface {
    const struct bpf_program *filter; /* NULL: none; meaningless before has_filter */
    bool has_filter;
    uint16_t link_type;
    uint16_t name; /* frame.interface */
    uint32_t snaplen, captured_max;
    uint64_t units_per_second;
    uint64_t unit_ns;         /* 0: a unit is no whole number of nanoseconds */
    int64_t offset_ns;        /* to be added to times; saturated */
    uint64_t packets_dropped; /* as packets tell: by device and system since the packet before */
    uint64_t kernel_dropped, interface_dropped; /* as the last statistics tell */
};

struct pcapng_interfaces {
    struct pcapng_interface *rows;
    uint32_t count, capacity;
};

/* Adds what the body of an Interface Description Block says. -errno with `err`: EBADMSG (too short,
 * an option that is cut or of a wrong length, a resolution beyond 64 bits), ENOMEM. */
MUST_USE int pcapng_interfaces_add(struct pcapng_interfaces *interfaces, struct file_reader *reader,
                                   const uint8_t *body, uint32_t body_bytes, bool is_swapped,
                                   struct error *err);
/* The body of an Interface Statistics Block: its drops become the reader's. What makes no sense is
 * passed over: no packet depends on it. */
void pcapng_interfaces_statistics(struct pcapng_interfaces *interfaces, struct file_reader *reader,
                                  const uint8_t *body, uint32_t body_bytes, bool is_swapped);
/* At the next section or the end: forgets all interfaces. */
void pcapng_interfaces_end_section(struct pcapng_interfaces *interfaces,
                                   struct file_reader *reader);
void pcapng_interfaces_fini(struct pcapng_interfaces *interfaces);

/* Compiles the filter for the interface's link type. -EINVAL with `err`. */
MUST_USE int pcapng_interface_filter(const struct file_reader *reader,
                                     struct pcapng_interface *interface, struct error *err);

/* ns since the Unix epoch of a packet's `units`; 0 before it, UINT64_MAX where 64 bits end. */
uint64_t pcapng_interface_time(const struct pcapng_interface *interface, uint64_t units);

/* The options behind a packet: adds what was dropped before it. */
void pcapng_interface_packet_options(struct pcapng_interface *interface, const uint8_t *options,
                                     uint32_t bytes, bool is_swapped);
