#include "collector-ui/ingest/ingest_positions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define BUCKETS 1024

struct ingest_positions {
    struct hash_key key; /* a peer must not choose its bucket */
    uint32_t sensors_max, boots_max;
    uint32_t sensors_count;
    struct ingest_sensor *buckets[BUCKETS];
};

struct ingest_positions *ingest_positions_new(uint32_t sensors_max, uint32_t boots_max,
                                              struct error *err)
{
    struct ingest_positions *positions = calloc(1, sizeof(*positions));

    if (positions == NULL) {
        (void)error_set(err, ENOMEM, "ingest: no memory");
        return NULL;
    }
    positions->key = hash_key_random();
    positions->sensors_max = sensors_max;
    positions->boots_max = boots_max;
    return positions;
}

static void free_sensor(struct ingest_sensor *sensor)
{
    struct ingest_boot *boot = sensor->boots;

    while (boot != NULL) {
        struct ingest_boot *next = boot->next;

        free(boot);
        boot = next;
    }
    free(sensor);
}

void ingest_positions_free(struct ingest_positions *positions)
{
    if (positions == NULL) {
        return;
    }
    for (uint32_t i = 0; i < BUCKETS; i++) {
        struct ingest_sensor *sensor = positions->buckets[i];

        while (sensor != NULL) {
            struct ingest_sensor *next = sensor->next;

            free_sensor(sensor);
            sensor = next;
        }
    }
    free(positions);
}

static struct ingest_sensor **bucket_of(struct ingest_positions *positions, const char *sensor_id)
{
    return &positions->buckets[hash_bytes(positions->key, sensor_id, strlen(sensor_id)) % BUCKETS];
}

static struct ingest_sensor *sensor_in(struct ingest_sensor *bucket, const char *sensor_id)
{
    while (bucket != NULL && strcmp(bucket->sensor_id, sensor_id) != 0) {
        bucket = bucket->next;
    }
    return bucket;
}

static struct ingest_sensor *sensor_of(struct ingest_positions *positions, const char *sensor_id)
{
    const size_t length = strlen(sensor_id);
    struct ingest_sensor **bucket = bucket_of(positions, sensor_id);
    struct ingest_sensor *found = sensor_in(*bucket, sensor_id);

    if (found != NULL) {
        return found;
    }
    if (positions->sensors_count >= positions->sensors_max || length == 0 ||
        length >= INGEST_SENSOR_ID_BYTES) {
        return NULL;
    }
    struct ingest_sensor *sensor = calloc(1, sizeof(*sensor));
    if (sensor != NULL) {
        (void)snprintf(sensor->sensor_id, sizeof(sensor->sensor_id), "%s", sensor_id);
        sensor->next = *bucket;
        *bucket = sensor;
        positions->sensors_count++;
    }
    return sensor;
}

/* The boot used least recently that nobody points to goes. False: all are in use. */
static bool drop_boot(struct ingest_sensor *sensor)
{
    struct ingest_boot **found = NULL;

    for (struct ingest_boot **at = &sensor->boots; *at != NULL; at = &(*at)->next) {
        if ((*at)->pins == 0) {
            found = at;
        }
    }
    if (found == NULL) {
        return false;
    }
    struct ingest_boot *boot = *found;

    *found = boot->next;
    free(boot);
    sensor->boots_count--;
    return true;
}

static struct ingest_boot *add_boot(struct ingest_positions *positions,
                                    struct ingest_sensor *sensor, const char *boot_id,
                                    uint32_t lane)
{
    const size_t length = strlen(boot_id);

    if (length == 0 || length >= INGEST_BOOT_ID_BYTES ||
        (sensor->boots_count >= positions->boots_max && !drop_boot(sensor))) {
        return NULL;
    }
    struct ingest_boot *boot = calloc(1, sizeof(*boot));
    if (boot == NULL) {
        return NULL;
    }
    (void)snprintf(boot->boot_id, sizeof(boot->boot_id), "%s", boot_id);
    boot->lane = lane;
    boot->sensor = sensor;
    for (uint32_t i = 0; i < RECORD_STREAM_COUNT; i++) {
        boot->places[i] =
            (struct ingest_place){.boot = boot, .stream = (enum record_stream)i, .next_seq = 1};
    }
    boot->next = sensor->boots;
    sensor->boots = boot;
    sensor->boots_count++;
    return boot;
}

struct ingest_boot *ingest_positions_lane(struct ingest_positions *positions, const char *sensor_id,
                                          const char *boot_id, uint32_t lane)
{
    struct ingest_sensor *sensor = sensor_of(positions, sensor_id);

    if (sensor == NULL) {
        return NULL;
    }
    for (struct ingest_boot **at = &sensor->boots; *at != NULL; at = &(*at)->next) {
        struct ingest_boot *boot = *at;

        if (boot->lane == lane && strcmp(boot->boot_id, boot_id) == 0) {
            *at = boot->next;
            boot->next = sensor->boots;
            sensor->boots = boot;
            return boot;
        }
    }
    return add_boot(positions, sensor, boot_id, lane);
}

struct ingest_boot *ingest_positions_boot(struct ingest_positions *positions, const char *sensor_id,
                                          const char *boot_id)
{
    return ingest_positions_lane(positions, sensor_id, boot_id, 0);
}

bool ingest_positions_has(struct ingest_positions *positions, const char *sensor_id,
                          const char *boot_id)
{
    const struct ingest_sensor *sensor = sensor_in(*bucket_of(positions, sensor_id), sensor_id);

    for (const struct ingest_boot *boot = sensor == NULL ? NULL : sensor->boots; boot != NULL;
         boot = boot->next) {
        if (boot_id == NULL || strcmp(boot->boot_id, boot_id) == 0) {
            return true;
        }
    }
    return false;
}

enum ingest_verdict ingest_place_judge(const struct ingest_place *place, uint64_t first_seq,
                                       uint32_t record_count, uint32_t *skip)
{
    *skip = 0;
    if (first_seq == 0 || record_count == 0 || first_seq > UINT64_MAX - record_count) {
        return INGEST_NONSENSE;
    }
    if (first_seq > place->next_seq) {
        return INGEST_HOLE;
    }
    if (first_seq == place->next_seq) {
        return INGEST_TAKE;
    }
    if (first_seq + record_count <= place->next_seq) {
        return INGEST_DUPLICATE;
    }
    *skip = (uint32_t)(place->next_seq - first_seq);
    return INGEST_OVERLAP;
}

enum ingest_verdict ingest_place_judge_gap(const struct ingest_place *place, uint64_t from_seq,
                                           uint64_t to_seq, uint64_t *lost)
{
    *lost = 0;
    if (from_seq == 0 || to_seq < from_seq || to_seq == UINT64_MAX) {
        return INGEST_NONSENSE;
    }
    if (from_seq > place->next_seq) {
        return INGEST_HOLE;
    }
    if (to_seq < place->next_seq) {
        return INGEST_DUPLICATE; /* it came after all, before the notice */
    }
    *lost = to_seq - place->next_seq + 1;
    return INGEST_TAKE;
}

void ingest_place_accept(struct ingest_place *place, uint64_t last_seq)
{
    place->next_seq = last_seq + 1;
}

void ingest_place_durable(struct ingest_place *place, uint64_t last_seq)
{
    if (last_seq > place->durable_seq) {
        place->durable_seq = last_seq;
    }
    if (place->next_seq <= place->durable_seq) {
        place->next_seq = place->durable_seq + 1;
    }
}

void ingest_place_reset(struct ingest_place *place)
{
    place->next_seq = place->durable_seq + 1;
    place->generation++;
}
