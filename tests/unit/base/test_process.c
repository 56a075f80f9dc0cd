/* Memory of the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/process.h"

#define BLOCKS      3
#define BLOCK_BYTES ((size_t)300 * 1024)
#define ROUNDS      400

static long faults(void)
{
    struct rusage used;

    assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
    return used.ru_minflt;
}

static void work_takes_time_of_processors(void **state)
{
    const uint64_t before_ns = process_cpu_ns();

    (void)state;
    for (volatile uint64_t i = 0; process_cpu_ns() == before_ns; i++) {
    }
    assert_true(process_cpu_ns() > before_ns);
    assert_in_range(process_cpus(), 1, 4096);
    assert_true(process_resident_bytes() > 0);
}

/* The kernel gives a page at its first touch: as many as there are pages would mean that each block
 * was given back and asked for anew. */
static void freed_messages_are_the_room_of_the_next(void **state)
{
    const long pages = (long)(BLOCKS * ROUNDS * BLOCK_BYTES) / sysconf(_SC_PAGESIZE);

    (void)state;
    process_keep_freed_memory();
    const long before = faults();

    for (int i = 0; i < ROUNDS; i++) {
        void *blocks[BLOCKS];

        for (int j = 0; j < BLOCKS; j++) {
            blocks[j] = malloc(BLOCK_BYTES);
            assert_non_null(blocks[j]);
            memset(blocks[j], i, BLOCK_BYTES);
        }
        for (int j = 0; j < BLOCKS; j++) {
            free(blocks[j]);
        }
    }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)before; /* their malloc is another one */
    (void)pages;
#else
    assert_true(faults() - before < pages / 4);
#endif
}

static uint64_t heap_used(void)
{
    struct process_heap heap;

    process_heap_read(&heap);
    return heap.used;
}

/* One block comes out of an arena, the other is mapped by itself. */
static void a_block_is_used_until_it_is_given_back(void **state)
{
    const size_t sizes[] = {(size_t)2 << 20, (size_t)40 << 20};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const uint64_t before = heap_used();
        char *block = malloc(sizes[i]);

        assert_non_null(block);
        memset(block, 1, sizes[i]);
        const uint64_t held = heap_used();
        free(block);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        (void)before; /* their malloc is another one, and tells nothing */
        (void)held;
#else
        assert_in_range(held - before, sizes[i], sizes[i] + 65536);
        assert_true(heap_used() < before + 65536);
#endif
    }
}

static void memory_stands_in_the_metrics(void **state)
{
    struct metrics_page page;

    (void)state;
    metrics_page_init(&page, 65536);
    process_write_metrics(&page);
    assert_non_null(strstr(page.text, "\nprocess_resident_memory_bytes "));
    assert_non_null(strstr(page.text, "\nnetscope_heap_bytes{state=\"used\"} "));
    assert_non_null(strstr(page.text, "\nnetscope_heap_bytes{state=\"free\"} "));
    metrics_page_fini(&page);
}

static void resident_memory_is_below_the_limit(void **state)
{
    (void)state;
    assert_true(process_resident_bytes() > 0);
    assert_true(process_resident_bytes() < process_memory_limit());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freed_messages_are_the_room_of_the_next),
        cmocka_unit_test(work_takes_time_of_processors),
        cmocka_unit_test(a_block_is_used_until_it_is_given_back),
        cmocka_unit_test(memory_stands_in_the_metrics),
        cmocka_unit_test(resident_memory_is_below_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
