/* Incidents that go on, with the newest record of each: what a receiver is told again. */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/route/route_internal.h"

/* Where the incident is, or belongs: they are in order of alert_id. */
static uint32_t place_of(const struct route_incidents *incidents, const char *alert_id)
{
    uint32_t low = 0;
    uint32_t high = incidents->count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (strcmp(incidents->items[middle].alert_id, alert_id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct route_incident *find(const struct route_incidents *incidents, const char *alert_id)
{
    const uint32_t place = place_of(incidents, alert_id);

    return place < incidents->count && strcmp(incidents->items[place].alert_id, alert_id) == 0
               ? &incidents->items[place]
               : NULL;
}

const struct route_incident *route_incidents_find(const struct route_incidents *incidents,
                                                  const char *alert_id)
{
    return find(incidents, alert_id);
}

static void drop(struct route_incidents *incidents, struct route_incident *item)
{
    const size_t behind = (size_t)(&incidents->items[incidents->count] - item) - 1;

    incidents->bytes -= item->length;
    free(item->record);
    memmove(item, item + 1, behind * sizeof(*item));
    incidents->count--;
}

static struct route_incident *oldest(const struct route_incidents *incidents)
{
    struct route_incident *least = &incidents->items[0];

    for (uint32_t i = 1; i < incidents->count; i++) {
        least = incidents->items[i].wall_ns < least->wall_ns ? &incidents->items[i] : least;
    }
    return least;
}

void route_incidents_note(struct route_incidents *incidents, const struct alert_record *alert,
                          const uint8_t *record, size_t length, uint64_t wall_ns)
{
    struct route_incident *item = find(incidents, alert->alert_id);

    if (item != NULL) {
        drop(incidents, item);
    }
    uint8_t *copy =
        alert->state == ALERT_CLOSE || incidents->capacity == 0 ? NULL : malloc(length + 1);

    if (copy == NULL) {
        return;
    }
    while (incidents->count > 0 && (incidents->count == incidents->capacity ||
                                    incidents->bytes + length > incidents->bytes_max)) {
        drop(incidents, oldest(incidents));
        incidents->forgotten++;
    }
    const uint32_t place = place_of(incidents, alert->alert_id);

    item = &incidents->items[place];
    memmove(item + 1, item, (incidents->count - place) * sizeof(*item));
    incidents->count++;
    memcpy(copy, record, length);
    incidents->bytes += length;
    *item = (struct route_incident){.record = copy, .length = length, .wall_ns = wall_ns};
    memcpy(item->alert_id, alert->alert_id, sizeof(item->alert_id));
}

const struct route_incident *route_incidents_due(const struct route_incidents *incidents,
                                                 const struct route_told_list *told,
                                                 uint64_t repeat_ns, uint64_t forget_ns,
                                                 uint64_t wall_ns)
{
    const struct route_incident *longest = NULL;
    uint64_t longest_ns = wall_ns;

    for (uint32_t i = 0; i < told->count && repeat_ns > 0; i++) {
        const struct route_told *item = &told->items[i];

        if (item->is_closed || item->is_held || item->wall_ns >= longest_ns ||
            wall_ns - item->wall_ns < repeat_ns) {
            continue;
        }
        const struct route_incident *incident = find(incidents, item->alert_id);

        if (incident != NULL && wall_ns - incident->wall_ns < forget_ns) {
            longest = incident;
            longest_ns = item->wall_ns;
        }
    }
    return longest;
}

void route_incidents_fini(struct route_incidents *incidents)
{
    while (incidents->count > 0) {
        drop(incidents, &incidents->items[incidents->count - 1]);
    }
    free(incidents->items);
    *incidents = (struct route_incidents){0};
}
