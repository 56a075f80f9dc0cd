/* Steps that the codecs share: fields written without asking for room, and values read with their
 * bounds. Private to proto/codec_*.c.
 *
 * The put_ functions return the new end; the caller has made sure of the room. Defaults are left
 * out (proto3) unless the name ends in _always. Pure functions, any thread. Depends on: base,
 * record.h. */
#pragma once

#include <string.h>

#include "base/attributes.h"
#include "base/byte_order.h"
#include "base/wire_format.h"
#include "proto/record.h"

#define NS_PER_SECOND  UINT64_C(1000000000)
#define TEXT_BYTES_MAX 256                  /* longer texts are cut */
#define NAME_BYTES_MAX 255                  /* RFC 1035 section 2.3.4 */
#define DNS_TEXT_MAX   1024                 /* such a name with each byte as \DDD */
#define TEXT_FIELD_MAX (TEXT_BYTES_MAX + 4) /* with tag and length */
#define FLOW_ID_DIGITS 16
#define SENSOR_ID_MAX  255
#define BOOT_ID_MAX    40

/* ---- writing ---- */

/* `field` is a constant below 2048, so that this is one or two stores. */
static inline uint8_t *put_tag(uint8_t *at, uint32_t field, enum wire_type type)
{
    const uint32_t tag = WIRE_TAG(field, type);
    if (tag < 0x80) {
        *at = (uint8_t)tag;
        return at + 1;
    }
    at[0] = (uint8_t)(tag | 0x80);
    at[1] = (uint8_t)(tag >> 7);
    return at + 2;
}

/* Groups of seven bits of `value` below 2^56, a byte each, without the bits that say that more
 * follow. */
static inline uint64_t spread_56(uint64_t value)
{
    /* Moving the upper half of each part to the left is adding it as often as that takes. */
    value += (value & UINT64_C(0x00fffffff0000000)) * 15;
    value += (value & UINT64_C(0x0fffc0000fffc000)) * 3;
    return value + (value & UINT64_C(0x3f803f803f803f80));
}

/* A varint in the lowest bytes, zeros above. */
struct numeral {
    uint64_t bytes;
    unsigned length;
};

/* The same of values below 2^28. */
static inline uint64_t spread_28(uint64_t value)
{
    value += (value & 0x0fffc000) * 3;
    return value + (value & UINT64_C(0x3f803f80));
}

static ALWAYS_INLINE struct numeral numeral_of_spread(uint64_t spread)
{
    static const uint64_t more_follow[8] = {0,
                                            0x80,
                                            0x8080,
                                            0x808080,
                                            UINT64_C(0x80808080),
                                            UINT64_C(0x8080808080),
                                            UINT64_C(0x808080808080),
                                            UINT64_C(0x80808080808080)};
    const unsigned last = ((unsigned)__builtin_clzll(spread | 1) ^ 63) / 8;

    return (struct numeral){.bytes = spread | more_follow[last], .length = last + 1};
}

/* Of a value below 2^56. Without jumps: how long the numbers of flows are cannot be foretold. */
static ALWAYS_INLINE struct numeral numeral_of(uint64_t value)
{
    return numeral_of_spread(spread_56(value));
}

/* Of a value below 2^28. */
static ALWAYS_INLINE struct numeral numeral_of_28(uint64_t value)
{
    return numeral_of_spread(spread_28(value));
}

/* The same of a value below 256. */
static ALWAYS_INLINE struct numeral numeral_of_byte(uint8_t value)
{
    const unsigned high = value >> 7;

    return (struct numeral){.bytes = value | high << 8, .length = 1 + high};
}

/* The same of a value below 2^14. */
static ALWAYS_INLINE struct numeral numeral_of_14(uint64_t value)
{
    const uint64_t more = (value + (0x4000 - 0x80)) >> 14; /* 1: two bytes */

    return (struct numeral){.bytes = (value + (value & 0x3f80)) | more << 7,
                            .length = 1 + (unsigned)more};
}

/* How many of the eight bytes at `text` are before the first NUL; 8: there is none. */
static ALWAYS_INLINE unsigned text_length_8(const char *text)
{
    const uint64_t x = load_le64(text);
    const uint64_t zeros = (x - UINT64_C(0x0101010101010101)) & ~x & UINT64_C(0x8080808080808080);
    return zeros == 0 ? 8 : (unsigned)__builtin_ctzll(zeros) / 8;
}

#define FIELD_TOUCHES 8 /* bytes from where a numeral's field begins, also where it takes fewer */

/* Tag and varint in one store, which counts only where `is_there`. Together they take at most eight
 * bytes: a value below 2^49, below 2^42 from field 16 on. */
static ALWAYS_INLINE uint8_t *put_numeral_if(uint8_t *at, uint32_t field, struct numeral numeral,
                                             bool is_there)
{
    const uint32_t tag = WIRE_TAG(field, WIRE_VARINT);
    const unsigned tag_length = tag < 0x80 ? 1 : 2;
    const uint64_t tag_bytes = tag < 0x80 ? tag : (tag & 0x7f) | 0x80 | tag >> 7 << 8;

    store_le64(at, tag_bytes | numeral.bytes << 8 * tag_length);
    return at + ((tag_length + numeral.length) & (0U - (unsigned)is_there));
}

static ALWAYS_INLINE uint8_t *put_byte(uint8_t *at, uint32_t field, uint8_t value)
{
    return put_numeral_if(at, field, numeral_of_byte(value), value != 0);
}

/* A value below 128: a flag, an enum, a number of SYNs. Touches four bytes. */
static ALWAYS_INLINE uint8_t *put_small(uint8_t *at, uint32_t field, uint32_t value)
{
    const uint32_t tag = WIRE_TAG(field, WIRE_VARINT);

    if (tag < 0x80) {
        store_le32(at, tag | value << 8);
        return at + (value != 0 ? 2 : 0);
    }
    store_le32(at, (tag & 0x7f) | 0x80 | tag >> 7 << 8 | value << 16);
    return at + (value != 0 ? 3 : 0);
}

/* A value of 32 bits, mostly small: how often something was seen. */
static ALWAYS_INLINE uint8_t *put_count(uint8_t *at, uint32_t field, uint32_t value)
{
    return put_numeral_if(at, field, numeral_of(value), value != 0);
}

/* Touches eight bytes where it takes fewer, all within NUMBER_FIELD_MAX of a field. */
static inline uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    if (LIKELY(value < 0x80)) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (LIKELY(value < UINT64_C(1) << 56)) {
        const struct numeral numeral = numeral_of(value);
        store_le64(at, numeral.bytes);
        return at + numeral.length;
    }
    return wire_put_varint(at, value);
}

static inline uint8_t *put_number_always(uint8_t *at, uint32_t field, uint64_t value)
{
    return put_varint(put_tag(at, field, WIRE_VARINT), value);
}

static inline uint8_t *put_number(uint8_t *at, uint32_t field, uint64_t value)
{
    return value == 0 ? at : put_number_always(at, field, value);
}

/* The length of `text` within `length_max`, not cutting a UTF-8 sequence in two. */
static inline uint32_t text_clamp(const char *text, uint32_t length, uint32_t length_max)
{
    if (LIKELY(length <= length_max)) {
        return length;
    }
    length = length_max;
    while (length > 0 && ((uint8_t)text[length] & 0xc0) == 0x80) {
        length--;
    }
    return length;
}

static inline uint8_t *put_text_always(uint8_t *at, uint32_t field, struct record_text text,
                                       uint32_t length_max)
{
    const uint32_t length = text_clamp(text.data, text.length, length_max);
    return wire_put_bytes(put_tag(at, field, WIRE_BYTES), text.data, length);
}

static inline uint8_t *put_text(uint8_t *at, uint32_t field, struct record_text text,
                                uint32_t length_max)
{
    return text.length == 0 ? at : put_text_always(at, field, text, length_max);
}

/* The same where most are of at most 16 bytes, without a call for these. */
static ALWAYS_INLINE uint8_t *put_short_text(uint8_t *at, uint32_t field, struct record_text text)
{
    if (text.length == 0) {
        return at;
    }
    if (LIKELY(text.length <= 16)) {
        at = put_tag(at, field, WIRE_BYTES);
        *at = (uint8_t)text.length;
        wire_copy(at + 1, text.data, text.length);
        return at + 1 + text.length;
    }
    return put_text_always(at, field, text, TEXT_BYTES_MAX);
}

/* The same where most are of 16 to 32 bytes, without a call for these. */
static ALWAYS_INLINE uint8_t *put_middle_text(uint8_t *at, uint32_t field, struct record_text text)
{
    if (LIKELY(text.length - 16 <= 16)) {
        at = put_tag(at, field, WIRE_BYTES);
        *at = (uint8_t)text.length;
        wire_copy_ends(at + 1, (const uint8_t *)text.data, text.length);
        return at + 1 + text.length;
    }
    return put_text(at, field, text, TEXT_BYTES_MAX);
}

/* A sub-message: its fields go to where begin_message points, one byte is kept for the length. */
static inline uint8_t *begin_message(uint8_t *at, uint32_t field)
{
    return put_tag(at, field, WIRE_BYTES) + 1;
}

static inline uint8_t *end_message(uint8_t *body, uint8_t *end)
{
    const size_t length = (size_t)(end - body);
    if (LIKELY(length < 0x80)) {
        body[-1] = (uint8_t)length;
        return end;
    }
    const unsigned extra = wire_varint_bytes(length) - 1;
    memmove(body + extra, body, length);
    wire_put_varint(body - 1, length);
    return end + extra;
}

/* The same for a message that is most likely of 128 bytes and more: two bytes are kept. */
static inline uint8_t *begin_long_message(uint8_t *at, uint32_t field)
{
    return put_tag(at, field, WIRE_BYTES) + 2;
}

static inline uint8_t *end_long_message(uint8_t *body, uint8_t *end)
{
    const size_t length = (size_t)(end - body);
    if (LIKELY(length >= 0x80 && length < 0x4000)) {
        body[-2] = (uint8_t)(length | 0x80);
        body[-1] = (uint8_t)(length >> 7);
        return end;
    }
    const unsigned bytes = wire_varint_bytes(length);
    memmove(body - 2 + bytes, body, length);
    wire_put_varint(body - 2, length);
    return end - 2 + bytes;
}

/* A Timestamp or Duration, which look alike on the wire: seconds = 1, nanos = 2, each left out
 * where it is 0. All of it but the tag, in two words. */
struct time_fields {
    uint64_t head; /* from the lowest byte on: room for the tag, the length, seconds */
    uint64_t tail; /* nanos */
    unsigned head_length, tail_length;
};

#define TIME_NANOS_TAG ((uint64_t)WIRE_TAG(2, WIRE_VARINT))

static ALWAYS_INLINE struct time_fields time_fields_of(uint64_t ns)
{
    const uint64_t seconds = ns / NS_PER_SECOND; /* below 2^35: five bytes at most */
    const uint64_t nanos = ns - seconds * NS_PER_SECOND;
    const struct numeral of_nanos = numeral_of(nanos);
    struct time_fields fields = {.tail = TIME_NANOS_TAG | of_nanos.bytes << 8,
                                 .tail_length =
                                     (1 + of_nanos.length) & (0U - (unsigned)(nanos != 0))};

    if (LIKELY(seconds >> 28 != 0)) { /* 1978 and later: five bytes */
        fields.head = spread_56(seconds) | UINT64_C(0x80808080);
        fields.head_length = 8;
    } else if (seconds != 0) {
        const struct numeral of_seconds = numeral_of_28(seconds);

        fields.head = of_seconds.bytes;
        fields.head_length = 3 + of_seconds.length;
    } else {
        fields.head = (uint64_t)fields.tail_length << 8;
        fields.head_length = 2;
        return fields;
    }
    fields.head = fields.head << 24 | (uint64_t)WIRE_TAG(1, WIRE_VARINT) << 16 |
                  (uint64_t)(fields.head_length - 2 + fields.tail_length) << 8;
    return fields;
}

/* Touches eight bytes more than it takes at most. A field below 16. */
#define TIME_FIELD_MAX 24
static ALWAYS_INLINE uint8_t *put_time_fields(uint8_t *at, uint32_t field,
                                              const struct time_fields *of)
{
    store_le64(at, of->head | WIRE_TAG(field, WIRE_BYTES));
    at += of->head_length;
    store_le64(at, of->tail);
    return at + of->tail_length;
}

/* Most durations are below a second: field 2 alone, and all of it in one store. A field below 16.
 */
static ALWAYS_INLINE uint8_t *put_time_always(uint8_t *at, uint32_t field, uint64_t ns)
{
    if (LIKELY(ns < NS_PER_SECOND)) {
        const struct numeral nanos = numeral_of(ns); /* five bytes at most */
        const unsigned length = (1 + nanos.length) & (0U - (unsigned)(ns != 0));

        store_le64(at, WIRE_TAG(field, WIRE_BYTES) | (uint64_t)length << 8 | TIME_NANOS_TAG << 16 |
                           nanos.bytes << 24);
        return at + 2 + length;
    }
    const struct time_fields fields = time_fields_of(ns);
    return put_time_fields(at, field, &fields);
}

/* The eight hexadecimal digits of `value`, most significant first. */
static inline void hex_digits(uint8_t *out, uint32_t value)
{
    /* One nibble a byte, then all eight become digits at once: 10..15 carry into bit 4. */
    uint64_t x = value;
    x = (x & UINT64_C(0xffff0000)) << 16 | (x & 0xffff);
    x = (x & UINT64_C(0x0000ff000000ff00)) << 8 | (x & UINT64_C(0x000000ff000000ff));
    x = (x & UINT64_C(0x00f000f000f000f0)) << 4 | (x & UINT64_C(0x000f000f000f000f));
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t is_letter = ((x + 6 * ones) >> 4) & ones;
    x += '0' * ones + is_letter * ('a' - '0' - 10);
    store_le64(out, __builtin_bswap64(x)); /* the first digit lies at the lowest address */
}

static inline uint8_t *put_flow_id(uint8_t *at, uint32_t field, uint64_t flow_id)
{
    if (flow_id == 0) {
        return at;
    }
    at = put_tag(at, field, WIRE_BYTES);
    *at++ = FLOW_ID_DIGITS;
    hex_digits(at, (uint32_t)(flow_id >> 32));
    hex_digits(at + 8, (uint32_t)flow_id);
    return at + FLOW_ID_DIGITS;
}

static inline uint8_t *put_address(uint8_t *at, uint32_t field, const struct ip_address *address)
{
    if (address->version == 0) {
        return at;
    }
    at = put_tag(at, field, WIRE_BYTES);
    const unsigned length = address_text(address, (char *)at + 1);
    *at = (uint8_t)length;
    return at + 1 + length;
}

#define IDENTITY_BYTES_MAX (SENSOR_ID_MAX + 3 + BOOT_ID_MAX + 3 + 11)
static inline uint8_t *put_identity(uint8_t *at, const struct record_identity *identity)
{
    if (identity->seq == 0) {
        return at;
    }
    at = put_text(at, 1, identity->sensor_id, SENSOR_ID_MAX);
    at = put_text(at, 2, identity->boot_id, BOOT_ID_MAX);
    return put_number_always(at, 3, identity->seq);
}

/* ---- the same into a bounded writer, for records that are not hot ---- */

static inline void write_number(struct wire_writer *w, uint32_t field, uint64_t value)
{
    if (value != 0) {
        wire_write_varint(w, field, value);
    }
}

static inline void write_double(struct wire_writer *w, uint32_t field, double value)
{
    if (value != 0.0) {
        wire_write_double(w, field, value);
    }
}

static inline void write_text(struct wire_writer *w, uint32_t field, struct record_text text)
{
    if (text.length > 0) {
        wire_write_bytes(w, field, text.data, text_clamp(text.data, text.length, TEXT_BYTES_MAX));
    }
}

/* NULL and "" are left out. */
static inline void write_chars(struct wire_writer *w, uint32_t field, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        wire_write_text(w, field, text);
    }
}

/* Of a packet: 0 is the epoch itself, which captures without times have. */
static inline void write_packet_time(struct wire_writer *w, uint32_t field, uint64_t ns)
{
    uint8_t whole[TIME_FIELD_MAX];

    /* Behind tag and length: `field` may be above 15. */
    const uint8_t *end = put_time_always(whole, 1, ns);
    wire_write_bytes(w, field, whole + 2, (size_t)(end - whole) - 2);
}

/* 0 is none, and left out. */
static inline void write_time(struct wire_writer *w, uint32_t field, uint64_t ns)
{
    if (ns != 0) {
        write_packet_time(w, field, ns);
    }
}

static inline void write_flow_id(struct wire_writer *w, uint32_t field, uint64_t flow_id)
{
    uint8_t whole[FLOW_ID_DIGITS + 4];
    wire_write_raw(w, whole, (size_t)(put_flow_id(whole, field, flow_id) - whole));
}

static inline void write_address(struct wire_writer *w, uint32_t field,
                                 const struct ip_address *address)
{
    uint8_t whole[ADDRESS_TEXT_BYTES + 4];
    wire_write_raw(w, whole, (size_t)(put_address(whole, field, address) - whole));
}

static inline void write_identity(struct wire_writer *w, const struct record_identity *identity)
{
    uint8_t whole[IDENTITY_BYTES_MAX];
    wire_write_raw(w, whole, (size_t)(put_identity(whole, identity) - whole));
}

/* ---- reading: false or `ok` false = the value is out of its bounds ---- */

static inline struct record_text read_text(const struct wire_field *field)
{
    return (struct record_text){.data = (const char *)field->bytes,
                                .length = (uint32_t)field->length};
}

/* A fixed array with a NUL; what has no room is cut. */
static inline void text_into_chars(struct record_text text, char *out, size_t out_bytes)
{
    const uint32_t length = text_clamp(text.data, text.length, (uint32_t)out_bytes - 1);
    if (length > 0 && text.data != NULL) {
        memcpy(out, text.data, length);
    }
    out[length] = '\0';
}

static inline void read_chars(const struct wire_field *field, char *out, size_t out_bytes)
{
    text_into_chars(read_text(field), out, out_bytes);
}

static inline uint64_t read_number(const struct wire_field *field, uint64_t value_max, bool *ok)
{
    *ok = *ok && field->value <= value_max;
    return field->value;
}

/* A value of a later version is kept where it fits, else it is unspecified. */
static inline uint8_t number_as_enum(uint64_t value)
{
    return value <= UINT8_MAX ? (uint8_t)value : 0;
}

static inline uint8_t read_enum(const struct wire_field *field)
{
    return number_as_enum(field->value);
}

/* Merges: a part that is missing keeps its value. Times before 1970 and after 2554 are refused. */
MUST_USE bool read_time_message(struct wire_reader *message, uint64_t *ns);
MUST_USE bool read_flow_id_text(struct record_text text, uint64_t *flow_id);
MUST_USE bool read_address_text(struct record_text text, struct ip_address *out);

MUST_USE static inline bool read_time(const struct wire_field *field, uint64_t *ns)
{
    struct wire_reader message = wire_reader_over(field->bytes, field->length);
    return read_time_message(&message, ns);
}

MUST_USE static inline bool read_flow_id(const struct wire_field *field, uint64_t *flow_id)
{
    return read_flow_id_text(read_text(field), flow_id);
}

MUST_USE static inline bool read_address(const struct wire_field *field, struct ip_address *out)
{
    return read_address_text(read_text(field), out);
}

/* Fields 1, 2, 3 of every record. False when `field` is none of them. */
static inline bool read_identity(const struct wire_field *field, struct record_identity *out)
{
    if (field->number == 1 && field->type == WIRE_BYTES) {
        out->sensor_id = read_text(field);
    } else if (field->number == 2 && field->type == WIRE_BYTES) {
        out->boot_id = read_text(field);
    } else if (field->number == 3 && field->type == WIRE_VARINT) {
        out->seq = field->value;
    } else {
        return false;
    }
    return true;
}
