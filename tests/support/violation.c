/* Preloaded into a program by a test: SIGUSR2 makes whichever thread gets it do the system call
 * named by NETSCOPE_TEST_VIOLATION, and tell what came of it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long number;

static void violate(int signal_number)
{
    static char *const arguments[] = {"true", NULL};
    static const char done[] = "violation: done\n";
    static const char refused[] = "violation: refused\n";
    const int saved = errno;
    const long result = number == SYS_execve
                            ? syscall(SYS_execve, "/bin/true", arguments, (char *const *)NULL)
                            : syscall(number, 0, 0, 5);
    const int is_refused = result < 0 && errno == EPERM;

    (void)signal_number;
    (void)!write(STDERR_FILENO, is_refused ? refused : done,
                 (is_refused ? sizeof(refused) : sizeof(done)) - 1);
    errno = saved;
}

__attribute__((constructor)) static void install(void)
{
    const char *wanted = getenv("NETSCOPE_TEST_VIOLATION");
    struct sigaction action = {.sa_handler = violate, .sa_flags = SA_RESTART};

    if (wanted != NULL) {
        number = strcmp(wanted, "execve") == 0 ? SYS_execve : SYS_setpriority;
        (void)sigaction(SIGUSR2, &action, NULL);
    }
}
