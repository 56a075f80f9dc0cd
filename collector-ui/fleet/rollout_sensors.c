/* Sensors of a roll-out: known by id, they come and go, and say what became of what they were
 * offered. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/fleet/rollout_private.h"

/* Processes in a row that are offered settings and end without a word of them. */
#define VAIN_MAX 3

/* ---- finding ---- */

const struct rollout_sensor *rollout_sensor_at(const struct rollout *rollout, uint32_t at)
{
    return at < rollout->sensors_count ? rollout->sensors[at] : NULL;
}

uint32_t rollout_sensors(const struct rollout *rollout)
{
    return rollout->sensors_count;
}

/* Where it is, or belongs. */
static uint32_t place_of(const struct rollout *rollout, const char *sensor_id, bool *is_there)
{
    uint32_t low = 0, high = rollout->sensors_count;

    *is_there = false;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = strcmp(rollout->sensors[middle]->sensor_id, sensor_id);

        if (order == 0) {
            *is_there = true;
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return low;
}

const struct rollout_sensor *rollout_sensor(const struct rollout *rollout, const char *sensor_id)
{
    bool is_there;
    const uint32_t at = place_of(rollout, sensor_id, &is_there);

    return is_there ? rollout->sensors[at] : NULL;
}

static struct rollout_sensor *find_sensor(const struct rollout *rollout, const char *sensor_id)
{
    bool is_there;
    const uint32_t at = place_of(rollout, sensor_id, &is_there);

    return is_there ? rollout->sensors[at] : NULL;
}

struct rollout_sensor *rollout_sensor_of(struct rollout *rollout, const char *sensor_id)
{
    bool is_there;
    const uint32_t at = place_of(rollout, sensor_id, &is_there);

    if (is_there) {
        return rollout->sensors[at];
    }
    if (rollout->sensors_count == rollout->sensors_room) {
        const uint32_t room = rollout->sensors_room * 2 + 16;
        struct rollout_sensor **larger = realloc((void *)rollout->sensors, room * sizeof(void *));

        if (larger == NULL) {
            return NULL;
        }
        rollout->sensors = larger;
        rollout->sensors_room = room;
    }
    struct rollout_sensor *sensor =
        rollout->sensors_count < rollout->limits.sensors_max ? calloc(1, sizeof(*sensor)) : NULL;

    if (sensor == NULL) {
        return NULL;
    }
    (void)snprintf(sensor->sensor_id, sizeof(sensor->sensor_id), "%s", sensor_id);
    sensor->state = INGEST_CONFIG_UNSET;
    memmove((void *)&rollout->sensors[at + 1], (void *)&rollout->sensors[at],
            (rollout->sensors_count - at) * sizeof(void *));
    rollout->sensors[at] = sensor;
    rollout->sensors_count++;
    return sensor;
}

/* ---- they come and go ---- */

bool rollout_has_failed(const struct rollout_sensor *sensor)
{
    return sensor->state == INGEST_CONFIG_FAILED || sensor->state == INGEST_CONFIG_ROLLED_BACK;
}

bool rollout_know(struct rollout *rollout, const char *sensor_id, uint64_t wall_ns)
{
    struct rollout_sensor *sensor = rollout_sensor_of(rollout, sensor_id);

    if (sensor != NULL) {
        rollout_assign(rollout, sensor, wall_ns);
    }
    return sensor != NULL;
}

void rollout_judge(struct rollout *rollout, struct rollout_sensor *sensor,
                   enum ingest_config_state state, const char *reason, uint64_t wall_ns)
{
    struct ingest_config_status *told =
        sensor->told != NULL ? sensor->told : malloc(sizeof(*sensor->told));

    if (told != NULL) {
        *told = (struct ingest_config_status){.state = state};
        (void)snprintf(told->reason, sizeof(told->reason), "%s", reason);
    }
    sensor->told = told;
    rollout_set_state(rollout, sensor, state, wall_ns);
}

/* Another process of a sensor that was offered something and had not said that it stays: perhaps
 * the settings have ended the one before. */
static void look_at_restart(struct rollout *rollout, struct rollout_sensor *sensor,
                            uint64_t wall_ns)
{
    if (sensor->state == INGEST_CONFIG_APPLYING) {
        rollout_judge(rollout, sensor, INGEST_CONFIG_ROLLED_BACK,
                      "the sensor began anew before the settings had held: it has its own again",
                      wall_ns);
    } else if (sensor->state == INGEST_CONFIG_PENDING && ++sensor->vain >= VAIN_MAX) {
        rollout_judge(rollout, sensor, INGEST_CONFIG_FAILED,
                      "the sensor began anew each time that it was offered the settings", wall_ns);
    }
    sensor->offered_boot[0] = '\0';
    rollout->is_changed = true;
}

/* False: no memory, and nothing has changed. */
static bool keep_labels(struct rollout *rollout, char **place, const char *labels)
{
    const bool is_same = strcmp(*place == NULL ? "" : *place, labels) == 0;
    char *copy = is_same || labels[0] == '\0' ? NULL : strdup(labels);

    if (is_same || (labels[0] != '\0' && copy == NULL)) {
        return is_same;
    }
    free(*place);
    *place = copy;
    rollout->is_changed = true;
    return true;
}

int rollout_label(struct rollout *rollout, const char *sensor_id, const char *set_labels,
                  uint64_t wall_ns)
{
    struct rollout_sensor *sensor = find_sensor(rollout, sensor_id);

    if (sensor == NULL) {
        return -ENOENT;
    }
    if (!keep_labels(rollout, &sensor->set_labels, set_labels)) {
        return -ENOMEM;
    }
    rollout_assign(rollout, sensor, wall_ns);
    return 0;
}

void rollout_connected(struct rollout *rollout, const char *sensor_id, const char *boot_id,
                       const char *labels, uint64_t wall_ns)
{
    struct rollout_sensor *sensor = rollout_sensor_of(rollout, sensor_id);

    if (sensor == NULL) {
        return;
    }
    if (labels != NULL) {
        (void)!keep_labels(rollout, &sensor->labels, labels);
    }
    rollout_assign(rollout, sensor, wall_ns);
    if (sensor->offered_boot[0] != '\0' && strcmp(sensor->offered_boot, boot_id) != 0) {
        look_at_restart(rollout, sensor, wall_ns);
    }
    (void)snprintf(sensor->boot_id, sizeof(sensor->boot_id), "%s", boot_id);
    sensor->is_connected = true;
    sensor->is_sent = false;
    sensor->held_ns = 0;
}

void rollout_disconnected(struct rollout *rollout, const char *sensor_id, const char *boot_id)
{
    struct rollout_sensor *sensor = find_sensor(rollout, sensor_id);

    if (sensor != NULL && strcmp(sensor->boot_id, boot_id) == 0) {
        sensor->is_connected = false;
        sensor->held_ns = 0;
    }
}

/* ---- what they say ---- */

/* Letters that every reader can take. */
static void make_plain(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') {
            *text = '?';
        }
    }
}

static void keep_word(struct rollout_sensor *sensor, const struct ingest_config_status *status)
{
    struct ingest_config_status *told =
        sensor->told != NULL ? sensor->told : malloc(sizeof(*sensor->told));

    sensor->told = told;
    if (told != NULL) {
        *told = *status;
        make_plain(told->config_hash);
        make_plain(told->reason);
        make_plain(told->path);
        make_plain(told->needs_restart);
    }
}

/* After each connection it says the same again: nothing to write down. */
static bool is_news(const struct rollout_sensor *sensor, const struct ingest_config_status *status)
{
    const struct ingest_config_status *told = sensor->told;

    return told == NULL || sensor->state != status->state || told->line != status->line ||
           strcmp(told->config_hash, status->config_hash) != 0 ||
           strcmp(told->reason, status->reason) != 0 || strcmp(told->path, status->path) != 0 ||
           strcmp(told->needs_restart, status->needs_restart) != 0;
}

void rollout_told(struct rollout *rollout, const char *sensor_id,
                  const struct ingest_config_status *status, uint64_t wall_ns, uint64_t now_ns)
{
    struct rollout_sensor *sensor = find_sensor(rollout, sensor_id);

    if (sensor == NULL || status->state < INGEST_CONFIG_APPLYING) {
        return; /* it has its own settings, or says what nobody understands */
    }
    (void)snprintf(sensor->effective_hash, sizeof(sensor->effective_hash), "%s",
                   status->config_hash);
    make_plain(sensor->effective_hash);
    if (strcmp(status->offer_id, sensor->wish_id) != 0) {
        sensor->is_clear_due = sensor->wish_id[0] == '\0';
        return; /* of what was wanted before */
    }
    if (rollout_has_failed(sensor) && !sensor->is_overdue) {
        return; /* that is the last word */
    }
    if (sensor->is_overdue || is_news(sensor, status)) {
        sensor->is_overdue = false; /* late, and true */
        keep_word(sensor, status);
        rollout_set_state(rollout, sensor, status->state, wall_ns);
        sensor->vain = 0;
    }
    if (status->state != INGEST_CONFIG_APPLIED) {
        sensor->held_ns = 0;
    } else if (sensor->held_ns == 0 && sensor->is_connected) {
        sensor->held_ns = now_ns;
    }
}
