/* Tells the service manager how the program is: the datagrams of sd_notify(3) to $NOTIFY_SOCKET, by
 * an implementation of our own.
 *
 * Without NOTIFY_SOCKET every call does nothing. Depends on: libc, base/clock. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, so
 * that no child believes them its own. Before the first thread. */
void notify_open(void);
void notify_close(void);
/* True when somebody listens. */
bool notify_is_on(void);

void notify_ready(void);
/* RELOADING=1 with MONOTONIC_USEC, as Type=notify-reload wants it; notify_ready ends it. */
void notify_reloading(void);
void notify_stopping(void);
/* One line for `systemctl status`. */
void notify_status(const char *format, ...) PRINTF_LIKE(1, 2);

/* 0: no watchdog is wanted. Else the longest time between two notify_alive. */
uint64_t notify_watchdog_ns(void);
/* WATCHDOG=1, at most each half of that time; other calls do nothing. Only whoever has seen that
 * the work goes on may call it. */
void notify_alive(uint64_t now_ns);
