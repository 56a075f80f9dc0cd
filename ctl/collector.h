/* The way of a command that asks a collector: connect, make sure that it is one, ask, hang up.
 *
 * Depends on: ctl/connection. Threads: main. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/command.h"
#include "ctl/connection.h"

/* `what` is asked of a collector: "sensors". Calls `use` with the open connection. */
MUST_USE enum ctl_exit collector_run(struct ctl *ctl, const char *what,
                                     enum ctl_exit (*use)(struct ctl *ctl,
                                                          struct connection *connection,
                                                          struct error *err),
                                     struct error *err);
/* The same for each operand, until one fails; the words of that one begin with it. */
MUST_USE enum ctl_exit collector_each(struct ctl *ctl, const char *what,
                                      enum ctl_exit (*use)(struct ctl *ctl,
                                                           struct connection *connection,
                                                           const char *operand, struct error *err),
                                      struct error *err);
