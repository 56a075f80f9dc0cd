#include "sensor/wire/quic.h"

#include <stdio.h>

enum {
    HEADER_LONG = 0x80,
    HEADER_FIXED = 0x40,
    SAMPLE_BYTES = 16,
    SAMPLE_BEHIND_NUMBER = 4, /* RFC 9001 section 5.4.2 */
    NUMBER_BYTES_MAX = 4,
    ACK_RANGES_MAX = 1024,
    HEADER_BYTES_MAX = 2048, /* with a token; one that is longer is not opened */
};

enum frame_type {
    FRAME_PADDING = 0x00,
    FRAME_PING = 0x01,
    FRAME_ACK = 0x02,
    FRAME_ACK_ECN = 0x03,
    FRAME_CRYPTO = 0x06,
    FRAME_CLOSE = 0x1c,
    /* Google's before it took the numbers of the IETF: */
    GOOGLE_FRAME_PING = 0x07,
    GOOGLE_FRAME_CRYPTO = 0x08,
    GOOGLE_FRAME_ACK = 0x40,
    GOOGLE_FRAME_ACK_MASK = 0xc0,
};

enum family {
    FAMILY_NONE,
    FAMILY_DRAFT_22,
    FAMILY_DRAFT_23, /* to 28 */
    FAMILY_DRAFT_29, /* to 32 */
    FAMILY_1,        /* drafts 33 and 34, version 1 */
    FAMILY_2,
    FAMILY_Q050,
    FAMILY_T050,
    FAMILY_T051,
    FAMILY_COUNT,
};

/* RFC 9001 section 5.2, RFC 9369 section 3.3.1, the drafts; Google's from its public sources. */
static const uint8_t salts[FAMILY_COUNT][20] = {
    [FAMILY_DRAFT_22] = {0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a,
                         0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd, 0x7a, 0x02, 0x64, 0x4a},
    [FAMILY_DRAFT_23] = {0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7,
                         0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02},
    [FAMILY_DRAFT_29] = {0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97,
                         0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99},
    [FAMILY_1] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                  0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
    [FAMILY_2] = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                  0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
    [FAMILY_Q050] = {0x50, 0x45, 0x74, 0xef, 0xd0, 0x66, 0xfe, 0x2f, 0x9d, 0x94,
                     0x5c, 0xfc, 0xdb, 0xd3, 0xa7, 0xf0, 0xd3, 0xb5, 0x6b, 0x45},
    [FAMILY_T050] = {0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80,
                     0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c, 0x60, 0x48, 0x83, 0x10},
    [FAMILY_T051] = {0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50,
                     0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc, 0xda, 0x6e, 0x03, 0x3d},
};

/* What Google numbers by four letters, Facebook by 0xfaceb0. */
#define VERSION_Q050                0x51303530U
#define VERSION_T050                0x54303530U
#define VERSION_T051                0x54303531U
#define VERSION_MVFST_22            0xfaceb001U
#define VERSION_MVFST_27            0xfaceb002U
#define VERSION_MVFST_29            0xfaceb003U
#define VERSION_MVFST_27_EXPERIMENT 0xfaceb00eU

static bool is_reserved(uint32_t version)
{
    return (version & 0x0f0f0f0f) == 0x0a0a0a0a; /* RFC 9000 section 15 */
}

static enum family family_of_draft(uint32_t draft)
{
    if (draft < 22 || draft > 34) {
        return FAMILY_NONE;
    }
    if (draft == 22) {
        return FAMILY_DRAFT_22;
    }
    if (draft < 29) {
        return FAMILY_DRAFT_23;
    }
    return draft < 33 ? FAMILY_DRAFT_29 : FAMILY_1;
}

static enum family family_of(uint32_t version)
{
    if (version >> 8 == 0xff0000) {
        return family_of_draft(version & 0xff);
    }
    switch (version) {
    case QUIC_VERSION_1:
        return FAMILY_1;
    case QUIC_VERSION_2:
        return FAMILY_2;
    case VERSION_Q050:
        return FAMILY_Q050;
    case VERSION_T050:
        return FAMILY_T050;
    case VERSION_T051:
        return FAMILY_T051;
    case VERSION_MVFST_22:
        return FAMILY_DRAFT_22;
    case VERSION_MVFST_27:
    case VERSION_MVFST_27_EXPERIMENT:
        return FAMILY_DRAFT_23;
    case VERSION_MVFST_29:
        return FAMILY_DRAFT_29;
    default: /* a client that forces a negotiation protects its packet as it would version 1 */
        return is_reserved(version) ? FAMILY_1 : FAMILY_NONE;
    }
}

static bool has_google_frames(enum family family)
{
    return family == FAMILY_Q050 || family == FAMILY_T050 || family == FAMILY_T051;
}

unsigned quic_version_text(uint32_t version, char out[QUIC_VERSION_TEXT_BYTES])
{
    const unsigned first = version >> 24;
    int length;

    if (version == QUIC_VERSION_1) {
        length = snprintf(out, QUIC_VERSION_TEXT_BYTES, "1");
    } else if (version == QUIC_VERSION_2) {
        length = snprintf(out, QUIC_VERSION_TEXT_BYTES, "2");
    } else if (version >> 8 == 0xff0000) {
        length = snprintf(out, QUIC_VERSION_TEXT_BYTES, "draft-%u", version & 0xff);
    } else if (version >> 8 == 0xfaceb0) {
        length = snprintf(out, QUIC_VERSION_TEXT_BYTES, "mvfst-%u", version & 0xff);
    } else if ((first == 'Q' || first == 'T') && (version >> 16 & 0xff) == '0' &&
               (version >> 8 & 0xff) - '0' < 10 && (version & 0xff) - '0' < 10) {
        length = snprintf(out, QUIC_VERSION_TEXT_BYTES, "%c0%c%c", (int)first,
                          (int)(version >> 8 & 0xff), (int)(version & 0xff));
    } else {
        length = snprintf(out, QUIC_VERSION_TEXT_BYTES, "0x%08x", version);
    }
    return (unsigned)length;
}

/* ---- headers ---- */

/* A variable-length integer (RFC 9000 section 16). */
static uint64_t read_varint(struct cursor *c)
{
    const uint8_t first = cursor_u8(c);
    const unsigned more = (1U << (first >> 6)) - 1;
    uint64_t value = first & 0x3f;

    for (unsigned i = 0; i < more; i++) {
        value = value << 8 | cursor_u8(c);
    }
    return c->ok ? value : 0;
}

static struct wire_span read_span(struct cursor *c, uint64_t length)
{
    if (length > cursor_left(c)) {
        c->ok = false;
        return (struct wire_span){0};
    }
    return cursor_span(c, (size_t)length);
}

static uint8_t kind_of(uint8_t first, enum family family)
{
    static const uint8_t of_version_2[4] = {QUIC_RETRY, QUIC_INITIAL, QUIC_ZERO_RTT,
                                            QUIC_HANDSHAKE};
    static const uint8_t of_others[4] = {QUIC_INITIAL, QUIC_ZERO_RTT, QUIC_HANDSHAKE, QUIC_RETRY};
    const unsigned bits = first >> 4 & 3;

    return family == FAMILY_2 ? of_version_2[bits] : of_others[bits];
}

enum wire_status quic_next(struct cursor *datagram, struct quic_packet *out)
{
    const uint8_t *start = datagram->at;
    struct cursor c = *datagram;
    const uint8_t first = cursor_u8(&c);

    *out = (struct quic_packet){.kind = QUIC_SHORT};
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    if ((first & HEADER_LONG) == 0) {
        if ((first & HEADER_FIXED) == 0) {
            return WIRE_MALFORMED;
        }
        out->bytes = (struct wire_span){.bytes = start, .length = (uint32_t)cursor_left(datagram)};
        datagram->at = datagram->end;
        return WIRE_OK;
    }
    out->version = cursor_u32(&c);
    const uint8_t target_bytes = cursor_u8(&c);
    out->target_id = read_span(&c, target_bytes);
    const uint8_t source_bytes = cursor_u8(&c);
    out->source_id = read_span(&c, source_bytes);
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    const enum family family = family_of(out->version);
    if (out->version == 0) {
        out->kind = QUIC_VERSION_NEGOTIATION;
    } else {
        out->kind = kind_of(first, family);
    }
    if (out->version != 0 &&
        (family == FAMILY_NONE || (first & HEADER_FIXED) == 0 || target_bytes > QUIC_ID_BYTES_MAX ||
         source_bytes > QUIC_ID_BYTES_MAX)) {
        return WIRE_MALFORMED;
    }
    if (out->kind == QUIC_RETRY || out->kind == QUIC_VERSION_NEGOTIATION) {
        out->bytes = (struct wire_span){.bytes = start, .length = (uint32_t)cursor_left(datagram)};
        datagram->at = datagram->end;
        return WIRE_OK;
    }
    if (out->kind == QUIC_INITIAL) {
        out->token = read_span(&c, read_varint(&c));
    }
    const uint64_t length = read_varint(&c);
    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    const size_t left = cursor_left(&c);
    out->number_offset = (uint32_t)(c.at - start);
    out->is_cut = length > left;
    out->length = length < UINT32_MAX ? (uint32_t)length : UINT32_MAX;
    cursor_skip(&c, out->is_cut ? left : (size_t)length);
    out->bytes = (struct wire_span){.bytes = start, .length = (uint32_t)(c.at - start)};
    *datagram = c;
    return WIRE_OK;
}

bool quic_likely(const struct wire_span *datagram)
{
    struct cursor c = cursor_over(datagram->bytes, datagram->length);
    struct quic_packet packet;
    const enum wire_status status = quic_next(&c, &packet);

    if (datagram->length == 0 || (datagram->bytes[0] & HEADER_LONG) == 0 ||
        packet.kind == QUIC_SHORT) {
        return false;
    }
    if (packet.kind == QUIC_VERSION_NEGOTIATION) { /* a list of versions, at least one */
        const uint32_t header = 7 + packet.target_id.length + packet.source_id.length;

        return status == WIRE_OK && packet.bytes.length > header &&
               (packet.bytes.length - header) % 4 == 0 &&
               packet.target_id.length <= QUIC_ID_BYTES_MAX &&
               packet.source_id.length <= QUIC_ID_BYTES_MAX;
    }
    return status == WIRE_OK || (status == WIRE_TRUNCATED && family_of(packet.version) != 0 &&
                                 packet.target_id.bytes != NULL);
}

/* ---- keys and protection ---- */

bool quic_initial_secret(struct crypto *crypto, uint32_t version, const struct wire_span *target_id,
                         uint8_t out[CRYPTO_SHA256_BYTES])
{
    const enum family family = family_of(version);

    if (family == FAMILY_NONE) {
        return false;
    }
    crypto_hmac_sha256(crypto, salts[family], sizeof(salts[family]), target_id, 1, out);
    return true;
}

uint32_t quic_stand_in(uint32_t version, unsigned i)
{
    static const uint32_t versions[] = {0xff00001d, 0xff00001b}; /* drafts 29 and 27 */

    return is_reserved(version) && i < ARRAY_COUNT(versions) ? versions[i] : 0;
}

void quic_initial_keys(struct crypto *crypto, uint32_t version,
                       const uint8_t secret[CRYPTO_SHA256_BYTES], bool is_server,
                       struct quic_keys *out)
{
    const bool is_2 = family_of(version) == FAMILY_2;
    uint8_t of_side[CRYPTO_SHA256_BYTES];

    crypto_hkdf_secret(crypto, secret);
    crypto_hkdf_expand_label(crypto, is_server ? "server in" : "client in", of_side,
                             sizeof(of_side));
    crypto_hkdf_secret(crypto, of_side);
    crypto_hkdf_expand_label(crypto, is_2 ? "quicv2 key" : "quic key", out->key, sizeof(out->key));
    crypto_hkdf_expand_label(crypto, is_2 ? "quicv2 iv" : "quic iv", out->iv, sizeof(out->iv));
    crypto_hkdf_expand_label(crypto, is_2 ? "quicv2 hp" : "quic hp", out->header_key,
                             sizeof(out->header_key));
}

bool quic_open(struct crypto *crypto, const struct quic_packet *packet,
               const struct quic_keys *keys, uint8_t *out, uint32_t capacity,
               struct wire_span *plain)
{
    uint8_t mask[SAMPLE_BYTES], header[HEADER_BYTES_MAX], iv[CRYPTO_GCM_IV_BYTES];
    const uint32_t there = packet->bytes.length - packet->number_offset;

    if (packet->kind != QUIC_INITIAL || there < SAMPLE_BEHIND_NUMBER + SAMPLE_BYTES ||
        packet->length < SAMPLE_BEHIND_NUMBER + SAMPLE_BYTES) {
        return false;
    }
    const uint8_t *number_at = packet->bytes.bytes + packet->number_offset;
    crypto_aes128_block(crypto, keys->header_key, number_at + SAMPLE_BEHIND_NUMBER, mask);
    const uint8_t first = packet->bytes.bytes[0] ^ (mask[0] & 0x0f);
    const uint32_t number_bytes = 1 + (first & 3U);
    const uint32_t header_bytes = packet->number_offset + number_bytes;

    /* The header as it was before protection is the additional data; a token may make it long. */
    const bool is_short = header_bytes <= sizeof(header);
    if (!is_short && !packet->is_cut) {
        return false;
    }
    uint32_t number = 0;
    memcpy(iv, keys->iv, sizeof(iv));
    for (uint32_t i = 0; i < number_bytes; i++) {
        number = number << 8 | (uint8_t)(number_at[i] ^ mask[1 + i]);
    }
    for (unsigned i = 0; i < 4; i++) { /* Initials are few: the number is whole */
        iv[sizeof(iv) - 1 - i] ^= (uint8_t)(number >> 8 * i);
    }
    if (is_short) {
        memcpy(header, packet->bytes.bytes, header_bytes);
        header[0] = first;
        for (uint32_t i = 0; i < number_bytes; i++) {
            header[packet->number_offset + i] ^= mask[1 + i];
        }
    }
    const uint32_t tag_bytes = packet->is_cut ? 0 : CRYPTO_GCM_TAG_BYTES;
    uint32_t text_bytes = there - number_bytes - tag_bytes;
    if (packet->is_cut && text_bytes > packet->length - number_bytes - CRYPTO_GCM_TAG_BYTES) {
        text_bytes = packet->length - number_bytes - CRYPTO_GCM_TAG_BYTES;
    }
    if (text_bytes > capacity) {
        return false;
    }
    const struct crypto_gcm gcm = {
        .key = keys->key,
        .iv = iv,
        .additional = {.bytes = header, .length = is_short ? header_bytes : 0},
        .cipher_text = {.bytes = number_at + number_bytes, .length = text_bytes},
        .tag = packet->is_cut ? NULL : number_at + number_bytes + text_bytes};
    if (!crypto_aes128_gcm_open(crypto, &gcm, out)) {
        return false;
    }
    *plain = (struct wire_span){.bytes = out, .length = text_bytes};
    return true;
}

/* ---- frames ---- */

static void read_ack(struct cursor *in, bool has_ecn)
{
    (void)read_varint(in); /* largest */
    (void)read_varint(in); /* delay */
    const uint64_t ranges = read_varint(in);
    (void)read_varint(in); /* first range */
    if (ranges > ACK_RANGES_MAX) {
        in->ok = false;
    }
    for (uint64_t i = 0; i < 2 * ranges && in->ok; i++) {
        (void)read_varint(in);
    }
    for (unsigned i = 0; has_ecn && i < 3; i++) {
        (void)read_varint(in);
    }
}

/* Google's ACK (01ntllmm): its lengths are in its type. */
static void read_google_ack(struct cursor *in, uint8_t type)
{
    static const uint8_t sizes[4] = {1, 2, 4, 6};
    const uint8_t largest_bytes = sizes[type >> 2 & 3], block_bytes = sizes[type & 3];
    unsigned blocks = 0;

    cursor_skip(in, largest_bytes);
    cursor_skip(in, 2); /* delay */
    if ((type & 0x20) != 0) {
        blocks = cursor_u8(in);
    }
    cursor_skip(in, block_bytes);
    cursor_skip(in, (size_t)blocks * (1 + block_bytes));
    const uint8_t stamps = cursor_u8(in);
    if (stamps > 0) {
        cursor_skip(in, 5 + 3 * (size_t)(stamps - 1));
    }
}

static void read_close(struct cursor *in)
{
    (void)read_varint(in); /* code */
    (void)read_varint(in); /* frame type */
    (void)read_span(in, read_varint(in));
}

static void read_crypto(struct cursor *in, struct quic_frame *out)
{
    out->kind = QUIC_FRAME_CRYPTO;
    out->offset = read_varint(in);
    const uint64_t length = read_varint(in);
    const size_t left = cursor_left(in);

    if (!in->ok) {
        return;
    }
    if (length <= left) {
        out->data = cursor_span(in, (size_t)length);
    } else { /* cut by the capture: what is there counts */
        out->data = cursor_span(in, left);
        in->ok = false;
    }
}

bool quic_frame_next(struct cursor *in, uint32_t version, struct quic_frame *out)
{
    const bool is_google = has_google_frames(family_of(version));
    const uint8_t *start = in->at;

    *out = (struct quic_frame){0};
    if (!in->ok || cursor_left(in) == 0) {
        return false;
    }
    const uint8_t type = cursor_u8(in);
    if (type == FRAME_PADDING) {
        out->kind = QUIC_FRAME_PADDING;
        while (cursor_left(in) > 0 && *in->at == FRAME_PADDING) {
            in->at++;
        }
    } else if (type == (is_google ? GOOGLE_FRAME_PING : FRAME_PING)) {
        out->kind = QUIC_FRAME_PING;
    } else if (type == (is_google ? GOOGLE_FRAME_CRYPTO : FRAME_CRYPTO)) {
        read_crypto(in, out);
    } else if (is_google && (type & GOOGLE_FRAME_ACK_MASK) == GOOGLE_FRAME_ACK) {
        out->kind = QUIC_FRAME_ACK;
        read_google_ack(in, type);
    } else if (!is_google && (type == FRAME_ACK || type == FRAME_ACK_ECN)) {
        out->kind = QUIC_FRAME_ACK;
        read_ack(in, type == FRAME_ACK_ECN);
    } else if (!is_google && type == FRAME_CLOSE) {
        out->kind = QUIC_FRAME_CLOSE;
        read_close(in);
    } else {
        in->ok = false;
    }
    out->bytes = (struct wire_span){.bytes = start, .length = (uint32_t)(in->at - start)};
    return in->ok;
}
