/* How far a name that somebody typed is from one that there is.
 *
 * Depends on: libc. Pure, any thread. */
#pragma once

#include <stddef.h>

/* Insertions, deletions, changes and swaps of neighbours that turn `a` into `b`; NAME_COMPARED_MAX
 * where one is longer than that. */
#define NAME_COMPARED_MAX 120
unsigned name_slips(const char *a, size_t a_length, const char *b, size_t b_length);

/* The nearest of the names that are offered. */
struct name_nearest {
    const char *name; /* borrowed; NULL: none is near enough to be meant */
    unsigned slips;   /* fewer are wanted */
};

/* For a name of `length`: the longer, the more slips. */
struct name_nearest name_nearest_start(size_t length);
/* Keeps the first of those with the fewest slips. */
void name_nearest_offer(struct name_nearest *nearest, const char *name, unsigned slips);
