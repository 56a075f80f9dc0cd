/* Made-up traffic: the same settings give the same frames, byte for byte, on every machine.
 *
 *   small  tiny packets of very many TCP and UDP flows that are all open at once, in random order:
 *          the worst case of a flow table (workload 1 of the measurements)
 *   mix    TLS, HTTP, other TCP, DNS, UDP, NTP and ping over IPv4 and IPv6, with and without VLAN;
 *          retransmitted and reordered segments; flow sizes with a long tail (workload 2)
 *   flood  every packet is a flow of its own: four of five a SYN flood from random sources, the
 *          rest port scans (workload 3)
 *   demo   a minute of an office: the mix at a human pace, lost segments, one port scan (second 20
 *          on) and one SYN flood (second 40 on)
 *
 * Only basic arithmetic is used, so no libm can change a frame. Feeds netscope-traffic (files for
 * `netscope bench` and `up --demo`) and tests. Depends on: packet_builder. Threads: one call, one
 * thread. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "sensor/wire/frame.h"

enum traffic_workload {
    TRAFFIC_SMALL,
    TRAFFIC_MIX,
    TRAFFIC_FLOOD,
    TRAFFIC_DEMO,
    TRAFFIC_COUNT,
};

struct traffic_settings {
    enum traffic_workload workload;
    uint64_t packets; /* at most; 0: the workload's own number */
    uint32_t flows;   /* 0: the workload's own number; flood has one a packet */
    uint32_t rate;    /* flood: packets a second; 0: a million */
    uint64_t seed;
};

/* What was made, as the maker knows it. */
struct traffic_truth {
    uint64_t packets, bytes; /* bytes: frame lengths */
    uint64_t tcp_packets, udp_packets, icmp_packets;
    uint64_t flows; /* that sent a packet */
    uint64_t ipv6_flows, vlan_flows;
    uint64_t handshakes; /* SYN, SYN-ACK, ACK all sent */
    uint64_t syn_unanswered;
    uint64_t retransmitted, reordered;
    uint64_t unseen;                     /* segments that were acknowledged and never sent here */
    uint64_t server_names;               /* ClientHellos with SNI */
    uint64_t dns_queries, dns_responses; /* NXDOMAIN among the responses: */
    uint64_t dns_nxdomain;
    uint64_t fin, rst;
    uint64_t flood_packets, scan_packets;
    uint64_t first_ns, last_ns; /* packet times */
};

/* `frame` and its bytes are borrowed for the call. */
typedef void (*traffic_emit)(void *context, const struct frame *frame);

/* 0, or -ENOMEM (nothing has been emitted then). Fills `truth`. */
int traffic_generate(const struct traffic_settings *settings, traffic_emit emit, void *context,
                     struct traffic_truth *truth);

/* "small" and the like; NULL outside the enum. */
const char *traffic_workload_name(enum traffic_workload workload);
/* One line of JSON, ended by a newline. */
void traffic_truth_print(const struct traffic_settings *settings, const struct traffic_truth *truth,
                         FILE *out);
