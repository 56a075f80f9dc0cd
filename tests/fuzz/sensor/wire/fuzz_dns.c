/* The DNS reader over any bytes; every name must become bounded printable text, every span lie in
 * the message. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct wire_span message = {.bytes = data, .length = (uint32_t)size};
    struct dns header;
    struct dns_reader reader;
    struct dns_record record;

    if (dns_parse(&message, &header, &reader) != WIRE_OK) {
        return 0;
    }
    while (dns_next(&reader, &record)) {
        struct dns_name name;

        check_name(&record.name);
        if (record.offset + record.record_bytes > size) {
            abort();
        }
        if (record.data.length > 0 &&
            dns_name_at(&reader, dns_data_offset(&reader, &record), &name) == WIRE_OK) {
            check_name(&name);
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
