#include "sensor/wire/ipv6.h"

enum wire_status ipv6_extension_parse(struct cursor *in, uint8_t type, struct ipv6_extension *out)
{
    struct cursor c = *in;
    const uint8_t *at = cursor_take(&c, 8); /* the shortest of all of them */

    if (at == NULL) {
        return WIRE_TRUNCATED;
    }
    *out = (struct ipv6_extension){.type = type, .next_header = at[0], .header_bytes = 8};
    switch (type) {
    case IP_PROTOCOL_FRAGMENT: /* its second byte is reserved */
        out->fragment_offset_bytes = wire_u16(at + 2) & 0xfff8;
        out->has_more_fragments = (at[3] & 1) != 0;
        out->fragment_id = wire_u32(at + 4);
        break;
    case IP_PROTOCOL_AH: /* RFC 4302: words of 4 bytes, less 2 */
        out->header_bytes = (at[1] + 2U) * 4U;
        if (out->header_bytes < 12) { /* the fixed part up to the sequence number */
            return WIRE_MALFORMED;
        }
        break;
    default: /* RFC 6564: words of 8 bytes, less 1 */
        out->header_bytes = (at[1] + 1U) * 8U;
        break;
    }
    cursor_skip(&c, out->header_bytes - 8);
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    *in = c;
    return WIRE_OK;
}
