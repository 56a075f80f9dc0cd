/* The table of detectors: one row each. A finding of an earlier one may explain a later one's. */
#include "detection/detectors.h"

#include "base/attributes.h"
#include "detection/detector.h"

const struct detector_ops *const detector_table[] = {
    &port_scan_detector,        &syn_flood_detector,      &host_sweep_detector,
    &udp_flood_detector,        &icmp_flood_detector,     &amplification_detector,
    &fragment_flood_detector,   &dns_tunnel_detector,     &dns_nxdomain_detector,
    &beacon_detector,           &brute_force_detector,    &data_exfil_detector,
    &long_connection_detector,  &new_host_detector,       &rogue_server_detector,
    &arp_spoof_detector,        &weak_crypto_detector,    &tcp_health_detector,
    &sensor_loss_detector,      &unidirectional_detector, &unusual_port_detector,
    &lateral_movement_detector, &ptr_sweep_detector,      &dhcp_starvation_detector,
};

uint32_t detector_count(void)
{
    return ARRAY_COUNT(detector_table);
}
