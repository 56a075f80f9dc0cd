/* Flow records as plain C (netscope.v1.FlowRecord), and what several sensors saw of one flow; for
 * units, lifetimes and numbers of enums see record.h.
 *
 * Depends on: base/address.h. */
#pragma once

#include <stddef.h>

#include "base/address.h"
#include "proto/record_identity.h"

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

/* "established", ...; "" for TCP_NONE and out of range. Static. */
const char *tcp_state_name(enum tcp_state state);

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
#define FLOW_ALERTS_MAX  4

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
    uint8_t risk_score; /* 0..100 */
    uint8_t alerts_count;
    struct record_text alert_ids[FLOW_ALERTS_MAX];
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
