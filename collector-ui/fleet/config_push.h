/* Settings pushed to sensors: the roll-out (rollout.h) with its lock, its file and its clock.
 *
 * What is wanted is on disk before it counts, so a restart of the collector goes on where it was. A
 * file that is damaged is moved away, and nobody is offered anything. Depends on: base,
 * base/config, proto. Threads: any, but for the ticks: one. Being told by ingest waits for no disk.
 */
#pragma once

#include "base/config/config.h"
#include "collector-ui/fleet/rollout.h"

/* The section `push`. */
struct push_settings {
    uint64_t config_bytes_max; /* of one desired config */
    uint64_t configs_max;
    uint64_t hold_ns, answer_timeout_ns; /* where a request names none */
};
extern const struct config_field push_fields[];

struct config_push;

/* `settings` are borrowed for life, `path` is of the file; its folder exists. NULL with `err`. */
MUST_USE struct config_push *config_push_open(const struct push_settings *settings,
                                              uint32_t sensors_max, const char *path,
                                              struct error *err);
void config_push_free(struct config_push *push); /* NULL is allowed */
DEFINE_AUTO(config_push, config_push_free);
const struct push_settings *config_push_settings(const struct config_push *push);

/* ---- people; waits for the disk ---- */

/* Whether `wish` may be: size, room, and YAML at all. 0 or -errno with `err`. Its hash is filled.
 */
MUST_USE int config_push_check(struct config_push *push, struct rollout_wish *wish,
                               struct error *err);
/* Keeps a copy; its id, time and stage are filled. 0, -EINVAL, -ENOSPC, -ENOMEM, or what the disk
 * said: then nothing has changed. */
MUST_USE int config_push_set(struct config_push *push, struct rollout_wish *wish,
                             struct error *err);
/* 0, -ENOENT, or what the disk said. */
MUST_USE int config_push_clear(struct config_push *push, const char *id, struct error *err);

/* Labels of a sensor in place of those set before. 0, -ENOENT, -ENOMEM, or what the disk said: then
 * nothing has changed. */
MUST_USE int config_push_label(struct config_push *push, const char *sensor_id,
                               const char *set_labels, struct error *err);
struct config_push_labels {
    char set[SENSOR_LABELS_BYTES]; /* here */
    char own[SENSOR_LABELS_BYTES]; /* by its own settings, below those */
};
void config_push_labels_read(struct config_push *push, const char *sensor_id,
                             struct config_push_labels *out);
/* Calls `each`, with the lock, for each sensor that `choice` takes. */
void config_push_each_chosen(struct config_push *push, const struct rollout_choice *choice,
                             void (*each)(void *context, const char *sensor_id), void *context);

/* Calls `look` with the roll-out, which may not be kept. */
void config_push_look(struct config_push *push,
                      void (*look)(void *context, const struct rollout *rollout), void *context);

/* What became of desired settings at one sensor. */
struct config_push_state {
    enum ingest_config_state state;
    char config_id[INGEST_OFFER_ID_BYTES];
    char reason[INGEST_CONFIG_REASON_BYTES];
    char path[INGEST_CONFIG_PATH_BYTES];
    uint32_t line;
};
/* False: none are wanted there. */
MUST_USE bool config_push_state(struct config_push *push, const char *sensor_id,
                                struct config_push_state *out);
struct config_push_counts {
    uint64_t configs;
    uint64_t stages[ROLLOUT_STAGE_COUNT];        /* of these, by how far they are */
    uint64_t sensors[INGEST_CONFIG_STATE_COUNT]; /* with desired settings, by state */
};
void config_push_counts_read(struct config_push *push, struct config_push_counts *out);

/* ---- ingest ---- */

void config_push_know(struct config_push *push, const char *sensor_id);
/* With the labels it says; NULL: it says nothing of that. */
void config_push_connected(struct config_push *push, const char *sensor_id, const char *boot_id,
                           const char *labels);
void config_push_disconnected(struct config_push *push, const char *sensor_id, const char *boot_id);
void config_push_told(struct config_push *push, const char *sensor_id,
                      const struct ingest_config_status *status);

/* ---- ticks ---- */

/* Goes on, offers what is due by `send` (false: not now), and writes the file where it must. */
void config_push_tick(struct config_push *push,
                      bool (*send)(void *context, const char *sensor_id,
                                   const struct ingest_config_offer *offer),
                      void *context);
