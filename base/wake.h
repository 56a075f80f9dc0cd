/* Lets one thread sleep until another has something for it, or a time has passed.
 *
 * wake_up costs one relaxed load while the sleeper is busy. Depends on: libc. One sleeper, any
 * number of wakers. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct wake {
    atomic_uint pending; /* futex word: 1 = something came since the last sleep */
};

void wake_up(struct wake *wake);
/* Returns at once when wake_up was called since the last sleep, else after `timeout_ns` at the
 * latest. */
void wake_sleep(struct wake *wake, uint64_t timeout_ns);
