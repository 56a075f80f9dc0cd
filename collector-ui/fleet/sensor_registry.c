#include "collector-ui/fleet/sensor_registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STALE_HEARTBEATS 3

struct sensor {
    struct sensor_info info;
    bool is_connected, has_left;
    struct sensor_ledger_row *ledger; /* of the last statistics */
    uint32_t ledger_count;
};

/* Kept in order of sensor_id: asked for often in that order, added to seldom. */
struct sensor_registry {
    pthread_mutex_t lock;
    struct sensor **sensors;
    uint32_t count, sensors_max;
    uint64_t heartbeat_ns;
};

struct sensor_registry *sensor_registry_new(uint32_t sensors_max, uint64_t heartbeat_ns,
                                            struct error *err)
{
    struct sensor_registry *registry = calloc(1, sizeof(*registry));

    if (registry == NULL || sensors_max == 0) {
        free(registry);
        (void)error_set(err, sensors_max == 0 ? EINVAL : ENOMEM,
                        sensors_max == 0 ? "sensor registry: room for no sensor at all"
                                         : "sensor registry: no memory");
        return NULL;
    }
    registry->sensors = calloc(sensors_max, sizeof(struct sensor *));
    if (registry->sensors == NULL) {
        free(registry);
        (void)error_set(err, ENOMEM, "sensor registry: no memory for %u sensors", sensors_max);
        return NULL;
    }
    registry->sensors_max = sensors_max;
    registry->heartbeat_ns = heartbeat_ns;
    (void)pthread_mutex_init(&registry->lock, NULL);
    return registry;
}

void sensor_registry_free(struct sensor_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    for (uint32_t i = 0; i < registry->count; i++) {
        free(registry->sensors[i]->ledger);
        free(registry->sensors[i]);
    }
    free(registry->sensors);
    (void)pthread_mutex_destroy(&registry->lock);
    free(registry);
}

/* Where `sensor_id` is, or belongs. With the lock, as all that is static here. */
static uint32_t place_of(const struct sensor_registry *registry, const char *sensor_id,
                         bool *is_there)
{
    uint32_t low = 0;
    uint32_t high = registry->count;

    *is_there = false;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = strcmp(registry->sensors[middle]->info.sensor_id, sensor_id);

        if (order == 0) {
            *is_there = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct sensor *find(const struct sensor_registry *registry, const char *sensor_id)
{
    bool is_there;
    const uint32_t place = place_of(registry, sensor_id, &is_there);

    return is_there ? registry->sensors[place] : NULL;
}

static struct sensor *find_or_add(struct sensor_registry *registry, const char *sensor_id)
{
    bool is_there;
    const uint32_t place = place_of(registry, sensor_id, &is_there);

    if (is_there) {
        return registry->sensors[place];
    }
    struct sensor *sensor =
        registry->count < registry->sensors_max ? calloc(1, sizeof(*sensor)) : NULL;
    if (sensor == NULL) {
        return NULL;
    }
    memmove(&registry->sensors[place + 1], &registry->sensors[place],
            (registry->count - place) * sizeof(struct sensor *));
    registry->sensors[place] = sensor;
    registry->count++;
    return sensor;
}

bool sensor_registry_connected(struct sensor_registry *registry, const struct sensor_info *hello)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct sensor *sensor = find_or_add(registry, hello->sensor_id);

    if (sensor != NULL) {
        struct sensor_info *info = &sensor->info;

        if (strcmp(info->boot_id, hello->boot_id) != 0) {
            info->has_stats = false; /* another process: it counts its packets from 0 */
            info->lost_packets = 0;
        }
        memcpy(info->sensor_id, hello->sensor_id, sizeof(info->sensor_id));
        memcpy(info->boot_id, hello->boot_id, sizeof(info->boot_id));
        memcpy(info->version, hello->version, sizeof(info->version));
        memcpy(info->host_name, hello->host_name, sizeof(info->host_name));
        memcpy(info->peer, hello->peer, sizeof(info->peer));
        memcpy(info->config_hash, hello->config_hash, sizeof(info->config_hash));
        /* Known from the store alone: it is there, and has not dialled since we began. */
        sensor->is_connected = hello->connected_ns > 0;
        info->is_relayed = hello->is_relayed;
        sensor->has_left = hello->is_relayed;
        if (sensor->is_connected) {
            info->connected_ns = hello->connected_ns;
            info->last_seen_ns = hello->connected_ns;
            info->has_clock = false;
        }
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return sensor != NULL;
}

void sensor_registry_disconnected(struct sensor_registry *registry, const char *sensor_id,
                                  const char *boot_id)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct sensor *sensor = find(registry, sensor_id);

    /* A process that was replaced says nothing about the one that is there now. */
    if (sensor != NULL && strcmp(sensor->info.boot_id, boot_id) == 0) {
        sensor->is_connected = false;
        sensor->info.unacked_batches = 0;
    }
    (void)pthread_mutex_unlock(&registry->lock);
}

void sensor_registry_seen(struct sensor_registry *registry, const char *sensor_id, uint64_t now_ns)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct sensor *sensor = find(registry, sensor_id);

    if (sensor != NULL && now_ns > sensor->info.last_seen_ns) {
        sensor->info.last_seen_ns = now_ns;
    }
    (void)pthread_mutex_unlock(&registry->lock);
}

void sensor_registry_clock(struct sensor_registry *registry, const char *sensor_id,
                           double offset_ms)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct sensor *sensor = find(registry, sensor_id);

    if (sensor != NULL) {
        sensor->info.clock_offset_ms = offset_ms;
        sensor->info.has_clock = true;
    }
    (void)pthread_mutex_unlock(&registry->lock);
}

void sensor_registry_records(struct sensor_registry *registry, const char *sensor_id,
                             uint64_t received, uint64_t duplicate, uint64_t lost)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct sensor *sensor = find(registry, sensor_id);

    if (sensor != NULL) {
        sensor->info.records_received += received;
        sensor->info.records_duplicate += duplicate;
        sensor->info.records_lost += lost;
    }
    (void)pthread_mutex_unlock(&registry->lock);
}

void sensor_registry_goodbye(struct sensor_registry *registry, const char *sensor_id)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct sensor *sensor = find(registry, sensor_id);

    if (sensor != NULL) {
        sensor->has_left = true;
    }
    (void)pthread_mutex_unlock(&registry->lock);
}

void sensor_registry_each_presence(struct sensor_registry *registry,
                                   void (*each)(void *context,
                                                const struct sensor_presence *presence),
                                   void *context)
{
    (void)pthread_mutex_lock(&registry->lock);
    for (uint32_t i = 0; i < registry->count; i++) {
        const struct sensor *sensor = registry->sensors[i];

        each(context, &(struct sensor_presence){.sensor_id = sensor->info.sensor_id,
                                                .host_name = sensor->info.host_name,
                                                .last_seen_ns = sensor->info.last_seen_ns,
                                                .has_left = sensor->has_left});
    }
    (void)pthread_mutex_unlock(&registry->lock);
}

void sensor_ledger_row_from(struct sensor_ledger_row *out, const struct stats_ledger_row *row)
{
    *out = (struct sensor_ledger_row){.stage = row->stage,
                                      .in = row->in,
                                      .out = row->out,
                                      .held = row->held,
                                      .packets_in = row->packets_in,
                                      .packets_out = row->packets_out,
                                      .lost_count = row->lost_count};
    (void)snprintf(out->name, sizeof(out->name), "%s", row->name);
    (void)snprintf(out->unit, sizeof(out->unit), "%s", row->unit == NULL ? "" : row->unit);
    for (uint32_t i = 0; i < row->lost_count; i++) {
        (void)snprintf(out->lost[i].reason, sizeof(out->lost[i].reason), "%s", row->lost[i].reason);
        out->lost[i].count = row->lost[i].count;
    }
}

static void keep_ledger(struct sensor *sensor, const struct stats_record *stats)
{
    if (sensor->ledger_count != stats->ledger_count) {
        struct sensor_ledger_row *rows =
            realloc(sensor->ledger, (stats->ledger_count + 1) * sizeof(*rows));

        if (rows == NULL) {
            return; /* the one before stays */
        }
        sensor->ledger = rows;
        sensor->ledger_count = stats->ledger_count;
    }
    for (uint32_t i = 0; i < stats->ledger_count; i++) {
        sensor_ledger_row_from(&sensor->ledger[i], &stats->ledger[i]);
    }
}

uint32_t sensor_registry_ledger(struct sensor_registry *registry, const char *sensor_id,
                                struct sensor_ledger_row *out, uint32_t out_max)
{
    uint32_t count = 0;

    (void)pthread_mutex_lock(&registry->lock);
    const struct sensor *sensor = find(registry, sensor_id);

    for (; sensor != NULL && count < sensor->ledger_count && count < out_max; count++) {
        out[count] = sensor->ledger[count];
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return count;
}

void sensor_registry_stats(struct sensor_registry *registry, const char *sensor_id,
                           const struct stats_record *stats)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct sensor *sensor = find(registry, sensor_id);

    if (sensor != NULL) {
        struct sensor_info *info = &sensor->info;

        info->has_stats = true;
        info->packets_total = stats->packets_total;
        info->bytes_total = stats->bytes_total;
        info->flows_active = stats->totals.flows_active;
        info->stats_time_ns = stats->end_ns;
        info->kernel_dropped = 0;
        info->interface_dropped = 0;
        for (uint32_t i = 0; i < stats->interfaces_count; i++) {
            info->kernel_dropped += stats->interfaces[i].kernel_dropped;
            info->interface_dropped += stats->interfaces[i].interface_dropped;
        }
        info->lost_packets += stats->totals.lost_packets; /* of this second */
        if (stats->config_hash.length > 0 &&
            stats->config_hash.length < sizeof(info->config_hash)) { /* after a reload: another */
            memcpy(info->config_hash, stats->config_hash.data, stats->config_hash.length);
            info->config_hash[stats->config_hash.length] = '\0';
        }
        keep_ledger(sensor, stats);
    }
    (void)pthread_mutex_unlock(&registry->lock);
}

static void copy_out(const struct sensor_registry *registry, const struct sensor *sensor,
                     uint64_t now_ns, struct sensor_info *out)
{
    const uint64_t seen_ns = sensor->info.last_seen_ns;
    const uint64_t silent_ns = now_ns > seen_ns ? now_ns - seen_ns : 0;

    *out = sensor->info;
    if (!sensor->is_connected) {
        out->state = SENSOR_OFFLINE;
    } else {
        out->state =
            silent_ns > STALE_HEARTBEATS * registry->heartbeat_ns ? SENSOR_STALE : SENSOR_LIVE;
    }
}

uint32_t sensor_registry_list(struct sensor_registry *registry, uint64_t now_ns,
                              struct sensor_info *out, uint32_t out_max)
{
    (void)pthread_mutex_lock(&registry->lock);
    const uint32_t count = registry->count;

    for (uint32_t i = 0; i < count && i < out_max; i++) {
        copy_out(registry, registry->sensors[i], now_ns, &out[i]);
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return count;
}

struct sensor_info *sensor_registry_all(struct sensor_registry *registry, uint64_t now_ns,
                                        uint32_t *count)
{
    const uint32_t room = sensor_registry_list(registry, now_ns, NULL, 0) + 1;
    struct sensor_info *list = calloc(room, sizeof(*list));

    /* Who comes in between is in the next one. */
    *count = list == NULL ? 0 : sensor_registry_list(registry, now_ns, list, room);
    *count = *count < room ? *count : room;
    return list;
}

bool sensor_registry_find(struct sensor_registry *registry, uint64_t now_ns, const char *sensor_id,
                          struct sensor_info *out)
{
    (void)pthread_mutex_lock(&registry->lock);
    const struct sensor *sensor = find(registry, sensor_id);

    if (sensor != NULL) {
        copy_out(registry, sensor, now_ns, out);
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return sensor != NULL;
}
