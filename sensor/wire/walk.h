/* The one walk over a frame: packet_decode takes it for facts, packet_tree for facts and fields.
 *
 * A layer function stands at its header (walk->at), reads it, writes its facts into walk->out and
 * its fields into walk->tree where there is one, steps over it and says what is next. The loop in
 * walk.c calls one after the other, so nesting costs no stack and is bounded by the rules. What
 * every packet has is inline in walk_ethernet.h, walk_ip.h and walk_transport.h; all other layers
 * are rows of the table in walk.c. Private to wire. Depends on: packet.h, tree_writer.h. Pure. */
#pragma once

#include "base/attributes.h"
#include "sensor/wire/cursor.h"
#include "sensor/wire/packet.h"
#include "sensor/wire/tree_writer.h"

struct walk {
    struct cursor at;
    const struct frame *frame;
    const struct packet_rules *rules;
    struct packet *out;
    struct tree_writer *tree; /* NULL: facts alone */
    uint32_t missing_bytes;   /* what the headers declare behind at.end: not captured */
    uint16_t link_type;       /* that of the frame, or of the frame inside a wrapper */
    uint16_t ethertype;       /* under which the layer was named, where one did */
    uint8_t next;             /* enum wire_layer; LAYER_NONE ends the walk */
    uint8_t layer;            /* the one being read */
    uint8_t options;          /* enum packet_option */
    bool is_padded;           /* the radio header says so of the 802.11 header */
    bool is_swapped;          /* the bytes of the 802.11 frame control may be swapped (CAPWAP) */
    bool is_sequenced;        /* GRE has a sequence number: ERSPAN is not of type I */
    bool has_payload;         /* a transport header was read and no tunnel opened behind it */
    /* Tunnels entered so far. They become the packet's when an IP header inside was read. */
    uint8_t tunnel_count;
    uint8_t tunnel_types[PACKET_TUNNELS_MAX];
    uint32_t tunnel_ids[PACKET_TUNNELS_MAX];
    uint16_t tunnel_offsets[PACKET_TUNNELS_MAX];
    uint16_t tenant;
    uint16_t mac_offset; /* of the innermost Ethernet header inside a tunnel; 0: none */
};

/* Runs from walk->next to the end. */
void walk_on(struct walk *walk);

/* Goes on with a frame of `link_type`, a LINKTYPE number; without decoder that is unsupported. */
void walk_link(struct walk *walk, uint32_t link_type);

static inline uint32_t walk_offset(const struct walk *walk)
{
    return (uint32_t)(walk->at.at - walk->frame->bytes);
}

static inline uint32_t walk_left(const struct walk *walk)
{
    return (uint32_t)cursor_left(&walk->at);
}

/* Bytes behind `at` by what the headers declare, captured or not. */
static inline uint32_t walk_declared(const struct walk *walk)
{
    return walk_left(walk) + walk->missing_bytes;
}

/* The most that can follow: no bound where this is the first fragment of something longer. */
static inline uint32_t walk_bound(const struct walk *walk)
{
    const unsigned is_part = PACKET_HAS_MORE_FRAGMENTS | PACKET_OUTER_FRAGMENT;

    return (walk->out->facts & is_part) != 0 ? UINT32_MAX : walk_declared(walk);
}

/* What the headers say from here on ends after `bytes`; more than they said so far changes nothing.
 */
static inline void walk_limit(struct walk *walk, uint32_t bytes)
{
    const uint32_t left = walk_left(walk);

    if (bytes <= left) {
        walk->at.end = walk->at.at + bytes;
        walk->missing_bytes = 0;
    } else if (bytes - left < walk->missing_bytes) {
        walk->missing_bytes = bytes - left;
    }
}

/* Steps over the next `bytes` and returns them; NULL when fewer are left, nothing has moved then.
 */
static inline const uint8_t *walk_take(struct walk *walk, size_t bytes)
{
    const uint8_t *at = walk->at.at;

    if (UNLIKELY(cursor_left(&walk->at) < bytes)) {
        return NULL;
    }
    if (bytes > 0) {
        walk->at.at += bytes;
    }
    return at;
}

static inline bool walk_is_open(const struct walk *walk, enum wire_layer layer)
{
    return packet_rules_is_open(walk->rules, layer);
}

/* Goes on with `layer`, unless it is switched off. */
static inline void walk_to(struct walk *walk, enum wire_layer layer)
{
    walk->next = walk_is_open(walk, layer) ? (uint8_t)layer : LAYER_NONE;
}

/* Ends the walk; the tree gets a last layer that says why. */
void walk_fault(struct walk *walk, enum wire_layer layer, enum decode_reason reason);
/* The header at hand is longer than what is left: the capture was cut, or the packet ends there.
 */
void walk_short(struct walk *walk, enum wire_layer layer);

/* A tunnel was entered: what follows is inside. */
void walk_tunnel(struct walk *walk, enum tunnel_type type, uint32_t id);
/* An IP header inside the tunnels was read: they and its own fields become the packet's. */
void walk_descend(struct walk *walk);

/* Goes on with an ethertype: ethernet, SLL, GRE and many others name what they carry by one. */
void walk_ethertype(struct walk *walk, uint16_t ethertype);
/* What stands here is no IP and no tunnel: the end of the walk, without fault. */
void walk_not_ip(struct walk *walk);
/* IPv4 or IPv6 by the first half byte; another one is refused. */
void walk_ip(struct walk *walk);
/* Whether an IP header with lengths that fit stands here; used where only a port says so. */
bool walk_is_ip(const struct walk *walk);

/* The layers. */
void walk_sll(struct walk *walk); /* walk_link.c */
void walk_loopback(struct walk *walk);
void walk_fddi(struct walk *walk);
void walk_token_ring(struct walk *walk);
void walk_nflog(struct walk *walk); /* walk_wrapper.c */
void walk_ipoib(struct walk *walk);
void walk_pktap(struct walk *walk);
void walk_juniper(struct walk *walk);
void walk_wrapper(struct walk *walk);
void walk_docsis(struct walk *walk);
void walk_ppp(struct walk *walk); /* walk_ppp.c */
void walk_hdlc(struct walk *walk);
void walk_frame_relay(struct walk *walk);
void walk_pppoe(struct walk *walk);
void walk_mfr(struct walk *walk);
void walk_erf(struct walk *walk); /* walk_record.c */
void walk_slip(struct walk *walk);
void walk_atm(struct walk *walk);
void walk_radio(struct walk *walk); /* walk_wlan.c */
void walk_wlan(struct walk *walk);
void walk_vlan(struct walk *walk); /* walk_tag.c */
void walk_llc(struct walk *walk);
void walk_snap(struct walk *walk); /* behind the three bytes aa aa 03, or an NLPID that says so */
void walk_pbb(struct walk *walk);
void walk_vntag(struct walk *walk);
void walk_etag(struct walk *walk);
void walk_hsr(struct walk *walk);
void walk_dsa(struct walk *walk);
void walk_macsec(struct walk *walk);
void walk_trustsec(struct walk *walk);
void walk_arista(struct walk *walk);
void walk_fabricpath(struct walk *walk);
void walk_isl(struct walk *walk);
void walk_mpls(struct walk *walk); /* walk_mpls.c */
void walk_pseudowire(struct walk *walk);
void walk_nsh(struct walk *walk);
/* Goes on with a next protocol of NSH or VXLAN-GPE. */
void walk_nsh_protocol(struct walk *walk, uint8_t protocol);
/* Whether an Ethernet header with an ethertype that is in use stands `offset` bytes further on. */
bool walk_is_ethernet(const struct walk *walk, uint32_t offset);
void walk_gre(struct walk *walk); /* walk_gre.c */
void walk_erspan(struct walk *walk);
void walk_wccp(struct walk *walk);
void walk_vxlan(struct walk *walk); /* walk_overlay.c */
void walk_vxlan_gpe(struct walk *walk);
void walk_geneve(struct walk *walk);
void walk_etherip(struct walk *walk);
bool walk_is_register(const struct walk *walk);
void walk_pim(struct walk *walk);
void walk_capwap(struct walk *walk);
void walk_tzsp(struct walk *walk);
void walk_gtp(struct walk *walk); /* walk_access.c */
void walk_teredo(struct walk *walk);
void walk_ayiya(struct walk *walk);
void walk_l2tp(struct walk *walk);
void walk_lisp(struct walk *walk); /* walk_over_udp.c */
void walk_gue(struct walk *walk);
