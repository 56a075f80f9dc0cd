/* Compiler attributes under names of our own. Depends on: nothing. */
#pragma once

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_index)                                                     \
    __attribute__((format(printf, format_index, first_index)))
#define UNUSED __attribute__((unused))
/* For a function that does nothing but prefetch: GCC takes one that it does not inline at once for
 * pure, and leaves its calls out. */
#define ALWAYS_INLINE inline __attribute__((always_inline))
/* For what few calls of a hot function get to. */
#define NOINLINE __attribute__((noinline))

/* Cleanup follows scope: `AUTO(arena) a = arena_new(...)` is freed on every path out, and
 * `return TAKE(a)` hands it on. A type takes part by DEFINE_AUTO(arena, arena_free). */
#define DEFINE_AUTO(type, free_function)                                                           \
    static inline void auto_free_##type(struct type **p)                                           \
    {                                                                                              \
        free_function(*p);                                                                         \
    }                                                                                              \
    struct type
#define AUTO(type) __attribute__((cleanup(auto_free_##type))) struct type *
#define TAKE(pointer)                                                                              \
    (__extension__({                                                                               \
        __typeof__(pointer) taken = (pointer);                                                     \
        (pointer) = (void *)0;                                                                     \
        taken;                                                                                     \
    }))

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Size of a cache line: what one thread writes is kept this far from what another reads. */
#define CACHE_LINE 64
