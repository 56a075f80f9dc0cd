#include "sensor/wire/packet_tree.h"

#include "sensor/wire/packet.h"
#include "sensor/wire/tree_writer.h"
#include "sensor/wire/walk_frame.h"

enum packet_verdict packet_tree_by(const struct packet_rules *rules, const struct frame *frame,
                                   struct packet *packet, struct packet_tree *out)
{
    struct tree_writer writer = {.frame = frame, .tree = out};
    bool has_payload = false;

    out->layer_count = 0;
    out->field_count = 0;
    out->is_cut = false;
    out->text_bytes = 0;
    const enum packet_verdict verdict =
        walk_frame(rules, frame, PACKET_CHECKSUMS, packet, &writer, &has_payload);
    if (has_payload) {
        const struct wire_span payload = {.bytes = frame->bytes + packet->payload_offset,
                                          .length = packet->payload_captured_bytes};

        tree_payload(&writer, packet->protocol, packet->source_port, packet->target_port, &payload);
    }
    return verdict;
}

void packet_tree(const struct frame *frame, struct packet_tree *out)
{
    struct packet packet;

    (void)packet_tree_by(NULL, frame, &packet, out);
}
