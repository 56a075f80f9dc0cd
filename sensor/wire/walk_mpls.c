#include "sensor/wire/ethernet.h"
#include "sensor/wire/walk.h"

/* MPLS (RFC 3032) does not say what its labels are around: IP is told by its first half byte, a
 * pseudowire (RFC 4448, 4385) by the Ethernet header it must have. Network service headers (RFC
 * 8300). */

#define MPLS_LABELS_MAX 16
#define LABEL_IPV4_NULL 0
#define LABEL_IPV6_NULL 2
#define CHANNEL_NIBBLE  1 /* RFC 5586: an associated channel */
#define CONTROL_WORD    4

static bool is_known_ethertype(uint16_t ethertype)
{
    switch (ethertype) {
    case ETHERTYPE_IPV4:
    case ETHERTYPE_IPV6:
    case ETHERTYPE_ARP:
    case ETHERTYPE_VLAN:
    case ETHERTYPE_SERVICE_VLAN:
    case ETHERTYPE_QINQ_9100:
    case ETHERTYPE_MPLS:
    case ETHERTYPE_PPPOE_DISCOVERY:
    case ETHERTYPE_PPPOE_SESSION:
    case ETHERTYPE_LLDP:
    case ETHERTYPE_PBB:
        return true;
    default:
        return false;
    }
}

bool walk_is_ethernet(const struct walk *walk, uint32_t offset)
{
    const uint8_t *at = walk->at.at + offset;

    if (walk_left(walk) < offset + ETHERNET_HEADER_BYTES) {
        return false;
    }
    const uint16_t ethertype = wire_u16(at + 12);

    if ((at[6] & 1) != 0) {
        return false; /* no group sends */
    }
    return is_known_ethertype(ethertype) ||
           (ethertype <= ETHERTYPE_LENGTH_MAX && ethertype >= 3 &&
            ethertype <= walk_declared(walk) - offset - ETHERNET_HEADER_BYTES &&
            walk_left(walk) > offset + ETHERNET_HEADER_BYTES + 3 && at[14] == at[15]);
}

void walk_pseudowire(struct walk *walk)
{
    const uint8_t *at = walk->at.at;
    const bool may_have_word = walk_left(walk) >= CONTROL_WORD && at[0] >> 4 == 0;

    /* A control word begins with 0000, and so do the addresses of many vendors. */
    if (may_have_word && walk_is_ethernet(walk, CONTROL_WORD)) {
        (void)walk_take(walk, CONTROL_WORD);
        if (walk->tree != NULL) {
            tree_layer(walk->tree, "Pseudowire control word", at, CONTROL_WORD);
            tree_field(walk->tree, "sequence", at + 2, 2, "%u", wire_u16(at + 2));
        }
        walk->next = LAYER_ETHERNET;
    } else if (walk_is_ethernet(walk, 0)) {
        walk->next = LAYER_ETHERNET;
    } else {
        walk_fault(walk, LAYER_PSEUDOWIRE, DECODE_UNSUPPORTED);
    }
}

static void go_on_behind_labels(struct walk *walk, uint32_t bottom)
{
    if (walk_left(walk) == 0) {
        walk_short(walk, LAYER_MPLS);
        return;
    }
    const unsigned nibble = *walk->at.at >> 4;
    const bool is_cut = walk_left(walk) < 40; /* too short to check the lengths of IPv6 */

    if (bottom == LABEL_IPV4_NULL && nibble == 4) {
        walk->next = LAYER_IPV4;
    } else if (bottom == LABEL_IPV6_NULL && nibble == 6) {
        walk->next = LAYER_IPV6;
    } else if (nibble == CHANNEL_NIBBLE) {
        walk->ethertype = 0;
        walk_not_ip(walk);
    } else if ((nibble == 4 || nibble == 6) &&
               (walk_is_ip(walk) || is_cut || !walk_is_ethernet(walk, 0))) {
        walk_ip(walk);
    } else {
        walk_to(walk, LAYER_PSEUDOWIRE);
    }
}

void walk_mpls(struct walk *walk)
{
    uint32_t entry;
    unsigned count = 0;

    do {
        const uint8_t *at = walk_take(walk, 4);

        if (at == NULL) {
            walk_short(walk, LAYER_MPLS);
            return;
        }
        if (count++ == MPLS_LABELS_MAX) {
            walk_fault(walk, LAYER_MPLS, DECODE_TOO_DEEP);
            return;
        }
        entry = wire_u32(at);
        if (walk->tree != NULL) {
            tree_layer(walk->tree, "MPLS", at, 4);
            tree_field(walk->tree, "label", at, 3, "%u", entry >> 12);
            tree_field(walk->tree, "class", at + 2, 1, "%u", entry >> 9 & 7);
            tree_field(walk->tree, "bottom", at + 2, 1, "%s", (entry & 0x100) != 0 ? "yes" : "no");
            tree_field(walk->tree, "ttl", at + 3, 1, "%u", entry & 0xff);
        }
    } while ((entry & 0x100) == 0);
    walk_tunnel(walk, TUNNEL_MPLS, entry >> 12);
    go_on_behind_labels(walk, entry >> 12);
}

enum nsh_protocol {
    NSH_IPV4 = 1,
    NSH_IPV6 = 2,
    NSH_ETHERNET = 3,
    NSH_NSH = 4,
    NSH_MPLS = 5,
};

void walk_nsh_protocol(struct walk *walk, uint8_t protocol)
{
    switch (protocol) {
    case NSH_IPV4:
        walk->next = LAYER_IPV4;
        break;
    case NSH_IPV6:
        walk->next = LAYER_IPV6;
        break;
    case NSH_ETHERNET:
        walk->next = LAYER_ETHERNET;
        break;
    case NSH_NSH:
        walk_to(walk, LAYER_NSH);
        break;
    case NSH_MPLS:
        walk_to(walk, LAYER_MPLS);
        break;
    default:
        walk_fault(walk, (enum wire_layer)walk->layer, DECODE_UNSUPPORTED);
        break;
    }
}

void walk_nsh(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 8) {
        walk_short(walk, LAYER_NSH);
        return;
    }
    const uint32_t header_bytes = (at[1] & 0x3fU) * 4U;
    const uint32_t path = wire_u32(at + 4) >> 8;

    if (at[0] >> 6 != 0 || header_bytes < 8) {
        walk_fault(walk, LAYER_NSH, DECODE_MALFORMED);
        return;
    }
    if (walk_take(walk, header_bytes) == NULL) {
        walk_short(walk, LAYER_NSH);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "NSH", at, header_bytes);
        tree_field(walk->tree, "next_protocol", at + 3, 1, "%u", at[3]);
        tree_field(walk->tree, "service_path", at + 4, 3, "%u", path);
        tree_field(walk->tree, "service_index", at + 7, 1, "%u", at[7]);
    }
    walk_tunnel(walk, TUNNEL_NSH, path);
    walk_nsh_protocol(walk, at[3]);
}
