#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"

static void memory_is_aligned_and_does_not_overlap(void **state)
{
    (void)state;
    AUTO(arena) arena = arena_new(4096);
    assert_non_null(arena);
    uint8_t *last_end = arena->bytes;
    for (size_t alignment = 1; alignment <= 256; alignment *= 2) {
        uint8_t *piece = arena_take(arena, 3, alignment);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % alignment, 0);
        assert_true(piece >= last_end);
        memset(piece, 1, 3);
        last_end = piece + 3;
    }
}

static void a_full_arena_gives_null_and_keeps_what_it_has(void **state)
{
    (void)state;
    AUTO(arena) arena = arena_new(16);
    assert_non_null(arena);
    assert_non_null(arena_take(arena, 10, 1));
    assert_null(arena_take(arena, 7, 1));
    assert_null(arena_take(arena, SIZE_MAX, 1));
    assert_null(arena_take(arena, 1, 65536));
    assert_non_null(arena_take(arena, 6, 1));
    assert_null(arena_take(arena, 1, 1));
    arena_reset(arena);
    assert_non_null(arena_take(arena, 16, 1));
}

static void a_copied_text_has_a_nul_behind_it(void **state)
{
    (void)state;
    AUTO(arena) arena = arena_new(8);
    assert_non_null(arena);
    assert_string_equal(arena_copy_text(arena, "abcdef", 3), "abc");
    assert_string_equal(arena_copy_text(arena, NULL, 0), "");
    assert_null(arena_copy_text(arena, "abc", 3));
    assert_null(arena_copy_text(arena, "abc", SIZE_MAX));
}

static void an_empty_arena_is_no_failure(void **state)
{
    (void)state;
    AUTO(arena) arena = arena_new(0);
    assert_non_null(arena);
    assert_null(arena_take(arena, 1, 1));
    arena_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_does_not_overlap),
        cmocka_unit_test(a_full_arena_gives_null_and_keeps_what_it_has),
        cmocka_unit_test(a_copied_text_has_a_nul_behind_it),
        cmocka_unit_test(an_empty_arena_is_no_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
