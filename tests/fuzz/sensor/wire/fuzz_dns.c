/* The DNS reader over any bytes; every name and every record's data must become bounded printable
 * text, every span lie in the message. A message that is DNS beyond doubt is also likely to be. */
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/dns.h"
#include "tests/support/packet_builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static void check_name(const struct dns_name *name)
{
    char text[DNS_NAME_TEXT_BYTES];
    const unsigned length = dns_name_text(name, text);

    if (name->length > DNS_NAME_BYTES_MAX || length != strlen(text) || length >= sizeof(text)) {
        abort();
    }
}

/* Into rooms of three sizes, each with a sentinel behind it. */
static void check_data(const struct dns_reader *reader, const struct dns_record *record)
{
    static const size_t rooms[] = {1, 12, 1000};
    char text[1001];
    char room[16];

    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        text[rooms[i]] = 0x55;
        const unsigned length = dns_data_text(reader, record, text, rooms[i]);

        if (length >= rooms[i] || strlen(text) != length || text[rooms[i]] != 0x55) {
            abort();
        }
        for (unsigned j = 0; j < length; j++) {
            if (text[j] < 0x20 || text[j] > 0x7e) {
                abort();
            }
        }
    }
    if (strlen(dns_type_text(record->type, room)) >= sizeof(room)) {
        abort();
    }
}

static void check_record(const struct dns_reader *reader, const struct dns_record *record)
{
    struct dns_name name;
    struct dns_edns edns;

    check_name(&record->name);
    check_data(reader, record);
    if (dns_edns_read(record, &edns) && record->type != DNS_TYPE_OPT) {
        abort();
    }
    if (record->data.length > 0 &&
        dns_name_at(reader, dns_data_offset(reader, record), &name) == WIRE_OK) {
        check_name(&name);
        if (dns_name_equal(&name, &record->name) != dns_name_equal(&record->name, &name) ||
            !dns_name_equal(&name, &name)) {
            abort();
        }
    }
}

/* Names that are stepped over are judged as those that are kept. */
static void check_nameless(const struct wire_span *message)
{
    struct dns header;
    struct dns_reader named, nameless;
    struct dns_record record, other;

    (void)dns_parse(message, &header, &named);
    (void)dns_parse(message, &header, &nameless);
    bool is_there = dns_next(&named, &record);
    if (is_there != (message->length % 2 == 0 ? dns_next(&nameless, &other)
                                              : dns_next_nameless(&nameless, &other))) {
        abort();
    }
    while (is_there) {
        is_there = dns_next(&named, &record);
        if (is_there != dns_next_nameless(&nameless, &other) ||
            (is_there &&
             (record.offset != other.offset || record.record_bytes != other.record_bytes ||
              record.type != other.type || record.section != other.section ||
              record.data.bytes != other.data.bytes))) {
            abort();
        }
    }
    if (named.status != nameless.status) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct wire_span message = {.bytes = data, .length = (uint32_t)size};
    struct dns header;
    struct dns_reader reader;
    struct dns_record record;

    if (dns_is_whole(&message) && !dns_is_likely(&message)) {
        abort();
    }
    if (dns_parse(&message, &header, &reader) != WIRE_OK) {
        return 0;
    }
    (void)dns_rcode_name(header.rcode);
    check_nameless(&message);
    while (dns_next(&reader, &record)) {
        check_record(&reader, &record);
        if (record.offset + record.record_bytes > size) {
            abort();
        }
    }
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    if ((size < 12 || seed % 64 == 0) && size_max >= 256) {
        struct packet_builder b;

        build_start(&b, data, size_max);
        build_dns(&b, (struct build_dns){.name = "a.very.long.name.example.com",
                                         .is_response = true,
                                         .answer = seed & 64 ? "192.0.2.1" : "2001:db8::1"});
        return b.length;
    }
    return LLVMFuzzerMutate(data, size, size_max);
}
