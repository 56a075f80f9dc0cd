/* Records, DTLS fragments, certificates and STARTTLS over any bytes: the first byte chooses. What
 * is found must lie in the input or the scratch memory, text must be printable, every step must go
 * forward. */
#include <stdlib.h>

#include "sensor/wire/dtls.h"
#include "sensor/wire/starttls.h"
#include "sensor/wire/tls_certificate.h"
#include "sensor/wire/tls_fingerprint.h"
#include "sensor/wire/tls_stream.h"
#include "tests/support/tls_builder.h"

#define SCRATCH_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool lies_in(const struct wire_span *outer, const uint8_t *scratch,
                    const struct wire_span *inner)
{
    return inner->length == 0 ||
           (inner->bytes >= outer->bytes &&
            inner->bytes + inner->length <= outer->bytes + outer->length) ||
           (inner->bytes >= scratch && inner->bytes + inner->length <= scratch + SCRATCH_BYTES);
}

static void check_hello(const struct tls_message *message)
{
    static struct crypto *crypto;
    struct tls_hello hello;
    struct tls_ja4 ja4;
    uint8_t digest[CRYPTO_MD5_BYTES];
    char text[TLS_JA4_TEXT_BYTES];

    if (crypto == NULL) {
        struct error err;
        crypto = crypto_new(&err);
        must(crypto != NULL);
    }
    (void)tls_hello_read(message, &hello);
    (void)tls_ja3(crypto, &hello, digest);
    if (tls_ja4(crypto, &hello, TLS_OVER_TCP, &ja4)) {
        must(tls_ja4_text(&ja4, text) == TLS_JA4_TEXT_BYTES - 1);
        for (const char *c = text; *c != '\0'; c++) {
            must(*c >= '0' && *c <= 'z');
        }
    }
}

static void check_stream(const struct wire_span *bytes)
{
    static uint8_t scratch[SCRATCH_BYTES];
    struct tls_stream stream = tls_stream_over(bytes, scratch, sizeof(scratch));
    struct tls_message message;
    uint32_t messages = 0;

    stream.is_change_skipped = bytes->length % 2;
    while (tls_stream_next(&stream, &message)) {
        must(lies_in(bytes, scratch, &message.body));
        must(message.body.length <= message.length);
        must(++messages <= bytes->length / TLS_HANDSHAKE_HEADER_BYTES); /* each has a header */
        check_hello(&message);
    }
    struct tls_hello hello;
    (void)tls_stream_likeness(bytes, &hello);
}

static void check_datagram(const struct wire_span *bytes)
{
    struct dtls_datagram datagram = dtls_datagram_over(bytes);
    struct dtls_fragment fragment;

    while (dtls_datagram_next(&datagram, &fragment)) {
        must(lies_in(bytes, bytes->bytes, &fragment.bytes));
        must(fragment.offset + fragment.bytes.length <= fragment.length);
        const struct tls_message message = {.type = fragment.type,
                                            .is_datagram = true,
                                            .length = fragment.length,
                                            .body = fragment.bytes};
        check_hello(&message);
    }
    (void)dtls_likely(bytes);
}

static void check_certificate(const struct wire_span *bytes)
{
    struct tls_certificate certificate;
    const struct wire_span *const names[] = {&certificate.issuer, &certificate.subject};
    char text[200];

    (void)tls_certificate_parse(bytes, &certificate);
    must(lies_in(bytes, bytes->bytes, &certificate.serial));
    for (size_t i = 0; i < 2; i++) {
        struct text out = text_over(text, sizeof(text));

        must(lies_in(bytes, bytes->bytes, names[i]));
        tls_certificate_name(names[i], &out);
        must(out.length < sizeof(text));
        for (size_t c = 0; c < out.length; c++) {
            must(text[c] >= 0x20 && text[c] < 0x7f);
        }
    }
}

static void check_starttls(uint8_t choice, struct wire_span bytes)
{
    for (unsigned i = 0; i < 1000 && bytes.length > 0; i++) {
        const struct starttls_step step =
            starttls_step((enum starttls_kind)(choice % 6), i == 0, &bytes);

        if (step.verdict != STARTTLS_MORE || step.consumed == 0 || step.consumed > bytes.length) {
            return;
        }
        bytes.bytes += step.consumed;
        bytes.length -= step.consumed;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const struct wire_span bytes = {.bytes = data + 1, .length = (uint32_t)(size - 1)};

    switch (data[0] % 4) {
    case 0:
        check_stream(&bytes);
        break;
    case 1:
        check_datagram(&bytes);
        break;
    case 2:
        check_certificate(&bytes);
        break;
    default:
        check_starttls(data[0] / 4, bytes);
        break;
    }
    return 0;
}

static size_t build(uint8_t *data, size_t size_max, unsigned seed)
{
    static uint8_t message_bytes[1024];
    struct packet_builder message, b;
    const struct build_handshake hello = {.sni = "www.example.com",
                                          .alpn = {"h2", "http/1.1"},
                                          .versions = {0x0304, 0x0303},
                                          .cookie = seed % 4 == 1 ? "cookie" : NULL,
                                          .has_groups = true,
                                          .has_grease = true,
                                          .has_ech = true,
                                          .is_server = (seed & 16) != 0};

    build_start(&message, message_bytes, sizeof(message_bytes));
    build_start(&b, data, size_max);
    build_zeros(&b, 1);
    data[0] = (uint8_t)seed;
    switch (seed % 4) {
    case 0:
        build_handshake(&message, &hello);
        build_records(&b, message_bytes, message.length, 40);
        break;
    case 1:
        build_handshake(&message, &hello);
        build_dtls_fragment(&b, message_bytes, message.length, 0, 0, 30);
        build_dtls_fragment(&b, message_bytes, message.length, 0, 30, (uint32_t)message.length - 4);
        break;
    case 2:
        build_certificate(&b, "www.example.com", "Example", "491231235959Z", 2);
        break;
    default:
        build_text(&b, "EHLO a\r\nSTARTTLS\r\n");
        build_bytes(&b, "\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03", 11);
        break;
    }
    return b.length;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    if ((size < 8 || seed % 64 == 0) && size_max >= 1024) {
        return build(data, size_max, seed / 64);
    }
    return LLVMFuzzerMutate(data, size, size_max);
}
