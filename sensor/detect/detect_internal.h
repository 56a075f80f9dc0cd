/* What the files of this folder share. Depends on: detect.h. */
#pragma once

#include "sensor/detect/detect.h"

/* `bytes`: the frame of `packet`. */
void detect_ndp(struct detection_frame *frame, const struct packet *packet, const uint8_t *bytes);
void detect_dhcp(struct detection_frame *frame, const struct packet *packet, const uint8_t *bytes);
void detect_dhcpv6(struct detection_frame *frame, const struct packet *packet,
                   const uint8_t *bytes);
