#include "ctl/stop.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static volatile sig_atomic_t is_wanted;
static int event_fd = -1;

static void on_signal(int number)
{
    const int saved = errno;
    const uint64_t one = 1;

    (void)number;
    is_wanted = 1;
    (void)!write(event_fd, &one, sizeof(one));
    errno = saved;
}

static void signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
}

int stop_prepare(struct error *err)
{
    /* Without SA_RESTART: a write that waits for a stalled reader ends, too. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigset_t set;

    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0) {
        return error_set(err, errno, "eventfd: %s", strerror(errno));
    }
    signals(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that has gone is told by the write */
    return 0;
}

void stop_begin(void)
{
    sigset_t set;

    signals(&set);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

bool stop_is_wanted(void)
{
    return is_wanted != 0;
}

int stop_fd(void)
{
    return event_fd;
}
