/* Around every input of every fuzz target: how much memory it may take and how long it may work.
 *
 * The linker puts __wrap_LLVMFuzzerTestOneInput in the place of the target's function (--wrap, see
 * fuzz_target in cmake/House.cmake). FUZZ_MEMORY_BYTES is what may be held at once beyond what was
 * held before; 0 says that the parser takes no memory at all. Time is CPU time of the thread, so
 * that a busy machine changes nothing; an input that is twice as long may take twice as long. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#ifndef FUZZ_MEMORY_BYTES
#define FUZZ_MEMORY_BYTES 0
#endif
/* Sanitizers make everything some ten times slower; once is for what a target makes at its start.
 */
#define TIME_BASE_NS     (200 * NS_PER_MS)
#define TIME_PER_BYTE_NS (20 * NS_PER_US)

int __real_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef FUZZ_HAS_ASAN
#include <sanitizer/allocator_interface.h>

static bool is_running, has_hooks;
static size_t held_bytes, most_bytes;
static uint64_t taken;

static void on_malloc(const volatile void *pointer, size_t bytes)
{
    (void)pointer;
    if (is_running) {
        taken++;
        held_bytes += bytes;
        most_bytes = held_bytes > most_bytes ? held_bytes : most_bytes;
    }
}

static void on_free(const volatile void *pointer)
{
    if (is_running && pointer != NULL) {
        const size_t bytes = __sanitizer_get_allocated_size(pointer);

        held_bytes = bytes < held_bytes ? held_bytes - bytes : 0;
    }
}

static void memory_begin(void)
{
    if (!has_hooks) {
        (void)__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
        has_hooks = true;
    }
    held_bytes = most_bytes = 0;
    taken = 0;
    is_running = true;
}

static void memory_end(void)
{
    is_running = false;
    if (most_bytes > (size_t)FUZZ_MEMORY_BYTES || (taken > 0 && FUZZ_MEMORY_BYTES == 0)) {
        (void)fprintf(stderr, "fuzz: %zu bytes were held, %zu are allowed\n", most_bytes,
                      (size_t)FUZZ_MEMORY_BYTES);
        abort();
    }
}
#else
static void memory_begin(void)
{
}

static void memory_end(void)
{
}
#endif

static uint64_t cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

int __wrap_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint64_t begun_ns = cpu_ns();

    memory_begin();
    const int result = __real_LLVMFuzzerTestOneInput(data, size);

    memory_end();
    const uint64_t spent_ns = cpu_ns() - begun_ns;

    if (spent_ns > TIME_BASE_NS + size * TIME_PER_BYTE_NS) {
        (void)fprintf(stderr, "fuzz: %zu bytes took %llu ms\n", size,
                      (unsigned long long)(spent_ns / NS_PER_MS));
        abort();
    }
    return result;
}
