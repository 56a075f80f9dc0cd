#include "sensor/wire/ethernet.h"
#include "sensor/wire/walk.h"

/* GRE (RFC 2784, 2890, routing of RFC 1701), version 1 for PPTP (RFC 2637), and what only stands
 * behind GRE: ERSPAN (draft-foschiano-erspan), WCCP. */

enum gre_bit {
    GRE_CHECKSUM = 0x8000,
    GRE_ROUTING = 0x4000,
    GRE_KEY = 0x2000,
    GRE_SEQUENCE = 0x1000,
    GRE_ACK = 0x0080, /* version 1 */
    GRE_VERSION = 0x0007,
};

#define GRE_ROUTES_MAX 32

struct gre {
    uint16_t bits;
    uint16_t protocol;
    uint32_t key;
};

static void tree_gre(struct walk *walk, const uint8_t *at, const struct gre *gre)
{
    if (walk->tree == NULL) {
        return;
    }
    tree_layer(walk->tree, "GRE", at, (size_t)(walk->at.at - at));
    tree_field(walk->tree, "flags", at, 2, "0x%04x", gre->bits);
    tree_field(walk->tree, "version", at + 1, 1, "%u", gre->bits & GRE_VERSION);
    tree_field(walk->tree, "protocol", at + 2, 2, "0x%04x", gre->protocol);
    if ((gre->bits & GRE_KEY) != 0) {
        const size_t offset = (gre->bits & (GRE_CHECKSUM | GRE_ROUTING)) != 0 ? 8 : 4;

        tree_field(walk->tree, "key", at + offset, 4, "0x%08x", gre->key);
    }
}

/* Source routes: until an empty one. */
static bool skip_routes(struct walk *walk)
{
    for (unsigned i = 0; i < GRE_ROUTES_MAX; i++) {
        const uint8_t *at = walk_take(walk, 4);

        if (at == NULL) {
            return false;
        }
        if (at[3] == 0) {
            return true;
        }
        if (walk_take(walk, at[3]) == NULL) {
            return false;
        }
    }
    return false;
}

static void go_on_behind_gre(struct walk *walk, const struct gre *gre)
{
    /* RFC 7637: the key is a virtual subnet, of which the first 4096 are not used, and a flow.
     * Other keys around Ethernet are plain ones. */
    const bool is_nvgre =
        gre->protocol == ETHERTYPE_BRIDGING && gre->bits == GRE_KEY && gre->key >> 8 >= 0x1000;

    if (is_nvgre) {
        walk_tunnel(walk, TUNNEL_NVGRE, gre->key >> 8);
    } else {
        walk_tunnel(walk, TUNNEL_GRE, gre->key);
    }
    walk->ethertype = gre->protocol;
    switch (gre->protocol) {
    case ETHERTYPE_ERSPAN:
    case ETHERTYPE_ERSPAN_3:
        walk->is_sequenced = (gre->bits & GRE_SEQUENCE) != 0;
        walk_to(walk, LAYER_ERSPAN);
        break;
    case ETHERTYPE_WCCP:
        walk_to(walk, LAYER_WCCP);
        break;
    default:
        if (gre->protocol <= ETHERTYPE_LENGTH_MAX) {
            walk_fault(walk, LAYER_GRE, DECODE_UNSUPPORTED); /* a keepalive, or a protocol's own */
        } else {
            walk_ethertype(walk, gre->protocol);
        }
        break;
    }
}

/* Version 1: PPP behind length, call, sequence and acknowledgement. */
static void walk_pptp(struct walk *walk, const uint8_t *at, struct gre *gre)
{
    const uint8_t *key = walk_take(walk, 4);
    const uint32_t more =
        ((gre->bits & GRE_SEQUENCE) != 0 ? 4 : 0) + ((gre->bits & GRE_ACK) != 0 ? 4 : 0);

    if (key == NULL || walk_take(walk, more) == NULL) {
        walk_short(walk, LAYER_GRE);
        return;
    }
    gre->key = wire_u32(key);
    tree_gre(walk, at, gre);
    if ((gre->bits & GRE_SEQUENCE) == 0 || gre->key >> 16 == 0) {
        return; /* an acknowledgement alone */
    }
    walk_limit(walk, gre->key >> 16);
    walk_tunnel(walk, TUNNEL_PPTP, gre->key & 0xffff);
    walk->link_type = LINK_PPP;
    walk_to(walk, LAYER_PPP);
}

void walk_gre(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 4);
    struct gre gre = {0};

    if (at == NULL) {
        walk_short(walk, LAYER_GRE);
        return;
    }
    gre.bits = wire_u16(at);
    gre.protocol = wire_u16(at + 2);
    if ((gre.bits & GRE_VERSION) == 1 && gre.protocol == ETHERTYPE_PPP) {
        walk_pptp(walk, at, &gre);
        return;
    }
    if ((gre.bits & GRE_VERSION) != 0) {
        walk_fault(walk, LAYER_GRE, DECODE_MALFORMED);
        return;
    }
    bool ok = (gre.bits & (GRE_CHECKSUM | GRE_ROUTING)) == 0 || walk_take(walk, 4) != NULL;
    if (ok && (gre.bits & GRE_KEY) != 0) {
        const uint8_t *key = walk_take(walk, 4);

        ok = key != NULL;
        gre.key = ok ? wire_u32(key) : 0;
    }
    ok = ok && ((gre.bits & GRE_SEQUENCE) == 0 || walk_take(walk, 4) != NULL);
    ok = ok && ((gre.bits & GRE_ROUTING) == 0 || skip_routes(walk));
    if (!ok) {
        walk_short(walk, LAYER_GRE);
        return;
    }
    tree_gre(walk, at, &gre);
    if (walk_left(walk) > 0) {
        go_on_behind_gre(walk, &gre);
    }
}

/* Type I has no header at all, and GRE without a sequence number tells it. */
void walk_erspan(struct walk *walk)
{
    const bool is_third = walk->ethertype == ETHERTYPE_ERSPAN_3;
    const uint32_t header_bytes = is_third ? 12 : walk->is_sequenced ? 8 : 0;
    const uint8_t *at = walk_take(walk, header_bytes);
    uint32_t session = 0;
    bool is_ip = false;

    if (at == NULL && header_bytes > 0) {
        walk_short(walk, LAYER_ERSPAN);
        return;
    }
    if (header_bytes > 0) {
        const unsigned version = at[0] >> 4;

        session = wire_u16(at + 2) & 0x3ff;
        if (version != (is_third ? 2 : 1)) {
            walk_fault(walk, LAYER_ERSPAN, DECODE_MALFORMED);
            return;
        }
    }
    if (is_third) {
        is_ip = (at[10] >> 2 & 0x1f) == 2;
        if ((at[11] & 1) != 0 && walk_take(walk, 8) == NULL) { /* the platform's own part */
            walk_short(walk, LAYER_ERSPAN);
            return;
        }
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree,
                   is_third           ? "ERSPAN III"
                   : header_bytes > 0 ? "ERSPAN II"
                                      : "ERSPAN I",
                   header_bytes > 0 ? at : walk->at.at,
                   header_bytes > 0 ? (size_t)(walk->at.at - at) : 0);
        if (header_bytes > 0) {
            tree_field(walk->tree, "vlan", at, 2, "%u", wire_u16(at) & 0xfff);
            tree_field(walk->tree, "session", at + 2, 2, "%u", session);
        }
    }
    walk_tunnel(walk, TUNNEL_ERSPAN, session);
    if (is_ip) {
        walk_ip(walk);
    } else {
        walk->next = LAYER_ETHERNET;
    }
}

/* Version 2 puts a redirect header of four bytes before IP, version 1 does not. */
void walk_wccp(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) > 0 && *at >> 4 != 4) {
        if (walk_take(walk, 4) == NULL) {
            walk_short(walk, LAYER_WCCP);
            return;
        }
        if (walk->tree != NULL) {
            tree_layer(walk->tree, "WCCP", at, 4);
            tree_field(walk->tree, "service", at + 1, 1, "%u", at[1]);
        }
    }
    walk_tunnel(walk, TUNNEL_WCCP, 0);
    walk_ip(walk);
}
