#include "base/cpu_list.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "0-3, 6" of a set. */
static void set_text(const cpu_set_t *set, char *out, size_t capacity)
{
    size_t used = 0;

    out[0] = '\0';
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, set)) {
            continue;
        }
        const unsigned first = cpu;

        while (cpu + 1 < CPU_SETSIZE && CPU_ISSET(cpu + 1, set)) {
            cpu++;
        }
        const int got =
            first == cpu ? snprintf(out + used, capacity - used, "%s%u", used == 0 ? "" : ", ", cpu)
                         : snprintf(out + used, capacity - used, "%s%u-%u", used == 0 ? "" : ", ",
                                    first, cpu);

        if (got < 0 || (size_t)got >= capacity - used) {
            return;
        }
        used += (size_t)got;
    }
}

static int add_one(struct cpu_list *list, unsigned long cpu, const cpu_set_t *allowed,
                   struct error *err)
{
    char text[200];

    if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, allowed)) {
        set_text(allowed, text, sizeof(text));
        return error_set(err, EINVAL,
                         "CPU %lu is not there, or not allowed to this process (it has %s)", cpu,
                         text);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->cpus[i] == cpu) {
            return error_set(err, EINVAL, "CPU %lu is named twice", cpu);
        }
    }
    if (list->count == CPU_LIST_MAX) {
        return error_set(err, EINVAL, "more than %d CPUs", CPU_LIST_MAX);
    }
    list->cpus[list->count++] = (uint16_t)cpu;
    return 0;
}

int cpu_list_add(struct cpu_list *list, const char *text, struct error *err)
{
    cpu_set_t allowed;
    char *end = NULL;
    const bool is_number = text[0] >= '0' && text[0] <= '9';
    const unsigned long first = is_number ? strtoul(text, &end, 10) : 0;
    unsigned long last = first;

    if (is_number && *end == '-' && end[1] >= '0' && end[1] <= '9') {
        last = strtoul(end + 1, &end, 10);
    }
    if (!is_number || *end != '\0' || last < first) {
        return error_set(err, EINVAL, "'%s' is neither a CPU (3) nor a range of them (4-7)", text);
    }
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        const int code = errno;
        return error_set(err, code, "which CPUs there are: %s", strerror(code));
    }
    for (unsigned long cpu = first; cpu <= last; cpu++) {
        const int result = add_one(list, cpu, &allowed, err);

        if (result != 0) {
            return result;
        }
    }
    return 0;
}

int cpu_list_pin(pthread_attr_t *attributes, uint16_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return -pthread_attr_setaffinity_np(attributes, sizeof(set), &set);
}
