/* The memory of fingerprints against hashing each hello, over seeded hellos that differ in little.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/inspect/fingerprints.h"

#define LIST_MAX 400

static struct crypto *crypto;
static struct fingerprints *fingerprints;
static uint64_t seed;

static int set_up(void **state)
{
    struct error err;

    (void)state;
    crypto = crypto_new(&err);
    fingerprints = fingerprints_new(&err);
    return crypto != NULL && fingerprints != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    crypto_free(crypto);
    fingerprints_free(fingerprints);
    return 0;
}

static uint32_t below(uint32_t bound)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % bound;
}

/* Lists of one hello; few values, so that many hellos are equal or differ in one place. */
struct lists {
    uint8_t ciphers[2 * LIST_MAX], groups[8], algorithms[8], extensions[40], formats[2];
};

static struct wire_span numbers(uint8_t *bytes, uint32_t count)
{
    static const uint16_t values[] = {0x1301, 0x1302, 0x0a0a, 0x002f};

    for (uint32_t i = 0; i < count; i++) {
        const uint16_t value = values[below(4)];

        bytes[2 * i] = (uint8_t)(value >> 8);
        bytes[2 * i + 1] = (uint8_t)value;
    }
    return (struct wire_span){.bytes = bytes, .length = 2 * count};
}

static void make_hello(struct lists *lists, struct tls_hello *hello)
{
    static const uint8_t types[] = {0x00, 0x0a, 0x0d, 0x10, 0x2b};
    static const uint8_t names[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    const bool has_alpn = below(2) == 0;
    const uint32_t extensions = below(4);

    for (uint32_t i = 0; i < extensions; i++) {
        uint8_t *at = lists->extensions + (size_t)4 * i;

        at[0] = at[2] = at[3] = 0;
        at[1] = types[below(5)];
    }
    lists->formats[0] = (uint8_t)below(2);
    *hello = (struct tls_hello){
        .is_client = below(4) != 0,
        .is_complete = below(16) != 0,
        .has_sni = below(2) == 0,
        .legacy_version = TLS_VERSION_1_2,
        .version = below(2) == 0 ? TLS_VERSION_1_2 : TLS_VERSION_1_3,
        .cipher = (uint16_t)(0x1301 + below(2)),
        .ciphers = numbers(lists->ciphers, below(200) == 0 ? LIST_MAX : below(4)),
        .groups = numbers(lists->groups, below(3)),
        .signature_algorithms = numbers(lists->algorithms, below(3)),
        .extensions = {.bytes = lists->extensions, .length = 4 * extensions},
        .point_formats = {.bytes = lists->formats, .length = below(2)},
        .alpn = {.bytes = names, .length = has_alpn ? (uint32_t)sizeof(names) : 0}};
}

static void a_hello_seen_before_has_the_fingerprints_that_hashing_gives(void **state)
{
    unsigned with_ja4 = 0, without = 0;

    (void)state;
    for (seed = 1; below(40000) != 0;) {
        struct lists lists;
        struct tls_hello hello;
        struct fingerprints_of_hello found;
        uint8_t ja3[CRYPTO_MD5_BYTES];
        struct tls_ja4 ja4;

        make_hello(&lists, &hello);
        const enum tls_transport transport = (enum tls_transport)below(3);
        const bool has_ja3 = tls_ja3(crypto, &hello, ja3);
        const bool has_ja4 = tls_ja4(crypto, &hello, transport, &ja4);
        for (unsigned i = 0; i < 2; i++) { /* the second time it is known */
            fingerprints_take(fingerprints, crypto, &hello, transport, &found);
            assert_int_equal(found.has_ja3, has_ja3);
            assert_int_equal(found.has_ja4, has_ja4);
            if (has_ja3) {
                assert_memory_equal(found.ja3, ja3, sizeof(ja3));
            }
            if (has_ja4) {
                assert_memory_equal(&found.ja4, &ja4, sizeof(ja4));
            }
        }
        with_ja4 += has_ja4;
        without += !has_ja3;
    }
    assert_true(with_ja4 > 1000);
    assert_true(without > 100);
}

static void a_key_has_no_room_for_long_lists_and_none_for_half_a_hello(void **state)
{
    struct lists lists;
    uint8_t key[TLS_FINGERPRINT_KEY_BYTES];
    struct tls_hello hello;

    (void)state;
    seed = 7;
    do {
        make_hello(&lists, &hello);
    } while (!hello.is_complete);
    hello.ciphers = numbers(lists.ciphers, 2);
    const size_t bytes = tls_fingerprint_key(&hello, TLS_OVER_TCP, key);
    assert_true(bytes > 0 && bytes % 8 == 0);
    hello.ciphers = numbers(lists.ciphers, LIST_MAX);
    assert_int_equal(tls_fingerprint_key(&hello, TLS_OVER_TCP, key), 0);
    hello.ciphers = numbers(lists.ciphers, 2);
    hello.is_complete = false;
    assert_int_equal(tls_fingerprint_key(&hello, TLS_OVER_TCP, key), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_seen_before_has_the_fingerprints_that_hashing_gives),
        cmocka_unit_test(a_key_has_no_room_for_long_lists_and_none_for_half_a_hello),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
