/* The names of the language: one row a field. */
#include <string.h>

#include "base/ascii.h"
#include "proto/filter/filter_tree.h"

const struct filter_field filter_fields[] = {
    [FIELD_IP] = {"ip", "address", "client_ip,server_ip", "Address of either side."},
    [FIELD_CLIENT_IP] = {"client.ip", "address", "client_ip", "Address of the client."},
    [FIELD_SERVER_IP] = {"server.ip", "address", "server_ip", "Address of the server."},
    [FIELD_PORT] = {"port", "number", "client_port,server_port", "Port of either side."},
    [FIELD_CLIENT_PORT] = {"client.port", "number", "client_port", "Port of the client."},
    [FIELD_SERVER_PORT] = {"server.port", "number", "server_port", "Port of the server."},
    [FIELD_PROTOCOL] = {"protocol", "choice", "protocol",
                        "tcp, udp, icmp, icmpv6, sctp, or an IP protocol number."},
    [FIELD_IP_VERSION] = {"ip.version", "number", "ip_version", "4 or 6."},
    [FIELD_APP] = {"app", "text", "app", "Application: tls, dns, http."},
    [FIELD_NAME] = {"name", "text", NULL, "Client or server name, TLS SNI or HTTP host."},
    [FIELD_CLIENT_NAME] = {"client.name", "text", NULL, "Name of the client."},
    [FIELD_SERVER_NAME] = {"server.name", "text", "server_name", "Name of the server."},
    [FIELD_TLS_SNI] = {"tls.sni", "text", NULL, "Server name in the TLS handshake."},
    [FIELD_TLS_VERSION] = {"tls.version", "text", NULL, "TLS version: 1.3."},
    [FIELD_HTTP_HOST] = {"http.host", "text", NULL, "HTTP Host header."},
    [FIELD_DNS_NAME] = {"dns.name", "text", NULL, "Name asked for in DNS."},
    [FIELD_COMMUNITY_ID] = {"community_id", "text", "community_id", "Community ID."},
    [FIELD_FLOW_ID] = {"flow_id", "text", "flow_id", "Id of the flow, 16 hexadecimal digits."},
    [FIELD_SENSOR] = {"sensor", "text", "sensor_id", "Sensor that saw it."},
    [FIELD_INTERFACE] = {"interface", "text", NULL, "Interface or file it was captured on."},
    [FIELD_VLAN] = {"vlan", "number", "vlan", "VLAN id, the inner one of two."},
    [FIELD_BYTES] = {"bytes", "bytes", "bytes_forward + bytes_reverse",
                     "Bytes of this record, both ways: 1MiB."},
    [FIELD_PACKETS] = {"packets", "number", "packets_forward + packets_reverse",
                       "Packets of this record, both ways."},
    [FIELD_TOTAL_BYTES] = {"total_bytes", "bytes", NULL,
                           "Bytes since the start of the flow, both ways."},
    [FIELD_TOTAL_PACKETS] = {"total_packets", "number", NULL,
                             "Packets since the start of the flow, both ways."},
    [FIELD_DURATION] = {"duration", "duration", "end_ns - start_ns",
                        "From first to last packet: 1.5s."},
    [FIELD_RTT] = {"rtt", "duration", "rtt_ns", "Round-trip time, both sides added: 80ms."},
    [FIELD_TCP_STATE] = {"tcp.state", "choice", "tcp_state",
                         "syn_sent, syn_ack, established, fin_wait, closed, reset."},
    [FIELD_TCP_CONN_STATE] = {"tcp.conn_state", "text", NULL, "Zeek's code: S0, SF, REJ."},
    [FIELD_TCP_RETRANSMITS] = {"tcp.retransmits", "number", "retransmits",
                               "Retransmitted segments, both ways."},
    [FIELD_TCP_OUT_OF_ORDER] = {"tcp.out_of_order", "number", NULL,
                                "Out-of-order segments, both ways."},
    [FIELD_EVENT] = {"event", "choice", "event", "start, update, end."},
    [FIELD_END_REASON] = {"end_reason", "choice", NULL,
                          "idle, active, end_of_flow, forced, lack_of_resources."},
    [FIELD_SCOPE] = {"scope", "choice", NULL,
                     "Of either side: internal, external, multicast, link_local."},
    [FIELD_ALERT_ID] = {"alert_id", "text", NULL, "Id of an alert that names the flow."},
    [FIELD_RISK_SCORE] = {"risk_score", "number", NULL,
                          "Highest score of the alerts that name the flow, 0 to 100; 0 without."},
    [FIELD_TLS_ALPN] = {"tls.alpn", "text", NULL, "Protocol offered by ALPN: h2."},
    [FIELD_TLS_JA3] = {"tls.ja3", "text", NULL, "JA3 fingerprint of the client."},
    [FIELD_TLS_JA4] = {"tls.ja4", "text", NULL, "JA4 fingerprint of the client: t13d*."},
    [FIELD_TLS_CERT_SHA256] = {"tls.cert_sha256", "text", NULL,
                               "SHA-256 of the server's certificate."},
    [FIELD_HTTP_METHOD] = {"http.method", "text", NULL, "Method of the first HTTP request."},
    [FIELD_HTTP_PATH] = {"http.path", "text", NULL, "Path of the first HTTP request: /api/*."},
    [FIELD_HTTP_STATUS] = {"http.status", "number", NULL, "Status of the first HTTP response."},
    [FIELD_HTTP_USER_AGENT] = {"http.user_agent", "text", NULL, "User-Agent of the client."},
    [FIELD_DNS_RCODE] = {"dns.rcode", "choice", NULL,
                         "Of any answer: noerror, servfail, nxdomain, refused."},
    [FIELD_SSH_HASSH] = {"ssh.hassh", "text", NULL, "HASSH fingerprint of either side."},
    [FIELD_ICMP_TYPE] = {"icmp.type", "number", NULL, "ICMP or ICMPv6 type of the first packet."},
    [FIELD_MAC] = {"mac", "text", NULL, "MAC address of either side: 02:00:5e:*."},
    [FIELD_CLIENT_MAC] = {"client.mac", "text", NULL, "MAC address on the client's side."},
    [FIELD_SERVER_MAC] = {"server.mac", "text", NULL, "MAC address on the server's side."},
    [FIELD_DSCP] = {"dscp", "number", NULL, "DSCP of either direction."},
    [FIELD_TUNNEL_TYPE] = {"tunnel.type", "choice", NULL,
                           "Of any tunnel around it: gre, vxlan, geneve, ip_in_ip, gtp_u, teredo, "
                           "l2tp, mpls, erspan, pppoe, vxlan_gpe, nvgre, pptp, nsh, etherip, "
                           "ayiya, pbb, capwap, tzsp, wccp, lisp, gue, pim."},
    [FIELD_TUNNEL_ID] = {"tunnel.id", "number", NULL,
                         "VNI, TEID, key or label of any tunnel around it."},
    [FIELD_MISSED_BYTES] = {"missed_bytes", "bytes", NULL,
                            "TCP bytes that the sensor did not see, both ways."},
    [FIELD_FLAG] = {"flag", "choice", NULL,
                    "truncated_table, midstream, asymmetric, fragments_seen, clock_step, "
                    "gap_before, fragment_fault, port_reused, data_conflict."},
    [FIELD_LABEL] = {"labels.KEY", "text", NULL,
                     "Label of either side (networks.labels): labels.site, labels.country."},
    [FIELD_CLIENT_LABEL] = {"client.labels.KEY", "text", NULL, "Label of the client."},
    [FIELD_SERVER_LABEL] = {"server.labels.KEY", "text", NULL, "Label of the server."},
};
const size_t filter_fields_count = FIELD_COUNT;

enum filter_kind filter_field_kind(enum filter_field_id field)
{
    static const struct {
        const char *type;
        enum filter_kind kind;
    } kinds[] = {{"address", KIND_ADDRESS},   {"number", KIND_NUMBER}, {"bytes", KIND_BYTES},
                 {"duration", KIND_DURATION}, {"choice", KIND_CHOICE}, {"text", KIND_TEXT}};
    if (field == FIELD_PROTOCOL) {
        return KIND_PROTOCOL;
    }
    if (field == FIELD_FLOW_ID) {
        return KIND_FLOW_ID;
    }
    if (field >= FIELD_COUNT) {
        return KIND_TEXT;
    }
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (strcmp(filter_fields[field].type, kinds[i].type) == 0) {
            return kinds[i].kind;
        }
    }
    return KIND_TEXT;
}

const char *filter_choice_name(enum filter_field_id field, unsigned value)
{
    static const char *const events[] = {"", "start", "update", "end"};
    static const char *const reasons[] = {
        "", "idle", "active", "end_of_flow", "forced", "lack_of_resources"};
    static const char *const scopes[] = {"", "internal", "external", "multicast", "link_local"};
    static const char *const rcodes[] = {
        "",         "noerror", "formerr", "servfail", "nxdomain", "notimp",    "refused",
        "yxdomain", "yxrrset", "nxrrset", "notauth",  "notzone",  "dsotypeni", "badvers",
        "badkey",   "badtime", "badmode", "badname",  "badalg",   "badtrunc",  "badcookie"};
    static const char *const tunnels[] = {
        "",      "gre",    "vxlan",  "geneve",    "ip_in_ip", "gtp_u", "teredo", "l2tp",
        "mpls",  "erspan", "pppoe",  "vxlan_gpe", "nvgre",    "pptp",  "nsh",    "etherip",
        "ayiya", "pbb",    "capwap", "tzsp",      "wccp",     "lisp",  "gue",    "pim"};
    static const char *const flags[] = {
        "",           "truncated_table", "midstream",      "asymmetric",  "fragments_seen",
        "clock_step", "gap_before",      "fragment_fault", "port_reused", "data_conflict"};
    switch (field) {
    case FIELD_TCP_STATE:
        return value >= TCP_SYN_SENT && value <= TCP_RESET ? tcp_state_name((enum tcp_state)value)
                                                           : NULL;
    case FIELD_EVENT:
        return value > 0 && value < ARRAY_COUNT(events) ? events[value] : NULL;
    case FIELD_END_REASON:
        return value > 0 && value < ARRAY_COUNT(reasons) ? reasons[value] : NULL;
    case FIELD_SCOPE:
        return value > 0 && value < ARRAY_COUNT(scopes) ? scopes[value] : NULL;
    case FIELD_DNS_RCODE:
        return value > 0 && value < ARRAY_COUNT(rcodes) ? rcodes[value] : NULL;
    case FIELD_TUNNEL_TYPE:
        return value > 0 && value < ARRAY_COUNT(tunnels) ? tunnels[value] : NULL;
    case FIELD_FLAG:
        return value > 0 && value < ARRAY_COUNT(flags) ? flags[value] : NULL;
    default:
        return NULL;
    }
}

unsigned filter_rcode_choice(unsigned rcode)
{
    enum { PLAIN = 12, FIRST_EXTENDED = 16 }; /* the codes between them are unassigned */

    if (rcode < PLAIN) {
        return rcode + 1;
    }
    return rcode >= FIRST_EXTENDED && rcode < FLOW_RCODES ? rcode - FIRST_EXTENDED + PLAIN + 1 : 0;
}

/* Names of the records themselves, as programs write them (docs/live-feed.md 2.3). */
static const struct {
    const char *name;
    enum filter_field_id field;
} other_names[] = {{"app.protocol", FIELD_APP},     {"sensor_id", FIELD_SENSOR},
                   {"ip_protocol", FIELD_PROTOCOL}, {"vlan_id", FIELD_VLAN},
                   {"alert_ids", FIELD_ALERT_ID},   {"flags", FIELD_FLAG}};

/* "client.labels.site": the field, and "site". */
static enum filter_field_id find_label(const char *name, size_t length,
                                       char label[FLOW_LABEL_KEY_BYTES + 1])
{
    for (unsigned i = FIELD_LABEL; i <= FIELD_SERVER_LABEL; i++) {
        const size_t before = strlen(filter_fields[i].name) - strlen("KEY");
        const size_t key_length = length - before;
        if (length <= before || key_length > FLOW_LABEL_KEY_BYTES ||
            strncasecmp(filter_fields[i].name, name, before) != 0) {
            continue;
        }
        for (size_t j = 0; j < key_length; j++) {
            const char c = ascii_lower(name[before + j]);
            if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') {
                return FIELD_COUNT;
            }
            label[j] = c;
        }
        label[key_length] = '\0';
        return (enum filter_field_id)i;
    }
    return FIELD_COUNT;
}

enum filter_field_id filter_field_find(const char *name, size_t length,
                                       char label[FLOW_LABEL_KEY_BYTES + 1])
{
    const enum filter_field_id labelled = find_label(name, length, label);
    if (labelled != FIELD_COUNT) {
        return labelled;
    }
    label[0] = '\0';
    for (unsigned i = 0; i < ARRAY_COUNT(other_names); i++) {
        if (strlen(other_names[i].name) == length &&
            strncasecmp(other_names[i].name, name, length) == 0) {
            return other_names[i].field;
        }
    }
    for (unsigned i = 0; i < FIELD_LABEL; i++) {
        if (strlen(filter_fields[i].name) == length &&
            strncasecmp(filter_fields[i].name, name, length) == 0) {
            return (enum filter_field_id)i;
        }
    }
    return FIELD_COUNT;
}

/* Edit distance (Levenshtein). */
static unsigned distance(const char *a, size_t a_length, const char *b)
{
    enum { NAME_BYTES = 24 };
    const size_t b_length = strlen(b);
    if (a_length > NAME_BYTES || b_length > NAME_BYTES) {
        return UINT32_MAX;
    }
    unsigned row[NAME_BYTES + 1];
    for (unsigned j = 0; j <= b_length; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b_length; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
        }
    }
    return row[b_length];
}

const char *filter_field_near(const char *name, size_t length)
{
    const char *best = NULL;
    unsigned best_distance = (unsigned)length / 3 + 1;
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        const unsigned d = distance(name, length, filter_fields[i].name);
        if (d <= best_distance && (best == NULL || d < best_distance)) {
            best = filter_fields[i].name;
            best_distance = d;
        }
    }
    return best;
}
