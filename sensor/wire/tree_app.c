#include "sensor/wire/app.h"
#include "sensor/wire/dns.h"
#include "sensor/wire/http1.h"
#include "sensor/wire/tls_hello.h"
#include "sensor/wire/tree_writer.h"

#define DNS_RECORDS_SHOWN_MAX 64
#define PAYLOAD_SHOWN_BYTES   32

static const char *const section_names[DNS_SECTION_COUNT] = {"question", "answer", "authority",
                                                             "additional"};

static void dns_data_text(const struct dns_reader *reader, const struct dns_record *record,
                          char *out, size_t capacity)
{
    struct text text = text_over(out, capacity);
    struct ip_address address = {0};
    struct dns_name name;
    char name_text[DNS_NAME_TEXT_BYTES];
    char address_string[ADDRESS_TEXT_BYTES];

    switch (record->type) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        address.version = record->type == DNS_TYPE_A ? 4 : 6;
        if (record->data.length != (record->type == DNS_TYPE_A ? 4U : 16U)) {
            break;
        }
        memcpy(address.bytes, record->data.bytes, record->data.length);
        (void)address_text(&address, address_string);
        text_add(&text, address_string);
        return;
    case DNS_TYPE_CNAME:
    case DNS_TYPE_NS:
    case DNS_TYPE_PTR:
        if (dns_name_at(reader, dns_data_offset(reader, record), &name) != WIRE_OK) {
            break;
        }
        (void)dns_name_text(&name, name_text);
        text_add(&text, name_text);
        return;
    case DNS_TYPE_TXT:
        text_escaped(&text, record->data.bytes, record->data.length);
        return;
    default:
        break;
    }
    text_hex(&text, record->data.bytes, record->data.length);
}

static void dns_record_field(struct tree_writer *writer, const struct dns_reader *reader,
                             const struct dns_record *record)
{
    char name[DNS_NAME_TEXT_BYTES];
    char type[16];
    char data[128];
    const uint8_t *at = reader->message.at + record->offset;
    const char *known = dns_type_name(record->type);
    struct text type_text = text_over(type, sizeof(type));

    (void)dns_name_text(&record->name, name);
    if (known != NULL) {
        text_add(&type_text, known);
    } else {
        text_format(&type_text, "TYPE%u", record->type);
    }
    if (record->section == DNS_QUESTION) {
        tree_field(writer, section_names[record->section], at, record->record_bytes, "%s %s", type,
                   name);
        return;
    }
    dns_data_text(reader, record, data, sizeof(data));
    if (record->type == DNS_TYPE_OPT) { /* RFC 6891: class and TTL hold other things */
        tree_field(writer, section_names[record->section], at, record->record_bytes,
                   "OPT udp_payload_bytes=%u %s", record->class, data);
        return;
    }
    tree_field(writer, section_names[record->section], at, record->record_bytes,
               "%s %.160s ttl=%us %s", type, name, record->ttl_seconds, data);
}

static bool tree_dns(struct tree_writer *writer, const char *layer, const struct wire_span *message)
{
    struct dns dns;
    struct dns_reader reader;
    struct dns_record record;

    if (dns_parse(message, &dns, &reader) != WIRE_OK) {
        return false;
    }
    const char *rcode = dns_rcode_name(dns.rcode);
    const uint8_t *at = message->bytes;
    tree_layer(writer, layer, at, message->length);
    tree_field(writer, "id", at, 2, "0x%04x", dns.id);
    tree_field(writer, "kind", at + 2, 1, "%s", dns.is_response ? "response" : "query");
    tree_field(writer, "opcode", at + 2, 1, "%u", dns.opcode);
    tree_field(writer, "flags", at + 2, 2, "%s%s%s%s", dns.is_authoritative ? "aa " : "",
               dns.is_cut ? "tc " : "", dns.is_recursion_desired ? "rd " : "",
               dns.is_recursion_available ? "ra" : "");
    tree_field(writer, "rcode", at + 3, 1, "%u%s%s", dns.rcode, rcode != NULL ? " " : "",
               rcode != NULL ? rcode : "");
    tree_field(writer, "counts", at + 4, 8, "%u %u %u %u", dns.counts[0], dns.counts[1],
               dns.counts[2], dns.counts[3]);
    for (unsigned i = 0; i < DNS_RECORDS_SHOWN_MAX && dns_next(&reader, &record); i++) {
        dns_record_field(writer, &reader, &record);
    }
    if (reader.status != WIRE_OK) {
        tree_field(writer, "fault", NULL, 0, "%s",
                   reader.status == WIRE_TRUNCATED ? "truncated record" : "malformed name");
    }
    return true;
}

static void tree_version(struct tree_writer *writer, const char *name, uint16_t version)
{
    const char *known = tls_version_name(version);

    tree_field(writer, name, NULL, 0, "0x%04x%s%s", version, known != NULL ? " " : "",
               known != NULL ? known : "");
}

static bool tree_tls(struct tree_writer *writer, const struct wire_span *payload)
{
    struct tls_hello hello;
    const enum wire_status status = tls_record_hello(payload, &hello);

    if (status == WIRE_MALFORMED || hello.legacy_version == 0) {
        return false;
    }
    tree_layer(writer, hello.is_client ? "TLS ClientHello" : "TLS ServerHello", payload->bytes,
               payload->length);
    tree_version(writer, "record_version", hello.record_version);
    tree_version(writer, "legacy_version", hello.legacy_version);
    tree_version(writer, "version", hello.version);
    if (hello.is_client) {
        tree_field(writer, "cipher_count", hello.ciphers.bytes, hello.ciphers.length, "%u",
                   hello.cipher_count);
    } else {
        tree_field(writer, "cipher", NULL, 0, "0x%04x", hello.cipher);
    }
    tree_field(writer, "extension_count", hello.extensions.bytes, hello.extensions.length, "%u",
               hello.extension_count);
    tree_escaped(writer, hello.is_sni_host_name ? "sni" : "sni_not_a_host_name", &hello.sni);
    struct wire_span list = hello.alpn;
    struct wire_span name;
    while (tls_alpn_next(&list, &name)) {
        tree_escaped(writer, "alpn", &name);
    }
    if (hello.has_ech) {
        tree_field(writer, "encrypted_client_hello", NULL, 0, "yes");
    }
    if (status == WIRE_TRUNCATED) {
        tree_field(writer, "fault", NULL, 0, "goes on in a later segment");
    }
    return true;
}

static bool tree_http1(struct tree_writer *writer, const struct wire_span *payload)
{
    struct http1 http;

    if (http1_parse(payload, &http) != WIRE_OK) {
        return false;
    }
    tree_layer(writer, "HTTP", payload->bytes, payload->length);
    if (http.is_request) {
        tree_escaped(writer, "method", &http.method);
        tree_escaped(writer, "target", &http.target);
        tree_escaped(writer, "host", &http.host);
        tree_escaped(writer, "user_agent", &http.user_agent);
    } else {
        tree_field(writer, "status", NULL, 0, "%u", http.status);
    }
    tree_field(writer, "version", NULL, 0, "HTTP/1.%u", http.minor);
    return true;
}

static const char *app_layer_name(enum app app)
{
    switch (app) {
    case APP_DNS:
        return "DNS";
    case APP_MDNS:
        return "mDNS";
    case APP_LLMNR:
        return "LLMNR";
    case APP_SSH:
        return "SSH";
    case APP_QUIC:
        return "QUIC";
    case APP_NTP:
        return "NTP";
    case APP_DHCP:
        return "DHCP";
    case APP_DHCPV6:
        return "DHCPv6";
    default:
        return "Payload";
    }
}

void tree_payload(struct tree_writer *writer, uint8_t protocol, uint16_t source_port,
                  uint16_t target_port, const struct wire_span *payload)
{
    const struct app_guess guess = app_recognise(protocol, payload, source_port, target_port);
    struct wire_span message = *payload;
    const bool is_by_content = guess.method == APP_BY_CONTENT;

    if (payload->length == 0) {
        return;
    }
    switch (is_by_content ? guess.app : APP_UNKNOWN) {
    case APP_DNS:
    case APP_MDNS:
    case APP_LLMNR:
        if (protocol == IP_PROTOCOL_TCP && message.length > 2) { /* RFC 1035 4.2.2: a length */
            message.bytes += 2;
            message.length -= 2;
        }
        if (tree_dns(writer, app_layer_name(guess.app), &message)) {
            return;
        }
        break;
    case APP_TLS:
        if (tree_tls(writer, payload)) {
            return;
        }
        break;
    case APP_HTTP:
        if (tree_http1(writer, payload)) {
            return;
        }
        break;
    case APP_DHCP:
        if (tree_dhcp(writer, payload)) {
            return;
        }
        break;
    case APP_DHCPV6:
        if (tree_dhcpv6(writer, payload)) {
            return;
        }
        break;
    default:
        break;
    }
    tree_layer(writer, is_by_content ? app_layer_name(guess.app) : "Payload", payload->bytes,
               payload->length);
    tree_field(writer, "bytes", payload->bytes, payload->length, "%u", payload->length);
    tree_hex(writer, "data", payload->bytes,
             payload->length < PAYLOAD_SHOWN_BYTES ? payload->length : PAYLOAD_SHOWN_BYTES);
    if (guess.method != APP_BY_NOTHING) {
        tree_field(writer, "application", NULL, 0, "%s (by %s)", app_name(guess.app),
                   app_method_name(guess.method));
    }
}
