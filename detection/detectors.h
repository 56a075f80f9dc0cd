/* The names of all detectors, each in its own file. Depends on: detector.h. */
#pragma once

struct detector_ops;

extern const struct detector_ops amplification_detector;
extern const struct detector_ops host_sweep_detector;
extern const struct detector_ops icmp_flood_detector;
extern const struct detector_ops port_scan_detector;
extern const struct detector_ops syn_flood_detector;
extern const struct detector_ops udp_flood_detector;
