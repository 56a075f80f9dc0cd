#include "base/wake.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void wake_up(struct wake *wake)
{
    if (atomic_load_explicit(&wake->pending, memory_order_relaxed) != 0) {
        /* Already told; the fence pairs with the exchange in wake_sleep, so that the sleeper sees
         * what was pushed before this call or is woken by the one that set the word. */
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load_explicit(&wake->pending, memory_order_relaxed) != 0) {
            return;
        }
    }
    if (atomic_exchange_explicit(&wake->pending, 1, memory_order_seq_cst) == 0) {
        (void)syscall(SYS_futex, &wake->pending, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

void wake_sleep(struct wake *wake, uint64_t timeout_ns)
{
    if (atomic_exchange_explicit(&wake->pending, 0, memory_order_seq_cst) != 0) {
        return;
    }
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / UINT64_C(1000000000)),
                                     .tv_nsec = (long)(timeout_ns % UINT64_C(1000000000))};

    (void)syscall(SYS_futex, &wake->pending, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
    (void)atomic_exchange_explicit(&wake->pending, 0, memory_order_seq_cst);
}
