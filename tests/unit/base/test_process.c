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
        cmocka_unit_test(resident_memory_is_below_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
