/* Waiting until each sensor has said what became of the settings that were pushed. Private to
 * ctl/config. Depends on: ctl. Threads: main. */
#pragma once

#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/command.h"
#include "ctl/connection.h"

/* Tells each change of each sensor on standard error, until all have answered, the roll-out has
 * stopped or --deadline is over. CTL_OK (in force everywhere), CTL_NOT_APPLIED, CTL_ROLLED_BACK,
 * CTL_PENDING, or what a call ended with. */
MUST_USE enum ctl_exit config_wait(struct ctl *ctl, struct connection *connection,
                                   const char *config_id, struct error *err);
