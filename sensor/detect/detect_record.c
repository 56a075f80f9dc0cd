/* Facts from what is known only once a flow is reported, or a transaction complete. */
#include <string.h>

#include "base/clock.h"
#include "base/zero.h"
#include "sensor/detect/detect.h"
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

static void add_end(struct detection_frame *frame, const struct flow_record *record)
{
    if (is_silent(record)) {
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

void detect_record(struct detection_frame *frame, const struct flow_record *record)
{
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
