/* Layers of the protocols that tell who is who on a link: ARP, NDP, DHCP, DHCPv6. */
#include "sensor/wire/arp.h"
#include "sensor/wire/dhcp.h"
#include "sensor/wire/dhcpv6.h"
#include "sensor/wire/ndp.h"
#include "sensor/wire/tree_writer.h"
#include "sensor/wire/wire_name.h"

/* ---- ARP ---- */

bool tree_arp(struct tree_writer *writer, struct cursor *c)
{
    struct arp arp;
    const uint8_t *at = c->at;

    if (arp_parse(c, &arp) != WIRE_OK) {
        return false;
    }
    tree_layer(writer, "ARP", at, arp.packet_bytes);
    tree_field(writer, "hardware_type", at, 2, "%u", arp.hardware_type);
    tree_field(writer, "protocol_type", at + 2, 2, "0x%04x", arp.protocol_type);
    tree_field(writer, "hardware_bytes", at + 4, 1, "%u", arp.hardware_bytes);
    tree_field(writer, "protocol_bytes", at + 5, 1, "%u", arp.protocol_bytes);
    tree_field(writer, "operation", at + 6, 2, "%u %s", arp.operation, arp_kind_name(arp.kind));
    if (arp.is_ipv4_over_mac) {
        tree_mac(writer, "sender_mac", at + 8);
        tree_ip(writer, "sender_ip", at + 14, 4);
        tree_mac(writer, "target_mac", at + 18);
        tree_ip(writer, "target_ip", at + 24, 4);
    } else {
        tree_hex(writer, "addresses", at + ARP_HEADER_BYTES, arp.packet_bytes - ARP_HEADER_BYTES);
    }
    return true;
}

/* ---- NDP ---- */

static const char *ndp_option_label(uint8_t type)
{
    switch (type) {
    case 1:
        return "source_link_layer_address";
    case 2:
        return "target_link_layer_address";
    case 3:
        return "prefix";
    case 4:
        return "redirected_header";
    case 5:
        return "mtu";
    case 14:
        return "nonce";
    case 24:
        return "route";
    case 25:
        return "recursive_dns_servers";
    case 31:
        return "dns_search_list";
    default:
        return "option";
    }
}

static void tree_ndp_option(struct tree_writer *writer, const struct ndp_option *option)
{
    const char *name = ndp_option_label(option->type);
    const uint8_t *at = option->at;
    char address[ADDRESS_TEXT_BYTES];
    struct ip_address prefix = {.version = 6};

    switch (option->type) {
    case 1:
    case 2:
        if (option->length == 8) {
            tree_mac(writer, name, at + 2);
            return;
        }
        break;
    case 3:
        if (option->length == 32) {
            memcpy(prefix.bytes, at + 16, 16);
            (void)address_text(&prefix, address);
            tree_field(writer, name, at, option->length, "%s/%u%s%s valid=%us preferred=%us",
                       address, at[2], at[3] & 0x80 ? " on-link" : "",
                       at[3] & 0x40 ? " autonomous" : "", wire_u32(at + 4), wire_u32(at + 8));
            return;
        }
        break;
    case 5:
        if (option->length == 8) {
            tree_field(writer, name, at, option->length, "%u", wire_u32(at + 4));
            return;
        }
        break;
    default:
        break;
    }
    tree_field(writer, name, at, option->length, "type %u, %u bytes", option->type, option->length);
}

static void tree_ndp_fixed(struct tree_writer *writer, const struct ndp *ndp, const uint8_t *at)
{
    switch (ndp->type) {
    case NDP_ROUTER_ADVERTISEMENT:
        tree_field(writer, "hop_limit", at + 4, 1, "%u", ndp->hop_limit);
        tree_field(writer, "flags", at + 5, 1, "0x%02x%s%s", at[5],
                   ndp->is_managed ? " managed" : "", ndp->is_other_config ? " other" : "");
        tree_field(writer, "router_lifetime", at + 6, 2, "%us", ndp->lifetime_seconds);
        tree_field(writer, "reachable_time", at + 8, 4, "%ums", ndp->reachable_ms);
        tree_field(writer, "retransmit_timer", at + 12, 4, "%ums", ndp->retransmit_ms);
        break;
    case NDP_NEIGHBOR_ADVERTISEMENT:
        tree_field(writer, "flags", at + 4, 1, "0x%02x%s%s%s", at[4],
                   ndp->is_router ? " router" : "", ndp->is_solicited ? " solicited" : "",
                   ndp->is_override ? " override" : "");
        tree_ip(writer, "target", at + 8, 6);
        break;
    case NDP_NEIGHBOR_SOLICITATION:
        tree_ip(writer, "target", at + 8, 6);
        break;
    case NDP_REDIRECT:
        tree_ip(writer, "target", at + 8, 6);
        tree_ip(writer, "destination", at + 24, 6);
        break;
    default:
        break;
    }
}

bool tree_ndp(struct tree_writer *writer, const struct wire_span *message)
{
    struct ndp ndp;
    struct ndp_option option;

    if (ndp_parse(message, &ndp) != WIRE_OK) {
        return false;
    }
    struct cursor options = ndp_options(message);

    tree_layer(writer, "NDP", message->bytes, message->length);
    tree_ndp_fixed(writer, &ndp, message->bytes);
    for (unsigned i = 0; i < NDP_OPTIONS_MAX && ndp_option_next(&options, &option); i++) {
        tree_ndp_option(writer, &option);
    }
    if (ndp.is_cut) {
        tree_field(writer, "fault", NULL, 0, "options cut short");
    }
    return true;
}

/* ---- DHCP ---- */

static void tree_dhcp_option(struct tree_writer *writer, const struct dhcp_option_view *option)
{
    const char *known = dhcp_option_name(option->code);
    const char *name = known != NULL ? known : "option";
    const struct wire_span *data = &option->data;
    const size_t length = data->length + 2U;

    switch (option->code) {
    case DHCP_OPTION_MESSAGE_TYPE:
        if (data->length == 1) {
            const char *type = dhcp_message_name(data->bytes[0]);

            tree_field(writer, name, option->at, length, "%u%s%s", data->bytes[0],
                       type != NULL ? " " : "", type != NULL ? type : "");
            return;
        }
        break;
    case DHCP_OPTION_HOST_NAME:
    case DHCP_OPTION_DOMAIN_NAME:
    case DHCP_OPTION_VENDOR_CLASS:
        tree_escaped(writer, name, data);
        return;
    case DHCP_OPTION_LEASE_TIME:
        if (data->length == 4) {
            tree_field(writer, name, option->at, length, "%us", wire_u32(data->bytes));
            return;
        }
        break;
    case DHCP_OPTION_SUBNET_MASK:
    case DHCP_OPTION_ROUTER:
    case DHCP_OPTION_DNS_SERVER:
    case DHCP_OPTION_REQUESTED_ADDRESS:
    case DHCP_OPTION_SERVER_ID:
        for (uint32_t at = 0; at + 4 <= data->length; at += 4) {
            tree_ip(writer, name, data->bytes + at, 4);
        }
        return;
    default:
        break;
    }
    if (known != NULL) {
        tree_hex(writer, name, data->bytes, data->length);
    } else {
        tree_field(writer, name, option->at, length, "%u, %u bytes", option->code, data->length);
    }
}

static void tree_dhcp_fixed(struct tree_writer *writer, const struct dhcp *dhcp, const uint8_t *at)
{
    const char *type = dhcp_message_name(dhcp->message_type);

    tree_field(writer, "message", NULL, 0, "%s", type != NULL ? type : "other");
    tree_field(writer, "op", at, 1, "%u %s", at[0], dhcp->is_reply ? "reply" : "request");
    tree_field(writer, "hardware_type", at + 1, 1, "%u", dhcp->hardware_type);
    tree_field(writer, "hops", at + 3, 1, "%u", dhcp->hops);
    tree_field(writer, "transaction_id", at + 4, 4, "0x%08x", dhcp->transaction_id);
    tree_field(writer, "seconds", at + 8, 2, "%u", dhcp->seconds);
    tree_field(writer, "flags", at + 10, 2, "%s", dhcp->is_broadcast_asked ? "broadcast" : "none");
    tree_ip(writer, "client_ip", at + 12, 4);
    tree_ip(writer, "your_ip", at + 16, 4);
    tree_ip(writer, "next_server_ip", at + 20, 4);
    tree_ip(writer, "relay_ip", at + 24, 4);
    if (dhcp->has_client_mac) {
        tree_mac(writer, "client_mac", at + 28);
    }
}

bool tree_dhcp(struct tree_writer *writer, const struct wire_span *payload)
{
    struct dhcp dhcp;

    if (dhcp_parse(payload, &dhcp) != WIRE_OK) {
        return false;
    }
    tree_layer(writer, "DHCP", payload->bytes, payload->length);
    tree_dhcp_fixed(writer, &dhcp, payload->bytes);
    if (dhcp.has_cookie) {
        struct dhcp_option_walk walk;
        struct dhcp_option_view option;

        dhcp_options(payload, &walk);
        for (unsigned i = 0; i < DHCP_OPTIONS_MAX && dhcp_option_next(&walk, &option); i++) {
            tree_dhcp_option(writer, &option);
        }
    }
    if (dhcp.is_cut) {
        tree_field(writer, "fault", NULL, 0, "options cut short");
    }
    return true;
}

/* ---- DHCPv6 ---- */

static void tree_dhcpv6_option(struct tree_writer *writer, const struct dhcpv6_option_view *option)
{
    const char *name = dhcpv6_option_name(option->code);

    if (name != NULL) {
        tree_hex(writer, name, option->data.bytes, option->data.length);
    } else {
        tree_field(writer, "option", option->at, option->data.length + 4U, "%u, %u bytes",
                   option->code, option->data.length);
    }
}

static void tree_dhcpv6_facts(struct tree_writer *writer, const struct dhcpv6 *dhcp)
{
    char fqdn[WIRE_NAME_BYTES_MAX + 1];

    if (dhcp->has_client_mac) {
        char mac[MAC_TEXT_BYTES];

        (void)mac_text(dhcp->client_mac, mac);
        tree_field(writer, "client_mac", NULL, 0, "%s", mac);
    }
    for (uint8_t i = 0; i < dhcp->address_count; i++) {
        const struct dhcpv6_address *given = &dhcp->addresses[i];
        struct ip_address address = {.version = 6};
        char text[ADDRESS_TEXT_BYTES];

        memcpy(address.bytes, given->address, sizeof(given->address));
        (void)address_text(&address, text);
        tree_field(writer, "address", NULL, 0, "%s/%u preferred=%us valid=%us", text,
                   given->prefix_length, given->preferred_seconds, given->valid_seconds);
    }
    const struct wire_span name = {(const uint8_t *)fqdn,
                                   (uint32_t)wire_name_text(&dhcp->fqdn, fqdn, sizeof(fqdn))};
    if (name.length > 0) {
        char escaped[4 * sizeof(fqdn)];
        struct text text = text_over(escaped, sizeof(escaped));

        text_escaped(&text, name.bytes, name.length);
        tree_field(writer, "fqdn", dhcp->fqdn.bytes, dhcp->fqdn.length, "%s", escaped);
    }
}

bool tree_dhcpv6(struct tree_writer *writer, const struct wire_span *payload)
{
    struct dhcpv6 dhcp;

    if (dhcpv6_parse(payload, &dhcp) != WIRE_OK) {
        return false;
    }
    const char *type = dhcpv6_message_name(dhcp.message_type);
    struct cursor c = cursor_over(payload->bytes, payload->length);
    const bool is_relayed = dhcp.relay_count > 0;
    struct dhcpv6_option_view option;

    tree_layer(writer, "DHCPv6", payload->bytes, payload->length);
    tree_field(writer, "message", NULL, 0, "%u %s", dhcp.message_type,
               type != NULL ? type : "other");
    tree_field(writer, "transaction_id", NULL, 0, "0x%06x", dhcp.transaction_id);
    if (is_relayed) {
        tree_field(writer, "relays", payload->bytes, 1, "%u", dhcp.relay_count);
    }
    tree_dhcpv6_facts(writer, &dhcp);
    cursor_skip(&c, is_relayed ? 34 : 4);
    for (unsigned i = 0; i < DHCPV6_OPTIONS_MAX && c.ok && dhcpv6_option_next(&c, &option); i++) {
        tree_dhcpv6_option(writer, &option);
    }
    if (dhcp.is_cut) {
        tree_field(writer, "fault", NULL, 0, "options cut short");
    }
    return true;
}
