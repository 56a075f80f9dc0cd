/* Passive names: which address a response gives to which name. */
#include "sensor/inspect/inspect_dns_internal.h"

#include "base/ascii.h"

#define RECORDS_MAX 64 /* of one response */
#define ALIASES_MAX 12 /* names of one chain of CNAME records */

/* The name asked for and those that its CNAME records lead to. */
struct chain {
    struct dns_name names[ALIASES_MAX];
    unsigned count;
    uint32_t ttl_seconds; /* the shortest of its records */
};

static bool is_in(const struct chain *chain, const struct dns_name *name)
{
    for (unsigned i = 0; i < chain->count; i++) {
        if (dns_name_equal(&chain->names[i], name)) {
            return true;
        }
    }
    return false;
}

/* Lower case: clients vary the case at random to make answers hard to forge. False: no host name.
 */
static bool set_name(struct passive_name *out, const struct dns_name *name)
{
    char text[DNS_NAME_TEXT_BYTES];
    const unsigned length = dns_name_text(name, text);

    if (!passive_name_is_host(text, length)) {
        return false;
    }
    for (unsigned i = 0; i < length; i++) {
        out->name[i] = ascii_lower(text[i]);
    }
    out->name_length = (uint16_t)length;
    return true;
}

static bool set_address(struct passive_name *out, const struct dns_record *record)
{
    const bool is_a = record->type == DNS_TYPE_A && record->data.length == 4;

    if (!is_a && (record->type != DNS_TYPE_AAAA || record->data.length != 16)) {
        return false;
    }
    out->address = (struct ip_address){.version = is_a ? 4 : 6};
    memcpy(out->address.bytes, record->data.bytes, record->data.length);
    return true;
}

static struct passive_name name_of(const struct dns_message *message)
{
    const bool is_client = dns_client_is_flow_client(true, message->direction);

    return (struct passive_name){.time_ns = message->time_ns,
                                 .source = NAME_DNS_ANSWER,
                                 .client = is_client ? flow_client_address(message->flow)
                                                     : flow_server_address(message->flow)};
}

static bool open_reader(const struct dns_message *message, struct dns_reader *reader)
{
    struct dns header;

    return dns_parse(message->bytes, &header, reader) == WIRE_OK;
}

/* Adds what the CNAME records of the answer lead to; true when one was new. */
static bool follow(const struct dns_message *message, struct chain *chain)
{
    struct dns_reader reader;
    struct dns_record record;
    bool is_longer = false;

    if (!open_reader(message, &reader)) {
        return false;
    }
    for (unsigned i = 0; i < RECORDS_MAX && dns_next(&reader, &record) &&
                         record.section <= DNS_ANSWER && chain->count < ALIASES_MAX;
         i++) {
        struct dns_name *target = &chain->names[chain->count];

        if (record.section == DNS_ANSWER && record.type == DNS_TYPE_CNAME &&
            is_in(chain, &record.name) &&
            dns_name_at(&reader, dns_data_offset(&reader, &record), target) == WIRE_OK &&
            !is_in(chain, target)) {
            chain->count++;
            is_longer = true;
            if (record.ttl_seconds < chain->ttl_seconds) {
                chain->ttl_seconds = record.ttl_seconds;
            }
        }
    }
    return is_longer;
}

/* A and AAAA records at the end of the chain name the address as it was asked for. */
static void tell_addresses(struct inspect *inspect, const struct dns_message *message,
                           const struct dns_name *asked)
{
    struct passive_name name = name_of(message);
    struct chain chain; /* three KiB: not zeroed for what is one name mostly */
    struct dns_reader reader;
    struct dns_record record;

    if (!set_name(&name, asked)) {
        return;
    }
    chain.names[0] = *asked;
    chain.count = 1;
    chain.ttl_seconds = UINT32_MAX;
    while (message->has_alias && follow(message, &chain)) {
        /* records may stand in any order; the chain is bounded */
    }
    if (!open_reader(message, &reader)) {
        return;
    }
    for (unsigned i = 0;
         i < RECORDS_MAX && dns_next(&reader, &record) && record.section <= DNS_ANSWER; i++) {
        if (record.section == DNS_ANSWER && is_in(&chain, &record.name) &&
            set_address(&name, &record)) {
            name.ttl_seconds =
                record.ttl_seconds < chain.ttl_seconds ? record.ttl_seconds : chain.ttl_seconds;
            inspect->observer.on_name(inspect->observer.context, &name);
        }
    }
}

/* ---- reverse names ---- */

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool ends_in(const struct cursor *c, const uint8_t *tail, size_t tail_bytes)
{
    struct dns_name wanted = {.length = (uint16_t)tail_bytes};
    struct dns_name rest = {.length = (uint16_t)cursor_left(c)};

    if (!c->ok || rest.length != wanted.length) {
        return false;
    }
    memcpy(wanted.bytes, tail, tail_bytes);
    memcpy(rest.bytes, c->at, rest.length);
    return dns_name_equal(&wanted, &rest);
}

/* "1.2.0.192.in-addr.arpa" (RFC 1035 section 3.5). */
static bool address_of_reverse_4(const struct dns_name *name, struct ip_address *out)
{
    static const uint8_t tail[] = "\x07in-addr\x04"
                                  "arpa";
    struct cursor c = cursor_over(name->bytes, name->length);

    *out = (struct ip_address){.version = 4};
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t digits = cursor_u8(&c);
        unsigned value = 0;

        if (digits == 0 || digits > 3) {
            return false;
        }
        for (uint8_t j = 0; j < digits; j++) {
            const uint8_t digit = cursor_u8(&c);

            if (digit < '0' || digit > '9') {
                return false;
            }
            value = value * 10 + digit - '0';
        }
        if (value > UINT8_MAX) {
            return false;
        }
        out->bytes[3 - i] = (uint8_t)value;
    }
    return ends_in(&c, tail, sizeof(tail));
}

/* 32 nibbles, the lowest first, and "ip6.arpa" (RFC 3596 section 2.5). */
static bool address_of_reverse_6(const struct dns_name *name, struct ip_address *out)
{
    static const uint8_t tail[] = "\x03ip6\x04"
                                  "arpa";
    struct cursor c = cursor_over(name->bytes, name->length);

    *out = (struct ip_address){.version = 6};
    for (unsigned i = 0; i < 32; i++) {
        const uint8_t digits = cursor_u8(&c);
        const int value = hex_value(cursor_u8(&c));

        if (digits != 1 || value < 0) {
            return false;
        }
        out->bytes[15 - i / 2] |= (uint8_t)(i % 2 == 0 ? value : value << 4);
    }
    return ends_in(&c, tail, sizeof(tail));
}

static bool address_of_reverse(const struct dns_name *name, struct ip_address *out)
{
    return address_of_reverse_4(name, out) || address_of_reverse_6(name, out);
}

static bool set_reverse(struct passive_name *name, const struct dns_reader *reader,
                        const struct dns_record *record)
{
    struct dns_name target;

    name->source = NAME_REVERSE_DNS;
    name->ttl_seconds = record->ttl_seconds;
    return record->type == DNS_TYPE_PTR && address_of_reverse(&record->name, &name->address) &&
           dns_name_at(reader, dns_data_offset(reader, record), &target) == WIRE_OK &&
           set_name(name, &target);
}

/* ---- what a message tells ---- */

/* Where everybody hears the answer (mDNS), each record stands for itself. */
static void tell_records(struct inspect *inspect, const struct dns_message *message)
{
    struct dns_reader reader;
    struct dns_record record;

    if (!open_reader(message, &reader)) {
        return;
    }
    for (unsigned i = 0; i < RECORDS_MAX && dns_next(&reader, &record); i++) {
        struct passive_name name = name_of(message);

        name.client = (struct ip_address){.version = 0};
        name.ttl_seconds = record.ttl_seconds;
        if (record.section != DNS_QUESTION &&
            ((set_address(&name, &record) && set_name(&name, &record.name)) ||
             set_reverse(&name, &reader, &record))) {
            inspect->observer.on_name(inspect->observer.context, &name);
        }
    }
}

static void tell_reverse(struct inspect *inspect, const struct dns_message *message)
{
    struct dns_reader reader;
    struct dns_record record;

    if (!open_reader(message, &reader)) {
        return;
    }
    while (dns_next(&reader, &record) && record.section <= DNS_ANSWER) {
        struct passive_name name = name_of(message);

        if (record.section == DNS_ANSWER && set_reverse(&name, &reader, &record)) {
            inspect->observer.on_name(inspect->observer.context, &name);
            return; /* of several, the first */
        }
    }
}

void inspect_dns_names(struct inspect *inspect, const struct dns_message *message)
{
    if (inspect->observer.on_name == NULL || message->rcode != 0 || message->header.opcode != 0) {
        return;
    }
    if (message->flow->app_protocol == APP_MDNS) {
        tell_records(inspect, message);
        return;
    }
    if (message->header.counts[DNS_QUESTION] != 1 || message->header.counts[DNS_ANSWER] == 0 ||
        message->question == NULL) {
        return;
    }
    if (message->question->type == DNS_TYPE_PTR) {
        tell_reverse(inspect, message);
    } else if (message->has_alias || message->answers_count > 0) {
        tell_addresses(inspect, message, &message->question->name);
    }
}
