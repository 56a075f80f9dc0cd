#include "sensor/wire/ethernet.h"
#include "sensor/wire/ipv4.h"
#include "sensor/wire/ipv6.h"
#include "sensor/wire/walk.h"

/* Tunnels of IP over UDP whose own header has next to nothing that could tell it from others: LISP
 * and GUE. The port brought us here, so the packet inside must end where the datagram ends. */

/* Bytes of the IP header that stands here, as far as they are needed to tell its length. */
static uint32_t ip_header_bytes(const struct walk *walk)
{
    return walk_left(walk) > 0 && *walk->at.at >> 4 == 6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
}

/* Whether IP of `version` (0: either) stands here and ends with the datagram, of which the first
 * fragment may have less. A length of 0 is what segmentation offload leaves. */
static bool is_whole_ip(const struct walk *walk, unsigned version)
{
    const uint8_t *at = walk->at.at;

    if (!walk_is_ip(walk) || (version != 0 && *at >> 4 != version)) {
        return false;
    }
    const bool is_4 = *at >> 4 == 4;
    const uint32_t length = wire_u16(is_4 ? at + 2 : at + 4);
    const uint32_t bytes = is_4 ? length : length + IPV6_HEADER_BYTES;
    const uint32_t declared = walk_declared(walk);

    return length == 0 || (walk_bound(walk) == declared ? bytes == declared : bytes >= declared);
}

/* Steps over the tunnel's header to an IP packet that fits. False: the walk has ended at `outside`,
 * the capture was cut or this is no tunnel. */
static bool take_to_ip(struct walk *walk, enum wire_layer layer, uint32_t header_bytes,
                       unsigned version)
{
    const struct cursor outside = walk->at;

    if (walk_take(walk, header_bytes) == NULL) {
        walk_short(walk, layer);
        return false;
    }
    const bool is_cut = walk->missing_bytes > 0 && walk_left(walk) < ip_header_bytes(walk);

    if (is_cut || !is_whole_ip(walk, version)) {
        walk->at = outside;
        walk_fault(walk, layer, is_cut ? DECODE_TRUNCATED : DECODE_REFUSED);
        return false;
    }
    return true;
}

/* ---- LISP (RFC 9300 5.1; what it carries by number: RFC 9305) ---- */

#define LISP_HEADER_BYTES 8

enum lisp_bit {
    LISP_INSTANCE = 0x08,
    LISP_PROTOCOL = 0x04,
    LISP_KEY = 0x03, /* RFC 8061 */
};

enum lisp_protocol {
    LISP_IPV4 = 1,
    LISP_IPV6 = 2,
    LISP_ETHERNET = 3,
};

static void open_lisp(struct walk *walk, const uint8_t *at)
{
    const bool has_instance = (at[0] & LISP_INSTANCE) != 0;
    const uint32_t instance = has_instance ? wire_u32(at + 4) >> 8 : 0;

    if (walk->tree != NULL) {
        tree_layer(walk->tree, "LISP", at, LISP_HEADER_BYTES);
        tree_field(walk->tree, "flags", at, 1, "0x%02x", at[0]);
        if ((at[0] & LISP_PROTOCOL) != 0) {
            tree_field(walk->tree, "next_protocol", at + 3, 1, "%u", at[3]);
        }
        if (has_instance) {
            tree_field(walk->tree, "instance", at + 4, 3, "%u", instance);
        }
    }
    walk_tunnel(walk, TUNNEL_LISP, instance);
}

void walk_lisp(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < LISP_HEADER_BYTES) {
        walk_short(walk, LAYER_LISP);
        return;
    }
    const unsigned protocol = (at[0] & LISP_PROTOCOL) != 0 ? at[3] : 0;

    if ((at[0] & LISP_KEY) != 0) {
        walk_fault(walk, LAYER_LISP, DECODE_PROTECTED);
    } else if (protocol == LISP_ETHERNET && walk_is_ethernet(walk, LISP_HEADER_BYTES)) {
        (void)walk_take(walk, LISP_HEADER_BYTES);
        open_lisp(walk, at);
        walk->next = LAYER_ETHERNET;
    } else if ((at[0] & LISP_PROTOCOL) != 0 && protocol != LISP_IPV4 && protocol != LISP_IPV6) {
        walk_fault(walk, LAYER_LISP, DECODE_REFUSED);
    } else if (take_to_ip(walk, LAYER_LISP, LISP_HEADER_BYTES,
                          protocol == LISP_IPV4   ? 4
                          : protocol == LISP_IPV6 ? 6
                                                  : 0)) {
        open_lisp(walk, at);
        walk_ip(walk);
    }
}

/* ---- GUE (draft-ietf-intarea-gue) ---- */

#define GUE_CONTROL 0x20

static void open_gue(struct walk *walk, const uint8_t *at, uint32_t header_bytes)
{
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "GUE", at, header_bytes);
        tree_field(walk->tree, "variant", at, header_bytes > 0 ? 1 : 0, "%u", at[0] >> 6);
        if (header_bytes > 0) {
            tree_field(walk->tree, "protocol", at + 1, 1, "%u", at[1]);
            tree_field(walk->tree, "flags", at + 2, 2, "0x%04x", wire_u16(at + 2));
        }
    }
    walk_tunnel(walk, TUNNEL_GUE, 0);
    walk_ip(walk);
}

/* Variant 0: fields that the flags name are stepped over by the header's length. */
static void walk_gue_header(struct walk *walk)
{
    const uint8_t *at = walk->at.at;
    const uint32_t header_bytes = 4 + (at[0] & 0x1fU) * 4U;

    if (header_bytes > walk_bound(walk)) {
        walk_fault(walk, LAYER_GUE, DECODE_REFUSED);
    } else if ((at[0] & GUE_CONTROL) != 0) {
        return; /* the tunnel's own */
    } else if (at[1] != IP_PROTOCOL_IPV4 && at[1] != IP_PROTOCOL_IPV6) {
        walk_fault(walk, LAYER_GUE, DECODE_UNSUPPORTED);
    } else if (take_to_ip(walk, LAYER_GUE, header_bytes, at[1] == IP_PROTOCOL_IPV4 ? 4 : 6)) {
        open_gue(walk, at, header_bytes);
    }
}

/* Variant 1 has no header: it is the first two bits of the versions of IP. */
void walk_gue(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 4) {
        walk_short(walk, LAYER_GUE);
        return;
    }
    switch (at[0] >> 6) {
    case 0:
        walk_gue_header(walk);
        break;
    case 1:
        if (take_to_ip(walk, LAYER_GUE, 0, 0)) {
            open_gue(walk, at, 0);
        }
        break;
    default:
        walk_fault(walk, LAYER_GUE, DECODE_REFUSED);
        break;
    }
}
