#include "sensor/flow/flow_table.h"

#include "sensor/flow/flow_table_internal.h"

#define SERVER_PORTS_END 1024

static inline bool is_icmp(uint8_t protocol)
{
    return protocol == IP_PROTOCOL_ICMP || protocol == IP_PROTOCOL_ICMPV6;
}

/* ---- packets ---- */

/* Who is the client, and how that is known, from the first packet. */
static void decide_client(struct flow *flow, const struct packet *packet, bool source_is_high)
{
    enum flow_initiator initiator = INITIATOR_FIRST_PACKET;
    bool sender_is_client = true;

    if ((packet->facts & PACKET_HAS_TCP) != 0 && (packet->tcp_flags & TCP_SYN) != 0) {
        sender_is_client = (packet->tcp_flags & TCP_ACK) == 0;
        initiator = INITIATOR_SYN;
        flow->bits |= sender_is_client ? 0 : FLOW_SAW_MIDSTREAM;
    } else if ((packet->facts & PACKET_HAS_PORTS) != 0 && packet->source_port < SERVER_PORTS_END &&
               packet->target_port >= SERVER_PORTS_END) {
        sender_is_client = false;
        initiator = INITIATOR_PORT_GUESS;
    }
    if ((packet->facts & PACKET_HAS_TCP) != 0 && (packet->tcp_flags & TCP_SYN) == 0) {
        flow->bits |= FLOW_SAW_MIDSTREAM;
    }
    if (source_is_high) {
        flow->bits |= FLOW_SOURCE_WAS_HIGH;
    }
    if (source_is_high == sender_is_client) {
        flow->bits |= FLOW_CLIENT_IS_HIGH;
    }
    flow->bits |= (uint32_t)initiator << FLOW_INITIATOR_SHIFT;
}

static uint32_t take_slot(struct flow_table *table, const struct flow_item *item, bool *was_full)
{
    struct flow_pool *pool = item->short_key.ip_version == 6 ? &table->wide : &table->narrow;

    if (table->count == table->granted && !flow_budget_grant(table)) {
        const uint32_t victim = flow_index_victim(table, item->hash);
        flow_at(table, victim)->bits |= FLOW_TABLE_WAS_FULL;
        table->statistics.flows_evicted++;
        *was_full = true;
        flow_end(table, victim, FLOW_END_LACK_OF_RESOURCES, FLOW_DETAIL_TABLE_FULL);
    }
    if (pool->free_head == FLOW_NONE) {
        return pool->fresh++;
    }
    const uint32_t slot = pool->free_head;
    pool->free_head = flow_at(table, slot)->wheel_next;
    return slot;
}

/* When the packet was captured. Deadlines and silence are tested at its time_ns, which is later
 * for a fragment that was held back: by then other packets have been counted. */
static inline uint64_t seen_ns(const struct packet *packet)
{
    return UNLIKELY((packet->facts & PACKET_WAS_HELD) != 0) ? packet->held_since_ns
                                                            : packet->time_ns;
}

static void note_vlans(struct flow *flow, const struct packet *packet)
{
    const unsigned count = packet->vlan_count;
    const uint16_t inner = count > 0 ? packet->vlan_ids[count > 1 ? 1 : 0] : 0;
    const uint16_t outer = count > 1 ? packet->vlan_ids[0] : 0;

    flow->bits |= (count > 0 ? FLOW_HAS_VLAN : 0U) | (count > 1 ? FLOW_HAS_OUTER_VLAN : 0U) |
                  (inner >> 12 & 7U) << FLOW_VLAN_SHIFT |
                  (outer >> 12 & 7U) << (FLOW_VLAN_SHIFT + 3);
    flow->vlan_ids[0] = (uint8_t)inner;
    flow->vlan_ids[1] = (uint8_t)((inner >> 8 & 15U) | (outer & 15U) << 4);
    flow->vlan_ids[2] = (uint8_t)(outer >> 4);
}

static uint32_t create_flow(struct flow_table *table, const struct packet *packet,
                            const uint8_t *frame, const struct flow_item *item)
{
    bool was_full = false;
    const uint32_t slot = take_slot(table, item, &was_full);
    struct flow *flow = flow_at(table, slot);
    const uint32_t touched = flow->touched; /* the slot may be in the list already */
    const uint64_t first_update = table->settings.first_update_ns != 0
                                      ? table->settings.first_update_ns
                                      : table->settings.active_timeout_ns;

    memset(flow, 0, sizeof(*flow));
    if (touched != 0) {
        table->touched[touched - 1] = (struct flow_touch){.slot = slot};
        flow->touched = touched;
    }
    if (LIKELY(item->short_key.ip_version != 6)) {
        flow->key = item->short_key;
    } else {
        flow_set_key(flow, &item->key);
    }
    flow->bits = FLOW_IS_LIVE | (was_full ? FLOW_TABLE_WAS_FULL : 0U) |
                 ((packet->facts & PACKET_HAS_PORTS) != 0 ? FLOW_HAS_KEY_PORTS : 0U);
    flow->first_ns = flow->last_ns = seen_ns(packet);
    flow->next_update_ns =
        first_update != 0 ? flow_add_time(packet->time_ns, first_update) : UINT64_MAX;
    flow->interface = packet->interface;
    if (is_icmp(item->short_key.protocol)) {
        flow->icmp_type = packet->icmp_type;
        flow->icmp_code = packet->icmp_code;
    }
    note_vlans(flow, packet);
    decide_client(flow, packet, item->source_is_high);
    flow_tunnels_set(table->tunnels, slot, packet, frame);
    flow_index_insert(&table->index, item->hash, slot);
    table->count++;
    table->statistics.flows_created++;
    wheel_start(table, packet->time_ns);
    wheel_insert(table, flow, slot, flow_due_ns(table, flow));
    return slot;
}

/* First packet of a direction: its sender's MAC, and the receiver's while nothing better is known.
 */
static void note_macs(struct flow *flow, const struct packet *packet, const uint8_t *frame,
                      int direction)
{
    static const uint16_t has[2] = {FLOW_HAS_MAC_CLIENT, FLOW_HAS_MAC_SERVER};
    uint8_t *macs[2] = {flow->client_mac, flow->server_mac};

    if (frame == NULL) {
        return;
    }
    const uint8_t *at = frame + packet->mac_offset;
    if ((packet->facts & PACKET_HAS_MACS) != 0) {
        memcpy(macs[direction], at + 6, 6);
        flow->bits |= has[direction];
        if ((flow->bits & has[!direction]) == 0 && (at[0] & 1) == 0) { /* no group address */
            memcpy(macs[!direction], at, 6);
            flow->bits |= has[!direction];
        }
    } else if ((packet->facts & PACKET_HAS_SLL_SOURCE) != 0) {
        memcpy(macs[direction], at, 6);
        flow->bits |= has[direction];
    }
}

#define SUM_STEP_SHIFT 30
#define DELTA_MAX      (UINT32_C(1) << 31)

/* One of the sums is about to pass a multiple of 2^30. Deltas are told by 32-bit halves: a record
 * is cut before one could run over; and what goes beyond 32 bits is carried. */
static void pass_step(struct flow_table *table, struct flow *flow, const struct packet *packet,
                      int direction, const uint32_t after[4])
{
    const uint32_t *before = &flow->sums[direction].packets;
    const uint32_t *told = flow_reported(table, flow)->sums[direction];
    bool is_large = false;

    for (unsigned i = 0; i < 4; i++) {
        const uint32_t delta = before[i] - told[i];
        is_large |= delta >= DELTA_MAX || delta > UINT32_MAX - (after[i] - before[i]);
    }
    if (is_large) {
        flow_emit(table, flow, FLOW_UPDATE, FLOW_END_ACTIVE, FLOW_DETAIL_NONE);
        flow_take_reported(table, flow)->delta_start_ns = packet->time_ns;
    }
    for (unsigned i = 0; i < 4; i++) {
        if (after[i] < before[i]) {
            flow_take_reported(table, flow)->highs[direction][i]++;
        }
    }
}

static inline void add_sums(struct flow_table *table, struct flow *flow,
                            const struct packet *packet, int direction)
{
    struct flow_sums *sums = &flow->sums[direction];
    const uint32_t after[4] = {sums->packets + 1, sums->bytes + packet->wire_bytes,
                               sums->payload_bytes + packet->payload_bytes,
                               sums->ip_bytes + packet->ip_bytes};

    const uint32_t added = packet->wire_bytes | packet->payload_bytes | packet->ip_bytes;

    if (UNLIKELY(((after[0] ^ sums->packets) | (after[1] ^ sums->bytes) |
                  (after[2] ^ sums->payload_bytes) | (after[3] ^ sums->ip_bytes) | added) >>
                     SUM_STEP_SHIFT !=
                 0)) {
        pass_step(table, flow, packet, direction, after);
    }
    sums->packets = after[0];
    sums->bytes = after[1];
    sums->payload_bytes = after[2];
    sums->ip_bytes = after[3];
}

/* Sums over all flows of what one segment added to its own: for the rates of a second. */
static void add_rtt(struct flow_table_statistics *sums, const struct flow_tcp_rtt *rtt)
{
    /* Both sides of the sensor together, since one of them may be next door. */
    const uint64_t units = (uint64_t)rtt->side[0].ewma + rtt->side[1].ewma;

    sums->rtt_counts[flow_rtt_bucket(units)]++;
    sums->rtt_sum_ns += units * FLOW_ROUND_TRIP_UNIT_NS;
}

static void measure_tcp(struct flow_table *table, struct flow *flow, const struct packet *packet,
                        int direction, uint8_t state_before)
{
    struct flow_table_statistics *sums = &table->statistics;
    struct flow_tcp_part *part =
        flow_has_tcp_part(flow) ? flow_tcp_part(table, flow) : flow_take_tcp(table, flow);
    const unsigned events = tcp_measure(table, part, packet, direction, state_before);

    sums->data_segments += packet->payload_bytes > 0;
    sums->resets += (packet->tcp_flags & TCP_RST) != 0;
    if (events == 0) {
        return;
    }
    sums->retransmitted_segments += (events & TCP_EVENT_RETRANSMITTED) != 0;
    sums->out_of_order_segments += (events & TCP_EVENT_OUT_OF_ORDER) != 0;
    sums->zero_window_events += (events & TCP_EVENT_ZERO_WINDOW) != 0;
    if ((events & TCP_EVENT_SAMPLE) != 0) {
        add_rtt(sums, flow_tcp_rtt(table, part));
    }
}

/* The flow has its first packet since the tick. */
static void touch(struct flow_table *table, struct flow *flow, uint32_t slot)
{
    struct flow_touch *at = &table->touched[table->touched_count];

    *at = (struct flow_touch){.slot = slot,
                              .packets = {flow->sums[0].packets, flow->sums[1].packets},
                              .bytes = {flow->sums[0].bytes, flow->sums[1].bytes}};
    flow->touched = ++table->touched_count;
    if (table->touched_count > table->touched_peak) {
        table->touched_peak = table->touched_count;
    }
}

static void count_packet(struct flow_table *table, struct flow *flow, uint32_t slot,
                         const struct packet *packet, const uint8_t *frame, int direction)
{
    if (flow->touched == 0) {
        touch(table, flow, slot);
    }
    if (UNLIKELY(flow->sums[direction].packets == 0)) {
        note_macs(flow, packet, frame, direction);
        flow->ttl_min[direction] = flow->ttl_max[direction] = packet->ttl;
        flow->dscp[direction] = packet->dscp;
    } else if (packet->ttl < flow->ttl_min[direction]) {
        flow->ttl_min[direction] = packet->ttl;
    } else if (packet->ttl > flow->ttl_max[direction]) {
        flow->ttl_max[direction] = packet->ttl;
    }
    add_sums(table, flow, packet, direction);
    if (seen_ns(packet) > flow->last_ns) {
        flow->last_ns = seen_ns(packet);
    }
    if ((packet->facts & PACKET_IS_FRAGMENT) != 0) {
        flow->bits |= FLOW_SAW_FRAGMENT |
                      ((packet->facts & PACKET_FRAGMENT_FAULT) != 0 ? FLOW_SAW_FRAGMENT_FAULT : 0U);
    }
    if ((packet->facts & PACKET_HAS_TCP) != 0) {
        const uint8_t state_before = flow->tcp_state;
        tcp_follow(flow, packet, direction);
        if (table->is_measured) {
            measure_tcp(table, flow, packet, direction, state_before);
        }
        if (UNLIKELY(flow->tcp_state != state_before && flow_is_closed(flow))) {
            wheel_remove(table, flow);
            wheel_insert(table, flow, slot, flow_due_ns(table, flow));
        }
    }
}

/* The live flow of the packet at its own time; FLOW_NONE: a new one is to be made. */
static uint32_t settled_flow(struct flow_table *table, const struct packet *packet,
                             const struct flow_item *item, bool *is_reuse)
{
    uint32_t slot = item->candidate;

    if (slot == FLOW_NONE || (flow_at(table, slot)->bits & FLOW_IS_LIVE) == 0 ||
        !flow_is_of(flow_at(table, slot), item, UINT64_MAX)) {
        slot = flow_index_find(table, item);
        if (slot == FLOW_NONE) {
            return FLOW_NONE;
        }
        if (UNLIKELY(flow_at(table, slot)->key.tenant != item->short_key.tenant)) {
            flow_tunnels_set_answer(table->tunnels, slot, item->short_key.tenant);
        }
    }
    struct flow *flow = flow_at(table, slot);
    const uint64_t now = packet->time_ns;
    if (UNLIKELY(now < flow->last_ns)) {
        table->statistics.late_packets++;
        if (flow->last_ns - now > FLOW_CLOCK_STEP_NS) {
            flow_step_clock(table, flow, now);
        }
    } else if (UNLIKELY(now - flow->last_ns > flow_silence_limit(table, flow) ||
                        now >= flow->next_update_ns)) {
        if (!flow_settle(table, slot, now)) {
            return FLOW_NONE;
        }
    }
    if ((packet->facts & PACKET_HAS_TCP) != 0 && (packet->tcp_flags & TCP_SYN) != 0) {
        const int direction = item->source_is_high != flow_client_is_high(flow);
        if (tcp_is_reuse(flow, flow_tcp(table, flow), packet, direction)) {
            flow_end(table, slot, FLOW_END_END_OF_FLOW, FLOW_DETAIL_PORT_REUSE);
            *is_reuse = true;
            return FLOW_NONE;
        }
    }
    return slot;
}

static void add_packet(struct flow_table *table, const struct packet *packet, const uint8_t *frame,
                       const struct flow_item *item)
{
    bool is_reuse = false;
    uint32_t slot = settled_flow(table, packet, item, &is_reuse);
    const bool is_new = slot == FLOW_NONE;

    if (is_new) {
        slot = create_flow(table, packet, frame, item);
        flow_at(table, slot)->bits |= is_reuse ? FLOW_REUSED_PORTS : 0U;
    }
    struct flow *flow = flow_at(table, slot);
    const int direction = item->source_is_high != flow_client_is_high(flow);

    count_packet(table, flow, slot, packet, frame, direction);
    table->statistics.packets++;
    table->statistics.bytes += packet->wire_bytes;
    if (packet->time_ns > table->newest_ns) {
        table->newest_ns = packet->time_ns;
    }
    if (table->observer.on_packet != NULL) {
        table->observer.on_packet(table->observer.context, packet, frame, flow, is_new, direction);
    }
    if (is_new && table->settings.emit_start) {
        flow_emit(table, flow, FLOW_START, FLOW_END_NONE, FLOW_DETAIL_NONE);
    }
}

/* Packets go through five steps, a few packets apart, so that what one needs comes from memory
 * while others are counted: the bucket, the entry, its TCP part, its round trips, and the count. */
#define STEP_AHEAD 5

static ALWAYS_INLINE void find_bucket(struct flow_table *table, const struct packet *packet,
                                      struct flow_item *item)
{
    item->candidate = FLOW_NONE;
    item->is_ip = packet->ip_version != 0;
    if (item->is_ip) {
        if (LIKELY(packet->ip_version == 4)) {
            item->source_is_high =
                flow_key_of_ipv4(packet, table->settings.key, &item->short_key, &item->hash);
        } else {
            item->source_is_high = flow_key_of(packet, &item->key);
            item->short_key = flow_short_key_of(&item->key);
            item->hash = flow_key_hash(&item->key, table->settings.key);
        }
        __builtin_prefetch(&table->index.buckets[flow_index_home(&table->index, item->hash)], 1);
    }
}

/* Finds the likely entry by its tag. */
static ALWAYS_INLINE void find_entry(const struct flow_table *table, struct flow_item *item)
{
    const struct flow_bucket *bucket =
        &table->index.buckets[flow_index_home(&table->index, item->hash)];
    const unsigned match = flow_bucket_match(bucket, flow_index_tag(item->hash));

    if (match == 0) {
        const struct flow_pool *pool =
            item->short_key.ip_version == 6 ? &table->wide : &table->narrow;
        if (pool->free_head != FLOW_NONE) {
            flow_prefetch_lines(flow_at(table, pool->free_head), 2);
        }
        return;
    }
    item->candidate = bucket->slots[__builtin_ctz(match)];
    flow_prefetch_lines(flow_at(table, item->candidate), item->short_key.ip_version == 6 ? 3 : 2);
}

static ALWAYS_INLINE void find_part(const struct flow_table *table, const struct flow_item *item)
{
    if (item->candidate != FLOW_NONE) {
        const struct flow *flow = flow_at(table, item->candidate);

        if (flow_has_tcp_part(flow)) {
            flow_prefetch_lines(flow_tcp_part(table, flow), 2);
        }
    }
}

/* Round trips where the packet completes one, and the third line of the TCP part where it adds to
 * the history. */
static ALWAYS_INLINE void find_rtt(const struct flow_table *table, const struct packet *packet,
                                   const struct flow_item *item)
{
    if (item->candidate != FLOW_NONE) {
        const struct flow *flow = flow_at(table, item->candidate);

        if (flow_has_tcp_part(flow)) {
            const struct flow_tcp_part *part = flow_tcp_part(table, flow);
            const int direction = item->source_is_high != flow_client_is_high(flow);

            if (tcp_may_sample(part, packet, direction)) {
                flow_prefetch_lines(flow_tcp_rtt_next(table, part), 1);
            }
            if (tcp_adds_to_history(part, packet, direction)) {
                flow_prefetch_lines(part->history, 1);
            }
        }
    }
}

void flow_table_set_ahead(struct flow_table *table, flow_ahead_function ahead, void *context)
{
    table->ahead = ahead;
    table->ahead_context = context;
}

uint32_t flow_table_add_batch(struct flow_table *table, const struct packet *packets,
                              const uint8_t *const *frames, uint32_t count)
{
    struct flow_item *items = table->items;
    uint32_t counted = 0;

    assert(count <= FLOW_BATCH_MAX);
    for (uint32_t i = 0; i < count + 4 * STEP_AHEAD; i++) {
        if (i < count) {
            find_bucket(table, &packets[i], &items[i]);
        }
        const uint32_t entry = i - STEP_AHEAD; /* below 0 it wraps and is not below `count` */
        if (entry < count && items[entry].is_ip) {
            find_entry(table, &items[entry]);
        }
        const uint32_t part = entry - STEP_AHEAD;
        if (part < count) {
            find_part(table, &items[part]);
        }
        const uint32_t rtt = part - STEP_AHEAD;
        if (rtt < count) {
            find_rtt(table, &packets[rtt], &items[rtt]);
        }
        const uint32_t at = rtt - STEP_AHEAD;
        if (at < count && items[at].is_ip) {
            add_packet(table, &packets[at], frames != NULL ? frames[at] : NULL, &items[at]);
            counted++;
        }
    }
    return counted;
}
