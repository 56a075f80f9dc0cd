#include "base/process.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* First number of a small file, after `skip` blanks; `missing` when there is none. */
static uint64_t number_in(const char *path, unsigned skip, uint64_t missing)
{
    char text[256];
    const char *at = text;
    char *end;
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        return missing;
    }
    if (fgets(text, sizeof(text), file) == NULL) {
        text[0] = '\0';
    }
    (void)fclose(file);
    for (; skip > 0 && *at != '\0'; at++) {
        skip -= *at == ' ';
    }
    const uint64_t value = strtoull(at, &end, 10);

    return end == at ? missing : value;
}

uint64_t process_resident_bytes(void)
{
    return number_in("/proc/self/statm", 1, 0) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void process_heap_read(struct process_heap *out)
{
    const struct mallinfo2 info = mallinfo2();

    *out = (struct process_heap){.used = info.uordblks + info.hblkhd, .free = info.fordblks};
}

void process_write_metrics(struct metrics_page *page)
{
    struct process_heap heap;

    process_heap_read(&heap);
    metrics_one(page, "process_resident_memory_bytes", METRICS_GAUGE, "Resident memory.",
                process_resident_bytes());
    metrics_family(page, "netscope_heap_bytes", METRICS_GAUGE,
                   "Memory of malloc: in blocks that are held, and kept for the next ones.");
    metrics_u64(page, "netscope_heap_bytes", METRICS_LABELS("state", "used"), heap.used);
    metrics_u64(page, "netscope_heap_bytes", METRICS_LABELS("state", "free"), heap.free);
}

uint64_t process_cpu_ns(void)
{
    struct timespec taken = {0};

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &taken);
    return (uint64_t)taken.tv_sec * UINT64_C(1000000000) + (uint64_t)taken.tv_nsec;
}

uint32_t process_cpus(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

#define KEPT_BYTES  (32 << 20)
#define BLOCK_BYTES (4 << 20)

void process_keep_freed_memory(void)
{
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES);
}

uint64_t process_memory_limit(void)
{
    const uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t v2 = number_in("/sys/fs/cgroup/memory.max", 0, UINT64_MAX);
    const uint64_t v1 = number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes", 0, UINT64_MAX);
    const uint64_t cgroup = v2 < v1 ? v2 : v1;

    return cgroup < machine ? cgroup : machine;
}

int process_flush_output(struct error *err)
{
    errno = 0;
    const bool is_out = fflush(stdout) == 0 && ferror(stdout) == 0;
    const int code = errno; /* 0: an earlier write failed */

    return is_out || code == EPIPE
               ? 0
               : error_set(err, code != 0 ? code : EIO, "standard output cannot be written: %s",
                           code != 0 ? strerror(code) : "a write failed (is the disk full?)");
}
