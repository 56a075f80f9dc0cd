/* One-producer one-consumer queue of pointers, no lock. Full is told to the producer at once.
 *
 * Depends on: attributes. Threads: one pushes, one pops; ring_used() from any thread (a snapshot).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

struct ring;

/* `slots` is rounded up to a power of two. NULL when the memory cannot be had. */
MUST_USE struct ring *ring_new(uint32_t slots);
void ring_free(struct ring *ring); /* NULL is allowed; what is still inside is the caller's */
DEFINE_AUTO(ring, ring_free);

MUST_USE bool ring_push(struct ring *ring, void *item); /* false: full */
MUST_USE void *ring_pop(struct ring *ring);             /* NULL: empty */
uint32_t ring_used(const struct ring *ring);
uint32_t ring_capacity(const struct ring *ring);
