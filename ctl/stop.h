/* SIGINT and SIGTERM end what is under way in an orderly manner; the second one ends the program.
 *
 * Depends on: libc. Threads: main, which alone gets the signals. */
#pragma once

#include <stdbool.h>

#include "base/attributes.h"
#include "base/error.h"

/* Before other threads are made: they inherit that the signals are blocked until stop_begin. */
MUST_USE int stop_prepare(struct error *err);
void stop_begin(void); /* the signals may come */
bool stop_is_wanted(void);
int stop_fd(void); /* readable once a stop is wanted */
