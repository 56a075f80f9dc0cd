/* Labels of sensors: given here, on the disk before they are told, and read. */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "collector-ui/fleet/config_push_private.h"

static void copy_labels(const struct config_push *push, const char *sensor_id,
                        struct config_push_labels *out)
{
    const struct rollout_sensor *sensor = rollout_sensor(push->rollout, sensor_id);
    const char *set = sensor == NULL ? NULL : sensor->set_labels;
    const char *own = sensor == NULL ? NULL : sensor->labels;

    (void)snprintf(out->set, sizeof(out->set), "%s", set == NULL ? "" : set);
    (void)snprintf(out->own, sizeof(out->own), "%s", own == NULL ? "" : own);
}

void config_push_labels_read(struct config_push *push, const char *sensor_id,
                             struct config_push_labels *out)
{
    (void)pthread_mutex_lock(&push->lock);
    copy_labels(push, sensor_id, out);
    (void)pthread_mutex_unlock(&push->lock);
}

int config_push_label(struct config_push *push, const char *sensor_id, const char *set_labels,
                      struct error *err)
{
    struct config_push_labels before;

    (void)pthread_mutex_lock(&push->writing);
    (void)pthread_mutex_lock(&push->lock);
    copy_labels(push, sensor_id, &before);
    int result = rollout_label(push->rollout, sensor_id, set_labels, clock_wall_ns());
    (void)pthread_mutex_unlock(&push->lock);
    if (result != 0) {
        (void)error_set(err, -result,
                        result == -ENOENT ? "sensor %.128s: never seen here"
                                          : "sensor %.128s: no memory",
                        sensor_id);
    } else {
        result = config_push_write_down(push, NULL, err);
        if (result != 0) {
            (void)pthread_mutex_lock(&push->lock);
            (void)!rollout_label(push->rollout, sensor_id, before.set, clock_wall_ns());
            (void)pthread_mutex_unlock(&push->lock);
        }
    }
    (void)pthread_mutex_unlock(&push->writing);
    return result;
}

void config_push_each_chosen(struct config_push *push, const struct rollout_choice *choice,
                             void (*each)(void *context, const char *sensor_id), void *context)
{
    const struct rollout_sensor *sensor;

    (void)pthread_mutex_lock(&push->lock);
    for (uint32_t i = 0; (sensor = rollout_sensor_at(push->rollout, i)) != NULL; i++) {
        if (rollout_choice_takes(choice, sensor->sensor_id, sensor->set_labels, sensor->labels)) {
            each(context, sensor->sensor_id);
        }
    }
    (void)pthread_mutex_unlock(&push->lock);
}
