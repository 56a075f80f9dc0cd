#include "sensor/wire/ethernet.h"
#include "sensor/wire/walk.h"

/* IEEE 802.11 data frames and what radios write before them. */

#define RADIOTAP_TSFT      (1U << 0)
#define RADIOTAP_FLAGS     (1U << 1)
#define RADIOTAP_MORE      (1U << 31)
#define RADIOTAP_IS_PADDED 0x20 /* the 802.11 header is padded to four bytes */
#define PRISM_BYTES        144
#define AVS_MAGIC          0x80211000U

static uint16_t little_u16(const uint8_t *at)
{
    return __builtin_bswap16(wire_u16(at));
}

static uint32_t little_u32(const uint8_t *at)
{
    return __builtin_bswap32(wire_u32(at));
}

/* The flags field of a radiotap header of `length` bytes; 0 where it has none. */
static uint8_t radiotap_flags(const uint8_t *at, uint32_t length)
{
    const uint32_t present = little_u32(at + 4);
    uint32_t offset = 4;

    do { /* the bitmaps of further namespaces stand between */
        offset += 4;
        if (offset + 4 > length) {
            return 0;
        }
    } while ((little_u32(at + offset - 4) & RADIOTAP_MORE) != 0);
    if ((present & RADIOTAP_FLAGS) == 0) {
        return 0;
    }
    if ((present & RADIOTAP_TSFT) != 0) {
        offset = (offset + 7) / 8 * 8 + 8;
    }
    return offset < length ? at[offset] : 0;
}

/* Length of the header at hand by its link type; 0: it contradicts itself. */
static uint32_t radio_bytes(const struct walk *walk, const uint8_t *at)
{
    switch (walk->link_type) {
    case LINK_RADIOTAP:
    case LINK_PPI: {
        const uint32_t length = little_u16(at + 2);

        return length >= 8 ? length : 0;
    }
    default: /* Prism, or AVS under Prism's number too */
        if ((wire_u32(at) & 0xfffff000U) == AVS_MAGIC) {
            const uint32_t length = wire_u32(at + 4);

            return length >= 8 ? length : 0;
        }
        return PRISM_BYTES;
    }
}

void walk_radio(struct walk *walk)
{
    static const char *const names[] = {"Radiotap", "PPI", "Radio"};
    const uint8_t *at = walk->at.at;

    if (walk_left(walk) < 8) {
        walk_short(walk, LAYER_RADIO);
        return;
    }
    const uint32_t length = radio_bytes(walk, at);
    if (length == 0) {
        walk_fault(walk, LAYER_RADIO, DECODE_MALFORMED);
        return;
    }
    if (walk_take(walk, length) == NULL) {
        walk_short(walk, LAYER_RADIO);
        return;
    }
    const unsigned kind = walk->link_type == LINK_RADIOTAP ? 0
                          : walk->link_type == LINK_PPI    ? 1
                                                           : 2;
    if (walk->tree != NULL) {
        tree_layer(walk->tree, names[kind], at, length);
        tree_field(walk->tree, "length", at + 2, 2, "%u", length);
    }
    if (kind == 1) {
        walk_link(walk, little_u32(at + 4));
        return;
    }
    walk->is_padded = kind == 0 && (radiotap_flags(at, length) & RADIOTAP_IS_PADDED) != 0;
    walk->is_swapped = false;
    walk_to(walk, LAYER_WLAN);
}

enum wlan_bits {
    WLAN_TO_DS = 0x01,
    WLAN_FROM_DS = 0x02,
    WLAN_PROTECTED = 0x40,
    WLAN_ORDER = 0x80,
    WLAN_NULL = 0x40, /* of the first byte: no data */
    WLAN_QOS = 0x80,
    WLAN_AMSDU = 0x80, /* of the QoS control */
};

struct wlan {
    const uint8_t *at;
    uint8_t control; /* type and subtype */
    uint8_t flags;
    bool is_swapped;
    uint32_t header_bytes;
};

static struct wlan wlan_of(const struct walk *walk, const uint8_t *at)
{
    struct wlan wlan = {.at = at, .control = at[0], .flags = at[1], .header_bytes = 24};

    if (walk->is_swapped && (at[0] & 0x0f) != 0x08 && (at[1] & 0x0f) == 0x08) {
        wlan.control = at[1];
        wlan.flags = at[0];
        wlan.is_swapped = true;
    }
    if ((wlan.flags & (WLAN_TO_DS | WLAN_FROM_DS)) == (WLAN_TO_DS | WLAN_FROM_DS)) {
        wlan.header_bytes += 6;
    }
    if ((wlan.control & WLAN_QOS) != 0) {
        wlan.header_bytes += (wlan.flags & WLAN_ORDER) != 0 ? 6U : 2U; /* HT control */
    }
    return wlan;
}

/* The sender's MAC; both where they stand as on Ethernet. */
static void note_wlan_macs(struct walk *walk, const struct wlan *wlan)
{
    static const uint8_t source_offsets[4] = {10, 10, 16, 24}; /* by the two DS bits */
    const unsigned ds = wlan->flags & (WLAN_TO_DS | WLAN_FROM_DS);
    const uint8_t *source = wlan->at + source_offsets[ds];

    if (walk->tree != NULL) {
        tree_mac(walk->tree, "receiver", wlan->at + 4);
        tree_mac(walk->tree, "transmitter", wlan->at + 10);
        tree_mac(walk->tree, "source", source);
    }
    if (walk->tunnel_count > 0) {
        return;
    }
    if (ds == 0) {
        walk->out->mac_offset = (uint16_t)(wlan->at + 4 - walk->frame->bytes);
        walk->out->facts |= PACKET_HAS_MACS;
    } else {
        walk->out->mac_offset = (uint16_t)(source - walk->frame->bytes);
        walk->out->facts |= PACKET_HAS_SLL_SOURCE;
    }
}

static void walk_wlan_body(struct walk *walk, const struct wlan *wlan)
{
    const bool is_four = (wlan->flags & (WLAN_TO_DS | WLAN_FROM_DS)) == (WLAN_TO_DS | WLAN_FROM_DS);
    const bool is_aggregate =
        (wlan->control & WLAN_QOS) != 0 && (wlan->at[is_four ? 30 : 24] & WLAN_AMSDU) != 0;

    if ((wlan->control & WLAN_NULL) != 0) { /* null function: a data frame without data */
        walk_not_ip(walk);
        return;
    }
    if ((wlan->flags & WLAN_PROTECTED) != 0) {
        walk_fault(walk, LAYER_WLAN, DECODE_PROTECTED);
        return;
    }
    const unsigned fragment = wlan->at[wlan->is_swapped ? 23 : 22] & 0x0f; /* swapped with it */
    if (fragment != 0) { /* a later fragment: the middle of something */
        walk_fault(walk, LAYER_WLAN, DECODE_UNSUPPORTED);
        return;
    }
    if (walk->is_padded) {
        (void)walk_take(walk, (4 - wlan->header_bytes % 4) % 4);
    }
    if (is_aggregate) { /* the first subframe alone: target, source, length */
        const uint8_t *subframe = walk_take(walk, 14);

        if (subframe == NULL) {
            walk_short(walk, LAYER_WLAN);
            return;
        }
        walk_limit(walk, wire_u16(subframe + 12));
        if (walk->tree != NULL) {
            tree_layer(walk->tree, "802.11 A-MSDU", subframe, 14);
            tree_mac(walk->tree, "target", subframe);
            tree_mac(walk->tree, "source", subframe + 6);
            tree_field(walk->tree, "length", subframe + 12, 2, "%u", wire_u16(subframe + 12));
        }
    }
    walk_to(walk, LAYER_LLC);
}

void walk_wlan(struct walk *walk)
{
    const uint8_t *at = walk->at.at;

    walk->ethertype = 0;
    if (walk_left(walk) < 2) {
        walk_short(walk, LAYER_WLAN);
        return;
    }
    const struct wlan wlan = wlan_of(walk, at);
    const unsigned type = wlan.control >> 2 & 3;
    if (type != 2) { /* management, control, extension */
        if (walk->tree != NULL) {
            tree_layer(walk->tree, type == 0 ? "802.11 management" : "802.11 control", at, 2);
            tree_field(walk->tree, "subtype", at, 1, "%u", wlan.control >> 4);
        }
        walk_not_ip(walk);
        return;
    }
    if (walk_take(walk, wlan.header_bytes) == NULL) {
        walk_short(walk, LAYER_WLAN);
        return;
    }
    if (walk->tree != NULL) {
        tree_layer(walk->tree, "802.11 data", at, wlan.header_bytes);
        tree_field(walk->tree, "subtype", at, 1, "%u", wlan.control >> 4);
        tree_field(walk->tree, "flags", at + 1, 1, "0x%02x", wlan.flags);
    }
    note_wlan_macs(walk, &wlan);
    walk_wlan_body(walk, &wlan);
}
