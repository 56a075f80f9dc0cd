/* Lists of CPUs: what is taken, what is refused, and that a thread runs where it is told. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu_list.h"

/* The first CPU that this process may use, and how many in a row there are from it. */
static unsigned first_cpu(unsigned *in_a_row)
{
    cpu_set_t set;
    unsigned cpu = 0;

    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    while (!CPU_ISSET(cpu, &set)) {
        cpu++;
    }
    for (*in_a_row = 0; CPU_ISSET(cpu + *in_a_row, &set); (*in_a_row)++) {
    }
    return cpu;
}

static void a_number_and_a_range_are_taken_in_order(void **state)
{
    (void)state;
    static struct cpu_list list;
    struct error err = {0};
    char text[32];
    unsigned count;
    const unsigned first = first_cpu(&count);

    snprintf(text, sizeof(text), "%u-%u", first, first + count - 1);
    assert_int_equal(cpu_list_add(&list, text, &err), 0);
    assert_int_equal(list.count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(list.cpus[i], first + i);
    }
}

static void a_cpu_that_is_not_there_is_refused_with_those_that_are(void **state)
{
    (void)state;
    static struct cpu_list list;
    struct error err = {0};

    assert_int_equal(cpu_list_add(&list, "1000", &err), -EINVAL);
    assert_non_null(strstr(err.message, "CPU 1000 is not there"));
    assert_non_null(strstr(err.message, "it has "));
    assert_int_equal(cpu_list_add(&list, "99999999999999999999", &err), -EINVAL);
}

static void what_is_no_cpu_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "a", "-1", "1-", "3-1", "0x1", "1 ", "0,1", "+1"};
    static struct cpu_list list;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error err = {0};

        assert_int_equal(cpu_list_add(&list, wrong[i], &err), -EINVAL);
        assert_non_null(strstr(err.message, "is neither a CPU"));
    }
}

static void a_cpu_named_twice_is_refused(void **state)
{
    (void)state;
    static struct cpu_list list;
    struct error err = {0};
    char text[16];
    unsigned count;

    snprintf(text, sizeof(text), "%u", first_cpu(&count));
    assert_int_equal(cpu_list_add(&list, text, &err), 0);
    assert_int_equal(cpu_list_add(&list, text, &err), -EINVAL);
    assert_non_null(strstr(err.message, "named twice"));
}

static void *where(void *context)
{
    *(int *)context = sched_getcpu();
    return NULL;
}

static void a_pinned_thread_runs_there(void **state)
{
    (void)state;
    unsigned count;
    const unsigned first = first_cpu(&count);

    for (unsigned cpu = first; cpu < first + count; cpu++) {
        pthread_attr_t attributes;
        pthread_t thread;
        int seen = -1;

        assert_int_equal(pthread_attr_init(&attributes), 0);
        assert_int_equal(cpu_list_pin(&attributes, (uint16_t)cpu), 0);
        assert_int_equal(pthread_create(&thread, &attributes, where, &seen), 0);
        pthread_join(thread, NULL);
        pthread_attr_destroy(&attributes);
        assert_int_equal(seen, cpu);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_and_a_range_are_taken_in_order),
        cmocka_unit_test(a_cpu_that_is_not_there_is_refused_with_those_that_are),
        cmocka_unit_test(what_is_no_cpu_is_refused),
        cmocka_unit_test(a_cpu_named_twice_is_refused),
        cmocka_unit_test(a_pinned_thread_runs_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
