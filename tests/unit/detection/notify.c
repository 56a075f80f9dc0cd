#include "base/service/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define NS_PER_USEC 1000

static struct {
    int socket; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t address_bytes;
    uint64_t watchdog_ns, next_alive_ns;
} manager = {.socket = -1};

/* "/run/x" is a file, "@x" a name without one (unix(7), abstract). */
static bool take_address(const char *path)
{
    const size_t length = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || length < 2 ||
        length >= sizeof(manager.address.sun_path)) {
        return false;
    }
    manager.address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(manager.address.sun_path, path, length);
    if (path[0] == '@') {
        manager.address.sun_path[0] = '\0';
    }
    manager.address_bytes =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '/'));
    return true;
}

static uint64_t number_of(const char *name)
{
    const char *text = getenv(name); // NOLINT(concurrency-mt-unsafe)
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return 0;
    }
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);

    return *end == '\0' && errno == 0 ? value : 0;
}

void notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET"); // NOLINT(concurrency-mt-unsafe)
    const uint64_t wanted_by = number_of("WATCHDOG_PID");
    const uint64_t usec = number_of("WATCHDOG_USEC");

    if (path != NULL && take_address(path)) {
        manager.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    if (manager.socket >= 0 && usec > 0 && usec < UINT64_MAX / NS_PER_USEC &&
        (wanted_by == 0 || wanted_by == (uint64_t)getpid())) {
        manager.watchdog_ns = usec * NS_PER_USEC;
    }
    (void)unsetenv("NOTIFY_SOCKET"); // NOLINT(concurrency-mt-unsafe)
    (void)unsetenv("WATCHDOG_USEC"); // NOLINT(concurrency-mt-unsafe)
    (void)unsetenv("WATCHDOG_PID");  // NOLINT(concurrency-mt-unsafe)
}

void notify_close(void)
{
    if (manager.socket >= 0) {
        (void)close(manager.socket);
    }
    manager.socket = -1;
    manager.watchdog_ns = 0;
}

bool notify_is_on(void)
{
    return manager.socket >= 0;
}

/* A manager that does not listen must not hold the program up. */
static void send_text(const char *text)
{
    if (manager.socket >= 0) {
        (void)sendto(manager.socket, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
                     (const struct sockaddr *)&manager.address, manager.address_bytes);
    }
}

void notify_ready(void)
{
    send_text("READY=1");
}

void notify_reloading(void)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
                   (unsigned long long)(clock_monotonic_ns() / NS_PER_USEC));
    send_text(text);
}

void notify_stopping(void)
{
    send_text("STOPPING=1");
}

void notify_status(const char *format, ...)
{
    char text[256] = "STATUS=";
    const size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text + used, sizeof(text) - used, format, arguments);
    va_end(arguments);
    text[used + strcspn(text + used, "\n")] = '\0'; /* a newline would begin another variable */
    send_text(text);
}

uint64_t notify_watchdog_ns(void)
{
    return manager.watchdog_ns;
}

void notify_alive(uint64_t now_ns)
{
    if (manager.watchdog_ns > 0 && now_ns >= manager.next_alive_ns) {
        send_text("WATCHDOG=1");
        manager.next_alive_ns = now_ns + manager.watchdog_ns / 2;
    }
}
