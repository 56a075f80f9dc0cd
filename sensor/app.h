/* The wiring of the sensor: settings become parts, parts are started, watched and stopped in order.
 * Alone knows every concrete name. Depends on: everything. Threads: main. */
#pragma once

#include "base/error.h"
#include "sensor/settings.h"

/* Runs until the input ends, the count is reached or SIGINT/SIGTERM comes. Returns the exit status:
 * 0, 1 (input or output failed; what was read has been reported), 2 (settings that cannot work),
 * each but 0 with `err`. */
MUST_USE int app_run(const struct sensor_settings *settings, struct config *config,
                     const struct sensor_command *command, struct error *err);

/* Settings of the collector that an earlier run has kept (collector.apply_config: file) over those
 * of the file: `*config` is made anew then. What cannot be used is told in the log, and the file
 * holds alone. 0 or -errno: no memory. */
MUST_USE int app_use_kept(struct config **config, struct sensor_settings *settings,
                          struct sensor_command *command, struct error *err);
/* What the tables cannot say of one setting alone; opens nothing. 0 or -errno with file and line.
 */
MUST_USE int app_check_settings(const struct sensor_settings *settings, const struct config *config,
                                struct error *err);
/* Whether the addresses that such a run would listen on and dial are ones, and may be in the clear:
 * what else stops the start. Opens nothing and reads no file. 0 or -errno. */
MUST_USE int app_check_addresses(const struct sensor_settings *settings, struct error *err);
/* Whether capture.filter is one for any kind of interface. 0 or -errno with file and line. */
MUST_USE int app_check_filter(const struct sensor_settings *settings, const struct config *config,
                              struct error *err);
/* Level and form of the log by settings and -v. */
void app_set_log(const struct sensor_settings *settings, const struct sensor_command *command);
/* -l. */
MUST_USE int app_list_interfaces(struct error *err);
/* --synthetic-flows: fills a compact table and prints what it cost. */
MUST_USE int app_synthetic_flows(uint32_t flows, struct error *err);
