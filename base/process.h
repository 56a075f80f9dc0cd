/* This process: its memory and how much it may have, its processors, its standard output. Depends
 * on: libc. Any thread. */
#pragma once

#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/metrics.h"

/* Resident bytes; 0 when the kernel does not tell. */
uint64_t process_resident_bytes(void);

/* What malloc has of the kernel, in bytes: `used` is in blocks that somebody holds, `free` is kept
 * for the next ones or lies between them. Tables that are mapped and stacks are in neither. Both
 * are 0 by a sanitizer's malloc. Looks through malloc's lists under its locks: for pages, not for
 * packets. */
struct process_heap {
    uint64_t used;
    uint64_t free;
};

void process_heap_read(struct process_heap *out);

/* Resident memory and the heap as metrics. */
void process_write_metrics(struct metrics_page *page);

/* Time of processors that all threads took since the start. */
uint64_t process_cpu_ns(void);

/* Processors that it may run on; 1 when the kernel does not tell. */
uint32_t process_cpus(void);

/* malloc keeps what was freed for the next block, up to 32 MiB a thread, and takes blocks below
 * 4 MiB from there: a message that is freed and the next one that is made do not ask the kernel for
 * pages each time. Once, before threads. */
void process_keep_freed_memory(void);

/* What was printed goes out. 0, or -errno with `err`: the disk is full. A reader that has gone
 * (| head) is no error. */
MUST_USE int process_flush_output(struct error *err);

/* Limit of the cgroup (v2 or v1), else the machine's memory. */
uint64_t process_memory_limit(void);
