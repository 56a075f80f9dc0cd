#include "proto/codec.h"
#include "proto/codec_wire.h"

#define ANSWER_BYTES_MAX (2 * (DNS_TEXT_MAX + 4) + 64)
#define DNS_ANSWER_FIELD 12

static void write_dns_text(struct wire_writer *w, uint32_t field, struct record_text text)
{
    if (text.length > 0) {
        wire_write_bytes(w, field, text.data, text_clamp(text.data, text.length, DNS_TEXT_MAX));
    }
}

static void write_answer(struct wire_writer *w, const struct dns_transaction_answer *answer)
{
    uint8_t body[ANSWER_BYTES_MAX];
    struct wire_writer inner = wire_writer_over(body, sizeof(body));

    write_dns_text(&inner, 1, answer->name);
    write_number(&inner, 2, answer->type);
    write_number(&inner, 3, answer->ttl_seconds);
    write_dns_text(&inner, 4, answer->data);
    write_text(&inner, 5, answer->type_name);
    w->ok = w->ok && inner.ok;
    wire_write_bytes(w, DNS_ANSWER_FIELD, body, wire_written(&inner));
}

static void write_flags(struct wire_writer *w, const struct dns_transaction *record)
{
    write_number(w, 22, record->has_query);
    write_number(w, 23, record->has_response);
    write_number(w, 24, record->is_authoritative);
    write_number(w, 25, record->is_truncated);
    write_number(w, 26, record->is_recursion_desired);
    write_number(w, 27, record->is_recursion_available);
    write_number(w, 28, record->is_authentic);
    write_number(w, 29, record->is_checking_disabled);
    write_number(w, 30, record->is_dnssec_ok);
}

size_t codec_encode_dns(const struct dns_transaction *record, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);

    write_identity(&w, &record->identity);
    write_packet_time(&w, 4, record->time_ns);
    write_flow_id(&w, 5, record->flow_id);
    write_address(&w, 6, &record->client_ip);
    write_address(&w, 7, &record->server_ip);
    write_dns_text(&w, 8, record->name);
    write_number(&w, 9, record->type);
    if (record->has_response) {
        wire_write_varint(&w, 10, record->rcode); /* presence: 0 is an answer too */
    }
    if (record->has_latency) {
        uint8_t whole[TIME_FIELD_MAX];
        wire_write_raw(&w, whole, (size_t)(put_time_always(whole, 11, record->latency_ns) - whole));
    }
    for (unsigned i = 0; i < record->answers_count && i < DNS_ANSWERS_MAX; i++) {
        write_answer(&w, &record->answers[i]);
    }
    write_number(&w, 13, record->id);
    write_text(&w, 14, record->protocol);
    write_number(&w, 15, record->ip_protocol);
    write_text(&w, 16, record->type_name);
    write_text(&w, 17, record->rcode_name);
    write_number(&w, 18, record->client_port);
    write_number(&w, 19, record->server_port);
    write_number(&w, 20, record->class);
    write_number(&w, 21, record->opcode);
    write_flags(&w, record);
    write_number(&w, 31, record->retries);
    write_number(&w, 32, record->answers_omitted);
    write_text(&w, 33, record->community_id);
    write_number(&w, 34, record->response_bytes);
    return w.ok ? wire_written(&w) : 0;
}

/* An answer without room is counted, not refused. */
static bool read_answer(const struct wire_field *field, struct dns_transaction *out)
{
    struct wire_reader r = wire_reader_over(field->bytes, field->length);
    struct dns_transaction_answer answer = {0};
    struct wire_field f;
    bool ok = true;

    while (ok && wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_BYTES) {
            answer.name = read_text(&f);
        } else if (f.number == 2 && f.type == WIRE_VARINT) {
            answer.type = (uint16_t)read_number(&f, UINT16_MAX, &ok);
        } else if (f.number == 3 && f.type == WIRE_VARINT) {
            answer.ttl_seconds = (uint32_t)read_number(&f, UINT32_MAX, &ok);
        } else if (f.number == 4 && f.type == WIRE_BYTES) {
            answer.data = read_text(&f);
        } else if (f.number == 5 && f.type == WIRE_BYTES) {
            answer.type_name = read_text(&f);
        }
    }
    if (out->answers_count < DNS_ANSWERS_MAX) {
        out->answers[out->answers_count++] = answer;
    } else {
        out->answers_omitted++;
    }
    return ok && r.ok;
}

static bool read_bytes_field(const struct wire_field *f, struct dns_transaction *out)
{
    switch (f->number) {
    case 4:
        return read_time(f, &out->time_ns);
    case 5:
        return read_flow_id(f, &out->flow_id);
    case 6:
        return read_address(f, &out->client_ip);
    case 7:
        return read_address(f, &out->server_ip);
    case 8:
        out->name = read_text(f);
        return true;
    case 11:
        out->has_latency = true;
        return read_time(f, &out->latency_ns);
    case DNS_ANSWER_FIELD:
        return read_answer(f, out);
    case 14:
        out->protocol = read_text(f);
        return true;
    case 16:
        out->type_name = read_text(f);
        return true;
    case 17:
        out->rcode_name = read_text(f);
        return true;
    case 33:
        out->community_id = read_text(f);
        return true;
    default:
        return true;
    }
}

static bool read_flag(const struct wire_field *f, struct dns_transaction *out)
{
    bool *const flags[] = {
        &out->has_query,    &out->has_response,         &out->is_authoritative,
        &out->is_truncated, &out->is_recursion_desired, &out->is_recursion_available,
        &out->is_authentic, &out->is_checking_disabled, &out->is_dnssec_ok};

    if (f->number < 22 || f->number > 30) {
        return false;
    }
    *flags[f->number - 22] = f->value != 0;
    return true;
}

static bool read_number_field(const struct wire_field *f, struct dns_transaction *out)
{
    bool ok = true;

    switch (f->number) {
    case 9:
        out->type = (uint16_t)read_number(f, UINT16_MAX, &ok);
        break;
    case 10:
        out->rcode = (uint16_t)read_number(f, UINT16_MAX, &ok);
        break;
    case 13:
        out->id = (uint16_t)read_number(f, UINT16_MAX, &ok);
        break;
    case 15:
        out->ip_protocol = (uint8_t)read_number(f, UINT8_MAX, &ok);
        break;
    case 18:
        out->client_port = (uint16_t)read_number(f, UINT16_MAX, &ok);
        break;
    case 19:
        out->server_port = (uint16_t)read_number(f, UINT16_MAX, &ok);
        break;
    case 20:
        out->class = (uint16_t)read_number(f, UINT16_MAX, &ok);
        break;
    case 21:
        out->opcode = (uint8_t)read_number(f, UINT8_MAX, &ok);
        break;
    case 31:
        out->retries = (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    case 32:
        out->answers_omitted += (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    case 34:
        out->response_bytes = (uint32_t)read_number(f, UINT32_MAX, &ok);
        break;
    default:
        break;
    }
    return ok;
}

bool codec_decode_dns(const uint8_t *bytes, size_t length, struct dns_transaction *out)
{
    *out = (struct dns_transaction){0};
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true;

    while (ok && wire_next(&r, &f)) {
        if (read_identity(&f, &out->identity)) {
            continue;
        }
        if (f.type == WIRE_BYTES) {
            ok = read_bytes_field(&f, out);
        } else if (f.type == WIRE_VARINT && !read_flag(&f, out)) {
            ok = read_number_field(&f, out);
        }
    }
    return ok && r.ok;
}
