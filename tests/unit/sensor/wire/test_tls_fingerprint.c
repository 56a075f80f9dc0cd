/* JA3, JA3S and JA4 against values that their authors published, and what has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/tls_fingerprint.h"
#include "tests/support/tls_builder.h"

static struct crypto *crypto;

static bool ja4_text(const struct tls_hello *hello, enum tls_transport transport,
                     char out[TLS_JA4_TEXT_BYTES])
{
    struct tls_ja4 ja4;

    if (!tls_ja4(crypto, hello, transport, &ja4)) {
        return false;
    }
    assert_int_equal(tls_ja4_text(&ja4, out), TLS_JA4_TEXT_BYTES - 1);
    return true;
}

static int set_up(void **state)
{
    struct error err;

    (void)state;
    crypto = crypto_new(&err);
    return crypto != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    crypto_free(crypto);
    return 0;
}

static void assert_md5(const uint8_t digest[16], const char *expected)
{
    char text[33];

    for (unsigned i = 0; i < 16; i++) {
        const char digits[] = "0123456789abcdef";
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[32] = '\0';
    assert_string_equal(text, expected);
}

static struct wire_span over(const void *bytes, size_t length)
{
    return (struct wire_span){.bytes = bytes, .length = (uint32_t)length};
}

/* The two examples of JA3's description. */
static void ja3_is_what_its_authors_print(void **state)
{
    static const uint8_t ciphers[] = {0,    47, 0,    53, 0, 5,  0, 10, 0xc0, 9,  0xc0, 10,
                                      0xc0, 19, 0xc0, 20, 0, 50, 0, 56, 0,    19, 0,    4};
    static const uint8_t extensions[] = {0, 0, 0, 0, 0, 10, 0, 0, 0, 11, 0, 0};
    static const uint8_t groups[] = {0, 23, 0, 24, 0, 25}, formats[] = {0};
    static const uint8_t old_ciphers[] = {0,  4, 0, 5, 0, 10, 0,  9, 0,  100, 0,
                                          98, 0, 3, 0, 6, 0,  19, 0, 18, 0,   99};
    uint8_t digest[16];
    struct tls_hello hello = {.is_client = true,
                              .is_complete = true,
                              .legacy_version = 769,
                              .ciphers = over(ciphers, sizeof(ciphers)),
                              .extensions = over(extensions, sizeof(extensions)),
                              .groups = over(groups, sizeof(groups)),
                              .point_formats = over(formats, sizeof(formats))};

    (void)state;
    assert_true(tls_ja3(crypto, &hello, digest));
    assert_md5(digest, "ada70206e40642a3e4461f35503241d5");
    hello = (struct tls_hello){.is_client = true,
                               .is_complete = true,
                               .legacy_version = 769,
                               .ciphers = over(old_ciphers, sizeof(old_ciphers))};
    assert_true(tls_ja3(crypto, &hello, digest));
    assert_md5(digest, "de350869b8c85de67a350c8d186f11e6");
}

/* "769,47,65281": one suite, one extension. */
static void ja3s_has_version_suite_and_extensions(void **state)
{
    static const uint8_t extensions[] = {0xff, 1, 0, 0};
    const struct tls_hello hello = {.is_complete = true,
                                    .legacy_version = 769,
                                    .cipher = 47,
                                    .extensions = over(extensions, sizeof(extensions))};
    uint8_t digest[16], expected[16];

    (void)state;
    assert_true(tls_ja3(crypto, &hello, digest));
    crypto_md5_start(crypto);
    crypto_md5_add(crypto, "769,47,65281", 12);
    crypto_md5_finish(crypto, expected);
    assert_memory_equal(digest, expected, 16);
}

/* The example of JA4's description: a Chrome with GREASE. */
static void ja4_is_what_its_authors_print(void **state)
{
    static const uint8_t ciphers[] = {0x4a, 0x4a, 0x13, 0x01, 0x13, 0x02, 0x13, 0x03,
                                      0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30,
                                      0xcc, 0xa9, 0xcc, 0xa8, 0xc0, 0x13, 0xc0, 0x14,
                                      0x00, 0x9c, 0x00, 0x9d, 0x00, 0x2f, 0x00, 0x35};
    static const uint16_t types[] = {0x1a1a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469,
                                     0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012,
                                     0x002b, 0xff01, 0x000b, 0x000a, 0x0015};
    static const uint8_t signatures[] = {4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1};
    static const uint8_t alpn[] = "\x02h2\x08http/1.1";
    uint8_t extensions[sizeof(types) * 2];
    char text[TLS_JA4_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const uint8_t one[4] = {(uint8_t)(types[i] >> 8), (uint8_t)types[i], 0, 0};
        memcpy(extensions + 4 * i, one, 4);
    }
    struct tls_hello hello = {.is_client = true,
                              .is_complete = true,
                              .has_sni = true,
                              .version = 0x0304,
                              .ciphers = over(ciphers, sizeof(ciphers)),
                              .extensions = over(extensions, sizeof(extensions)),
                              .signature_algorithms = over(signatures, sizeof(signatures)),
                              .alpn = over(alpn, sizeof(alpn) - 1)};
    assert_true(ja4_text(&hello, TLS_OVER_TCP, text));
    assert_string_equal(text, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    assert_true(ja4_text(&hello, TLS_OVER_QUIC, text));
    assert_memory_equal(text, "q13d1516h2_", 11);
    hello.version = DTLS_VERSION_1_2;
    hello.has_sni = false;
    hello.alpn = over("\x01\xab", 2); /* no letter: the ends of its hex form */
    assert_true(ja4_text(&hello, TLS_OVER_DATAGRAMS, text));
    assert_memory_equal(text, "dd2i1516ab_", 11);
}

static void an_empty_hello_has_zeros_in_place_of_hashes(void **state)
{
    const struct tls_hello hello = {.is_client = true, .is_complete = true, .version = 0x0301};
    char text[TLS_JA4_TEXT_BYTES];

    (void)state;
    assert_true(ja4_text(&hello, TLS_OVER_TCP, text));
    assert_string_equal(text, "t10i000000_000000000000_000000000000");
}

static void half_a_hello_a_server_and_ssl_2_have_none(void **state)
{
    struct tls_hello hello = {.is_client = true, .version = 0x0303};
    char text[TLS_JA4_TEXT_BYTES];
    uint8_t digest[16];

    (void)state;
    assert_false(tls_ja3(crypto, &hello, digest));
    assert_false(ja4_text(&hello, TLS_OVER_TCP, text));
    hello.is_complete = true;
    hello.is_ssl2 = true;
    assert_false(tls_ja3(crypto, &hello, digest));
    assert_false(ja4_text(&hello, TLS_OVER_TCP, text));
    hello = (struct tls_hello){.is_complete = true};
    assert_false(ja4_text(&hello, TLS_OVER_TCP, text));
}

static void counts_stop_at_99_and_lists_at_their_bound(void **state)
{
    static uint8_t ciphers[2 * (TLS_FINGERPRINT_LIST_MAX + 1)];
    struct tls_hello hello = {.is_client = true, .is_complete = true, .version = 0x0303};
    char text[TLS_JA4_TEXT_BYTES];

    (void)state;
    memset(ciphers, 0x55, sizeof(ciphers));
    for (size_t i = 0; i < sizeof(ciphers); i += 2) {
        ciphers[i + 1] = (uint8_t)(255 - i / 2); /* falling: the sort has all to do */
        ciphers[i] = (uint8_t)(0x50 - i / 512);
    }
    hello.ciphers = over(ciphers, 2 * TLS_FINGERPRINT_LIST_MAX);
    assert_true(ja4_text(&hello, TLS_OVER_TCP, text));
    assert_memory_equal(text, "t12i990000_", 11);
    hello.ciphers.length += 2;
    assert_false(ja4_text(&hello, TLS_OVER_TCP, text));
}

#define CIPHERS 11

static size_t key_of(const uint8_t *ciphers, uint32_t bytes, uint8_t out[TLS_FINGERPRINT_KEY_BYTES])
{
    const struct tls_hello hello = {
        .is_client = true, .is_complete = true, .ciphers = {ciphers, bytes}};

    memset(out, 0, TLS_FINGERPRINT_KEY_BYTES);
    return tls_fingerprint_key(&hello, TLS_OVER_TCP, out);
}

static void a_key_leaves_out_grease_at_any_place_and_nothing_like_it(void **state)
{
    static const uint8_t others[][2] = {{0x0a, 0x1a}, {0x0a, 0x0b}, {0x00, 0x0a}, {0x0a, 0x00}};
    uint8_t ciphers[2 * CIPHERS], with[2 * CIPHERS + 2];
    uint8_t plain_key[TLS_FINGERPRINT_KEY_BYTES], key[TLS_FINGERPRINT_KEY_BYTES];

    (void)state;
    for (unsigned i = 0; i < CIPHERS; i++) {
        ciphers[2 * i] = 0x13;
        ciphers[2 * i + 1] = (uint8_t)i; /* 10 ends in 0xa */
    }
    const size_t length = key_of(ciphers, sizeof(ciphers), plain_key);
    assert_true(length > sizeof(ciphers));
    for (unsigned place = 0; place <= CIPHERS; place++) {
        memcpy(with, ciphers, 2 * place);
        memcpy(with + 2 * place + 2, ciphers + 2 * place, sizeof(ciphers) - 2 * place);
        for (unsigned high = 0; high < 16; high++) {
            with[2 * place] = with[2 * place + 1] = (uint8_t)(high << 4 | 0x0a);
            assert_int_equal(key_of(with, sizeof(with), key), length);
            assert_memory_equal(key, plain_key, sizeof(key));
        }
        for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
            memcpy(with + 2 * place, others[i], 2);
            (void)key_of(with, sizeof(with), key);
            assert_memory_not_equal(key, plain_key, sizeof(key));
        }
    }
}

static void grease_changes_nothing_but_itself(void **state)
{
    uint8_t plain[512], greased[512];
    struct packet_builder b;
    struct build_handshake options = {
        .sni = "example.com", .alpn = {"h2"}, .versions = {0x0304}, .has_groups = true};
    struct tls_hello first, second;
    uint8_t digests[2][16];
    char texts[2][TLS_JA4_TEXT_BYTES];

    (void)state;
    build_start(&b, plain, sizeof(plain));
    build_handshake(&b, &options);
    const struct wire_span without = over(plain, b.length);
    options.has_grease = true;
    build_start(&b, greased, sizeof(greased));
    build_handshake(&b, &options);
    const struct wire_span with = over(greased, b.length);
    assert_int_equal(tls_hello_parse(&without, &first), WIRE_OK);
    assert_int_equal(tls_hello_parse(&with, &second), WIRE_OK);
    assert_true(with.length > without.length);
    assert_true(tls_ja3(crypto, &first, digests[0]) && tls_ja3(crypto, &second, digests[1]));
    assert_memory_equal(digests[0], digests[1], 16);
    assert_true(ja4_text(&first, TLS_OVER_TCP, texts[0]));
    assert_true(ja4_text(&second, TLS_OVER_TCP, texts[1]));
    assert_string_equal(texts[0], texts[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ja3_is_what_its_authors_print),
        cmocka_unit_test(ja3s_has_version_suite_and_extensions),
        cmocka_unit_test(ja4_is_what_its_authors_print),
        cmocka_unit_test(an_empty_hello_has_zeros_in_place_of_hashes),
        cmocka_unit_test(half_a_hello_a_server_and_ssl_2_have_none),
        cmocka_unit_test(counts_stop_at_99_and_lists_at_their_bound),
        cmocka_unit_test(a_key_leaves_out_grease_at_any_place_and_nothing_like_it),
        cmocka_unit_test(grease_changes_nothing_but_itself),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
