/* IP datagrams put together from their fragments, for the handlers: TCP and UDP of IPv4 and IPv6,
 * and packets in tunnels whose outer IP packet was cut.
 *
 * A flow's datagrams in progress are a list in one of its parts, at most DATAGRAMS_FLOW_MAX, and
 * inspect_settings.datagrams_max over all flows: the oldest makes room for a new one. Fragments
 * come here with the flow of their first one (the table of sensor/flow that knows ports), in any
 * order; those of an outer packet (PACKET_OUTER_FRAGMENT) with the flow inside. What is whole gets
 * its IP header back and is decoded like a captured packet, extension headers and tunnels with it;
 * the handlers get it when it is one of that flow, and no packet is counted again. A datagram is
 * given up when it is older than its timeout, tested against packets of its own flow alone; at the
 * flow's end; when a fragment overlaps another with IPv6 (RFC 5722), or when its pieces contradict
 * each other: then the handler gets what stands whole from its start, once. With IPv4 the byte seen
 * first stands. An exact copy is no overlap. IPv4 options and extension headers before the fragment
 * header are left out; so are the last bytes of a datagram of more than 65,482 bytes. Of one cut
 * twice, by a tunnel in a tunnel, the outermost is put together. Standards: RFC 791 3.2, 8200 4.5,
 * 5722, 6946. Depends on: inspect_internal.h, window.h, wire. Threads: those of inspect. */
#pragma once

#include "sensor/inspect/inspect_internal.h"
#include "sensor/inspect/window.h"

#define DATAGRAMS_FLOW_MAX 8

/* Takes the fragment `packet`; the datagram that it completes, if any, goes to inspect_payload. */
void datagrams_add(struct inspect *inspect, struct flow *flow, const struct packet *packet,
                   const uint8_t *frame, int direction);

/* The flow ends: what stands whole from the start of each datagram goes to its handler. `last` has
 * the flow's time. */
void datagrams_finish(struct inspect *inspect, struct flow *flow, const struct packet *last);

/* Gives back what the flow holds. */
void datagrams_drop(struct inspect *inspect, struct flow *flow);
