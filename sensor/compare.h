/* What another configuration would alert: a capture replayed under two of them, the incidents side
 * by side.
 *
 * Depends on: settings, app, proto/record.h. Threads: main, after each run. */
#pragma once

#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/record_alert.h"
#include "sensor/settings.h"

/* Incidents of one run, each as last told. */
struct alert_list {
    struct alert_record *alerts;
    uint32_t count, capacity;
    bool is_short; /* memory ran out: some are missing */
};

/* Keeps the alert, or a later state of one that is there. */
void alert_list_add(struct alert_list *list, const struct alert_record *alert);
void alert_list_fini(struct alert_list *list);

/* --compare OLD: replays under the settings given and under those of the file OLD with the same
 * flags; prints to stdout what appears, vanishes, changes. The exit status, with `err`. */
MUST_USE int compare_run(int argc, char **argv, char **environment,
                         const struct sensor_settings *settings, struct config *config,
                         struct sensor_command *command, struct error *err);
