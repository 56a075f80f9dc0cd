/* Flow, alert, statistics and packet records as plain C: what the programs work with. No protobuf
 * header.
 *
 * Enums have the numbers of proto/netscope/v1 (a test keeps them equal). Texts and arrays are
 * borrowed: a record lives as long as the memory behind them, which whoever fills it says.
 * Zero-initialised means "nothing known". Times are ns since 1970 (packet time), durations ns.
 * Depends on: base. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/address.h"

struct record_text {
    const char *data; /* no NUL needed; bytes from the wire may be anything */
    uint32_t length;
};

static inline bool record_text_equal(struct record_text a, struct record_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

enum record_stream {
    RECORD_STREAM_NONE,
    RECORD_FLOWS,
    RECORD_ALERTS,
    RECORD_STATS,
    RECORD_PACKETS,
    RECORD_DNS,
    RECORD_STREAM_COUNT
};

/* Identity of a record: unique with its stream. */
struct record_identity {
    struct record_text sensor_id;
    struct record_text boot_id; /* 32 hex digits */
    uint64_t seq;               /* from 1, contiguous per stream */
};

/* ---- flows (netscope.v1.FlowRecord) ---- */

enum flow_event { FLOW_EVENT_NONE, FLOW_START, FLOW_UPDATE, FLOW_END };

enum flow_end_reason {
    FLOW_END_NONE,
    FLOW_END_IDLE,
    FLOW_END_ACTIVE,
    FLOW_END_END_OF_FLOW,
    FLOW_END_FORCED,
    FLOW_END_LACK_OF_RESOURCES
};

enum flow_end_detail {
    FLOW_DETAIL_NONE,
    FLOW_DETAIL_TCP_FIN,
    FLOW_DETAIL_TCP_RST,
    FLOW_DETAIL_TABLE_FULL,
    FLOW_DETAIL_SHUTDOWN,
    FLOW_DETAIL_OPERATOR,
    FLOW_DETAIL_CAPTURE_END,
    FLOW_DETAIL_PORT_REUSE
};

enum name_source {
    NAME_NONE,
    NAME_DNS_ANSWER,
    NAME_TLS_SNI,
    NAME_HTTP_HOST,
    NAME_STATIC,
    NAME_REVERSE_DNS
};

enum network_scope {
    SCOPE_NONE,
    SCOPE_INTERNAL,
    SCOPE_EXTERNAL,
    SCOPE_MULTICAST,
    SCOPE_LINK_LOCAL
};

enum flow_initiator {
    INITIATOR_NONE,
    INITIATOR_SYN,
    INITIATOR_FIRST_PACKET,
    INITIATOR_PORT_GUESS,
    INITIATOR_UNKNOWN
};

enum tcp_state {
    TCP_NONE,
    TCP_SYN_SENT,
    TCP_SYN_ACK,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT,
    TCP_CLOSED,
    TCP_RESET
};

enum app_confidence { APP_NONE, APP_GUESSED, APP_PORT, APP_DPI, APP_CERTAIN };

/* Bits of flow_record.flags: bit n is the enum value n of netscope.v1.FlowFlag. */
enum flow_flag {
    FLOW_FLAG_TRUNCATED_TABLE = 1 << 1,
    FLOW_FLAG_MIDSTREAM = 1 << 2,
    FLOW_FLAG_ASYMMETRIC = 1 << 3,
    FLOW_FLAG_FRAGMENTS_SEEN = 1 << 4,
    FLOW_FLAG_CLOCK_STEP = 1 << 5,
    FLOW_FLAG_GAP_BEFORE = 1 << 6,
    FLOW_FLAG_FRAGMENT_FAULT = 1 << 7,
    FLOW_FLAG_PORT_REUSED = 1 << 8,
    FLOW_FLAG_DATA_CONFLICT = 1 << 9
};

struct flow_endpoint {
    struct ip_address ip;
    uint16_t port;
    bool has_mac;
    uint8_t mac[6];
    uint8_t scope;       /* enum network_scope */
    uint8_t name_source; /* enum name_source */
    struct record_text name;
    uint8_t labels_count; /* of flow_record.client_labels or .server_labels */
};

#define FLOW_LABELS_MAX        12
#define FLOW_LABEL_KEY_BYTES   32
#define FLOW_LABEL_VALUE_BYTES 64
struct record_label {
    struct record_text key, value;
};

/* NULL: no label has the key. */
static inline const struct record_label *record_label_find(const struct record_label *labels,
                                                           unsigned count, struct record_text key)
{
    for (unsigned i = 0; i < count; i++) {
        if (record_text_equal(labels[i].key, key)) {
            return &labels[i];
        }
    }
    return NULL;
}

struct flow_counters {
    uint64_t delta_packets, delta_bytes, delta_payload_bytes, delta_ip_bytes;
    uint64_t total_packets, total_bytes, total_payload_bytes, total_ip_bytes;
    uint64_t missed_bytes;
    bool has_ttl, has_dscp;
    uint8_t ttl_min, ttl_max, dscp;
};

struct flow_round_trip { /* samples 0: not measured */
    uint64_t min_ns, mean_ns, max_ns, last_ns, ewma_ns;
    uint32_t samples;
    uint32_t timestamp_samples; /* of them: told by the timestamps option */
};

struct flow_tcp_direction {
    uint8_t flags; /* OR of the flag bytes */
    bool has_initial_window, has_mss, has_window_scale, sack_permitted, timestamps;
    uint8_t window_scale;
    uint16_t initial_window, mss;
    uint32_t syn_count, fin_count, rst_count;
    uint64_t retransmitted_segments, retransmitted_bytes, out_of_order_segments;
    uint64_t duplicate_acks, zero_window_events, keepalives, duplicate_packets;
    uint64_t fast_retransmissions, spurious_retransmissions; /* of the retransmitted ones */
    uint64_t window_full_events, zero_window_probes, sack_acks, sequence_gaps;
};

struct flow_tcp {
    uint8_t state;      /* enum tcp_state */
    bool is_measured;   /* false: compact mode, only state and flags are known */
    char conn_state[8]; /* Zeek's code, NUL at the end */
    char history[34];   /* Zeek's letters, NUL at the end */
    struct flow_tcp_direction forward, reverse;
    struct flow_round_trip client_rtt, server_rtt;
    bool has_handshake, has_response, simultaneous_open;
    uint64_t handshake_ns, response_ns;
};

#define FLOW_ALPN_MAX    8
#define FLOW_QUERIES_MAX 16
#define FLOW_RCODES      24
#define FLOW_HOSTS_MAX   8
#define FLOW_ANSWERS_MAX 4
#define FLOW_TUNNELS_MAX 4

struct flow_tunnel {
    uint8_t type;     /* netscope.v1.TunnelType */
    uint32_t omitted; /* tunnels further inside that are not listed; of the last one alone */
    uint64_t id;
    struct ip_address outer_source, outer_target; /* on the client's and the server's side */
};

struct flow_tls {
    struct record_text version, sni, ja3, ja3s, ja4, cert_sha256;
    struct record_text client_version, alpn_selected, cert_subject, cert_issuer, cert_serial,
        ja3_retry, ja4_retry;
    struct record_text alpn[FLOW_ALPN_MAX];
    uint8_t alpn_count;
    bool ech_offered, hello_retry, hello_cut, has_cert_validity;
    uint16_t cipher, group;
    uint32_t cert_san_count;
    int64_t cert_not_before_seconds, cert_not_after_seconds; /* since 1970: may lie before */
};

struct flow_dns_query {
    struct record_text name;
    uint16_t type;
    bool has_rcode;   /* answered */
    bool has_latency; /* and the question was seen, too */
    uint16_t rcode;   /* 12 bits with EDNS */
    uint64_t latency_ns;
    struct ip_address answers[FLOW_ANSWERS_MAX]; /* the first addresses of the answer */
    uint8_t answers_count;
};

struct flow_dns {
    uint32_t query_count, response_count, queries_omitted;
    uint32_t rcode_counts[FLOW_RCODES];
    bool has_response_time;
    uint64_t response_time_ns; /* mean */
    struct flow_dns_query queries[FLOW_QUERIES_MAX];
    uint8_t queries_count;
};

struct flow_http {
    struct record_text method, user_agent;
    struct record_text path;         /* of the first request, without its query */
    struct record_text content_type; /* of the first response */
    uint32_t request_count, response_count;
    struct record_text hosts[FLOW_HOSTS_MAX];
    uint8_t hosts_count;
    uint16_t status;
};

struct flow_ssh {
    struct record_text client_banner, server_banner, hassh, hassh_server;
};

struct flow_record {
    struct record_identity identity; /* filled by the publisher; empty before */
    uint64_t flow_id;                /* written as 16 hex digits */
    uint8_t event;                   /* enum flow_event */
    uint8_t end_reason;              /* enum flow_end_reason */
    uint8_t end_detail;              /* enum flow_end_detail */
    uint8_t initiator;               /* enum flow_initiator */
    uint8_t ip_version, ip_protocol;
    uint16_t flags; /* enum flow_flag bits */
    bool has_tcp, has_icmp, has_tls, has_dns, has_http, has_ssh;
    bool has_vlan, has_outer_vlan;
    bool quic_retry, quic_version_negotiation, quic_zero_rtt;
    uint16_t vlan_id, outer_vlan_id;
    uint8_t icmp_type, icmp_code;
    uint8_t app_confidence; /* enum app_confidence */
    uint8_t tunnels_count;
    uint32_t update_index, observation_point, sampling_interval;
    uint64_t start_ns, end_ns, delta_start_ns;
    struct flow_endpoint client, server;
    struct flow_counters forward, reverse;
    struct record_text community_id, interface;
    struct record_text app, app_method, app_carrier, quic_version;
    struct flow_tunnel tunnels[FLOW_TUNNELS_MAX];
    /* Read only where the has_ flag is set. */
    struct flow_tcp tcp;
    struct flow_tls tls;
    struct flow_dns dns;
    struct flow_http http;
    struct flow_ssh ssh;
    /* Read up to labels_count of the side. */
    struct record_label client_labels[FLOW_LABELS_MAX], server_labels[FLOW_LABELS_MAX];
};

/* A sensor that saw a flow which several did; the collector's own (netscope.v1.FlowObserver). */
struct record_observer {
    struct record_text sensor_id;
    uint64_t flow_id; /* the sensor's */
    uint64_t first_ns, total_bytes, total_packets, missed_bytes, rtt_ns;
    bool has_rtt, is_primary;
};

#define RECORD_OBSERVERS_MAX 8

/* ---- alerts (netscope.v1.AlertRecord) ---- */

enum alert_kind {
    ALERT_NONE,
    ALERT_SYN_FLOOD,
    ALERT_PORT_SCAN_VERTICAL,
    ALERT_PORT_SCAN_HORIZONTAL,
    ALERT_HOST_SWEEP,
    ALERT_UDP_FLOOD,
    ALERT_ICMP_FLOOD,
    ALERT_AMPLIFICATION,
    ALERT_DNS_TUNNEL,
    ALERT_DNS_NXDOMAIN_BURST,
    ALERT_DGA,
    ALERT_BEACON,
    ALERT_LONG_CONNECTION,
    ALERT_BRUTE_FORCE,
    ALERT_DATA_EXFIL,
    ALERT_LATERAL_MOVEMENT,
    ALERT_NEW_HOST,
    ALERT_NEW_SERVICE,
    ALERT_ROGUE_DHCP,
    ALERT_ARP_SPOOF,
    ALERT_IPV6_RA_SPOOF,
    ALERT_CLEARTEXT_CREDENTIALS,
    ALERT_WEAK_TLS,
    ALERT_UNUSUAL_PORT,
    ALERT_TCP_HEALTH,
    ALERT_SENSOR_LOSS,
    ALERT_SENSOR_SILENT,
    ALERT_UNIDIRECTIONAL,
    ALERT_FRAGMENT_FLOOD,
    ALERT_KIND_COUNT
};

enum alert_state { ALERT_STATE_NONE, ALERT_OPEN, ALERT_UPDATE, ALERT_CLOSE };
enum alert_scope { ALERT_SCOPE_NONE, ALERT_SENSOR_SCOPE, ALERT_FLEET_SCOPE };
enum severity {
    SEVERITY_NONE,
    SEVERITY_INFO,
    SEVERITY_LOW,
    SEVERITY_MEDIUM,
    SEVERITY_HIGH,
    SEVERITY_CRITICAL
};
enum close_reason {
    CLOSE_NONE,
    CLOSE_QUIET,
    CLOSE_ACKNOWLEDGED,
    CLOSE_SENSOR_LOST,
    CLOSE_CONFIG_CHANGED,
    CLOSE_SHUTDOWN
};

/* "syn_flood", "port_scan_vertical", ...; "unknown" out of range. Static. */
const char *alert_kind_name(enum alert_kind kind);
const char *severity_name(enum severity severity);
/* The kind of that name, ALERT_NONE when there is none. */
enum alert_kind alert_kind_by_name(const char *name);
/* "open", "update", "close"; "" out of range. Static. */
const char *alert_state_name(enum alert_state state);
/* An alert_id: UUIDv7 (RFC 9562) of the first packet's time, and for the rest a hash of both. */
void alert_id_write(uint64_t first_ns, uint64_t key, char out[37]);
/* The severity of that name, SEVERITY_NONE when there is none. */
enum severity severity_by_name(const char *name);
/* "established", ...; "" for TCP_NONE and out of range. Static. */
const char *tcp_state_name(enum tcp_state state);

#define ALERT_ENDPOINTS_MAX 16
#define ALERT_EVIDENCE_MAX  16
#define ALERT_MITRE_MAX     4
#define ALERT_SAMPLES_MAX   16
#define ALERT_FLOWS_MAX     32
#define ALERT_SENSORS_MAX   16
#define ALERT_EXPLAINS_MAX  16

struct alert_evidence_item {
    char key[64]; /* NUL at the end */
    uint64_t count, max_overcount;
};

struct alert_mitre {
    const char *tactic_id, *technique_id, *technique_name; /* static texts */
    uint8_t mapping_confidence;                            /* 0..100 */
};

struct alert_endpoint {
    struct ip_address ip;
    uint16_t port;
};

/* Self-contained: holds copies, so that it can outlive the packets. */
struct alert_record {
    struct record_identity identity;
    char alert_id[37];  /* UUIDv7 text */
    char alert_key[17]; /* 16 hex digits */
    uint8_t kind, state, severity, scope, close_reason;
    uint8_t score, confidence; /* 0..100 */
    bool has_baseline, saturated;
    bool is_logged; /* its detector is in mode log: for the log, not for sinks; not encoded */
    uint64_t first_ns, last_ns, window_ns;
    double observed, threshold, estimate_error, baseline;
    char unit[24];
    char description[320]; /* one sentence */
    char config_key[80];
    char config_hash[17];
    uint64_t suppressed_count, loss_during_window;
    uint64_t attackers_total_estimate, victims_total_estimate;
    uint8_t attackers_count, victims_count, mitre_count;
    uint8_t top_sources_count, top_targets_count, top_ports_count, top_names_count, samples_count;
    struct alert_endpoint attackers[ALERT_ENDPOINTS_MAX], victims[ALERT_ENDPOINTS_MAX];
    struct alert_mitre mitre[ALERT_MITRE_MAX];
    struct alert_evidence_item top_sources[ALERT_EVIDENCE_MAX], top_targets[ALERT_EVIDENCE_MAX];
    struct alert_evidence_item top_ports[ALERT_EVIDENCE_MAX], top_names[ALERT_EVIDENCE_MAX];
    char packet_sample_ids[ALERT_SAMPLES_MAX][24];
    uint8_t community_ids_count, sensor_ids_count, explains_count;
    char community_ids[ALERT_FLOWS_MAX][32];
    char sensor_ids[ALERT_SENSORS_MAX][129]; /* scope FLEET: who contributed */
    char explains[ALERT_EXPLAINS_MAX][37];   /* alert_ids of sensors that it explains */
};

/* ---- statistics (netscope.v1.StatsRecord) ---- */

struct stats_named_rate {
    struct record_text key;
    uint64_t bytes_in, bytes_out, packets, max_overcount;
};

enum stats_dimension {
    STATS_BY_APPLICATION,
    STATS_BY_HOST,
    STATS_BY_SERVICE,
    STATS_BY_DIRECTION,
    STATS_DIMENSION_COUNT
};

/* "application", "host", "service", "direction". Static. */
const char *stats_dimension_name(enum stats_dimension dimension);

#define STATS_TOP_MAX       32 /* items of one dimension, "other" included */
#define STATS_TOP_FLOWS_MAX 50
#define STATS_RTT_BOUNDS    12
#define STATS_RCODES        24
#define STATS_ROWS_MAX      64

struct stats_top_list {
    uint32_t count;
    struct stats_named_rate items[STATS_TOP_MAX];
};

struct stats_top_flow {
    uint64_t flow_id;
    uint64_t start_ns; /* the sensor's own: not written */
    struct ip_address client_ip, server_ip;
    uint16_t client_port, server_port;
    uint8_t ip_protocol, tcp_state;
    bool has_rtt;
    double rtt_seconds;
    struct record_text server_name, app;
    uint64_t delta_bytes_forward, delta_bytes_reverse, delta_packets, total_bytes;
    uint64_t retransmitted_segments;
};

struct stats_totals {
    uint64_t packets, bytes, new_flows, ended_flows, flows_active;
    uint64_t bytes_in, bytes_out, bytes_internal;
    uint64_t malformed_packets, non_ip_packets, late_packets, lost_packets;
};

struct stats_interface {
    struct record_text name, filter;
    uint32_t linktype, snaplen;
    uint64_t received_packets, received_bytes, kernel_dropped, interface_dropped;
    uint64_t missed_bytes_estimate;
    bool promiscuous, up;
    uint64_t processed_packets, precut_packets, truncated_packets, superpackets, wakeups;
    uint64_t in_ring, in_ring_high_water, batch_max, reopened;
    double stall_tolerance_seconds; /* 0 = not known */
    char last_error[160];
};

struct stats_capture_ring {
    struct record_text interface;
    uint32_t shard;
    uint64_t received_packets, processed_packets, precut_packets, kernel_dropped;
    uint64_t in_ring, in_ring_high_water, wakeups, batch_max;
    double stall_tolerance_seconds; /* 0 = not known */
};

struct stats_ledger_reason {
    const char *reason; /* static */
    uint64_t count;
};

#define LEDGER_REASONS_MAX 8

enum ledger_stage {
    LEDGER_NONE,
    LEDGER_INTERFACE,
    LEDGER_KERNEL,
    LEDGER_CAPTURE,
    LEDGER_DECODE,
    LEDGER_FLOW,
    LEDGER_PUBLISH,
    LEDGER_SINK,
    LEDGER_SPOOL,
    LEDGER_WIRE,
    LEDGER_INGEST,
    LEDGER_STORE,
    LEDGER_FEED
};

struct stats_ledger_row {
    uint8_t stage; /* enum ledger_stage */
    char name[48];
    const char *unit; /* "packets" or "records", static */
    uint64_t in, out, held, packets_in, packets_out;
    uint8_t lost_count;
    struct stats_ledger_reason lost[LEDGER_REASONS_MAX];
};

/* All reasons together. */
static inline uint64_t stats_ledger_lost(const struct stats_ledger_row *row)
{
    uint64_t lost = 0;

    for (uint32_t i = 0; i < row->lost_count; i++) {
        lost += row->lost[i].count;
    }
    return lost;
}

/* One more reason, whose text is static; what has no room is left out. */
static inline void stats_ledger_add(struct stats_ledger_row *row, const char *reason,
                                    uint64_t count)
{
    if (row->lost_count < LEDGER_REASONS_MAX) {
        row->lost[row->lost_count++] = (struct stats_ledger_reason){reason, count};
    }
}

struct stats_shard {
    uint32_t shard, ring_used, ring_size, ring_high_water;
    uint64_t packets, bytes, flows_active, flows_max, evicted;
};

struct stats_detector {
    const char *kind; /* static */
    uint64_t tracked_keys, key_capacity, memory_bytes;
    bool saturated;
    uint64_t opened, open; /* incidents since the start, and now */
    uint64_t logged;       /* opened in mode log */
    uint64_t learnt;       /* would have opened in mode learn */
    uint64_t suppressed;   /* findings that became no message of their own */
};

/* Our clock beside the collector's. */
struct stats_clock {
    bool is_synced;
    int64_t offset_ns; /* ours minus the collector's */
    uint64_t trip_ns;  /* there and back, of the probe that this rests on */
};

struct stats_sink {
    char name[24];
    bool connected;
    uint64_t sent, acked, retried, failed, unacked, spool_bytes, oldest_age_ns;
    char last_error[160];
    uint64_t spool_errors;   /* of its disk */
    char spool_trouble[160]; /* why its spool is not on disk as it should be; "": it is */
    uint64_t max_rate;       /* records a second of a stream that its peer takes; 0: all */
    uint64_t throttles, redirects, redirects_refused; /* what its peer asked for */
    char redirected_to[128];                          /* "": it is where the settings say */
    struct stats_clock clock; /* of its peer; not part of the row as it travels */
};

/* The packets that are written to pcap files. */
struct stats_pcap {
    bool is_on, is_disk_full;
    uint64_t offered, written, written_bytes, queue_full, refused, disk_full, failed;
    uint64_t files, files_deleted, oldest_ns, queued_high_water;
};

struct stats_record {
    struct record_identity identity;
    uint64_t start_ns, end_ns; /* packet time */
    uint64_t packets_total, bytes_total, uptime_ns;
    struct stats_totals totals;
    struct stats_top_list top[STATS_DIMENSION_COUNT];
    struct stats_top_flow top_flows[STATS_TOP_FLOWS_MAX];
    uint32_t top_flows_count;
    /* TCP health of the interval; rtt_counts[i] counts samples up to rtt_bounds_seconds[i]. */
    uint64_t data_segments, retransmitted_segments, out_of_order_segments, zero_window_events;
    uint64_t resets, half_open;
    uint64_t rtt_counts[STATS_RTT_BOUNDS + 1];
    double rtt_sum_seconds;
    uint64_t dns_queries, dns_responses, dns_rcode_counts[STATS_RCODES];
    double dns_response_sum_seconds;
    uint64_t flow_table_bytes, detectors_bytes, spool_bytes, rss_bytes, limit_bytes;
    struct record_text version, config_hash;
    struct stats_interface interfaces[STATS_ROWS_MAX];
    struct stats_ledger_row ledger[STATS_ROWS_MAX];
    struct stats_shard shards[STATS_ROWS_MAX];
    struct stats_detector detectors[STATS_ROWS_MAX];
    struct stats_sink sinks[STATS_ROWS_MAX];
    struct stats_capture_ring capture_rings[STATS_ROWS_MAX];
    uint32_t interfaces_count, ledger_count, shards_count, detectors_count, sinks_count;
    uint32_t capture_rings_count;
    struct stats_pcap pcap; /* written where is_on */
    struct stats_clock clock;
};

/* Upper bounds of the RTT histogram: 0.5 ms .. 2 s. */
extern const double stats_rtt_bounds_seconds[STATS_RTT_BOUNDS];

/* ---- packet samples (netscope.v1.PacketSample); the tree is made when asked for ---- */

enum sample_reason {
    SAMPLE_NONE,
    SAMPLE_RANDOM,
    SAMPLE_ALERT_EVIDENCE,
    SAMPLE_FLOW_FIRST_N,
    SAMPLE_REQUESTED
};

#define PACKET_SAMPLE_BYTES_MAX 256

struct packet_sample {
    struct record_identity identity;
    struct record_text id, interface, community_id, summary;
    struct record_text alert_id; /* reason ALERT_EVIDENCE: what it is evidence of */
    uint64_t time_ns, flow_id;
    uint32_t linktype, wire_length, captured_length, sampling_interval;
    uint8_t direction; /* 0 unknown, 1 forward, 2 reverse */
    uint8_t reason;    /* enum sample_reason */
    bool payload_redacted;
    const uint8_t *data;
    uint32_t data_length;
};

/* ---- DNS transactions (netscope.v1.DnsRecord) ---- */

#define DNS_ANSWERS_MAX 32

struct dns_transaction_answer {
    struct record_text name, data; /* owner; address, name or text */
    struct record_text type_name;
    uint16_t type;
    uint32_t ttl_seconds;
};

/* One question with its answer, or one of the two. */
struct dns_transaction {
    struct record_identity identity;
    uint64_t time_ns; /* of the query; of the answer where no query was seen */
    uint64_t flow_id;
    struct ip_address client_ip, server_ip;
    uint16_t client_port, server_port;
    uint8_t ip_protocol;
    uint8_t opcode;
    uint16_t id, type, class;
    uint16_t rcode; /* valid when has_response: 12 bits with EDNS */
    bool has_query, has_response;
    bool is_authoritative, is_truncated, is_recursion_desired, is_recursion_available;
    bool is_authentic, is_checking_disabled, is_dnssec_ok;
    bool has_latency; /* query and answer were seen */
    uint64_t latency_ns;
    uint32_t retries, answers_omitted, response_bytes;
    struct record_text name, type_name, rcode_name, protocol, community_id;
    uint8_t answers_count;
    struct dns_transaction_answer answers[DNS_ANSWERS_MAX];
};
