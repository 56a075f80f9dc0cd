#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/thread.h"

static void *is_deaf(void *context)
{
    static int yes;
    sigset_t mask;

    (void)context;
    return pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0 && sigismember(&mask, SIGTERM) == 1 &&
                   sigismember(&mask, SIGHUP) == 1
               ? &yes
               : NULL;
}

static void a_thread_hears_no_signal_and_whoever_starts_it_goes_on_hearing(void **state)
{
    pthread_t thread;
    void *answer = NULL;
    sigset_t mask;

    (void)state;
    assert_int_equal(thread_start(&thread, is_deaf, NULL), 0);
    assert_int_equal(pthread_join(thread, &answer), 0);
    assert_non_null(answer);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    assert_int_equal(sigismember(&mask, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_hears_no_signal_and_whoever_starts_it_goes_on_hearing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
