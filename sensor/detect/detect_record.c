/* Facts from what is known only once a flow is reported, or a transaction complete. */
#include <string.h>

#include "base/clock.h"
#include "base/zero.h"
#include "sensor/detect/detect.h"
#include "sensor/wire/app.h"
#include "sensor/wire/packet.h"

#define TLS_1_0 0x0301

static void fact_of_record(struct detection_fact *fact, enum detection_event event,
                           const struct flow_record *record)
{
    zero_bytes(fact, sizeof(*fact));
    fact->event = (uint8_t)event;
    fact->protocol = record->ip_protocol;
    fact->source_port = record->client.port;
    fact->target_port = record->server.port;
    fact->source = record->client.ip;
    fact->target = record->server.ip;
    fact->first_ns = record->start_ns;
    fact->time_ns = record->end_ns;
    fact->packets[0] = record->forward.total_packets;
    fact->packets[1] = record->reverse.total_packets;
    fact->bytes[0] = record->forward.total_bytes;
    fact->bytes[1] = record->reverse.total_bytes;
    fact->payload_bytes[0] = record->forward.total_payload_bytes;
    fact->payload_bytes[1] = record->reverse.total_payload_bytes;
    fact->is_source_internal = record->client.scope == SCOPE_INTERNAL;
    fact->is_target_internal = record->server.scope == SCOPE_INTERNAL;
}

/* Nothing in it and no answer: most of a flood. No detector looks at the end of such a flow,
 * whatever else it was (detection_frame_cares() says 0). */
static bool is_silent(const struct flow_record *record)
{
    return (record->forward.total_packets == 0 || record->reverse.total_packets == 0) &&
           (record->forward.total_payload_bytes | record->reverse.total_payload_bytes) == 0;
}

/* Of a connection only fragments were seen, which do not tell what they carry. */
static bool has_no_header(const struct flow_record *record)
{
    return record->ip_protocol == IP_PROTOCOL_TCP && record->has_tcp &&
           (record->tcp.forward.flags | record->tcp.reverse.flags) == 0;
}

static void add_end(struct detection_frame *frame, const struct flow_record *record)
{
    if (is_silent(record) || has_no_header(record)) {
        return;
    }
    const struct detection_glance glance = {
        .protocol = record->ip_protocol,
        .is_source_internal = record->client.scope == SCOPE_INTERNAL,
        .is_target_internal = record->server.scope == SCOPE_INTERNAL,
        .source_port = record->client.port,
        .target_port = record->server.port,
        .packets = {record->forward.total_packets, record->reverse.total_packets},
        .bytes = {record->forward.total_bytes, record->reverse.total_bytes},
        .payload_bytes = {record->forward.total_payload_bytes, record->reverse.total_payload_bytes},
        .age_ns = record->end_ns > record->start_ns ? record->end_ns - record->start_ns : 0};

    if (detection_frame_cares(frame, DETECTION_END, &glance) <= 0) {
        return;
    }
    struct detection_fact *fact = detection_frame_room(frame);

    fact_of_record(fact, DETECTION_END, record);
    if (record->has_tcp && record->tcp.is_measured) {
        const struct flow_tcp *tcp = &record->tcp;
        const uint64_t both = tcp->client_rtt.mean_ns + tcp->server_rtt.mean_ns;

        fact->retransmitted =
            tcp->forward.retransmitted_segments + tcp->reverse.retransmitted_segments;
        fact->zero_windows = tcp->forward.zero_window_events + tcp->reverse.zero_window_events;
        fact->segments = record->forward.total_packets + record->reverse.total_packets;
        fact->rtt_ns = tcp->client_rtt.samples > 0 && tcp->server_rtt.samples > 0 ? both : 0;
    }
    detection_frame_add_room(frame);
}

/* "1.0" of "TLS 1.0", "TLSv1.2", "1.3": 0x0301 and so on; SSL: below; 0 when unknown. */
static uint32_t tls_version(const struct record_text *text)
{
    const char *end = text->data + text->length;
    const char *dot = text->length > 2 ? memchr(text->data, '.', text->length) : NULL;

    if (dot == NULL || dot == text->data || dot + 1 >= end || dot[1] < '0' || dot[1] > '9') {
        return 0;
    }
    if (memchr(text->data, 'S', text->length) != NULL &&
        memchr(text->data, 'T', text->length) == NULL) {
        return 0x0300;
    }
    return TLS_1_0 + (uint32_t)(dot[1] - '0');
}

static bool same_text(const struct record_text *a, const struct record_text *b)
{
    return a->length == b->length && a->length > 0 && memcmp(a->data, b->data, a->length) == 0;
}

/* What is wrong with the server's certificate, where one was seen (below TLS 1.3). */
static uint8_t certificate_of(const struct flow_record *record)
{
    const struct flow_tls *tls = &record->tls;
    const int64_t now = (int64_t)(record->start_ns / NS_PER_SEC);
    uint8_t faults = 0;

    if (tls->has_cert_validity && now != 0) { /* a file without times begins at 0 */
        faults |= tls->cert_not_after_seconds < now ? DETECTION_CERT_EXPIRED : 0;
        faults |= tls->cert_not_before_seconds > now ? DETECTION_CERT_EARLY : 0;
    }
    return faults | (same_text(&tls->cert_subject, &tls->cert_issuer) ? DETECTION_CERT_SELF : 0);
}

static void add_tls(struct detection_frame *frame, const struct flow_record *record)
{
    const struct detection_glance glance = {.protocol = record->ip_protocol,
                                            .code = tls_version(&record->tls.version),
                                            .type = record->tls.cipher,
                                            .certificate = certificate_of(record)};
    struct detection_fact fact;

    if (detection_frame_cares(frame, DETECTION_TLS, &glance) <= 0) {
        return;
    }
    fact_of_record(&fact, DETECTION_TLS, record);
    fact.code = glance.code;
    fact.name = record->tls.sni;
    fact.type = glance.type;
    fact.certificate = glance.certificate;
    detection_frame_add(frame, &fact);
}

/* What it speaks by what it said; what runs inside another protocol has no port of its own. */
static uint8_t app_of(const struct flow_record *record, unsigned app)
{
    static const uint8_t apps[APP_COUNT] = {[APP_SSH] = DETECTION_APP_SSH,
                                            [APP_TELNET] = DETECTION_APP_TELNET,
                                            [APP_FTP] = DETECTION_APP_FTP,
                                            [APP_SMTP] = DETECTION_APP_SMTP,
                                            [APP_POP3] = DETECTION_APP_POP3,
                                            [APP_IMAP] = DETECTION_APP_IMAP,
                                            [APP_DNS] = DETECTION_APP_DNS,
                                            [APP_NTP] = DETECTION_APP_NTP,
                                            [APP_SNMP] = DETECTION_APP_SNMP,
                                            [APP_LDAP] = DETECTION_APP_LDAP,
                                            [APP_SMB] = DETECTION_APP_SMB,
                                            [APP_RDP] = DETECTION_APP_RDP,
                                            [APP_VNC] = DETECTION_APP_VNC,
                                            [APP_MYSQL] = DETECTION_APP_MYSQL,
                                            [APP_POSTGRESQL] = DETECTION_APP_POSTGRESQL,
                                            [APP_MSSQL] = DETECTION_APP_MSSQL,
                                            [APP_ORACLE] = DETECTION_APP_ORACLE,
                                            [APP_MONGODB] = DETECTION_APP_MONGODB,
                                            [APP_REDIS] = DETECTION_APP_REDIS,
                                            [APP_CASSANDRA] = DETECTION_APP_CASSANDRA,
                                            [APP_MEMCACHED] = DETECTION_APP_MEMCACHED,
                                            [APP_MQTT] = DETECTION_APP_MQTT,
                                            [APP_IRC] = DETECTION_APP_IRC,
                                            [APP_SOCKS] = DETECTION_APP_SOCKS,
                                            [APP_OPENVPN] = DETECTION_APP_OPENVPN,
                                            [APP_HTTP] = DETECTION_APP_HTTP,
                                            [APP_HTTP2] = DETECTION_APP_HTTP2,
                                            [APP_WEBSOCKET] = DETECTION_APP_WEBSOCKET,
                                            [APP_TLS] = DETECTION_APP_TLS,
                                            [APP_BITTORRENT] = DETECTION_APP_BITTORRENT};

    return record->app_confidence >= APP_DPI && record->app_carrier.length == 0 ? apps[app]
                                                                                : APP_UNKNOWN;
}

/* Both sides agreed to talk, and who began was seen. */
static bool is_agreed(const struct flow_record *record)
{
    const uint8_t forward = record->tcp.forward.flags, reverse = record->tcp.reverse.flags;

    if (record->ip_protocol == IP_PROTOCOL_TCP) {
        return record->has_tcp && record->initiator == INITIATOR_SYN && (reverse & TCP_SYN) != 0 &&
               (forward & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
    }
    return record->initiator == INITIATOR_FIRST_PACKET && record->forward.total_packets > 0 &&
           record->reverse.total_packets > 0;
}

static void add_flow(struct detection_frame *frame, const struct flow_record *record, unsigned app)
{
    if (!is_agreed(record)) {
        return;
    }
    const struct detection_glance glance = {
        .protocol = record->ip_protocol,
        .app = app_of(record, app),
        .is_answered = true,
        .is_source_internal = record->client.scope == SCOPE_INTERNAL,
        .is_target_internal = record->server.scope == SCOPE_INTERNAL,
        .source_port = record->client.port,
        .target_port = record->server.port};

    if (detection_frame_cares(frame, DETECTION_FLOW, &glance) <= 0) {
        return;
    }
    struct detection_fact *fact = detection_frame_room(frame);

    fact_of_record(fact, DETECTION_FLOW, record);
    fact->app = glance.app;
    fact->is_answered = true;
    detection_frame_add_room(frame);
}

void detect_record(struct detection_frame *frame, const struct flow_record *record, unsigned app)
{
    if (record->event == FLOW_END || record->update_index == 0) {
        add_flow(frame, record, app);
    }
    if (record->event != FLOW_END) {
        return;
    }
    add_end(frame, record);
    if (record->has_tls) {
        add_tls(frame, record);
    }
}

void detect_dns(struct detection_frame *frame, const struct detect_dns *dns)
{
    const struct detection_fact fact = {.event = DETECTION_DNS,
                                        .protocol = IP_PROTOCOL_UDP,
                                        .service = DETECTION_SERVICE_DNS,
                                        .target_port = 53,
                                        .source = dns->client,
                                        .target = dns->server,
                                        .time_ns = dns->time_ns,
                                        .first_ns = dns->time_ns,
                                        .type = dns->type,
                                        .code = dns->rcode,
                                        .is_answered = dns->is_answered,
                                        .payload_bytes = {dns->query_bytes, dns->response_bytes},
                                        .name = dns->name};

    detection_frame_add(frame, &fact);
}
