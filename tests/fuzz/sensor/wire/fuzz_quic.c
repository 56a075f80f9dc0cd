/* QUIC over any bytes: headers of a datagram, and frames of an opened packet. The first byte
 * chooses: a datagram as it is; frames; or frames that are sealed first, so that what lies behind
 * the encryption is reached too. */
#include <stdlib.h>

#include "sensor/wire/gquic.h"
#include "sensor/wire/quic.h"
#include "tests/support/tls_builder.h"

#define PLAIN_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static struct crypto *crypto;

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_frames(const struct wire_span *plain, uint32_t version)
{
    struct cursor in = cursor_over(plain->bytes, plain->length);
    struct quic_frame frame;
    const uint8_t *before = in.at;

    while (quic_frame_next(&in, version, &frame)) {
        must(in.at > before && in.at <= in.end);
        must(frame.data.length == 0 ||
             (frame.data.bytes >= plain->bytes && frame.data.bytes + frame.data.length <= in.end));
        before = in.at;
    }
}

static bool open_one(const struct quic_packet *packet)
{
    static uint8_t plain_bytes[PLAIN_BYTES];
    struct quic_keys keys;
    struct wire_span plain;
    uint8_t secret[CRYPTO_SHA256_BYTES];

    if (packet->kind != QUIC_INITIAL ||
        !quic_initial_secret(crypto, packet->version, &packet->target_id, secret)) {
        return false;
    }
    quic_initial_keys(crypto, packet->version, secret, false, &keys);
    if (!quic_open(crypto, packet, &keys, plain_bytes, sizeof(plain_bytes), &plain)) {
        return false;
    }
    must(plain.length <= PLAIN_BYTES);
    check_frames(&plain, packet->version);
    return true;
}

static void check_datagram(const struct wire_span *bytes)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    struct quic_packet packet;
    struct gquic_hello hello;
    char text[QUIC_VERSION_TEXT_BYTES];

    for (unsigned i = 0; i < 16 && quic_next(&c, &packet) == WIRE_OK; i++) {
        must(packet.bytes.bytes + packet.bytes.length <= bytes->bytes + bytes->length);
        must(quic_version_text(packet.version, text) < sizeof(text));
        (void)open_one(&packet);
    }
    (void)quic_likely(bytes);
    (void)gquic_likely(bytes);
    if (gquic_hello_parse(bytes, &hello) != WIRE_MALFORMED && hello.sni.length > 0) {
        must(hello.sni.bytes >= bytes->bytes &&
             hello.sni.bytes + hello.sni.length <= bytes->bytes + bytes->length);
    }
}

static void seal_and_check(const struct wire_span *frames)
{
    static uint8_t buffer[PLAIN_BYTES];
    struct packet_builder b;
    struct quic_packet packet;

    if (frames->length > PLAIN_BYTES / 2) {
        return;
    }
    build_start(&b, buffer, sizeof(buffer));
    build_initial(&b, crypto,
                  (struct build_initial){.target_id = "fuzzing!",
                                         .frames = frames->bytes,
                                         .frames_bytes = frames->length,
                                         .datagram_bytes = 100});
    struct cursor c = cursor_over(buffer, b.length);
    must(quic_next(&c, &packet) == WIRE_OK);
    must(open_one(&packet));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t versions[] = {QUIC_VERSION_1, 0x54303531};

    if (crypto == NULL) {
        struct error err;
        crypto = crypto_new(&err);
        must(crypto != NULL);
    }
    if (size == 0) {
        return 0;
    }
    const struct wire_span bytes = {.bytes = data + 1, .length = (uint32_t)(size - 1)};
    switch (data[0] % 4) {
    case 0:
        seal_and_check(&bytes);
        break;
    case 1:
        check_frames(&bytes, versions[data[0] / 4 % 2]);
        break;
    default:
        check_datagram(&bytes);
        break;
    }
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    if ((size >= 8 && seed % 64 != 0) || size_max < 1024 || crypto == NULL) {
        return LLVMFuzzerMutate(data, size, size_max);
    }
    static const uint8_t frames[] = {0x01, 0x06, 0x00, 0x05, 'h',  'e',  'l',
                                     'l',  'o',  0x02, 0x01, 0x00, 0x00, 0x01};
    struct packet_builder b;
    build_start(&b, data, size_max);
    build_zeros(&b, 1);
    if (seed & 64) {
        build_initial(&b, crypto,
                      (struct build_initial){.version = seed & 128 ? QUIC_VERSION_2 : 0,
                                             .target_id = "abcdefgh",
                                             .frames = frames,
                                             .frames_bytes = sizeof(frames),
                                             .datagram_bytes = 200});
        data[0] = 2;
    } else if (seed & 128) {
        static const char chlo[] = "\x09"
                                   "connectiQ043\x01............\xa0\x01\x00\x20"
                                   "CHLO\x01\x00\x00\x00SNI\x00\x0b\x00\x00\x00"
                                   "example.org";
        build_bytes(&b, chlo, sizeof(chlo) - 1);
        data[0] = 2;
    } else {
        build_bytes(&b, frames, sizeof(frames));
        data[0] = (uint8_t)(seed >> 8 & 1);
    }
    return b.length;
}
