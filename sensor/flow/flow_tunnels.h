/* The tunnels around the flows of one table: each stack is held once, however many flows it has.
 *
 * A flow's place here is its slot, so struct flow needs no room for it, and a table that never met
 * a tunnel never touches this memory. Depends on: base, proto/record.h, wire/packet.h. Threads:
 * those of the table. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/hash.h"
#include "proto/record_flow.h"
#include "sensor/wire/packet.h"

struct flow_tunnels;

/* For a table of `flows_max`, whose slots go up to `kinds` times that; a stack for each eighth
 * flow, 64 at least. NULL: no memory. */
MUST_USE struct flow_tunnels *flow_tunnels_new(uint32_t flows_max, uint32_t kinds,
                                               struct hash_key key);
void flow_tunnels_free(struct flow_tunnels *tunnels);
/* In use now or before; 0: no tunnel was met. */
uint64_t flow_tunnels_memory_bytes(const struct flow_tunnels *tunnels);

/* Of the flow in `slot`, by its first packet; `frame` holds the outer addresses, NULL: they stay
 * unknown. When no stack is free the flow goes without, which is counted. O(1). */
void flow_tunnels_set(struct flow_tunnels *tunnels, uint32_t slot, const struct packet *packet,
                      const uint8_t *frame);
/* A hash of the flow's stack for its id, whether there was room for the stack or not; 0: no
 * tunnels.
 */
uint32_t flow_tunnels_hash(const struct flow_tunnels *tunnels, uint32_t slot);
/* The flow in `slot` has ended. */
void flow_tunnels_clear(struct flow_tunnels *tunnels, uint32_t slot);

/* Networks may be named differently by direction (a router between two VXLANs): the name under
 * which the answers to the flow's first packet come. */
bool flow_tunnels_is_answer(const struct flow_tunnels *tunnels, uint32_t slot, uint16_t tenant);
void flow_tunnels_set_answer(struct flow_tunnels *tunnels, uint32_t slot, uint16_t tenant);

/* record->tunnels; `is_swapped`: the first packet was sent by the server. */
void flow_tunnels_fill(const struct flow_tunnels *tunnels, uint32_t slot, bool is_swapped,
                       struct flow_record *record);

uint64_t flow_tunnels_full(const struct flow_tunnels *tunnels); /* flows that went without */
