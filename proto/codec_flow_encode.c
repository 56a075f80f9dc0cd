/* Writes FlowRecord. The bounds of each part are known, texts are cut, so the room is asked for
 * once. */
#include <assert.h>

#include "proto/codec.h"
#include "proto/codec_wire.h"

#define NUMBER_FIELD_MAX 12 /* tag of two bytes, 64 bits */
#define ENDPOINT_MAX     (4 * TEXT_FIELD_MAX)
#define DIRECTION_MAX    (22 * NUMBER_FIELD_MAX)
#define ROUND_TRIP_MAX   (5 * TIME_FIELD_MAX + 2 * NUMBER_FIELD_MAX)
#define TUNNEL_MAX       (2 * (ADDRESS_TEXT_BYTES + 4) + 3 * NUMBER_FIELD_MAX + 4)

#define TCP_MAX (2 * DIRECTION_MAX + 2 * ROUND_TRIP_MAX + 2 * TIME_FIELD_MAX + 128)
#define TLS_MAX ((13 + FLOW_ALPN_MAX) * TEXT_FIELD_MAX + 12 * NUMBER_FIELD_MAX)
#define DNS_MAX                                                                                    \
    (FLOW_QUERIES_MAX * (DNS_TEXT_MAX + 4 + 2 * NUMBER_FIELD_MAX + TIME_FIELD_MAX + 4 +            \
                         FLOW_ANSWERS_MAX * (ADDRESS_TEXT_BYTES + 4)) +                            \
     FLOW_RCODES * 5 + TIME_FIELD_MAX + 5 * NUMBER_FIELD_MAX)
#define HTTP_MAX ((4 + FLOW_HOSTS_MAX) * TEXT_FIELD_MAX + 4 * NUMBER_FIELD_MAX)
#define SSH_MAX  (4 * TEXT_FIELD_MAX + NUMBER_FIELD_MAX)
/* Everything but the four above. */
#define COMMON_MAX                                                                                 \
    (IDENTITY_BYTES_MAX + 2 * ENDPOINT_MAX + 2 * DIRECTION_MAX + TCP_MAX + 7 * TEXT_FIELD_MAX +    \
     FLOW_TUNNELS_MAX * TUNNEL_MAX + 3 * TIME_FIELD_MAX + 24 * NUMBER_FIELD_MAX + FIELD_TOUCHES)

static_assert(COMMON_MAX + TLS_MAX + DNS_MAX + HTTP_MAX + SSH_MAX <= CODEC_FLOW_BYTES_MAX,
              "the advertised bound holds");
static_assert(IDENTITY_BYTES_MAX <= CODEC_IDENTITY_BYTES_MAX, "the advertised bound holds");

static uint8_t *put_endpoint(uint8_t *at, uint32_t field, const struct flow_endpoint *endpoint)
{
    uint8_t *body = begin_message(at, field);
    uint8_t *end = put_address(body, 1, &endpoint->ip);
    end = put_numeral_if(end, 2, numeral_of_28(endpoint->port), endpoint->port != 0);
    if (endpoint->has_mac) {
        end = put_tag(end, 3, WIRE_BYTES);
        *end = (uint8_t)mac_text(endpoint->mac, (char *)end + 1);
        end += 1 + *end;
    }
    end = put_text(end, 4, endpoint->name, NAME_BYTES_MAX);
    if (LIKELY((endpoint->name_source | endpoint->scope) < 0x80)) {
        end = put_small(put_small(end, 5, endpoint->name_source), 6, endpoint->scope);
    } else {
        end = put_byte(put_byte(end, 5, endpoint->name_source), 6, endpoint->scope);
    }
    return end == body ? at : end_message(body, end);
}

/* Sums of a direction that nothing was told of before: the numbers are the same twice. Packets
 * below 128, the others below 2^14, no bytes without packets: each three fields are one store, and
 * the tags of the next three are higher by the same in each. */
static ALWAYS_INLINE uint8_t *put_first_sums(uint8_t *at, const struct flow_counters *c)
{
    const uint64_t on = WIRE_TAG(4, WIRE_VARINT) - WIRE_TAG(1, WIRE_VARINT);
    const struct numeral bytes = numeral_of_14(c->total_bytes);
    const struct numeral payload = numeral_of_14(c->total_payload_bytes);
    const struct numeral ip = numeral_of_14(c->total_ip_bytes);
    const unsigned of_two = 3 + bytes.length;
    const unsigned of_three =
        of_two + ((1 + payload.length) & (0U - (unsigned)(c->total_payload_bytes != 0)));
    const unsigned of_ip = (1 + ip.length) & (0U - (unsigned)(c->total_ip_bytes != 0));
    const uint64_t three = WIRE_TAG(1, WIRE_VARINT) | c->total_packets << 8 |
                           (uint64_t)WIRE_TAG(2, WIRE_VARINT) << 16 | bytes.bytes << 24 |
                           (WIRE_TAG(3, WIRE_VARINT) | payload.bytes << 8) << 8 * of_two;
    const uint64_t next = three + (on | on << 16 | on << 8 * of_two);
    const uint64_t last = WIRE_TAG(7, WIRE_VARINT) | ip.bytes << 8;

    store_le64(at, three);
    store_le64(at + of_three, next);
    at += 2 * (size_t)of_three;
    store_le64(at, last | (last + WIRE_TAG(1, 0)) << 8 * of_ip);
    return at + 2 * (size_t)of_ip;
}

/* A value of a sum of at most 14 or 28 bits; `are_small` is a constant. */
static ALWAYS_INLINE struct numeral numeral_of_sum(uint64_t value, bool are_small)
{
    return are_small ? numeral_of_14(value) : numeral_of_28(value);
}

/* Whether this is the first that is told of it: what is new is all there was. */
static ALWAYS_INLINE bool is_first_told(const struct flow_counters *c)
{
    return ((c->total_packets ^ c->delta_packets) | (c->total_bytes ^ c->delta_bytes) |
            (c->total_payload_bytes ^ c->delta_payload_bytes) |
            (c->total_ip_bytes ^ c->delta_ip_bytes)) == 0;
}

/* Below 2^28 each, so that a field is one store; below 2^14 where `are_small`. What the last record
 * tells is often nothing new. */
static ALWAYS_INLINE uint8_t *put_sums(uint8_t *at, const struct flow_counters *c, bool is_first,
                                       bool are_small)
{
    const struct numeral packets = numeral_of_sum(c->total_packets, are_small);
    const struct numeral bytes = numeral_of_sum(c->total_bytes, are_small);
    const struct numeral payload = numeral_of_sum(c->total_payload_bytes, are_small);
    const struct numeral ip = numeral_of_sum(c->total_ip_bytes, are_small);

    if (is_first) {
        at = put_numeral_if(at, 1, packets, c->total_packets != 0);
        at = put_numeral_if(at, 2, bytes, c->total_bytes != 0);
        at = put_numeral_if(at, 3, payload, c->total_payload_bytes != 0);
    } else {
        at = put_number(at, 1, c->delta_packets);
        at = put_number(at, 2, c->delta_bytes);
        at = put_number(at, 3, c->delta_payload_bytes);
    }
    at = put_numeral_if(at, 4, packets, c->total_packets != 0);
    at = put_numeral_if(at, 5, bytes, c->total_bytes != 0);
    at = put_numeral_if(at, 6, payload, c->total_payload_bytes != 0);
    at = is_first ? put_numeral_if(at, 7, ip, c->total_ip_bytes != 0)
                  : put_number(at, 7, c->delta_ip_bytes);
    return put_numeral_if(at, 8, ip, c->total_ip_bytes != 0);
}

/* Any values. */
static uint8_t *put_large_sums(uint8_t *at, const struct flow_counters *counters)
{
    at = put_number(at, 1, counters->delta_packets);
    at = put_number(at, 2, counters->delta_bytes);
    at = put_number(at, 3, counters->delta_payload_bytes);
    at = put_number(at, 4, counters->total_packets);
    at = put_number(at, 5, counters->total_bytes);
    at = put_number(at, 6, counters->total_payload_bytes);
    at = put_number(at, 7, counters->delta_ip_bytes);
    return put_number(at, 8, counters->total_ip_bytes);
}

/* Hop limits and DSCP; in one store where each is below 128. */
static ALWAYS_INLINE uint8_t *put_hops(uint8_t *at, const struct flow_counters *c)
{
    static_assert(WIRE_TAG(12, WIRE_VARINT) < 0x80, "tags of one byte");
    if (LIKELY(c->has_ttl && c->has_dscp && (c->ttl_min | c->ttl_max | c->dscp) < 0x80)) {
        const uint64_t tags = WIRE_TAG(10, WIRE_VARINT) | WIRE_TAG(11, WIRE_VARINT) << 16 |
                              (uint64_t)WIRE_TAG(12, WIRE_VARINT) << 32;

        store_le64(at, tags | (uint64_t)c->ttl_min << 8 | (uint64_t)c->ttl_max << 24 |
                           (uint64_t)c->dscp << 40);
        return at + 6;
    }
    at = put_numeral_if(at, 10, numeral_of_byte(c->ttl_min), c->has_ttl);
    at = put_numeral_if(at, 11, numeral_of_byte(c->ttl_max), c->has_ttl);
    return put_numeral_if(at, 12, numeral_of_byte(c->dscp), c->has_dscp);
}

static uint8_t *put_counters(uint8_t *at, uint32_t field, const struct flow_counters *counters)
{
    const uint64_t any = counters->delta_packets | counters->delta_bytes |
                         counters->delta_payload_bytes | counters->delta_ip_bytes |
                         counters->total_packets | counters->total_bytes |
                         counters->total_payload_bytes | counters->total_ip_bytes;
    uint8_t *body = begin_message(at, field);
    uint8_t *end = body;

    if ((any | counters->missed_bytes) == 0 && !counters->has_ttl && !counters->has_dscp) {
        return at; /* nothing was sent: the answer to most of a flood */
    }
    if (any != 0) { /* a direction without packets says nothing */
        const bool is_first = is_first_told(counters);
        const bool is_plain = is_first && any >> 14 == 0 && counters->total_packets - 1 < 0x7f &&
                              counters->total_bytes != 0;

        end = is_plain                 ? put_first_sums(body, counters)
              : any >> 14 == 0         ? put_sums(body, counters, is_first, true)
              : LIKELY(any >> 28 == 0) ? put_sums(body, counters, is_first, false)
                                       : put_large_sums(body, counters);
    }
    end = put_number(end, 9, counters->missed_bytes);
    end = put_hops(end, counters);
    return end == body ? at : end_message(body, end);
}

/* What went wrong in most directions: nothing. */
static bool has_faults(const struct flow_tcp_direction *side)
{
    return (side->retransmitted_segments | side->retransmitted_bytes | side->out_of_order_segments |
            side->duplicate_acks | side->zero_window_events | side->keepalives |
            side->duplicate_packets | side->fast_retransmissions | side->spurious_retransmissions |
            side->window_full_events | side->zero_window_probes | side->sack_acks |
            side->sequence_gaps) != 0;
}

/* A side that sent nothing, but for its faults. */
static bool is_silent(const struct flow_tcp_direction *side)
{
    return side->flags == 0 && (side->syn_count | side->fin_count | side->rst_count) == 0 &&
           !side->has_initial_window && !side->has_mss && !side->has_window_scale &&
           !side->sack_permitted && !side->timestamps;
}

static uint8_t *put_measured(uint8_t *at, const struct flow_tcp_direction *side, bool is_faulty)
{
    if (LIKELY((side->syn_count | side->fin_count | side->rst_count) < 0x80)) {
        at = put_small(at, 2, side->syn_count);
        at = put_small(at, 3, side->fin_count);
        at = put_small(at, 4, side->rst_count);
    } else {
        at = put_count(at, 2, side->syn_count);
        at = put_count(at, 3, side->fin_count);
        at = put_count(at, 4, side->rst_count);
    }
    if (is_faulty) {
        at = put_number(at, 5, side->retransmitted_segments);
        at = put_number(at, 6, side->retransmitted_bytes);
        at = put_number(at, 7, side->out_of_order_segments);
        at = put_number(at, 8, side->duplicate_acks);
        at = put_number(at, 9, side->zero_window_events);
        at = put_number(at, 10, side->keepalives);
    }
    at = put_numeral_if(at, 11, numeral_of_28(side->initial_window), side->has_initial_window);
    at = put_numeral_if(at, 12, numeral_of_28(side->mss), side->has_mss);
    at = put_numeral_if(at, 13, numeral_of_byte(side->window_scale), side->has_window_scale);
    if (is_faulty) {
        at = put_number(at, 14, side->duplicate_packets);
        at = put_number(at, 15, side->fast_retransmissions);
        at = put_number(at, 16, side->spurious_retransmissions);
        at = put_number(at, 17, side->window_full_events);
        at = put_number(at, 18, side->zero_window_probes);
        at = put_number(at, 19, side->sack_acks);
        at = put_number(at, 20, side->sequence_gaps);
    }
    at = put_small(at, 21, side->sack_permitted);
    return put_small(at, 22, side->timestamps);
}

static uint8_t *put_direction(uint8_t *at, uint32_t field, const struct flow_tcp_direction *side,
                              bool is_measured)
{
    const bool is_faulty = has_faults(side);

    if (is_silent(side) && !is_faulty) {
        return at;
    }
    uint8_t *body = begin_message(at, field);
    uint8_t *end = put_byte(body, 1, side->flags);
    if (is_measured) {
        end = put_measured(end, side, is_faulty);
    }
    return end == body ? at : end_message(body, end);
}

static uint8_t *put_round_trip(uint8_t *at, uint32_t field, const struct flow_round_trip *rtt)
{
    if (rtt->samples == 0) {
        return at;
    }
    uint8_t *body = begin_message(at, field);
    uint8_t *end = put_time_always(body, 1, rtt->min_ns);
    end = put_time_always(end, 2, rtt->mean_ns);
    end = put_time_always(end, 3, rtt->max_ns);
    end = put_time_always(end, 4, rtt->last_ns);
    end = put_time_always(end, 5, rtt->ewma_ns);
    end = put_count(end, 6, rtt->samples);
    end = put_count(end, 7, rtt->timestamp_samples);
    return end_message(body, end);
}

/* Of eight bytes, the last a NUL. */
static ALWAYS_INLINE uint8_t *put_code(uint8_t *at, uint32_t field, const char text[8])
{
    const unsigned length = text_length_8(text) & 7; /* one byte too many says nothing */

    at[0] = (uint8_t)WIRE_TAG(field, WIRE_BYTES);
    at[1] = (uint8_t)length;
    memcpy(at + 2, text, 8);
    return at + (length == 0 ? 0 : 2 + length);
}

static uint8_t *put_history(uint8_t *at, uint32_t field, const char text[34])
{
    unsigned length = 0;

    for (unsigned here = 8; here == 8 && length < 32;) {
        here = text_length_8(text + length);
        length += here;
    }
    length += length == 32 && text[32] != '\0' ? 1 : 0;
    return length == 0 ? at : wire_put_bytes(put_tag(at, field, WIRE_BYTES), text, length);
}

static uint8_t *put_tcp(uint8_t *at, const struct flow_tcp *tcp)
{
    const bool is_long = tcp->is_measured && tcp->client_rtt.samples + tcp->server_rtt.samples > 0;
    uint8_t *body = is_long ? begin_long_message(at, 15) : begin_message(at, 15);
    uint8_t *end = put_byte(body, 1, tcp->state);
    if (tcp->is_measured) {
        static_assert(sizeof tcp->conn_state == 8 && sizeof tcp->history == 34, "as put_ has them");
        end = put_code(end, 2, tcp->conn_state);
        end = put_history(end, 3, tcp->history);
    }
    end = put_direction(end, 4, &tcp->forward, tcp->is_measured);
    end = put_direction(end, 5, &tcp->reverse, tcp->is_measured);
    if (tcp->is_measured) {
        end = put_round_trip(end, 6, &tcp->client_rtt);
        end = put_round_trip(end, 7, &tcp->server_rtt);
        if (tcp->has_handshake) {
            end = put_time_always(end, 8, tcp->handshake_ns);
        }
        if (tcp->has_response) {
            end = put_time_always(end, 9, tcp->response_ns);
        }
        end = put_byte(end, 10, tcp->simultaneous_open);
    }
    return is_long ? end_long_message(body, end) : end_message(body, end);
}

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

static uint8_t *put_tunnels(uint8_t *at, const struct flow_record *record)
{
    for (unsigned i = 0; i < record->tunnels_count && i < FLOW_TUNNELS_MAX; i++) {
        const struct flow_tunnel *tunnel = &record->tunnels[i];
        uint8_t *body = begin_message(at, 32);
        uint8_t *end = put_number(body, 1, tunnel->type);
        end = put_number(end, 2, tunnel->id);
        end = put_address(end, 3, &tunnel->outer_source);
        end = put_address(end, 4, &tunnel->outer_target);
        end = put_number(end, 5, tunnel->omitted);
        at = end_message(body, end);
    }
    return at;
}

static uint8_t *put_flags(uint8_t *at, uint16_t flags)
{
    const unsigned named = flags & ~1U; /* 0 is no flag */

    if (named == 0) {
        return at;
    }
    uint8_t *body = begin_message(at, 52);
    uint8_t *end = body;
    for (unsigned left = named; left != 0; left &= left - 1) {
        *end++ = (uint8_t)__builtin_ctz(left);
    }
    return end_message(body, end);
}

/* Application parts: present where their has_ flag says so. */
static uint8_t *put_application(uint8_t *at, const struct flow_record *record)
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

static uint8_t *put_app(uint8_t *at, const struct flow_record *record)
{
    if (record->app.length == 0 && record->app_confidence == 0 && record->app_method.length == 0) {
        return at;
    }
    uint8_t *body = begin_message(at, 14);
    uint8_t *end = put_short_text(body, 1, record->app);
    end = put_byte(end, 2, record->app_confidence);
    end = put_short_text(end, 3, record->app_method);
    return end_message(body, put_text(end, 4, record->app_carrier, TEXT_BYTES_MAX));
}

/* Everything up to the application. */
static ALWAYS_INLINE uint8_t *put_head(uint8_t *at, const struct flow_record *record)
{
    const struct time_fields start = time_fields_of(record->start_ns);

    at = put_identity(at, &record->identity);
    at = put_flow_id(at, 4, record->flow_id);
    at = put_byte(at, 5, record->event);
    if (record->start_ns != 0) {
        at = put_time_fields(at, 6, &start);
    }
    if (record->end_ns == record->start_ns && record->start_ns != 0) { /* one packet */
        at = put_time_fields(at, 7, &start);
    } else if (record->end_ns != 0) {
        const struct time_fields end = time_fields_of(record->end_ns);
        at = put_time_fields(at, 7, &end);
    }
    at = put_endpoint(at, 8, &record->client);
    at = put_endpoint(at, 9, &record->server);
    at = put_byte(at, 10, record->ip_protocol);
    at = put_counters(at, 11, &record->forward);
    at = put_counters(at, 12, &record->reverse);
    if (record->delta_start_ns == 0) {
        return at;
    }
    return record->delta_start_ns == record->start_ns
               ? put_time_fields(at, 13, &start)
               : put_time_always(at, 13, record->delta_start_ns);
}

/* Why it ended, which of its records this is, who began it. */
static ALWAYS_INLINE uint8_t *put_end(uint8_t *at, const struct flow_record *record)
{
    const bool are_small =
        (record->end_reason | record->end_detail | record->initiator | record->ip_version) < 0x80;

    if (LIKELY(are_small)) {
        at = put_small(at, 20, record->end_reason);
        at = put_small(at, 21, record->end_detail);
        at = put_number(at, 22, record->update_index);
        at = put_small(at, 23, record->initiator);
        return put_small(at, 24, record->ip_version);
    }
    at = put_byte(at, 20, record->end_reason);
    at = put_byte(at, 21, record->end_detail);
    at = put_number(at, 22, record->update_index);
    at = put_byte(at, 23, record->initiator);
    return put_byte(at, 24, record->ip_version);
}

/* `community`: where the text of the Community ID ends. */
static uint8_t *put_flow(uint8_t *at, const struct flow_record *record, uint8_t **community)
{
    at = put_app(put_head(at, record), record);
    if (record->has_tcp) {
        at = put_tcp(at, &record->tcp);
    }
    at = put_end(at, record);
    at = put_middle_text(at, 25, record->community_id);
    *community = at;
    if (record->has_vlan) {
        at = put_numeral_if(at, 30, numeral_of_28(record->vlan_id), true);
    }
    if (record->has_outer_vlan) {
        at = put_numeral_if(at, 31, numeral_of_28(record->outer_vlan_id), true);
    }
    at = put_tunnels(at, record);
    at = put_short_text(at, 33, record->interface);
    at = put_number(at, 34, record->observation_point);
    at = put_number(at, 35, record->sampling_interval);
    at = put_application(at, record);
    return put_flags(at, record->flags);
}

static size_t bytes_at_most(const struct flow_record *record)
{
    return COMMON_MAX + (record->has_tls ? TLS_MAX : 0U) + (record->has_dns ? DNS_MAX : 0U) +
           (record->has_http ? HTTP_MAX : 0U) + (record->has_ssh ? SSH_MAX : 0U);
}

/* A buffer that is smaller than the bound may still hold this record. */
static NOINLINE size_t encode_into_little_room(const struct flow_record *record, uint8_t *out,
                                               size_t capacity, size_t *community_end)
{
    uint8_t whole[CODEC_FLOW_BYTES_MAX];
    uint8_t *community;
    const size_t length = (size_t)(put_flow(whole, record, &community) - whole);
    if (length > capacity) {
        return 0;
    }
    memcpy(out, whole, length);
    *community_end = (size_t)(community - whole);
    return length;
}

size_t codec_encode_flow_at(const struct flow_record *record, uint8_t *out, size_t capacity,
                            size_t *community_end)
{
    uint8_t *community;

    if (UNLIKELY(capacity < bytes_at_most(record))) {
        return encode_into_little_room(record, out, capacity, community_end);
    }
    const size_t length = (size_t)(put_flow(out, record, &community) - out);
    *community_end = (size_t)(community - out);
    return length;
}

size_t codec_encode_flow(const struct flow_record *record, uint8_t *out, size_t capacity)
{
    size_t community_end;

    return codec_encode_flow_at(record, out, capacity, &community_end);
}

size_t codec_append_identity(const struct record_identity *identity, uint8_t *out, size_t capacity)
{
    uint8_t whole[IDENTITY_BYTES_MAX];
    if (LIKELY(capacity >= sizeof whole)) {
        return (size_t)(put_identity(out, identity) - out);
    }
    const size_t length = (size_t)(put_identity(whole, identity) - whole);
    if (length > capacity) {
        return 0;
    }
    memcpy(out, whole, length);
    return length;
}

void codec_identity_of(const struct record_identity *identity, struct codec_identity *out)
{
    uint8_t *end = put_text(out->bytes, 1, identity->sensor_id, SENSOR_ID_MAX);

    end = put_text(end, 2, identity->boot_id, BOOT_ID_MAX);
    out->length = (uint32_t)(end - out->bytes);
}

size_t codec_append_number(const struct codec_identity *identity, uint64_t seq, uint8_t *out,
                           size_t capacity)
{
    uint8_t number[NUMBER_FIELD_MAX];
    uint8_t *end = out + identity->length;

    if (LIKELY(capacity >= identity->length + sizeof(number))) {
        wire_copy(out, identity->bytes, identity->length);
        return (size_t)(put_number_always(end, 3, seq) - out);
    }
    const size_t length = (size_t)(put_number_always(number, 3, seq) - number);
    if (capacity < identity->length + length) {
        return 0;
    }
    wire_copy(out, identity->bytes, identity->length);
    memcpy(end, number, length);
    return identity->length + length;
}

size_t codec_append_name(bool is_server, struct record_text name, uint8_t source, uint8_t *out,
                         size_t capacity)
{
    uint8_t body[NAME_BYTES_MAX + 8];
    struct wire_writer inner = wire_writer_over(body, sizeof(body));
    struct wire_writer w = wire_writer_over(out, capacity);

    wire_write_bytes(&inner, 4, name.data, text_clamp(name.data, name.length, NAME_BYTES_MAX));
    write_number(&inner, 5, source);
    assert(inner.ok);
    wire_write_bytes(&w, is_server ? 9 : 8, body, wire_written(&inner));
    return w.ok ? wire_written(&w) : 0;
}
