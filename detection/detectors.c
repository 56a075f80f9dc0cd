/* The table of detectors: one row each. A finding of an earlier one may explain a later one's. */
#include "detection/detectors.h"

#include "base/attributes.h"
#include "detection/detector.h"

const struct detector_ops *const detector_table[] = {
    &port_scan_detector, &syn_flood_detector,  &host_sweep_detector,
    &udp_flood_detector, &icmp_flood_detector, &amplification_detector,
};

uint32_t detector_count(void)
{
    return ARRAY_COUNT(detector_table);
}
