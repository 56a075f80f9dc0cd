#include "proto/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/hash.h"

const char *alert_kind_name(enum alert_kind kind)
{
    static const char *const names[ALERT_KIND_COUNT] = {
        [ALERT_NONE] = "unknown",
        [ALERT_SYN_FLOOD] = "syn_flood",
        [ALERT_PORT_SCAN_VERTICAL] = "port_scan_vertical",
        [ALERT_PORT_SCAN_HORIZONTAL] = "port_scan_horizontal",
        [ALERT_HOST_SWEEP] = "host_sweep",
        [ALERT_UDP_FLOOD] = "udp_flood",
        [ALERT_ICMP_FLOOD] = "icmp_flood",
        [ALERT_AMPLIFICATION] = "amplification",
        [ALERT_DNS_TUNNEL] = "dns_tunnel",
        [ALERT_DNS_NXDOMAIN_BURST] = "dns_nxdomain_burst",
        [ALERT_DGA] = "dga",
        [ALERT_BEACON] = "beacon",
        [ALERT_LONG_CONNECTION] = "long_connection",
        [ALERT_BRUTE_FORCE] = "brute_force",
        [ALERT_DATA_EXFIL] = "data_exfil",
        [ALERT_LATERAL_MOVEMENT] = "lateral_movement",
        [ALERT_NEW_HOST] = "new_host",
        [ALERT_NEW_SERVICE] = "new_service",
        [ALERT_ROGUE_DHCP] = "rogue_dhcp",
        [ALERT_ARP_SPOOF] = "arp_spoof",
        [ALERT_IPV6_RA_SPOOF] = "ipv6_ra_spoof",
        [ALERT_CLEARTEXT_CREDENTIALS] = "cleartext_credentials",
        [ALERT_WEAK_TLS] = "weak_tls",
        [ALERT_UNUSUAL_PORT] = "unusual_port",
        [ALERT_TCP_HEALTH] = "tcp_health",
        [ALERT_SENSOR_LOSS] = "sensor_loss",
        [ALERT_SENSOR_SILENT] = "sensor_silent",
        [ALERT_UNIDIRECTIONAL] = "unidirectional",
        [ALERT_FRAGMENT_FLOOD] = "fragment_flood",
        [ALERT_PTR_SWEEP] = "ptr_sweep",
        [ALERT_DHCP_STARVATION] = "dhcp_starvation",
    };
    return (unsigned)kind < ARRAY_COUNT(names) ? names[kind] : "unknown";
}

enum alert_kind alert_kind_by_name(const char *name)
{
    for (int kind = ALERT_NONE + 1; kind < ALERT_KIND_COUNT; kind++) {
        if (strcmp(alert_kind_name((enum alert_kind)kind), name) == 0) {
            return (enum alert_kind)kind;
        }
    }
    return ALERT_NONE;
}

const char *alert_state_name(enum alert_state state)
{
    static const char *const names[] = {"", "open", "update", "close"};
    return (unsigned)state < ARRAY_COUNT(names) ? names[state] : "";
}

void alert_id_write(uint64_t first_ns, uint64_t key, char out[37])
{
    const uint64_t ms = first_ns / NS_PER_MS;
    const uint64_t high = hash_mix(key ^ hash_mix(first_ns));
    const uint64_t low = hash_mix(high + key);

    (void)snprintf(out, 37, "%08" PRIx64 "-%04" PRIx64 "-7%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
                   ms >> 16 & UINT64_C(0xffffffff), ms & 0xffff, high & 0xfff,
                   UINT64_C(0x8000) | (high >> 16 & 0x3fff), low & UINT64_C(0xffffffffffff));
}

enum severity severity_by_name(const char *name)
{
    for (int severity = SEVERITY_INFO; severity <= SEVERITY_CRITICAL; severity++) {
        if (strcmp(severity_name((enum severity)severity), name) == 0) {
            return (enum severity)severity;
        }
    }
    return SEVERITY_NONE;
}

const char *severity_name(enum severity severity)
{
    static const char *const names[] = {"unknown", "info", "low", "medium", "high", "critical"};
    return (unsigned)severity < ARRAY_COUNT(names) ? names[severity] : "unknown";
}

const char *tcp_state_name(enum tcp_state state)
{
    static const char *const names[] = {"",         "syn_sent", "syn_ack", "established",
                                        "fin_wait", "closed",   "reset"};
    return (unsigned)state < ARRAY_COUNT(names) ? names[state] : "";
}

const char *stats_dimension_name(enum stats_dimension dimension)
{
    static const char *const names[STATS_DIMENSION_COUNT] = {"application", "host", "service",
                                                             "direction", "protocol"};
    return (unsigned)dimension < ARRAY_COUNT(names) ? names[dimension] : "";
}

const char *ledger_stage_name(uint8_t stage)
{
    static const char *const names[] = {"none",   "interface", "kernel", "capture", "decode",
                                        "flow",   "publish",   "sink",   "spool",   "wire",
                                        "ingest", "store",     "feed"};

    return stage < ARRAY_COUNT(names) ? names[stage] : "none";
}

const double stats_rtt_bounds_seconds[STATS_RTT_BOUNDS] = {
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0,
};
