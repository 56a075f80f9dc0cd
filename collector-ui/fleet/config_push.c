#include "collector-ui/fleet/config_push.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/fleet/config_push_private.h"

#define FIELD(member) offsetof(struct push_settings, member)

const struct config_field push_fields[] = {
    {.type = CONFIG_BYTES,
     .key = "config_size",
     .offset = FIELD(config_bytes_max),
     .value = "64KiB",
     .min = 256,
     .max = 196608,
     .help = "Largest text of settings that sensors shall have (SetDesiredConfig)."},
    {.type = CONFIG_U64,
     .key = "configs_max",
     .offset = FIELD(configs_max),
     .value = "16",
     .min = 1,
     .max = 256,
     .help = "Desired configs at once; a further one is refused until one is cleared."},
    {.type = CONFIG_DURATION,
     .key = "hold_time",
     .offset = FIELD(hold_ns),
     .value = "5m",
     .max = 8.64e13,
     .help = "How long the first sensors must have new settings and be connected before the rest "
             "gets them, where the request does not say."},
    {.type = CONFIG_DURATION,
     .key = "answer_timeout",
     .offset = FIELD(answer_timeout_ns),
     .value = "10m",
     .max = 6.048e14,
     .help =
         "A sensor that was offered settings and does not answer, or one of the first that does "
         "not come back, for so long ends the roll-out, where the request does not say; 0s: "
         "it is waited for without end."},
    {0},
};

/* ---- life ---- */

static struct rollout *new_rollout(const struct push_settings *settings, uint32_t sensors_max)
{
    return rollout_new(&(struct rollout_limits){.wishes_max = (uint32_t)settings->configs_max,
                                                .sensors_max = sensors_max});
}

struct config_push *config_push_open(const struct push_settings *settings, uint32_t sensors_max,
                                     const char *path, struct error *err)
{
    struct config_push *push = calloc(1, sizeof(*push));

    if (push == NULL) {
        (void)error_set(err, ENOMEM, "push: no memory");
        return NULL;
    }
    push->settings = settings;
    (void)snprintf(push->path, sizeof(push->path), "%s", path);
    (void)pthread_mutex_init(&push->writing, NULL);
    (void)pthread_mutex_init(&push->lock, NULL);
    push->rollout = new_rollout(settings, sensors_max);
    if (push->rollout != NULL && config_push_read(push, err) != 0) {
        config_push_free(push);
        return NULL;
    }
    if (push->rollout == NULL) {
        push->rollout = new_rollout(settings, sensors_max);
    }
    if (push->rollout == NULL) {
        (void)error_set(err, ENOMEM, "push: no memory");
        config_push_free(push);
        return NULL;
    }
    return push;
}

void config_push_free(struct config_push *push)
{
    if (push != NULL) {
        rollout_free(push->rollout);
        (void)pthread_mutex_destroy(&push->lock);
        (void)pthread_mutex_destroy(&push->writing);
        free(push);
    }
}

const struct push_settings *config_push_settings(const struct config_push *push)
{
    return push->settings;
}

/* ---- people ---- */

static void fill_hash(struct rollout_wish *wish)
{
    uint8_t digest[20];

    hash_sha1(wish->yaml, strlen(wish->yaml), digest);
    for (unsigned i = 0; i < 8; i++) {
        (void)snprintf(wish->hash + (size_t)2 * i, 3, "%02x", digest[i]);
    }
}

int config_push_check(struct config_push *push, struct rollout_wish *wish, struct error *err)
{
    const uint64_t bytes = strlen(wish->yaml);

    if (bytes == 0) {
        return error_set(err, EINVAL, "yaml: the settings that sensors shall have");
    }
    if (bytes > push->settings->config_bytes_max) {
        return error_set(err, EINVAL, "yaml: %llu bytes; push.config_size allows %llu",
                         (unsigned long long)bytes,
                         (unsigned long long)push->settings->config_bytes_max);
    }
    fill_hash(wish);
    return config_yaml_check(wish->yaml, bytes, "yaml", err);
}

int config_push_set(struct config_push *push, struct rollout_wish *wish, struct error *err)
{
    int result = config_push_check(push, wish, err);

    if (result != 0) {
        return result;
    }
    hash_random_hex(wish->id);
    wish->set_ns = clock_wall_ns();
    (void)pthread_mutex_lock(&push->writing);
    (void)pthread_mutex_lock(&push->lock);
    rollout_limit(push->rollout, (uint32_t)push->settings->configs_max);
    result = rollout_add(push->rollout, wish, err);
    (void)pthread_mutex_unlock(&push->lock);
    if (result == 0) {
        result = config_push_write_down(push, NULL, err);
        (void)pthread_mutex_lock(&push->lock);
        if (result == 0) {
            rollout_release(push->rollout, wish->id, clock_wall_ns());
        } else {
            rollout_drop(push->rollout, wish->id, clock_wall_ns());
        }
        (void)pthread_mutex_unlock(&push->lock);
    }
    wish->stage = wish->canary > 0 || wish->has_first ? ROLLOUT_CANARY : ROLLOUT_ALL;
    (void)pthread_mutex_unlock(&push->writing);
    return result;
}

int config_push_clear(struct config_push *push, const char *id, struct error *err)
{
    (void)pthread_mutex_lock(&push->writing);
    (void)pthread_mutex_lock(&push->lock);
    const bool is_there = rollout_find(push->rollout, id) != NULL;
    (void)pthread_mutex_unlock(&push->lock);
    const int result = is_there ? config_push_write_down(push, id, err)
                                : error_set(err, ENOENT, "config_id: there is no such config");

    if (result == 0) {
        (void)pthread_mutex_lock(&push->lock);
        rollout_drop(push->rollout, id, clock_wall_ns());
        (void)pthread_mutex_unlock(&push->lock);
    }
    (void)pthread_mutex_unlock(&push->writing);
    return result;
}

void config_push_look(struct config_push *push,
                      void (*look)(void *context, const struct rollout *rollout), void *context)
{
    (void)pthread_mutex_lock(&push->lock);
    look(context, push->rollout);
    (void)pthread_mutex_unlock(&push->lock);
}

static void fill_state(const struct rollout *rollout, const struct rollout_sensor *sensor,
                       struct config_push_state *out)
{
    const struct ingest_config_status *told = sensor->told;
    const char *reason = sensor->state == INGEST_CONFIG_PENDING ? rollout_waits_for(rollout, sensor)
                         : told != NULL                         ? told->reason
                                                                : "";

    *out = (struct config_push_state){.state = sensor->state};
    memcpy(out->config_id, sensor->wish_id, sizeof(out->config_id));
    (void)snprintf(out->reason, sizeof(out->reason), "%s", reason);
    if (told != NULL) {
        memcpy(out->path, told->path, sizeof(out->path));
        out->line = told->line;
    }
}

bool config_push_state(struct config_push *push, const char *sensor_id,
                       struct config_push_state *out)
{
    (void)pthread_mutex_lock(&push->lock);
    const struct rollout_sensor *sensor = rollout_sensor(push->rollout, sensor_id);
    const bool is_wanted = sensor != NULL && sensor->wish_id[0] != '\0';

    if (is_wanted) {
        fill_state(push->rollout, sensor, out);
    }
    (void)pthread_mutex_unlock(&push->lock);
    return is_wanted;
}

void config_push_counts_read(struct config_push *push, struct config_push_counts *out)
{
    const struct rollout_sensor *sensor;
    const struct rollout_wish *wish;

    *out = (struct config_push_counts){0};
    (void)pthread_mutex_lock(&push->lock);
    while ((wish = rollout_wish_at(push->rollout, (uint32_t)out->configs)) != NULL) {
        out->stages[wish->stage]++;
        out->configs++;
    }
    for (uint32_t i = 0; (sensor = rollout_sensor_at(push->rollout, i)) != NULL; i++) {
        out->sensors[sensor->state] += sensor->wish_id[0] != '\0';
    }
    (void)pthread_mutex_unlock(&push->lock);
}

/* ---- ingest ---- */

void config_push_know(struct config_push *push, const char *sensor_id)
{
    (void)pthread_mutex_lock(&push->lock);
    (void)rollout_know(push->rollout, sensor_id, clock_wall_ns());
    (void)pthread_mutex_unlock(&push->lock);
}

void config_push_connected(struct config_push *push, const char *sensor_id, const char *boot_id,
                           const char *labels)
{
    (void)pthread_mutex_lock(&push->lock);
    rollout_connected(push->rollout, sensor_id, boot_id, labels, clock_wall_ns());
    (void)pthread_mutex_unlock(&push->lock);
}

void config_push_disconnected(struct config_push *push, const char *sensor_id, const char *boot_id)
{
    (void)pthread_mutex_lock(&push->lock);
    rollout_disconnected(push->rollout, sensor_id, boot_id);
    (void)pthread_mutex_unlock(&push->lock);
}

void config_push_told(struct config_push *push, const char *sensor_id,
                      const struct ingest_config_status *status)
{
    (void)pthread_mutex_lock(&push->lock);
    rollout_told(push->rollout, sensor_id, status, clock_wall_ns(), clock_monotonic_ns());
    (void)pthread_mutex_unlock(&push->lock);
}

/* ---- ticks ---- */

/* A copy of what sensor `at` is to be sent; its text is malloc'ed. False: nothing. */
static bool due(struct config_push *push, uint32_t at, char sensor_id[INGEST_SENSOR_ID_BYTES],
                struct ingest_config_offer *offer, char **yaml)
{
    const struct rollout_wish *wish;

    *offer = (struct ingest_config_offer){.yaml = ""};
    *yaml = NULL;
    (void)pthread_mutex_lock(&push->lock);
    bool is_due = rollout_due(push->rollout, at, &wish);

    if (is_due) {
        memcpy(sensor_id, rollout_sensor_at(push->rollout, at)->sensor_id, INGEST_SENSOR_ID_BYTES);
    }
    if (is_due && wish != NULL) {
        *yaml = strdup(wish->yaml);
        is_due = *yaml != NULL;
        memcpy(offer->offer_id, wish->id, sizeof(offer->offer_id));
        memcpy(offer->config_hash, wish->hash, sizeof(wish->hash));
        offer->yaml = *yaml;
        offer->yaml_bytes = is_due ? strlen(*yaml) : 0;
    }
    (void)pthread_mutex_unlock(&push->lock);
    return is_due;
}

/* The sensor may have another place by now. */
static void note_sent(struct config_push *push, uint32_t at, const char *sensor_id,
                      const char *offer_id)
{
    (void)pthread_mutex_lock(&push->lock);
    const struct rollout_sensor *sensor = rollout_sensor_at(push->rollout, at);

    if (sensor != NULL && strcmp(sensor->sensor_id, sensor_id) == 0) {
        rollout_sent(push->rollout, at, offer_id);
    }
    (void)pthread_mutex_unlock(&push->lock);
}

void config_push_tick(struct config_push *push,
                      bool (*send)(void *context, const char *sensor_id,
                                   const struct ingest_config_offer *offer),
                      void *context)
{
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    struct ingest_config_offer offer;
    char *yaml;

    (void)pthread_mutex_lock(&push->lock);
    rollout_tick(push->rollout, clock_wall_ns(), clock_monotonic_ns());
    const uint32_t count = rollout_sensors(push->rollout);
    (void)pthread_mutex_unlock(&push->lock);
    for (uint32_t i = 0; i < count; i++) {
        if (due(push, i, sensor_id, &offer, &yaml) && send(context, sensor_id, &offer)) {
            note_sent(push, i, sensor_id, offer.offer_id);
        }
        free(yaml);
    }
    config_push_write_change(push);
}
