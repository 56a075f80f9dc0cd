/* Feeds a shard's packets and flows to the detectors' frame of the current second.
 *
 * Depends on: base, detection, wire, flow. Threads: the shard's. O(1) per packet, no allocation. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "detection/detection.h"
#include "sensor/flow/flow.h"
#include "sensor/wire/packet.h"

/* Looks at one packet that was just counted into `flow`. `frame` is the frame of the packet's
 * second. Packets that can tell nothing (payload of an established connection) return after one
 * comparison. `direction` as in flow_observer. */
void detect_packet(struct detection_frame *frame, const struct packet *packet,
                   const struct flow *flow, bool is_new, int direction);
