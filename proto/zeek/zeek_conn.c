/* conn.log (Zeek: base/protocols/conn; policy: community-id, mac-logging, vlan-logging). */
#include "proto/icmp.h"
#include "proto/zeek/zeek_private.h"

#define ICMP    1
#define ICMP_V6 58

static const struct flow_record *flow_of(const void *record)
{
    return record;
}

static bool is_icmp(const struct flow_record *flow)
{
    return flow->ip_protocol == ICMP || flow->ip_protocol == ICMP_V6;
}

/* Zeek tells the counters and the duration of what lasted. */
static bool has_lasted(const struct flow_record *flow)
{
    return flow->end_ns > flow->start_ns;
}

void zeek_flow_time(struct zeek_line *line, const void *record)
{
    zeek_time(line, flow_of(record)->start_ns);
}

void zeek_flow_uid(struct zeek_line *line, const void *record)
{
    zeek_uid(line, flow_of(record)->flow_id);
}

void zeek_flow_client(struct zeek_line *line, const void *record)
{
    zeek_address(line, &flow_of(record)->client.ip);
}

void zeek_flow_server(struct zeek_line *line, const void *record)
{
    zeek_address(line, &flow_of(record)->server.ip);
}

void zeek_flow_client_port(struct zeek_line *line, const void *record)
{
    const struct flow_record *flow = record;

    zeek_count(line, flow->has_icmp ? flow->icmp_type : flow->client.port);
}

void zeek_flow_server_port(struct zeek_line *line, const void *record)
{
    const struct flow_record *flow = record;

    if (flow->has_icmp) {
        const int counterpart = icmp_counterpart(flow->ip_protocol, flow->icmp_type);

        zeek_count(line, counterpart >= 0 ? (unsigned)counterpart : flow->icmp_code);
    } else {
        zeek_count(line, flow->server.port);
    }
}

static void put_protocol(struct zeek_line *line, const void *record)
{
    switch (flow_of(record)->ip_protocol) {
    case 6:
        zeek_cell(line, "tcp");
        break;
    case 17:
        zeek_cell(line, "udp");
        break;
    case ICMP:
    case ICMP_V6:
        zeek_cell(line, "icmp");
        break;
    default:
        zeek_cell(line, "unknown_transport");
    }
}

/* What its payload was recognised as, by the names of Zeek's analyzers. A port alone is none. */
static void put_service(struct zeek_line *line, const void *record)
{
    static const char *const renamed[][2] = {
        {"tls", "ssl"}, {"mdns", "dns"}, {"llmnr", "dns"}, {"kerberos", "krb"}};
    const struct flow_record *flow = record;

    if (flow->app_confidence < APP_DPI) {
        zeek_unset(line);
        return;
    }
    for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
        const struct record_text name = {renamed[i][0], (uint32_t)strlen(renamed[i][0])};

        if (record_text_equal(flow->app, name)) {
            zeek_cell(line, renamed[i][1]);
            return;
        }
    }
    zeek_text(line, flow->app);
}

static void put_duration(struct zeek_line *line, const void *record)
{
    const struct flow_record *flow = record;

    if (has_lasted(flow)) {
        zeek_time(line, flow->end_ns - flow->start_ns);
    } else {
        zeek_unset(line);
    }
}

static void put_payload(struct zeek_line *line, const struct flow_record *flow,
                        const struct flow_counters *counters)
{
    if (has_lasted(flow)) {
        zeek_count(line, counters->total_payload_bytes);
    } else {
        zeek_unset(line);
    }
}

static void put_client_bytes(struct zeek_line *line, const void *record)
{
    put_payload(line, record, &flow_of(record)->forward);
}

static void put_server_bytes(struct zeek_line *line, const void *record)
{
    put_payload(line, record, &flow_of(record)->reverse);
}

static void put_state(struct zeek_line *line, const void *record)
{
    const struct flow_record *flow = record;

    if (flow->has_tcp) {
        zeek_cell(line, flow->tcp.conn_state);
    } else if (flow->ip_protocol == 17) {
        const bool asked = flow->forward.total_packets > 0,
                   answered = flow->reverse.total_packets > 0;

        zeek_cell(line, asked && answered ? "SF" : asked ? "S0" : "SHR");
    } else {
        zeek_cell(line, "OTH");
    }
}

static void put_scope(struct zeek_line *line, uint8_t scope)
{
    if (scope == SCOPE_NONE) {
        zeek_unset(line);
    } else {
        zeek_bool(line, scope == SCOPE_INTERNAL || scope == SCOPE_LINK_LOCAL);
    }
}

static void put_client_scope(struct zeek_line *line, const void *record)
{
    put_scope(line, flow_of(record)->client.scope);
}

static void put_server_scope(struct zeek_line *line, const void *record)
{
    put_scope(line, flow_of(record)->server.scope);
}

static void put_missed(struct zeek_line *line, const void *record)
{
    const struct flow_record *flow = record;

    zeek_count(line, flow->forward.missed_bytes + flow->reverse.missed_bytes);
}

static void put_history(struct zeek_line *line, const void *record)
{
    const struct flow_record *flow = record;
    const bool asked = !is_icmp(flow) && flow->forward.total_payload_bytes > 0;
    const bool answered = !is_icmp(flow) && flow->reverse.total_payload_bytes > 0;

    if (flow->has_tcp) {
        zeek_cell(line, flow->tcp.history);
        return;
    }
    zeek_cell(line, asked && answered ? "Dd" : asked ? "D" : answered ? "d" : "");
}

static void put_client_packets(struct zeek_line *line, const void *record)
{
    zeek_count(line, flow_of(record)->forward.total_packets);
}

static void put_client_ip_bytes(struct zeek_line *line, const void *record)
{
    zeek_count(line, flow_of(record)->forward.total_ip_bytes);
}

static void put_server_packets(struct zeek_line *line, const void *record)
{
    zeek_count(line, flow_of(record)->reverse.total_packets);
}

static void put_server_ip_bytes(struct zeek_line *line, const void *record)
{
    zeek_count(line, flow_of(record)->reverse.total_ip_bytes);
}

static void put_ip_protocol(struct zeek_line *line, const void *record)
{
    zeek_count(line, flow_of(record)->ip_protocol);
}

static void put_community_id(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->community_id);
}

static void put_client_mac(struct zeek_line *line, const void *record)
{
    zeek_mac(line, &flow_of(record)->client);
}

static void put_server_mac(struct zeek_line *line, const void *record)
{
    zeek_mac(line, &flow_of(record)->server);
}

static void put_vlan(struct zeek_line *line, const void *record)
{
    const struct flow_record *flow = record;

    if (flow->has_outer_vlan) {
        zeek_count(line, flow->outer_vlan_id);
    } else if (flow->has_vlan) {
        zeek_count(line, flow->vlan_id);
    } else {
        zeek_unset(line);
    }
}

static void put_inner_vlan(struct zeek_line *line, const void *record)
{
    const struct flow_record *flow = record;

    if (flow->has_outer_vlan && flow->has_vlan) {
        zeek_count(line, flow->vlan_id);
    } else {
        zeek_unset(line);
    }
}

static const struct zeek_column conn[] = {ZEEK_FLOW,
                                          {"proto", "enum", put_protocol},
                                          {"service", "string", put_service},
                                          {"duration", "interval", put_duration},
                                          {"orig_bytes", "count", put_client_bytes},
                                          {"resp_bytes", "count", put_server_bytes},
                                          {"conn_state", "string", put_state},
                                          {"local_orig", "bool", put_client_scope},
                                          {"local_resp", "bool", put_server_scope},
                                          {"missed_bytes", "count", put_missed},
                                          {"history", "string", put_history},
                                          {"orig_pkts", "count", put_client_packets},
                                          {"orig_ip_bytes", "count", put_client_ip_bytes},
                                          {"resp_pkts", "count", put_server_packets},
                                          {"resp_ip_bytes", "count", put_server_ip_bytes},
                                          {"ip_proto", "count", put_ip_protocol},
                                          {"community_id", "string", put_community_id},
                                          {"orig_l2_addr", "string", put_client_mac},
                                          {"resp_l2_addr", "string", put_server_mac},
                                          {"vlan", "int", put_vlan},
                                          {"inner_vlan", "int", put_inner_vlan}};
const struct zeek_columns zeek_conn_columns = {conn, sizeof(conn) / sizeof(conn[0])};

size_t zeek_flow_line(enum zeek_log log, const struct flow_record *record, enum zeek_form form,
                      char out[ZEEK_LINE_BYTES])
{
    if (record->event != FLOW_END || (record->ip_version != 4 && record->ip_version != 6)) {
        return 0;
    }
    switch (log) {
    case ZEEK_CONN:
        return zeek_write(&zeek_conn_columns, record, form, out);
    case ZEEK_SSL:
        return record->has_tls ? zeek_write(&zeek_ssl_columns, record, form, out) : 0;
    case ZEEK_SSH:
        return record->has_ssh ? zeek_write(&zeek_ssh_columns, record, form, out) : 0;
    default:
        return 0;
    }
}
