/* The manager is a socket of the test; each case is a child, since the state is the process's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/service/fatal.h"
#include "base/service/notify.h"

static char received[4096];

/* Runs `body` in a child and gathers what it told, one datagram a line. Its wait status. */
static int told_by(bool is_abstract, void (*body)(void))
{
    char directory[] = "/tmp/notify-XXXXXX";
    char name[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_non_null(mkdtemp(directory));
    if (is_abstract) {
        (void)snprintf(name, sizeof(name), "@netscope-test-%d", (int)getpid());
    } else {
        (void)snprintf(name, sizeof(name), "%s/socket", directory);
    }
    memcpy(address.sun_path, name, strlen(name));
    address.sun_path[0] = name[0] == '@' ? '\0' : name[0];
    const int listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const socklen_t bytes =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + !is_abstract);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setenv("NOTIFY_SOCKET", name, 1);
        body();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    size_t length = 0;
    ssize_t got;
    while ((got = recv(listener, received + length, sizeof(received) - length - 2, 0)) > 0) {
        length += (size_t)got;
        received[length++] = '|';
    }
    received[length] = '\0';
    close(listener);
    (void)unlink(name);
    (void)rmdir(directory);
    return status;
}

static void the_usual_life(void)
{
    notify_open();
    if (getenv("NOTIFY_SOCKET") != NULL || !notify_is_on() || notify_watchdog_ns() != 0) {
        _exit(1);
    }
    notify_ready();
    notify_status("%d packets\nFAKE=1", 5);
    notify_alive(1); /* no watchdog: nothing */
    notify_stopping();
    notify_close();
    notify_ready();
}

static void ready_status_and_stopping_reach_the_manager(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(told_by(i == 1, the_usual_life), 0);
        assert_string_equal(received, "READY=1|STATUS=5 packets|STOPPING=1|");
    }
}

static void reload(void)
{
    notify_open();
    notify_reloading();
    notify_ready();
}

static void a_reload_has_its_monotonic_time(void **state)
{
    (void)state;
    const unsigned long long before = clock_monotonic_ns() / 1000;
    assert_int_equal(told_by(false, reload), 0);
    unsigned long long usec = 0;
    assert_int_equal(sscanf(received, "RELOADING=1\nMONOTONIC_USEC=%llu|READY=1|", &usec), 1);
    assert_true(usec >= before && usec <= clock_monotonic_ns() / 1000);
}

static void watch(void)
{
    (void)setenv("WATCHDOG_USEC", "2000000", 1);
    notify_open();
    if (notify_watchdog_ns() != 2 * NS_PER_SEC) {
        _exit(1);
    }
    for (uint64_t ms = 0; ms <= 3000; ms += 100) {
        notify_alive(ms * NS_PER_MS);
    }
}

static void the_watchdog_is_told_twice_in_its_time(void **state)
{
    (void)state;
    assert_int_equal(told_by(false, watch), 0);
    assert_string_equal(received,
                        "WATCHDOG=1|WATCHDOG=1|WATCHDOG=1|WATCHDOG=1|"); /* 0, 1, 2, 3 s */
}

static void watch_of_another(void)
{
    (void)setenv("WATCHDOG_USEC", "2000000", 1);
    (void)setenv("WATCHDOG_PID", "1", 1);
    notify_open();
    notify_alive(1);
    if (notify_watchdog_ns() != 0) {
        _exit(1);
    }
}

static void the_watchdog_of_another_process_is_not_ours(void **state)
{
    (void)state;
    assert_int_equal(told_by(false, watch_of_another), 0);
    assert_string_equal(received, "");
}

static void without_a_socket_nothing_happens(void **state)
{
    static const char *const paths[] = {"", "relative", "@", "/", "/no/such/socket"};
    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        (void)setenv("NOTIFY_SOCKET", paths[i], 1);
        notify_open();
        notify_ready();
        notify_close();
    }
    (void)unsetenv("NOTIFY_SOCKET");
    notify_open();
    assert_false(notify_is_on());
    notify_ready();
}

/* ---- the note of a fault ---- */

static void a_fault_leaves_a_note_and_keeps_its_effect(void **state)
{
    int ends[2];
    char text[1024] = "";
    int status = 0;
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip();
#endif
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        fatal_install("netscope-test", "1.2");
        (void)raise(SIGSEGV);
        _exit(0);
    }
    (void)close(ends[1]);
    const ssize_t got = read(ends[0], text, sizeof(text) - 1);
    assert_true(got > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)close(ends[0]);
    assert_non_null(strstr(text, "level=error part=fatal msg=\"netscope-test 1.2 ends by SIGSEGV"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_status_and_stopping_reach_the_manager),
        cmocka_unit_test(a_reload_has_its_monotonic_time),
        cmocka_unit_test(the_watchdog_is_told_twice_in_its_time),
        cmocka_unit_test(the_watchdog_of_another_process_is_not_ours),
        cmocka_unit_test(without_a_socket_nothing_happens),
        cmocka_unit_test(a_fault_leaves_a_note_and_keeps_its_effect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
