#include "sensor/flow/flow_table.h"

#include "sensor/flow/flow_ahead_internal.h"
#include "sensor/flow/tcp_plain_internal.h"

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

static unsigned kind_of(const struct flow_table *table, const struct flow_item *item)
{
    return (item->short_key.ip_version == 6 ? FLOW_KIND_WIDE : 0U) |
           (table->is_measured && item->short_key.protocol == IP_PROTOCOL_TCP ? FLOW_KIND_TCP : 0U);
}

static uint32_t take_slot(struct flow_table *table, const struct flow_item *item, bool *was_full)
{
    const unsigned kind = kind_of(table, item);
    struct flow_kind_pool *pool = &table->kinds[kind];

    if (table->count == table->granted && !flow_budget_grant(table)) {
        const uint32_t victim = flow_index_victim(table, item->hash);
        flow_at(table, victim)->bits |= FLOW_TABLE_WAS_FULL;
        table->statistics.flows_evicted++;
        *was_full = true;
        flow_end(table, victim, FLOW_END_LACK_OF_RESOURCES, FLOW_DETAIL_TABLE_FULL);
    }
    if (pool->free_head == FLOW_NONE) {
        return kind << FLOW_KIND_SHIFT | pool->fresh++;
    }
    const uint32_t slot = pool->free_head;
    pool->free_head = flow_at(table, slot)->key.low;
    return slot;
}

/* When the packet was captured. Deadlines and silence are tested at its time_ns, which is later
 * for a fragment that was held back: by then other packets have been counted. */
static inline uint64_t seen_ns(const struct packet *packet)
{
    return UNLIKELY((packet->facts & PACKET_WAS_HELD) != 0) ? packet->held_since_ns
                                                            : packet->time_ns;
}

static void note_vlans(struct flow_link *link, const struct packet *packet)
{
    const unsigned count = packet->vlan_count;

    link->bits =
        (uint8_t)((count > 0 ? LINK_HAS_VLAN : 0U) | (count > 1 ? LINK_HAS_OUTER_VLAN : 0U));
    link->vlan_id = count > 0 ? packet->vlan_ids[count > 1 ? 1 : 0] & FLOW_VLAN_MASK : 0;
    link->outer_vlan_id = count > 1 ? packet->vlan_ids[0] & FLOW_VLAN_MASK : 0;
}

/* First packet of a direction: its sender's MAC, and the receiver's while nothing better is known.
 */
static void note_macs(struct flow_link *link, const struct packet *packet, const uint8_t *frame,
                      int direction)
{
    static const uint8_t has[2] = {LINK_HAS_MAC_CLIENT, LINK_HAS_MAC_SERVER};

    if (frame == NULL) {
        return;
    }
    const uint8_t *at = frame + packet->mac_offset;
    if ((packet->facts & PACKET_HAS_MACS) != 0) {
        memcpy(link->macs[direction], at + 6, 6);
        link->bits |= has[direction];
        if ((link->bits & has[!direction]) == 0 && (at[0] & 1) == 0) { /* no group address */
            memcpy(link->macs[!direction], at, 6);
            link->bits |= has[!direction];
        }
    } else if ((packet->facts & PACKET_HAS_SLL_SOURCE) != 0) {
        memcpy(link->macs[direction], at, 6);
        link->bits |= has[direction];
    }
}

/* What the first packet of a direction tells of it. */
static void start_direction(struct flow_table *table, struct flow *flow, uint32_t slot,
                            const struct packet *packet, const uint8_t *frame, int direction)
{
    struct flow_cold *cold = flow_cold_at(table, slot);
    const uint32_t before = cold->link & FLOW_LINK_MASK;
    struct flow_link link = *flow_links_at(&table->links, before);

    if (before == 0) {
        link.interface = packet->interface;
        note_vlans(&link, packet);
    }
    note_macs(&link, packet, frame, direction);
    link.dscp[direction] = packet->dscp;
    flow->ttl[direction] = packet->ttl;
    if (!flow_links_has(&table->links, before, &link)) { /* most know their peer from the first */
        flow_links_give(&table->links, before);
        cold->link = (cold->link & ~FLOW_LINK_MASK) | flow_links_take(&table->links, &link);
    }
}

/* Another hop limit than the lowest so far. */
static void note_ttl(struct flow_table *table, struct flow *flow, uint8_t ttl, int direction)
{
    struct flow_large *large = flow_take_large(table, flow_cold(table, flow));
    const uint8_t lowest = flow->ttl[direction];
    const uint8_t highest = ttl > lowest ? ttl : lowest;

    flow->ttl[direction] = ttl < lowest ? ttl : lowest;
    if (highest > large->ttl_max[direction]) {
        large->ttl_max[direction] = highest;
    }
}

/* Counted from the packet's own time, which is later than the flow's begin for a fragment that was
 * held back. */
static void set_first_deadline(struct flow_table *table, struct flow *flow, struct flow_cold *cold,
                               const struct packet *packet)
{
    if (UNLIKELY(flow->last_ns != packet->time_ns)) {
        struct flow_reported reported;

        flow_get_reported(table, cold, &reported);
        reported.next_update_ns =
            flow_add_time(packet->time_ns, table->rounds[table->round].first_update_ns);
        flow_set_reported(table, cold, &reported);
    }
    flow_set_update_tick(table, flow, cold, packet->time_ns);
}

static uint32_t create_flow(struct flow_table *table, const struct packet *packet,
                            const uint8_t *frame, const struct flow_item *item)
{
    bool was_full = false;
    const uint32_t slot = take_slot(table, item, &was_full);
    struct flow *flow = flow_at(table, slot);
    const uint32_t touched = flow->bits & FLOW_IS_TOUCHED; /* by the flow before it */

    memset(flow, 0, sizeof(*flow));
    flow->bits = FLOW_IS_LIVE | touched | (was_full ? FLOW_TABLE_WAS_FULL : 0U) |
                 ((packet->facts & PACKET_HAS_PORTS) != 0 ? FLOW_HAS_KEY_PORTS : 0U) |
                 (slot >> FLOW_KIND_SHIFT >= FLOW_KIND_TCP ? FLOW_HAS_TCP_ROOM : 0U);
    if (LIKELY(item->short_key.ip_version != 6)) {
        flow->key = item->short_key;
    } else {
        flow_set_key(flow, &item->key);
    }
    flow->last_ns = seen_ns(packet);
    const struct flow_cold cold = {.first_ns = flow->last_ns,
                                   .link = table->round << FLOW_LINK_BITS};
    if (slot >> FLOW_KIND_SHIFT >= FLOW_KIND_TCP) {
        *flow_tcp_cold_at(table, slot) = (struct flow_tcp_cold){.cold = cold};
    } else {
        *flow_cold_at(table, slot) = cold;
    }
    if (is_icmp(item->short_key.protocol)) {
        flow->icmp_type = packet->icmp_type;
        flow->icmp_code = packet->icmp_code;
    }
    decide_client(flow, packet, item->source_is_high);
    set_first_deadline(table, flow, flow_cold_at(table, slot), packet);
    flow_tunnels_set(table->tunnels, flow_place(table, slot), packet, frame);
    flow_index_insert(&table->index, item->hash, slot);
    table->count++;
    table->statistics.flows_created++;
    wheel_start(table, packet->time_ns);
    wheel_set(table, slot, flow_due_ns(table, flow, flow_cold_at(table, slot)));
    return slot;
}

static inline void add_sums(struct flow_table *table, struct flow *flow,
                            const struct packet *packet, int direction)
{
    const uint64_t guards = UINT64_C(1) << (FLOW_PACKETS_SHIFT + FLOW_PACKETS_BITS) |
                            UINT64_C(1) << (FLOW_BYTES_SHIFT + FLOW_BYTES_BITS) |
                            UINT64_C(1) << (FLOW_IP_SHIFT + FLOW_IP_BITS) |
                            UINT64_C(1) << (FLOW_PAYLOAD_SHIFT + FLOW_PAYLOAD_BITS);
    const uint64_t after = flow->sums[direction] + ((uint64_t)1 << FLOW_PACKETS_SHIFT) +
                           ((uint64_t)packet->wire_bytes << FLOW_BYTES_SHIFT) +
                           ((uint64_t)packet->ip_bytes << FLOW_IP_SHIFT) +
                           ((uint64_t)packet->payload_bytes << FLOW_PAYLOAD_SHIFT);
    const uint32_t large = (packet->wire_bytes | packet->ip_bytes) >> FLOW_BYTES_BITS |
                           packet->payload_bytes >> FLOW_PAYLOAD_BITS;

    if (UNLIKELY((after & guards) != 0 || large != 0)) {
        flow_carry_sums(table, flow, packet, direction);
    } else {
        flow->sums[direction] = after;
    }
}

/* Sums over all flows of what one segment added to its own: for the rates of a second. */
static void add_rtt(struct flow_table_statistics *sums, const struct flow_table *table,
                    uint32_t slot)
{
    /* Both sides of the sensor together, since one of them may be next door. */
    const uint64_t units = flow_rtt_ewmas(table, slot);

    sums->rtt_counts[flow_rtt_bucket(units)]++;
    sums->rtt_sum_ns += units * FLOW_ROUND_TRIP_UNIT_NS;
}

static void measure_tcp(struct flow_table *table, struct flow *flow, uint32_t slot,
                        struct flow_tcp_part *part, const struct packet *packet, int direction,
                        uint8_t state_before)
{
    struct flow_table_statistics *sums = &table->statistics;

    if ((flow->bits & FLOW_HAS_TCP_PART) == 0) {
        if (tcp_keep_syn(table, flow, slot, packet)) {
            return;
        }
        (void)tcp_make_part(table, flow, slot, packet->time_ns);
    }
    unsigned events = tcp_count_plain(table, part, slot, packet, direction, state_before);

    sums->data_segments += packet->payload_bytes > 0;
    if (events == TCP_NOT_PLAIN) {
        events = tcp_measure(table, part, packet, direction, state_before);
        sums->resets += (packet->tcp_flags & TCP_RST) != 0;
        sums->retransmitted_segments += (events & TCP_EVENT_RETRANSMITTED) != 0;
        sums->out_of_order_segments += (events & TCP_EVENT_OUT_OF_ORDER) != 0;
        sums->zero_window_events += (events & TCP_EVENT_ZERO_WINDOW) != 0;
    }
    if ((events & TCP_EVENT_SAMPLE) != 0) {
        add_rtt(sums, table, slot);
    }
}

/* The flow has its first packet since the tick. */
static void touch(struct flow_table *table, struct flow *flow, uint32_t slot)
{
    const uint64_t mask = (UINT64_C(1) << FLOW_TICK_BITS) - 1;
    const uint64_t payloads = flow->tick & ~(UINT64_MAX >> FLOW_PAYLOADS_BITS);

    flow->tick = payloads | (flow->sums[0] & mask) | (flow->sums[1] & mask) << FLOW_TICK_BITS;
    flow->bits |= FLOW_IS_TOUCHED;
    table->kinds[slot >> FLOW_KIND_SHIFT].touched[(slot & FLOW_PLACE_MASK) / 64] |= UINT64_C(1)
                                                                                    << slot % 64;
}

static void count_packet(struct flow_table *table, const struct flow_item *item, uint32_t slot,
                         const struct packet *packet, const uint8_t *frame, int direction)
{
    struct flow *flow = item->flow;

    if ((flow->bits & FLOW_IS_TOUCHED) == 0) {
        touch(table, flow, slot);
    }
    if (UNLIKELY(flow_packets_of(flow, direction) == 0)) {
        start_direction(table, flow, slot, packet, frame, direction);
    } else if (UNLIKELY(packet->ttl != flow->ttl[direction])) {
        note_ttl(table, flow, packet->ttl, direction);
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
        const uint8_t state_before = (uint8_t)flow_tcp_state(flow);
        tcp_follow(flow, packet, direction);
        if (table->is_measured) {
            measure_tcp(table, flow, slot, item->tcp, packet, direction, state_before);
        }
        if (UNLIKELY(flow_tcp_state(flow) != state_before && flow_is_closed(flow))) {
            wheel_set(table, slot, flow_due_ns(table, flow, flow_cold_at(table, slot)));
        }
    }
}

/* Before a packet: what one of crafted length has left no room for. */
static void cut_full_delta(struct flow_table *table, uint32_t slot, uint64_t now_ns)
{
    struct flow *flow = flow_at(table, slot);
    const struct flow_cold *cold = flow_cold_at(table, slot);

    if (UNLIKELY(flow_past_is(cold, FLOW_PAST_LARGE)) && flow_delta_is_full(table, flow, cold)) {
        flow_cut_delta(table, flow, now_ns);
        flow_set_update_tick(table, flow, cold, now_ns);
    }
}

/* The flow of the item. */
static inline void set_found(const struct flow_table *table, struct flow_item *item, uint32_t slot)
{
    item->flow = flow_at(table, slot);
    item->tcp =
        (slot >> FLOW_KIND_SHIFT & FLOW_KIND_TCP) != 0 ? flow_tcp_part_at(table, slot) : NULL;
}

/* The live flow of the packet at its own time; FLOW_NONE: a new one is to be made. */
static uint32_t settled_flow(struct flow_table *table, const struct packet *packet,
                             struct flow_item *item, bool *is_reuse)
{
    uint32_t slot = item->candidate;

    if (slot == FLOW_NONE || (item->flow->bits & FLOW_IS_LIVE) == 0 ||
        !flow_is_of(item->flow, item, UINT64_MAX)) {
        slot = flow_index_find(table, item);
        if (slot == FLOW_NONE) {
            return FLOW_NONE;
        }
        set_found(table, item, slot);
        if (UNLIKELY(item->flow->key.tenant != item->short_key.tenant)) {
            flow_tunnels_set_answer(table->tunnels, flow_place(table, slot),
                                    item->short_key.tenant);
        }
    }
    struct flow *flow = item->flow;
    const uint64_t now = packet->time_ns;
    if (UNLIKELY(now < flow->last_ns)) {
        table->statistics.late_packets++;
        if (flow->last_ns - now > FLOW_CLOCK_STEP_NS) {
            flow_step_clock(table, flow, now);
        }
        cut_full_delta(table, slot, now);
    } else if (UNLIKELY(now - flow->last_ns > table->look_ns[flow_is_closed(flow)] ||
                        (int16_t)((uint16_t)(now >> FLOW_WHEEL_SHIFT) - flow->update_tick) >= 0)) {
        if (!flow_settle(table, slot, now, now)) {
            return FLOW_NONE;
        }
        cut_full_delta(table, slot, now);
    }
    if ((packet->facts & PACKET_HAS_TCP) != 0 && (packet->tcp_flags & TCP_SYN) != 0) {
        const int direction = item->source_is_high != flow_client_is_high(flow);
        if (tcp_is_reuse(table, flow, packet, direction)) {
            flow_end(table, slot, FLOW_END_END_OF_FLOW, FLOW_DETAIL_PORT_REUSE);
            *is_reuse = true;
            return FLOW_NONE;
        }
    }
    return slot;
}

static NOINLINE void add_packet(struct flow_table *table, const struct packet *packet,
                                const uint8_t *frame, struct flow_item *item)
{
    bool is_reuse = false;
    uint32_t slot = settled_flow(table, packet, item, &is_reuse);
    const bool is_new = slot == FLOW_NONE;

    if (UNLIKELY(is_new)) {
        slot = create_flow(table, packet, frame, item);
        set_found(table, item, slot);
        item->flow->bits |= is_reuse ? FLOW_REUSED_PORTS : 0U;
    }
    const int direction = item->source_is_high != flow_client_is_high(item->flow);

    count_packet(table, item, slot, packet, frame, direction);
    if (table->observer.on_packet != NULL) {
        table->observer.on_packet(table->observer.context, packet, frame, item->flow, is_new,
                                  direction);
    }
    if (UNLIKELY(is_new) && table->settings.emit_start) {
        flow_emit(table, item->flow, FLOW_START, FLOW_END_NONE, FLOW_DETAIL_NONE);
    }
}

/* Packets go through four steps, a few packets apart, so that what one needs comes from memory
 * while others are counted: the bucket, the entry with its TCP part, its round trips, the count. */
#define STEP_AHEAD 5U

static ALWAYS_INLINE void find_bucket(struct flow_table *table, const struct packet *packet,
                                      struct flow_item *item)
{
    item->candidate = FLOW_NONE;
    item->is_ip = packet->ip_version != 0;
    if (LIKELY(packet->ip_version == 4)) {
        item->source_is_high =
            flow_key_of_ipv4(packet, table->settings.key, &item->short_key, &item->hash);
    } else if (item->is_ip) {
        item->source_is_high = flow_key_of(packet, &item->key);
        item->short_key = flow_short_key_of(&item->key);
        item->hash = flow_key_hash(&item->key, table->settings.key);
    } else {
        return;
    }
    item->bucket = flow_index_home(&table->index, item->hash);
    __builtin_prefetch(&table->index.buckets[item->bucket], 1);
}

/* Finds the likely entry by its tag. */
static ALWAYS_INLINE void find_entry(const struct flow_table *table, struct flow_item *item)
{
    if (UNLIKELY(!item->is_ip)) {
        return;
    }
    const struct flow_bucket *bucket = &table->index.buckets[item->bucket];
    const unsigned match = flow_bucket_match(bucket, flow_index_tag(item->hash));

    if (match == 0) {
        const uint32_t free = table->kinds[kind_of(table, item)].free_head;
        if (free != FLOW_NONE) {
            __builtin_prefetch(flow_at(table, free), 1);
            __builtin_prefetch(flow_cold_at(table, free), 1);
        }
        return;
    }
    item->candidate = bucket->slots[__builtin_ctz(match)];
    set_found(table, item, item->candidate);
    flow_prefetch_lines(item->flow,
                        1 + (item->candidate >> FLOW_KIND_SHIFT & FLOW_KIND_WIDE)); /* addresses */
    if (item->tcp != NULL) {
        __builtin_prefetch(item->tcp, 1);
    }
}

/* Round trips where the packet completes one, and what stands beside the flow where a direction
 * begins or TCP adds to its history. */
static ALWAYS_INLINE void find_rtt(const struct flow_table *table, const struct packet *packet,
                                   const struct flow_item *item)
{
    if (item->candidate == FLOW_NONE) {
        return;
    }
    const struct flow *flow = item->flow;
    const int direction = item->source_is_high != flow_client_is_high(flow);

    if (flow_packets_of(flow, direction) == 0) {
        __builtin_prefetch(flow_cold_at(table, item->candidate), 1);
    }
    if (flow_has_tcp_part(flow)) {
        const struct flow_tcp_part *part = item->tcp;

        if (tcp_may_sample(part, packet, direction) || tcp_may_stamp(part, packet, direction)) {
            flow_prefetch_rest(table, item->candidate);
        }
        if (UNLIKELY(tcp_adds_to_history(part, packet, direction))) {
            /* with payload, a stream begins */
            __builtin_prefetch(flow_tcp_rest_at(table, item->candidate), 1);
            __builtin_prefetch(flow_cold_at(table, item->candidate), 1);
        }
    } else if (item->tcp != NULL) {
        __builtin_prefetch(flow_cold_at(table, item->candidate), 1);
        __builtin_prefetch(flow_tcp_rest_at(table, item->candidate), 1);
    }
    if (packet->payload_captured_bytes > 0 && (flow->bits & FLOW_INSPECT_DONE) == 0) {
        flow_tell_ahead(table, flow, 0);
    }
}

void flow_table_set_ahead(struct flow_table *table, flow_ahead_function ahead, void *context)
{
    table->ahead = ahead;
    table->ahead_context = context;
}

/* One step of each packet that is there: `i` comes in, and the one 3 * STEP_AHEAD before it is
 * counted. `is_inner`: all four are there. */
static ALWAYS_INLINE void step(struct flow_table *table, const struct packet *packets,
                               const uint8_t *const *frames, size_t count, size_t i, bool is_inner)
{
    struct flow_item *items = table->items;

    if (is_inner || i < count) {
        find_bucket(table, &packets[i], &items[i]);
    }
    const size_t entry = i - STEP_AHEAD; /* below 0 it wraps and is not below `count` */
    if (is_inner || entry < count) {
        find_entry(table, &items[entry]);
    }
    const size_t rtt = entry - STEP_AHEAD;
    if (is_inner || rtt < count) {
        find_rtt(table, &packets[rtt], &items[rtt]);
    }
    const size_t at = rtt - STEP_AHEAD;
    if ((is_inner || at < count) && LIKELY(items[at].is_ip)) {
        add_packet(table, &packets[at], frames != NULL ? frames[at] : NULL, &items[at]);
    }
}

/* What is counted of all packets alike. Returns those that are IP. */
static uint32_t count_batch(struct flow_table *table, const struct packet *packets, uint32_t count)
{
    uint64_t bytes = 0, newest_ns = table->newest_ns;
    uint32_t counted = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (LIKELY(packets[i].ip_version != 0)) {
            counted++;
            bytes += packets[i].wire_bytes;
            newest_ns = packets[i].time_ns > newest_ns ? packets[i].time_ns : newest_ns;
        }
    }
    table->statistics.packets += counted;
    table->statistics.bytes += bytes;
    table->newest_ns = newest_ns;
    return counted;
}

uint32_t flow_table_add_batch(struct flow_table *table, const struct packet *packets,
                              const uint8_t *const *frames, uint32_t count)
{
    const size_t last = count + (size_t)3 * STEP_AHEAD;
    size_t i = 0;

    assert(count <= FLOW_BATCH_MAX);
    for (; i < last && i < (size_t)3 * STEP_AHEAD; i++) {
        step(table, packets, frames, count, i, false);
    }
    for (; i < count; i++) {
        step(table, packets, frames, count, i, true);
    }
    for (; i < last; i++) {
        step(table, packets, frames, count, i, false);
    }
    return count_batch(table, packets, count);
}
