/* Beginning and end of a walk: packet_decode and packet_tree differ in walk.tree alone.
 *
 * Depends on: walk_ethernet.h, packet_plain.h. Private to wire. Pure. */
#pragma once

#include <assert.h>

#include "sensor/wire/packet_plain.h"
#include "sensor/wire/walk_ethernet.h"

/* What a walk that ended early, or without IP, is called. walk.c */
enum packet_verdict walk_verdict(const struct packet *packet);

static inline enum packet_verdict walk_frame(const struct packet_rules *rules,
                                             const struct frame *frame, unsigned options,
                                             struct packet *out, struct tree_writer *tree,
                                             bool *has_payload)
{
    struct walk walk; /* not initialised whole: the tunnels' part is read when it was written */

    assert(frame->bytes != NULL || frame->captured_bytes == 0);
    walk.at = cursor_over(frame->bytes, frame->captured_bytes);
    walk.frame = frame;
    walk.rules = rules != NULL ? rules : &packet_rules_default;
    walk.out = out;
    walk.tree = tree;
    walk.missing_bytes =
        frame->wire_bytes > frame->captured_bytes ? frame->wire_bytes - frame->captured_bytes : 0;
    walk.link_type = frame->link_type;
    walk.next = LAYER_NONE;
    walk.options = (uint8_t)options;
    walk.tunnel_count = 0;
    walk.has_payload = false;
    packet_begin(out, frame);
    if (LIKELY(frame->link_type == LINK_ETHERNET)) {
        walk_ethernet(&walk);
    } else {
        walk_link(&walk, frame->link_type);
    }
    if (UNLIKELY(walk.next != LAYER_NONE)) {
        walk_on(&walk);
    }
    if (tree != NULL) {
        *has_payload = walk.has_payload;
    }
    const enum packet_verdict verdict =
        LIKELY(out->ip_version != 0 && out->fault_reason == DECODE_WHOLE) ? PACKET_OK
                                                                          : walk_verdict(out);
    out->verdict = (uint8_t)verdict;
    return verdict;
}
