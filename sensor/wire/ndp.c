#include "sensor/wire/ndp.h"

enum option_type {
    OPTION_SOURCE_MAC = 1,
    OPTION_TARGET_MAC = 2,
    OPTION_PREFIX = 3,
    OPTION_MTU = 5,
    OPTION_NONCE = 14,
};

/* Bytes of a message before its options (RFC 4861 4.1 to 4.5), the 4 of ICMPv6 included. */
static uint32_t fixed_bytes(uint8_t type)
{
    switch (type) {
    case NDP_ROUTER_SOLICITATION:
        return 8;
    case NDP_ROUTER_ADVERTISEMENT:
        return 16;
    case NDP_NEIGHBOR_SOLICITATION:
    case NDP_NEIGHBOR_ADVERTISEMENT:
        return 24;
    case NDP_REDIRECT:
        return 40;
    default:
        return 0;
    }
}

static void read_fixed(struct cursor *c, struct ndp *out)
{
    uint8_t flags;

    switch (out->type) {
    case NDP_ROUTER_ADVERTISEMENT:
        out->hop_limit = cursor_u8(c);
        flags = cursor_u8(c);
        out->is_managed = (flags & 0x80) != 0;
        out->is_other_config = (flags & 0x40) != 0;
        out->lifetime_seconds = cursor_u16(c);
        out->reachable_ms = cursor_u32(c);
        out->retransmit_ms = cursor_u32(c);
        return;
    case NDP_NEIGHBOR_ADVERTISEMENT:
        flags = cursor_u8(c);
        out->is_router = (flags & 0x80) != 0;
        out->is_solicited = (flags & 0x40) != 0;
        out->is_override = (flags & 0x20) != 0;
        cursor_skip(c, 3);
        cursor_copy(c, out->target, sizeof(out->target));
        return;
    case NDP_NEIGHBOR_SOLICITATION:
        cursor_skip(c, 4);
        cursor_copy(c, out->target, sizeof(out->target));
        return;
    case NDP_REDIRECT:
        cursor_skip(c, 4);
        cursor_copy(c, out->target, sizeof(out->target));
        cursor_copy(c, out->destination, sizeof(out->destination));
        return;
    default:
        cursor_skip(c, 4);
        return;
    }
}

static void read_prefix(const struct ndp_option *option, struct ndp *out)
{
    const uint8_t *at = option->at;

    if (option->length != 32) {
        return;
    }
    if (out->prefix_count < NDP_PREFIXES_MAX) {
        struct ndp_prefix *prefix = &out->prefixes[out->prefix_count];

        *prefix = (struct ndp_prefix){.length = at[2],
                                      .is_on_link = (at[3] & 0x80) != 0,
                                      .is_autonomous = (at[3] & 0x40) != 0,
                                      .valid_seconds = wire_u32(at + 4),
                                      .preferred_seconds = wire_u32(at + 8)};
        memcpy(prefix->prefix, at + 16, sizeof(prefix->prefix));
    }
    out->prefix_count++;
}

/* Only Ethernet's 6-byte addresses are taken: their option is one unit of 8 bytes. The first of a
 * kind counts. */
static void read_mac(const struct ndp_option *option, bool *has, uint8_t mac[6])
{
    if (option->length == 8 && !*has) {
        memcpy(mac, option->at + 2, 6);
        *has = true;
    }
}

static void read_option(const struct ndp_option *option, struct ndp *out)
{
    switch (option->type) {
    case OPTION_SOURCE_MAC:
        read_mac(option, &out->has_source_mac, out->source_mac);
        break;
    case OPTION_TARGET_MAC:
        read_mac(option, &out->has_target_mac, out->target_mac);
        break;
    case OPTION_PREFIX:
        read_prefix(option, out);
        break;
    case OPTION_MTU:
        if (option->length == 8) {
            out->mtu_bytes = wire_u32(option->at + 4);
        }
        break;
    case OPTION_NONCE:
        out->has_nonce = true;
        break;
    default:
        break;
    }
}

struct cursor ndp_options(const struct wire_span *message)
{
    struct cursor c = cursor_over(message->bytes, message->length);

    cursor_skip(&c, message->length > 0 ? fixed_bytes(message->bytes[0]) : 0);
    return c;
}

bool ndp_option_next(struct cursor *at, struct ndp_option *out)
{
    if (cursor_left(at) < 2) {
        return false;
    }
    *out = (struct ndp_option){.type = at->at[0], .at = at->at, .length = at->at[1] * 8U};
    return out->length > 0 && cursor_take(at, out->length) != NULL;
}

enum wire_status ndp_parse(const struct wire_span *message, struct ndp *out)
{
    struct cursor c = cursor_over(message->bytes, message->length);

    *out = (struct ndp){0};
    out->type = cursor_u8(&c);
    out->code = cursor_u8(&c);
    cursor_skip(&c, 2); /* checksum */
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    if (!ndp_is_type(out->type) || out->code != 0) {
        return WIRE_MALFORMED;
    }
    read_fixed(&c, out);
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    struct ndp_option option;

    while (out->option_count < NDP_OPTIONS_MAX && ndp_option_next(&c, &option)) {
        read_option(&option, out);
        out->option_count++;
    }
    if (c.ok && cursor_left(&c) >= 2 && c.at[1] == 0) {
        return WIRE_MALFORMED;
    }
    out->is_cut = !c.ok || cursor_left(&c) == 1;
    return WIRE_OK;
}
