/* Between decoding and the flow table: fragments get their flow, packets of other shards' flows go
 * to their owner. A batch without either passes straight through. */
#include <string.h>

#include "base/clock.h"
#include "sensor/pipeline/shard_private.h"
#include "sensor/wire/fragment.h"

#define HANDED_BATCHES_MAX 32 /* in one go: the shard's own capture must not starve */

/* Packets of the batch that are to be counted: moved to its front, so that they stay in order. */
struct route {
    struct shard *shard;
    uint32_t kept;
};

static void flush(struct route *route)
{
    struct shard *shard = route->shard;

    if (route->kept > 0) {
        (void)flow_table_add_batch(shard->table, shard->packets, shard->frames, route->kept);
        route->kept = 0;
    }
}

static bool is_own(const struct shard *shard, uint32_t hash, uint32_t *owner)
{
    *owner = hash % shard->settings.shards_count;
    return *owner == shard->settings.index;
}

/* Sends a packet whose flow is known to the shard that has it; false: this one. */
static bool hand_on(struct shard *shard, const struct packet *packet, const uint8_t *bytes)
{
    uint32_t owner;

    if (shard->settings.handover == NULL ||
        is_own(shard, deal_hash(packet, shard->deal_key), &owner)) {
        return false;
    }
    const struct handover_item item = {packet, bytes, true};

    (void)handover_push(shard->settings.handover, shard->settings.index, owner, &item);
    return true;
}

/* Packet `i` of the batch is this shard's. */
static void keep(struct route *route, uint32_t i)
{
    struct shard *shard = route->shard;

    if (route->kept != i) {
        shard->packets[route->kept] = shard->packets[i];
        shard->frames[route->kept] = shard->frames[i];
    }
    route->kept++;
}

static void settle(struct route *route, uint32_t i)
{
    struct shard *shard = route->shard;

    if (!hand_on(shard, &shard->packets[i], shard->frames[i])) {
        keep(route, i);
    }
}

/* Counts what the fragment table lets go, before or after the packet at hand: nothing of the batch
 * is touched. */
static void settle_released(struct shard *shard)
{
    struct packet *packet;
    const uint8_t *bytes;

    while (fragment_table_next(shard->fragments, &packet, &bytes)) {
        shard_roll(shard, packet->time_ns);
        if (!hand_on(shard, packet, bytes)) {
            (void)flow_table_add_batch(shard->table, packet, &bytes, 1);
        }
    }
    shard->fragments_due_ns = fragment_table_due_ns(shard->fragments);
}

/* All fragments between two addresses meet in one shard: the kernel deals them by these. Of an
 * outer fragment the outer header counts. */
static uint32_t fragment_hash(const struct shard *shard, const struct packet *packet,
                              const uint8_t *bytes)
{
    const struct wire_span frame = {bytes, packet->captured_bytes};
    struct fragment outer;

    if ((packet->facts & PACKET_OUTER_FRAGMENT) != 0 &&
        fragment_read(&frame, packet->outer_fragment_offset, &outer)) {
        return deal_hash_addresses(outer.source, outer.target, outer.ip_version, shard->deal_key);
    }
    return deal_hash_addresses(packet->source_ip, packet->target_ip, packet->ip_version,
                               shard->deal_key);
}

static void route_fragment(struct route *route, uint32_t i)
{
    struct shard *shard = route->shard;
    struct packet *packet = &shard->packets[i];
    const uint8_t *bytes = shard->frames[i];
    uint32_t owner;

    if (shard->settings.handover != NULL &&
        !is_own(shard, fragment_hash(shard, packet, bytes), &owner)) {
        const struct handover_item item = {packet, bytes, false};

        (void)handover_push(shard->settings.handover, shard->settings.index, owner, &item);
        return;
    }
    const enum fragment_verdict verdict = fragment_table_add(shard->fragments, packet, bytes);

    if (verdict == FRAGMENT_COUNT) {
        settle(route, i);
    }
    flush(route);
    settle_released(shard);
}

void shard_expire_fragments(struct shard *shard, uint64_t now_ns)
{
    fragment_table_expire(shard->fragments, now_ns);
    settle_released(shard);
}

static void route_packet(struct route *route, uint32_t i, bool is_settled)
{
    struct shard *shard = route->shard;
    struct packet *packet = &shard->packets[i];

    if (packet->ip_version == 0) {
        return;
    }
    if (packet->time_ns >= shard->fragments_due_ns) { /* one that was handed over */
        flush(route);
        shard_expire_fragments(shard, packet->time_ns);
    }
    if (!is_settled && shard->fragments != NULL && fragment_table_wants(packet)) {
        route_fragment(route, i);
    } else if (is_settled) { /* who handed it over has looked it up */
        keep(route, i);
    } else {
        settle(route, i);
    }
}

void shard_route(struct shard *shard, uint32_t count)
{
    struct route route = {shard, 0};

    if (shard->settings.handover == NULL &&
        (shard->fragments == NULL ||
         (shard->facts & (PACKET_IS_FRAGMENT | PACKET_OUTER_FRAGMENT)) == 0)) {
        (void)flow_table_add_batch(shard->table, shard->packets, shard->frames, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        route_packet(&route, i, false);
    }
    flush(&route);
}

void shard_end_fragments(struct shard *shard)
{
    if (shard->fragments != NULL) {
        fragment_table_finish(shard->fragments, shard->time_ns);
        settle_released(shard);
    }
}

/* ---- what others hand over ---- */

static void route_handed(struct shard *shard, const struct handover_item *items, uint32_t count)
{
    struct route route = {shard, 0};

    for (uint32_t i = 0; i < count; i++) {
        shard->packets[i] = *items[i].packet;
        shard->frames[i] = items[i].bytes;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (shard->packets[i].time_ns >= shard->current_end_ns) {
            flush(&route);
            shard_roll(shard, shard->packets[i].time_ns);
        }
        route_packet(&route, i, items[i].is_settled);
    }
    flush(&route);
}

bool shard_take_handed(struct shard *shard)
{
    struct handover *handover = shard->settings.handover;
    struct handover_item items[HANDOVER_BATCH_MAX];

    for (uint32_t turn = 0; turn < HANDED_BATCHES_MAX; turn++) {
        const uint32_t count = handover_take(handover, shard->settings.index, items);

        if (count == 0) {
            return true;
        }
        route_handed(shard, items, count);
        handover_done(handover, shard->settings.index);
    }
    return false;
}

uint64_t shard_time_ns(const struct shard *shard)
{
    return shard->time_ns;
}

const struct fragment_counts *shard_fragment_counts(const struct shard *shard)
{
    return shard->fragments == NULL ? NULL : fragment_table_counts(shard->fragments);
}
