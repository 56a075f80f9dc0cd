/* The sensors of a collector one by one, page by page. Depends on: ctl/connection, ctl/message. */
#pragma once

#include "ctl/connection.h"
#include "ctl/message.h"

/* Those of --sensor and --state. `sensor` is borrowed for the call. */
MUST_USE enum ctl_exit each_sensor(struct ctl *ctl, struct connection *connection,
                                   void (*take)(void *context, const struct view *sensor),
                                   void *context, struct error *err);
