/* Names that one shard has read out of DNS answers, on their way to the publisher.
 *
 * A queue of fixed slots without a lock: the shard pushes as it meets them, hence in order of time;
 * the publisher looks at the oldest and takes it. All memory is taken in name_queue_new(). Depends
 * on: base, inspect/passive_names.h. Threads: one pushes, one takes. */
#pragma once

#include "sensor/inspect/passive_names.h"

struct name_queue;

/* `slots` is rounded up to a power of two. NULL when the memory cannot be had. */
MUST_USE struct name_queue *name_queue_new(uint32_t slots);
void name_queue_free(struct name_queue *queue); /* NULL is allowed */
/* False: full. */
MUST_USE bool name_queue_push(struct name_queue *queue, const struct passive_name *name);
/* The oldest, borrowed until name_queue_pop; NULL: empty. */
const struct passive_name *name_queue_peek(const struct name_queue *queue);
/* The one of so many behind it. */
const struct passive_name *name_queue_peek_at(const struct name_queue *queue, uint32_t behind);
void name_queue_pop(struct name_queue *queue); /* after a peek that gave one */
/* More than half of the slots are in use. Any thread. */
bool name_queue_is_half_full(const struct name_queue *queue);
