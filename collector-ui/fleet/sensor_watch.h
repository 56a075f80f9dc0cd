/* Tells when a sensor falls silent: an incident of kind SENSOR_SILENT, in scope FLEET, which opens
 * when an expected sensor has not been heard for so long and closes when it is heard again.
 *
 * Expected is a sensor that was connected and has not said goodbye; a file keeps that over restarts
 * of the collector, so that one that vanished meanwhile is missed, too. Depends on: base, proto,
 * sensor_registry. Threads: one, a tick a second. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"
#include "collector-ui/fleet/sensor_registry.h"
#include "proto/record_alert.h"

/* The section `fleet`. */
struct sensor_watch_settings {
    bool is_on;
    uint64_t silent_after_ns; /* 0: three heartbeats */
    uint64_t forget_after_ns;
};
extern const struct config_field sensor_watch_fields[];

/* Borrowed for the call; from sensor_watch_tick and sensor_watch_finish. */
typedef void sensor_watch_emit(void *context, const struct alert_record *alert);

struct sensor_watch_parts {
    struct sensor_registry *registry;
    uint64_t heartbeat_ns;
    const char *path; /* of the file of expected sensors; its folder exists */
    sensor_watch_emit *emit;
    void *context;
};

struct sensor_watch;

/* `settings` may change meanwhile, on the thread of the ticks; both are borrowed for life, the path
 * is copied. Sensors of the file are expected from `wall_ns` on. NULL with `err`. */
MUST_USE struct sensor_watch *sensor_watch_new(const struct sensor_watch_settings *settings,
                                               const struct sensor_watch_parts *parts,
                                               uint64_t wall_ns, uint64_t now_ns,
                                               struct error *err);
/* Looks at all sensors. A wall clock that was set, or a machine that slept, is no silence: then
 * nobody is missed until silent_after has passed once more. */
void sensor_watch_tick(struct sensor_watch *watch, uint64_t wall_ns, uint64_t now_ns);
/* Closes open incidents (CLOSE_SHUTDOWN) and writes the file. */
void sensor_watch_finish(struct sensor_watch *watch, uint64_t wall_ns);
void sensor_watch_free(struct sensor_watch *watch); /* NULL is allowed */
DEFINE_AUTO(sensor_watch, sensor_watch_free);
