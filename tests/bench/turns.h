/* Figures of several turns, and the median of them: what one turn in a quiet moment, or in a loud
 * one, says is not told. Depends on: libc. */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define TURNS 5U

struct turns {
    double values[TURNS];
    uint32_t count;
};

static inline void turns_add(struct turns *turns, double value)
{
    if (turns->count < TURNS) {
        turns->values[turns->count++] = value;
    }
}

static inline int turns_compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts them; 0 where there is none. */
static inline double turns_median(struct turns *turns)
{
    qsort(turns->values, turns->count, sizeof(turns->values[0]), turns_compare);
    return turns->count == 0 ? 0.0 : turns->values[turns->count / 2];
}

/* How a figure stands. "FLOOR": it does not hold, and what it stands on takes more than is asked
 * all by itself; "MISSED": it does not hold, and it could. `floor` of the same turns; 0: none. */
static inline const char *turns_verdict(double value, double value_max, double floor)
{
    return value <= value_max ? "ok" : floor > value_max ? "FLOOR" : "MISSED";
}

static inline double turns_cpu_seconds(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
