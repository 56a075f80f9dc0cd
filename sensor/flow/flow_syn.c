/* The record of a flow that is one SYN: read from its line and what stands beside it at once. */
#include "sensor/flow/flow_tcp_internal.h"
#include "sensor/wire/community_id.h"

/* What has to be said in other words. */
#define MORE_THAN_A_SYN                                                                            \
    (FLOW_HAS_TCP_PART | FLOW_TABLE_WAS_FULL | FLOW_SAW_MIDSTREAM | FLOW_SAW_FRAGMENT |            \
     FLOW_SAW_CLOCK_STEP | FLOW_SAW_FRAGMENT_FAULT | FLOW_REUSED_PORTS)
#define OF_A_SYN (FLOW_HAS_TCP_ROOM | FLOW_HAS_KEY_PORTS)

static bool is_one_packet(const struct flow *flow)
{
    const uint64_t packets = ((UINT64_C(1) << FLOW_PACKETS_BITS) - 1) << FLOW_PACKETS_SHIFT;
    const uint64_t payload = UINT64_MAX << FLOW_PAYLOAD_SHIFT;

    return (flow->sums[0] & (packets | payload)) == UINT64_C(1) << FLOW_PACKETS_SHIFT &&
           flow->sums[1] == 0;
}

/* False: neither nothing was told of it nor all. */
static bool fill_told(const struct flow_table *table, const struct flow_cold *cold,
                      struct syn_record *out)
{
    struct flow_reported told;

    out->is_told = false;
    out->update_index = 0;
    if (LIKELY(cold->past == 0)) {
        return true;
    }
    if (flow_past_is(cold, FLOW_PAST_LARGE)) {
        return false;
    }
    flow_get_reported(table, cold, &told);
    out->is_told = told.sums[0][FLOW_SUM_PACKETS] != 0;
    out->update_index = told.update_index;
    const uint32_t *sums = told.sums[0];
    const bool has_all = sums[FLOW_SUM_PACKETS] == 1 && sums[FLOW_SUM_BYTES] == out->bytes &&
                         sums[FLOW_SUM_IP] == out->ip_bytes;
    const bool has_none = (sums[FLOW_SUM_PACKETS] | sums[FLOW_SUM_BYTES] | sums[FLOW_SUM_IP]) == 0;

    return (out->is_told ? has_all : has_none) && told.delta_start_ns >= cold->first_ns;
}

static_assert((int)SYN_HAS_MSS == (int)TCP_OPTION_MSS &&
                  (int)SYN_HAS_WINDOW_SCALE == (int)TCP_OPTION_WINDOW_SCALE &&
                  (int)SYN_HAS_TIMESTAMPS == (int)TCP_OPTION_TIMESTAMPS &&
                  (int)SYN_HAS_SACK_PERMITTED == (int)TCP_OPTION_SACK_PERMITTED &&
                  (int)SYN_SCALE_SHIFT == (int)FLOW_SYN_SCALE_SHIFT,
              "options are kept as a record has them");

static void fill_ends(const struct flow_settings *settings, const struct flow *flow,
                      const struct flow_link *link, struct syn_record *out)
{
    const struct flow_short_key *key = &flow->key;
    const bool is_high = flow_client_is_high(flow);

    out->client_ip = is_high ? key->high : key->low;
    out->server_ip = is_high ? key->low : key->high;
    out->client_port = is_high ? key->high_port : key->low_port;
    out->server_port = is_high ? key->low_port : key->high_port;
    out->client_scope = flow_scope_of_ipv4(settings, is_high ? &key->high : &key->low);
    out->server_scope = flow_scope_of_ipv4(settings, is_high ? &key->low : &key->high);
    out->client_mac = (link->bits & LINK_HAS_MAC_CLIENT) != 0 ? link->macs[0] : NULL;
    out->server_mac = (link->bits & LINK_HAS_MAC_SERVER) != 0 ? link->macs[1] : NULL;
    out->dscp = link->dscp[0];
    out->interface = flow_interface_name(settings, link->interface);
}

bool flow_fill_syn(const struct flow_table *table, const struct flow *flow, enum flow_event event,
                   enum flow_end_reason reason, enum flow_end_detail detail, struct syn_record *out,
                   struct community_id_words *id)
{
    if ((flow->bits & (OF_A_SYN | MORE_THAN_A_SYN)) != OF_A_SYN || flow->key.ip_version != 4 ||
        !is_one_packet(flow)) {
        return false;
    }
    const uint32_t slot = flow_slot(table, flow);
    const struct flow_tcp_cold *cold = flow_tcp_cold_at(table, slot);
    const struct flow_link *link = flow_link_of(table, &cold->cold);
    const uint32_t bytes = flow_low_sum(flow->sums[0], FLOW_SUM_BYTES);
    const uint32_t ip_bytes = flow_low_sum(flow->sums[0], FLOW_SUM_IP);

    if ((cold->mss[1] & FLOW_SYN_IS_KEPT) == 0 || flow->last_ns != cold->cold.first_ns ||
        bytes - 1 >= 0x7f || ip_bytes - 1 >= 0x7f || flow_tcp_state(flow) == TCP_NONE ||
        flow_initiator(flow) != INITIATOR_SYN ||
        (link->bits & (LINK_HAS_VLAN | LINK_HAS_OUTER_VLAN)) != 0 || link->dscp[0] >= 0x40 ||
        flow_tunnels_hash(table->tunnels, flow_place(table, slot)) != 0) {
        return false;
    }
    out->bytes = (uint8_t)bytes;
    out->ip_bytes = (uint8_t)ip_bytes;
    if (!fill_told(table, &cold->cold, out)) {
        return false;
    }
    const struct community_id_ipv4 ends = {.low = flow->key.low,
                                           .high = flow->key.high,
                                           .low_port = flow->key.low_port,
                                           .high_port = flow->key.high_port,
                                           .protocol = flow->key.protocol};

    *id = community_id_words_of(&ends, table->settings.community_id_seed);
    out->flow_id = flow_id_of(flow, cold->cold.first_ns, link, 0);
    out->time_ns = flow->last_ns;
    out->event = (uint8_t)event;
    out->end_reason = (uint8_t)reason;
    out->end_detail = (uint8_t)detail;
    out->initiator = (uint8_t)flow_initiator(flow);
    out->observation_point = table->settings.observation_point;
    out->ttl = flow->ttl[0];
    out->header = (struct syn_header){.window = cold->initial_window[0],
                                      .mss = cold->mss[0],
                                      .options = cold->mss[1],
                                      .tcp_flags = flow->tcp_flags[0],
                                      .tcp_state = (uint8_t)flow_tcp_state(flow)};
    fill_ends(&table->settings, flow, link, out);
    out->app = out->app_method = (struct record_text){0};
    return out->flow_id != 0;
}
