/* What the files of the flow decoder share. Private to proto/codec_flow_decode*.c.
 *
 * A loop over a message asks for tags and takes each value by what its tag promises: a field with
 * an unexpected wire type has another tag and counts as unknown (protobuf.dev, "Encoding"). Every
 * value is taken or stepped over (wire_skip). A take_ that fails has made `ok` of its reader false,
 * or says so by its own result. Depends on: codec_wire.h. Pure functions, any thread. */
#pragma once

#include "proto/codec_wire.h"

#define NUMBER(field) WIRE_TAG(field, WIRE_VARINT)
#define BYTES(field)  WIRE_TAG(field, WIRE_BYTES)

/* A sub-message, or a packed list; empty where it is damaged. */
static inline struct wire_reader take_message(struct wire_reader *r)
{
    size_t length;
    const uint8_t *bytes = wire_read_bytes(r, &length);
    return wire_reader_over(bytes, length);
}

static inline struct record_text take_text(struct wire_reader *r)
{
    size_t length;
    const uint8_t *bytes = wire_read_bytes(r, &length);
    return (struct record_text){.data = (const char *)bytes, .length = (uint32_t)length};
}

static inline uint64_t take_number(struct wire_reader *r, uint64_t value_max, bool *ok)
{
    const uint64_t value = wire_read_varint(r);
    *ok = *ok && value <= value_max;
    return value;
}

static inline uint8_t take_enum(struct wire_reader *r)
{
    return number_as_enum(wire_read_varint(r));
}

static inline void take_chars(struct wire_reader *r, char *out, size_t out_bytes)
{
    text_into_chars(take_text(r), out, out_bytes);
}

MUST_USE static inline bool take_time(struct wire_reader *r, uint64_t *ns)
{
    struct wire_reader message = take_message(r);
    return read_time_message(&message, ns);
}

MUST_USE static inline bool take_flow_id(struct wire_reader *r, uint64_t *flow_id)
{
    const struct record_text text = take_text(r);
    return read_flow_id_text(text, flow_id);
}

MUST_USE static inline bool take_address(struct wire_reader *r, struct ip_address *out)
{
    const struct record_text text = take_text(r);
    return read_address_text(text, out);
}

/* Tcp behind `from`; merges. */
MUST_USE bool codec_read_tcp(struct wire_reader *from, struct flow_tcp *out);
/* A field of number 15 or 40 to 45, or one that is not known. `rcodes`: how many counts of codes
 * the record's DNS has so far. */
MUST_USE bool codec_read_flow_part(struct wire_reader *r, uint32_t tag, struct flow_record *out,
                                   unsigned *rcodes);
