/* Reads what applications tell of a flow (FlowRecord.tls, .dns, .http, ...). */
#include "proto/codec_flow_decode.h"

/* One more text of a list; what has no room is stepped over. */
static void add_text(struct wire_reader *from, struct record_text *texts, unsigned max,
                     uint8_t *count)
{
    const struct record_text text = take_text(from);
    if (*count < max) {
        texts[(*count)++] = text;
    }
}

/* A Timestamp of whole seconds, which may lie before 1970. */
static bool read_date(struct wire_reader *from, int64_t *seconds)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    while ((tag = wire_read_tag(&r)) != 0) {
        if (tag == NUMBER(1)) {
            *seconds = (int64_t)wire_read_varint(&r);
        } else {
            wire_skip(&r, tag);
        }
    }
    return r.ok;
}

/* The fields behind those that each handshake has. */
static bool read_tls_more(struct wire_reader *r, uint32_t tag, struct flow_tls *out)
{
    bool ok = true;
    switch (tag) {
    case BYTES(10):
        out->client_version = take_text(r);
        break;
    case BYTES(11):
        out->alpn_selected = take_text(r);
        break;
    case NUMBER(12):
        out->group = (uint16_t)take_number(r, UINT16_MAX, &ok);
        break;
    case NUMBER(13):
        out->hello_retry = wire_read_varint(r) != 0;
        break;
    case NUMBER(14):
        out->hello_cut = wire_read_varint(r) != 0;
        break;
    case BYTES(15):
        out->cert_subject = take_text(r);
        break;
    case BYTES(16):
        out->cert_issuer = take_text(r);
        break;
    case BYTES(17):
        out->cert_serial = take_text(r);
        break;
    case BYTES(18):
        out->has_cert_validity = true;
        return read_date(r, &out->cert_not_before_seconds);
    case BYTES(19):
        out->has_cert_validity = true;
        return read_date(r, &out->cert_not_after_seconds);
    case NUMBER(20):
        out->cert_san_count = (uint32_t)take_number(r, UINT32_MAX, &ok);
        break;
    case BYTES(21):
        out->ja3_retry = take_text(r);
        break;
    case BYTES(22):
        out->ja4_retry = take_text(r);
        break;
    default:
        wire_skip(r, tag);
        break;
    }
    return ok;
}

static bool read_tls(struct wire_reader *from, struct flow_tls *out)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    while ((tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case BYTES(1):
            out->version = take_text(&r);
            break;
        case BYTES(2):
            out->sni = take_text(&r);
            break;
        case BYTES(3):
            add_text(&r, out->alpn, FLOW_ALPN_MAX, &out->alpn_count);
            break;
        case NUMBER(4):
            out->cipher = (uint16_t)take_number(&r, UINT16_MAX, &ok);
            break;
        case BYTES(5):
            out->ja3 = take_text(&r);
            break;
        case BYTES(6):
            out->ja3s = take_text(&r);
            break;
        case BYTES(7):
            out->ja4 = take_text(&r);
            break;
        case NUMBER(8):
            out->ech_offered = wire_read_varint(&r) != 0;
            break;
        case BYTES(9):
            out->cert_sha256 = take_text(&r);
            break;
        default:
            ok &= read_tls_more(&r, tag, out);
            break;
        }
    }
    return r.ok && ok;
}

static bool read_dns_query(struct wire_reader *from, struct flow_dns_query *out)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    *out = (struct flow_dns_query){0};
    while ((tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case BYTES(1):
            out->name = take_text(&r);
            break;
        case NUMBER(2):
            out->type = (uint16_t)take_number(&r, UINT16_MAX, &ok);
            break;
        case NUMBER(3):
            out->rcode = (uint16_t)take_number(&r, UINT16_MAX, &ok);
            out->has_rcode = true;
            break;
        case BYTES(4):
            ok &= take_time(&r, &out->latency_ns);
            out->has_latency = true;
            break;
        case BYTES(5):
            if (out->answers_count < FLOW_ANSWERS_MAX) {
                ok &= take_address(&r, &out->answers[out->answers_count++]);
            } else {
                wire_skip(&r, tag);
            }
            break;
        default:
            wire_skip(&r, tag);
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

static bool read_dns(struct wire_reader *from, struct flow_dns *out, unsigned *rcodes)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    while ((tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case NUMBER(1):
            out->query_count = (uint32_t)take_number(&r, UINT32_MAX, &ok);
            break;
        case NUMBER(2):
            out->response_count = (uint32_t)take_number(&r, UINT32_MAX, &ok);
            break;
        case BYTES(3): {
            struct wire_reader packed = take_message(&r);
            while (!wire_at_end(&packed)) {
                add_rcode(out, rcodes, wire_read_varint(&packed), &ok);
            }
            ok &= packed.ok;
            break;
        }
        case NUMBER(3): /* not packed: legal too */
            add_rcode(out, rcodes, wire_read_varint(&r), &ok);
            break;
        case BYTES(4):
            ok &= take_time(&r, &out->response_time_ns);
            out->has_response_time = true;
            break;
        case BYTES(5):
            if (out->queries_count < FLOW_QUERIES_MAX) {
                ok &= read_dns_query(&r, &out->queries[out->queries_count++]);
            } else {
                wire_skip(&r, tag);
            }
            break;
        case NUMBER(6):
            out->queries_omitted = (uint32_t)take_number(&r, UINT32_MAX, &ok);
            break;
        default:
            wire_skip(&r, tag);
            break;
        }
    }
    return r.ok && ok;
}

static bool read_http(struct wire_reader *from, struct flow_http *out)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    while ((tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case BYTES(1):
            out->method = take_text(&r);
            break;
        case BYTES(2):
            add_text(&r, out->hosts, FLOW_HOSTS_MAX, &out->hosts_count);
            break;
        case NUMBER(3):
            out->status = (uint16_t)take_number(&r, UINT16_MAX, &ok);
            break;
        case BYTES(4):
            out->user_agent = take_text(&r);
            break;
        case BYTES(5):
            out->path = take_text(&r);
            break;
        case BYTES(6):
            out->content_type = take_text(&r);
            break;
        case NUMBER(7):
            out->request_count = (uint32_t)take_number(&r, UINT32_MAX, &ok);
            break;
        case NUMBER(8):
            out->response_count = (uint32_t)take_number(&r, UINT32_MAX, &ok);
            break;
        default:
            wire_skip(&r, tag);
            break;
        }
    }
    return r.ok && ok;
}

/* A message of texts alone: `texts[n - 1]` takes field n. */
static bool read_texts(struct wire_reader *from, struct record_text *const *texts, size_t count)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    while ((tag = wire_read_tag(&r)) != 0) {
        if ((tag & 7) == WIRE_BYTES && tag >> 3 <= count) {
            *texts[(tag >> 3) - 1] = take_text(&r);
        } else {
            wire_skip(&r, tag);
        }
    }
    return r.ok;
}

static bool read_icmp(struct wire_reader *from, struct flow_record *out)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    bool ok = true;
    while ((tag = wire_read_tag(&r)) != 0) {
        if (tag == NUMBER(1)) {
            out->icmp_type = (uint8_t)take_number(&r, UINT8_MAX, &ok);
        } else if (tag == NUMBER(2)) {
            out->icmp_code = (uint8_t)take_number(&r, UINT8_MAX, &ok);
        } else {
            wire_skip(&r, tag);
        }
    }
    return r.ok && ok;
}

static bool read_quic(struct wire_reader *from, struct flow_record *out)
{
    struct wire_reader r = take_message(from);
    uint32_t tag;
    while ((tag = wire_read_tag(&r)) != 0) {
        switch (tag) {
        case BYTES(1):
            out->quic_version = take_text(&r);
            break;
        case NUMBER(2):
            out->quic_retry = wire_read_varint(&r) != 0;
            break;
        case NUMBER(3):
            out->quic_version_negotiation = wire_read_varint(&r) != 0;
            break;
        case NUMBER(4):
            out->quic_zero_rtt = wire_read_varint(&r) != 0;
            break;
        default:
            wire_skip(&r, tag);
            break;
        }
    }
    return r.ok;
}

/* The parts are zeroed where they are first met: most flows have none of them. */
bool codec_read_flow_part(struct wire_reader *r, uint32_t tag, struct flow_record *out,
                          unsigned *rcodes)
{
    switch (tag) {
    case BYTES(15):
        if (!out->has_tcp) {
            out->has_tcp = true;
            out->tcp = (struct flow_tcp){0};
        }
        return codec_read_tcp(r, &out->tcp);
    case BYTES(40):
        out->has_icmp = true;
        return read_icmp(r, out);
    case BYTES(41):
        if (!out->has_tls) {
            out->has_tls = true;
            out->tls = (struct flow_tls){0};
        }
        return read_tls(r, &out->tls);
    case BYTES(42):
        if (!out->has_dns) {
            out->has_dns = true;
            out->dns = (struct flow_dns){0};
        }
        return read_dns(r, &out->dns, rcodes);
    case BYTES(43):
        if (!out->has_http) {
            out->has_http = true;
            out->http = (struct flow_http){0};
        }
        return read_http(r, &out->http);
    case BYTES(44): {
        if (!out->has_ssh) {
            out->has_ssh = true;
            out->ssh = (struct flow_ssh){0};
        }
        struct record_text *const texts[] = {&out->ssh.client_banner, &out->ssh.server_banner,
                                             &out->ssh.hassh, &out->ssh.hassh_server};
        return read_texts(r, texts, ARRAY_COUNT(texts));
    }
    case BYTES(45):
        return read_quic(r, out);
    case NUMBER(50): {
        bool ok = true;

        out->risk_score = (uint8_t)take_number(r, UINT8_MAX, &ok);
        return ok;
    }
    case BYTES(51):
        add_text(r, out->alert_ids, FLOW_ALERTS_MAX, &out->alerts_count);
        return true;
    default: /* observers are the collector's own; the rest is unknown */
        wire_skip(r, tag);
        return true;
    }
}
