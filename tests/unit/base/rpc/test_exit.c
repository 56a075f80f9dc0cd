/* What stays of OpenSSL when a process that uses gRPC ends: threads of the library outlive main. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "base/rpc/rpc.h"

static int told;

static void tell_cleanup(void)
{
    (void)!write(told, "x", 1);
}

static void start_runtime(void)
{
    struct error err = {0};
    struct rpc_runtime *runtime = rpc_runtime_new(NULL, &err);

    if (runtime == NULL) {
        _exit(2);
    }
    rpc_runtime_free(runtime);
}

static void use_openssl(void)
{
    (void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
}

/* Whether OpenSSL cleans up at the exit of a process that does this. */
static bool cleans_up_behind(void (*first)(void), void (*second)(void))
{
    int ends[2], status = 0;
    char byte;

    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        told = ends[1];
        first();
        second();
        exit(OPENSSL_atexit(tell_cleanup) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    (void)close(ends[1]);
    const ssize_t got = read(ends[0], &byte, 1);
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return got == 1;
}

static void test_openssl_does_not_clean_up_under_threads_of_grpc(void **state)
{
    (void)state;
    assert_false(cleans_up_behind(start_runtime, use_openssl));
    assert_false(cleans_up_behind(rpc_process_begin, use_openssl));
    assert_false(cleans_up_behind(rpc_process_begin, start_runtime));
}

/* Why main() begins with it. */
static void test_who_used_openssl_first_has_its_clean_up(void **state)
{
    (void)state;
    assert_true(cleans_up_behind(use_openssl, rpc_process_begin));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openssl_does_not_clean_up_under_threads_of_grpc),
        cmocka_unit_test(test_who_used_openssl_first_has_its_clean_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
