/* Joins packet sockets of one interface into a group that spreads flows over them.
 *
 * Inside sensor/capture only. Depends on: Linux packet(7). Threads: any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/capture/capture.h"
#include "sensor/wire/deal_hash.h"

/* Joins all `count` (>= 2) sockets under a new id that nobody else has. -errno with `err`. A member
 * must not leave alone: the kernel would map the flows anew. The group has a tap of its own: it
 * heeds `is_outgoing_ignored`, not PACKET_IGNORE_OUTGOING of the members. */
MUST_USE int live_fanout_join(const int *sockets, uint32_t count, enum capture_fanout mode,
                              struct deal_key key, bool is_outgoing_ignored, struct error *err);

struct sock_filter;
/* The program behind CAPTURE_FANOUT_CBPF; returns its length (<= LIVE_FANOUT_PROGRAM_MAX). Its
 * result is deal_hash() of the outer header, so the same for both directions of a flow; fragments
 * and packets with IPv6 extension headers go by their addresses, other EtherTypes by that. */
#define LIVE_FANOUT_PROGRAM_MAX 256
uint32_t live_fanout_program(struct deal_key key, struct sock_filter *out);
