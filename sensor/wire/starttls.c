#include "sensor/wire/starttls.h"

#include <strings.h>

#include "sensor/wire/tls_stream.h"

enum {
    POSTGRESQL_SSL_REQUEST = 80877103,
    POSTGRESQL_GSS_REQUEST = 80877104,
    POSTGRESQL_REQUEST_BYTES = 8,
    MYSQL_HEADER_BYTES = 4,
    MYSQL_CLIENT_SSL = 0x0800,
    TPKT_VERSION = 3,
    TPKT_HEADER_BYTES = 4,
    TPKT_BYTES_MAX = 4096, /* of the negotiation */
    BER_SEQUENCE = 0x30,
    REQUEST_BYTES_MAX = 64,
    LINE_BYTES_MAX = 2048, /* a longer one is no command or answer */
    BER_BYTES_MAX = 1 << 24,
};

static struct starttls_step more(uint32_t consumed)
{
    return (struct starttls_step){STARTTLS_MORE, consumed};
}

static struct starttls_step none(void)
{
    return (struct starttls_step){STARTTLS_NONE, 0};
}

/* Whether a TLS record begins at the first of `left` bytes; with too few to tell: `is_open`. */
static bool is_tls(const uint8_t *at, size_t left, bool *is_open)
{
    const struct wire_span rest = {.bytes = at, .length = (uint32_t)left};

    struct tls_hello hello;

    *is_open = false;
    if (left == 0 || (at[0] != TLS_HANDSHAKE && at[0] != TLS_ALERT)) {
        return false;
    }
    if (left < TLS_RECORD_HEADER_BYTES) {
        *is_open = tls_stream_likeness(&rest, &hello) != TLS_NO;
        return false;
    }
    return tls_stream_likeness(&rest, &hello) != TLS_NO;
}

static bool holds_word(const uint8_t *line, size_t length, const char *word)
{
    const size_t word_bytes = strlen(word);

    for (size_t i = 0; i + word_bytes <= length; i++) {
        if (strncasecmp((const char *)line + i, word, word_bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* A line of the client that asks for TLS. */
static bool is_request(const uint8_t *line, size_t length)
{
    return length < REQUEST_BYTES_MAX &&
           (holds_word(line, length, "STARTTLS") || holds_word(line, length, "STLS") ||
            holds_word(line, length, "AUTH TLS") || holds_word(line, length, "AUTH SSL"));
}

/* TLS may begin behind a line that asks for it; until more is there such a line is kept. */
static struct starttls_step step_lines(const struct wire_span *bytes)
{
    uint32_t at = 0, kept = 0;
    bool is_asked = false;

    for (;;) {
        const uint32_t left = bytes->length - at;
        const uint8_t *line = bytes->bytes + at;
        bool is_open = false;

        if (is_asked && is_tls(line, left, &is_open)) {
            return (struct starttls_step){STARTTLS_TLS, at};
        }
        const uint8_t *end = left > 0 && !is_open ? memchr(line, '\n', left) : NULL;
        if (end == NULL) {
            return left > LINE_BYTES_MAX ? none() : more(is_asked ? kept : at);
        }
        kept = at;
        at = (uint32_t)(end - bytes->bytes) + 1;
        is_asked = is_request(line, at - kept);
    }
}

/* No byte of XML is 0x15 or 0x16 (XML 1.0 section 2.2), so TLS begins at the first of them. */
static struct starttls_step step_xmpp(const struct wire_span *bytes)
{
    for (uint32_t at = 0; at < bytes->length; at++) {
        bool is_open;

        if (bytes->bytes[at] != TLS_HANDSHAKE && bytes->bytes[at] != TLS_ALERT) {
            continue;
        }
        if (is_tls(bytes->bytes + at, bytes->length - at, &is_open)) {
            return (struct starttls_step){STARTTLS_TLS, at};
        }
        return is_open ? more(at) : none();
    }
    return more(bytes->length);
}

/* Steps over messages whose length `read_length` tells: 0 when too few bytes are there,
 * UINT32_MAX when they are no message. */
static struct starttls_step step_messages(const struct wire_span *bytes,
                                          uint32_t (*read_length)(struct cursor c))
{
    uint32_t at = 0;

    while (at < bytes->length) {
        const uint32_t left = bytes->length - at;
        bool is_open;

        if (is_tls(bytes->bytes + at, left, &is_open)) {
            return (struct starttls_step){STARTTLS_TLS, at};
        }
        if (is_open) {
            return more(at);
        }
        const uint32_t length = read_length(cursor_over(bytes->bytes + at, left));
        if (length == UINT32_MAX) {
            return none();
        }
        if (length == 0) {
            return more(at);
        }
        at += length;
    }
    return more(at);
}

static uint32_t ldap_length(struct cursor c)
{
    const uint8_t tag = cursor_u8(&c);
    const uint8_t first = cursor_u8(&c);
    uint32_t length = first, header = 2;

    if (tag != BER_SEQUENCE) { /* at least one byte is always there */
        return UINT32_MAX;
    }
    if (first >= 0x80) {
        const unsigned count = first & 0x7f;

        if (count == 0 || count > 4) {
            return UINT32_MAX;
        }
        length = 0;
        for (unsigned i = 0; i < count; i++) {
            length = length << 8 | cursor_u8(&c);
        }
        header += count;
    }
    if (!c.ok) {
        return 0;
    }
    return length < BER_BYTES_MAX ? header + length : UINT32_MAX;
}

static uint32_t mysql_length(struct cursor c)
{
    const uint8_t low = cursor_u8(&c);
    const uint16_t high = cursor_u8(&c);
    const uint8_t highest = cursor_u8(&c);

    cursor_skip(&c, 1); /* sequence */
    if (!c.ok) {
        return 0;
    }
    return ((uint32_t)highest << 16 | (uint32_t)high << 8 | low) + MYSQL_HEADER_BYTES;
}

static uint32_t tpkt_length(struct cursor c)
{
    const uint8_t version = cursor_u8(&c);
    cursor_skip(&c, 1);
    const uint16_t length = cursor_u16(&c);

    if (!c.ok) {
        return 0;
    }
    return version == TPKT_VERSION && length >= TPKT_HEADER_BYTES && length <= TPKT_BYTES_MAX
               ? length
               : UINT32_MAX;
}

static struct starttls_step step_postgresql(const struct wire_span *bytes)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    bool is_open;

    if (is_tls(bytes->bytes, bytes->length, &is_open)) {
        return (struct starttls_step){STARTTLS_TLS, 0};
    }
    if (is_open) {
        return more(0);
    }
    const uint32_t length = cursor_u32(&c);
    const uint32_t code = cursor_u32(&c);
    if (!c.ok) {
        return more(0);
    }
    if (length != POSTGRESQL_REQUEST_BYTES ||
        (code != POSTGRESQL_SSL_REQUEST && code != POSTGRESQL_GSS_REQUEST)) {
        return none(); /* a start without TLS */
    }
    if (cursor_left(&c) > 0 && is_tls(c.at, cursor_left(&c), &is_open)) {
        return (struct starttls_step){STARTTLS_TLS, POSTGRESQL_REQUEST_BYTES};
    }
    return more(POSTGRESQL_REQUEST_BYTES);
}

/* The client's first packet says by a flag whether TLS follows (the SSLRequest). */
static struct starttls_step step_mysql(bool is_first, const struct wire_span *bytes)
{
    if (is_first) {
        if (bytes->length < MYSQL_HEADER_BYTES + 2) {
            return more(0);
        }
        const unsigned flags =
            bytes->bytes[MYSQL_HEADER_BYTES] | (unsigned)bytes->bytes[MYSQL_HEADER_BYTES + 1] << 8;
        if ((flags & MYSQL_CLIENT_SSL) == 0) {
            return none();
        }
    }
    return step_messages(bytes, mysql_length);
}

struct starttls_step starttls_step(enum starttls_kind kind, bool is_first,
                                   const struct wire_span *bytes)
{
    switch (kind) {
    case STARTTLS_XMPP:
        return step_xmpp(bytes);
    case STARTTLS_LDAP:
        return step_messages(bytes, ldap_length);
    case STARTTLS_POSTGRESQL:
        return step_postgresql(bytes);
    case STARTTLS_MYSQL:
        return step_mysql(is_first, bytes);
    case STARTTLS_RDP:
        return step_messages(bytes, tpkt_length);
    case STARTTLS_LINES:
    default:
        return step_lines(bytes);
    }
}
