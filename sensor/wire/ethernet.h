/* Sizes and ethertypes (IANA, IEEE) of Ethernet II, IEEE 802.3 and what is tagged on it.
 * Depends on: libc. Pure, any thread. */
#pragma once

#include <stdint.h>

#define ETHERNET_HEADER_BYTES 14
#define VLAN_TAG_BYTES        4
#define SNAP_HEADER_BYTES     8
#define VLAN_TAGS_MAX         8 /* tags walked in one frame; a frame with more is malformed */

enum ethertype {
    ETHERTYPE_LENGTH_MAX = 1500, /* up to here the field is a length (IEEE 802.3) */
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    ETHERTYPE_BRIDGING = 0x6558, /* an Ethernet frame (RFC 1701) */
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_PPP = 0x880b,
    ETHERTYPE_WCCP = 0x883e, /* in GRE alone, as are the two of ERSPAN */
    ETHERTYPE_MPLS = 0x8847,
    ETHERTYPE_MPLS_UPSTREAM = 0x8848,
    ETHERTYPE_PPPOE_DISCOVERY = 0x8863,
    ETHERTYPE_PPPOE_SESSION = 0x8864,
    ETHERTYPE_JUMBO_LLC = 0x8870,
    ETHERTYPE_SERVICE_VLAN = 0x88a8,
    ETHERTYPE_ERSPAN = 0x88be,
    ETHERTYPE_ERSPAN_3 = 0x22eb,
    ETHERTYPE_LLDP = 0x88cc,
    ETHERTYPE_MACSEC = 0x88e5,
    ETHERTYPE_PBB = 0x88e7,
    ETHERTYPE_FABRICPATH = 0x8903,
    ETHERTYPE_TRUSTSEC = 0x8909,
    ETHERTYPE_VNTAG = 0x8926,
    ETHERTYPE_HSR = 0x892f,
    ETHERTYPE_ETAG = 0x893f,
    ETHERTYPE_NSH = 0x894f,
    ETHERTYPE_ARISTA = 0xd28b,
    ETHERTYPE_QINQ_9100 = 0x9100,
    ETHERTYPE_QINQ_9200 = 0x9200,
    ETHERTYPE_QINQ_9300 = 0x9300,
    ETHERTYPE_EDSA = 0xdada, /* what Linux writes before a Marvell tag */
};
