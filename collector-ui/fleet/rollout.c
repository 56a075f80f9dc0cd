#include "collector-ui/fleet/rollout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/fleet/rollout_private.h"

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

void rollout_stop(struct rollout *rollout, struct rollout_wish *wish,
                  const struct rollout_sensor *sensor, const char *verb, const char *reason)
{
    wish->stage = ROLLOUT_STOPPED;
    (void)snprintf(wish->stop_reason, sizeof(wish->stop_reason), "sensor %s %s: %.300s",
                   sensor->sensor_id, verb, reason);
    rollout->is_changed = true;
}

void rollout_set_state(struct rollout *rollout, struct rollout_sensor *sensor,
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

void rollout_assign(struct rollout *rollout, struct rollout_sensor *sensor, uint64_t wall_ns)
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
    rollout_set_state(rollout, sensor, wish == NULL ? INGEST_CONFIG_UNSET : INGEST_CONFIG_PENDING,
                      wall_ns);
    sensor->state_ns = wall_ns;
}

static void assign_all(struct rollout *rollout, uint64_t wall_ns)
{
    for (uint32_t i = 0; i < rollout->sensors_count; i++) {
        rollout_assign(rollout, rollout->sensors[i], wall_ns);
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
