/* Packets per second towards one address, against a floor and against what is usual for it: what
 * UDP and ICMP floods share. Depends on: detector.h. */
#pragma once

#include "detection/detector.h"

/* The rate must be so many times the usual one as well. */
#define FLOOD_FACTOR 8

enum flood_count { FLOOD_PACKETS, FLOOD_BYTES, FLOOD_COUNTERS };

/* Packets from `from` to `target`, by the rules' only view. */
void flood_add(const struct detector_rules *rules, struct detection_frame *frame,
               const struct detection_fact *fact, bool is_backward);
/* Looks for floods of the detector's kind. */
void flood_decide(struct detection *detection, struct detector *self);
