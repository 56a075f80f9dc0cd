#include "sensor/inspect/asset.h"

#include <stdio.h>
#include <string.h>

#include "sensor/inspect/handler.h"
#include "sensor/wire/arp.h"
#include "sensor/wire/dhcp.h"
#include "sensor/wire/dhcpv6.h"
#include "sensor/wire/ethernet.h"
#include "sensor/wire/ndp.h"
#include "sensor/wire/wire_name.h"

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* An asset of this packet's link; `ip` NULL: none. */
static struct asset begin(const struct packet *packet, enum asset_source source,
                          const uint8_t mac[6], const uint8_t *ip, uint8_t ip_version)
{
    struct asset asset = {.key = {.interface = packet->interface},
                          .sources = (uint8_t)source,
                          .first_ns = packet->time_ns,
                          .last_ns = packet->time_ns,
                          .sightings = 1};

    memcpy(asset.key.mac, mac, 6);
    if (packet->vlan_count > 0) {
        asset.key.has_vlan = 1;
        asset.key.vlan_id = packet->vlan_ids[packet->vlan_count > 1 ? 1 : 0];
    }
    if (ip != NULL && !is_zero(ip, ip_version == 6 ? 16 : 4)) {
        asset.key.ip_version = ip_version;
        memcpy(asset.key.ip, ip, ip_version == 6 ? 16 : 4);
    }
    return asset;
}

static void set_text(struct asset_text *text, const struct packet *packet,
                     const struct wire_span *bytes)
{
    if (bytes->length > 0) {
        text->length = (uint8_t)inspect_copy(text->bytes, sizeof(text->bytes), bytes);
        text->seen_ns = packet->time_ns;
    }
}

/* ---- ARP, NDP ---- */

uint32_t asset_read_arp(const struct packet *packet, const uint8_t *frame,
                        struct asset out[ASSET_FACTS_MAX], int *kind)
{
    struct arp arp;

    *kind = -1;
    if (packet->ethertype != ETHERTYPE_ARP || packet->ip_version != 0 ||
        packet->payload_offset >= packet->captured_bytes) {
        return 0;
    }
    struct cursor in = cursor_over(frame + packet->payload_offset,
                                   packet->captured_bytes - packet->payload_offset);

    if (arp_parse(&in, &arp) != WIRE_OK) {
        return 0;
    }
    *kind = arp.kind;
    if (!arp_tells_sender(&arp)) {
        return 0;
    }
    out[0] = begin(packet, ASSET_BY_ARP, arp.sender_mac, arp.sender_ip, 4);
    return 1;
}

static uint32_t read_ndp(const struct packet *packet, const uint8_t *frame, struct asset *out)
{
    const uint32_t end = packet->payload_offset + packet->payload_captured_bytes;
    struct ndp ndp;

    if (packet->ttl != NDP_HOP_LIMIT || end <= packet->transport_offset ||
        end > packet->captured_bytes) { /* from another link: it counts for nothing */
        return 0;
    }
    const struct wire_span message = {frame + packet->transport_offset,
                                      end - packet->transport_offset};

    if (ndp_parse(&message, &ndp) != WIRE_OK) {
        return 0;
    }
    const uint8_t *ip = ndp.has_target_mac ? ndp.target : packet->source_ip;
    const uint8_t *mac = ndp.has_target_mac ? ndp.target_mac : ndp.source_mac;

    if ((!ndp.has_target_mac && !ndp.has_source_mac) || (mac[0] & 1) != 0 || is_zero(mac, 6) ||
        is_zero(ip, 16)) {
        return 0;
    }
    out[0] = begin(packet, ASSET_BY_NDP, mac, ip, 6);
    if (ndp.is_router || (ndp.type == NDP_ROUTER_ADVERTISEMENT && ndp.lifetime_seconds > 0)) {
        out[0].roles = ASSET_IS_ROUTER;
    }
    return 1;
}

/* ---- DHCP ---- */

static void set_fingerprint(struct asset_text *text, const struct packet *packet,
                            const struct wire_span *list, uint32_t width)
{
    char numbers[ASSET_TEXT_BYTES] = "";
    int used = 0;

    for (uint32_t at = 0; at + width <= list->length; at += width) {
        const unsigned number = width == 1 ? list->bytes[at] : wire_u16(list->bytes + at);
        const int more = snprintf(numbers + used, sizeof(numbers) - (size_t)used, "%s%u",
                                  used > 0 ? "," : "", number);

        if (more < 0 || used + more >= (int)sizeof(numbers)) {
            numbers[used] = '\0'; /* whole numbers alone */
            break;
        }
        used += more;
    }
    const struct wire_span bytes = {(const uint8_t *)numbers, (uint32_t)used};

    set_text(text, packet, &bytes);
}

static uint32_t read_dhcp_client(const struct packet *packet, const struct dhcp *dhcp,
                                 struct asset *out)
{
    char name[WIRE_NAME_BYTES_MAX + 1];
    const struct wire_span fqdn = {(const uint8_t *)name,
                                   (uint32_t)dhcp_fqdn_text(dhcp, name, sizeof(name))};

    if (!dhcp->has_client_mac) {
        return 0;
    }
    out[0] = begin(packet, ASSET_BY_DHCP, dhcp->client_mac, NULL, 4);
    set_text(&out[0].host_name, packet, dhcp->host_name.length > 0 ? &dhcp->host_name : &fqdn);
    set_text(&out[0].vendor_class, packet, &dhcp->vendor_class);
    set_fingerprint(&out[0].fingerprint, packet, &dhcp->parameter_list, 1);
    if (is_zero(dhcp->client_ip, 4)) {
        return 1;
    }
    out[1] = begin(packet, ASSET_BY_DHCP, dhcp->client_mac, dhcp->client_ip, 4);
    return 2;
}

static uint32_t read_dhcp_server(const struct packet *packet, const uint8_t *frame,
                                 const struct dhcp *dhcp, struct asset *out)
{
    const bool is_relayed = !is_zero(dhcp->relay_ip, 4) || dhcp->hops > 0;
    uint32_t count = 0;

    if (dhcp->message_type == DHCP_ACK && dhcp->has_client_mac) {
        const uint8_t *ip = is_zero(dhcp->your_ip, 4) ? dhcp->client_ip : dhcp->your_ip;

        out[count] = begin(packet, ASSET_BY_DHCP, dhcp->client_mac, ip, 4);
        count += out[count].key.ip_version != 0;
    }
    /* The sender's own MAC stands in the frame, when no relay is between. */
    if (!is_relayed && (packet->facts & PACKET_HAS_MACS) != 0 && packet->tunnel_count == 0 &&
        (dhcp->message_type == DHCP_OFFER || dhcp->message_type == DHCP_ACK ||
         dhcp->message_type == DHCP_NAK)) {
        out[count] = begin(packet, ASSET_BY_DHCP, frame + packet->mac_offset + 6, packet->source_ip,
                           packet->ip_version);
        out[count].roles = ASSET_IS_DHCP_SERVER;
        count += out[count].key.ip_version != 0;
    }
    return count;
}

static uint32_t read_dhcpv6(const struct packet *packet, const struct wire_span *payload,
                            struct asset *out)
{
    struct dhcpv6 dhcp;
    char name[WIRE_NAME_BYTES_MAX + 1];
    uint32_t count = 0;

    if (dhcpv6_parse(payload, &dhcp) != WIRE_OK || !dhcp.has_client_mac) {
        return 0;
    }
    if (!dhcp.is_from_server) {
        const struct wire_span fqdn = {(const uint8_t *)name,
                                       (uint32_t)wire_name_text(&dhcp.fqdn, name, sizeof(name))};

        out[count] = begin(packet, ASSET_BY_DHCPV6, dhcp.client_mac, NULL, 6);
        set_text(&out[count].host_name, packet, &fqdn);
        set_fingerprint(&out[count].fingerprint, packet, &dhcp.option_request, 2);
        count++;
    }
    for (uint8_t i = 0; dhcp.message_type == DHCPV6_REPLY && i < dhcp.address_count; i++) {
        if (dhcp.addresses[i].prefix_length == 128 && dhcp.addresses[i].valid_seconds > 0) {
            out[count] =
                begin(packet, ASSET_BY_DHCPV6, dhcp.client_mac, dhcp.addresses[i].address, 6);
            count += out[count].key.ip_version != 0;
        }
    }
    return count;
}
static_assert(DHCPV6_ADDRESSES_MAX + 1 <= ASSET_FACTS_MAX, "a reply tells no more");

uint32_t asset_read(const struct packet *packet, const uint8_t *frame,
                    struct asset out[ASSET_FACTS_MAX])
{
    const struct wire_span payload = {frame + packet->payload_offset,
                                      packet->payload_captured_bytes};
    struct dhcp dhcp;

    if (packet->protocol == IP_PROTOCOL_ICMPV6) {
        return read_ndp(packet, frame, out);
    }
    if (packet->ip_version == 6) {
        return read_dhcpv6(packet, &payload, out);
    }
    if (dhcp_parse(&payload, &dhcp) != WIRE_OK) {
        return 0;
    }
    return dhcp.is_reply ? read_dhcp_server(packet, frame, &dhcp, out)
                         : read_dhcp_client(packet, &dhcp, out);
}

/* ---- merging ---- */

/* The later text; of two at one time the larger, so that the order makes no difference. */
static void merge_text(struct asset_text *into, const struct asset_text *from)
{
    const bool is_later = from->seen_ns > into->seen_ns;
    const bool is_larger =
        from->seen_ns == into->seen_ns && from->seen_ns != 0 &&
        (from->length > into->length ||
         (from->length == into->length && memcmp(from->bytes, into->bytes, from->length) > 0));

    if (is_later || is_larger) {
        *into = *from;
    }
}

void asset_merge(struct asset *into, const struct asset *from)
{
    into->sources |= from->sources;
    into->roles |= from->roles;
    into->first_ns = from->first_ns < into->first_ns ? from->first_ns : into->first_ns;
    into->last_ns = from->last_ns > into->last_ns ? from->last_ns : into->last_ns;
    into->sightings += from->sightings;
    merge_text(&into->host_name, &from->host_name);
    merge_text(&into->vendor_class, &from->vendor_class);
    merge_text(&into->fingerprint, &from->fingerprint);
}
