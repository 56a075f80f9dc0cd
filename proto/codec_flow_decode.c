/* Reads FlowRecord: any order of fields, unknown fields stepped over, repeated sub-messages
 * merged. */
#include "proto/codec.h"
#include "proto/codec_wire.h"

/* A field with an unexpected wire type counts as unknown (protobuf.dev, "Encoding"). So each case
 * is a tag, number and type in one. */
#define NUMBER(field) WIRE_TAG(field, WIRE_VARINT)
#define BYTES(field)  WIRE_TAG(field, WIRE_BYTES)

static inline uint32_t tag_of(const struct wire_field *field)
{
    return WIRE_TAG(field->number, field->type);
}

static bool read_mac(const struct wire_field *field, struct flow_endpoint *out)
{
    if (field->length == 0) {
        out->has_mac = false;
        return true;
    }
    out->has_mac = mac_parse((const char *)field->bytes, field->length, out->mac);
    return out->has_mac;
}

static bool read_endpoint(const struct wire_field *message, struct flow_endpoint *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    while (wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case BYTES(1):
            ok &= read_address(&f, &out->ip);
            break;
        case NUMBER(2):
            out->port = (uint16_t)read_number(&f, UINT16_MAX, &ok);
            break;
        case BYTES(3):
            ok &= read_mac(&f, out);
            break;
        case BYTES(4):
            out->name = read_text(&f);
            break;
        case NUMBER(5):
            out->name_source = read_enum(&f);
            break;
        case NUMBER(6):
            out->scope = read_enum(&f);
            break;
        default: /* labels (7) are the collector's own */
            break;
        }
    }
    return r.ok && ok;
}

static bool read_counters(const struct wire_field *message, struct flow_counters *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    while (wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case NUMBER(1):
            out->delta_packets = f.value;
            break;
        case NUMBER(2):
            out->delta_bytes = f.value;
            break;
        case NUMBER(3):
            out->delta_payload_bytes = f.value;
            break;
        case NUMBER(4):
            out->total_packets = f.value;
            break;
        case NUMBER(5):
            out->total_bytes = f.value;
            break;
        case NUMBER(6):
            out->total_payload_bytes = f.value;
            break;
        case NUMBER(7):
            out->delta_ip_bytes = f.value;
            break;
        case NUMBER(8):
            out->total_ip_bytes = f.value;
            break;
        case NUMBER(9):
            out->missed_bytes = f.value;
            break;
        case NUMBER(10):
            out->ttl_min = (uint8_t)read_number(&f, UINT8_MAX, &ok);
            out->has_ttl = true;
            break;
        case NUMBER(11):
            out->ttl_max = (uint8_t)read_number(&f, UINT8_MAX, &ok);
            out->has_ttl = true;
            break;
        case NUMBER(12):
            out->dscp = (uint8_t)read_number(&f, UINT8_MAX, &ok);
            out->has_dscp = true;
            break;
        default:
            break;
        }
    }
    return r.ok && ok;
}

static bool read_direction(const struct wire_field *message, struct flow_tcp_direction *out,
                           bool *is_measured)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    while (wire_next(&r, &f)) {
        const uint32_t tag = tag_of(&f);
        *is_measured |= tag != NUMBER(1);
        switch (tag) {
        case NUMBER(1):
            out->flags = (uint8_t)read_number(&f, UINT8_MAX, &ok);
            break;
        case NUMBER(2):
            out->syn_count = (uint32_t)read_number(&f, UINT32_MAX, &ok);
            break;
        case NUMBER(3):
            out->fin_count = (uint32_t)read_number(&f, UINT32_MAX, &ok);
            break;
        case NUMBER(4):
            out->rst_count = (uint32_t)read_number(&f, UINT32_MAX, &ok);
            break;
        case NUMBER(5):
            out->retransmitted_segments = f.value;
            break;
        case NUMBER(6):
            out->retransmitted_bytes = f.value;
            break;
        case NUMBER(7):
            out->out_of_order_segments = f.value;
            break;
        case NUMBER(8):
            out->duplicate_acks = f.value;
            break;
        case NUMBER(9):
            out->zero_window_events = f.value;
            break;
        case NUMBER(10):
            out->keepalives = f.value;
            break;
        case NUMBER(11):
            out->initial_window = (uint16_t)read_number(&f, UINT16_MAX, &ok);
            out->has_initial_window = true;
            break;
        case NUMBER(12):
            out->mss = (uint16_t)read_number(&f, UINT16_MAX, &ok);
            out->has_mss = true;
            break;
        case NUMBER(13):
            out->window_scale = (uint8_t)read_number(&f, UINT8_MAX, &ok);
            out->has_window_scale = true;
            break;
        case NUMBER(14):
            out->duplicate_packets = f.value;
            break;
        default:
            break;
        }
    }
    return r.ok && ok;
}

static bool read_round_trip(const struct wire_field *message, struct flow_round_trip *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    while (wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case BYTES(1):
            ok &= read_time(&f, &out->min_ns);
            break;
        case BYTES(2):
            ok &= read_time(&f, &out->mean_ns);
            break;
        case BYTES(3):
            ok &= read_time(&f, &out->max_ns);
            break;
        case BYTES(4):
            ok &= read_time(&f, &out->last_ns);
            break;
        case BYTES(5):
            ok &= read_time(&f, &out->ewma_ns);
            break;
        case NUMBER(6):
            out->samples = (uint32_t)read_number(&f, UINT32_MAX, &ok);
            break;
        default:
            break;
        }
    }
    return r.ok && ok;
}

static bool read_tcp(const struct wire_field *message, struct flow_tcp *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    while (wire_next(&r, &f)) {
        const uint32_t tag = tag_of(&f);
        /* Compact mode sends the state and the flags alone. */
        out->is_measured |= tag != NUMBER(1) && tag != BYTES(4) && tag != BYTES(5);
        switch (tag) {
        case NUMBER(1):
            out->state = read_enum(&f);
            break;
        case BYTES(2):
            read_chars(&f, out->conn_state, sizeof out->conn_state);
            break;
        case BYTES(3):
            read_chars(&f, out->history, sizeof out->history);
            break;
        case BYTES(4):
            ok &= read_direction(&f, &out->forward, &out->is_measured);
            break;
        case BYTES(5):
            ok &= read_direction(&f, &out->reverse, &out->is_measured);
            break;
        case BYTES(6):
            ok &= read_round_trip(&f, &out->client_rtt);
            break;
        case BYTES(7):
            ok &= read_round_trip(&f, &out->server_rtt);
            break;
        case BYTES(8):
            ok &= read_time(&f, &out->handshake_ns);
            out->has_handshake = true;
            break;
        case BYTES(9):
            ok &= read_time(&f, &out->response_ns);
            out->has_response = true;
            break;
        default:
            break;
        }
    }
    return r.ok && ok;
}

/* A Timestamp of whole seconds, which may lie before 1970. */
static bool read_date(const struct wire_field *message, int64_t *seconds)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    while (wire_next(&r, &f)) {
        if (tag_of(&f) == NUMBER(1)) {
            *seconds = (int64_t)f.value;
        }
    }
    return r.ok;
}

/* The fields behind those that each handshake has. */
static bool read_tls_more(const struct wire_field *f, struct flow_tls *out)
{
    bool ok = true;
    switch (tag_of(f)) {
    case BYTES(10):
        out->client_version = read_text(f);
        break;
    case BYTES(11):
        out->alpn_selected = read_text(f);
        break;
    case NUMBER(12):
        out->group = (uint16_t)read_number(f, UINT16_MAX, &ok);
        break;
    case NUMBER(13):
        out->hello_retry = f->value != 0;
        break;
    case NUMBER(14):
        out->hello_cut = f->value != 0;
        break;
    case BYTES(15):
        out->cert_subject = read_text(f);
        break;
    case BYTES(16):
        out->cert_issuer = read_text(f);
        break;
    case BYTES(17):
        out->cert_serial = read_text(f);
        break;
    case BYTES(18):
        out->has_cert_validity = true;
        return read_date(f, &out->cert_not_before_seconds);
    case BYTES(19):
        out->has_cert_validity = true;
        return read_date(f, &out->cert_not_after_seconds);
    case NUMBER(20):
        out->cert_san_count = (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    case BYTES(21):
        out->ja3_retry = read_text(f);
        break;
    case BYTES(22):
        out->ja4_retry = read_text(f);
        break;
    default:
        break;
    }
    return ok;
}

static bool read_tls(const struct wire_field *message, struct flow_tls *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    while (wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case BYTES(1):
            out->version = read_text(&f);
            break;
        case BYTES(2):
            out->sni = read_text(&f);
            break;
        case BYTES(3):
            if (out->alpn_count < FLOW_ALPN_MAX) {
                out->alpn[out->alpn_count++] = read_text(&f);
            }
            break;
        case NUMBER(4):
            out->cipher = (uint16_t)read_number(&f, UINT16_MAX, &ok);
            break;
        case BYTES(5):
            out->ja3 = read_text(&f);
            break;
        case BYTES(6):
            out->ja3s = read_text(&f);
            break;
        case BYTES(7):
            out->ja4 = read_text(&f);
            break;
        case NUMBER(8):
            out->ech_offered = f.value != 0;
            break;
        case BYTES(9):
            out->cert_sha256 = read_text(&f);
            break;
        default:
            ok &= read_tls_more(&f, out);
            break;
        }
    }
    return r.ok && ok;
}

static bool read_dns_query(const struct wire_field *message, struct flow_dns_query *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    *out = (struct flow_dns_query){0};
    while (wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case BYTES(1):
            out->name = read_text(&f);
            break;
        case NUMBER(2):
            out->type = (uint16_t)read_number(&f, UINT16_MAX, &ok);
            break;
        case NUMBER(3):
            out->rcode = (uint16_t)read_number(&f, UINT16_MAX, &ok);
            out->has_rcode = true;
            break;
        case BYTES(4):
            ok &= read_time(&f, &out->latency_ns);
            out->has_latency = true;
            break;
        case BYTES(5):
            if (out->answers_count < FLOW_ANSWERS_MAX) {
                ok &= read_address(&f, &out->answers[out->answers_count++]);
            }
            break;
        default:
            break;
        }
    }
    return r.ok && ok;
}

/* One count of a code; codes without room are dropped. */
static void add_rcode(struct flow_dns *out, unsigned *filled, uint64_t count, bool *ok)
{
    *ok &= count <= UINT32_MAX;
    if (*filled < FLOW_RCODES) {
        out->rcode_counts[(*filled)++] = (uint32_t)count;
    }
}

static bool read_dns(const struct wire_field *message, struct flow_dns *out, unsigned *rcodes)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    while (wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case NUMBER(1):
            out->query_count = (uint32_t)read_number(&f, UINT32_MAX, &ok);
            break;
        case NUMBER(2):
            out->response_count = (uint32_t)read_number(&f, UINT32_MAX, &ok);
            break;
        case BYTES(3): {
            struct wire_reader packed = wire_reader_over(f.bytes, f.length);
            while (!wire_at_end(&packed)) {
                add_rcode(out, rcodes, wire_read_varint(&packed), &ok);
            }
            ok &= packed.ok;
            break;
        }
        case NUMBER(3): /* not packed: legal too */
            add_rcode(out, rcodes, f.value, &ok);
            break;
        case BYTES(4):
            ok &= read_time(&f, &out->response_time_ns);
            out->has_response_time = true;
            break;
        case BYTES(5):
            if (out->queries_count < FLOW_QUERIES_MAX) {
                ok &= read_dns_query(&f, &out->queries[out->queries_count++]);
            }
            break;
        case NUMBER(6):
            out->queries_omitted = (uint32_t)read_number(&f, UINT32_MAX, &ok);
            break;
        default:
            break;
        }
    }
    return r.ok && ok;
}

static bool read_http(const struct wire_field *message, struct flow_http *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    while (wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case BYTES(1):
            out->method = read_text(&f);
            break;
        case BYTES(2):
            if (out->hosts_count < FLOW_HOSTS_MAX) {
                out->hosts[out->hosts_count++] = read_text(&f);
            }
            break;
        case NUMBER(3):
            out->status = (uint16_t)read_number(&f, UINT16_MAX, &ok);
            break;
        case BYTES(4):
            out->user_agent = read_text(&f);
            break;
        case BYTES(5):
            out->path = read_text(&f);
            break;
        case BYTES(6):
            out->content_type = read_text(&f);
            break;
        case NUMBER(7):
            out->request_count = (uint32_t)read_number(&f, UINT32_MAX, &ok);
            break;
        case NUMBER(8):
            out->response_count = (uint32_t)read_number(&f, UINT32_MAX, &ok);
            break;
        default:
            break;
        }
    }
    return r.ok && ok;
}

/* A message of texts alone: `texts[n - 1]` takes field n; NULL is stepped over. */
static bool read_texts(const struct wire_field *message, struct record_text *const *texts,
                       size_t count)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    while (wire_next(&r, &f)) {
        if (f.type == WIRE_BYTES && f.number <= count && texts[f.number - 1] != NULL) {
            *texts[f.number - 1] = read_text(&f);
        }
    }
    return r.ok;
}

static bool read_tunnel(const struct wire_field *message, struct flow_tunnel *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    *out = (struct flow_tunnel){0};
    while (wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case NUMBER(1):
            out->type = read_enum(&f);
            break;
        case NUMBER(2):
            out->id = f.value;
            break;
        case BYTES(3):
            ok &= read_address(&f, &out->outer_source);
            break;
        case BYTES(4):
            ok &= read_address(&f, &out->outer_target);
            break;
        case NUMBER(5):
            out->omitted = (uint32_t)f.value;
            break;
        default:
            break;
        }
    }
    return r.ok && ok;
}

static bool read_icmp(const struct wire_field *message, struct flow_record *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    bool ok = true;
    while (wire_next(&r, &f)) {
        if (tag_of(&f) == NUMBER(1)) {
            out->icmp_type = (uint8_t)read_number(&f, UINT8_MAX, &ok);
        } else if (tag_of(&f) == NUMBER(2)) {
            out->icmp_code = (uint8_t)read_number(&f, UINT8_MAX, &ok);
        }
    }
    return r.ok && ok;
}

static bool read_app(const struct wire_field *message, struct flow_record *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    while (wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case BYTES(1):
            out->app = read_text(&f);
            break;
        case NUMBER(2):
            out->app_confidence = read_enum(&f);
            break;
        case BYTES(3):
            out->app_method = read_text(&f);
            break;
        case BYTES(4):
            out->app_carrier = read_text(&f);
            break;
        default:
            break;
        }
    }
    return r.ok;
}

static void add_flag(struct flow_record *out, uint64_t value)
{
    if (value < 8) {
        out->flags |= (uint8_t)(1U << value);
    }
}

static bool read_flags(const struct wire_field *packed, struct flow_record *out)
{
    struct wire_reader r = wire_reader_over(packed->bytes, packed->length);
    while (!wire_at_end(&r)) {
        add_flag(out, wire_read_varint(&r));
    }
    return r.ok;
}

/* The parts are zeroed where they are first met: most flows have none of them. */
static bool read_quic(const struct wire_field *message, struct flow_record *out)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    while (wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case BYTES(1):
            out->quic_version = read_text(&f);
            break;
        case NUMBER(2):
            out->quic_retry = f.value != 0;
            break;
        case NUMBER(3):
            out->quic_version_negotiation = f.value != 0;
            break;
        case NUMBER(4):
            out->quic_zero_rtt = f.value != 0;
            break;
        default:
            break;
        }
    }
    return r.ok;
}

static bool read_parts(const struct wire_field *f, struct flow_record *out, unsigned *rcodes)
{
    switch (tag_of(f)) {
    case BYTES(15):
        if (!out->has_tcp) {
            out->has_tcp = true;
            out->tcp = (struct flow_tcp){0};
        }
        return read_tcp(f, &out->tcp);
    case BYTES(40):
        out->has_icmp = true;
        return read_icmp(f, out);
    case BYTES(41):
        if (!out->has_tls) {
            out->has_tls = true;
            out->tls = (struct flow_tls){0};
        }
        return read_tls(f, &out->tls);
    case BYTES(42):
        if (!out->has_dns) {
            out->has_dns = true;
            out->dns = (struct flow_dns){0};
        }
        return read_dns(f, &out->dns, rcodes);
    case BYTES(43):
        if (!out->has_http) {
            out->has_http = true;
            out->http = (struct flow_http){0};
        }
        return read_http(f, &out->http);
    case BYTES(44): {
        if (!out->has_ssh) {
            out->has_ssh = true;
            out->ssh = (struct flow_ssh){0};
        }
        struct record_text *const texts[] = {&out->ssh.client_banner, &out->ssh.server_banner,
                                             &out->ssh.hassh, &out->ssh.hassh_server};
        return read_texts(f, texts, ARRAY_COUNT(texts));
    }
    case BYTES(45):
        return read_quic(f, out);
    default: /* risk_score, alert_ids, observers are the collector's own; the rest is unknown */
        return true;
    }
}

/* Fields 20 and above, and the rare ones. */
static bool read_rest(const struct wire_field *f, struct flow_record *out, unsigned *rcodes)
{
    bool ok = true;
    switch (tag_of(f)) {
    case NUMBER(20):
        out->end_reason = read_enum(f);
        break;
    case NUMBER(21):
        out->end_detail = read_enum(f);
        break;
    case NUMBER(22):
        out->update_index = (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    case NUMBER(23):
        out->initiator = read_enum(f);
        break;
    case NUMBER(24):
        out->ip_version = (uint8_t)read_number(f, UINT8_MAX, &ok);
        break;
    case BYTES(25):
        out->community_id = read_text(f);
        break;
    case NUMBER(30):
        out->vlan_id = (uint16_t)read_number(f, UINT16_MAX, &ok);
        out->has_vlan = true;
        break;
    case NUMBER(31):
        out->outer_vlan_id = (uint16_t)read_number(f, UINT16_MAX, &ok);
        out->has_outer_vlan = true;
        break;
    case BYTES(32):
        if (out->tunnels_count < FLOW_TUNNELS_MAX) {
            ok = read_tunnel(f, &out->tunnels[out->tunnels_count++]);
        }
        break;
    case BYTES(33):
        out->interface = read_text(f);
        break;
    case NUMBER(34):
        out->observation_point = (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    case NUMBER(35):
        out->sampling_interval = (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    case BYTES(52):
        ok = read_flags(f, out);
        break;
    case NUMBER(52): /* not packed: legal too */
        add_flag(out, f->value);
        break;
    default:
        return read_parts(f, out, rcodes);
    }
    return ok;
}

bool codec_decode_flow(const uint8_t *bytes, size_t length, struct flow_record *out)
{
    memset(out, 0, offsetof(struct flow_record, tcp)); /* the rest is zeroed where it is used */
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    unsigned rcodes = 0;
    bool ok = true;
    while (ok && wire_next(&r, &f)) {
        switch (tag_of(&f)) {
        case BYTES(1):
        case BYTES(2):
        case NUMBER(3):
            (void)read_identity(&f, &out->identity);
            break;
        case BYTES(4):
            ok = read_flow_id(&f, &out->flow_id);
            break;
        case NUMBER(5):
            out->event = read_enum(&f);
            break;
        case BYTES(6):
            ok = read_time(&f, &out->start_ns);
            break;
        case BYTES(7):
            ok = read_time(&f, &out->end_ns);
            break;
        case BYTES(8):
            ok = read_endpoint(&f, &out->client);
            break;
        case BYTES(9):
            ok = read_endpoint(&f, &out->server);
            break;
        case NUMBER(10):
            out->ip_protocol = (uint8_t)read_number(&f, UINT8_MAX, &ok);
            break;
        case BYTES(11):
            ok = read_counters(&f, &out->forward);
            break;
        case BYTES(12):
            ok = read_counters(&f, &out->reverse);
            break;
        case BYTES(13):
            ok = read_time(&f, &out->delta_start_ns);
            break;
        case BYTES(14):
            ok = read_app(&f, out);
            break;
        default:
            ok = read_rest(&f, out, &rcodes);
            break;
        }
    }
    return ok && r.ok;
}
