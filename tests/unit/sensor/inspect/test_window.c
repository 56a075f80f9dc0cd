#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/inspect/window.h"
#include "tests/support/window_script.h"

static struct byte_pool pool;

static int make_pool(void **state)
{
    struct error err;

    (void)state;
    return byte_pool_init(&pool, 256 * 1024, &err) ? 0 : 1;
}

static int drop_pool(void **state)
{
    (void)state;
    assert_int_equal(pool.used_bytes, 0);
    byte_pool_fini(&pool);
    return 0;
}

static struct window_put put(struct window *window, uint32_t offset, const char *text)
{
    const struct wire_span span = {(const uint8_t *)text, (uint32_t)strlen(text)};

    return window_put(window, &pool, 16384, offset, &span);
}

static void assert_bytes(const struct window *window, const char *text)
{
    const struct wire_span bytes = window_bytes(window, &pool);

    assert_int_equal(bytes.length, strlen(text));
    if (bytes.length > 0) {
        assert_memory_equal(bytes.bytes, text, bytes.length);
    }
}

static void pieces_in_any_order_come_out_in_order(void **state)
{
    struct window window = {0};

    (void)state;
    assert_int_equal(put(&window, 6, "world").status, WINDOW_OK);
    assert_bytes(&window, "");
    assert_int_equal(window_hole_bytes(&window, &pool), 6);
    assert_int_equal(put(&window, 0, "hell").new_bytes, 4);
    assert_bytes(&window, "hell");
    assert_int_equal(window_hole_bytes(&window, &pool), 2);
    put(&window, 4, "o ");
    assert_bytes(&window, "hello world");
    assert_int_equal(window_hole_bytes(&window, &pool), 0);
    window_consume(&window, &pool, 6);
    assert_bytes(&window, "world");
    window_consume(&window, &pool, 5);
    assert_int_equal(window.block, BYTE_POOL_NONE);
    assert_int_equal(window.base, 11);
}

static void the_byte_seen_first_stays_and_another_one_is_told(void **state)
{
    struct window window = {0};

    (void)state;
    put(&window, 2, "CD");
    const struct window_put second = put(&window, 0, "abcdef");
    assert_true(second.conflicts);
    assert_int_equal(second.new_bytes, 4);
    assert_int_equal(second.overlapped_bytes, 2);
    assert_bytes(&window, "abCDef");
    assert_false(put(&window, 1, "bCD").conflicts);
    window_clear(&window, &pool);
}

static void what_lies_before_the_base_or_beyond_the_limit_is_not_taken(void **state)
{
    struct window window = {.base = 100};
    const struct wire_span span = {(const uint8_t *)"0123456789", 10};

    (void)state;
    assert_int_equal(put(&window, 90, "0123456789").new_bytes, 0);
    assert_int_equal(put(&window, 95, "0123456789").new_bytes, 5);
    assert_bytes(&window, "56789");
    const struct window_put far = window_put(&window, &pool, 12, 105, &span);
    assert_int_equal(far.status, WINDOW_FAR);
    assert_int_equal(far.new_bytes, 7);
    assert_bytes(&window, "567890123456");
    assert_int_equal(window_put(&window, &pool, 12, 112, &span).new_bytes, 0);
    window_clear(&window, &pool);
    assert_int_equal(window_put(&window, &pool, 12, 112, &span).status, WINDOW_FAR);
    assert_int_equal(window.range_count, 0);
}

static void one_piece_too_many_is_refused_and_nothing_is_taken(void **state)
{
    struct window window = {0};

    (void)state;
    for (uint32_t i = 0; i < WINDOW_RANGES_MAX; i++) {
        assert_int_equal(put(&window, 10 + i * 10, "x").status, WINDOW_OK);
    }
    assert_int_equal(put(&window, 0, "y").status, WINDOW_SCATTERED);
    assert_int_equal(put(&window, 11, "joins").status, WINDOW_OK);
    assert_int_equal(put(&window, 0, "ten bytes.").status, WINDOW_OK); /* touches the first */
    assert_bytes(&window, "ten bytes.xjoins");
    window_clear(&window, &pool);
}

static void the_base_goes_back_as_long_as_it_all_fits(void **state)
{
    struct window window = {.base = 3};

    (void)state;
    put(&window, 3, "def");
    assert_true(window_lower(&window, &pool, 16, 3));
    assert_int_equal(window.base, 0);
    assert_bytes(&window, "");
    put(&window, 0, "abc");
    assert_bytes(&window, "abcdef");
    assert_false(window_lower(&window, &pool, 16, 11));
    assert_bytes(&window, "abcdef");
    window_clear(&window, &pool);
}

static void consuming_over_a_hole_keeps_what_is_behind(void **state)
{
    struct window window = {0};

    (void)state;
    put(&window, 0, "ab");
    put(&window, 5, "fgh");
    window_consume(&window, &pool, 6);
    assert_bytes(&window, "gh");
    window_consume(&window, &pool, 100);
    assert_int_equal(window.base, 106);
    assert_int_equal(put(&window, 100, "abcdefgh").new_bytes, 2);
    assert_bytes(&window, "gh");
    window_clear(&window, &pool);
}

static void a_full_pool_takes_nothing_and_is_counted(void **state)
{
    struct byte_pool small;
    struct window windows[2] = {{0}, {0}};
    uint8_t bytes[40000] = {0};
    const struct wire_span span = {bytes, sizeof(bytes)};
    struct error err;

    (void)state;
    assert_true(byte_pool_init(&small, 65536, &err));
    assert_int_equal(window_put(&windows[0], &small, 65536, 0, &span).status, WINDOW_OK);
    assert_int_equal(window_put(&windows[1], &small, 65536, 0, &span).status, WINDOW_FULL);
    assert_int_equal(small.refused, 1);
    window_clear(&windows[0], &small);
    assert_int_equal(window_put(&windows[1], &small, 65536, 0, &span).status, WINDOW_OK);
    window_clear(&windows[1], &small);
    assert_int_equal(small.used_bytes, 0);
    byte_pool_fini(&small);
}

/* Room for its bytes, and none for the list of its pieces. */
static void a_second_piece_without_room_for_a_list_is_not_taken(void **state)
{
    struct window window = {0};
    struct byte_pool small;
    struct error err;

    (void)state;
    assert_true(byte_pool_init(&small, 65536, &err));
    const struct wire_span span = {(const uint8_t *)"abc", 3};
    assert_int_equal(window_put(&window, &small, 65536, 0, &span).status, WINDOW_OK);
    while (byte_pool_take(&small, 2 * BYTE_POOL_UNIT_BYTES) != BYTE_POOL_NONE) {
    }
    const struct window_put put = window_put(&window, &small, 65536, 10, &span);
    assert_int_equal(put.status, WINDOW_FULL);
    assert_int_equal(put.new_bytes, 0);
    assert_int_equal(window.range_count, 1);
    assert_int_equal(window_bytes(&window, &small).length, 3);
    assert_int_equal(window_put(&window, &small, 65536, 3, &span).status, WINDOW_OK);
    assert_memory_equal(window_bytes(&window, &small).bytes, "abcabc", 6);
    byte_pool_fini(&small);
}

/* Takes and gives at random: blocks never overlap, and all of it comes together again. */
static void blocks_of_the_pool_never_overlap_and_join_again(void **state)
{
    enum { BLOCKS = 64 };
    struct byte_pool own;
    uint32_t blocks[BLOCKS] = {0}, sizes[BLOCKS] = {0};
    struct error err;

    (void)state;
    assert_true(byte_pool_init(&own, 4 * 65536, &err));
    srand(7);
    for (unsigned step = 0; step < 20000; step++) {
        const unsigned i = (unsigned)rand() % BLOCKS;
        if (blocks[i] != BYTE_POOL_NONE) {
            const uint8_t *at = byte_pool_at(&own, blocks[i]);
            assert_int_equal(at[0], i);
            assert_int_equal(at[sizes[i] - 1], i);
            byte_pool_give(&own, blocks[i]);
            blocks[i] = BYTE_POOL_NONE;
            continue;
        }
        sizes[i] = 1 + (uint32_t)rand() % (step % 16 == 0 ? 65536 : 5000);
        blocks[i] = byte_pool_take(&own, sizes[i]);
        if (blocks[i] != BYTE_POOL_NONE) {
            assert_true(byte_pool_room(&own, blocks[i]) >= sizes[i]);
            memset(byte_pool_at(&own, blocks[i]), (int)i, sizes[i]);
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i] != BYTE_POOL_NONE) {
            byte_pool_give(&own, blocks[i]);
        }
    }
    assert_int_equal(own.used_bytes, 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_not_equal(byte_pool_take(&own, 65536), BYTE_POOL_NONE);
    }
    assert_int_equal(byte_pool_take(&own, 1), BYTE_POOL_NONE);
    assert_int_equal(byte_pool_take(&own, 65537), BYTE_POOL_NONE);
    byte_pool_fini(&own);
}

static void any_script_gives_what_the_plain_assembler_gives(void **state)
{
    uint8_t script[5 * 300];

    (void)state;
    for (unsigned seed = 0; seed < 60; seed++) {
        uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        for (size_t i = 0; i < sizeof(script); i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            script[i] = (uint8_t)(x >> 24);
        }
        script_seed = seed;
        window_play(script, sizeof(script), seed % 3 == 0 ? UINT32_MAX - 3000 : seed % 3 * 1000,
                    seed % 4 < 2 ? 0 : SCRIPT_UNITS - seed * 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_in_any_order_come_out_in_order),
        cmocka_unit_test(the_byte_seen_first_stays_and_another_one_is_told),
        cmocka_unit_test(what_lies_before_the_base_or_beyond_the_limit_is_not_taken),
        cmocka_unit_test(one_piece_too_many_is_refused_and_nothing_is_taken),
        cmocka_unit_test(the_base_goes_back_as_long_as_it_all_fits),
        cmocka_unit_test(consuming_over_a_hole_keeps_what_is_behind),
        cmocka_unit_test(a_full_pool_takes_nothing_and_is_counted),
        cmocka_unit_test(a_second_piece_without_room_for_a_list_is_not_taken),
        cmocka_unit_test(blocks_of_the_pool_never_overlap_and_join_again),
        cmocka_unit_test(any_script_gives_what_the_plain_assembler_gives),
    };

    return cmocka_run_group_tests(tests, make_pool, drop_pool);
}
