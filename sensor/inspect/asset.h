/* Who is who on a link: what ARP, neighbour discovery and DHCP say of an address and its MAC.
 *
 * An asset is a pair of address and MAC on one interface and VLAN; one without an address holds
 * what a client says of itself before it has one (DHCP host name, vendor class). Merging does not
 * depend on the order, so shards may see parts of it. Depends on: base, wire. Pure, any thread. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "sensor/wire/packet.h"

#define ASSET_TEXT_BYTES 64 /* longer texts are cut */
#define ASSET_FACTS_MAX  6  /* told by one packet */

enum asset_source { /* bits; the numbers of netscope.v1.AssetSource are their places from 1 on */
                    ASSET_BY_ARP = 1 << 0,
                    ASSET_BY_NDP = 1 << 1,
                    ASSET_BY_DHCP = 1 << 2,
                    ASSET_BY_DHCPV6 = 1 << 3,
};

enum asset_role {
    ASSET_IS_ROUTER = 1 << 0,      /* it advertised itself as one */
    ASSET_IS_DHCP_SERVER = 1 << 1, /* it answered as one */
};

struct asset_text {
    uint64_t seen_ns; /* 0: none */
    uint8_t length;
    char bytes[ASSET_TEXT_BYTES]; /* printable ASCII, other bytes as \xHH */
};

struct asset_key { /* no padding: compared and hashed as bytes */
    uint8_t ip[16];
    uint8_t mac[6];
    uint16_t vlan_id;
    uint16_t interface; /* frame.interface */
    uint8_t ip_version; /* 0: no address is known */
    uint8_t has_vlan;
    uint32_t reserved;
};
static_assert(sizeof(struct asset_key) == 32, "four words");

struct asset {
    struct asset_key key;
    uint8_t sources; /* enum asset_source */
    uint8_t roles;   /* enum asset_role */
    uint64_t first_ns, last_ns;
    uint64_t sightings; /* packets that told it */
    struct asset_text host_name, vendor_class;
    struct asset_text fingerprint; /* DHCP option 55: numbers with commas */
};

/* Whether a packet could tell of one: one or two comparisons. */
static inline bool asset_wants(const struct packet *packet)
{
    switch (packet->protocol) {
    case IP_PROTOCOL_UDP:
        return (packet->target_port == 67 || packet->target_port == 68 ||
                packet->target_port == 546 || packet->target_port == 547) &&
               (packet->facts & PACKET_IS_LATER_FRAGMENT) == 0;
    case IP_PROTOCOL_ICMPV6:
        return packet->icmp_type >= 133 && packet->icmp_type <= 137 &&
               (packet->facts & PACKET_IS_LATER_FRAGMENT) == 0;
    default:
        return false;
    }
}

/* What an IP packet that asset_wants tells; `frame` are its captured bytes. Returns how many. */
uint32_t asset_read(const struct packet *packet, const uint8_t *frame,
                    struct asset out[ASSET_FACTS_MAX]);
/* What a frame of ARP tells, and of which kind it is (enum arp_kind; -1: no ARP that can be read).
 */
uint32_t asset_read_arp(const struct packet *packet, const uint8_t *frame,
                        struct asset out[ASSET_FACTS_MAX], int *kind);

/* Adds what `from`, of the same key, knows. */
void asset_merge(struct asset *into, const struct asset *from);
