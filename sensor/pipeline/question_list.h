/* Questions to a thread: any thread puts, the one that answers takes them all between two batches.
 *
 * Every question that was put is taken once: after the list was closed by whoever put it too late.
 * Without locks; the order is not kept. Depends on: libc. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/attributes.h"

/* The first member of a question. Its memory is the asker's until it is answered. */
struct question_link {
    struct question_link *next;
};

/* Zeroed: open and empty. */
struct question_list {
    _Atomic(struct question_link *) first;
    atomic_bool is_closed;
};

enum question_put {
    QUESTION_REFUSED, /* the list is closed */
    QUESTION_WAITS,
    QUESTION_IS_LATE, /* it was closed meanwhile, after the last look: the caller takes all and
                         answers them */
};

MUST_USE static inline enum question_put question_list_put(struct question_list *list,
                                                           struct question_link *question)
{
    struct question_link *head = atomic_load_explicit(&list->first, memory_order_relaxed);

    if (atomic_load_explicit(&list->is_closed, memory_order_seq_cst)) {
        return QUESTION_REFUSED;
    }
    do {
        question->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&list->first, &head, question,
                                                    memory_order_seq_cst, memory_order_relaxed));
    return atomic_load_explicit(&list->is_closed, memory_order_seq_cst) ? QUESTION_IS_LATE
                                                                        : QUESTION_WAITS;
}

/* All that wait, a list by `next`; NULL: none, which costs one load. Read `next` before a question
 * is answered. */
static inline struct question_link *question_list_take(struct question_list *list)
{
    return atomic_load_explicit(&list->first, memory_order_relaxed) == NULL
               ? NULL
               : atomic_exchange_explicit(&list->first, NULL, memory_order_acquire);
}

/* From now on questions are refused. What was put before is for the question_list_take that
 * follows, or for whoever was told that it came late. */
static inline void question_list_close(struct question_list *list)
{
    atomic_store_explicit(&list->is_closed, true, memory_order_seq_cst);
}
