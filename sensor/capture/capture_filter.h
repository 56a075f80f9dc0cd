/* BPF filters, and libpcap's link numbers (DLT) against those of files (LINKTYPE).
 *
 * Inside sensor/capture only. Depends on: libpcap. Threads: any (libpcap compiles under its lock).
 */
#pragma once

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

/* The link type in files (LINKTYPE_) of libpcap's number on this machine (DLT_), and the reverse:
 * few differ. */
uint16_t capture_link_type_of(int dlt);
int capture_dlt_of(uint16_t link_type);

/* Compiles `filter` (NULL or "": everything) against `handle`. -EINVAL with the text in `err`. The
 * program belongs to the caller (pcap_freecode). */
MUST_USE int capture_filter_compile(pcap_t *handle, const char *filter, struct bpf_program *out,
                                    struct error *err);

static inline bool capture_filter_is_empty(const char *filter)
{
    return filter == NULL || filter[0] == '\0';
}
