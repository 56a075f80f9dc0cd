/* One captured frame as the capture hands it over. Depends on: libc. Pure data, any thread. */
#pragma once

#include <stdint.h>

/* Link types by their LINKTYPE number (https://www.tcpdump.org/linktypes.html). libpcap's DLT_RAW
 * is 12 or 14 by system; all three numbers are accepted everywhere. */
enum link_type {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_RAW_BSD = 12,
    LINK_RAW_OPENBSD = 14,
    LINK_RAW = 101,
    LINK_LOOP = 108,
    LINK_SLL = 113,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_SLL2 = 276,
};

struct frame {
    const uint8_t *bytes;    /* borrowed from the capture until its next read */
    uint32_t captured_bytes; /* how many of them are there */
    uint32_t wire_bytes;     /* length on the wire; a file may claim less than was captured */
    uint64_t time_ns;        /* since the Unix epoch; 0 where the file has no time */
    uint16_t link_type;      /* enum link_type, or another LINKTYPE number */
    uint16_t interface;      /* index within the capture (pcapng interface block, shard's device) */
};
