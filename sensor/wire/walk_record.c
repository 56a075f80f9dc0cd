#include <string.h>

#include "sensor/wire/ethernet.h"
#include "sensor/wire/walk.h"

/* What capture cards, ATM adapters and serial lines put before a frame or IP. */

/* ---- ERF: records of Endace's capture cards ---- */

#define ERF_HEADER_BYTES    16
#define ERF_EXTENSION_BYTES 8
#define ERF_EXTENSIONS_MAX  16
#define ERF_MORE            0x80 /* of the type and of each extension: another one follows */

enum erf_type {
    ERF_HDLC_POS = 1,
    ERF_ETHERNET = 2,
    ERF_MC_HDLC = 5,
    ERF_COLOR_HDLC_POS = 10,
    ERF_COLOR_ETHERNET = 11,
    ERF_DSM_COLOR_HDLC_POS = 15,
    ERF_DSM_COLOR_ETHERNET = 16,
    ERF_COLOR_MC_HDLC_POS = 17,
    ERF_COLOR_HASH_POS = 19,
    ERF_COLOR_HASH_ETHERNET = 20,
    ERF_IPV4 = 22,
    ERF_IPV6 = 23,
};

/* Behind the record's header: how far into the frame it begins, and padding. */
static void open_erf_ethernet(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 2);

    if (at == NULL) {
        walk_short(walk, LAYER_ERF);
    } else if (at[0] != 0) {
        walk_fault(walk, LAYER_ERF, DECODE_UNSUPPORTED);
    } else {
        walk->next = LAYER_ETHERNET;
    }
}

/* Cisco HDLC or PPP with its address, as LINKTYPE_PPP_HDLC has them. The record does not say, and
 * other links are carried so too. */
static void open_erf_hdlc(struct walk *walk)
{
    if (walk_left(walk) == 0) {
        walk_short(walk, LAYER_ERF);
        return;
    }
    const uint8_t address = *walk->at.at;

    if (address != 0x0f && address != 0x8f && address != 0xff) {
        walk_fault(walk, LAYER_ERF, DECODE_UNSUPPORTED);
        return;
    }
    walk->link_type = LINK_PPP_SERIAL;
    walk_to(walk, LAYER_PPP);
}

static void go_on_behind_erf(struct walk *walk, unsigned type)
{
    switch (type) {
    case ERF_ETHERNET:
    case ERF_COLOR_ETHERNET:
    case ERF_DSM_COLOR_ETHERNET:
    case ERF_COLOR_HASH_ETHERNET:
        open_erf_ethernet(walk);
        break;
    case ERF_MC_HDLC:
    case ERF_COLOR_MC_HDLC_POS:
        if (walk_take(walk, 4) == NULL) { /* the channel */
            walk_short(walk, LAYER_ERF);
            break;
        }
        open_erf_hdlc(walk);
        break;
    case ERF_HDLC_POS:
    case ERF_COLOR_HDLC_POS:
    case ERF_DSM_COLOR_HDLC_POS:
    case ERF_COLOR_HASH_POS:
        open_erf_hdlc(walk);
        break;
    case ERF_IPV4:
    case ERF_IPV6:
        walk_ip(walk);
        break;
    default:
        walk_fault(walk, LAYER_ERF, DECODE_UNSUPPORTED);
        break;
    }
}

void walk_erf(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, ERF_HEADER_BYTES);

    if (at == NULL) {
        walk_short(walk, LAYER_ERF);
        return;
    }
    unsigned count = 0;
    for (const uint8_t *type = at + 8; (*type & ERF_MORE) != 0; count++) {
        if (count == ERF_EXTENSIONS_MAX) {
            walk_fault(walk, LAYER_ERF, DECODE_TOO_DEEP);
            return;
        }
        type = walk_take(walk, ERF_EXTENSION_BYTES);
        if (type == NULL) {
            walk_short(walk, LAYER_ERF);
            return;
        }
    }
    const uint32_t header_bytes = ERF_HEADER_BYTES + count * ERF_EXTENSION_BYTES;

    if (wire_u16(at + 10) < header_bytes) { /* the record says that it ends in its own header */
        walk_fault(walk, LAYER_ERF, DECODE_MALFORMED);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "ERF", at, header_bytes);
        tree_field(walk->tree, "type", at + 8, 1, "%u", at[8] & 0x7f);
        tree_field(walk->tree, "flags", at + 9, 1, "0x%02x", at[9]);
        tree_field(walk->tree, "record_bytes", at + 10, 2, "%u", wire_u16(at + 10));
        tree_field(walk->tree, "wire_bytes", at + 14, 2, "%u", wire_u16(at + 14));
        tree_field(walk->tree, "extensions", NULL, 0, "%u", count);
    }
    go_on_behind_erf(walk, at[8] & 0x7f);
}

/* ---- SLIP: direction, kind of packet, how it was compressed; headers behind it never are ---- */

void walk_slip(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 16);

    if (at == NULL) {
        walk_short(walk, LAYER_SLIP);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "SLIP", at, 16);
        tree_field(walk->tree, "direction", at, 1, "%u", at[0]);
        tree_field(walk->tree, "kind", at + 1, 1, "0x%02x", at[1]);
    }
    walk_ip(walk);
}

/* ---- ATM ---- */

enum sunatm_traffic {
    SUNATM_RAW = 0,
    SUNATM_LANE = 1,
    SUNATM_LLC = 2,
};

#define LANE_CONTROL 0xff00

/* LAN emulation: the sender's number, then a frame of Ethernet, or of a token ring. */
static void open_lane(struct walk *walk)
{
    if (walk_left(walk) < 2 + ETHERNET_HEADER_BYTES) {
        walk_short(walk, LAYER_ATM);
    } else if (wire_u16(walk->at.at) == LANE_CONTROL) {
        walk_not_ip(walk);
    } else if (!walk_is_ethernet(walk, 2)) {
        walk_fault(walk, LAYER_ATM, DECODE_UNSUPPORTED);
    } else {
        (void)walk_take(walk, 2);
        walk->next = LAYER_ETHERNET;
    }
}

static void walk_sunatm(struct walk *walk)
{
    const uint8_t *at = walk_take(walk, 4);

    if (at == NULL) {
        walk_short(walk, LAYER_ATM);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "SunATM", at, 4);
        tree_field(walk->tree, "traffic", at, 1, "%u", at[0] & 0x0f);
        tree_field(walk->tree, "vpi", at + 1, 1, "%u", at[1]);
        tree_field(walk->tree, "vci", at + 2, 2, "%u", wire_u16(at + 2));
    }
    switch (at[0] & 0x0f) { /* the highest bit: sent */
    case SUNATM_LANE:
        open_lane(walk);
        break;
    case SUNATM_LLC:
        walk_to(walk, LAYER_LLC);
        break;
    case SUNATM_RAW:
        walk_fault(walk, LAYER_ATM, DECODE_UNSUPPORTED);
        break;
    default: /* signalling */
        walk_not_ip(walk);
        break;
    }
}

void walk_atm(struct walk *walk)
{
    static const uint8_t llc[3] = {0xaa, 0xaa, 3};

    if (walk->link_type == LINK_SUNATM) {
        walk_sunatm(walk);
    } else if (walk_left(walk) >= sizeof(llc) && memcmp(walk->at.at, llc, sizeof(llc)) == 0) {
        walk_to(walk, LAYER_LLC); /* Linux: the circuit may have either */
    } else {
        walk_ip(walk);
    }
}
