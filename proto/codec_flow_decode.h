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
    struct wire_reader message = wire_reader_over(bytes, length);
    if (LIKELY(bytes != NULL)) {
        message.readable = r->readable;
    }
    return message;
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

/* A Timestamp or Duration as encoders write it: seconds, then nanos, each once or left out. False:
 * it is none, or not far enough from the end of what can be read, and is left to
 * read_time_message. */
static ALWAYS_INLINE bool read_plain_time(const struct wire_reader *message, uint64_t *ns)
{
    const uint8_t *at = message->at;
    uint64_t seconds = 0, nanos = 0;
    unsigned length;

    if (message->readable - message->end < 8) {
        return false;
    }
    if (at != message->end && *at == NUMBER(1)) {
        length = wire_varint_of_word(load_le64(at + 1), &seconds);
        if (length == 0 || seconds >= UINT64_MAX / NS_PER_SECOND) {
            return false;
        }
        at += 1 + length;
    }
    if (at < message->end && *at == NUMBER(2)) {
        length = wire_varint_of_word(load_le64(at + 1), &nanos);
        if (length == 0 || nanos >= NS_PER_SECOND) {
            return false;
        }
        at += 1 + length;
    }
    *ns = seconds * NS_PER_SECOND + nanos;
    return at == message->end;
}

MUST_USE static inline bool take_time(struct wire_reader *r, uint64_t *ns)
{
    struct wire_reader message = take_message(r);
    uint64_t plain_ns;

    if (LIKELY(*ns == 0 && read_plain_time(&message, &plain_ns))) {
        *ns = plain_ns;
        return true;
    }
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
