#include "sensor/capture/pcap_format.h"

#include <string.h>

#include "base/clock.h"

#define BLOCK_SECTION   0x0a0d0d0aU
#define BLOCK_INTERFACE 1U
#define BLOCK_PACKET    6U
#define BYTE_ORDER      0x1a2b3c4dU
#define OPTION_NAME     2U
#define OPTION_UNIT     9U /* if_tsresol */
#define PACKET_HEAD     28U

static uint8_t *put16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static uint32_t padding(uint32_t bytes)
{
    return (4U - (bytes & 3U)) & 3U;
}

size_t pcap_format_file(bool is_nanosecond, uint16_t link_type, uint8_t *out)
{
    uint8_t *at = put32(out, is_nanosecond ? 0xa1b23c4dU : 0xa1b2c3d4U);
    at = put16(at, 2);
    at = put16(at, 4);
    at = put32(at, 0); /* time zone */
    at = put32(at, 0); /* accuracy */
    at = put32(at, PCAP_FORMAT_FRAME_MAX);
    at = put32(at, link_type);
    return (size_t)(at - out);
}

size_t pcap_format_record(bool is_nanosecond, uint64_t time_ns, uint32_t captured_bytes,
                          uint32_t wire_bytes, uint8_t *out)
{
    const uint64_t fraction = time_ns % NS_PER_SEC;
    uint8_t *at = put32(out, (uint32_t)(time_ns / NS_PER_SEC));
    at = put32(at, (uint32_t)(is_nanosecond ? fraction : fraction / 1000));
    at = put32(at, captured_bytes);
    at = put32(at, wire_bytes);
    return (size_t)(at - out);
}

size_t pcapng_format_section(uint8_t *out)
{
    uint8_t *at = put32(out, BLOCK_SECTION);
    at = put32(at, 28);
    at = put32(at, BYTE_ORDER);
    at = put16(at, 1);
    at = put16(at, 0);
    at = put32(at, UINT32_MAX); /* length of the section: not known */
    at = put32(at, UINT32_MAX);
    at = put32(at, 28);
    return (size_t)(at - out);
}

/* An option, padded to 32 bits. */
static uint8_t *put_option(uint8_t *at, uint16_t code, const void *value, uint16_t bytes)
{
    at = put16(at, code);
    at = put16(at, bytes);
    memcpy(at, value, bytes);
    memset(at + bytes, 0, padding(bytes));
    return at + bytes + padding(bytes);
}

size_t pcapng_format_interface(uint16_t link_type, uint32_t snaplen_bytes, const char *name,
                               uint8_t *out)
{
    const uint8_t nanoseconds = 9; /* 10^-9 */
    const size_t length = strnlen(name, PCAP_FORMAT_NAME_MAX);
    uint8_t *at = put32(out, BLOCK_INTERFACE);
    at = put32(at, 0); /* the length of the block, below */
    at = put16(at, link_type);
    at = put16(at, 0);
    at = put32(at, snaplen_bytes);
    if (length > 0) {
        at = put_option(at, OPTION_NAME, name, (uint16_t)length);
    }
    at = put_option(at, OPTION_UNIT, &nanoseconds, 1);
    at = put32(at, 0); /* end of the options */
    const uint32_t bytes = (uint32_t)(at - out) + 4;
    put32(at, bytes);
    put32(out + 4, bytes);
    return bytes;
}

size_t pcapng_format_packet(uint32_t interface, uint64_t time_ns, uint32_t captured_bytes,
                            uint32_t wire_bytes, uint8_t *out)
{
    uint8_t *at = put32(out, BLOCK_PACKET);
    at = put32(at, PACKET_HEAD + captured_bytes + padding(captured_bytes) + 4);
    at = put32(at, interface);
    at = put32(at, (uint32_t)(time_ns >> 32));
    at = put32(at, (uint32_t)time_ns);
    at = put32(at, captured_bytes);
    at = put32(at, wire_bytes);
    return (size_t)(at - out);
}

size_t pcapng_format_packet_end(uint32_t captured_bytes, uint8_t *out)
{
    const uint32_t pad = padding(captured_bytes);
    memset(out, 0, pad);
    put32(out + pad, PACKET_HEAD + captured_bytes + pad + 4);
    return pad + 4;
}
