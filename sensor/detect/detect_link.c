/* Facts about who is who on a link: ARP, neighbour discovery, router advertisements, DHCP. */
#include <string.h>

#include "sensor/detect/detect_internal.h"
#include "sensor/wire/arp.h"
#include "sensor/wire/dhcp.h"
#include "sensor/wire/dhcpv6.h"
#include "sensor/wire/ethernet.h"
#include "sensor/wire/ndp.h"

#define SLL_HEADER_BYTES  16
#define SLL2_HEADER_BYTES 20

static struct ip_address ipv4_of(const uint8_t bytes[4])
{
    struct ip_address address = {.version = 4};

    memcpy(address.bytes, bytes, 4);
    return memcmp(bytes, (const uint8_t[4]){0}, 4) == 0 ? (struct ip_address){0} : address;
}

static struct ip_address ipv6_of(const uint8_t bytes[16])
{
    struct ip_address address = {.version = 6};

    memcpy(address.bytes, bytes, 16);
    return memcmp(bytes, (const uint8_t[16]){0}, 16) == 0 ? (struct ip_address){0} : address;
}

/* Where the bytes behind the ethertype begin; 0: on a link that has none. */
static uint32_t offset_behind_type(const struct packet *packet)
{
    if ((packet->facts & PACKET_HAS_MACS) != 0) {
        return packet->mac_offset + ETHERNET_HEADER_BYTES +
               VLAN_TAG_BYTES * (uint32_t)packet->vlan_count;
    }
    return packet->link_type == LINK_SLL    ? SLL_HEADER_BYTES
           : packet->link_type == LINK_SLL2 ? SLL2_HEADER_BYTES
                                            : 0;
}

/* Inside a tunnel that carries packets and no frames (Teredo, 6in4, PPP, GTP) there is one
 * neighbour, and nobody else can speak for it. */
static bool is_of_a_link(const struct packet *packet)
{
    const unsigned count =
        packet->tunnel_count < PACKET_TUNNELS_MAX ? packet->tunnel_count : PACKET_TUNNELS_MAX;

    if (count == 0) {
        return true;
    }
    const uint16_t around = packet->tunnel_offsets[count - 1];

    return packet->tunnel_types[count - 1] != TUNNEL_PPPOE &&
           (packet->facts & PACKET_HAS_MACS) != 0 &&
           (around == PACKET_NO_OUTER_IP || packet->mac_offset > around);
}

void detect_link(struct detection_frame *frame, const struct packet *packet, const uint8_t *bytes)
{
    const uint32_t offset = offset_behind_type(packet);
    struct arp arp;

    if (packet->ethertype != ETHERTYPE_ARP || offset == 0 || offset >= packet->captured_bytes) {
        return;
    }
    struct cursor in = cursor_over(bytes + offset, packet->captured_bytes - offset);

    if (arp_parse(&in, &arp) != WIRE_OK || !arp.is_ipv4_over_mac ||
        (arp.kind != ARP_REQUEST && arp.kind != ARP_REPLY && arp.kind != ARP_PROBE &&
         arp.kind != ARP_ANNOUNCEMENT)) {
        return;
    }
    struct detection_fact fact = {.event = DETECTION_ARP,
                                  .type = 4,
                                  .is_answered =
                                      arp.kind == ARP_REPLY || arp.kind == ARP_ANNOUNCEMENT,
                                  .code = arp.kind == ARP_ANNOUNCEMENT,
                                  .source = ipv4_of(arp.sender_ip),
                                  .target = ipv4_of(arp.target_ip),
                                  .time_ns = packet->time_ns};

    memcpy(fact.mac, arp.sender_mac, sizeof(fact.mac));
    detection_frame_add(frame, &fact);
}

static void add_router(struct detection_frame *frame, const struct packet *packet,
                       const struct ndp *ndp)
{
    struct detection_fact fact = {.event = DETECTION_ROUTER,
                                  .type = 6,
                                  .code = ndp->lifetime_seconds,
                                  .source = packet_source(packet),
                                  .target = packet_target(packet),
                                  .time_ns = packet->time_ns};

    memcpy(fact.mac, ndp->source_mac, sizeof(fact.mac));
    detection_frame_add(frame, &fact);
}

static void add_neighbor(struct detection_frame *frame, const struct packet *packet,
                         const struct ndp *ndp)
{
    const bool is_answer = ndp->type == NDP_NEIGHBOR_ADVERTISEMENT;
    const struct ip_address target = packet_target(packet);
    struct detection_fact fact = {.event = DETECTION_ARP,
                                  .type = 6,
                                  .is_answered = is_answer,
                                  .code = is_answer && !ndp->is_solicited,
                                  .source =
                                      is_answer ? ipv6_of(ndp->target) : packet_source(packet),
                                  .target = is_answer ? target : ipv6_of(ndp->target),
                                  .time_ns = packet->time_ns};

    if (memcmp(fact.source.bytes, (const uint8_t[16]){0}, 16) == 0) {
        fact.source.version = 0; /* duplicate address detection */
    }
    memcpy(fact.mac, is_answer ? ndp->target_mac : ndp->source_mac, sizeof(fact.mac));
    detection_frame_add(frame, &fact);
}

void detect_ndp(struct detection_frame *frame, const struct packet *packet, const uint8_t *bytes)
{
    const uint32_t end = packet->network_offset + packet->ip_bytes < packet->captured_bytes
                             ? packet->network_offset + packet->ip_bytes
                             : packet->captured_bytes;
    struct ndp ndp;

    if (!ndp_is_type(packet->icmp_type) || packet->ttl != NDP_HOP_LIMIT || !is_of_a_link(packet) ||
        (packet->facts & (PACKET_HAS_ICMP | PACKET_IS_FRAGMENT)) != PACKET_HAS_ICMP ||
        packet->transport_offset >= end) {
        return;
    }
    const struct wire_span message = {bytes + packet->transport_offset,
                                      end - packet->transport_offset};

    if (ndp_parse(&message, &ndp) != WIRE_OK) {
        return;
    }
    if (ndp.type == NDP_ROUTER_ADVERTISEMENT) {
        add_router(frame, packet, &ndp);
    } else if (ndp.type == NDP_NEIGHBOR_SOLICITATION || ndp.type == NDP_NEIGHBOR_ADVERTISEMENT) {
        add_neighbor(frame, packet, &ndp);
    }
}

/* The MAC of who sent the frame. */
static void add_sender(struct detection_fact *fact, const struct packet *packet,
                       const uint8_t *bytes)
{
    if ((packet->facts & PACKET_HAS_MACS) != 0) {
        memcpy(fact->mac, bytes + packet->mac_offset + sizeof(fact->mac), sizeof(fact->mac));
    }
}

void detect_dhcp(struct detection_frame *frame, const struct packet *packet, const uint8_t *bytes)
{
    const struct wire_span message = {bytes + packet->payload_offset,
                                      packet->payload_captured_bytes};
    struct dhcp dhcp;

    if (packet->payload_captured_bytes == 0 || !is_of_a_link(packet) ||
        dhcp_parse(&message, &dhcp) != WIRE_OK) {
        return;
    }
    struct detection_fact fact = {.event = DETECTION_DHCP,
                                  .type = 4,
                                  .code = dhcp.message_type,
                                  .is_answered = dhcp.is_reply,
                                  .source = packet_source(packet),
                                  .target = packet_target(packet),
                                  .source_port = packet->source_port,
                                  .target_port = packet->target_port,
                                  .time_ns = packet->time_ns};

    if (dhcp.is_reply && ipv4_of(dhcp.server_id).version != 0) {
        fact.source = ipv4_of(dhcp.server_id);
    }
    if (dhcp.has_client_mac) {
        memcpy(fact.client_mac, dhcp.client_mac, sizeof(fact.client_mac));
    }
    add_sender(&fact, packet, bytes);
    detection_frame_add(frame, &fact);
    fact.event = DETECTION_GATEWAY;
    for (uint8_t i = 0; dhcp.is_reply && i < dhcp.router_count; i++) {
        fact.source = ipv4_of(dhcp.routers[i]);
        detection_frame_add(frame, &fact);
    }
}

void detect_dhcpv6(struct detection_frame *frame, const struct packet *packet, const uint8_t *bytes)
{
    const struct wire_span message = {bytes + packet->payload_offset,
                                      packet->payload_captured_bytes};
    struct dhcpv6 dhcp;

    if (packet->payload_captured_bytes == 0 || !is_of_a_link(packet) ||
        dhcpv6_parse(&message, &dhcp) != WIRE_OK) {
        return;
    }
    struct detection_fact fact = {.event = DETECTION_DHCP,
                                  .type = 6,
                                  .code = dhcp.message_type,
                                  .is_answered = dhcp.is_from_server,
                                  .source = packet_source(packet),
                                  .target = packet_target(packet),
                                  .source_port = packet->source_port,
                                  .target_port = packet->target_port,
                                  .time_ns = packet->time_ns};

    add_sender(&fact, packet, bytes);
    detection_frame_add(frame, &fact);
}
