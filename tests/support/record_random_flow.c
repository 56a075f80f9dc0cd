/* Flows. */
#include <string.h>

#include "tests/support/record_random_private.h"

static struct flow_endpoint endpoint(struct record_random *random)
{
    struct flow_endpoint out = {
        .ip = random_address(random),
        .port = random_number16(random),
        .has_mac = random_chance(random, 2),
        .scope = (uint8_t)record_random_below(random, SCOPE_LINK_LOCAL + 1),
        .name_source = (uint8_t)record_random_below(random, NAME_REVERSE_DNS + 1),
        .name = random_text(random),
    };
    for (unsigned i = 0; out.has_mac && i < sizeof out.mac; i++) {
        out.mac[i] = (uint8_t)record_random_u64(random);
    }
    return out;
}

static void labels(struct record_random *random, struct flow_endpoint *endpoint,
                   struct record_label out[FLOW_LABELS_MAX])
{
    static const char *const keys[] = {"site", "role", "country", "asn", "as_org", "city"};

    if (!random_chance(random, 4)) {
        return;
    }
    endpoint->labels_count = (uint8_t)record_random_below(random, ARRAY_COUNT(keys) + 1);
    for (unsigned i = 0; i < endpoint->labels_count; i++) {
        const struct record_text value = random_text(random);
        const bool has_room = value.length <= FLOW_LABEL_VALUE_BYTES;

        out[i] = (struct record_label){.key = {keys[i], (uint32_t)strlen(keys[i])},
                                       .value = has_room ? value : (struct record_text){0}};
    }
}

static struct flow_counters counters(struct record_random *random)
{
    struct flow_counters out = {
        .delta_packets = random_number(random, 64),
        .delta_bytes = random_number(random, 64),
        .delta_payload_bytes = random_number(random, 40),
        .delta_ip_bytes = random_number(random, 40),
        .total_packets = random_number(random, 40),
        .total_bytes = random_number(random, 40),
        .total_payload_bytes = random_number(random, 40),
        .total_ip_bytes = random_number(random, 40),
        .missed_bytes = random_number(random, 40),
        .has_ttl = random_chance(random, 2),
        .has_dscp = random_chance(random, 2),
    };
    if (out.has_ttl) {
        out.ttl_min = random_number8(random);
        out.ttl_max = random_number8(random);
    }
    out.dscp = out.has_dscp ? (uint8_t)(random_number8(random) & 63) : 0;
    return out;
}

static struct flow_round_trip round_trip(struct record_random *random)
{
    if (random_chance(random, 3)) {
        return (struct flow_round_trip){0};
    }
    return (struct flow_round_trip){
        .min_ns = random_number(random, 30),
        .mean_ns = random_number(random, 32),
        .max_ns = random_number(random, 40),
        .last_ns = random_number(random, 32),
        .ewma_ns = random_number(random, 32),
        .samples = 1 + record_random_below(random, 1000),
        .timestamp_samples = record_random_below(random, 1000),
    };
}

static struct flow_tcp_direction direction(struct record_random *random, bool is_measured)
{
    if (!is_measured) {
        return (struct flow_tcp_direction){.flags = random_number8(random)};
    }
    struct flow_tcp_direction out = {
        .flags = random_number8(random),
        .has_initial_window = random_chance(random, 2),
        .has_mss = random_chance(random, 2),
        .has_window_scale = random_chance(random, 2),
        .syn_count = random_number32(random),
        .fin_count = random_number32(random),
        .rst_count = random_number32(random),
        .retransmitted_segments = random_number(random, 64),
        .retransmitted_bytes = random_number(random, 64),
        .out_of_order_segments = random_number(random, 64),
        .duplicate_acks = random_number(random, 64),
        .zero_window_events = random_number(random, 64),
        .keepalives = random_number(random, 64),
        .duplicate_packets = random_number(random, 64),
        .fast_retransmissions = random_number(random, 64),
        .spurious_retransmissions = random_number(random, 64),
        .window_full_events = random_number(random, 64),
        .zero_window_probes = random_number(random, 64),
        .sack_acks = random_number(random, 64),
        .sequence_gaps = random_number(random, 64),
        .sack_permitted = random_chance(random, 2),
        .timestamps = random_chance(random, 2),
    };
    out.initial_window = out.has_initial_window ? random_number16(random) : 0;
    out.mss = out.has_mss ? random_number16(random) : 0;
    out.window_scale = out.has_window_scale ? (uint8_t)(random_number8(random) & 15) : 0;
    return out;
}

static void fill_tcp(struct record_random *random, struct flow_tcp *out)
{
    out->state = (uint8_t)record_random_below(random, TCP_RESET + 1);
    out->is_measured = !random_chance(random, 4);
    out->forward = direction(random, out->is_measured);
    out->reverse = direction(random, out->is_measured);
    if (out->is_measured) {
        random_letters(random, out->conn_state, sizeof out->conn_state);
        random_letters(random, out->history, sizeof out->history);
        out->history[0] = 'S'; /* something measured is on the wire */
        out->client_rtt = round_trip(random);
        out->server_rtt = round_trip(random);
        out->simultaneous_open = random_chance(random, 4);
        out->has_handshake = random_chance(random, 2);
        out->handshake_ns = out->has_handshake ? random_number(random, 36) : 0;
        out->has_response = random_chance(random, 2);
        out->response_ns = out->has_response ? random_number(random, 36) : 0;
    }
}

static void fill_tls(struct record_random *random, struct flow_tls *out)
{
    out->version = random_text(random);
    out->sni = random_text(random);
    out->ja3 = random_text(random);
    out->ja3s = random_text(random);
    out->ja4 = random_text(random);
    out->cert_sha256 = random_text(random);
    out->client_version = random_text(random);
    out->alpn_selected = random_text(random);
    out->cert_subject = random_text(random);
    out->cert_issuer = random_text(random);
    out->cert_serial = random_text(random);
    out->ja3_retry = random_text(random);
    out->ja4_retry = random_text(random);
    out->hello_retry = random_chance(random, 2);
    out->hello_cut = random_chance(random, 2);
    out->group = random_number16(random);
    out->cert_san_count = random_number32(random);
    out->has_cert_validity = random_chance(random, 2);
    if (out->has_cert_validity) {
        out->cert_not_before_seconds = (int64_t)random_number(random, 36) - (INT64_C(1) << 35);
        out->cert_not_after_seconds = (int64_t)random_number(random, 36) - (INT64_C(1) << 35);
    }
    out->alpn_count = (uint8_t)record_random_below(random, FLOW_ALPN_MAX + 1);
    for (unsigned i = 0; i < out->alpn_count; i++) {
        out->alpn[i] = random_element(random);
    }
    out->ech_offered = random_chance(random, 2);
    out->cipher = random_number16(random);
}

static void fill_dns(struct record_random *random, struct flow_dns *out)
{
    out->query_count = random_number32(random);
    out->response_count = random_number32(random);
    out->queries_omitted = random_number32(random);
    const uint32_t codes = record_random_below(random, FLOW_RCODES + 1);
    for (uint32_t i = 0; i < codes; i++) {
        out->rcode_counts[i] = random_number32(random);
    }
    out->has_response_time = random_chance(random, 2);
    out->response_time_ns = out->has_response_time ? random_number(random, 36) : 0;
    out->queries_count = (uint8_t)record_random_below(random, FLOW_QUERIES_MAX + 1);
    for (unsigned i = 0; i < out->queries_count; i++) {
        out->queries[i] = (struct flow_dns_query){.name = random_text(random),
                                                  .type = random_number16(random),
                                                  .has_rcode = random_chance(random, 2)};
        if (out->queries[i].has_rcode) {
            out->queries[i].rcode = random_number16(random);
            out->queries[i].has_latency = random_chance(random, 2);
        }
        if (out->queries[i].has_latency) {
            out->queries[i].latency_ns = random_number(random, 36);
        }
        out->queries[i].answers_count = (uint8_t)record_random_below(random, FLOW_ANSWERS_MAX + 1);
        for (unsigned j = 0; j < out->queries[i].answers_count; j++) {
            out->queries[i].answers[j] = random_address(random);
        }
    }
}

static void fill_http(struct record_random *random, struct flow_http *out)
{
    out->method = random_text(random);
    out->user_agent = random_text(random);
    out->path = random_text(random);
    out->content_type = random_text(random);
    out->request_count = random_number32(random);
    out->response_count = random_number32(random);
    out->hosts_count = (uint8_t)record_random_below(random, FLOW_HOSTS_MAX + 1);
    for (unsigned i = 0; i < out->hosts_count; i++) {
        out->hosts[i] = random_element(random);
    }
    out->status = random_number16(random);
}

static void fill_parts(struct record_random *random, struct flow_record *out)
{
    out->has_tcp = random_chance(random, 2);
    if (out->has_tcp) {
        fill_tcp(random, &out->tcp);
    }
    out->has_icmp = random_chance(random, 4);
    if (out->has_icmp) {
        out->icmp_type = random_number8(random);
        out->icmp_code = random_number8(random);
    }
    out->has_tls = random_chance(random, 3);
    if (out->has_tls) {
        fill_tls(random, &out->tls);
    }
    out->has_dns = random_chance(random, 3);
    if (out->has_dns) {
        fill_dns(random, &out->dns);
    }
    out->has_http = random_chance(random, 3);
    if (out->has_http) {
        fill_http(random, &out->http);
    }
    out->has_ssh = random_chance(random, 4);
    if (out->has_ssh) {
        out->ssh = (struct flow_ssh){.client_banner = random_text(random),
                                     .server_banner = random_text(random),
                                     .hassh = random_text(random),
                                     .hassh_server = random_text(random)};
    }
}

void record_random_flow(struct record_random *random, struct flow_record *out)
{
    memset(out, 0, sizeof *out);
    out->identity = random_identity(random);
    out->flow_id = random_number(random, 64);
    out->event = (uint8_t)record_random_below(random, FLOW_END + 1);
    out->end_reason = (uint8_t)record_random_below(random, FLOW_END_LACK_OF_RESOURCES + 1);
    out->end_detail = (uint8_t)record_random_below(random, FLOW_DETAIL_PORT_REUSE + 1);
    out->initiator = (uint8_t)record_random_below(random, INITIATOR_UNKNOWN + 1);
    out->ip_version = random_chance(random, 2) ? 4 : 6;
    out->ip_protocol = random_number8(random);
    out->flags = (uint16_t)(record_random_u64(random) & 0x3fe);
    out->has_vlan = random_chance(random, 2);
    out->vlan_id = out->has_vlan ? (uint16_t)(random_number16(random) & 0xfff) : 0;
    out->has_outer_vlan = random_chance(random, 4);
    out->outer_vlan_id = out->has_outer_vlan ? (uint16_t)(random_number16(random) & 0xfff) : 0;
    out->app_confidence = (uint8_t)record_random_below(random, APP_CERTAIN + 1);
    out->tunnels_count = (uint8_t)record_random_below(random, FLOW_TUNNELS_MAX + 1);
    for (unsigned i = 0; i < out->tunnels_count; i++) {
        out->tunnels[i] = (struct flow_tunnel){.type = (uint8_t)record_random_below(random, 21),
                                               .omitted = random_number32(random),
                                               .id = random_number(random, 64),
                                               .outer_source = random_address(random),
                                               .outer_target = random_address(random)};
    }
    out->risk_score = (uint8_t)record_random_below(random, 101);
    out->alerts_count = (uint8_t)record_random_below(random, FLOW_ALERTS_MAX + 1);
    for (unsigned i = 0; i < out->alerts_count; i++) {
        static const char id[] = "019b7cf6-0000-7000-8000-000000000001";

        out->alert_ids[i] = (struct record_text){id, (uint32_t)(30 + i)};
    }
    out->update_index = random_number32(random);
    out->observation_point = random_number32(random);
    out->sampling_interval = random_number32(random);
    out->start_ns = random_time_ns(random);
    out->end_ns = random_time_ns(random);
    out->delta_start_ns = random_time_ns(random);
    out->client = endpoint(random);
    out->server = endpoint(random);
    labels(random, &out->client, out->client_labels);
    labels(random, &out->server, out->server_labels);
    out->forward = counters(random);
    out->reverse = counters(random);
    out->community_id = random_text(random);
    out->interface = random_text(random);
    out->app = random_text(random);
    out->app_method = random_text(random);
    out->app_carrier = random_text(random);
    out->quic_version = random_text(random);
    if (out->quic_version.length > 0) {
        out->quic_retry = random_chance(random, 2);
        out->quic_version_negotiation = random_chance(random, 2);
        out->quic_zero_rtt = random_chance(random, 2);
    }
    fill_parts(random, out);
}
