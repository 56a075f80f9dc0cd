#include "collector-ui/fleet/rollout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/fleet/rollout_private.h"

#define VAIN_MAX                                                                                   \
    3 /* processes in a row that are offered settings and end without a word of them               \
       */

/* ---- life ---- */

struct rollout *rollout_new(const struct rollout_limits *limits)
{
    struct rollout *rollout = calloc(1, sizeof(*rollout));

    if (rollout != NULL) {
        rollout->limits = *limits;
    }
    return rollout;
}

void rollout_wish_free(struct rollout_wish *wish)
{
    if (wish != NULL) {
        rollout_choice_fini(&wish->who);
        rollout_choice_fini(&wish->first);
        free(wish->yaml);
        free(wish);
    }
}

struct rollout_wish *rollout_wish_copy(const struct rollout_wish *wish)
{
    struct rollout_wish *copy = malloc(sizeof(*copy));

    if (copy == NULL) {
        return NULL;
    }
    *copy = *wish;
    copy->yaml = strdup(wish->yaml);
    const bool has_who = rollout_choice_copy(&copy->who, &wish->who);
    const bool has_first = rollout_choice_copy(&copy->first, &wish->first);

    if (copy->yaml == NULL || !has_who || !has_first) {
        rollout_wish_free(copy);
        return NULL;
    }
    return copy;
}

void rollout_free(struct rollout *rollout)
{
    if (rollout == NULL) {
        return;
    }
    for (uint32_t i = 0; i < rollout->wishes_count; i++) {
        rollout_wish_free(rollout->wishes[i]);
    }
    for (uint32_t i = 0; i < rollout->sensors_count; i++) {
        free(rollout->sensors[i]->told);
        free(rollout->sensors[i]->labels);
        free(rollout->sensors[i]->set_labels);
        free(rollout->sensors[i]);
    }
    free((void *)rollout->wishes);
    free((void *)rollout->sensors);
    free(rollout);
}

void rollout_limit(struct rollout *rollout, uint32_t wishes_max)
{
    rollout->limits.wishes_max = wishes_max;
}

/* ---- finding ---- */

const struct rollout_wish *rollout_wish_at(const struct rollout *rollout, uint32_t at)
{
    return at < rollout->wishes_count ? rollout->wishes[at] : NULL;
}

static struct rollout_wish *find(const struct rollout *rollout, const char *id)
{
    for (uint32_t i = 0; i < rollout->wishes_count && id[0] != '\0'; i++) {
        if (strcmp(rollout->wishes[i]->id, id) == 0) {
            return rollout->wishes[i];
        }
    }
    return NULL;
}

const struct rollout_wish *rollout_find(const struct rollout *rollout, const char *id)
{
    return find(rollout, id);
}

bool rollout_covers(const struct rollout_wish *wish, const struct rollout_sensor *sensor)
{
    return rollout_choice_takes(&wish->who, sensor->sensor_id, sensor->set_labels, sensor->labels);
}

bool rollout_may_be_first(const struct rollout_wish *wish, const struct rollout_sensor *sensor)
{
    return !wish->has_first || rollout_choice_takes(&wish->first, sensor->sensor_id,
                                                    sensor->set_labels, sensor->labels);
}

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

/* ---- which wish counts ---- */

static struct rollout_wish *wish_for(const struct rollout *rollout,
                                     const struct rollout_sensor *sensor)
{
    for (uint32_t i = 0; i < rollout->wishes_count; i++) {
        if (rollout->wishes[i]->stage != ROLLOUT_NONE &&
            rollout_covers(rollout->wishes[i], sensor)) {
            return rollout->wishes[i];
        }
    }
    return NULL;
}

bool rollout_has_failed(const struct rollout_sensor *sensor)
{
    return sensor->state == INGEST_CONFIG_FAILED || sensor->state == INGEST_CONFIG_ROLLED_BACK;
}

void rollout_stop(struct rollout *rollout, struct rollout_wish *wish,
                  const struct rollout_sensor *sensor, const char *verb, const char *reason)
{
    wish->stage = ROLLOUT_STOPPED;
    (void)snprintf(wish->stop_reason, sizeof(wish->stop_reason), "sensor %s %s: %.300s",
                   sensor->sensor_id, verb, reason);
    rollout->is_changed = true;
}

/* A failure stops the wish at once. */
static void set_state(struct rollout *rollout, struct rollout_sensor *sensor,
                      enum ingest_config_state state, uint64_t wall_ns)
{
    rollout->is_changed = true;
    sensor->state_ns = sensor->state == state ? sensor->state_ns : wall_ns;
    sensor->state = state;
    struct rollout_wish *wish = rollout_has_failed(sensor) ? find(rollout, sensor->wish_id) : NULL;

    if (wish != NULL && wish->stage != ROLLOUT_STOPPED) {
        rollout_stop(rollout, wish, sensor,
                     state == INGEST_CONFIG_ROLLED_BACK ? "went back"
                     : sensor->is_overdue               ? "is missing"
                                                        : "refused them",
                     sensor->told != NULL ? sensor->told->reason : "");
    }
}

/* It has another wish before it, or none. */
static void assign(struct rollout *rollout, struct rollout_sensor *sensor, uint64_t wall_ns)
{
    const struct rollout_wish *wish = wish_for(rollout, sensor);
    const char *id = wish == NULL ? "" : wish->id;

    if (strcmp(sensor->wish_id, id) == 0) {
        return;
    }
    sensor->has_another = sensor->has_another || sensor->offered_boot[0] != '\0';
    sensor->is_clear_due = wish == NULL && sensor->has_another;
    (void)snprintf(sensor->wish_id, sizeof(sensor->wish_id), "%s", id);
    free(sensor->told);
    sensor->told = NULL;
    sensor->is_canary = false;
    sensor->is_sent = false;
    sensor->held_ns = 0;
    sensor->awaited_ns = 0;
    sensor->is_overdue = false;
    sensor->vain = 0;
    sensor->offered_boot[0] = '\0';
    set_state(rollout, sensor, wish == NULL ? INGEST_CONFIG_UNSET : INGEST_CONFIG_PENDING, wall_ns);
    sensor->state_ns = wall_ns;
}

static void assign_all(struct rollout *rollout, uint64_t wall_ns)
{
    for (uint32_t i = 0; i < rollout->sensors_count; i++) {
        assign(rollout, rollout->sensors[i], wall_ns);
    }
}

int rollout_add(struct rollout *rollout, const struct rollout_wish *wish, struct error *err)
{
    if (rollout->wishes_count >= rollout->limits.wishes_max) {
        return error_set(err, ENOSPC,
                         "as many desired configs as there may be (push.configs_max: %u): clear "
                         "one first",
                         rollout->limits.wishes_max);
    }
    struct rollout_wish **larger =
        realloc((void *)rollout->wishes, (rollout->wishes_count + 1U) * sizeof(void *));
    struct rollout_wish *copy = rollout_wish_copy(wish);

    rollout->wishes = larger != NULL ? larger : rollout->wishes;
    if (larger == NULL || copy == NULL) {
        rollout_wish_free(copy);
        return error_set(err, ENOMEM, "no memory");
    }
    copy->stage = ROLLOUT_NONE;
    memmove((void *)&larger[1], (void *)larger, rollout->wishes_count * sizeof(void *));
    larger[0] = copy;
    rollout->wishes_count++;
    return 0;
}

enum rollout_stage rollout_first_stage(const struct rollout_wish *wish)
{
    return wish->canary > 0 || wish->has_first ? ROLLOUT_CANARY : ROLLOUT_ALL;
}

void rollout_release(struct rollout *rollout, const char *id, uint64_t wall_ns)
{
    struct rollout_wish *wish = find(rollout, id);

    if (wish != NULL) {
        wish->stage = rollout_first_stage(wish);
        rollout->is_changed = true;
        assign_all(rollout, wall_ns);
    }
}

void rollout_drop(struct rollout *rollout, const char *id, uint64_t wall_ns)
{
    for (uint32_t i = 0; i < rollout->wishes_count; i++) {
        if (strcmp(rollout->wishes[i]->id, id) == 0) {
            rollout_wish_free(rollout->wishes[i]);
            rollout->wishes_count--;
            memmove((void *)&rollout->wishes[i], (void *)&rollout->wishes[i + 1],
                    (rollout->wishes_count - i) * sizeof(void *));
            rollout->is_changed = true;
            break;
        }
    }
    assign_all(rollout, wall_ns);
}

/* ---- sensors come and go ---- */

bool rollout_know(struct rollout *rollout, const char *sensor_id, uint64_t wall_ns)
{
    struct rollout_sensor *sensor = rollout_sensor_of(rollout, sensor_id);

    if (sensor != NULL) {
        assign(rollout, sensor, wall_ns);
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
    set_state(rollout, sensor, state, wall_ns);
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
    assign(rollout, sensor, wall_ns);
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
    assign(rollout, sensor, wall_ns);
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
        set_state(rollout, sensor, status->state, wall_ns);
        sensor->vain = 0;
    }
    if (status->state != INGEST_CONFIG_APPLIED) {
        sensor->held_ns = 0;
    } else if (sensor->held_ns == 0 && sensor->is_connected) {
        sensor->held_ns = now_ns;
    }
}

/* ---- changes ---- */

bool rollout_take_change(struct rollout *rollout)
{
    const bool is_changed = rollout->is_changed;

    rollout->is_changed = false;
    return is_changed;
}

void rollout_touch(struct rollout *rollout)
{
    rollout->is_changed = true;
}
