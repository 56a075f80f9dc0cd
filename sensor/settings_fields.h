/* The tables of the sensor's own sections, of which settings.c makes one configuration; those of
 * sinks, servers and detectors are in the headers of these.
 *
 * Inside of settings*.c alone. Depends on: settings.h. Threads: main, at start. */
#pragma once

#include "sensor/settings.h"

/* Each fills the struct of its section (struct flow_section, ...) and ends with a row without key.
 */

/* settings_input.c */
extern const struct config_field sensor_fields[], capture_fields[], decode_fields[],
    networks_fields[];
/* settings_flow.c */
extern const struct config_field flow_fields[], analysis_fields[], dns_fields[], assets_fields[],
    names_fields[];
/* settings_output.c */
extern const struct config_field output_fields[], stats_fields[], packets_fields[];
/* settings_run.c */
extern const struct config_field run_fields[], pipeline_fields[];
