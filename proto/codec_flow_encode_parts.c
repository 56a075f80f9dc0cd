/* What a flow record tells of its application: TLS, DNS, HTTP, SSH, QUIC, ICMP. */
#include "proto/codec_flow_encode.h"

/* A Timestamp of whole seconds, which may lie before 1970. */
static uint8_t *put_date(uint8_t *at, uint32_t field, int64_t seconds)
{
    uint8_t *body = begin_message(at, field);

    return end_message(body, put_number(body, 1, (uint64_t)seconds));
}

static uint8_t *put_tls(uint8_t *at, const struct flow_tls *tls)
{
    const bool is_long = tls->ja3.length > 0; /* a whole hello */
    uint8_t *body = is_long ? begin_long_message(at, 41) : begin_message(at, 41);
    uint8_t *end = put_text(body, 1, tls->version, TEXT_BYTES_MAX);
    end = put_text(end, 2, tls->sni, TEXT_BYTES_MAX);
    for (unsigned i = 0; i < tls->alpn_count && i < FLOW_ALPN_MAX; i++) {
        end = put_text_always(end, 3, tls->alpn[i], TEXT_BYTES_MAX);
    }
    end = put_number(end, 4, tls->cipher);
    end = put_text(end, 5, tls->ja3, TEXT_BYTES_MAX);
    end = put_text(end, 6, tls->ja3s, TEXT_BYTES_MAX);
    end = put_text(end, 7, tls->ja4, TEXT_BYTES_MAX);
    end = put_number(end, 8, tls->ech_offered);
    end = put_text(end, 9, tls->cert_sha256, TEXT_BYTES_MAX);
    end = put_text(end, 10, tls->client_version, TEXT_BYTES_MAX);
    end = put_text(end, 11, tls->alpn_selected, TEXT_BYTES_MAX);
    end = put_number(end, 12, tls->group);
    end = put_number(end, 13, tls->hello_retry);
    end = put_number(end, 14, tls->hello_cut);
    end = put_text(end, 15, tls->cert_subject, TEXT_BYTES_MAX);
    end = put_text(end, 16, tls->cert_issuer, TEXT_BYTES_MAX);
    end = put_text(end, 17, tls->cert_serial, TEXT_BYTES_MAX);
    if (tls->has_cert_validity) {
        end = put_date(end, 18, tls->cert_not_before_seconds);
        end = put_date(end, 19, tls->cert_not_after_seconds);
    }
    end = put_number(end, 20, tls->cert_san_count);
    end = put_text(end, 21, tls->ja3_retry, TEXT_BYTES_MAX);
    end = put_text(end, 22, tls->ja4_retry, TEXT_BYTES_MAX);
    return is_long ? end_long_message(body, end) : end_message(body, end);
}

static uint8_t *put_dns_query(uint8_t *at, const struct flow_dns_query *query)
{
    uint8_t *body = begin_message(at, 5);
    uint8_t *end = put_text(body, 1, query->name, DNS_TEXT_MAX);
    end = put_number(end, 2, query->type);
    if (query->has_rcode) {
        end = put_number_always(end, 3, query->rcode);
    }
    if (query->has_latency) {
        end = put_time_always(end, 4, query->latency_ns);
    }
    for (unsigned i = 0; i < query->answers_count && i < FLOW_ANSWERS_MAX; i++) {
        end = put_address(end, 5, &query->answers[i]);
    }
    return end_message(body, end);
}

static uint8_t *put_dns(uint8_t *at, const struct flow_dns *dns)
{
    uint8_t *body = begin_message(at, 42);
    uint8_t *end = put_number(body, 1, dns->query_count);
    end = put_number(end, 2, dns->response_count);

    unsigned rcodes = FLOW_RCODES; /* index = code: zeros at the end say nothing */
    while (rcodes > 0 && dns->rcode_counts[rcodes - 1] == 0) {
        rcodes--;
    }
    if (rcodes > 0) {
        uint8_t *packed = begin_message(end, 3);
        uint8_t *packed_end = packed;
        for (unsigned i = 0; i < rcodes; i++) {
            packed_end = wire_put_varint(packed_end, dns->rcode_counts[i]);
        }
        end = end_message(packed, packed_end);
    }
    if (dns->has_response_time) {
        end = put_time_always(end, 4, dns->response_time_ns);
    }
    for (unsigned i = 0; i < dns->queries_count && i < FLOW_QUERIES_MAX; i++) {
        end = put_dns_query(end, &dns->queries[i]);
    }
    end = put_number(end, 6, dns->queries_omitted);
    return end_message(body, end);
}

static uint8_t *put_http(uint8_t *at, const struct flow_http *http)
{
    uint8_t *body = begin_message(at, 43);
    uint8_t *end = put_text(body, 1, http->method, TEXT_BYTES_MAX);
    for (unsigned i = 0; i < http->hosts_count && i < FLOW_HOSTS_MAX; i++) {
        end = put_text_always(end, 2, http->hosts[i], TEXT_BYTES_MAX);
    }
    end = put_number(end, 3, http->status);
    end = put_text(end, 4, http->user_agent, TEXT_BYTES_MAX);
    end = put_text(end, 5, http->path, TEXT_BYTES_MAX);
    end = put_text(end, 6, http->content_type, TEXT_BYTES_MAX);
    end = put_number(end, 7, http->request_count);
    end = put_number(end, 8, http->response_count);
    return end_message(body, end);
}

static uint8_t *put_ssh(uint8_t *at, const struct flow_ssh *ssh)
{
    uint8_t *body = begin_message(at, 44);
    uint8_t *end = put_text(body, 1, ssh->client_banner, TEXT_BYTES_MAX);
    end = put_text(end, 2, ssh->server_banner, TEXT_BYTES_MAX);
    end = put_text(end, 3, ssh->hassh, TEXT_BYTES_MAX);
    end = put_text(end, 4, ssh->hassh_server, TEXT_BYTES_MAX);
    return end_message(body, end);
}

uint8_t *codec_put_flow_parts(uint8_t *at, const struct flow_record *record)
{
    if (record->has_icmp) {
        uint8_t *body = begin_message(at, 40);
        uint8_t *end = put_number(body, 1, record->icmp_type);
        at = end_message(body, put_number(end, 2, record->icmp_code));
    }
    if (record->has_tls) {
        at = put_tls(at, &record->tls);
    }
    if (record->has_dns) {
        at = put_dns(at, &record->dns);
    }
    if (record->has_http) {
        at = put_http(at, &record->http);
    }
    if (record->has_ssh) {
        at = put_ssh(at, &record->ssh);
    }
    if (record->quic_version.length > 0) {
        uint8_t *body = begin_message(at, 45);
        uint8_t *end = put_text(body, 1, record->quic_version, TEXT_BYTES_MAX);
        end = put_number(end, 2, record->quic_retry);
        end = put_number(end, 3, record->quic_version_negotiation);
        at = end_message(body, put_number(end, 4, record->quic_zero_rtt));
    }
    return at;
}
