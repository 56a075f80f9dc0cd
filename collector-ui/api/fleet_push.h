/* What the two files about settings for sensors share. Depends on: fleet_private.h. */
#pragma once

#include "collector-ui/api/fleet_private.h"

/* False: refused, since nothing is kept here. */
bool fleet_can_push(struct grpc_ask *ask);
/* A DesiredConfig as field `field`. */
void fleet_write_desired(struct wire_writer *w, uint32_t field, const struct rollout_wish *wish);
/* At most so many bytes. */
size_t fleet_desired_bytes(const struct rollout_wish *wish);
