#include "tests/support/packet_builder.h"
#include "tests/support/seed_writer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, value >> 16);
    put_u16(at + 2, value & 0xffff);
}

static uint8_t *reserve(struct packet_builder *b, size_t length)
{
    if (length > b->capacity - b->length) {
        (void)fprintf(stderr, "packet_builder: %zu more bytes do not fit in %zu\n", length,
                      b->capacity);
        abort();
    }
    uint8_t *at = b->bytes + b->length;
    memset(at, 0, length);
    b->length += length;
    return at;
}

static void add_u8(struct packet_builder *b, uint8_t value)
{
    *reserve(b, 1) = value;
}

static void add_u16(struct packet_builder *b, uint16_t value)
{
    put_u16(reserve(b, 2), value);
}

static void add_u32(struct packet_builder *b, uint32_t value)
{
    put_u32(reserve(b, 4), value);
}

static uint16_t ppp_number(uint16_t ethertype)
{
    switch (ethertype) {
    case 0x0800:
        return 0x0021;
    case 0x86dd:
        return 0x0057;
    case 0x8847:
        return 0x0281;
    default:
        return 0xc021; /* LCP */
    }
}

/* What the new layer is called by the one before it. */
static void tell_previous(struct packet_builder *b, uint16_t ethertype, uint8_t protocol)
{
    if (b->layer_count == 0) {
        return;
    }
    const struct build_layer *last = &b->layers[b->layer_count - 1];
    uint8_t *header = b->bytes + last->offset;

    switch (last->kind) {
    case BUILD_ETHERNET:
        put_u16(header + 12, ethertype);
        break;
    case BUILD_VLAN:
        put_u16(header + 2, ethertype);
        break;
    case BUILD_SLL:
        put_u16(header + 14, ethertype);
        break;
    case BUILD_SLL2:
        put_u16(header, ethertype);
        break;
    case BUILD_IPV4:
        header[9] = header[9] != 0 ? header[9] : protocol;
        break;
    case BUILD_IPV6:
        header[6] = header[6] != 0 ? header[6] : protocol;
        break;
    case BUILD_EXTENSION:
        header[0] = header[0] != 0 ? header[0] : protocol;
        break;
    case BUILD_HEADER:
        if (last->next == BUILD_NEXT_ETHERTYPE) {
            put_u16(header + last->next_at, ethertype);
        } else if (last->next == BUILD_NEXT_PPP) {
            put_u16(header + last->next_at, ppp_number(ethertype));
        } else if (last->next == BUILD_NEXT_PROTOCOL) {
            header[last->next_at] = protocol;
        }
        break;
    default:
        break;
    }
}

static uint8_t *add_layer(struct packet_builder *b, enum build_kind kind, size_t header_bytes,
                          uint16_t ethertype, uint8_t protocol)
{
    tell_previous(b, ethertype, protocol);
    if (b->layer_count == BUILD_LAYERS_MAX) {
        (void)fprintf(stderr, "packet_builder: more than %d layers\n", BUILD_LAYERS_MAX);
        abort();
    }
    b->layers[b->layer_count++] =
        (struct build_layer){.kind = kind, .offset = b->length, .header_bytes = header_bytes};
    return reserve(b, header_bytes);
}

void build_start(struct packet_builder *b, uint8_t *buffer, size_t capacity)
{
    *b = (struct packet_builder){.bytes = buffer, .capacity = capacity, .link_type = LINK_ETHERNET};
}

void build_ethernet_macs(struct packet_builder *b, const uint8_t source[6], const uint8_t target[6])
{
    uint8_t *header = add_layer(b, BUILD_ETHERNET, 14, 0x6558, 143);

    memcpy(header, target, 6);
    memcpy(header + 6, source, 6);
}

void build_ethernet(struct packet_builder *b)
{
    static const uint8_t source[6] = {2, 0, 0, 0, 0, 1};
    static const uint8_t target[6] = {2, 0, 0, 0, 0, 2};

    build_ethernet_macs(b, source, target);
}

void build_vlan(struct packet_builder *b, uint16_t id)
{
    put_u16(add_layer(b, BUILD_VLAN, 4, 0x8100, 0), id);
}

void build_service_vlan(struct packet_builder *b, uint16_t id)
{
    put_u16(add_layer(b, BUILD_VLAN, 4, 0x88a8, 0), id);
}

void build_sll(struct packet_builder *b)
{
    static const uint8_t source[6] = {2, 0, 0, 0, 0, 1};
    uint8_t *header = add_layer(b, BUILD_SLL, 16, 0, 0);

    b->link_type = LINK_SLL;
    put_u16(header + 2, 1); /* ARPHRD_ETHER */
    put_u16(header + 4, 6);
    memcpy(header + 6, source, 6);
}

void build_sll2(struct packet_builder *b)
{
    static const uint8_t source[6] = {2, 0, 0, 0, 0, 1};
    uint8_t *header = add_layer(b, BUILD_SLL2, 20, 0, 0);

    b->link_type = LINK_SLL2;
    put_u32(header + 4, 3); /* interface index */
    put_u16(header + 8, 1);
    header[11] = 6;
    memcpy(header + 12, source, 6);
}

void build_null(struct packet_builder *b, uint32_t family, bool is_swapped)
{
    uint8_t *header = add_layer(b, BUILD_NULL, 4, 0, 0);

    b->link_type = LINK_NULL;
    if (is_swapped) {
        family = __builtin_bswap32(family);
    }
    memcpy(header, &family, 4);
}

void build_raw(struct packet_builder *b)
{
    b->link_type = LINK_RAW;
}

void build_set_ethertype(struct packet_builder *b, uint16_t ethertype)
{
    tell_previous(b, ethertype, 0);
}

static void parse_address(int family, const char *text, uint8_t *out)
{
    if (inet_pton(family, text, out) != 1) {
        (void)fprintf(stderr, "packet_builder: not an address: %s\n", text);
        abort();
    }
}

void build_ipv4(struct packet_builder *b, struct build_ip ip)
{
    uint8_t *header = add_layer(b, BUILD_IPV4, 20 + ip.options_length, 0x0800, 4);

    header[0] = (uint8_t)(0x40 | (5 + ip.options_length / 4));
    header[1] = ip.traffic_class;
    put_u16(header + 4, ip.id);
    put_u16(header + 6,
            (size_t)ip.fragment_offset_bytes / 8 + (ip.has_more_fragments ? 0x2000 : 0));
    header[8] = ip.ttl != 0 ? ip.ttl : 64;
    header[9] = ip.protocol;
    parse_address(AF_INET, ip.source, header + 12);
    parse_address(AF_INET, ip.target, header + 16);
    if (ip.options_length > 0) {
        memcpy(header + 20, ip.options, ip.options_length);
    }
}

void build_ipv6(struct packet_builder *b, struct build_ip ip)
{
    uint8_t *header = add_layer(b, BUILD_IPV6, 40, 0x86dd, 41);

    put_u32(header, 0x60000000U | (uint32_t)ip.traffic_class << 20 | (ip.flow_label & 0xfffff));
    header[6] = ip.protocol;
    header[7] = ip.ttl != 0 ? ip.ttl : 64;
    parse_address(AF_INET6, ip.source, header + 8);
    parse_address(AF_INET6, ip.target, header + 24);
}

void build_extension(struct packet_builder *b, uint8_t type, size_t header_bytes)
{
    const bool is_ah = type == 51;
    uint8_t *header = add_layer(b, BUILD_EXTENSION, header_bytes, 0, type);

    header[1] = (uint8_t)(is_ah ? header_bytes / 4 - 2 : header_bytes / 8 - 1);
    if (!is_ah && header_bytes > 4) { /* one PadN option over all of it */
        header[2] = 1;
        header[3] = (uint8_t)(header_bytes - 4);
    }
}

void build_fragment(struct packet_builder *b, uint16_t offset_bytes, bool has_more, uint32_t id)
{
    uint8_t *header = add_layer(b, BUILD_EXTENSION, 8, 0, 44);

    put_u16(header + 2, (size_t)(offset_bytes & 0xfff8) | (has_more ? 1 : 0));
    put_u32(header + 4, id);
}

void build_tcp(struct packet_builder *b, struct build_tcp tcp)
{
    uint8_t *header = add_layer(b, BUILD_TCP, 20 + tcp.options_length, 0, 6);

    put_u16(header, tcp.source_port);
    put_u16(header + 2, tcp.target_port);
    put_u32(header + 4, tcp.seq);
    put_u32(header + 8, tcp.ack);
    header[12] = (uint8_t)((5 + tcp.options_length / 4) << 4);
    header[13] = tcp.flags;
    put_u16(header + 14, tcp.window != 0 ? tcp.window : 65535);
    if (tcp.options_length > 0) {
        memcpy(header + 20, tcp.options, tcp.options_length);
    }
}

void build_udp(struct packet_builder *b, uint16_t source_port, uint16_t target_port)
{
    uint8_t *header = add_layer(b, BUILD_UDP, 8, 0, 17);

    put_u16(header, source_port);
    put_u16(header + 2, target_port);
}

static void add_icmp(struct packet_builder *b, enum build_kind kind, uint8_t protocol,
                     const uint16_t fields[4])
{
    uint8_t *header = add_layer(b, kind, 8, 0, protocol);

    header[0] = (uint8_t)fields[0];
    header[1] = (uint8_t)fields[1];
    put_u16(header + 4, fields[2]);
    put_u16(header + 6, fields[3]);
}

void build_icmp(struct packet_builder *b, uint8_t type, uint8_t code, uint16_t id,
                uint16_t sequence)
{
    add_icmp(b, BUILD_ICMP, 1, (const uint16_t[4]){type, code, id, sequence});
}

void build_icmpv6(struct packet_builder *b, uint8_t type, uint8_t code, uint16_t id,
                  uint16_t sequence)
{
    add_icmp(b, BUILD_ICMPV6, 58, (const uint16_t[4]){type, code, id, sequence});
}

void build_header(struct packet_builder *b, struct build_header header)
{
    uint8_t *at = add_layer(b, BUILD_HEADER, header.length, header.ethertype, header.protocol);
    struct build_layer *layer = &b->layers[b->layer_count - 1];

    if (header.length > 0) {
        memcpy(at, header.bytes, header.length);
    }
    layer->next = header.next;
    layer->next_at = header.next_at;
    layer->length_at = header.length_at;
    layer->length_without = header.length_without;
}

void build_bytes(struct packet_builder *b, const void *bytes, size_t length)
{
    if (length > 0) {
        memcpy(reserve(b, length), bytes, length);
    }
}

void build_text(struct packet_builder *b, const char *text)
{
    build_bytes(b, text, strlen(text));
}

void build_zeros(struct packet_builder *b, size_t length)
{
    (void)reserve(b, length);
}

static void add_dns_name(struct packet_builder *b, const char *name)
{
    while (*name != '\0') {
        const size_t label_bytes = strcspn(name, ".");

        add_u8(b, (uint8_t)label_bytes);
        build_bytes(b, name, label_bytes);
        name += label_bytes;
        name += *name == '.' ? 1 : 0;
    }
    add_u8(b, 0);
}

void build_dns(struct packet_builder *b, struct build_dns dns)
{
    const uint16_t type = dns.type != 0 ? dns.type : 1;

    add_u16(b, dns.id);
    add_u16(b, (uint16_t)((dns.is_response ? 0x8180 : 0x0100) | (dns.rcode & 15)));
    add_u16(b, 1);
    add_u16(b, dns.answer != NULL ? 1 : 0);
    add_u32(b, 0);
    add_dns_name(b, dns.name);
    add_u16(b, type);
    add_u16(b, 1);
    if (dns.answer != NULL) {
        const bool is_ipv6 = strchr(dns.answer, ':') != NULL;

        add_u16(b, 0xc00c); /* the name of the question */
        add_u16(b, is_ipv6 ? 28 : 1);
        add_u16(b, 1);
        add_u32(b, 300);
        add_u16(b, is_ipv6 ? 16 : 4);
        parse_address(is_ipv6 ? AF_INET6 : AF_INET, dns.answer, reserve(b, is_ipv6 ? 16 : 4));
    }
}

/* The bytes from here to the next `end_block` have their count in `width` bytes before them. */
static size_t begin_block(struct packet_builder *b, size_t width)
{
    (void)reserve(b, width);
    return b->length;
}

static void end_block(struct packet_builder *b, size_t begin, size_t width)
{
    const size_t length = b->length - begin;

    for (size_t i = 0; i < width; i++) {
        b->bytes[begin - 1 - i] = (uint8_t)(length >> (8 * i));
    }
}

static void add_sni(struct packet_builder *b, const char *sni)
{
    add_u16(b, 0);
    const size_t extension = begin_block(b, 2);
    const size_t list = begin_block(b, 2);
    add_u8(b, 0); /* host_name */
    const size_t name = begin_block(b, 2);
    build_text(b, sni);
    end_block(b, name, 2);
    end_block(b, list, 2);
    end_block(b, extension, 2);
}

static void add_alpn(struct packet_builder *b, const char *alpn)
{
    add_u16(b, 16);
    const size_t extension = begin_block(b, 2);
    const size_t list = begin_block(b, 2);
    const size_t name = begin_block(b, 1);
    build_text(b, alpn);
    end_block(b, name, 1);
    end_block(b, list, 2);
    end_block(b, extension, 2);
}

void build_client_hello(struct packet_builder *b, struct build_hello hello)
{
    static const uint16_t ciphers[] = {0x1301, 0x1302, 0xc02b, 0xc02f};

    add_u8(b, 22);
    add_u16(b, 0x0301);
    const size_t record = begin_block(b, 2);
    add_u8(b, 1);
    const size_t message = begin_block(b, 3);
    add_u16(b, 0x0303);
    build_zeros(b, 32); /* random */
    add_u8(b, 0);       /* session id */
    const size_t cipher_list = begin_block(b, 2);
    for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
        add_u16(b, ciphers[i]);
    }
    end_block(b, cipher_list, 2);
    add_u8(b, 1);
    add_u8(b, 0); /* compression: none */
    const size_t extensions = begin_block(b, 2);
    if (hello.sni != NULL) {
        add_sni(b, hello.sni);
    }
    if (hello.alpn != NULL) {
        add_alpn(b, hello.alpn);
    }
    if (hello.is_tls13) {
        add_u16(b, 43);
        add_u16(b, 5);
        add_u8(b, 4);
        add_u16(b, 0x0304);
        add_u16(b, 0x0303);
    }
    end_block(b, extensions, 2);
    end_block(b, message, 3);
    end_block(b, record, 2);
}

void build_server_hello(struct packet_builder *b, uint16_t cipher, bool is_tls13)
{
    add_u8(b, 22);
    add_u16(b, 0x0303);
    const size_t record = begin_block(b, 2);
    add_u8(b, 2);
    const size_t message = begin_block(b, 3);
    add_u16(b, 0x0303);
    build_zeros(b, 32);
    add_u8(b, 0);
    add_u16(b, cipher);
    add_u8(b, 0);
    const size_t extensions = begin_block(b, 2);
    if (is_tls13) {
        add_u16(b, 43);
        add_u16(b, 2);
        add_u16(b, 0x0304);
    }
    end_block(b, extensions, 2);
    end_block(b, message, 3);
    end_block(b, record, 2);
}

static uint32_t add_words(uint32_t sum, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i + 1 < length; i += 2) {
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    }
    if (length % 2 != 0) {
        sum += (uint32_t)bytes[length - 1] << 8;
    }
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* The IP header that `layer` stands on; NULL when there is none. */
static const struct build_layer *network_below(const struct packet_builder *b, unsigned layer)
{
    while (layer-- > 0) {
        if (b->layers[layer].kind == BUILD_IPV4 || b->layers[layer].kind == BUILD_IPV6) {
            return &b->layers[layer];
        }
    }
    return NULL;
}

static void patch_transport_checksum(struct packet_builder *b, unsigned index, uint8_t protocol,
                                     size_t checksum_offset)
{
    const struct build_layer *layer = &b->layers[index];
    const struct build_layer *network = network_below(b, index);
    const size_t length = b->length - layer->offset;
    uint32_t sum = 0;

    if (network == NULL) {
        return;
    }
    if (protocol != 1) { /* ICMP alone has no pseudo-header */
        const bool is_ipv6 = network->kind == BUILD_IPV6;

        sum = add_words(sum, b->bytes + network->offset + (is_ipv6 ? 8 : 12), is_ipv6 ? 32 : 8);
        sum += protocol + (uint32_t)length;
    }
    put_u16(b->bytes + layer->offset + checksum_offset, 0);
    sum = add_words(sum, b->bytes + layer->offset, length);
    sum = ~sum & 0xffff;
    if (protocol == 17 && sum == 0) {
        sum = 0xffff;
    }
    put_u16(b->bytes + layer->offset + checksum_offset, sum);
}

static void patch_layer(struct packet_builder *b, unsigned index)
{
    const struct build_layer *layer = &b->layers[index];
    uint8_t *header = b->bytes + layer->offset;

    switch (layer->kind) {
    case BUILD_IPV4:
        put_u16(header + 2, b->length - layer->offset);
        put_u16(header + 10, 0);
        put_u16(header + 10, ~add_words(0, header, layer->header_bytes) & 0xffff);
        break;
    case BUILD_IPV6:
        put_u16(header + 4, b->length - layer->offset - layer->header_bytes);
        break;
    case BUILD_TCP:
        patch_transport_checksum(b, index, 6, 16);
        break;
    case BUILD_HEADER:
        if (layer->length_at > 0) {
            put_u16(header + layer->length_at, b->length - layer->offset - layer->length_without);
        }
        break;
    case BUILD_UDP:
        put_u16(header + 4, b->length - layer->offset);
        patch_transport_checksum(b, index, 17, 6);
        break;
    case BUILD_ICMP:
        patch_transport_checksum(b, index, 1, 2);
        break;
    case BUILD_ICMPV6:
        patch_transport_checksum(b, index, 58, 2);
        break;
    default:
        break;
    }
}

void build_finish(struct packet_builder *b)
{
    for (unsigned index = b->layer_count; index-- > 0;) {
        patch_layer(b, index);
    }
}

struct frame build_frame(struct packet_builder *b, uint64_t time_ns)
{
    build_finish(b);
    const struct frame frame = {.bytes = b->bytes,
                                .captured_bytes = (uint32_t)b->length,
                                .wire_bytes = (uint32_t)b->length,
                                .time_ns = time_ns,
                                .link_type = b->link_type};

    seed_write_frame(&frame);
    return frame;
}

static void restart(struct packet_builder *b, const char *source, const char *target)
{
    const struct build_ip ip = {.source = source, .target = target};

    build_start(b, b->bytes, b->capacity);
    build_ethernet(b);
    if (strchr(source, ':') != NULL) {
        build_ipv6(b, ip);
    } else {
        build_ipv4(b, ip);
    }
}

struct frame build_tcp_frame(struct packet_builder *b, const char *source, const char *target,
                             struct build_tcp tcp, const void *payload, size_t payload_bytes,
                             uint64_t time_ns)
{
    restart(b, source, target);
    build_tcp(b, tcp);
    build_bytes(b, payload, payload_bytes);
    return build_frame(b, time_ns);
}

struct frame build_udp_frame(struct packet_builder *b, const char *source, uint16_t source_port,
                             const char *target, uint16_t target_port, const void *payload,
                             size_t payload_bytes, uint64_t time_ns)
{
    restart(b, source, target);
    build_udp(b, source_port, target_port);
    build_bytes(b, payload, payload_bytes);
    return build_frame(b, time_ns);
}
