/* What sensors shall have, and what became of it, as the collector tells. Private to ctl/config.
 *
 * Depends on: ctl. Threads: main. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/command.h"
#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/show.h"

/* FleetService.GetConfigStatus, page by page: each SensorConfig of --sensor, --labels and --state,
 * and each DesiredConfig once. Either may be NULL. */
MUST_USE enum ctl_exit each_config(struct ctl *ctl, struct connection *connection,
                                   void (*take_sensor)(void *context, const struct view *row),
                                   void (*take_wish)(void *context, const struct view *desired),
                                   void *context, struct error *err);
/* "failed: flow.idle_timeout: expected a duration (line 3)" */
void config_status_sentence(struct show *show, const struct view *row);
