/* The layers of one frame with their fields, for people: gRPC GetPacket, the dashboard's inspector,
 * the detailed terminal view. Written by the same walk as packet_decode takes, so it cannot say
 * otherwise.
 *
 * All bounds are fixed: a frame with more to say is cut and `is_cut` says so.
 * Depends on: the parsers of wire. Pure, any thread. */
#pragma once

#include "sensor/wire/frame.h"
#include "sensor/wire/packet.h"
#include "sensor/wire/text.h"

#define PACKET_TREE_LAYERS_MAX 40
#define PACKET_TREE_FIELDS_MAX 256
#define PACKET_TREE_TEXT_BYTES 16384

struct packet_tree_layer {
    const char *name; /* "Ethernet", "IPv4", "TCP", "DNS", ...; static */
    uint32_t offset;  /* within the frame */
    uint32_t length;
    uint32_t first_field; /* its fields are fields[first_field .. first_field + field_count) */
    uint32_t field_count;
};

struct packet_tree_field {
    const char *name;  /* snake_case, static */
    const char *value; /* within the tree's text; printable ASCII */
    uint32_t offset;   /* within the frame */
    uint32_t length;
};

/* About 25 KiB. Values point into `text`, so the struct must stay where it is. */
struct packet_tree {
    uint32_t layer_count;
    uint32_t field_count;
    bool is_cut; /* there were more layers, fields or text than fit */
    struct packet_tree_layer layers[PACKET_TREE_LAYERS_MAX];
    struct packet_tree_field fields[PACKET_TREE_FIELDS_MAX];
    size_t text_bytes;
    char text[PACKET_TREE_TEXT_BYTES];
};

/* Fills `out` whole. A frame that ends early or contradicts itself gets a last layer "Truncated" or
 * "Malformed". Everything is open: packet_rules_default. */
void packet_tree(const struct frame *frame, struct packet_tree *out);

/* The same by other rules (NULL: the default), with the packet that packet_decode_by makes of the
 * frame with PACKET_CHECKSUMS, and its verdict. */
enum packet_verdict packet_tree_by(const struct packet_rules *rules, const struct frame *frame,
                                   struct packet *packet, struct packet_tree *out);
