#include "sensor/wire/packet_summary.h"

#include <inttypes.h>

#include "sensor/wire/app.h"
#include "sensor/wire/dns.h"
#include "sensor/wire/ethernet.h"
#include "sensor/wire/http1.h"
#include "sensor/wire/icmp.h"
#include "sensor/wire/text.h"
#include "sensor/wire/tls_hello.h"

static void add_link(struct text *text, const struct frame *frame, const struct packet *packet)
{
    char source[MAC_TEXT_BYTES];
    char target[MAC_TEXT_BYTES];

    if ((packet->facts & PACKET_HAS_MACS) != 0) {
        (void)mac_text(frame->bytes + packet->mac_offset, target);
        (void)mac_text(frame->bytes + packet->mac_offset + 6, source);
        text_format(text, "Ethernet %s > %s", source, target);
    } else if ((packet->facts & PACKET_HAS_SLL_SOURCE) != 0) {
        (void)mac_text(frame->bytes + packet->mac_offset, source);
        text_format(text, "SLL %s", source);
    } else {
        switch (packet->link_type) {
        case LINK_ETHERNET:
            text_add(text, "Ethernet");
            break;
        case LINK_SLL:
        case LINK_SLL2:
            text_add(text, "SLL");
            break;
        case LINK_NULL:
        case LINK_LOOP:
            text_add(text, "Loopback");
            break;
        case LINK_RAW:
        case LINK_RAW_BSD:
        case LINK_RAW_OPENBSD:
        case LINK_IPV4:
        case LINK_IPV6:
            text_add(text, "Raw IP");
            break;
        default:
            text_format(text, "Link type %u", packet->link_type);
            break;
        }
    }
    if (packet->vlan_count > 0) {
        text_format(text, " | VLAN %u", packet->vlan_ids[0]);
    }
    if (packet->vlan_count > 1) {
        text_format(text, " | VLAN %u", packet->vlan_ids[1]);
    }
}

static void add_ip(struct text *text, const struct packet *packet)
{
    const struct ip_address source = packet_source(packet);
    const struct ip_address target = packet_target(packet);
    char source_text[ADDRESS_TEXT_BYTES];
    char target_text[ADDRESS_TEXT_BYTES];

    (void)address_text(&source, source_text);
    (void)address_text(&target, target_text);
    text_format(text, " | IPv%u %s > %s %s=%u len=%u", packet->ip_version, source_text, target_text,
                packet->ip_version == 6 ? "hlim" : "ttl", packet->ttl, packet->ip_bytes);
    if ((packet->facts & PACKET_CHECKSUM_BAD) != 0) {
        text_add(text, " bad-checksum");
    }
    if ((packet->facts & PACKET_IS_FRAGMENT) != 0) {
        text_format(text, " frag id=0x%x off=%u%s", packet->ip_id, packet->fragment_offset_bytes,
                    packet->facts & PACKET_HAS_MORE_FRAGMENTS ? "+" : "");
    }
}

static void add_tcp(struct text *text, const struct packet *packet)
{
    static const struct {
        uint8_t flag;
        const char *name;
    } names[] = {{TCP_SYN, "SYN"}, {TCP_FIN, "FIN"}, {TCP_RST, "RST"}, {TCP_PSH, "PSH"},
                 {TCP_ACK, "ACK"}, {TCP_URG, "URG"}, {TCP_ECE, "ECE"}, {TCP_CWR, "CWR"}};
    const char *separator = "";

    text_format(text, " | TCP %u > %u", packet->source_port, packet->target_port);
    if ((packet->facts & PACKET_HAS_TCP) == 0) {
        return;
    }
    text_add(text, " [");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if ((packet->tcp_flags & names[i].flag) != 0) {
            text_add(text, separator);
            text_add(text, names[i].name);
            separator = ",";
        }
    }
    text_format(text, "] seq=%u ack=%u win=%u len=%u", packet->tcp_seq, packet->tcp_ack,
                packet->tcp_window, packet->payload_bytes);
}

static void add_icmp(struct text *text, const struct packet *packet)
{
    const char *name = icmp_type_name(packet->ip_version, packet->icmp_type);

    text_format(text, " | %s", packet->protocol == IP_PROTOCOL_ICMPV6 ? "ICMPv6" : "ICMP");
    if ((packet->facts & PACKET_HAS_ICMP) == 0) {
        return;
    }
    text_format(text, " type=%u code=%u", packet->icmp_type, packet->icmp_code);
    if (name != NULL) {
        text_format(text, " (%s)", name);
    }
    if (packet->icmp_id != 0) {
        text_format(text, " id=%u", packet->icmp_id);
    }
    text_format(text, " len=%u", packet->payload_bytes);
}

static void add_transport(struct text *text, const struct packet *packet)
{
    const char *name = ip_protocol_name(packet->protocol);

    if ((packet->facts & PACKET_IS_LATER_FRAGMENT) != 0) {
        text_format(text, " | %s later fragment len=%u", name != NULL ? name : "IP",
                    packet->payload_bytes);
        return;
    }
    switch (packet->protocol) {
    case IP_PROTOCOL_TCP:
        add_tcp(text, packet);
        break;
    case IP_PROTOCOL_ICMP:
    case IP_PROTOCOL_ICMPV6:
        add_icmp(text, packet);
        break;
    default:
        if (name != NULL) {
            text_format(text, " | %s", name);
        } else {
            text_format(text, " | protocol %u", packet->protocol);
        }
        if ((packet->facts & PACKET_HAS_PORTS) != 0) {
            text_format(text, " %u > %u", packet->source_port, packet->target_port);
        }
        text_format(text, " len=%u", packet->payload_bytes);
        break;
    }
}

static void add_dns(struct text *text, const char *label, const struct wire_span *message)
{
    struct dns dns;
    struct dns_reader reader;
    struct dns_record question;

    if (dns_parse(message, &dns, &reader) != WIRE_OK) {
        return;
    }
    text_format(text, " | %s %s", label, dns.is_response ? "response" : "query");
    if (dns.counts[DNS_QUESTION] > 0 && dns_next(&reader, &question)) {
        char name[DNS_NAME_TEXT_BYTES];
        const char *type = dns_type_name(question.type);

        (void)dns_name_text(&question.name, name);
        text_add(text, " ");
        text_add(text, name);
        if (type != NULL) {
            text_format(text, " %s", type);
        } else {
            text_format(text, " TYPE%u", question.type);
        }
    }
    if (dns.is_response) {
        const char *rcode = dns_rcode_name(dns.rcode);

        if (rcode != NULL) {
            text_format(text, " %s", rcode);
        } else {
            text_format(text, " RCODE%u", dns.rcode);
        }
        text_format(text, " answers=%u", dns.counts[DNS_ANSWER]);
    }
}

static void add_tls(struct text *text, const struct wire_span *payload)
{
    struct tls_hello hello;

    if (tls_record_hello(payload, &hello) == WIRE_MALFORMED) {
        return;
    }
    const char *version = tls_version_name(hello.version);
    text_format(text, " | TLS %sHello", hello.is_client ? "Client" : "Server");
    if (hello.sni.bytes != NULL) { /* bytes that are no host name are shown, and said to be none */
        text_add(text, hello.is_sni_host_name ? " sni=" : " sni(not a host name)=");
        text_escaped(text, hello.sni.bytes, hello.sni.length);
    }
    if (version != NULL) {
        text_format(text, " (%s)", version);
    }
}

static void add_http1(struct text *text, const struct wire_span *payload)
{
    struct http1 http;

    if (http1_parse(payload, &http) != WIRE_OK) {
        return;
    }
    if (!http.is_request) {
        text_format(text, " | HTTP %u", http.status);
        return;
    }
    text_add(text, " | HTTP ");
    text_escaped(text, http.method.bytes, http.method.length);
    text_add(text, " ");
    text_escaped(text, http.target.bytes, http.target.length < 200 ? http.target.length : 200);
    if (http.host.length > 0) {
        text_add(text, " host=");
        text_escaped(text, http.host.bytes, http.host.length < 255 ? http.host.length : 255);
    }
}

static void add_app(struct text *text, const struct frame *frame, const struct packet *packet)
{
    struct wire_span payload = {.bytes = frame->bytes + packet->payload_offset,
                                .length = packet->payload_captured_bytes};

    if (payload.length == 0 || (packet->facts & PACKET_HAS_PORTS) == 0) {
        return;
    }
    const struct app_guess guess =
        app_recognise(packet->protocol, &payload, packet->source_port, packet->target_port);
    if (guess.method != APP_BY_CONTENT) {
        return;
    }
    switch (guess.app) {
    case APP_DNS:
    case APP_MDNS:
    case APP_LLMNR:
        if (packet->protocol == IP_PROTOCOL_TCP) { /* a length first; recognised, so it is there */
            payload.bytes += 2;
            payload.length -= 2;
        }
        add_dns(text,
                guess.app == APP_DNS    ? "DNS"
                : guess.app == APP_MDNS ? "mDNS"
                                        : "LLMNR",
                &payload);
        break;
    case APP_TLS:
        add_tls(text, &payload);
        break;
    case APP_HTTP:
        add_http1(text, &payload);
        break;
    default:
        text_format(text, " | %s", app_name(guess.app));
        break;
    }
}

static void add_layers(struct text *text, const struct frame *frame, const struct packet *packet)
{
    add_link(text, frame, packet);
    if (packet->ip_version != 0) {
        add_ip(text, packet);
    } else if (packet->ethertype == ETHERTYPE_ARP) {
        text_add(text, " | ARP");
    } else if (packet->verdict == PACKET_NOT_IP) {
        text_format(text, " | ethertype 0x%04x", packet->ethertype);
    }
    if (packet->transport_offset != 0) {
        add_transport(text, packet);
    }
    if (packet->verdict == PACKET_OK) {
        add_app(text, frame, packet);
    } else if (packet->verdict != PACKET_NOT_IP) {
        text_format(text, " | %s", packet_verdict_name(packet->verdict));
    }
}

size_t packet_summary(const struct frame *frame, const struct packet *packet, char *out,
                      size_t capacity)
{
    struct text text = text_over(out, capacity);

    add_layers(&text, frame, packet);
    return text.length;
}

size_t packet_line(uint64_t index, const struct frame *frame, const struct packet *packet,
                   char *out, size_t capacity)
{
    struct text text = text_over(out, capacity);
    const uint64_t second = packet->time_ns / 1000000000 % 86400;

    text_format(&text, "%" PRIu64 " %02u:%02u:%02u.%06u ", index, (unsigned)(second / 3600),
                (unsigned)(second / 60 % 60), (unsigned)(second % 60),
                (unsigned)(packet->time_ns % 1000000000 / 1000));
    add_layers(&text, frame, packet);
    return text.length;
}

bool packet_hex_line(const struct frame *frame, uint32_t offset, char out[PACKET_HEX_LINE_BYTES])
{
    struct text text = text_over(out, PACKET_HEX_LINE_BYTES);

    if (offset >= frame->captured_bytes) {
        return false;
    }
    const uint32_t left = frame->captured_bytes - offset;
    const uint32_t count = left < PACKET_HEX_LINE_WIDTH ? left : PACKET_HEX_LINE_WIDTH;
    const uint8_t *at = frame->bytes + offset;
    text_format(&text, "%04x ", offset);
    for (uint32_t i = 0; i < PACKET_HEX_LINE_WIDTH; i++) {
        text_add(&text, " ");
        if (i < count) {
            text_hex(&text, at + i, 1);
        } else {
            text_add(&text, "  ");
        }
    }
    text_add(&text, "  ");
    for (uint32_t i = 0; i < count; i++) {
        text_format(&text, "%c", at[i] >= 0x20 && at[i] < 0x7f ? at[i] : '.');
    }
    return true;
}
