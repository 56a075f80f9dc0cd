/* How far a name that somebody typed is from one that there is.
 *
 * Depends on: libc. Pure, any thread. */
#pragma once

#include <stddef.h>

/* Insertions, deletions, changes and swaps of neighbours that turn `a` into `b`; NAME_COMPARED_MAX
 * where one is longer than that. */
#define NAME_COMPARED_MAX 120
unsigned name_slips(const char *a, size_t a_length, const char *b, size_t b_length);

/* How many of them a name of `length` may have to be taken for another one. */
unsigned name_slips_max(size_t length);
