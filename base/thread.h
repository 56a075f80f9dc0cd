/* Threads of the program's parts. Depends on: libc. Any thread. */
#pragma once

#include <pthread.h>

#include "base/attributes.h"

/* Starts `run(context)` with every signal blocked: signals are main's. 0, or an errno value. */
MUST_USE int thread_start(pthread_t *thread, void *(*run)(void *context), void *context);
