#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/sha1_lanes.h"

static void crc32c_has_the_values_of_rfc_3720(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(hash_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(hash_crc32c(0, bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(hash_crc32c(0, bytes, 32), 0x46dd794e);
    assert_int_equal(hash_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(hash_crc32c_portable(0, "123456789", 9), 0xe3069283);
}

static void crc32c_in_pieces_and_by_tables_is_the_same(void **state)
{
    (void)state;
    uint8_t bytes[300];
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)hash_mix(i);
    }
    for (unsigned length = 0; length <= sizeof(bytes); length++) {
        const uint32_t whole = hash_crc32c(0, bytes, length);
        assert_int_equal(hash_crc32c_portable(0, bytes, length), whole);
        const unsigned cut = length / 3;
        assert_int_equal(hash_crc32c(hash_crc32c(0, bytes, cut), bytes + cut, length - cut), whole);
    }
}

/* Long ones are read in several lanes that are put together. */
static void crc32c_of_long_input_is_that_by_tables(void **state)
{
    (void)state;
    static uint8_t bytes[16384];
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)hash_mix(i);
    }
    for (unsigned length = 500; length < 8192; length += 37) {
        const uint8_t *begin = bytes + length % 13;
        const uint32_t whole = hash_crc32c_portable(7, begin, length);
        assert_int_equal(hash_crc32c(7, begin, length), whole);
        assert_int_equal(hash_crc32c(hash_crc32c(7, begin, 401), begin + 401, length - 401), whole);
    }
}

static void a_short_sha1_in_its_block_is_the_sha1(void **state)
{
    (void)state;
    for (size_t length = 0; length <= HASH_SHORT_MAX; length++) {
        for (int is_portable = 0; is_portable < 2; is_portable++) {
            uint8_t block[64] = {0}, expected[20], found[20];
            uint32_t words[5];
            for (size_t i = 0; i < length; i++) {
                block[i] = (uint8_t)hash_mix(i + length);
            }
            hash_sha1_portable(block, length, expected);
            (is_portable ? hash_sha1_short_portable : hash_sha1_short)(block, length, words);
            for (unsigned i = 0; i < 20; i++) {
                found[i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
            }
            assert_memory_equal(found, expected, sizeof(found));
        }
    }
}

static void a_sha1_of_two_words_is_that_of_their_bytes(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        uint8_t bytes[16], expected[20], found[20];
        const uint64_t pair[2] = {hash_mix(i), hash_mix(~i)};
        for (unsigned k = 0; k < 16; k++) {
            bytes[k] = (uint8_t)(pair[k / 8] >> 8 * (k % 8));
        }
        hash_sha1_portable(bytes, sizeof(bytes), expected);
        for (int is_portable = 0; is_portable < 2; is_portable++) {
            uint32_t words[5];
            (is_portable ? hash_sha1_16_portable : hash_sha1_16)(pair[0], pair[1], words);
            for (unsigned k = 0; k < 20; k++) {
                found[k] = (uint8_t)(words[k / 4] >> (24 - 8 * (k % 4)));
            }
            assert_memory_equal(found, expected, sizeof(found));
        }
    }
}

static void assert_same_digests(uint32_t found[5][SHA1_LANES], uint32_t expected[5][SHA1_LANES],
                                unsigned count)
{
    for (unsigned word = 0; word < 5; word++) {
        assert_memory_equal(found[word], expected[word], count * sizeof(uint32_t));
    }
}

/* However many there are, and by whatever registers the processor has. */
static void sha1_side_by_side_is_that_of_each(void **state)
{
    (void)state;
    for (uint64_t turn = 0; turn < 160; turn++) {
        const unsigned count = 1 + (unsigned)turn % SHA1_LANES;
        uint64_t first[SHA1_LANES], second[SHA1_LANES];
        uint32_t together[5][SHA1_LANES], alone[5][SHA1_LANES];

        for (unsigned i = 0; i < SHA1_LANES; i++) {
            first[i] = hash_mix(turn << 8 | i);
            second[i] = hash_mix(~(turn << 8 | i));
        }
        sha1_lanes_portable(first, second, count, alone);
        sha1_lanes(first, second, count, together);
        assert_same_digests(together, alone, count);
        memset(together, 0, sizeof(together));
        if (sha1_lanes_256(first, second, count, together)) {
            assert_same_digests(together, alone, count);
        }
    }
}

static void fnv1a_has_its_reference_values_whole_and_in_parts(void **state)
{
    (void)state;
    assert_true(hash_fnv1a(HASH_FNV1A_START, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(hash_fnv1a(HASH_FNV1A_START, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(hash_fnv1a(HASH_FNV1A_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
    assert_true(hash_fnv1a(hash_fnv1a(HASH_FNV1A_START, "foo", 3), "bar", 3) ==
                UINT64_C(0x85944171f73967e8));
}

static void sip_hash_13_has_its_reference_values(void **state)
{
    (void)state;
    /* Key 00..0f, message 00..n-1, from the reference implementation's vectors for 1-3 (also
     * Rust's). */
    const struct hash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    static const uint64_t expected[] = {UINT64_C(0xabac0158050fc4dc), UINT64_C(0xc9f49bf37d57ca93),
                                        UINT64_C(0x82cb9b024dc7d44d), UINT64_C(0x8bf80ab8e7ddf7fb)};
    const uint8_t message[4] = {0, 1, 2, 3};
    for (size_t length = 0; length < 4; length++) {
        assert_true(hash_bytes(key, message, length) == expected[length]);
    }
}

static void words_have_the_hash_of_their_bytes(void **state)
{
    (void)state;
    const struct hash_key key = hash_key_random();
    uint64_t words[9];
    uint8_t bytes[sizeof(words)];
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        words[i / 8] = hash_mix(i / 8 + 1);
        bytes[i] = (uint8_t)(words[i / 8] >> 8 * (i % 8));
    }
    for (size_t count = 0; count <= 9; count++) {
        assert_true(hash_words(key, words, count) == hash_bytes(key, bytes, 8 * count));
    }
}

static void every_bit_and_the_length_change_the_hash(void **state)
{
    (void)state;
    const struct hash_key key = hash_key_random();
    uint8_t bytes[21] = {0};
    const uint64_t plain = hash_bytes(key, bytes, sizeof(bytes));
    for (unsigned bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_true(hash_bytes(key, bytes, sizeof(bytes)) != plain);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_true(hash_bytes(key, bytes, sizeof(bytes) - 1) != plain);
    assert_true(hash_bytes(hash_key_random(), bytes, sizeof(bytes)) != plain);
}

static void assert_sha1(const char *text, size_t length, const char *expected)
{
    uint8_t digest[20];
    char hex[41];
    hash_sha1(text, length, digest);
    for (size_t i = 0; i < 20; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    assert_string_equal(hex, expected);
}

/* Both ways, at all lengths around a block's end and at every alignment. */
static void sha1_of_the_processor_and_of_plain_c_are_equal(void **state)
{
    uint8_t bytes[300], native[20], portable[20];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 167 + (i >> 3));
    }
    for (size_t length = 0; length + 16 <= sizeof(bytes); length++) {
        hash_sha1(bytes + length % 16, length, native);
        hash_sha1_portable(bytes + length % 16, length, portable);
        assert_memory_equal(native, portable, sizeof(native));
    }
}

static void sha1_has_the_values_of_rfc_3174(void **state)
{
    (void)state;
    assert_sha1("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_sha1("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    char as[1000];
    memset(as, 'a', sizeof(as));
    assert_sha1(as, 1000, "291e9a6c66994949b57ba5e650361e98fc36b1ba");
}

static void random_ids_are_hex_and_differ(void **state)
{
    (void)state;
    char a[33], b[33];
    hash_random_hex(a);
    hash_random_hex(b);
    assert_int_equal(strlen(a), 32);
    assert_int_equal(strspn(a, "0123456789abcdef"), 32);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_has_the_values_of_rfc_3720),
        cmocka_unit_test(crc32c_in_pieces_and_by_tables_is_the_same),
        cmocka_unit_test(crc32c_of_long_input_is_that_by_tables),
        cmocka_unit_test(a_short_sha1_in_its_block_is_the_sha1),
        cmocka_unit_test(a_sha1_of_two_words_is_that_of_their_bytes),
        cmocka_unit_test(sha1_side_by_side_is_that_of_each),
        cmocka_unit_test(fnv1a_has_its_reference_values_whole_and_in_parts),
        cmocka_unit_test(sip_hash_13_has_its_reference_values),
        cmocka_unit_test(words_have_the_hash_of_their_bytes),
        cmocka_unit_test(every_bit_and_the_length_change_the_hash),
        cmocka_unit_test(sha1_has_the_values_of_rfc_3174),
        cmocka_unit_test(sha1_of_the_processor_and_of_plain_c_are_equal),
        cmocka_unit_test(random_ids_are_hex_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
