/* Protocol tree of DNS, mDNS and LLMNR. */
#include "sensor/wire/dns.h"
#include "sensor/wire/text.h"
#include "sensor/wire/tree_writer.h"

#define RECORDS_SHOWN_MAX  64
#define OPTIONS_SHOWN_MAX  16
#define OPTION_SHOWN_BYTES 32
#define MESSAGES_SHOWN_MAX 16

static const char *const section_names[DNS_SECTION_COUNT] = {"question", "answer", "authority",
                                                             "additional"};

static const char *option_name(uint16_t code)
{
    static const char *const names[] = {
        [3] = "nsid",           [5] = "dau",    [6] = "dhu",      [7] = "n3u",
        [8] = "client_subnet",  [9] = "expire", [10] = "cookie",  [11] = "tcp_keepalive",
        [12] = "padding",       [13] = "chain", [14] = "key_tag", [15] = "extended_error",
        [18] = "report_channel"};

    return code < sizeof(names) / sizeof(names[0]) && names[code] != NULL ? names[code] : "option";
}

/* RFC 6891: class and TTL hold other things, the data is a list of options. */
static void edns_fields(struct tree_writer *writer, const uint8_t *at,
                        const struct dns_record *record)
{
    struct dns_edns edns;
    struct cursor c = cursor_over(record->data.bytes, record->data.length);

    if (!dns_edns_read(record, &edns)) {
        return;
    }
    tree_field(writer, "edns", at, record->record_bytes,
               "OPT version=%u udp_payload_bytes=%u rcode_high=%u%s", edns.version,
               edns.udp_payload_bytes, edns.rcode_high, edns.is_dnssec_ok ? " do" : "");
    for (unsigned i = 0; i < OPTIONS_SHOWN_MAX && cursor_left(&c) > 0; i++) {
        const uint8_t *option = c.at;
        const uint16_t code = cursor_u16(&c);
        const uint16_t length = cursor_u16(&c);
        const struct wire_span value = cursor_span(&c, length);
        char hex[2 * OPTION_SHOWN_BYTES + 1];
        struct text text = text_over(hex, sizeof(hex));

        if (!c.ok) {
            tree_field(writer, "fault", option, 0, "option goes beyond the record");
            return;
        }
        text_hex(&text, value.bytes, value.length);
        tree_field(writer, "edns_option", option, 4U + length, "%s (%u) %s", option_name(code),
                   code, hex);
    }
}

static void dns_record_field(struct tree_writer *writer, const struct dns_reader *reader,
                             const struct dns_record *record)
{
    char name[DNS_NAME_TEXT_BYTES];
    char room[16];
    char data[512];
    const uint8_t *at = reader->message.at + record->offset;
    const char *type = dns_type_text(record->type, room);

    (void)dns_name_text(&record->name, name);
    if (record->section == DNS_QUESTION) {
        tree_field(writer, section_names[record->section], at, record->record_bytes, "%s %s", type,
                   name);
        return;
    }
    (void)dns_data_text(reader, record, data, sizeof(data));
    if (record->type == DNS_TYPE_OPT) { /* RFC 6891: class and TTL hold other things */
        edns_fields(writer, at, record);
        return;
    }
    tree_field(writer, section_names[record->section], at, record->record_bytes,
               "%s %.160s ttl=%us %s", type, name, record->ttl_seconds, data);
}

bool tree_dns(struct tree_writer *writer, const char *layer, const struct wire_span *message)
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
    tree_field(writer, "flags", at + 2, 2, "%s%s%s%s%s%s", dns.is_authoritative ? "aa " : "",
               dns.is_cut ? "tc " : "", dns.is_recursion_desired ? "rd " : "",
               dns.is_recursion_available ? "ra " : "", dns.is_authentic ? "ad " : "",
               dns.is_checking_disabled ? "cd " : "");
    tree_field(writer, "rcode", at + 3, 1, "%u%s%s", dns.rcode, rcode != NULL ? " " : "",
               rcode != NULL ? rcode : "");
    tree_field(writer, "counts", at + 4, 8, "%u %u %u %u", dns.counts[0], dns.counts[1],
               dns.counts[2], dns.counts[3]);
    for (unsigned i = 0; i < RECORDS_SHOWN_MAX && dns_next(&reader, &record); i++) {
        dns_record_field(writer, &reader, &record);
    }
    if (reader.status != WIRE_OK) {
        tree_field(writer, "fault", NULL, 0, "%s",
                   reader.status == WIRE_TRUNCATED ? "truncated record" : "malformed name");
    }
    return true;
}

bool tree_dns_stream(struct tree_writer *writer, const char *layer, const struct wire_span *bytes)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    bool has_any = false;

    for (unsigned i = 0; i < MESSAGES_SHOWN_MAX && cursor_left(&c) > 2; i++) {
        const uint8_t *at = c.at;
        const uint16_t length = cursor_u16(&c);
        const bool is_cut = length > cursor_left(&c);
        const struct wire_span message = cursor_span(&c, is_cut ? cursor_left(&c) : length);

        if (length < DNS_HEADER_BYTES || !tree_dns(writer, layer, &message)) {
            return has_any;
        }
        tree_field(writer, "message_bytes", at, 2, "%u", length);
        has_any = true;
    }
    return has_any;
}
