/* Packets that a shard keeps in its second in case an alert opens. */
#include <string.h>

#include "sensor/pipeline/shard_private.h"

void shard_note_evidence(struct shard *shard, const struct packet *packet, const uint8_t *bytes,
                         uint8_t ip_version, const uint8_t source[16], const uint8_t target[16],
                         const struct flow *flow, int direction)
{
    struct evidence *evidence = shard_epoch_of(shard, packet->time_ns)->evidence;
    struct evidence_packet *slots[2];
    const uint32_t count = evidence_slots(evidence, ip_version, source, target, slots);
    uint32_t kept = packet->captured_bytes;
    bool is_redacted = false;

    if (count == 0) {
        return;
    }
    if (!shard->settings.sample_payload && packet->payload_captured_bytes > 0) {
        kept = packet->payload_offset;
        is_redacted = true;
    }
    kept = kept < shard->settings.sample_bytes ? kept : shard->settings.sample_bytes;
    struct evidence_packet *slot = slots[0];

    slot->source = slot->target = (struct ip_address){.version = ip_version};
    memcpy(slot->source.bytes, source, sizeof(slot->source.bytes));
    if (target != NULL) {
        memcpy(slot->target.bytes, target, sizeof(slot->target.bytes));
    } else {
        slot->target.version = 0;
    }
    slot->time_ns = packet->time_ns;
    slot->flow_id = flow == NULL ? 0 : flow_id(shard->table, flow);
    slot->number = (uint64_t)shard->settings.index << 48 | ++shard->evidence_taken;
    slot->wire_bytes = packet->wire_bytes;
    slot->captured_bytes = packet->captured_bytes;
    slot->kept_bytes = (uint16_t)kept;
    slot->link_type = packet->link_type;
    slot->interface = packet->interface;
    slot->direction = flow == NULL ? 0 : (uint8_t)(direction + 1);
    slot->is_redacted = is_redacted;
    memcpy(slot->bytes, bytes, kept);
    if (count == 2) {
        memcpy(slots[1], slot, offsetof(struct evidence_packet, bytes) + kept);
    }
}
