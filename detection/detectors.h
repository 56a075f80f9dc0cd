/* The names of all detectors, each in its own file. Depends on: detector.h. */
#pragma once

struct detector_ops;

extern const struct detector_ops amplification_detector;
extern const struct detector_ops arp_spoof_detector;
extern const struct detector_ops beacon_detector;
extern const struct detector_ops brute_force_detector;
extern const struct detector_ops data_exfil_detector;
extern const struct detector_ops dns_nxdomain_detector;
extern const struct detector_ops dns_tunnel_detector;
extern const struct detector_ops fragment_flood_detector;
extern const struct detector_ops host_sweep_detector;
extern const struct detector_ops icmp_flood_detector;
extern const struct detector_ops lateral_movement_detector;
extern const struct detector_ops ptr_sweep_detector;
extern const struct detector_ops dhcp_starvation_detector;
extern const struct detector_ops long_connection_detector;
extern const struct detector_ops new_host_detector;
extern const struct detector_ops port_scan_detector;
extern const struct detector_ops rogue_server_detector;
extern const struct detector_ops sensor_loss_detector;
extern const struct detector_ops syn_flood_detector;
extern const struct detector_ops tcp_health_detector;
extern const struct detector_ops udp_flood_detector;
extern const struct detector_ops unidirectional_detector;
extern const struct detector_ops unusual_port_detector;
extern const struct detector_ops weak_crypto_detector;
