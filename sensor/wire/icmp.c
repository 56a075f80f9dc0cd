#include "sensor/wire/icmp.h"

#include "sensor/wire/packet.h"

enum wire_status icmp_parse(struct cursor *in, uint8_t ip_version, struct icmp *out)
{
    struct cursor c = *in;
    const uint8_t type = cursor_u8(&c);
    const uint8_t code = cursor_u8(&c);
    const uint16_t checksum = cursor_u16(&c);

    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    *out = (struct icmp){.type = type, .code = code, .checksum = checksum};
    if (cursor_left(&c) < ICMP_HEADER_BYTES - 4) {
        cursor_skip(&c, cursor_left(&c));
    } else {
        out->is_echo = ip_version == 6 ? type == 128 || type == 129 : type == 0 || type == 8;
        const uint16_t id = cursor_u16(&c);
        const uint16_t sequence = cursor_u16(&c);
        if (out->is_echo) {
            out->id = id;
            out->sequence = sequence;
        }
    }
    *in = c;
    return WIRE_OK;
}

static const char *icmpv4_type_name(uint8_t type)
{
    switch (type) {
    case 0:
        return "echo reply";
    case 3:
        return "destination unreachable";
    case 4:
        return "source quench";
    case 5:
        return "redirect";
    case 8:
        return "echo request";
    case 9:
        return "router advertisement";
    case 10:
        return "router solicitation";
    case 11:
        return "time exceeded";
    case 12:
        return "parameter problem";
    case 13:
        return "timestamp request";
    case 14:
        return "timestamp reply";
    case 17:
        return "address mask request";
    case 18:
        return "address mask reply";
    default:
        return NULL;
    }
}

static const char *icmpv6_type_name(uint8_t type)
{
    switch (type) {
    case 1:
        return "destination unreachable";
    case 2:
        return "packet too big";
    case 3:
        return "time exceeded";
    case 4:
        return "parameter problem";
    case 128:
        return "echo request";
    case 129:
        return "echo reply";
    case 130:
        return "listener query";
    case 131:
        return "listener report";
    case 132:
        return "listener done";
    case 133:
        return "router solicitation";
    case 134:
        return "router advertisement";
    case 135:
        return "neighbor solicitation";
    case 136:
        return "neighbor advertisement";
    case 137:
        return "redirect";
    case 143:
        return "listener report v2";
    default:
        return NULL;
    }
}

const char *icmp_type_name(uint8_t ip_version, uint8_t type)
{
    return ip_version == 6 ? icmpv6_type_name(type) : icmpv4_type_name(type);
}

int icmp_reply_type(uint8_t protocol, uint16_t type)
{
    static const uint8_t pairs_v4[][2] = {{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}};
    static const uint8_t pairs_v6[][2] = {{128, 129}, {133, 134}, {135, 136},
                                          {130, 131}, {139, 140}, {144, 145}};
    const bool is_v4 = protocol == IP_PROTOCOL_ICMP;
    const uint8_t(*pairs)[2] = is_v4 ? pairs_v4 : pairs_v6;
    const size_t count =
        is_v4 ? sizeof(pairs_v4) / sizeof(pairs_v4[0]) : sizeof(pairs_v6) / sizeof(pairs_v6[0]);

    for (size_t i = 0; i < count; i++) {
        if (type == pairs[i][0]) {
            return pairs[i][1];
        }
        if (type == pairs[i][1]) {
            return pairs[i][0];
        }
    }
    return -1;
}
