#include "sensor/flow/flow_table.h"

#include "sensor/flow/flow_table_internal.h"

#define SERVER_PORTS_END 1024

/* ---- records ---- */

static void emit(struct flow_table *table, struct flow *flow, enum flow_event event,
                 enum flow_end_reason reason, enum flow_end_detail detail)
{
    table->statistics.reported_packets += flow_held_packets(flow);
    if (table->observer.on_record != NULL) {
        table->observer.on_record(table->observer.context, flow, event, reason, detail);
    }
    for (int d = 0; d < 2; d++) {
        flow->reported[d][0] = (uint32_t)flow->sums[d].packets;
        flow->reported[d][1] = (uint32_t)flow->sums[d].bytes;
        flow->reported[d][2] = (uint32_t)flow->sums[d].payload_bytes;
        flow->reported[d][3] = (uint32_t)flow->sums[d].ip_bytes;
    }
    flow->update_index++;
}

void flow_table_report(struct flow_table *table, struct flow *flow)
{
    emit(table, flow, FLOW_UPDATE, FLOW_END_ACTIVE, FLOW_DETAIL_NONE);
}

static void end_flow(struct flow_table *table, uint32_t slot, enum flow_end_reason reason,
                     enum flow_end_detail detail)
{
    struct flow *flow = flow_at(table, slot);

    emit(table, flow, FLOW_END, reason, detail);
    wheel_remove(table, flow);
    flow_tunnels_clear(table->tunnels, slot);
    flow_index_remove(&table->index, flow_key_hash(&flow->key, table->settings.key), slot);
    flow->bits = 0;
    flow->wheel_next = table->free_head;
    table->free_head = slot;
    table->count--;
    flow_budget_give_back(table);
}

static void end_closed(struct flow_table *table, uint32_t slot)
{
    end_flow(table, slot, FLOW_END_END_OF_FLOW,
             flow_at(table, slot)->tcp_state == TCP_RESET ? FLOW_DETAIL_TCP_RST
                                                          : FLOW_DETAIL_TCP_FIN);
}

/* ---- limits in time ---- */

static inline uint64_t add_time(uint64_t time_ns, uint64_t by_ns)
{
    return time_ns > UINT64_MAX - by_ns ? UINT64_MAX : time_ns + by_ns;
}

/* How long the flow may be silent. */
static inline uint64_t silence_limit(const struct flow_table *table, const struct flow *flow)
{
    const uint64_t idle =
        table->settings.idle_timeout_ns != 0 ? table->settings.idle_timeout_ns : UINT64_MAX;

    if (UNLIKELY(flow_is_closed(flow))) {
        return table->settings.linger_ns < idle ? table->settings.linger_ns : idle;
    }
    return idle;
}

static uint64_t due_ns(const struct flow_table *table, const struct flow *flow)
{
    const uint64_t silent_ns = add_time(flow->last_ns, silence_limit(table, flow));

    return flow->next_update_ns < silent_ns ? flow->next_update_ns : silent_ns;
}

/* The UPDATE deadlines up to `until_ns`. */
static void pass_deadlines(struct flow_table *table, struct flow *flow, uint64_t until_ns)
{
    const uint64_t interval = table->settings.active_timeout_ns;

    if (flow->next_update_ns > until_ns) {
        return;
    }
    if (flow_held_packets(flow) > 0) {
        emit(table, flow, FLOW_UPDATE, FLOW_END_ACTIVE, FLOW_DETAIL_NONE);
    }
    if (interval == 0) {
        flow->delta_start_ns = flow->next_update_ns;
        flow->next_update_ns = UINT64_MAX;
        return;
    }
    const uint64_t passed = (until_ns - flow->next_update_ns) / interval;
    flow->delta_start_ns = flow->next_update_ns + passed * interval;
    flow->next_update_ns = add_time(flow->delta_start_ns, interval);
}

static void step_clock(struct flow_table *table, struct flow *flow, uint64_t now_ns)
{
    const uint64_t interval = table->settings.active_timeout_ns;

    flow->bits |= FLOW_SAW_CLOCK_STEP;
    flow->last_ns = now_ns;
    if (interval != 0 && flow->next_update_ns > add_time(now_ns, interval)) {
        flow->next_update_ns = add_time(now_ns, interval);
    }
}

/* Brings the flow to `now_ns`: what was due before is reported. False: it ended. */
static bool settle(struct flow_table *table, uint32_t slot, uint64_t now_ns)
{
    struct flow *flow = flow_at(table, slot);
    const uint64_t limit = silence_limit(table, flow);

    if (now_ns > flow->last_ns && now_ns - flow->last_ns > limit) {
        pass_deadlines(table, flow, add_time(flow->last_ns, limit));
        if (flow_is_closed(flow)) {
            end_closed(table, slot);
        } else {
            end_flow(table, slot, FLOW_END_IDLE, FLOW_DETAIL_NONE);
        }
        return false;
    }
    pass_deadlines(table, flow, now_ns);
    return true;
}

static void look_at_flow(struct flow_table *table, uint32_t slot, uint64_t now_ns)
{
    struct flow *flow = flow_at(table, slot);

    if (flow->last_ns > now_ns && flow->last_ns - now_ns > FLOW_CLOCK_STEP_NS) {
        step_clock(table, flow, now_ns);
    }
    if (settle(table, slot, now_ns)) {
        wheel_insert(table, flow, slot, due_ns(table, flow));
    }
}

bool flow_table_advance(struct flow_table *table, uint64_t now_ns, uint32_t budget)
{
    wheel_start(table, now_ns);
    if (now_ns < table->now_ns) {
        if (table->now_ns - now_ns <= FLOW_CLOCK_STEP_NS) {
            return wheel_advance(table, table->now_ns, budget, look_at_flow);
        }
        table->statistics.clock_steps++;
        table->wheel_cursor = now_ns >> FLOW_WHEEL_SHIFT; /* the lists keep their place */
    }
    table->now_ns = now_ns;
    return wheel_advance(table, now_ns, budget, look_at_flow);
}

void flow_table_finish(struct flow_table *table, uint64_t now_ns, enum flow_end_reason reason,
                       enum flow_end_detail detail)
{
    if (now_ns == 0) {
        now_ns = table->newest_ns > table->now_ns ? table->newest_ns : table->now_ns;
    }
    for (uint32_t slot = 0; slot < table->fresh; slot++) {
        struct flow *flow = flow_at(table, slot);
        if ((flow->bits & FLOW_IS_LIVE) == 0 || !settle(table, slot, now_ns)) {
            continue;
        }
        if (flow_is_closed(flow)) {
            end_closed(table, slot);
        } else {
            end_flow(table, slot, reason, detail);
        }
    }
}

void flow_table_step_clock(struct flow_table *table, uint64_t until_ns, uint64_t now_ns)
{
    for (uint32_t slot = 0; slot < table->fresh; slot++) {
        struct flow *flow = flow_at(table, slot);

        if ((flow->bits & FLOW_IS_LIVE) == 0 || !settle(table, slot, until_ns)) {
            continue;
        }
        flow->bits |= FLOW_SAW_CLOCK_STEP;
        if (flow_is_closed(flow)) {
            end_closed(table, slot);
        } else {
            end_flow(table, slot, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
        }
    }
    table->statistics.clock_steps++;
    table->has_time = false;
    wheel_start(table, now_ns);
}

/* ---- packets ---- */

static uint64_t flow_id_of(const struct flow *flow, uint32_t tunnels)
{
    /* Fixed, so that runs and shards agree on the id; it is no secret. */
    static const struct hash_key identity = {UINT64_C(0x6e65747363617065),
                                             UINT64_C(0x666c6f772d696431)};
    struct {
        struct flow_key key;
        uint64_t first_ns;
        uint16_t vlan_id, outer_vlan_id;
        uint32_t tunnels;
    } of = {.key = flow->key,
            .first_ns = flow->first_ns,
            .vlan_id = flow->vlan_id,
            .outer_vlan_id = flow->outer_vlan_id,
            .tunnels = tunnels};

    return hash_bytes(identity, &of, sizeof(of));
}

/* Who is the client, and how that is known, from the first packet. */
static void decide_client(struct flow *flow, const struct packet *packet, bool source_is_high)
{
    bool sender_is_client = true;

    flow->initiator = INITIATOR_FIRST_PACKET;
    if ((packet->facts & PACKET_HAS_TCP) != 0 && (packet->tcp_flags & TCP_SYN) != 0) {
        sender_is_client = (packet->tcp_flags & TCP_ACK) == 0;
        flow->initiator = INITIATOR_SYN;
        flow->bits |= sender_is_client ? 0 : FLOW_SAW_MIDSTREAM;
    } else if ((packet->facts & PACKET_HAS_PORTS) != 0 && packet->source_port < SERVER_PORTS_END &&
               packet->target_port >= SERVER_PORTS_END) {
        sender_is_client = false;
        flow->initiator = INITIATOR_PORT_GUESS;
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
}

static uint32_t take_slot(struct flow_table *table, uint64_t hash, bool *was_full)
{
    if (table->count == table->granted && !flow_budget_grant(table)) {
        const uint32_t victim = flow_index_victim(table, hash);
        flow_at(table, victim)->bits |= FLOW_TABLE_WAS_FULL;
        table->statistics.flows_evicted++;
        *was_full = true;
        end_flow(table, victim, FLOW_END_LACK_OF_RESOURCES, FLOW_DETAIL_TABLE_FULL);
    }
    if (table->free_head == FLOW_NONE) {
        return table->fresh++;
    }
    const uint32_t slot = table->free_head;
    table->free_head = flow_at(table, slot)->wheel_next;
    return slot;
}

/* When the packet was captured. Deadlines and silence are tested at its time_ns, which is later
 * for a fragment that was held back: by then other packets have been counted. */
static inline uint64_t seen_ns(const struct packet *packet)
{
    return UNLIKELY((packet->facts & PACKET_WAS_HELD) != 0) ? packet->held_since_ns
                                                            : packet->time_ns;
}

static uint32_t create_flow(struct flow_table *table, const struct packet *packet,
                            const uint8_t *frame, const struct flow_item *item)
{
    bool was_full = false;
    const uint32_t slot = take_slot(table, item->hash, &was_full);
    struct flow *flow = flow_at(table, slot);
    const uint32_t touched_tick = flow->touched_tick; /* the slot may be in the list already */
    const uint64_t first_update = table->settings.first_update_ns != 0
                                      ? table->settings.first_update_ns
                                      : table->settings.active_timeout_ns;

    memset(flow, 0, table->stride);
    flow->touched_tick = touched_tick;
    flow->key = item->key;
    flow->bits = (uint16_t)(FLOW_IS_LIVE | (was_full ? FLOW_TABLE_WAS_FULL : 0) |
                            ((packet->facts & PACKET_HAS_PORTS) != 0 ? FLOW_HAS_KEY_PORTS : 0));
    flow->first_ns = flow->last_ns = flow->delta_start_ns = seen_ns(packet);
    flow->next_update_ns = first_update != 0 ? add_time(packet->time_ns, first_update) : UINT64_MAX;
    flow->interface = packet->interface;
    flow->icmp_type = packet->icmp_type;
    flow->icmp_code = packet->icmp_code;
    if (packet->vlan_count > 0) {
        flow->vlan_id = packet->vlan_ids[packet->vlan_count > 1 ? 1 : 0];
        flow->bits |= FLOW_HAS_VLAN;
    }
    if (packet->vlan_count > 1) {
        flow->outer_vlan_id = packet->vlan_ids[0];
        flow->bits |= FLOW_HAS_OUTER_VLAN;
    }
    decide_client(flow, packet, item->source_is_high);
    flow->flow_id = flow_id_of(flow, flow_tunnels_set(table->tunnels, slot, packet, frame));
    flow_index_insert(&table->index, item->hash, slot);
    table->count++;
    table->statistics.flows_created++;
    wheel_start(table, packet->time_ns);
    wheel_insert(table, flow, slot, due_ns(table, flow));
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

/* Deltas are told by 32-bit snapshots: a record is cut before one would run over. */
static inline bool delta_would_overflow(const struct flow *flow, const struct packet *packet,
                                        int direction)
{
    const struct flow_sums *sums = &flow->sums[direction];
    const uint32_t *reported = flow->reported[direction];
    const uint32_t bytes = (uint32_t)sums->bytes - reported[1];
    const uint32_t payload = (uint32_t)sums->payload_bytes - reported[2];
    const uint32_t ip = (uint32_t)sums->ip_bytes - reported[3];

    return bytes > UINT32_MAX - packet->wire_bytes ||
           payload > UINT32_MAX - packet->payload_bytes || ip > UINT32_MAX - packet->ip_bytes;
}

/* Sums over all flows of what one segment added to its own: for the rates of a second. */
static void add_rtt(struct flow_table_statistics *sums, const struct flow_tcp_part *part)
{
    /* Both sides of the sensor together, since one of them may be next door. */
    const uint64_t ns =
        ((uint64_t)part->side[0].rtt.ewma + part->side[1].rtt.ewma) * FLOW_ROUND_TRIP_UNIT_NS;
    const double seconds = (double)ns * 1e-9;
    uint32_t bucket = 0;

    while (bucket < STATS_RTT_BOUNDS && seconds > stats_rtt_bounds_seconds[bucket]) {
        bucket++;
    }
    sums->rtt_counts[bucket]++;
    sums->rtt_sum_ns += ns;
}

static void measure_tcp(struct flow_table *table, struct flow *flow, const struct packet *packet,
                        int direction, uint8_t state_before)
{
    struct flow_table_statistics *sums = &table->statistics;
    struct flow_tcp_part *part = flow_tcp_part(flow);
    const struct flow_tcp_side *side = &part->side[direction];
    const struct flow_rtt *rtt = &part->side[!direction].rtt; /* an ACK completes the peer's */
    const uint32_t retransmitted = side->retransmitted_segments;
    const uint32_t out_of_order = side->out_of_order_segments;
    const uint16_t zero_windows = side->zero_window_events;
    const uint32_t samples = rtt->samples;

    tcp_measure(&table->settings, flow, part, packet, direction, state_before);
    sums->data_segments += packet->payload_bytes > 0;
    sums->resets += (packet->tcp_flags & TCP_RST) != 0;
    sums->retransmitted_segments += side->retransmitted_segments - retransmitted;
    sums->out_of_order_segments += side->out_of_order_segments - out_of_order;
    sums->zero_window_events += (uint16_t)(side->zero_window_events - zero_windows);
    if (rtt->samples != samples) {
        add_rtt(sums, part);
    }
}

static void count_packet(struct flow_table *table, struct flow *flow, uint32_t slot,
                         const struct packet *packet, const uint8_t *frame, int direction)
{
    struct flow_sums *sums = &flow->sums[direction];

    if (UNLIKELY(delta_would_overflow(flow, packet, direction))) {
        emit(table, flow, FLOW_UPDATE, FLOW_END_ACTIVE, FLOW_DETAIL_NONE);
        flow->delta_start_ns = packet->time_ns;
    }
    if (UNLIKELY(sums->packets == 0)) {
        note_macs(flow, packet, frame, direction);
        flow->ttl_min[direction] = flow->ttl_max[direction] = packet->ttl;
        flow->dscp[direction] = packet->dscp;
    } else if (packet->ttl < flow->ttl_min[direction]) {
        flow->ttl_min[direction] = packet->ttl;
    } else if (packet->ttl > flow->ttl_max[direction]) {
        flow->ttl_max[direction] = packet->ttl;
    }
    sums->packets++;
    sums->bytes += packet->wire_bytes;
    sums->payload_bytes += packet->payload_bytes;
    sums->ip_bytes += packet->ip_bytes;
    if (seen_ns(packet) > flow->last_ns) {
        flow->last_ns = seen_ns(packet);
    }
    if (flow->touched_tick != table->tick) {
        flow->touched_tick = table->tick;
        table->touched[table->touched_count++] = slot;
    }
    if ((packet->facts & PACKET_IS_FRAGMENT) != 0) {
        flow->bits |= FLOW_SAW_FRAGMENT;
        flow->fragment_fault |= (packet->facts & PACKET_FRAGMENT_FAULT) != 0;
    }
    if ((packet->facts & PACKET_HAS_TCP) != 0) {
        const uint8_t state_before = flow->tcp_state;
        tcp_follow(flow, packet, direction);
        if (table->is_measured) {
            measure_tcp(table, flow, packet, direction, state_before);
        }
        if (UNLIKELY(flow->tcp_state != state_before && flow_is_closed(flow))) {
            wheel_remove(table, flow);
            wheel_insert(table, flow, slot, due_ns(table, flow));
        }
    }
}

/* The live flow of the packet at its own time; FLOW_NONE: a new one is to be made. */
static uint32_t settled_flow(struct flow_table *table, const struct packet *packet,
                             const struct flow_item *item)
{
    uint32_t slot = item->candidate;

    if (slot == FLOW_NONE || (flow_at(table, slot)->bits & FLOW_IS_LIVE) == 0 ||
        !flow_key_equal(&flow_at(table, slot)->key, &item->key)) {
        slot = flow_index_find(table, &item->key, item->hash, item->source_is_high);
        if (slot == FLOW_NONE) {
            return FLOW_NONE;
        }
        if (UNLIKELY(flow_at(table, slot)->key.tenant != item->key.tenant)) {
            flow_tunnels_set_answer(table->tunnels, slot, item->key.tenant);
        }
    }
    struct flow *flow = flow_at(table, slot);
    const uint64_t now = packet->time_ns;
    if (UNLIKELY(now < flow->last_ns)) {
        table->statistics.late_packets++;
        if (flow->last_ns - now > FLOW_CLOCK_STEP_NS) {
            step_clock(table, flow, now);
        }
    } else if (UNLIKELY(now - flow->last_ns > silence_limit(table, flow) ||
                        now >= flow->next_update_ns)) {
        if (!settle(table, slot, now)) {
            return FLOW_NONE;
        }
    }
    if ((packet->facts & PACKET_HAS_TCP) != 0 && (packet->tcp_flags & TCP_SYN) != 0) {
        const int direction = item->source_is_high != flow_client_is_high(flow);
        if (tcp_is_reuse(flow, table->is_measured ? flow_tcp_part(flow) : NULL, packet,
                         direction)) {
            end_flow(table, slot, FLOW_END_END_OF_FLOW, FLOW_DETAIL_PORT_REUSE);
            return FLOW_NONE;
        }
    }
    return slot;
}

static void add_packet(struct flow_table *table, const struct packet *packet, const uint8_t *frame,
                       const struct flow_item *item)
{
    uint32_t slot = settled_flow(table, packet, item);
    const bool is_new = slot == FLOW_NONE;

    if (is_new) {
        slot = create_flow(table, packet, frame, item);
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
        emit(table, flow, FLOW_START, FLOW_END_NONE, FLOW_DETAIL_NONE);
    }
}

/* Finds the likely entry by its tag and fetches its lines. */
static void prefetch_entry(const struct flow_table *table, struct flow_item *item)
{
    const struct flow_bucket *bucket =
        &table->index.buckets[flow_index_home(&table->index, item->hash)];
    const unsigned match = flow_bucket_match(bucket, flow_index_tag(item->hash));

    item->candidate = FLOW_NONE;
    if (match == 0) {
        if (table->free_head != FLOW_NONE) {
            __builtin_prefetch(flow_at(table, table->free_head), 1);
        }
        return;
    }
    item->candidate = bucket->slots[__builtin_ctz(match)];
    const uint8_t *entry = (const uint8_t *)flow_at(table, item->candidate);
    for (uint32_t at = 0; at < table->stride; at += CACHE_LINE) {
        __builtin_prefetch(entry + at, 1);
    }
}

uint32_t flow_table_add_batch(struct flow_table *table, const struct packet *packets,
                              const uint8_t *const *frames, uint32_t count)
{
    struct flow_item *items = table->items;
    uint32_t counted = 0;

    assert(count <= FLOW_BATCH_MAX);
    for (uint32_t i = 0; i < count; i++) {
        items[i].is_ip = packets[i].ip_version != 0;
        if (!items[i].is_ip) {
            continue;
        }
        items[i].source_is_high = flow_key_of(&packets[i], &items[i].key);
        items[i].hash = flow_key_hash(&items[i].key, table->settings.key);
        __builtin_prefetch(&table->index.buckets[flow_index_home(&table->index, items[i].hash)], 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].is_ip) {
            prefetch_entry(table, &items[i]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].is_ip) {
            add_packet(table, &packets[i], frames != NULL ? frames[i] : NULL, &items[i]);
            counted++;
        }
    }
    return counted;
}

/* ---- views ---- */

void flow_table_tick(struct flow_table *table, void (*each)(void *context, struct flow *flow),
                     void *context)
{
    for (uint32_t i = 0; i < table->touched_count; i++) {
        struct flow *flow = flow_at(table, table->touched[i]);
        if ((flow->bits & FLOW_IS_LIVE) == 0) {
            continue;
        }
        if (each != NULL) {
            each(context, flow);
        }
        flow->ticked[0] = (uint32_t)flow->sums[0].bytes;
        flow->ticked[1] = (uint32_t)flow->sums[1].bytes;
        flow->ticked_packets = (uint32_t)flow_total_packets(flow);
    }
    table->touched_count = 0;
    table->tick++;
}

bool flow_table_iterate(const struct flow_table *table, uint32_t *cursor, uint32_t slots_max,
                        void (*each)(void *context, const struct flow *flow), void *context)
{
    for (uint32_t seen = 0; seen < slots_max && *cursor < table->fresh; seen++) {
        const struct flow *flow = flow_at(table, (*cursor)++);
        if ((flow->bits & FLOW_IS_LIVE) != 0) {
            each(context, flow);
        }
    }
    return *cursor < table->fresh;
}

const struct flow_tcp_part *flow_tcp(const struct flow_table *table, const struct flow *flow)
{
    return table->is_measured ? (const struct flow_tcp_part *)(const void *)(flow + 1) : NULL;
}

struct flow_table_statistics flow_table_statistics(const struct flow_table *table)
{
    struct flow_table_statistics statistics = table->statistics;

    statistics.tunnels_full = flow_tunnels_full(table->tunnels);
    return statistics;
}

uint32_t flow_table_count(const struct flow_table *table)
{
    return table->count;
}

uint32_t flow_table_capacity(const struct flow_table *table)
{
    return table->settings.flows_max;
}

uint64_t flow_table_memory_bytes(const struct flow_table *table)
{
    return table->memory_bytes + sizeof(*table) + flow_tunnels_memory(table->settings.flows_max);
}
