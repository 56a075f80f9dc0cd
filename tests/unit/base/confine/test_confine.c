/* Each case runs in a child of its own, since nothing here can be undone. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/confine/confine.h"

#define NET_RAW 13

/* What the child's exit status or signal was. */
static int in_a_child(int (*body)(void))
{
    int status = 0;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        _exit(body());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

#define ASSERT_EXITS(body, wanted)                                                                 \
    do {                                                                                           \
        const int status_ = in_a_child(body);                                                      \
        assert_true(WIFEXITED(status_));                                                           \
        assert_int_equal(WEXITSTATUS(status_), wanted);                                            \
    } while (0)

static int drop_all_but_net_raw(void)
{
    static const char *const keep[] = {"net_raw"};
    const struct confine_privileges settings = {.keep = keep, .keep_count = 1};
    struct confine_state before, after;
    struct error err = {0};

    confine_state_read(&before);
    if (confine_privileges(&settings, &err) != 0) {
        return 1;
    }
    confine_state_read(&after);
    if (!after.has_no_new_privileges) {
        return 2;
    }
    return after.capabilities == (before.capabilities & (UINT64_C(1) << NET_RAW)) ? 0 : 3;
}

static void capabilities_but_those_kept_are_gone(void **state)
{
    (void)state;
    ASSERT_EXITS(drop_all_but_net_raw, 0);
}

static int become_nobody(void)
{
    static const char *const keep[] = {"net_raw"};
    const struct confine_privileges settings = {.user = "65534", .keep = keep, .keep_count = 1};
    struct confine_state after;
    struct error err = {0};

    if (confine_privileges(&settings, &err) != 0) {
        return 1;
    }
    confine_state_read(&after);
    if (after.user != 65534 || getuid() != 65534 || getgid() != 65534) {
        return 2;
    }
    return after.capabilities == UINT64_C(1) << NET_RAW && setuid(0) != 0 ? 0 : 3;
}

static void another_user_keeps_the_capability_and_nothing_else(void **state)
{
    struct confine_state now;

    (void)state;
    confine_state_read(&now);
    if (now.user != 0 || (now.capabilities >> NET_RAW & 1) == 0) {
        (void)puts("SKIP: becoming another user needs root with CAP_NET_RAW");
        skip();
    }
    ASSERT_EXITS(become_nobody, 0);
}

static int ask_for_what_is_not_there(void)
{
    static const char *const keep[] = {"net_rawr"};
    struct confine_privileges settings = {.keep = keep, .keep_count = 1};
    struct error err = {0};

    if (confine_privileges(&settings, &err) != -EINVAL || strstr(err.message, "net_rawr") == NULL) {
        return 1;
    }
    settings = (struct confine_privileges){.user = "no-such-user-here"};
    if (confine_privileges(&settings, &err) != -EINVAL ||
        strstr(err.message, "no-such-user-here") == NULL) {
        return 2;
    }
    return 0;
}

static void unknown_names_are_refused_by_name(void **state)
{
    (void)state;
    ASSERT_EXITS(ask_for_what_is_not_there, 0);
}

static pthread_barrier_t barrier;

static void *call_from_an_older_thread(void *result)
{
    (void)pthread_barrier_wait(&barrier); /* it runs before the filter is there */
    (void)pthread_barrier_wait(&barrier);
    errno = 0;
    *(int *)result = syscall(SYS_setpriority, 0, 0, 5) == -1 ? errno : 0;
    return NULL;
}

/* The thread is older than the filter; setpriority is neither allowed nor forbidden. */
static int refuse_in_all_threads(void)
{
    pthread_t thread;
    struct error err = {0};
    int seen = 0;

    if (pthread_barrier_init(&barrier, NULL, 2) != 0 ||
        pthread_create(&thread, NULL, call_from_an_older_thread, &seen) != 0) {
        return 1;
    }
    (void)pthread_barrier_wait(&barrier);
    if (confine_privileges(&(struct confine_privileges){0}, &err) != 0 ||
        confine_system_calls(CONFINE_REFUSE, &err) != 0) {
        return 2;
    }
    (void)pthread_barrier_wait(&barrier);
    (void)pthread_join(thread, NULL);
    return seen == EPERM ? 0 : 3;
}

static void what_is_not_on_the_list_is_refused_in_every_thread(void **state)
{
    (void)state;
    ASSERT_EXITS(refuse_in_all_threads, 0);
}

static int work_as_usual(void)
{
    struct error err = {0};
    char *const text = strdup("text"); /* memory */
    char name[] = "/tmp/confine-XXXXXX";

    if (confine_system_calls(CONFINE_KILL, &err) != 0 || text == NULL) {
        return 1;
    }
    const int file = mkstemp(name);
    const int ok = file >= 0 && write(file, text, 4) == 4 && fdatasync(file) == 0;

    (void)close(file);
    free(text);
    return ok && unlink(name) == 0 ? 0 : 2;
}

static void files_and_memory_work_behind_the_filter(void **state)
{
    (void)state;
    ASSERT_EXITS(work_as_usual, 0);
}

static int run_a_program(void)
{
    struct error err = {0};
    char *const arguments[] = {"true", NULL};

    if (confine_system_calls(CONFINE_REFUSE, &err) != 0) {
        return 1;
    }
    (void)execv("/bin/true", arguments);
    return 2;
}

static int change_priority_when_all_else_kills(void)
{
    struct error err = {0};

    if (confine_system_calls(CONFINE_KILL, &err) != 0) {
        return 1;
    }
    (void)syscall(SYS_setpriority, 0, 0, 5);
    return 2;
}

static void a_violation_ends_the_process(void **state)
{
    (void)state;
    int status = in_a_child(run_a_program);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
    status = in_a_child(change_priority_when_all_else_kills);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

static int log_only(void)
{
    struct error err = {0};

    return confine_system_calls(CONFINE_LOG, &err) == 0 && syscall(SYS_getppid) > 0 &&
                   syscall(SYS_setpriority, 0, 0, 5) == 0
               ? 0
               : 1;
}

static void logging_alone_refuses_nothing(void **state)
{
    (void)state;
    ASSERT_EXITS(log_only, 0);
}

static void capabilities_are_told_by_name(void **state)
{
    char text[64];

    (void)state;
    assert_string_equal(confine_capabilities_text(0, text, sizeof(text)), "none");
    assert_string_equal(confine_capabilities_text(UINT64_C(1) << NET_RAW, text, sizeof(text)),
                        "net_raw");
    assert_string_equal(confine_capabilities_text(2 | UINT64_C(1) << NET_RAW, text, sizeof(text)),
                        "dac_override,net_raw");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_but_those_kept_are_gone),
        cmocka_unit_test(another_user_keeps_the_capability_and_nothing_else),
        cmocka_unit_test(unknown_names_are_refused_by_name),
        cmocka_unit_test(what_is_not_on_the_list_is_refused_in_every_thread),
        cmocka_unit_test(files_and_memory_work_behind_the_filter),
        cmocka_unit_test(a_violation_ends_the_process),
        cmocka_unit_test(logging_alone_refuses_nothing),
        cmocka_unit_test(capabilities_are_told_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
