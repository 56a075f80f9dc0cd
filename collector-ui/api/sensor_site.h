/* Where sensors stand: the value of their label "site", as it was when it was read.
 *
 * Depends on: fleet. Threads: any; what was read is its reader's. */
#pragma once

#include <stdint.h>

#include "base/attributes.h"
#include "proto/sensor_labels.h"

struct api;

struct sensor_site {
    char sensor_id[129];
    char site[SENSOR_LABEL_BYTES]; /* "": it has no such label */
};

/* Of all sensors that are known, in order of sensor_id; zeroed: of none. */
struct sensor_sites {
    struct sensor_site *items;
    uint32_t count;
};

/* What the collector was told of it stands before what the sensor says itself. */
void sensor_site_read(struct api *api, const char *sensor_id, char site[SENSOR_LABEL_BYTES]);
/* 0 or -ENOMEM. O(sensors). */
MUST_USE int sensor_sites_read(struct api *api, struct sensor_sites *out);
void sensor_sites_fini(struct sensor_sites *sites);
/* "" for a sensor without one, and for one that is not known. */
const char *sensor_sites_find(const struct sensor_sites *sites, const char *sensor_id);
