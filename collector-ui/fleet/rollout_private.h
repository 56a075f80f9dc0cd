/* What the files of the roll-out share. */
#pragma once

#include "collector-ui/fleet/rollout.h"

struct rollout {
    struct rollout_limits limits;
    struct rollout_wish **wishes; /* the newest first */
    uint32_t wishes_count;
    struct rollout_sensor **sensors; /* in order of the id */
    uint32_t sensors_count, sensors_room;
    bool is_changed;
    uint64_t begun_ns; /* monotonic: the first tick */
};

/* A deep copy; NULL: no memory. */
MUST_USE struct rollout_wish *rollout_wish_copy(const struct rollout_wish *wish);
void rollout_wish_free(struct rollout_wish *wish);
/* The sensor, made if it is new; NULL: no room. */
struct rollout_sensor *rollout_sensor_of(struct rollout *rollout, const char *sensor_id);
/* CANARY where there are first ones. */
enum rollout_stage rollout_first_stage(const struct rollout_wish *wish);
bool rollout_has_failed(const struct rollout_sensor *sensor);
/* No further sensor gets it, since `sensor` "went back: because". */
void rollout_stop(struct rollout *rollout, struct rollout_wish *wish,
                  const struct rollout_sensor *sensor, const char *verb, const char *reason);
/* It is in this state now; a failure stops its wish at once. */
void rollout_set_state(struct rollout *rollout, struct rollout_sensor *sensor,
                       enum ingest_config_state state, uint64_t wall_ns);
/* Where another wish counts for it now, or none, it begins anew with that one. */
void rollout_assign(struct rollout *rollout, struct rollout_sensor *sensor, uint64_t wall_ns);
/* The collector's own words in place of the sensor's. */
void rollout_judge(struct rollout *rollout, struct rollout_sensor *sensor,
                   enum ingest_config_state state, const char *reason, uint64_t wall_ns);
