/* Turns what a shard sees into facts for the detectors' frame of the current second.
 *
 * Four sources: packets (handshakes, pings, fragments, closes), flows of a second (volume), records
 * (what a flow was and spoke), transactions (DNS). Depends on: base, proto/record.h, detection,
 * wire, flow. Threads: the shard's. O(1) per packet, no allocation. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "detection/detection.h"
#include "sensor/flow/flow_table.h"
#include "sensor/wire/dhcp.h"
#include "sensor/wire/packet.h"

/* A handshake is over within this many packets, repeated SYN included; the rest of a connection
 * tells nothing until it is closed. */
#define DETECT_HANDSHAKE_PACKETS_MAX 12

static inline bool detect_is_of_handshake(const struct packet *packet, const struct flow *flow)
{
    return flow_packets(flow) <= DETECT_HANDSHAKE_PACKETS_MAX ||
           (packet->tcp_flags & (TCP_FIN | TCP_RST)) != 0 ||
           (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* False for most packets: detect_packet would find nothing in it. Of a connection that goes on,
 * only the client's may complete the handshake: bare before any payload of its own, or with some.
 */
static inline bool detect_wants(const struct packet *packet, const struct flow *flow, bool is_new,
                                int direction)
{
    if ((packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) != 0 ||
        (packet->facts & PACKET_IS_FRAGMENT) != 0) {
        return true;
    }
    if (packet->protocol == IP_PROTOCOL_TCP) {
        if ((packet->tcp_flags & TCP_ACK) == 0) {
            return is_new;
        }
        if ((flow->bits & FLOW_SAW_SYN) == 0) { /* it was not seen to begin */
            return direction == 0 ? is_new : flow_packets_of(flow, 1) == 1;
        }
        return direction == 0 && flow_packets(flow) <= DETECT_HANDSHAKE_PACKETS_MAX &&
               (packet->payload_bytes != 0 || flow_payload_of(flow, 0) == 0);
    }
    return is_new || packet->protocol == IP_PROTOCOL_ICMP ||
           packet->protocol == IP_PROTOCOL_ICMPV6 ||
           (direction == 1 && flow_packets_of(flow, 1) == 1) ||
           packet->source_port == DHCP_SERVER_PORT || packet->target_port == DHCP_SERVER_PORT;
}

/* Looks at one packet that was just counted into `flow`. `frame` is the frame of the packet's
 * second, `bytes` the captured frame (NULL: they were not kept). `table` has the flow; in
 * compact mode connections are never seen to close. `direction` as in flow_observer. */
void detect_packet(struct detection_frame *frame, const struct packet *packet, const uint8_t *bytes,
                   const struct flow_table *table, const struct flow *flow, bool is_new,
                   int direction);

/* A frame that is no IP: ARP. */
void detect_link(struct detection_frame *frame, const struct packet *packet, const uint8_t *bytes);

/* A flow's packets and bytes of the second that `frame` holds; called once a flow and second. */
void detect_volume(struct detection_frame *frame, const struct flow_table *table,
                   const struct flow *flow, const struct flow_tick_delta *delta,
                   bool is_client_internal, bool is_server_internal);

/* A record of a flow is made (UPDATE or END), all of it filled; `app` is the enum app of it. Of
 * UPDATEs the first tells something. */
void detect_record(struct detection_frame *frame, const struct flow_record *record, unsigned app);

/* One DNS question with its answer or without. */
struct detect_dns {
    struct ip_address client, server;
    struct record_text name;
    uint64_t time_ns;
    uint32_t query_bytes, response_bytes; /* of the messages; 0 unknown */
    uint16_t type, rcode;
    bool is_answered;
};
void detect_dns(struct detection_frame *frame, const struct detect_dns *dns);

/* A log-in that was seen in a flow; never what it said. */
struct detect_login {
    const char *protocol; /* "ftp" */
    bool is_clear;        /* in clear text */
    bool is_refused;      /* the server refused it: `status` */
    uint16_t status;
    uint64_t time_ns;
};
void detect_login(struct detection_frame *frame, const struct flow_table *table,
                  const struct flow *flow, const struct detect_login *login);

/* Which service a flow talks to, by what was recognised, else by the server's port. */
enum detection_service detect_service(uint8_t app, uint8_t protocol, uint16_t server_port);
