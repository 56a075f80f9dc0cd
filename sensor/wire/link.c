#include "sensor/wire/link.h"

enum wire_status sll_parse(struct cursor *in, struct sll *out)
{
    struct cursor c = *in;
    const uint16_t packet_type = cursor_u16(&c);
    const uint16_t arphrd_type = cursor_u16(&c);
    const uint16_t address_bytes = cursor_u16(&c);
    cursor_skip(&c, 8); /* the address, padded */
    const uint16_t ethertype = cursor_u16(&c);

    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    *in = c;
    *out = (struct sll){.packet_type = packet_type,
                        .arphrd_type = arphrd_type,
                        .address_bytes = address_bytes,
                        .address_offset = 6,
                        .ethertype = ethertype};
    return WIRE_OK;
}

enum wire_status sll2_parse(struct cursor *in, struct sll *out)
{
    struct cursor c = *in;
    const uint16_t ethertype = cursor_u16(&c);
    cursor_skip(&c, 2); /* reserved */
    const uint32_t interface = cursor_u32(&c);
    const uint16_t arphrd_type = cursor_u16(&c);
    const uint8_t packet_type = cursor_u8(&c);
    const uint8_t address_bytes = cursor_u8(&c);
    cursor_skip(&c, 8); /* the address, padded */

    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    *in = c;
    *out = (struct sll){.packet_type = packet_type,
                        .arphrd_type = arphrd_type,
                        .address_bytes = address_bytes,
                        .address_offset = 12,
                        .interface = interface,
                        .ethertype = ethertype};
    return WIRE_OK;
}

enum wire_status null_link_parse(struct cursor *in, uint32_t *family, uint16_t *ethertype)
{
    struct cursor c = *in;
    uint32_t value = cursor_u32(&c);

    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    if (value > 0xffff) { /* families are small, so a large one was written in the other order */
        value = __builtin_bswap32(value);
    }
    switch (value) {
    case 2: /* AF_INET everywhere */
        *ethertype = ETHERTYPE_IPV4;
        break;
    case 10: /* Linux */
    case 24: /* NetBSD, OpenBSD */
    case 28: /* FreeBSD */
    case 30: /* macOS */
        *ethertype = ETHERTYPE_IPV6;
        break;
    default:
        *ethertype = 0;
        break;
    }
    *family = value;
    *in = c;
    return WIRE_OK;
}
