/* A list of CPUs as people write it ("0,2-5"), checked against those that this process may use.
 *
 * Depends on: libc. Any thread. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define CPU_LIST_MAX 1024

struct cpu_list {
    uint16_t cpus[CPU_LIST_MAX]; /* in the order given */
    uint32_t count;
};

/* Adds "3" or "4-7". -EINVAL with `err`: no number, a range that runs backwards, a CPU named twice,
 * or one that is not there or not allowed to this process (taskset, cgroup): tells which are. */
MUST_USE int cpu_list_add(struct cpu_list *list, const char *text, struct error *err);

/* Makes threads of `attributes` (initialised) run on this CPU alone. -errno. */
MUST_USE int cpu_list_pin(pthread_attr_t *attributes, uint16_t cpu);
