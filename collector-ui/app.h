/* The collector put together: history, registry, ingest, API; started in this order, stopped in the
 * other. Alone knows all parts. Threads: main. */
#pragma once

#include "collector-ui/settings.h"

/* Runs until SIGINT or SIGTERM. The exit status: 0, 1 with `err` (a part failed), 2 with `err`
 * (settings). Prints the addresses on stdout. SIGHUP reads the settings again. */
MUST_USE int app_run(const struct collector_settings_all *settings, struct config *config,
                     const struct collector_command *command, struct error *err);

/* What the tables cannot say of one setting alone; opens nothing. 0 or -errno with file and line.
 */
MUST_USE int app_check_settings(const struct collector_settings_all *settings,
                                const struct config *config, struct error *err);
/* Whether the addresses to listen on are ones, and may be in the clear: what else stops the start.
 * Opens nothing and reads no file. 0 or -errno. */
MUST_USE int app_check_addresses(const struct collector_settings_all *settings, struct error *err);
/* Level and form of the log by settings and -v. */
void app_set_log(const struct collector_settings_all *settings,
                 const struct collector_command *command);
