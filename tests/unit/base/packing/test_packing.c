#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/packing/packing.h"

#define BYTES 20000U

static uint8_t plain[BYTES];

/* Like records: the same words with numbers in between. */
static void fill(void)
{
    for (uint32_t i = 0; i < BYTES; i++) {
        plain[i] = i % 20 == 0 ? (uint8_t)hash_mix(i) : (uint8_t)(i % 20);
    }
}

static void what_is_packed_comes_back_and_is_smaller(void **state)
{
    (void)state;
    static uint8_t back[BYTES];
    AUTO(packer) packer = packer_new();
    uint8_t *packed = malloc(packer_bound(BYTES));

    fill();
    assert_true(packer != NULL && packed != NULL);
    for (unsigned i = 0; i < 3; i++) {
        const size_t length = packer_pack(packer, plain, BYTES, packed, packer_bound(BYTES));

        assert_true(length > 0 && length < BYTES / 3);
        memset(back, 0, sizeof(back));
        assert_true(packing_unpack(packed, length, back, BYTES));
        assert_memory_equal(back, plain, BYTES);
    }
    free(packed);
}

static void what_does_not_get_smaller_is_not_packed(void **state)
{
    (void)state;
    uint8_t noise[1000];
    uint8_t out[2000];
    AUTO(packer) packer = packer_new();

    for (uint32_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (uint8_t)(hash_mix(i) >> 20);
    }
    assert_int_equal(packer_pack(packer, noise, sizeof(noise), out, sizeof(out)), 0);
    assert_int_equal(packer_pack(packer, noise, 0, out, sizeof(out)), 0);
    assert_int_equal(packer_pack(packer, plain, BYTES, out, 10), 0); /* no room */
}

static void other_lengths_and_other_bytes_are_refused(void **state)
{
    (void)state;
    static uint8_t back[BYTES + 1];
    static uint8_t packed[BYTES + 1000];
    AUTO(packer) packer = packer_new();

    fill();
    const size_t length = packer_pack(packer, plain, BYTES, packed, sizeof(packed));

    assert_false(packing_unpack(packed, length, back, BYTES - 1)); /* more than was announced */
    assert_false(packing_unpack(packed, length, back, BYTES + 1));
    assert_false(packing_unpack(packed, 0, back, 1));
    assert_false(packing_unpack(plain, 100, back, BYTES));
    for (size_t cut = 0; cut < length; cut += 7) {
        assert_false(packing_unpack(packed, cut, back, BYTES));
    }
    for (size_t i = 0; i < length;
         i++) { /* any changed byte: within the bounds, whatever it says */
        packed[i] ^= 0x55;
        (void)!packing_unpack(packed, length, back, BYTES);
        packed[i] ^= 0x55;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_comes_back_and_is_smaller),
        cmocka_unit_test(what_does_not_get_smaller_is_not_packed),
        cmocka_unit_test(other_lengths_and_other_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
