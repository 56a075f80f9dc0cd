/* What a fragment says of itself, from any bytes as an IP packet: the first byte of the input is
 * its first byte. What is read must be in the packet's own terms: offsets in units of eight,
 * addresses where the header has them. */
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/fragment.h"
#include "tests/support/packet_builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static void check(int holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct wire_span frame = {.bytes = data, .length = (uint32_t)size};
    struct fragment fragment;

    check(!fragment_read(&frame, (uint32_t)size, &fragment)); /* nothing there */
    if (!fragment_read(&frame, 0, &fragment)) {
        return 0;
    }
    check(fragment.ip_version == 4 || fragment.ip_version == 6);
    check(fragment.ip_version == data[0] >> 4);
    check(fragment.offset_bytes % 8 == 0 && fragment.offset_bytes <= 65528);
    check(fragment.data_bytes <= 65535 || fragment.data_bytes <= size);
    check(memcmp(fragment.source, data + (fragment.ip_version == 4 ? 12 : 8),
                 fragment.ip_version == 4 ? 4 : 16) == 0);
    check(!fragment.is_atomic || (!fragment.has_more && fragment.offset_bytes == 0));
    check(fragment_first_bytes_min(fragment.protocol) <= 64);
    return 0;
}

static size_t build(uint8_t *data, size_t size_max, unsigned kind)
{
    const struct build_ip v6 = {.source = "2001:db8::1", .target = "2001:db8::2"};
    struct packet_builder b;

    if (size_max < 512) {
        return 0;
    }
    build_start(&b, data, size_max);
    if (kind & 1) {
        build_ipv6(&b, v6);
        if (kind & 2) {
            build_extension(&b, 0, 8);
        }
        build_fragment(&b, (uint16_t)(kind >> 3 & 3), (kind & 4) != 0, 7);
        build_udp(&b, 1, 2);
    } else {
        build_ipv4(&b, (struct build_ip){.source = "10.0.0.1", .target = "10.0.0.2"});
        build_udp(&b, 1, 2);
    }
    build_text(&b, "0123456789abcdef");
    build_finish(&b);
    if ((kind & 1) == 0) {
        data[6] = (uint8_t)(kind & 2 ? 0x20 : 0); /* more */
        data[7] = (uint8_t)(kind >> 2 & 7);
    }
    return b.length;
}

/* Once in a while a new packet of the builder, otherwise the usual mutations. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    if (size < 20 || seed % 64 == 0) {
        const size_t built = build(data, size_max, seed / 64);

        if (built > 0) {
            return built;
        }
    }
    return LLVMFuzzerMutate(data, size, size_max);
}
