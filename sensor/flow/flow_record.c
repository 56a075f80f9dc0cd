#include "base/zero.h"
#include "sensor/flow/flow_tcp_internal.h"
#include "sensor/wire/community_id.h"

bool flow_is_internal(const struct flow_settings *settings, const struct ip_address *address)
{
    if (settings->internal_count == 0) {
        return address_is_private(address);
    }
    for (uint32_t i = 0; i < settings->internal_count; i++) {
        if (prefix_contains(&settings->internal[i], address)) {
            return true;
        }
    }
    return false;
}

static uint8_t scope_of(const struct flow_settings *settings, const struct ip_address *address)
{
    if (address_is_multicast(address)) {
        return SCOPE_MULTICAST;
    }
    if (address_is_link_local(address)) {
        return SCOPE_LINK_LOCAL;
    }
    return flow_is_internal(settings, address) ? SCOPE_INTERNAL : SCOPE_EXTERNAL;
}

uint8_t flow_scope_of_ipv4(const struct flow_settings *settings, const uint32_t *at)
{
    if (UNLIKELY(settings->internal_count != 0)) {
        const struct ip_address address = address_of_ipv4(at);

        return scope_of(settings, &address);
    }
    if (address_ipv4_is_multicast(at)) {
        return SCOPE_MULTICAST;
    }
    if (address_ipv4_is_link_local(at)) {
        return SCOPE_LINK_LOCAL;
    }
    return address_ipv4_is_private(at) ? SCOPE_INTERNAL : SCOPE_EXTERNAL;
}

uint64_t flow_id_of(const struct flow *flow, uint64_t first_ns, const struct flow_link *link,
                    uint32_t tunnels)
{
    /* Fixed, so that runs and shards agree on the id; it is no secret. */
    static const struct hash_key identity = {UINT64_C(0x6e65747363617065),
                                             UINT64_C(0x666c6f772d696431)};
    /* A struct flow_key, the first time, VLANs and tunnels. */
    uint64_t words[7] = {[5] = first_ns};

    if (link != NULL) {
        words[6] =
            (uint64_t)link->vlan_id | (uint64_t)link->outer_vlan_id << 16 | (uint64_t)tunnels << 32;
    }
    static_assert(sizeof(struct flow_key) == 40 && offsetof(struct flow_key, low_port) == 32 &&
                      sizeof(flow->key) - offsetof(struct flow_short_key, low_port) == 8,
                  "both keys end with the same word");
    memcpy(&words[4], &flow->key.low_port, sizeof(words[4]));
    if (LIKELY(flow->key.ip_version == 4)) {
        words[0] = flow->key.low;
        words[2] = flow->key.high;
    } else {
        const struct flow_key key = flow_whole_key(flow);

        memcpy(&words[0], key.low_ip, sizeof(key.low_ip));
        memcpy(&words[2], key.high_ip, sizeof(key.high_ip));
    }
    return hash_words(identity, words, ARRAY_COUNT(words));
}

uint64_t flow_id(const struct flow_table *table, const struct flow *flow)
{
    if (table == NULL) {
        return flow_id_of(flow, 0, NULL, 0);
    }
    const uint32_t slot = flow_slot(table, flow);
    const struct flow_cold *cold = flow_cold_at(table, slot);

    return flow_id_of(flow, cold->first_ns, flow_link_of(table, cold),
                      flow_tunnels_hash(table->tunnels, flow_place(table, slot)));
}

/* All of these fill zeroed memory field by field, so that equal flows give equal bytes. */
static void fill_endpoint(const struct flow_settings *settings, const struct flow *flow,
                          const struct flow_link *link, bool is_client, struct flow_endpoint *out)
{
    const bool high = flow_client_is_high(flow) == is_client;
    const uint8_t has_mac = is_client ? LINK_HAS_MAC_CLIENT : LINK_HAS_MAC_SERVER;

    if (LIKELY(flow->key.ip_version == 4)) { /* in place: a copy would wait for its four bytes */
        memcpy(out->ip.bytes, high ? &flow->key.high : &flow->key.low, sizeof(flow->key.low));
        out->ip.version = 4;
    } else {
        out->ip = flow_address(flow, high);
    }
    out->port = flow_port(flow, high);
    out->has_mac = (link->bits & has_mac) != 0;
    memcpy(out->mac, link->macs[is_client ? 0 : 1], sizeof(out->mac));
    out->scope = LIKELY(flow->key.ip_version == 4)
                     ? flow_scope_of_ipv4(settings, high ? &flow->key.high : &flow->key.low)
                     : scope_of(settings, &out->ip);
}

static void fill_counters(const struct flow *flow, const struct flow_large *large,
                          const struct flow_reported *told, int direction,
                          struct flow_counters *out)
{
    const uint32_t *reported = told->sums[direction];
    uint64_t totals[4];

    if (flow->sums[direction] == 0 && large == NULL) { /* nothing was sent: zeros as they are */
        return;
    }
    flow_totals(large, flow, direction, totals);
    out->total_packets = totals[FLOW_SUM_PACKETS];
    out->total_bytes = totals[FLOW_SUM_BYTES];
    out->total_payload_bytes = totals[FLOW_SUM_PAYLOAD];
    out->total_ip_bytes = totals[FLOW_SUM_IP];
    out->delta_packets = (uint32_t)out->total_packets - reported[FLOW_SUM_PACKETS];
    out->delta_bytes = (uint32_t)out->total_bytes - reported[FLOW_SUM_BYTES];
    out->delta_payload_bytes = (uint32_t)out->total_payload_bytes - reported[FLOW_SUM_PAYLOAD];
    out->delta_ip_bytes = (uint32_t)out->total_ip_bytes - reported[FLOW_SUM_IP];
}

static void fill_hops(const struct flow *flow, const struct flow_link *link,
                      const struct flow_large *large, int direction, struct flow_counters *out)
{
    const uint8_t lowest = flow->ttl[direction];
    const uint8_t highest = large != NULL ? large->ttl_max[direction] : 0;

    out->has_ttl = out->has_dscp = out->total_packets > 0;
    out->ttl_min = lowest;
    out->ttl_max = highest > lowest ? highest : lowest;
    out->dscp = link->dscp[direction];
}

static uint64_t units_to_ns(uint32_t units)
{
    return (uint64_t)units * FLOW_ROUND_TRIP_UNIT_NS;
}

static void fill_round_trip(const struct flow_tcp_rtt *all, int side, struct flow_round_trip *out)
{
    const struct flow_rtt *rtt = &all->side[side];

    if (rtt->samples == 0) {
        return;
    }
    out->min_ns = units_to_ns(rtt->min);
    out->mean_ns = all->sum_ns[side] / rtt->samples;
    out->max_ns = units_to_ns(rtt->max);
    out->last_ns = units_to_ns(rtt->last);
    out->ewma_ns = units_to_ns(rtt->ewma);
    out->samples = rtt->samples;
}

static void fill_faults(const struct flow_tcp_fault_side *faults, struct flow_tcp_direction *out)
{
    out->retransmitted_segments = faults->retransmitted_segments;
    out->retransmitted_bytes = faults->retransmitted_bytes;
    out->out_of_order_segments = faults->out_of_order_segments;
    out->duplicate_acks = faults->duplicate_acks;
    out->zero_window_events = faults->zero_window_events;
    out->keepalives = faults->keepalives;
    out->duplicate_packets = faults->duplicate_packets;
    out->fast_retransmissions = faults->fast_retransmissions;
    out->spurious_retransmissions = faults->spurious_retransmissions;
    out->window_full_events = faults->window_full_events;
    out->zero_window_probes = faults->zero_window_probes;
    out->sack_acks = faults->sack_acks;
    out->sequence_gaps = faults->sequence_gaps;
}

static void fill_direction(const struct flow_table *table, const struct flow_tcp_part *part,
                           const struct flow_tcp_rest *rest, const struct flow_tcp_cold *cold,
                           int direction, struct flow_tcp_direction *out)
{
    const struct flow_tcp_side *side = &part->side[direction];

    out->has_initial_window = (side->bits & SIDE_HAS_WINDOW) != 0;
    out->has_mss = flow_rest_has(rest, direction, REST_HAS_MSS);
    out->has_window_scale = (side->bits & SIDE_HAS_WINDOW_SCALE) != 0;
    out->window_scale = side->history_seen >> SEEN_SCALE_SHIFT & 15;
    out->initial_window = cold->initial_window[direction];
    out->mss = cold->mss[direction];
    out->syn_count = flow_tcp_flag_count(table, part, rest, direction, TCP_FLAG_SYN);
    out->fin_count = flow_tcp_flag_count(table, part, rest, direction, TCP_FLAG_FIN);
    out->rst_count = flow_tcp_flag_count(table, part, rest, direction, TCP_FLAG_RST);
    out->sack_permitted = flow_rest_has(rest, direction, REST_SACK_PERMITTED);
    out->timestamps = (side->options & SIDE_TIMESTAMPS) != 0;
}

/* What a connection is of which one SYN was seen. */
static void fill_syn(const struct flow_tcp_cold *syn, struct flow_tcp *out)
{
    struct flow_tcp_direction *client = &out->forward;
    const unsigned options = syn->mss[1] & FLOW_SYN_OPTIONS;

    out->history[0] = 'S';
    client->has_initial_window = true;
    client->initial_window = syn->initial_window[0];
    client->syn_count = 1;
    client->has_mss = (options & TCP_OPTION_MSS) != 0;
    client->mss = client->has_mss ? syn->mss[0] : 0;
    client->has_window_scale = (options & TCP_OPTION_WINDOW_SCALE) != 0;
    client->window_scale = client->has_window_scale ? syn->mss[1] >> FLOW_SYN_SCALE_SHIFT & 15 : 0;
    client->sack_permitted = (options & TCP_OPTION_SACK_PERMITTED) != 0;
    client->timestamps = (options & TCP_OPTION_TIMESTAMPS) != 0;
}

static void fill_tcp(const struct flow_table *table, const struct flow *flow,
                     struct flow_record *out)
{
    struct flow_tcp *tcp = &out->tcp;

    out->has_tcp = true;
    zero_bytes(tcp, sizeof(*tcp));
    tcp->state = (uint8_t)flow_tcp_state(flow);
    tcp->is_measured = table->is_measured;
    const uint32_t slot = flow_slot(table, flow);
    const struct flow_tcp_part *part =
        flow_has_tcp_part(flow) ? flow_tcp_part_at(table, slot) : NULL;
    const struct flow_tcp_cold *syn = flow_kept_syn(table, flow);
    const char *conn_state = syn != NULL ? "S0" : tcp_conn_state(flow, part);
    for (unsigned i = 0; conn_state[i] != '\0'; i++) { /* two to six letters */
        tcp->conn_state[i] = conn_state[i];
    }
    tcp->forward.flags = flow->tcp_flags[0];
    tcp->reverse.flags = flow->tcp_flags[1];
    if (part == NULL) {
        if (syn != NULL) { /* else compact, or no segment whose header could be read */
            fill_syn(syn, tcp);
        }
        return;
    }
    struct flow_tcp_rtt rtt;
    const struct flow_tcp_rest *rest = flow_tcp_rest_at(table, slot);
    const struct flow_tcp_cold *cold = flow_tcp_cold_at(table, slot);
    (void)tcp_history(table, part, tcp->history);
    if (out->forward.total_packets > 0) { /* of a side that sent nothing, nothing is known */
        fill_direction(table, part, rest, cold, 0, &tcp->forward);
    }
    if (out->reverse.total_packets > 0) {
        fill_direction(table, part, rest, cold, 1, &tcp->reverse);
    }
    if (flow_tcp_has_faults(part)) { /* most flows have none */
        const struct flow_tcp_faults *faults = flow_tcp_faults(table, part);
        fill_faults(&faults->side[0], &tcp->forward);
        fill_faults(&faults->side[1], &tcp->reverse);
        tcp->client_rtt.timestamp_samples = faults->side[1].timestamp_samples;
        tcp->server_rtt.timestamp_samples = faults->side[0].timestamp_samples;
        out->forward.missed_bytes = faults->side[0].missed_bytes;
        out->reverse.missed_bytes = faults->side[1].missed_bytes;
    }
    /* What the server sends comes back acknowledged from the client's side. */
    flow_get_rtt(table, part, &rtt);
    fill_round_trip(&rtt, 1, &tcp->client_rtt);
    fill_round_trip(&rtt, 0, &tcp->server_rtt);
    tcp->simultaneous_open = (part->side[0].options & SIDE_0_IS_SIMULTANEOUS) != 0;
    const uint32_t handshake = flow_tcp_handshake(table, part, rest);
    tcp->has_handshake = handshake != 0;
    tcp->handshake_ns = units_to_ns(handshake);
    tcp->has_response = (part->side[1].options & SIDE_HAS_ANSWERED) != 0;
    tcp->response_ns = tcp->has_response ? units_to_ns(rest->request) : 0;
}

static uint16_t record_flags(const struct flow *flow)
{
    /* Acknowledging is answering: a sender of ACKs has a peer that we do not see. */
    const bool is_one_sided =
        flow->key.protocol == IP_PROTOCOL_TCP &&
        ((flow_packets_of(flow, 0) == 0 && (flow->tcp_flags[1] & TCP_ACK) != 0) ||
         (flow_packets_of(flow, 1) == 0 && (flow->tcp_flags[0] & TCP_ACK) != 0));
    unsigned flags = is_one_sided ? FLOW_FLAG_ASYMMETRIC : 0;

    flags |= (flow->bits & FLOW_TABLE_WAS_FULL) != 0 ? FLOW_FLAG_TRUNCATED_TABLE : 0;
    flags |= (flow->bits & FLOW_SAW_MIDSTREAM) != 0 ? FLOW_FLAG_MIDSTREAM : 0;
    flags |= (flow->bits & FLOW_SAW_FRAGMENT) != 0 ? FLOW_FLAG_FRAGMENTS_SEEN : 0;
    flags |= (flow->bits & FLOW_SAW_CLOCK_STEP) != 0 ? FLOW_FLAG_CLOCK_STEP : 0;
    flags |= (flow->bits & FLOW_SAW_FRAGMENT_FAULT) != 0 ? FLOW_FLAG_FRAGMENT_FAULT : 0;
    flags |= (flow->bits & FLOW_REUSED_PORTS) != 0 ? FLOW_FLAG_PORT_REUSED : 0;
    return (uint16_t)flags;
}

/* Whether its endpoints are in the order of the Community ID: the key's, but of ICMP. */
static inline bool has_ipv4_ports(const struct flow *flow)
{
    return (flow->bits & FLOW_HAS_KEY_PORTS) != 0 && flow->key.ip_version == 4 &&
           (flow->key.protocol == IP_PROTOCOL_TCP || flow->key.protocol == IP_PROTOCOL_UDP ||
            flow->key.protocol == IP_PROTOCOL_SCTP);
}

/* True: it is left to the caller, by `later`, which may be NULL. */
static bool fill_community_id(const struct flow_table *table, const struct flow *flow,
                              struct flow_record *out, struct community_id_words *later)
{
    out->community_id = (struct record_text){table->community_text, COMMUNITY_ID_TEXT_BYTES - 1};
    if (LIKELY(has_ipv4_ports(flow))) {
        const struct community_id_ipv4 of = {.low = flow->key.low,
                                             .high = flow->key.high,
                                             .low_port = flow->key.low_port,
                                             .high_port = flow->key.high_port,
                                             .protocol = flow->key.protocol};

        if (later != NULL) {
            *later = community_id_words_of(&of, table->settings.community_id_seed);
            out->community_id.data = COMMUNITY_ID_BLANK;
            return true;
        }
        community_id_v1_ipv4(&of, table->settings.community_id_seed, table->community_text);
        return false;
    }
    const bool source_is_high = (flow->bits & FLOW_SOURCE_WAS_HIGH) != 0;
    const bool is_icmp =
        flow->key.protocol == IP_PROTOCOL_ICMP || flow->key.protocol == IP_PROTOCOL_ICMPV6;
    const struct community_id_flow of = {
        .source = flow_address(flow, source_is_high),
        .target = flow_address(flow, !source_is_high),
        .protocol = flow->key.protocol,
        .source_port = is_icmp ? flow->icmp_type : flow_port(flow, source_is_high),
        .target_port = is_icmp ? flow->icmp_code : flow_port(flow, !source_is_high),
    };

    community_id_v1(&of, table->settings.community_id_seed, table->community_text);
    return false;
}

struct record_text flow_interface_name(const struct flow_settings *settings, uint16_t number)
{
    struct record_text name = {0};

    if (settings->names != NULL) {
        name.data = name_table_text(settings->names, number, &name.length);
    }
    return name.length > 0 ? name : settings->interface;
}

static bool fill_record(const struct flow_table *table, const struct flow *flow,
                        enum flow_event event, enum flow_end_reason reason,
                        enum flow_end_detail detail, struct flow_record *out,
                        struct community_id_words *later)
{
    const struct flow_settings *settings = &table->settings;
    const uint32_t slot = flow_slot(table, flow);
    const struct flow_cold *cold = flow_cold_at(table, slot);
    const struct flow_link *link = flow_link_of(table, cold);
    const struct flow_large *large = flow_large(table, cold);
    struct flow_reported told;

    flow_get_reported(table, cold, &told);

    /* The parts behind `tcp` are read only where their has_ flag is set. */
    zero_bytes(out, offsetof(struct flow_record, tcp));
    /* Both hashes are long chains of dependent steps: side by side, and while what follows is
     * filled, the processor works at all of it. */
    const bool is_later = fill_community_id(table, flow, out, later);
    out->flow_id = flow_id_of(flow, cold->first_ns, link,
                              flow_tunnels_hash(table->tunnels, flow_place(table, slot)));
    out->event = (uint8_t)event;
    out->end_reason = (uint8_t)reason;
    out->end_detail = (uint8_t)detail;
    out->initiator = (uint8_t)flow_initiator(flow);
    out->ip_version = flow->key.ip_version;
    out->ip_protocol = flow->key.protocol;
    out->flags = record_flags(flow);
    out->has_vlan = (link->bits & LINK_HAS_VLAN) != 0;
    out->has_outer_vlan = (link->bits & LINK_HAS_OUTER_VLAN) != 0;
    out->vlan_id = link->vlan_id;
    out->outer_vlan_id = link->outer_vlan_id;
    out->update_index = told.update_index;
    out->observation_point = settings->observation_point;
    out->sampling_interval = 1;
    out->start_ns = cold->first_ns;
    out->end_ns = flow->last_ns > cold->first_ns ? flow->last_ns : cold->first_ns;
    out->delta_start_ns = told.delta_start_ns < out->end_ns ? told.delta_start_ns : out->end_ns;
    fill_endpoint(settings, flow, link, true, &out->client);
    fill_endpoint(settings, flow, link, false, &out->server);
    fill_counters(flow, large, &told, 0, &out->forward);
    fill_counters(flow, large, &told, 1, &out->reverse);
    fill_hops(flow, link, large, 0, &out->forward);
    fill_hops(flow, link, large, 1, &out->reverse);
    flow_tunnels_fill(table->tunnels, flow_place(table, slot),
                      flow_client_is_high(flow) != ((flow->bits & FLOW_SOURCE_WAS_HIGH) != 0), out);
    out->interface = flow_interface_name(settings, link->interface);
    if (flow->key.protocol == IP_PROTOCOL_TCP && (flow->bits & FLOW_HAS_KEY_PORTS) != 0) {
        fill_tcp(table, flow, out);
    }
    if (flow->key.protocol == IP_PROTOCOL_ICMP || flow->key.protocol == IP_PROTOCOL_ICMPV6) {
        out->has_icmp = true;
        out->icmp_type = flow->icmp_type;
        out->icmp_code = flow->icmp_code;
    }
    return is_later;
}

void flow_fill_record(const struct flow_table *table, const struct flow *flow,
                      enum flow_event event, enum flow_end_reason reason,
                      enum flow_end_detail detail, struct flow_record *out)
{
    (void)fill_record(table, flow, event, reason, detail, out, NULL);
}

bool flow_fill_record_blank(const struct flow_table *table, const struct flow *flow,
                            enum flow_event event, enum flow_end_reason reason,
                            enum flow_end_detail detail, struct flow_record *out,
                            struct community_id_words *id)
{
    return fill_record(table, flow, event, reason, detail, out, id);
}
