#include "proto/codec_wire.h"

bool read_time(const struct wire_field *field, uint64_t *ns)
{
    uint64_t seconds = *ns / NS_PER_SECOND;
    uint64_t nanos = *ns % NS_PER_SECOND;
    struct wire_reader r = wire_reader_over(field->bytes, field->length);
    struct wire_field part;
    while (wire_next(&r, &part)) {
        if (part.type == WIRE_VARINT && part.number == 1) {
            seconds = part.value;
        } else if (part.type == WIRE_VARINT && part.number == 2) {
            nanos = part.value;
        }
    }
    if (!r.ok || nanos >= NS_PER_SECOND || seconds >= UINT64_MAX / NS_PER_SECOND) {
        return false;
    }
    *ns = seconds * NS_PER_SECOND + nanos;
    return true;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool read_flow_id(const struct wire_field *field, uint64_t *flow_id)
{
    if (field->length > FLOW_ID_DIGITS) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < field->length; i++) {
        const int digit = hex_value(field->bytes[i]);
        if (digit < 0) {
            return false;
        }
        value = value << 4 | (uint64_t)digit;
    }
    *flow_id = value;
    return true;
}

bool read_address(const struct wire_field *field, struct ip_address *out)
{
    if (field->length == 0) {
        *out = (struct ip_address){0};
        return true;
    }
    return address_parse((const char *)field->bytes, field->length, out);
}
