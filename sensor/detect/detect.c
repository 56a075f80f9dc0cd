#include "sensor/detect/detect.h"

#include "base/attributes.h"

/* A handshake is over within this many packets, repeated SYN included; the rest of a connection
 * tells nothing. */
#define HANDSHAKE_PACKETS_MAX 12

static void add(struct detection_frame *frame, enum detection_event event,
                const struct packet *packet, const struct flow *flow)
{
    const struct ip_address client = flow_client_address(flow);
    const struct ip_address server = flow_server_address(flow);

    if (address_is_multicast(&server)) {
        return; /* nobody answers in its name */
    }
    detection_frame_add(frame, event, packet->protocol, &client, &server, flow_server_port(flow),
                        packet->time_ns);
}

/* True for the one packet that shows that the client has got the server's SYN-ACK: the bare ACK
 * before any payload, or the first payload where the capture lacks the answers. */
static bool completes_handshake(const struct packet *packet, const struct flow *flow)
{
    if (flow->tcp_state != TCP_ESTABLISHED || (flow->bits & FLOW_SAW_SYN) == 0) {
        return false;
    }
    if (packet->payload_bytes == 0) {
        return flow->sums[0].payload_bytes == 0 && flow->sums[1].payload_bytes == 0;
    }
    /* With an answer seen, a second packet with payload is ACK and request in one. */
    return flow->sums[0].payload_bytes == packet->payload_bytes &&
           ((flow->bits & FLOW_SAW_SYN_ACK) == 0 || flow->sums[0].packets == 2);
}

static void detect_tcp(struct detection_frame *frame, const struct packet *packet,
                       const struct flow *flow, int direction)
{
    const uint8_t flags = packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST);

    if (flags == TCP_SYN && direction == 0) {
        add(frame, DETECTION_SYN, packet, flow);
    } else if (flags == (TCP_SYN | TCP_ACK) && direction == 1) {
        add(frame, DETECTION_SYN_ACK, packet, flow);
    } else if ((flags & TCP_RST) != 0) {
        if (direction == 1 && flow->sums[1].packets == 1) {
            add(frame, DETECTION_RST, packet, flow);
        }
    } else if (flags == TCP_ACK && direction == 0 && completes_handshake(packet, flow)) {
        add(frame, DETECTION_ESTABLISHED, packet, flow);
    }
}

void detect_packet(struct detection_frame *frame, const struct packet *packet,
                   const struct flow *flow, bool is_new, int direction)
{
    if (LIKELY(flow_total_packets(flow) > HANDSHAKE_PACKETS_MAX) &&
        (packet->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN) {
        return;
    }
    if (packet->protocol == IP_PROTOCOL_TCP) {
        if ((packet->facts & PACKET_HAS_TCP) != 0) {
            detect_tcp(frame, packet, flow, direction);
        }
    } else if (packet->protocol == IP_PROTOCOL_UDP && (packet->facts & PACKET_HAS_PORTS) != 0) {
        if (is_new && direction == 0) {
            add(frame, DETECTION_PROBE, packet, flow);
        } else if (direction == 1 && flow->sums[1].packets == 1) {
            add(frame, DETECTION_SYN_ACK, packet, flow); /* an answer */
        }
    }
}
