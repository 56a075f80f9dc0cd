#include "detection/hour_baseline.h"

#include <math.h>
#include <string.h>

#define SECONDS_AN_HOUR 3600
#define SAME_RUN_HOURS  12 /* what is told now does not become usual meanwhile */
#define HALF_TIME_HOURS (14.0 * HOUR_BASELINE_HOURS)
#define KILOBYTE        1e3

static uint32_t hour_of(uint64_t second)
{
    return (uint32_t)(second / SECONDS_AN_HOUR);
}

static uint32_t decayed(uint32_t kilobytes, uint32_t hours)
{
    return (uint32_t)((double)kilobytes * exp2(-(double)hours / HALF_TIME_HOURS));
}

static uint32_t largest(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t find(const struct hour_baseline *baseline, const struct ip_address *host)
{
    uint32_t i = 0;

    while (i < baseline->hosts_count && !address_equal(&baseline->hosts[i].address, host)) {
        i++;
    }
    return i;
}

double hour_baseline_usual(const struct hour_baseline *baseline, const struct ip_address *host,
                           uint64_t second)
{
    const uint32_t hour = hour_of(second);
    const uint32_t number = find(baseline, host);
    uint32_t usual = 0;

    for (uint32_t i = 0; number < baseline->hosts_count && i < 3; i++) {
        const uint32_t slot = (hour + HOUR_BASELINE_HOURS - 1 + i) % HOUR_BASELINE_HOURS;
        const uint32_t last = baseline->hosts[number].slots[slot].hour;
        const uint32_t before = baseline->hosts[number].slots[slot].before_kb;
        const uint32_t peak = baseline->hosts[number].slots[slot].peak_kb;

        if (last == 0 || last > hour) {
            continue; /* a clock that was set back: it comes true again */
        }
        const bool is_same_run = hour - last < SAME_RUN_HOURS;

        usual = largest(usual, decayed(is_same_run ? before : largest(before, peak), hour - last));
    }
    return usual * KILOBYTE;
}

/* The host's place, made if new. */
static struct hour_baseline_host *take(struct hour_baseline *baseline,
                                       const struct ip_address *host, bool *has_room)
{
    uint32_t number = find(baseline, host);

    *has_room = number < HOUR_BASELINE_HOSTS_MAX;
    if (number < baseline->hosts_count) {
        return &baseline->hosts[number];
    }
    if (*has_room) {
        baseline->hosts_count++;
    } else {
        number = 0;
        for (uint32_t i = 1; i < HOUR_BASELINE_HOSTS_MAX; i++) {
            number = baseline->hosts[i].last_hour < baseline->hosts[number].last_hour ? i : number;
        }
    }
    memset(&baseline->hosts[number], 0, sizeof(baseline->hosts[number]));
    baseline->hosts[number].address = *host;
    return &baseline->hosts[number];
}

bool hour_baseline_note(struct hour_baseline *baseline, const struct ip_address *host,
                        uint64_t second, double bytes)
{
    bool has_room;
    struct hour_baseline_host *entry = take(baseline, host, &has_room);
    const uint32_t hour = hour_of(second);
    const uint32_t slot = hour % HOUR_BASELINE_HOURS;
    const uint32_t last = entry->slots[slot].hour;
    const double kilobytes = bytes / KILOBYTE;

    if (last != hour) {
        const uint32_t old = largest(entry->slots[slot].before_kb, entry->slots[slot].peak_kb);

        entry->slots[slot].before_kb = last == 0 || last > hour ? 0 : decayed(old, hour - last);
        entry->slots[slot].peak_kb = 0;
        entry->slots[slot].hour = hour;
    }
    entry->slots[slot].peak_kb =
        largest(entry->slots[slot].peak_kb,
                kilobytes < (double)UINT32_MAX ? (uint32_t)kilobytes : UINT32_MAX);
    entry->last_hour = hour;
    return has_room;
}

/* ---- what outlasts a restart ---- */

void hour_baseline_write(const struct hour_baseline *baseline, struct byte_writer *out)
{
    byte_put(out, baseline->hosts_count, 4);
    for (uint32_t i = 0; i < baseline->hosts_count; i++) {
        const struct hour_baseline_host *host = &baseline->hosts[i];
        struct byte_writer count = {0};
        uint32_t slots = 0;

        byte_put_address(out, &host->address);
        count = *out;
        byte_put(out, 0, 1);
        for (uint32_t j = 0; j < HOUR_BASELINE_HOURS; j++) {
            if (host->slots[j].hour != 0) {
                byte_put(out, host->slots[j].hour, 4);
                byte_put(out, host->slots[j].peak_kb, 4);
                byte_put(out, host->slots[j].before_kb, 4);
                slots++;
            }
        }
        byte_put(&count, slots, 1);
    }
}

static void read_host(struct hour_baseline_host *out, struct byte_reader *in)
{
    byte_take_address(in, &out->address);
    const uint64_t slots = byte_take(in, 1);

    for (uint64_t i = 0; i < slots && in->ok; i++) {
        const uint32_t hour = (uint32_t)byte_take(in, 4);
        const uint32_t peak = (uint32_t)byte_take(in, 4);
        const uint32_t before = (uint32_t)byte_take(in, 4);
        const uint32_t slot = hour % HOUR_BASELINE_HOURS;

        in->ok = in->ok && hour != 0 && out->slots[slot].hour == 0; /* each hour once */
        out->slots[slot].hour = hour;
        out->slots[slot].peak_kb = peak;
        out->slots[slot].before_kb = before;
        out->last_hour = largest(out->last_hour, hour);
    }
    in->ok = in->ok && slots > 0 && out->address.version != 0;
}

bool hour_baseline_read(struct hour_baseline *out, struct byte_reader *in)
{
    const uint64_t hosts = byte_take(in, 4);

    if (!in->ok || hosts > HOUR_BASELINE_HOSTS_MAX) {
        return false;
    }
    for (uint64_t i = 0; i < hosts && in->ok; i++) {
        struct hour_baseline_host host = {0};

        read_host(&host, in);
        if (out != NULL && in->ok) {
            out->hosts[i] = host;
            out->hosts_count = (uint32_t)i + 1;
        }
    }
    return in->ok;
}
