#include <stddef.h>

#include "sensor/inspect/inspect.h"

#define FIGURE(member) offsetof(struct inspect_statistics, member)

/* What is told to the operator, in the order of the page. */
const struct inspect_figure inspect_figures[INSPECT_FIGURES] = {
    {"states", FIGURE(states_used), true, "States of inspected flows in use."},
    {"states_max", FIGURE(states_max), true, "States there are (flow.inspect_flows)."},
    {"pool_full_total", FIGURE(pool_full), false, "Flows that found no state and go on without."},
    {"memory_bytes", FIGURE(memory_bytes), true, "Memory taken at the start."},
    {"malformed_total", FIGURE(malformed), false, "Messages that contradict their protocol."},
    {"held_bytes", FIGURE(held_bytes), true, "Room taken by bytes that wait for others."},
    {"held_bytes_max", FIGURE(held_bytes_max), true, "Room there is (flow.inspect_buffer)."},
    {"held_full_total", FIGURE(held_full), false, "Times that there was no room for bytes."},
    {"stream_gaps_total", FIGURE(stream_gaps), false, "Holes in TCP streams given up."},
    {"stream_overlaps_total", FIGURE(stream_overlaps), false,
     "TCP segments with bytes that were held already."},
    {"stream_conflicts_total", FIGURE(stream_conflicts), false,
     "TCP segments with other bytes than those seen first."},
    {"stream_overflows_total", FIGURE(stream_overflows), false,
     "Times that a TCP stream had more unread bytes than flow.inspect_stream."},
    {"stream_ignored_total", FIGURE(stream_ignored), false,
     "TCP segments far beyond what their receiver acknowledged."},
    {"datagrams", FIGURE(datagrams_used), true, "IP datagrams being put together."},
    {"datagrams_completed_total", FIGURE(datagrams_completed), false,
     "IP datagrams put together from fragments."},
    {"datagrams_tunnelled_total", FIGURE(datagrams_tunnelled), false,
     "Of these, packets with a tunnel inside."},
    {"datagrams_timed_out_total", FIGURE(datagrams_timed_out), false,
     "IP datagrams given up: too old, or their flow ended."},
    {"datagrams_evicted_total", FIGURE(datagrams_evicted), false,
     "IP datagrams given up for newer ones (flow.inspect_datagrams)."},
    {"datagrams_dropped_total", FIGURE(datagrams_dropped), false,
     "IP datagrams given up: overlaps (IPv6), contradictions, cut, no room."},
    {"datagram_overlaps_total", FIGURE(datagram_overlaps), false,
     "Fragments that overlap others of their datagram."},
    {"datagram_conflicts_total", FIGURE(datagram_conflicts), false,
     "Fragments with other bytes than those seen first."},
};
