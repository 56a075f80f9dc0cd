/* The collector put together: history, registry, ingest, API; started in this order, stopped in the
 * other. Alone knows all parts. Threads: main. */
#pragma once

#include "collector-ui/settings.h"

/* Runs until SIGINT or SIGTERM. The exit status: 0, 1 with `err` (a part failed), 2 with `err`
 * (settings). Prints the addresses on stdout. */
MUST_USE int app_run(const struct collector_settings_all *settings, const struct config *config,
                     struct error *err);
