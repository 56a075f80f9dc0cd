#include "tests/support/record_random.h"

#include <stdio.h>
#include <string.h>

struct record_random record_random_from(uint64_t seed)
{
    return (struct record_random){.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
}

/* splitmix64 */
uint64_t record_random_u64(struct record_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t record_random_below(struct record_random *random, uint32_t limit)
{
    return (uint32_t)(record_random_u64(random) >> 32) % limit;
}

static bool chance(struct record_random *random, uint32_t one_in)
{
    return record_random_below(random, one_in) == 0;
}

/* All magnitudes: 0, small ones, and up to `bits` bits. */
static uint64_t number(struct record_random *random, unsigned bits)
{
    if (chance(random, 4)) {
        return 0;
    }
    return record_random_u64(random) >> (64 - 1 - record_random_below(random, bits));
}

static uint32_t number32(struct record_random *random)
{
    return (uint32_t)number(random, 32);
}

static uint8_t number8(struct record_random *random)
{
    return (uint8_t)number(random, 8);
}

static uint16_t number16(struct record_random *random)
{
    return (uint16_t)number(random, 16);
}

static uint64_t time_ns(struct record_random *random)
{
    return chance(random, 8) ? 0 : record_random_u64(random) % UINT64_C(4000000000000000000);
}

static struct record_text text(struct record_random *random)
{
    static const char pool[] =
        "example.com \"quoted\" back\\slash \xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80 tab\tend "
        "abcdefghijklmnopqrstuvwxyz0123456789.abcdefghijklmnopqrstuvwxyz0123456789."
        "abcdefghijklmnopqrstuvwxyz0123456789.abcdefghijklmnopqrstuvwxyz0123456789."
        "abcdefghijklmnopqrstuvwxyz0123456789";
    if (chance(random, 4)) {
        return (struct record_text){0};
    }
    const uint32_t start = record_random_below(random, 24);
    const uint32_t length = record_random_below(random, chance(random, 8) ? 200 : 30);
    /* Whole characters only: strings of protobuf are UTF-8. */
    uint32_t from = start;
    uint32_t to = start + length;
    while (((uint8_t)pool[from] & 0xc0) == 0x80) {
        from++;
    }
    while (((uint8_t)pool[to] & 0xc0) == 0x80) {
        to++;
    }
    return to <= from ? (struct record_text){0}
                      : (struct record_text){.data = pool + from, .length = to - from};
}

/* A list element is there even when it is empty. */
static struct record_text element(struct record_random *random)
{
    const struct record_text found = text(random);
    return found.length == 0 ? (struct record_text){.data = "", .length = 0} : found;
}

static struct ip_address address(struct record_random *random)
{
    struct ip_address out = {0};
    const uint32_t kind = record_random_below(random, 5);
    if (kind == 0) {
        return out;
    }
    out.version = kind < 3 ? 4 : 6;
    const unsigned bytes = out.version == 4 ? 4 : 16;
    for (unsigned i = 0; i < bytes; i++) {
        out.bytes[i] = chance(random, 2) ? 0 : (uint8_t)record_random_u64(random);
    }
    return out;
}

static struct flow_endpoint endpoint(struct record_random *random)
{
    struct flow_endpoint out = {
        .ip = address(random),
        .port = number16(random),
        .has_mac = chance(random, 2),
        .scope = (uint8_t)record_random_below(random, SCOPE_LINK_LOCAL + 1),
        .name_source = (uint8_t)record_random_below(random, NAME_REVERSE_DNS + 1),
        .name = text(random),
    };
    for (unsigned i = 0; out.has_mac && i < sizeof out.mac; i++) {
        out.mac[i] = (uint8_t)record_random_u64(random);
    }
    return out;
}

static struct flow_counters counters(struct record_random *random)
{
    struct flow_counters out = {
        .delta_packets = number(random, 64),
        .delta_bytes = number(random, 64),
        .delta_payload_bytes = number(random, 40),
        .delta_ip_bytes = number(random, 40),
        .total_packets = number(random, 40),
        .total_bytes = number(random, 40),
        .total_payload_bytes = number(random, 40),
        .total_ip_bytes = number(random, 40),
        .missed_bytes = number(random, 40),
        .has_ttl = chance(random, 2),
        .has_dscp = chance(random, 2),
    };
    if (out.has_ttl) {
        out.ttl_min = number8(random);
        out.ttl_max = number8(random);
    }
    out.dscp = out.has_dscp ? (uint8_t)(number8(random) & 63) : 0;
    return out;
}

static struct flow_round_trip round_trip(struct record_random *random)
{
    if (chance(random, 3)) {
        return (struct flow_round_trip){0};
    }
    return (struct flow_round_trip){
        .min_ns = number(random, 30),
        .mean_ns = number(random, 32),
        .max_ns = number(random, 40),
        .last_ns = number(random, 32),
        .ewma_ns = number(random, 32),
        .samples = 1 + record_random_below(random, 1000),
        .timestamp_samples = record_random_below(random, 1000),
    };
}

static struct flow_tcp_direction direction(struct record_random *random, bool is_measured)
{
    if (!is_measured) {
        return (struct flow_tcp_direction){.flags = number8(random)};
    }
    struct flow_tcp_direction out = {
        .flags = number8(random),
        .has_initial_window = chance(random, 2),
        .has_mss = chance(random, 2),
        .has_window_scale = chance(random, 2),
        .syn_count = number32(random),
        .fin_count = number32(random),
        .rst_count = number32(random),
        .retransmitted_segments = number(random, 64),
        .retransmitted_bytes = number(random, 64),
        .out_of_order_segments = number(random, 64),
        .duplicate_acks = number(random, 64),
        .zero_window_events = number(random, 64),
        .keepalives = number(random, 64),
        .duplicate_packets = number(random, 64),
        .fast_retransmissions = number(random, 64),
        .spurious_retransmissions = number(random, 64),
        .window_full_events = number(random, 64),
        .zero_window_probes = number(random, 64),
        .sack_acks = number(random, 64),
        .sequence_gaps = number(random, 64),
        .sack_permitted = chance(random, 2),
        .timestamps = chance(random, 2),
    };
    out.initial_window = out.has_initial_window ? number16(random) : 0;
    out.mss = out.has_mss ? number16(random) : 0;
    out.window_scale = out.has_window_scale ? (uint8_t)(number8(random) & 15) : 0;
    return out;
}

static void letters(struct record_random *random, char *out, size_t out_bytes)
{
    const uint32_t length = record_random_below(random, (uint32_t)out_bytes);
    for (uint32_t i = 0; i < length; i++) {
        out[i] = (char)('A' + record_random_below(random, 26));
    }
    out[length] = '\0';
}

static void fill_tcp(struct record_random *random, struct flow_tcp *out)
{
    out->state = (uint8_t)record_random_below(random, TCP_RESET + 1);
    out->is_measured = !chance(random, 4);
    out->forward = direction(random, out->is_measured);
    out->reverse = direction(random, out->is_measured);
    if (out->is_measured) {
        letters(random, out->conn_state, sizeof out->conn_state);
        letters(random, out->history, sizeof out->history);
        out->history[0] = 'S'; /* something measured is on the wire */
        out->client_rtt = round_trip(random);
        out->server_rtt = round_trip(random);
        out->simultaneous_open = chance(random, 4);
        out->has_handshake = chance(random, 2);
        out->handshake_ns = out->has_handshake ? number(random, 36) : 0;
        out->has_response = chance(random, 2);
        out->response_ns = out->has_response ? number(random, 36) : 0;
    }
}

static void fill_tls(struct record_random *random, struct flow_tls *out)
{
    out->version = text(random);
    out->sni = text(random);
    out->ja3 = text(random);
    out->ja3s = text(random);
    out->ja4 = text(random);
    out->cert_sha256 = text(random);
    out->client_version = text(random);
    out->alpn_selected = text(random);
    out->cert_subject = text(random);
    out->cert_issuer = text(random);
    out->cert_serial = text(random);
    out->ja3_retry = text(random);
    out->ja4_retry = text(random);
    out->hello_retry = chance(random, 2);
    out->hello_cut = chance(random, 2);
    out->group = number16(random);
    out->cert_san_count = number32(random);
    out->has_cert_validity = chance(random, 2);
    if (out->has_cert_validity) {
        out->cert_not_before_seconds = (int64_t)number(random, 36) - (INT64_C(1) << 35);
        out->cert_not_after_seconds = (int64_t)number(random, 36) - (INT64_C(1) << 35);
    }
    out->alpn_count = (uint8_t)record_random_below(random, FLOW_ALPN_MAX + 1);
    for (unsigned i = 0; i < out->alpn_count; i++) {
        out->alpn[i] = element(random);
    }
    out->ech_offered = chance(random, 2);
    out->cipher = number16(random);
}

static void fill_dns(struct record_random *random, struct flow_dns *out)
{
    out->query_count = number32(random);
    out->response_count = number32(random);
    out->queries_omitted = number32(random);
    const uint32_t codes = record_random_below(random, FLOW_RCODES + 1);
    for (uint32_t i = 0; i < codes; i++) {
        out->rcode_counts[i] = number32(random);
    }
    out->has_response_time = chance(random, 2);
    out->response_time_ns = out->has_response_time ? number(random, 36) : 0;
    out->queries_count = (uint8_t)record_random_below(random, FLOW_QUERIES_MAX + 1);
    for (unsigned i = 0; i < out->queries_count; i++) {
        out->queries[i] = (struct flow_dns_query){
            .name = text(random), .type = number16(random), .has_rcode = chance(random, 2)};
        if (out->queries[i].has_rcode) {
            out->queries[i].rcode = number16(random);
            out->queries[i].has_latency = chance(random, 2);
        }
        if (out->queries[i].has_latency) {
            out->queries[i].latency_ns = number(random, 36);
        }
        out->queries[i].answers_count = (uint8_t)record_random_below(random, FLOW_ANSWERS_MAX + 1);
        for (unsigned j = 0; j < out->queries[i].answers_count; j++) {
            out->queries[i].answers[j] = address(random);
        }
    }
}

static void fill_http(struct record_random *random, struct flow_http *out)
{
    out->method = text(random);
    out->user_agent = text(random);
    out->path = text(random);
    out->content_type = text(random);
    out->request_count = number32(random);
    out->response_count = number32(random);
    out->hosts_count = (uint8_t)record_random_below(random, FLOW_HOSTS_MAX + 1);
    for (unsigned i = 0; i < out->hosts_count; i++) {
        out->hosts[i] = element(random);
    }
    out->status = number16(random);
}

static void fill_parts(struct record_random *random, struct flow_record *out)
{
    out->has_tcp = chance(random, 2);
    if (out->has_tcp) {
        fill_tcp(random, &out->tcp);
    }
    out->has_icmp = chance(random, 4);
    if (out->has_icmp) {
        out->icmp_type = number8(random);
        out->icmp_code = number8(random);
    }
    out->has_tls = chance(random, 3);
    if (out->has_tls) {
        fill_tls(random, &out->tls);
    }
    out->has_dns = chance(random, 3);
    if (out->has_dns) {
        fill_dns(random, &out->dns);
    }
    out->has_http = chance(random, 3);
    if (out->has_http) {
        fill_http(random, &out->http);
    }
    out->has_ssh = chance(random, 4);
    if (out->has_ssh) {
        out->ssh = (struct flow_ssh){.client_banner = text(random),
                                     .server_banner = text(random),
                                     .hassh = text(random),
                                     .hassh_server = text(random)};
    }
}

static struct record_identity identity(struct record_random *random)
{
    if (chance(random, 2)) {
        return (struct record_identity){0};
    }
    return (struct record_identity){
        .sensor_id = {"sensor-1", 8},
        .boot_id = {"0123456789abcdef0123456789abcdef", 32},
        .seq = 1 + number(random, 40),
    };
}

void record_random_flow(struct record_random *random, struct flow_record *out)
{
    memset(out, 0, sizeof *out);
    out->identity = identity(random);
    out->flow_id = number(random, 64);
    out->event = (uint8_t)record_random_below(random, FLOW_END + 1);
    out->end_reason = (uint8_t)record_random_below(random, FLOW_END_LACK_OF_RESOURCES + 1);
    out->end_detail = (uint8_t)record_random_below(random, FLOW_DETAIL_PORT_REUSE + 1);
    out->initiator = (uint8_t)record_random_below(random, INITIATOR_UNKNOWN + 1);
    out->ip_version = chance(random, 2) ? 4 : 6;
    out->ip_protocol = number8(random);
    out->flags = (uint16_t)(record_random_u64(random) & 0x3fe);
    out->has_vlan = chance(random, 2);
    out->vlan_id = out->has_vlan ? (uint16_t)(number16(random) & 0xfff) : 0;
    out->has_outer_vlan = chance(random, 4);
    out->outer_vlan_id = out->has_outer_vlan ? (uint16_t)(number16(random) & 0xfff) : 0;
    out->app_confidence = (uint8_t)record_random_below(random, APP_CERTAIN + 1);
    out->tunnels_count = (uint8_t)record_random_below(random, FLOW_TUNNELS_MAX + 1);
    for (unsigned i = 0; i < out->tunnels_count; i++) {
        out->tunnels[i] = (struct flow_tunnel){.type = (uint8_t)record_random_below(random, 21),
                                               .omitted = number32(random),
                                               .id = number(random, 64),
                                               .outer_source = address(random),
                                               .outer_target = address(random)};
    }
    out->update_index = number32(random);
    out->observation_point = number32(random);
    out->sampling_interval = number32(random);
    out->start_ns = time_ns(random);
    out->end_ns = time_ns(random);
    out->delta_start_ns = time_ns(random);
    out->client = endpoint(random);
    out->server = endpoint(random);
    out->forward = counters(random);
    out->reverse = counters(random);
    out->community_id = text(random);
    out->interface = text(random);
    out->app = text(random);
    out->app_method = text(random);
    out->app_carrier = text(random);
    out->quic_version = text(random);
    if (out->quic_version.length > 0) {
        out->quic_retry = chance(random, 2);
        out->quic_version_negotiation = chance(random, 2);
        out->quic_zero_rtt = chance(random, 2);
    }
    fill_parts(random, out);
}

static double real(struct record_random *random)
{
    return chance(random, 4) ? 0.0 : (double)number(random, 50) / 1024.0;
}

static uint8_t endpoints(struct record_random *random, struct alert_endpoint *out)
{
    const uint8_t count = (uint8_t)record_random_below(random, ALERT_ENDPOINTS_MAX + 1);
    for (unsigned i = 0; i < count; i++) {
        out[i] = (struct alert_endpoint){.ip = address(random), .port = number16(random)};
    }
    return count;
}

static uint8_t evidence(struct record_random *random, struct alert_evidence_item *out)
{
    const uint8_t count = (uint8_t)record_random_below(random, ALERT_EVIDENCE_MAX + 1);
    for (unsigned i = 0; i < count; i++) {
        letters(random, out[i].key, sizeof out[i].key);
        out[i].count = number(random, 64);
        out[i].max_overcount = number(random, 32);
    }
    return count;
}

void record_random_alert(struct record_random *random, struct alert_record *out)
{
    memset(out, 0, sizeof *out);
    out->identity = identity(random);
    letters(random, out->alert_id, sizeof out->alert_id);
    letters(random, out->alert_key, sizeof out->alert_key);
    out->kind = (uint8_t)record_random_below(random, ALERT_KIND_COUNT);
    out->state = (uint8_t)record_random_below(random, ALERT_CLOSE + 1);
    out->severity = (uint8_t)record_random_below(random, SEVERITY_CRITICAL + 1);
    out->scope = (uint8_t)record_random_below(random, ALERT_FLEET_SCOPE + 1);
    out->close_reason = (uint8_t)record_random_below(random, CLOSE_SHUTDOWN + 1);
    out->score = (uint8_t)record_random_below(random, 101);
    out->confidence = (uint8_t)record_random_below(random, 101);
    out->has_baseline = chance(random, 2);
    out->baseline = out->has_baseline ? real(random) : 0.0;
    out->saturated = chance(random, 2);
    out->first_ns = time_ns(random);
    out->last_ns = time_ns(random);
    out->window_ns = number(random, 40);
    out->observed = real(random);
    out->threshold = real(random);
    out->estimate_error = real(random);
    letters(random, out->unit, sizeof out->unit);
    letters(random, out->description, sizeof out->description);
    letters(random, out->config_key, sizeof out->config_key);
    letters(random, out->config_hash, sizeof out->config_hash);
    out->suppressed_count = number(random, 64);
    out->loss_during_window = number(random, 64);
    out->attackers_total_estimate = number(random, 64);
    out->victims_total_estimate = number(random, 64);
    out->attackers_count = endpoints(random, out->attackers);
    out->victims_count = endpoints(random, out->victims);
    out->mitre_count = (uint8_t)record_random_below(random, ALERT_MITRE_MAX + 1);
    for (unsigned i = 0; i < out->mitre_count; i++) {
        out->mitre[i] = (struct alert_mitre){
            "TA0043", "T1595", chance(random, 2) ? "Active Scanning" : "", number8(random)};
    }
    out->top_sources_count = evidence(random, out->top_sources);
    out->top_targets_count = evidence(random, out->top_targets);
    out->top_ports_count = evidence(random, out->top_ports);
    out->top_names_count = evidence(random, out->top_names);
    out->samples_count = (uint8_t)record_random_below(random, ALERT_SAMPLES_MAX + 1);
    for (unsigned i = 0; i < out->samples_count; i++) {
        letters(random, out->packet_sample_ids[i], sizeof out->packet_sample_ids[i]);
    }
    out->community_ids_count = (uint8_t)record_random_below(random, ALERT_FLOWS_MAX + 1);
    for (unsigned i = 0; i < out->community_ids_count; i++) {
        letters(random, out->community_ids[i], sizeof out->community_ids[i]);
    }
    out->sensor_ids_count = (uint8_t)record_random_below(random, ALERT_SENSORS_MAX + 1);
    for (unsigned i = 0; i < out->sensor_ids_count; i++) {
        letters(random, out->sensor_ids[i], sizeof out->sensor_ids[i]);
    }
    out->explains_count = (uint8_t)record_random_below(random, ALERT_EXPLAINS_MAX + 1);
    for (unsigned i = 0; i < out->explains_count; i++) {
        letters(random, out->explains[i], sizeof out->explains[i]);
    }
}

static void fill_top(struct record_random *random, struct stats_record *out)
{
    for (unsigned d = 0; d < STATS_DIMENSION_COUNT; d++) {
        out->top[d].count = record_random_below(random, STATS_TOP_MAX + 1);
        for (uint32_t i = 0; i < out->top[d].count; i++) {
            out->top[d].items[i] = (struct stats_named_rate){.key = text(random),
                                                             .bytes_in = number(random, 64),
                                                             .bytes_out = number(random, 64),
                                                             .packets = number(random, 64),
                                                             .max_overcount = number(random, 8)};
        }
    }
    out->top_flows_count = record_random_below(random, STATS_TOP_FLOWS_MAX + 1);
    for (uint32_t i = 0; i < out->top_flows_count; i++) {
        out->top_flows[i] = (struct stats_top_flow){
            .flow_id = number(random, 64),
            .client_ip = address(random),
            .server_ip = address(random),
            .client_port = number16(random),
            .server_port = number16(random),
            .ip_protocol = number8(random),
            .tcp_state = (uint8_t)record_random_below(random, TCP_RESET + 1),
            .has_rtt = chance(random, 2),
            .server_name = text(random),
            .app = text(random),
            .delta_bytes_forward = number(random, 40),
            .delta_bytes_reverse = number(random, 40),
            .delta_packets = number(random, 40),
            .total_bytes = number(random, 40),
            .retransmitted_segments = number(random, 40),
        };
        out->top_flows[i].rtt_seconds = out->top_flows[i].has_rtt ? real(random) : 0.0;
    }
}

static void fill_rows(struct record_random *random, struct stats_record *out)
{
    out->interfaces_count = record_random_below(random, 3);
    for (uint32_t i = 0; i < out->interfaces_count; i++) {
        out->interfaces[i] = (struct stats_interface){.name = text(random),
                                                      .filter = text(random),
                                                      .linktype = number32(random),
                                                      .snaplen = number32(random),
                                                      .received_packets = number(random, 64),
                                                      .received_bytes = number(random, 64),
                                                      .kernel_dropped = number(random, 64),
                                                      .interface_dropped = number(random, 64),
                                                      .missed_bytes_estimate = number(random, 64),
                                                      .promiscuous = chance(random, 2),
                                                      .up = chance(random, 2),
                                                      .processed_packets = number(random, 64),
                                                      .precut_packets = number(random, 64),
                                                      .truncated_packets = number(random, 64),
                                                      .superpackets = number(random, 64),
                                                      .wakeups = number(random, 64),
                                                      .in_ring = number(random, 64),
                                                      .in_ring_high_water = number(random, 64),
                                                      .batch_max = number(random, 64),
                                                      .reopened = number(random, 64),
                                                      .stall_tolerance_seconds = real(random)};
        letters(random, out->interfaces[i].last_error, sizeof out->interfaces[i].last_error);
    }
    if (chance(random, 2)) {
        out->pcap = (struct stats_pcap){.is_on = true,
                                        .is_disk_full = chance(random, 2),
                                        .offered = number(random, 64),
                                        .written = number(random, 64),
                                        .written_bytes = number(random, 64),
                                        .queue_full = number(random, 64),
                                        .refused = number(random, 64),
                                        .disk_full = number(random, 64),
                                        .failed = number(random, 64),
                                        .files = number(random, 64),
                                        .files_deleted = number(random, 64),
                                        .oldest_ns = number(random, 60),
                                        .queued_high_water = number(random, 64)};
    }
    out->capture_rings_count = record_random_below(random, 8);
    for (uint32_t i = 0; i < out->capture_rings_count; i++) {
        out->capture_rings[i] =
            (struct stats_capture_ring){.interface = text(random),
                                        .shard = number32(random),
                                        .received_packets = number(random, 64),
                                        .processed_packets = number(random, 64),
                                        .precut_packets = number(random, 64),
                                        .kernel_dropped = number(random, 64),
                                        .in_ring = number(random, 64),
                                        .in_ring_high_water = number(random, 64),
                                        .wakeups = number(random, 64),
                                        .batch_max = number(random, 64),
                                        .stall_tolerance_seconds = real(random)};
    }
    out->ledger_count = record_random_below(random, 20);
    for (uint32_t i = 0; i < out->ledger_count; i++) {
        struct stats_ledger_row *row = &out->ledger[i];
        row->stage = (uint8_t)record_random_below(random, LEDGER_FEED + 1);
        letters(random, row->name, sizeof row->name);
        row->unit = chance(random, 2) ? "packets" : "records";
        row->in = number(random, 64);
        row->out = number(random, 64);
        row->held = number(random, 64);
        row->packets_in = number(random, 64);
        row->packets_out = number(random, 64);
        row->lost_count = (uint8_t)record_random_below(random, LEDGER_REASONS_MAX + 1);
        for (unsigned j = 0; j < row->lost_count; j++) {
            row->lost[j] = (struct stats_ledger_reason){"ring_full", number(random, 64)};
        }
    }
    out->shards_count = record_random_below(random, 8);
    for (uint32_t i = 0; i < out->shards_count; i++) {
        out->shards[i] = (struct stats_shard){.shard = i,
                                              .ring_used = number32(random),
                                              .ring_size = number32(random),
                                              .ring_high_water = number32(random),
                                              .packets = number(random, 64),
                                              .bytes = number(random, 64),
                                              .flows_active = number(random, 64),
                                              .flows_max = number(random, 64),
                                              .evicted = number(random, 64)};
    }
    out->detectors_count = record_random_below(random, 8);
    for (uint32_t i = 0; i < out->detectors_count; i++) {
        out->detectors[i] = (struct stats_detector){.kind = "syn_flood",
                                                    .tracked_keys = number(random, 64),
                                                    .key_capacity = number(random, 64),
                                                    .memory_bytes = number(random, 64),
                                                    .saturated = chance(random, 2),
                                                    .opened = number(random, 64),
                                                    .open = number(random, 64),
                                                    .logged = number(random, 64),
                                                    .learnt = number(random, 64),
                                                    .suppressed = number(random, 64)};
    }
    out->sinks_count = record_random_below(random, 5);
    for (uint32_t i = 0; i < out->sinks_count; i++) {
        struct stats_sink *sink = &out->sinks[i];
        letters(random, sink->name, sizeof sink->name);
        letters(random, sink->last_error, sizeof sink->last_error);
        sink->connected = chance(random, 2);
        sink->sent = number(random, 64);
        sink->acked = number(random, 64);
        sink->retried = number(random, 64);
        sink->failed = number(random, 64);
        sink->unacked = number(random, 64);
        sink->spool_bytes = number(random, 64);
        sink->oldest_age_ns = number(random, 50);
        sink->spool_errors = number(random, 64);
        sink->max_rate = number(random, 64);
        sink->throttles = number(random, 64);
        sink->redirects = number(random, 64);
        sink->redirects_refused = number(random, 64);
        letters(random, sink->spool_trouble, sizeof sink->spool_trouble);
        letters(random, sink->redirected_to, sizeof sink->redirected_to);
    }
}

void record_random_stats(struct record_random *random, struct stats_record *out)
{
    memset(out, 0, sizeof *out);
    out->identity = identity(random);
    out->start_ns = time_ns(random);
    out->end_ns = time_ns(random);
    out->packets_total = number(random, 64);
    out->bytes_total = number(random, 64);
    out->uptime_ns = number(random, 60);
    uint64_t *const totals[] = {
        &out->totals.packets,
        &out->totals.bytes,
        &out->totals.new_flows,
        &out->totals.ended_flows,
        &out->totals.flows_active,
        &out->totals.bytes_in,
        &out->totals.bytes_out,
        &out->totals.bytes_internal,
        &out->totals.malformed_packets,
        &out->totals.non_ip_packets,
        &out->totals.late_packets,
        &out->totals.lost_packets,
        &out->data_segments,
        &out->retransmitted_segments,
        &out->out_of_order_segments,
        &out->zero_window_events,
        &out->resets,
        &out->half_open,
        &out->dns_queries,
        &out->dns_responses,
        &out->flow_table_bytes,
        &out->detectors_bytes,
        &out->spool_bytes,
        &out->rss_bytes,
        &out->limit_bytes,
    };
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        *totals[i] = number(random, 64);
    }
    for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
        out->rtt_counts[i] = number(random, 64);
    }
    for (unsigned i = 0; i < STATS_RCODES; i++) {
        out->dns_rcode_counts[i] = number(random, 64);
    }
    out->rtt_sum_seconds = real(random);
    out->dns_response_sum_seconds = real(random);
    out->version = text(random);
    out->config_hash = text(random);
    fill_top(random, out);
    fill_rows(random, out);
}

void record_random_packet(struct record_random *random, struct packet_sample *out)
{
    static const uint8_t frame[PACKET_SAMPLE_BYTES_MAX] = {0xff, 0x00, 0x80, 0x7f};
    *out = (struct packet_sample){
        .identity = identity(random),
        .id = text(random),
        .interface = text(random),
        .community_id = text(random),
        .summary = text(random),
        .time_ns = time_ns(random),
        .flow_id = number(random, 64),
        .linktype = number32(random),
        .wire_length = number32(random),
        .captured_length = number32(random),
        .sampling_interval = number32(random),
        .alert_id = text(random),
        .direction = (uint8_t)record_random_below(random, 3),
        .reason = (uint8_t)record_random_below(random, SAMPLE_REQUESTED + 1),
        .payload_redacted = chance(random, 2),
        .data = frame,
        .data_length = record_random_below(random, PACKET_SAMPLE_BYTES_MAX + 1),
    };
}

static struct record_text literal(const char *text)
{
    return (struct record_text){.data = text, .length = (uint32_t)strlen(text)};
}

void record_typical_flow(struct flow_record *out)
{
    memset(out, 0, sizeof *out);
    out->flow_id = UINT64_C(0x1f2e3d4c5b6a7988);
    out->event = FLOW_END;
    out->end_reason = FLOW_END_END_OF_FLOW;
    out->end_detail = FLOW_DETAIL_TCP_FIN;
    out->initiator = INITIATOR_SYN;
    out->ip_version = 4;
    out->ip_protocol = 6;
    out->start_ns = UINT64_C(1700000000123456789);
    out->end_ns = UINT64_C(1700000003987654321);
    out->delta_start_ns = out->start_ns;
    out->sampling_interval = 1;
    out->client = (struct flow_endpoint){
        .ip = {.version = 4, .bytes = {192, 168, 10, 27}}, .port = 51234, .scope = SCOPE_INTERNAL};
    out->server = (struct flow_endpoint){.ip = {.version = 4, .bytes = {93, 184, 216, 34}},
                                         .port = 443,
                                         .scope = SCOPE_EXTERNAL,
                                         .name_source = NAME_TLS_SNI,
                                         .name = literal("www.example.com")};
    out->forward = (struct flow_counters){12,   1870, 1100, 1700,  12, 1870, 1100,
                                          1700, 0,    true, false, 64, 64,   0};
    out->reverse = (struct flow_counters){15,    18234, 17000, 18000, 15, 18234, 17000,
                                          18000, 0,     true,  false, 55, 55,    0};
    out->community_id = literal("1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    out->interface = literal("eth0");
    out->app = literal("tls");
    out->app_confidence = APP_CERTAIN;
    out->app_method = literal("client_hello");
    out->has_tcp = true;
    out->tcp.state = TCP_CLOSED;
    out->tcp.is_measured = true;
    (void)snprintf(out->tcp.conn_state, sizeof out->tcp.conn_state, "SF");
    (void)snprintf(out->tcp.history, sizeof out->tcp.history, "ShADadFf");
    out->tcp.forward = (struct flow_tcp_direction){.flags = 0x1b,
                                                   .has_initial_window = true,
                                                   .has_mss = true,
                                                   .has_window_scale = true,
                                                   .window_scale = 7,
                                                   .initial_window = 64240,
                                                   .mss = 1460,
                                                   .syn_count = 1,
                                                   .fin_count = 1};
    out->tcp.reverse = out->tcp.forward;
    out->tcp.client_rtt = (struct flow_round_trip){250000, 300000, 410000, 290000, 301000, 6, 0};
    out->tcp.server_rtt =
        (struct flow_round_trip){11000000, 12500000, 15100000, 12000000, 12300000, 7, 2};
    out->tcp.has_handshake = true;
    out->tcp.handshake_ns = 11250000;
    out->tcp.has_response = true;
    out->tcp.response_ns = 24000000;
}

void record_plain_flow(struct flow_record *out)
{
    record_typical_flow(out);
    out->flow_id = 0;
    out->delta_start_ns = 0;
    out->server.name.length = 0;
    out->app.length = out->app_method.length = 0;
    out->app_confidence = 0;
    out->community_id.length = 0;
    out->tcp.is_measured = false;
    out->forward.delta_packets = out->forward.delta_bytes = out->forward.delta_payload_bytes = 0;
    out->reverse.delta_packets = out->reverse.delta_bytes = out->reverse.delta_payload_bytes = 0;
    out->forward.delta_ip_bytes = out->reverse.delta_ip_bytes = 0;
}
