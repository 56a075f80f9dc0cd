/* Writes FlowRecord. The bounds of each part are known, texts are cut, so the room is asked for
 * once. */
#include <assert.h>

#include "proto/codec_flow_encode.h"

#define ENDPOINT_MAX (4 * TEXT_FIELD_MAX)
#define LABELS_MAX   (FLOW_LABELS_MAX * CODEC_LABEL_BYTES_MAX)
#define ALERTS_MAX                                                                                 \
    (NUMBER_FIELD_MAX + FLOW_ALERTS_MAX * (CODEC_ALERT_ID_BYTES_MAX + 4) + FIELD_TOUCHES)
#define TUNNEL_MAX (2 * (ADDRESS_TEXT_BYTES + 4) + 3 * NUMBER_FIELD_MAX + 4)

/* Everything but TLS, DNS, HTTP and SSH. */
#define COMMON_MAX                                                                                 \
    (IDENTITY_BYTES_MAX + 2 * ENDPOINT_MAX + 2 * DIRECTION_MAX + TCP_MAX + 7 * TEXT_FIELD_MAX +    \
     FLOW_TUNNELS_MAX * TUNNEL_MAX + 3 * TIME_FIELD_MAX + 24 * NUMBER_FIELD_MAX + FIELD_TOUCHES)

static_assert(COMMON_MAX + ALERTS_MAX + 2 * LABELS_MAX + TLS_MAX + DNS_MAX + HTTP_MAX + SSH_MAX <=
                  CODEC_FLOW_BYTES_MAX,
              "the advertised bound holds");
static_assert(IDENTITY_BYTES_MAX <= CODEC_IDENTITY_BYTES_MAX, "the advertised bound holds");

static NOINLINE uint8_t *put_labels(uint8_t *at, const struct record_label *labels, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < FLOW_LABELS_MAX; i++) {
        at += codec_put_label(&labels[i], at, CODEC_LABEL_BYTES_MAX);
    }
    return at;
}

static uint8_t *put_endpoint(uint8_t *at, uint32_t field, const struct flow_endpoint *endpoint,
                             const struct record_label *labels)
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
    if (UNLIKELY(endpoint->labels_count > 0)) {
        end = put_labels(end, labels, endpoint->labels_count);
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
    at = put_time_fields(at, 6, &start); /* also the epoch itself: captures without times have it */
    if (record->end_ns == record->start_ns) { /* one packet */
        at = put_time_fields(at, 7, &start);
    } else {
        const struct time_fields end = time_fields_of(record->end_ns);
        at = put_time_fields(at, 7, &end);
    }
    at = put_endpoint(at, 8, &record->client, record->client_labels);
    at = put_endpoint(at, 9, &record->server, record->server_labels);
    at = put_byte(at, 10, record->ip_protocol);
    at = put_counters(at, 11, &record->forward);
    at = put_counters(at, 12, &record->reverse);
    if (record->delta_start_ns == 0 && record->start_ns != 0) {
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

static NOINLINE uint8_t *put_alerts(uint8_t *at, uint8_t risk_score, const struct record_text *ids,
                                    uint32_t count)
{
    at = put_byte(at, 50, risk_score);
    for (uint32_t i = 0; i < count && i < FLOW_ALERTS_MAX; i++) {
        at = put_text(at, 51, ids[i], CODEC_ALERT_ID_BYTES_MAX);
    }
    return at;
}

/* `community`: where the text of the Community ID ends. */
static uint8_t *put_flow(uint8_t *at, const struct flow_record *record, uint8_t **community)
{
    at = put_app(put_head(at, record), record);
    if (record->has_tcp) {
        at = codec_put_tcp(at, &record->tcp);
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
    at = codec_put_flow_parts(at, record);
    if (UNLIKELY((record->risk_score | record->alerts_count) != 0)) {
        at = put_alerts(at, record->risk_score, record->alert_ids, record->alerts_count);
    }
    return put_flags(at, record->flags);
}

static size_t bytes_at_most(const struct flow_record *record)
{
    return COMMON_MAX + (record->has_tls ? TLS_MAX : 0U) + (record->has_dns ? DNS_MAX : 0U) +
           (record->has_http ? HTTP_MAX : 0U) + (record->has_ssh ? SSH_MAX : 0U) +
           (record->alerts_count > 0 ? ALERTS_MAX : 0U) +
           ((record->client.labels_count | record->server.labels_count) > 0 ? 2 * LABELS_MAX : 0U);
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

size_t codec_append_alerts(uint8_t risk_score, const struct record_text *ids, uint32_t count,
                           uint8_t *out, size_t capacity)
{
    uint8_t whole[ALERTS_MAX];
    const size_t length = (size_t)(put_alerts(whole, risk_score, ids, count) - whole);

    if (length > capacity) {
        return 0;
    }
    memcpy(out, whole, length);
    return length;
}

size_t codec_append_flag(uint8_t flag, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);

    wire_write_bytes(&w, 52, &flag, 1); /* packed */
    return w.ok ? wire_written(&w) : 0;
}

size_t codec_put_label(const struct record_label *label, uint8_t *out, size_t capacity)
{
    uint8_t body[CODEC_LABEL_BYTES_MAX];
    struct wire_writer inner = wire_writer_over(body, sizeof(body));
    struct wire_writer w = wire_writer_over(out, capacity);

    if (label->key.length > FLOW_LABEL_KEY_BYTES || label->value.length > FLOW_LABEL_VALUE_BYTES) {
        return 0;
    }
    wire_write_bytes(&inner, 1, label->key.data, label->key.length);
    if (label->value.length > 0) {
        wire_write_bytes(&inner, 2, label->value.data, label->value.length);
    }
    assert(inner.ok);
    wire_write_bytes(&w, 7, body, wire_written(&inner));
    return w.ok ? wire_written(&w) : 0;
}

size_t codec_append_labels(bool is_server, const uint8_t *run, size_t run_bytes, uint8_t *out,
                           size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);

    wire_write_bytes(&w, is_server ? 9 : 8, run, run_bytes);
    return w.ok ? wire_written(&w) : 0;
}
