/* Ethernet II and IEEE 802.3, VLAN tags (IEEE 802.1Q, 802.1ad), LLC with SNAP (RFC 1042).
 * Inline, since it is on the way of every packet. Depends on: wire/cursor.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"

#define ETHERNET_HEADER_BYTES 14
#define VLAN_TAG_BYTES        4
#define SNAP_HEADER_BYTES     8
#define VLAN_TAGS_MAX         8 /* tags walked in one frame; a frame with more is malformed */

enum ethertype {
    ETHERTYPE_LENGTH_MAX = 1500, /* up to here the field is a length (IEEE 802.3) */
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_MPLS = 0x8847,
    ETHERTYPE_MPLS_UPSTREAM = 0x8848,
    ETHERTYPE_PPPOE_SESSION = 0x8864,
    ETHERTYPE_SERVICE_VLAN = 0x88a8,
    ETHERTYPE_LLDP = 0x88cc,
    ETHERTYPE_QINQ_9100 = 0x9100,
    ETHERTYPE_QINQ_9200 = 0x9200,
};

struct ethernet {
    const uint8_t *target_mac; /* 6 bytes */
    const uint8_t *source_mac;
    uint16_t ethertype;
};

struct vlan_tag {
    uint16_t id;
    uint8_t priority;
    bool is_drop_eligible;
    uint16_t ethertype; /* of what follows */
};

static inline enum wire_status ethernet_parse(struct cursor *in, struct ethernet *out)
{
    const uint8_t *at = cursor_take(in, ETHERNET_HEADER_BYTES);

    if (at == NULL) {
        return WIRE_TRUNCATED;
    }
    *out =
        (struct ethernet){.target_mac = at, .source_mac = at + 6, .ethertype = wire_u16(at + 12)};
    return WIRE_OK;
}

static inline bool ethertype_is_vlan(uint16_t ethertype)
{
    return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_SERVICE_VLAN ||
           ethertype == ETHERTYPE_QINQ_9100 || ethertype == ETHERTYPE_QINQ_9200;
}

static inline enum wire_status vlan_parse(struct cursor *in, struct vlan_tag *out)
{
    const uint8_t *at = cursor_take(in, VLAN_TAG_BYTES);

    if (at == NULL) {
        return WIRE_TRUNCATED;
    }
    const uint16_t control = wire_u16(at);
    *out = (struct vlan_tag){.id = control & 0x0fff,
                             .priority = (uint8_t)(control >> 13),
                             .is_drop_eligible = (control & 0x1000) != 0,
                             .ethertype = wire_u16(at + 2)};
    return WIRE_OK;
}

/* The ethertype behind an LLC and SNAP header of OUI 0, which is then stepped over; 0 (and `in`
 * where it was) for any other LLC. */
static inline uint16_t snap_parse(struct cursor *in)
{
    struct cursor c = *in;
    const uint8_t *at = cursor_take(&c, SNAP_HEADER_BYTES);

    if (at == NULL || at[0] != 0xaa || at[1] != 0xaa || at[2] != 3 || at[3] != 0 || at[4] != 0 ||
        at[5] != 0) {
        return 0;
    }
    *in = c;
    return wire_u16(at + 6);
}
