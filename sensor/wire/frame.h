/* One captured frame as the capture hands it over. Depends on: libc. Pure data, any thread. */
#pragma once

#include <stdint.h>

/* Link types by their LINKTYPE number (https://www.tcpdump.org/linktypes.html). libpcap's DLT_RAW
 * is 12 or 14 by system; all three numbers are accepted everywhere. */
enum link_type {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_TOKEN_RING = 6,
    LINK_SLIP = 8,
    LINK_PPP = 9,
    LINK_FDDI = 10,
    LINK_RAW_BSD = 12,
    LINK_RAW_OPENBSD = 14,
    LINK_PPP_SERIAL = 50,
    LINK_PPP_ETHER = 51,
    LINK_ATM_LLC = 100,
    LINK_RAW = 101,
    LINK_HDLC = 104,
    LINK_WLAN = 105,
    LINK_ATM_CLIP = 106,
    LINK_FRAME_RELAY = 107,
    LINK_LOOP = 108,
    LINK_ENC = 109,
    LINK_SLL = 113,
    LINK_PFLOG = 117,
    LINK_PRISM = 119,
    LINK_IP_OVER_FC = 122,
    LINK_SUNATM = 123,
    LINK_RADIOTAP = 127,
    LINK_FIREWIRE = 138,
    LINK_DOCSIS = 143,
    LINK_WLAN_AVS = 163,
    LINK_PPP_PPPD = 166,
    LINK_JUNIPER_ETHERNET = 178,
    LINK_JUNIPER_PPP = 179,
    LINK_JUNIPER_FRAME_RELAY = 180,
    LINK_JUNIPER_HDLC = 181,
    LINK_MFR = 182,
    LINK_PPI = 192,
    LINK_ERF = 197,
    LINK_PPP_WITH_DIR = 204,
    LINK_HDLC_WITH_DIR = 205,
    LINK_FRAME_RELAY_WITH_DIR = 206,
    LINK_MPLS = 219,
    LINK_IPNET = 226,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_NFLOG = 239,
    LINK_NETANALYZER = 240,
    LINK_NETANALYZER_TRANSPARENT = 241,
    LINK_IPOIB = 242,
    LINK_PKTAP = 258,
    LINK_ETHERNET_MPACKET = 274,
    LINK_SLL2 = 276,
    LINK_DSA_BROADCOM = 281,
    LINK_DSA_BROADCOM_PREPEND = 282,
    LINK_DSA = 284,
    LINK_EDSA = 285,
};

struct frame {
    const uint8_t *bytes;    /* borrowed from the capture until its next read */
    uint32_t captured_bytes; /* how many of them are there */
    uint32_t wire_bytes;     /* length on the wire; a file may claim less than was captured */
    uint64_t time_ns;        /* since the Unix epoch; 0 where the file has no time */
    uint16_t link_type;      /* enum link_type, or another LINKTYPE number */
    uint16_t interface;      /* index within the capture (pcapng interface block, shard's device) */
};
