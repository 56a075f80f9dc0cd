#include "sensor/wire/walk.h"

#include <assert.h>

#include "sensor/wire/walk_frame.h"

/* A layer may take VLAN tags, an IPv6 header and all extension headers of 2048 + 8 bytes at once.
 */
#define STEP_BYTES_MAX                                                                             \
    (ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + IPV6_EXTENSIONS_MAX * 2056 + 256)
#define WALK_OFFSET_MAX 32000
static_assert(WALK_OFFSET_MAX + STEP_BYTES_MAX < UINT16_MAX, "header offsets fit 16 bits");

static void layer_ethernet(struct walk *walk)
{
    walk_ethernet(walk);
}

static void layer_ipv4(struct walk *walk)
{
    walk_ipv4(walk);
}

static void layer_ipv6(struct walk *walk)
{
    walk_ipv6(walk);
}

static void layer_ip_in_ip(struct walk *walk)
{
    walk_tunnel(walk, TUNNEL_IP_IN_IP, 0);
    walk_ip(walk);
}

static void (*const layers[LAYER_COUNT])(struct walk *) = {
    [LAYER_ETHERNET] = layer_ethernet,
    [LAYER_SLL] = walk_sll,
    [LAYER_LOOPBACK] = walk_loopback,
    [LAYER_RAW] = walk_ip,
    [LAYER_PPP] = walk_ppp,
    [LAYER_HDLC] = walk_hdlc,
    [LAYER_FRAME_RELAY] = walk_frame_relay,
    [LAYER_FDDI] = walk_fddi,
    [LAYER_TOKEN_RING] = walk_token_ring,
    [LAYER_WLAN] = walk_wlan,
    [LAYER_RADIO] = walk_radio,
    [LAYER_NFLOG] = walk_nflog,
    [LAYER_IPOIB] = walk_ipoib,
    [LAYER_PKTAP] = walk_pktap,
    [LAYER_DSA] = walk_dsa,
    [LAYER_DOCSIS] = walk_docsis,
    [LAYER_MFR] = walk_mfr,
    [LAYER_SLIP] = walk_slip,
    [LAYER_ATM] = walk_atm,
    [LAYER_ERF] = walk_erf,
    [LAYER_JUNIPER] = walk_juniper,
    [LAYER_WRAPPER] = walk_wrapper,
    [LAYER_VLAN] = walk_vlan,
    [LAYER_LLC] = walk_llc,
    [LAYER_PBB] = walk_pbb,
    [LAYER_VNTAG] = walk_vntag,
    [LAYER_ETAG] = walk_etag,
    [LAYER_HSR] = walk_hsr,
    [LAYER_MACSEC] = walk_macsec,
    [LAYER_TRUSTSEC] = walk_trustsec,
    [LAYER_ARISTA] = walk_arista,
    [LAYER_FABRICPATH] = walk_fabricpath,
    [LAYER_ISL] = walk_isl,
    [LAYER_MPLS] = walk_mpls,
    [LAYER_PSEUDOWIRE] = walk_pseudowire,
    [LAYER_PPPOE] = walk_pppoe,
    [LAYER_IPV4] = layer_ipv4,
    [LAYER_IPV6] = layer_ipv6,
    [LAYER_IP_IN_IP] = layer_ip_in_ip,
    [LAYER_GRE] = walk_gre,
    [LAYER_ERSPAN] = walk_erspan,
    [LAYER_WCCP] = walk_wccp,
    [LAYER_VXLAN] = walk_vxlan,
    [LAYER_VXLAN_GPE] = walk_vxlan_gpe,
    [LAYER_GENEVE] = walk_geneve,
    [LAYER_GTP_U] = walk_gtp,
    [LAYER_TEREDO] = walk_teredo,
    [LAYER_AYIYA] = walk_ayiya,
    [LAYER_L2TP] = walk_l2tp,
    [LAYER_NSH] = walk_nsh,
    [LAYER_ETHERIP] = walk_etherip,
    [LAYER_CAPWAP] = walk_capwap,
    [LAYER_TZSP] = walk_tzsp,
    [LAYER_LISP] = walk_lisp,
    [LAYER_GUE] = walk_gue,
    [LAYER_PIM] = walk_pim,
};

void walk_on(struct walk *walk)
{
    for (unsigned steps = 0; walk->next != LAYER_NONE; steps++) {
        const enum wire_layer layer = (enum wire_layer)walk->next;

        if (steps == walk->rules->layers_max || walk_offset(walk) > WALK_OFFSET_MAX) {
            walk_fault(walk, layer, DECODE_TOO_DEEP);
            return;
        }
        walk->layer = (uint8_t)layer;
        walk->next = LAYER_NONE;
        layers[layer](walk);
    }
}

void walk_fault(struct walk *walk, enum wire_layer layer, enum decode_reason reason)
{
    static const char *const names[DECODE_REASON_COUNT] = {
        [DECODE_TRUNCATED] = "Truncated",      [DECODE_MALFORMED] = "Malformed",
        [DECODE_TOO_DEEP] = "Too deep",        [DECODE_UNSUPPORTED] = "Data",
        [DECODE_PROTECTED] = "Encrypted data",
    };

    walk->out->fault_layer = (uint8_t)layer;
    walk->out->fault_reason = (uint8_t)reason;
    walk->next = LAYER_NONE;
    if (walk->tree != NULL && names[reason] != NULL) {
        tree_layer(walk->tree, names[reason], walk->at.at, walk_left(walk));
    }
}

void walk_short(struct walk *walk, enum wire_layer layer)
{
    const bool is_cut = walk->out->ip_version == 0 || walk->missing_bytes > 0;

    walk_fault(walk, layer, is_cut ? DECODE_TRUNCATED : DECODE_MALFORMED);
}

void walk_tunnel(struct walk *walk, enum tunnel_type type, uint32_t id)
{
    const struct packet *out = walk->out;

    if (walk->tunnel_count < PACKET_TUNNELS_MAX) {
        walk->tunnel_types[walk->tunnel_count] = (uint8_t)type;
        walk->tunnel_ids[walk->tunnel_count] = id;
        walk->tunnel_offsets[walk->tunnel_count] =
            out->ip_version != 0 ? out->network_offset : PACKET_NO_OUTER_IP;
    }
    if (walk->tunnel_count == 0) {
        walk->tenant = 0;
        walk->mac_offset = 0;
    }
    if (walk->tunnel_count < UINT8_MAX) {
        walk->tunnel_count++;
    }
    walk->tenant = packet_tenant(walk->tenant, type, id);
    walk->has_payload = false;
}

/* What the IP header outside said of itself: the one inside begins anew. */
static void forget_outer(struct packet *out)
{
    if ((out->facts & (PACKET_IS_FRAGMENT | PACKET_OUTER_FRAGMENT)) == PACKET_IS_FRAGMENT) {
        out->facts |= PACKET_OUTER_FRAGMENT;
        out->outer_fragment_offset = out->network_offset;
    }
    out->facts &= PACKET_HAS_MACS | PACKET_HAS_SLL_SOURCE | PACKET_CHECKSUM_SEEN |
                  PACKET_CHECKSUM_BAD | PACKET_OUTER_FRAGMENT;
    memset(out->source_ip, 0, sizeof(out->source_ip));
    memset(out->target_ip, 0, sizeof(out->target_ip));
    out->source_port = out->target_port = 0;
    out->ip_bytes = 0;
    out->icmp_type = out->icmp_code = 0;
    out->icmp_id = 0;
    out->payload_bytes = out->payload_captured_bytes = out->payload_offset = 0;
    out->fragment_offset_bytes = 0;
    out->ip_id = 0;
    out->flow_label = 0;
    out->transport_offset = 0;
}

void walk_descend(struct walk *walk)
{
    struct packet *out = walk->out;
    const unsigned count =
        walk->tunnel_count < PACKET_TUNNELS_MAX ? walk->tunnel_count : PACKET_TUNNELS_MAX;

    if (out->ip_version != 0) {
        forget_outer(out);
    }
    for (unsigned i = out->tunnel_count; i < count; i++) {
        out->tunnel_types[i] = walk->tunnel_types[i];
        out->tunnel_ids[i] = walk->tunnel_ids[i];
        out->tunnel_offsets[i] = walk->tunnel_offsets[i];
    }
    out->tunnel_count = walk->tunnel_count;
    out->tenant = walk->tenant;
    if (walk->mac_offset != 0) {
        out->facts = (uint16_t)((out->facts & ~PACKET_HAS_SLL_SOURCE) | PACKET_HAS_MACS);
        out->mac_offset = walk->mac_offset;
    }
}

static enum wire_layer ethertype_layer(uint16_t ethertype)
{
    switch (ethertype) {
    case ETHERTYPE_IPV4:
        return LAYER_IPV4;
    case ETHERTYPE_IPV6:
        return LAYER_IPV6;
    case ETHERTYPE_VLAN:
    case ETHERTYPE_SERVICE_VLAN:
    case ETHERTYPE_QINQ_9100:
    case ETHERTYPE_QINQ_9200:
    case ETHERTYPE_QINQ_9300:
        return LAYER_VLAN;
    case ETHERTYPE_MPLS:
    case ETHERTYPE_MPLS_UPSTREAM:
        return LAYER_MPLS;
    case ETHERTYPE_PPPOE_SESSION:
        return LAYER_PPPOE;
    case ETHERTYPE_PPP:
        return LAYER_PPP;
    case ETHERTYPE_BRIDGING:
        return LAYER_ETHERNET;
    case ETHERTYPE_PBB:
        return LAYER_PBB;
    case ETHERTYPE_VNTAG:
        return LAYER_VNTAG;
    case ETHERTYPE_ETAG:
        return LAYER_ETAG;
    case ETHERTYPE_HSR:
        return LAYER_HSR;
    case ETHERTYPE_EDSA:
        return LAYER_DSA;
    case ETHERTYPE_MACSEC:
        return LAYER_MACSEC;
    case ETHERTYPE_TRUSTSEC:
        return LAYER_TRUSTSEC;
    case ETHERTYPE_ARISTA:
        return LAYER_ARISTA;
    case ETHERTYPE_FABRICPATH:
        return LAYER_FABRICPATH;
    case ETHERTYPE_NSH:
        return LAYER_NSH;
    case ETHERTYPE_JUMBO_LLC:
        return LAYER_LLC;
    default:
        return ethertype <= ETHERTYPE_LENGTH_MAX ? LAYER_LLC : LAYER_NONE;
    }
}

void walk_not_ip(struct walk *walk)
{
    struct packet *out = walk->out;

    if (out->ip_version == 0 && walk->tunnel_count == 0) {
        out->payload_offset = walk_offset(walk); /* for who reads ARP; it is no payload */
    }
    struct cursor c = walk->at;
    if (walk->tree != NULL && (walk->ethertype != ETHERTYPE_ARP || !tree_arp(walk->tree, &c))) {
        tree_not_ip(walk->tree, &walk->at, walk->ethertype);
    }
}

void walk_ethertype(struct walk *walk, uint16_t ethertype)
{
    const enum wire_layer layer = ethertype_layer(ethertype);

    walk->ethertype = ethertype;
    if (walk->out->ip_version == 0 && walk->tunnel_count == 0) {
        walk->out->ethertype = ethertype;
    }
    if (layer != LAYER_NONE) {
        walk_to(walk, layer);
    }
    if (walk->next == LAYER_NONE) {
        walk_not_ip(walk);
    }
}

uint16_t packet_tenant(uint16_t tenant, enum tunnel_type type, uint32_t id)
{
    switch (type) {
    case TUNNEL_VXLAN:
    case TUNNEL_VXLAN_GPE:
    case TUNNEL_GENEVE:
    case TUNNEL_NVGRE:
    case TUNNEL_PBB:
        break;
    case TUNNEL_GRE:
    case TUNNEL_LISP:
        if (id == 0) {
            return tenant;
        }
        break;
    default:
        return tenant;
    }
    uint32_t mixed = (id + 1) * UINT32_C(0x9e3779b1) + (uint32_t)type * UINT32_C(0x85ebca6b) +
                     tenant * UINT32_C(0xc2b2ae35);
    mixed ^= mixed >> 16;
    mixed &= UINT16_MAX;
    return (uint16_t)(mixed < 2 ? mixed + 2 : mixed);
}

enum packet_verdict walk_verdict(const struct packet *packet)
{
    switch ((enum decode_reason)packet->fault_reason) {
    case DECODE_TRUNCATED:
        return PACKET_TRUNCATED;
    case DECODE_MALFORMED:
    case DECODE_TOO_DEEP:
        return PACKET_MALFORMED;
    default:
        break;
    }
    if (packet->ip_version != 0) {
        return PACKET_OK; /* what is inside stays payload */
    }
    return packet->fault_layer == LAYER_LINK ? PACKET_UNSUPPORTED_LINK : PACKET_NOT_IP;
}
