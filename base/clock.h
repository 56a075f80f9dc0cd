/* Time in nanoseconds. The packet path takes time from packets; this is for everything else.
 *
 * Depends on: libc. Any thread. */
#pragma once

#include <stdint.h>

#define NS_PER_US  UINT64_C(1000)
#define NS_PER_MS  UINT64_C(1000000)
#define NS_PER_SEC UINT64_C(1000000000)

/* A clock that a test can move by hand. `now` gets `context`. */
struct clock {
    uint64_t (*monotonic_ns)(void *context);
    uint64_t (*wall_ns)(void *context); /* since 1970-01-01T00:00:00Z, without leap seconds */
    void *context;
};

extern const struct clock clock_system;

uint64_t clock_monotonic_ns(void); /* CLOCK_MONOTONIC */
uint64_t clock_wall_ns(void);      /* CLOCK_REALTIME */

/* "2026-01-02T03:04:05.678901234Z" (RFC 3339, UTC) into `out`, at least CLOCK_TEXT_BYTES; `digits`
 * of the fraction: 0..9. Returns the length without the NUL. */
#define CLOCK_TEXT_BYTES 40
unsigned clock_text(uint64_t wall_ns, unsigned digits, char *out);
