#include "sensor/wire/gquic.h"

enum {
    /* Public header (to Q043). */
    FLAG_VERSION = 0x01,
    FLAG_RESET = 0x02,
    FLAG_ID = 0x08,
    NUMBER_SHIFT = 4,
    ID_BYTES = 8,
    /* Q044 to Q046. */
    FLAG_LONG = 0x80,

    HASH_BYTES = 12,       /* of a packet that is not encrypted */
    NO_PRIVATE_FLAGS = 34, /* the first version without a byte of them behind the hash */
    FRAME_STREAM = 0x80,
    FRAME_PADDING = 0x00,
    FRAME_PING = 0x07,
    FRAMES_MAX = 16,
    TAG_BYTES = 8, /* with the end of its value */
    TAGS_MAX = 128,
};

#define TAG_CHLO 0x43484c4fU /* "CHLO" */
#define TAG_SNI  0x534e4900U
#define TAG_UAID 0x55414944U

/* 0: none of Google's. Versions from 24 on had little-endian numbers until 39. */
static unsigned version_number(uint32_t version)
{
    const unsigned tens = (version >> 8 & 0xff) - '0', ones = (version & 0xff) - '0';

    if (version >> 16 != ('Q' << 8 | '0') || tens > 9 || ones > 9) {
        return 0;
    }
    const unsigned number = tens * 10 + ones;
    return number >= 24 && number <= 46 ? number : 0;
}

/* Reads the header; `c` then stands at the hash. The version's number, 0: no such header. */
static unsigned read_header(struct cursor *c, uint32_t *version)
{
    static const uint8_t number_sizes[4] = {1, 2, 4, 6};
    const uint8_t flags = cursor_u8(c);
    unsigned number;

    if ((flags & FLAG_LONG) != 0) {
        *version = cursor_u32(c);
        const uint8_t ids = cursor_u8(c); /* two lengths less 3, 0: no id */
        const size_t target = ids >> 4 != 0 ? (ids >> 4) + 3U : 0;
        const size_t source = (ids & 15) != 0 ? (ids & 15) + 3U : 0;

        cursor_skip(c, target + source);
        number = version_number(*version);
        cursor_skip(c, number >= 46 ? 1U + (flags & 3U) : 4U);
        return c->ok && number >= 44 ? number : 0;
    }
    if ((flags & FLAG_VERSION) == 0 || (flags & FLAG_RESET) != 0 || (flags & FLAG_ID) == 0) {
        return 0; /* of a server, or no first packet */
    }
    cursor_skip(c, ID_BYTES);
    *version = cursor_u32(c);
    number = version_number(*version);
    cursor_skip(c, number_sizes[flags >> NUMBER_SHIFT & 3]);
    return c->ok && number < 44 ? number : 0;
}

bool gquic_likely(const struct wire_span *datagram)
{
    struct cursor c = cursor_over(datagram->bytes, datagram->length);
    uint32_t version = 0;

    return read_header(&c, &version) != 0;
}

static uint16_t read_length(struct cursor *c, bool is_little)
{
    const uint16_t value = cursor_u16(c);

    return is_little ? __builtin_bswap16(value) : value;
}

/* A stream frame (1fdooossB): its data as far as they are there. */
static struct wire_span read_stream(struct cursor *c, uint8_t type, bool is_little)
{
    const unsigned offset_bits = type >> 2 & 7;

    cursor_skip(c, 1 + (type & 3U)); /* stream id */
    cursor_skip(c, offset_bits != 0 ? offset_bits + 1 : 0);
    size_t length = cursor_left(c);
    if ((type & 0x20) != 0) {
        const uint16_t told = read_length(c, is_little);

        length = told < cursor_left(c) ? told : cursor_left(c);
    }
    return c->ok ? cursor_span(c, length) : (struct wire_span){0};
}

static bool is_chlo(const struct wire_span *message)
{
    return message->length >= TAG_BYTES && wire_u32(message->bytes) == TAG_CHLO;
}

/* The data of the first stream frame that begins with "CHLO". */
static bool find_message(struct cursor *c, bool is_little, struct wire_span *message)
{
    for (unsigned i = 0; i < FRAMES_MAX && c->ok && cursor_left(c) > 0; i++) {
        const uint8_t type = cursor_u8(c);

        if ((type & FRAME_STREAM) != 0) {
            *message = read_stream(c, type, is_little);
            if (is_chlo(message)) {
                return true;
            }
        } else if (type == FRAME_PADDING) {
            while (cursor_left(c) > 0 && *c->at == FRAME_PADDING) {
                c->at++;
            }
        } else if (type != FRAME_PING) {
            return false; /* what stands before a CHLO is padding or nothing */
        }
    }
    return false;
}

static uint32_t read_little(struct cursor *c)
{
    return __builtin_bswap32(cursor_u32(c));
}

static enum wire_status read_tags(const struct wire_span *message, struct gquic_hello *out)
{
    struct cursor c = cursor_over(message->bytes, message->length);

    cursor_skip(&c, 4); /* "CHLO" */
    const uint32_t pair = read_little(&c);
    const uint32_t count = pair & 0xffff; /* two bytes of padding behind it */
    if (!c.ok || count > TAGS_MAX) {
        return c.ok ? WIRE_MALFORMED : WIRE_TRUNCATED;
    }
    struct cursor index = cursor_sub(&c, (size_t)count * TAG_BYTES);
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    const struct cursor values = c;
    const size_t there = cursor_left(&values);
    uint32_t from = 0;
    bool is_whole = true;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t tag = cursor_u32(&index);
        const uint32_t to = read_little(&index);

        if (to < from) {
            return WIRE_MALFORMED;
        }
        if (to > there) {
            is_whole = false;
            break;
        }
        const struct wire_span value = {.bytes = values.at + from, .length = to - from};
        if (tag == TAG_SNI) {
            out->sni = value;
        } else if (tag == TAG_UAID) {
            out->user_agent = value;
        }
        from = to;
    }
    out->is_complete = is_whole;
    return is_whole ? WIRE_OK : WIRE_TRUNCATED;
}

enum wire_status gquic_hello_parse(const struct wire_span *datagram, struct gquic_hello *out)
{
    struct cursor c = cursor_over(datagram->bytes, datagram->length);

    *out = (struct gquic_hello){0};
    const unsigned number = read_header(&c, &out->version);
    if (number == 0) {
        out->version = 0;
        return WIRE_MALFORMED;
    }
    cursor_skip(&c, HASH_BYTES + (number < NO_PRIVATE_FLAGS ? 1U : 0U));
    if (!c.ok || !find_message(&c, number < 39, &out->message)) {
        return WIRE_MALFORMED;
    }
    return read_tags(&out->message, out);
}

enum wire_status gquic_message_parse(const struct wire_span *message, struct gquic_hello *out)
{
    *out = (struct gquic_hello){.message = *message};
    return is_chlo(message) ? read_tags(message, out) : WIRE_MALFORMED;
}
