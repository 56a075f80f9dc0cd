/* Alerts as plain C (netscope.v1.AlertRecord), and the names of their kinds, states and severities;
 * for units, lifetimes and numbers of enums see record.h.
 *
 * Depends on: base/address.h. */
#pragma once

#include "base/address.h"
#include "proto/record_identity.h"

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
    ALERT_PTR_SWEEP,
    ALERT_DHCP_STARVATION,
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

#define ALERT_ENDPOINTS_MAX 16
#define ALERT_EVIDENCE_MAX  16
#define ALERT_MITRE_MAX     4
#define ALERT_SAMPLES_MAX   16
#define ALERT_FLOWS_MAX     32
#define ALERT_SENSORS_MAX   16
#define ALERT_EXPLAINS_MAX  16
#define ALERT_LABELS_MAX    8
#define ALERT_URL_BYTES     256 /* with the NUL */

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

struct alert_label { /* NUL at the ends */
    char key[33], value[65];
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
    uint8_t community_ids_count, sensor_ids_count, explains_count, labels_count;
    char runbook_url[ALERT_URL_BYTES];           /* "": none */
    struct alert_label labels[ALERT_LABELS_MAX]; /* no key twice */
    char community_ids[ALERT_FLOWS_MAX][32];
    char sensor_ids[ALERT_SENSORS_MAX][129]; /* scope FLEET: who contributed */
    char explains[ALERT_EXPLAINS_MAX][37];   /* alert_ids of sensors that it explains */
};
