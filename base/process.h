/* Memory of this process and how much it may have. Depends on: libc. Any thread. */
#pragma once

#include <stdint.h>

/* Resident bytes; 0 when the kernel does not tell. */
uint64_t process_resident_bytes(void);

/* Time of processors that all threads took since the start. */
uint64_t process_cpu_ns(void);

/* Processors that it may run on; 1 when the kernel does not tell. */
uint32_t process_cpus(void);

/* malloc keeps what was freed for the next block, up to 32 MiB a thread, and takes blocks below
 * 4 MiB from there: a message that is freed and the next one that is made do not ask the kernel for
 * pages each time. Once, before threads. */
void process_keep_freed_memory(void);

/* Limit of the cgroup (v2 or v1), else the machine's memory. */
uint64_t process_memory_limit(void);
