#include "proto/codec_wire.h"

#include "base/ascii.h"

bool read_time_message(struct wire_reader *message, uint64_t *ns)
{
    uint64_t seconds = *ns / NS_PER_SECOND;
    uint64_t nanos = *ns - seconds * NS_PER_SECOND;
    struct wire_reader r = *message;
    uint32_t tag;
    while ((tag = wire_read_tag(&r)) != 0) {
        if (tag == WIRE_TAG(1, WIRE_VARINT)) {
            seconds = wire_read_varint(&r);
        } else if (tag == WIRE_TAG(2, WIRE_VARINT)) {
            nanos = wire_read_varint(&r);
        } else {
            wire_skip(&r, tag);
        }
    }
    if (!r.ok || nanos >= NS_PER_SECOND || seconds >= UINT64_MAX / NS_PER_SECOND) {
        return false;
    }
    *ns = seconds * NS_PER_SECOND + nanos;
    return true;
}

bool read_flow_id_text(struct record_text text, uint64_t *flow_id)
{
    if (text.length > FLOW_ID_DIGITS) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        const int digit = ascii_hex_value(text.data[i]);
        if (digit < 0) {
            return false;
        }
        value = value << 4 | (uint64_t)digit;
    }
    *flow_id = value;
    return true;
}

bool read_address_text(struct record_text text, struct ip_address *out)
{
    if (text.length == 0) {
        *out = (struct ip_address){0};
        return true;
    }
    return address_parse(text.data, text.length, out);
}
