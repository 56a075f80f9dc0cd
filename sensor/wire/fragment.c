#include "sensor/wire/fragment.h"

#include "sensor/wire/ipv4.h"
#include "sensor/wire/ipv6.h"

static bool read_v4(struct cursor *c, struct fragment *out)
{
    struct ipv4 ip;

    if (ipv4_parse(c, &ip) != WIRE_OK ||
        (ip.fragment_offset_bytes == 0 && !ip.has_more_fragments)) {
        return false;
    }
    *out = (struct fragment){
        .ip_version = 4,
        .protocol = ip.protocol,
        .has_more = ip.has_more_fragments,
        .id = ip.id,
        .offset_bytes = ip.fragment_offset_bytes,
        .data_bytes =
            ip.total_bytes != 0 ? ip.total_bytes - ip.header_bytes : (uint32_t)cursor_left(c),
        .header_bytes = ip.header_bytes,
    };
    memcpy(out->source, ip.source, 4);
    memcpy(out->target, ip.target, 4);
    return true;
}

static bool read_v6(struct cursor *c, struct fragment *out)
{
    const uint8_t *start = c->at;
    struct ipv6 ip;

    if (ipv6_parse(c, &ip) != WIRE_OK) {
        return false;
    }
    uint32_t left = ip.payload_bytes != 0 ? ip.payload_bytes : (uint32_t)cursor_left(c);
    uint8_t type = ip.next_header;

    for (unsigned count = 0; count < IPV6_EXTENSIONS_MAX && ipv6_is_extension(type); count++) {
        struct ipv6_extension extension;

        if (ipv6_extension_parse(c, type, &extension) != WIRE_OK) {
            return false;
        }
        left -= extension.header_bytes < left ? extension.header_bytes : left;
        if (type == IP_PROTOCOL_FRAGMENT) {
            *out = (struct fragment){
                .ip_version = 6,
                .protocol = extension.next_header,
                .has_more = extension.has_more_fragments,
                .is_atomic = extension.fragment_offset_bytes == 0 && !extension.has_more_fragments,
                .id = extension.fragment_id,
                .offset_bytes = extension.fragment_offset_bytes,
                .data_bytes = left,
                .header_bytes = (uint32_t)(c->at - start),
            };
            memcpy(out->source, ip.source, 16);
            memcpy(out->target, ip.target, 16);
            return true;
        }
        type = extension.next_header;
    }
    return false;
}

bool fragment_read(const struct wire_span *frame, uint32_t offset, struct fragment *out)
{
    struct cursor c = cursor_over(frame->bytes, frame->length);

    cursor_skip(&c, offset);
    if (cursor_left(&c) == 0) {
        return false;
    }
    return *c.at >> 4 == 6 ? read_v6(&c, out) : read_v4(&c, out);
}

uint32_t fragment_first_bytes_min(uint8_t protocol)
{
    switch (protocol) {
    case IP_PROTOCOL_TCP:
        return 20;
    case IP_PROTOCOL_SCTP:
    case IP_PROTOCOL_DCCP:
        return 12;
    case IP_PROTOCOL_UDP:
    case IP_PROTOCOL_UDPLITE:
    case IP_PROTOCOL_ICMP:
    case IP_PROTOCOL_ICMPV6:
        return 8;
    default:
        return 0;
    }
}
