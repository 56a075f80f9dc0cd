/* Memory of this process and how much it may have. Depends on: libc. Any thread. */
#pragma once

#include <stdint.h>

/* Resident bytes; 0 when the kernel does not tell. */
uint64_t process_resident_bytes(void);

/* Limit of the cgroup (v2 or v1), else the machine's memory. */
uint64_t process_memory_limit(void);
