#include "sensor/wire/arp.h"

#include "sensor/wire/ethernet.h"

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static enum arp_kind kind_of(const struct arp *arp)
{
    switch (arp->operation) {
    case ARP_OPERATION_REQUEST:
        if (is_zero(arp->sender_ip, sizeof(arp->sender_ip))) {
            return ARP_PROBE;
        }
        break;
    case ARP_OPERATION_REPLY:
        break;
    case ARP_OPERATION_REVERSE_REQUEST:
    case ARP_OPERATION_REVERSE_REPLY:
        return ARP_REVERSE;
    case ARP_OPERATION_INVERSE_REQUEST:
    case ARP_OPERATION_INVERSE_REPLY:
        return ARP_INVERSE;
    default:
        return ARP_OTHER;
    }
    if (memcmp(arp->sender_ip, arp->target_ip, sizeof(arp->sender_ip)) == 0) {
        return ARP_ANNOUNCEMENT;
    }
    return arp->operation == ARP_OPERATION_REPLY ? ARP_REPLY : ARP_REQUEST;
}

enum wire_status arp_parse(struct cursor *in, struct arp *out)
{
    struct cursor c = *in;
    const uint8_t *at = cursor_take(&c, ARP_HEADER_BYTES);

    if (at == NULL) {
        return WIRE_TRUNCATED;
    }
    struct arp arp = {.hardware_type = wire_u16(at),
                      .protocol_type = wire_u16(at + 2),
                      .hardware_bytes = at[4],
                      .protocol_bytes = at[5],
                      .operation = wire_u16(at + 6)};
    const bool is_mac =
        arp.hardware_type == ARP_HARDWARE_ETHERNET || arp.hardware_type == ARP_HARDWARE_IEEE_802;
    const bool is_ipv4 = arp.protocol_type == ETHERTYPE_IPV4;

    if ((is_mac && arp.hardware_bytes != 6) || (is_ipv4 && arp.protocol_bytes != 4)) {
        return WIRE_MALFORMED;
    }
    arp.packet_bytes = ARP_HEADER_BYTES + 2U * arp.hardware_bytes + 2U * arp.protocol_bytes;
    arp.is_ipv4_over_mac = is_ipv4 && arp.hardware_bytes == 6;
    if (arp.is_ipv4_over_mac) {
        cursor_copy(&c, arp.sender_mac, sizeof(arp.sender_mac));
        cursor_copy(&c, arp.sender_ip, sizeof(arp.sender_ip));
        cursor_copy(&c, arp.target_mac, sizeof(arp.target_mac));
        cursor_copy(&c, arp.target_ip, sizeof(arp.target_ip));
        arp.kind = (uint8_t)kind_of(&arp);
    } else {
        cursor_skip(&c, arp.packet_bytes - ARP_HEADER_BYTES);
    }
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    *in = c;
    *out = arp;
    return WIRE_OK;
}

const char *arp_kind_name(enum arp_kind kind)
{
    static const char *const names[ARP_KIND_COUNT] = {
        [ARP_OTHER] = "other",     [ARP_REQUEST] = "request",           [ARP_REPLY] = "reply",
        [ARP_PROBE] = "probe",     [ARP_ANNOUNCEMENT] = "announcement", [ARP_REVERSE] = "reverse",
        [ARP_INVERSE] = "inverse",
    };

    assert(kind < ARP_KIND_COUNT);
    return names[kind];
}

bool arp_tells_sender(const struct arp *arp)
{
    switch ((enum arp_kind)arp->kind) {
    case ARP_REQUEST:
    case ARP_REPLY:
    case ARP_ANNOUNCEMENT:
        break;
    default:
        return false;
    }
    return (arp->sender_mac[0] & 1) == 0 && !is_zero(arp->sender_mac, sizeof(arp->sender_mac)) &&
           !is_zero(arp->sender_ip, sizeof(arp->sender_ip));
}
