#include "collector-ui/history/observation.h"

#include <stdlib.h>

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* The flow's id last: the order does not depend on how they came. */
static int by_place(const void *a, const void *b)
{
    const struct observation *const x = a;
    const struct observation *const y = b;
    int order = compare_u64(x->key, y->key);

    order = order != 0 ? order : compare_u64(x->start_ns, y->start_ns);
    order = order != 0 ? order : compare_u64(x->sensor, y->sensor);
    return order != 0 ? order : compare_u64(x->flow_id, y->flow_id);
}

/* Whether the flow that begins at `first` has room for another sensor's; *last is its end. */
static bool has_room(const struct observation *all, uint32_t first, uint32_t sensor, uint32_t *last)
{
    uint32_t members = 0;

    for (uint32_t at = first; at != OBSERVATION_NONE; at = all[at].next) {
        if (all[at].sensor == sensor || ++members == OBSERVATION_JOINS_MAX) {
            return false;
        }
        *last = at;
    }
    return true;
}

/* To the flow that started last among those before it; else it is the first of a new one. */
static void place(struct observation *all, uint32_t at, uint64_t tolerance_ns)
{
    struct observation *const one = &all[at];

    one->first = at;
    one->next = OBSERVATION_NONE;
    one->primary = at;
    for (uint32_t looks = 1; one->key != 0 && looks <= OBSERVATION_LOOKS_MAX && looks <= at;
         looks++) {
        const uint32_t before = at - looks;
        uint32_t last;

        if (all[before].key != one->key || one->start_ns - all[before].start_ns > tolerance_ns) {
            return;
        }
        if (all[before].first == before && has_room(all, before, one->sensor, &last)) {
            all[last].next = at;
            one->first = before;
            return;
        }
    }
}

static bool is_around(const struct observation *a, const struct observation *piece,
                      uint64_t tolerance_ns)
{
    return a->sensor != piece->sensor && a->end_ns + tolerance_ns >= piece->end_ns;
}

/* One that is of no other flow and began in the middle of one. */
static void place_piece(struct observation *all, uint32_t at, uint64_t tolerance_ns)
{
    struct observation *const one = &all[at];

    if (!one->is_midstream || one->key == 0 || one->first != at || one->next != OBSERVATION_NONE) {
        return;
    }
    for (uint32_t looks = 1; looks <= OBSERVATION_LOOKS_MAX && looks <= at; looks++) {
        const uint32_t before = at - looks;

        if (all[before].key != one->key) {
            return;
        }
        if (all[before].first != before) {
            continue;
        }
        for (uint32_t i = before; i != OBSERVATION_NONE; i = all[i].next) {
            if (is_around(&all[i], one, tolerance_ns)) {
                one->first = before;
                return;
            }
        }
    }
}

static bool is_better(const struct observation *a, const struct observation *b, uint64_t enough_ns)
{
    const bool is_whole = a->end_ns >= enough_ns;

    if (is_whole != (b->end_ns >= enough_ns)) {
        return is_whole;
    }
    if (a->missed_bytes != b->missed_bytes) {
        return a->missed_bytes < b->missed_bytes;
    }
    return a->packets != b->packets ? a->packets > b->packets : a->sensor < b->sensor;
}

static void choose(struct observation *all, uint32_t first, uint64_t tolerance_ns)
{
    uint64_t end_ns = 0;

    for (uint32_t at = first; at != OBSERVATION_NONE; at = all[at].next) {
        end_ns = all[at].end_ns > end_ns ? all[at].end_ns : end_ns;
    }
    const uint64_t enough_ns = end_ns > tolerance_ns ? end_ns - tolerance_ns : 0;

    for (uint32_t at = all[first].next; at != OBSERVATION_NONE; at = all[at].next) {
        if (is_better(&all[at], &all[all[first].primary], enough_ns)) {
            all[first].primary = at;
        }
    }
}

void observation_join(struct observation *all, uint32_t count, uint64_t tolerance_ns)
{
    if (count > 0) {
        qsort(all, count, sizeof(*all), by_place);
    }
    for (uint32_t i = 0; i < count; i++) {
        place(all, i, tolerance_ns);
    }
    for (uint32_t i = 0; i < count; i++) {
        place_piece(all, i, tolerance_ns);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].first == i && all[i].next != OBSERVATION_NONE) {
            choose(all, i, tolerance_ns);
        }
    }
}
