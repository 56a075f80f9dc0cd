#include "collector-ui/capture/capture_filter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/byte_order.h"

#define HOSTS_MAX 8 /* of one side of an alert */
#define PORTS_MAX 8

enum { ICMP = 1, TCP = 6, UDP = 17, ICMP6 = 58, SCTP = 132 };

/* As in the .proto file (TunnelType). */
enum {
    TUNNEL_GRE = 1,
    TUNNEL_VXLAN = 2,
    TUNNEL_GENEVE = 3,
    TUNNEL_IP_IN_IP = 4,
    TUNNEL_GTP_U = 5,
    TUNNEL_TEREDO = 6,
    TUNNEL_MPLS = 8,
    TUNNEL_ERSPAN = 9,
    TUNNEL_PPPOE = 10,
    TUNNEL_VXLAN_GPE = 11,
    TUNNEL_NVGRE = 12,
    TUNNEL_PPTP = 13,
    TUNNEL_ETHERIP = 15,
    TUNNEL_AYIYA = 16,
    TUNNEL_CAPWAP = 18,
    TUNNEL_TZSP = 19
};

/* A text that grows; what does not fit makes it bad. */
struct text {
    char *bytes;
    size_t length, room;
    bool is_cut;
};

static void add(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct text *text, const char *format, ...)
{
    const size_t left = text->room - text->length;
    char *at = text->bytes + text->length;
    va_list arguments;

    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the analyzer loses it in callers */
    const int length = vsnprintf(at, left, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= left) {
        text->is_cut = true;
        *at = '\0';
    } else {
        text->length += (size_t)length;
    }
}

static void add_host(struct text *text, const struct ip_address *address)
{
    char name[ADDRESS_TEXT_BYTES];

    (void)address_text(address, name);
    add(text, "host %s", name);
}

static void add_and(struct text *text)
{
    if (text->length > 0) {
        add(text, " and ");
    }
}

/* ---- flows ---- */

static void add_hosts(struct text *text, const struct ip_address *a, const struct ip_address *b)
{
    add_host(text, a);
    if (!address_equal(a, b)) {
        add(text, " and ");
        add_host(text, b);
    }
}

static void add_protocol(struct text *text, bool is_v6, uint8_t protocol)
{
    const char *name = protocol == ICMP    ? "icmp"
                       : protocol == TCP   ? "tcp"
                       : protocol == UDP   ? "udp"
                       : protocol == ICMP6 ? "icmp6"
                       : protocol == SCTP  ? "sctp"
                                           : NULL;

    if (name != NULL) {
        add(text, "%s", name);
    } else {
        add(text, "%s proto %u", is_v6 ? "ip6" : "ip", protocol);
    }
}

/* Addresses, protocol, ports: as it is between its ends. */
static void add_ends(struct text *text, const struct flow_record *flow)
{
    const uint16_t client = flow->client.port;
    const uint16_t server = flow->server.port;
    const bool has_ports =
        flow->ip_protocol == TCP || flow->ip_protocol == UDP || flow->ip_protocol == SCTP;

    add_protocol(text, flow->ip_version == 6, flow->ip_protocol);
    add(text, " and ");
    add_hosts(text, &flow->client.ip, &flow->server.ip);
    if (has_ports && client != 0) {
        add(text, " and port %u", client);
    }
    if (has_ports && server != 0 && server != client) {
        add(text, " and port %u", server);
    }
}

/* With the pieces of datagrams that have no ports. */
static void add_pieces(struct text *text, const struct flow_record *flow)
{
    const bool has_pieces = (flow->flags & FLOW_FLAG_FRAGMENTS_SEEN) != 0 && flow->ip_version == 4;

    add(text, has_pieces ? "(" : "");
    add_ends(text, flow);
    if (has_pieces) {
        add(text, ") or (ip proto %u and ", flow->ip_protocol);
        add_hosts(text, &flow->client.ip, &flow->server.ip);
        add(text, " and ip[6:2] & 0x1fff != 0)");
    }
}

/* ---- tunnels ---- */

/* The packets of the tunnel between its ends. */
static void add_carrier(struct text *text, const struct flow_tunnel *tunnel)
{
    const char *ip = tunnel->outer_source.version == 6 ? "ip6" : "ip";

    switch (tunnel->type) {
    case TUNNEL_GRE:
    case TUNNEL_ERSPAN:
    case TUNNEL_NVGRE:
    case TUNNEL_PPTP:
        add(text, "%s proto 47 and ", ip);
        break;
    case TUNNEL_IP_IN_IP:
        add(text, "(%s proto 4 or %s proto 41) and ", ip, ip);
        break;
    case TUNNEL_ETHERIP:
        add(text, "%s proto 97 and ", ip);
        break;
    case TUNNEL_VXLAN:
    case TUNNEL_VXLAN_GPE:
    case TUNNEL_GENEVE:
    case TUNNEL_GTP_U:
    case TUNNEL_TEREDO:
    case TUNNEL_AYIYA:
    case TUNNEL_CAPWAP:
    case TUNNEL_TZSP:
        add(text, "udp and ");
        break;
    default:
        break;
    }
    add_hosts(text, &tunnel->outer_source, &tunnel->outer_target);
}

/* RFC 7348: behind the UDP header 8 bytes with the VNI, 14 of Ethernet, then IP; filters reach
 * there behind IPv4 alone. */
static void add_vxlan(struct text *text, const struct flow_record *flow,
                      const struct flow_tunnel *tunnel)
{
    const bool is_ipv4 = flow->client.ip.version == 4 && flow->server.ip.version == 4;

    add(text, " and udp[12:4] & 0xffffff00 = 0x%x", (unsigned)(tunnel->id & 0xffffff) << 8);
    if (is_ipv4 && !flow->has_vlan && flow->tunnels_count == 1) {
        const unsigned a = load_be32(flow->client.ip.bytes);
        const unsigned b = load_be32(flow->server.ip.bytes);

        add(text,
            " and ((udp[42:4] = 0x%x and udp[46:4] = 0x%x) or "
            "(udp[42:4] = 0x%x and udp[46:4] = 0x%x))",
            a, b, b, a);
    }
}

/* Headers without addresses of their own. False: nothing can be said. */
static bool add_link(struct text *text, const struct flow_record *flow)
{
    const uint8_t type = flow->tunnels[0].type;
    const bool is_whole = flow->tunnels_count == 1 && flow->tunnels[0].omitted == 0;

    if (type != TUNNEL_MPLS && type != TUNNEL_PPPOE) {
        return false;
    }
    add(text, "%s", type == TUNNEL_MPLS ? "mpls" : "pppoes");
    if (!is_whole) {
        return true;
    }
    add(text, " and (");
    add_ends(text, flow);
    add(text, ")");
    if (type == TUNNEL_MPLS) { /* behind a second label */
        add(text, " or (mpls and ");
        add_ends(text, flow);
        add(text, ")");
    }
    return true;
}

/* ---- VLAN tags ---- */

/* Each `vlan` moves what follows behind one tag more. */
static int finish(const struct text *text, bool has_tagged, struct capture_filter *out,
                  struct error *err)
{
    struct text tagged = {.bytes = out->tagged, .room = sizeof(out->tagged)};

    if (text->is_cut || text->length == 0) {
        return error_set(err, ENOTSUP, "no filter is short enough for it");
    }
    out->tagged[0] = '\0';
    if (has_tagged) {
        add(&tagged, "(%s) or (vlan and ((%s) or (vlan and (%s))))", out->plain, out->plain,
            out->plain);
        if (tagged.is_cut) {
            out->tagged[0] = '\0';
        }
    }
    return 0;
}

int capture_filter_of_flow(const struct flow_record *flow, struct capture_filter *out,
                           struct error *err)
{
    struct text text = {.bytes = out->plain, .room = sizeof(out->plain)};
    const struct flow_tunnel *tunnel = &flow->tunnels[0];
    bool has_tagged = true;

    out->plain[0] = '\0';
    if (flow->client.ip.version == 0 || flow->server.ip.version == 0) {
        return error_set(err, ENOTSUP, "the flow has no addresses: there is no filter for it");
    }
    if (flow->tunnels_count == 0) {
        add_pieces(&text, flow);
    } else if (tunnel->outer_source.version != 0 && tunnel->outer_target.version != 0) {
        const bool is_vxlan = tunnel->type == TUNNEL_VXLAN || tunnel->type == TUNNEL_VXLAN_GPE;

        add_carrier(&text, tunnel);
        if (is_vxlan && tunnel->outer_source.version == 4) {
            add_vxlan(&text, flow, tunnel);
        }
    } else if (add_link(&text, flow)) {
        has_tagged = false; /* it moves the rest of the filter itself */
    } else {
        return error_set(err, ENOTSUP,
                         "the flow lies in a tunnel that filters do not know: give a bpf");
    }
    return finish(&text, has_tagged, out, err);
}

/* ---- alerts ---- */

static const char *protocol_of(uint8_t kind)
{
    switch (kind) {
    case ALERT_SYN_FLOOD:
    case ALERT_TCP_HEALTH:
    case ALERT_WEAK_TLS:
        return "tcp";
    case ALERT_UDP_FLOOD:
    case ALERT_AMPLIFICATION:
        return "udp";
    case ALERT_ICMP_FLOOD:
        return "(icmp or icmp6)";
    case ALERT_DNS_TUNNEL:
    case ALERT_DNS_NXDOMAIN_BURST:
    case ALERT_DGA:
        return "port 53";
    case ALERT_ROGUE_DHCP:
        return "udp and (port 67 or port 68 or port 546 or port 547)";
    case ALERT_ARP_SPOOF:
        return "arp";
    case ALERT_IPV6_RA_SPOOF:
        return "icmp6";
    default:
        return "";
    }
}

/* Servers hear on a port that says what it is about; in the others it is one of many, or none. */
static bool is_of_port(uint8_t kind)
{
    return protocol_of(kind)[0] == '\0' || kind == ALERT_SYN_FLOOD || kind == ALERT_TCP_HEALTH ||
           kind == ALERT_WEAK_TLS;
}

/* All of a side are named, and few. */
static bool is_complete(uint8_t count, uint64_t total)
{
    return count > 0 && count <= HOSTS_MAX && total <= count;
}

static void add_side(struct text *text, const struct alert_endpoint *ends, uint8_t count)
{
    const uint8_t most = count < HOSTS_MAX ? count : HOSTS_MAX;
    bool has_any = false;

    add_and(text);
    add(text, most > 1 ? "(" : "");
    for (uint8_t i = 0; i < most; i++) {
        bool is_new = ends[i].ip.version != 0;

        for (uint8_t j = 0; j < i; j++) {
            is_new = is_new && !address_equal(&ends[i].ip, &ends[j].ip);
        }
        if (is_new) {
            add(text, has_any ? " or " : "");
            add_host(text, &ends[i].ip);
            has_any = true;
        }
    }
    add(text, most > 1 ? ")" : "");
}

/* Of the first ones, which are used: 1 = IPv4, 2 = IPv6; 0: none. */
static unsigned families_of(const struct alert_endpoint *ends, uint8_t count)
{
    unsigned families = 0;

    for (uint8_t i = 0; i < count && i < HOSTS_MAX; i++) {
        families |= ends[i].ip.version == 4 ? 1U : ends[i].ip.version == 6 ? 2U : 0;
    }
    return families;
}

/* A filter that no packet can pass does not compile. */
static bool is_protocol_of(uint8_t kind, unsigned families)
{
    return families == 0 || (kind == ALERT_ARP_SPOOF       ? (families & 1) != 0
                             : kind == ALERT_IPV6_RA_SPOOF ? (families & 2) != 0
                                                           : true);
}

/* Where each victim is named with one. */
static void add_ports(struct text *text, const struct alert_record *alert)
{
    uint16_t ports[PORTS_MAX];
    unsigned count = 0;

    for (uint8_t i = 0; i < alert->victims_count; i++) {
        const uint16_t port = alert->victims[i].port;
        bool is_new = true;

        for (unsigned j = 0; j < count; j++) {
            is_new = is_new && ports[j] != port;
        }
        if (port == 0 || (is_new && count == PORTS_MAX)) {
            return;
        }
        if (is_new) {
            ports[count++] = port;
        }
    }
    if (count > 0) {
        add_and(text);
        add(text, count > 1 ? "(" : "");
        for (unsigned i = 0; i < count; i++) {
            add(text, "%sport %u", i > 0 ? " or " : "", ports[i]);
        }
        add(text, count > 1 ? ")" : "");
    }
}

int capture_filter_of_alert(const struct alert_record *alert, struct capture_filter *out,
                            struct error *err)
{
    struct text text = {.bytes = out->plain, .room = sizeof(out->plain)};
    unsigned attackers = families_of(alert->attackers, alert->attackers_count);
    unsigned victims = families_of(alert->victims, alert->victims_count);
    const bool are_few = is_complete(alert->attackers_count, alert->attackers_total_estimate);

    out->plain[0] = '\0';
    if (alert->kind == ALERT_SENSOR_LOSS || alert->kind == ALERT_SENSOR_SILENT) {
        return error_set(err, ENOTSUP, "the alert is about a sensor, not about packets");
    }
    /* A side of which not all are named is left to the other one. */
    if (attackers != 0 && are_few &&
        !is_complete(alert->victims_count, alert->victims_total_estimate)) {
        victims = 0;
    }
    if (victims != 0 && (!are_few || (attackers & victims) == 0)) {
        attackers = 0;
    }
    if (is_protocol_of(alert->kind, victims != 0 ? victims : attackers)) {
        add(&text, "%s", protocol_of(alert->kind));
    }
    if (victims != 0) {
        add_side(&text, alert->victims, alert->victims_count);
    }
    if (attackers != 0) {
        add_side(&text, alert->attackers, alert->attackers_count);
    }
    if (text.length == 0) {
        return error_set(err, ENOTSUP, "the alert names no address: there is no filter for it");
    }
    if (is_of_port(alert->kind)) {
        add_ports(&text, alert);
    }
    return finish(&text, true, out, err);
}
