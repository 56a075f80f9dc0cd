/* The short form of a flow, as JSON and CSV: fields of the first NetScope in its order, ours
 * after them.
 *
 * protocol, endpoint_a, endpoint_b (a = smaller by version, address, port), first_seen, last_seen
 * (unix seconds with microseconds), duration_secs, packets and bytes each way, totals, avg_bps,
 * tcp_state, client, retransmissions, out_of_order, rtt_*: null (JSON) or empty (CSV) where not
 * measured. docs/flow-export.md lists every column. Depends on: base, proto. Pure. */
#pragma once

#include <stddef.h>

#include "base/json_writer.h"
#include "proto/record_flow.h"

/* The members of the object, without its braces, so that a caller can put members around them. */
void flow_short_json(struct json_writer *out, const struct flow_record *record);
/* One line with CRLF (RFC 4180), fields quoted where needed. Returns the length, 0 = too small. */
size_t flow_short_csv(const struct flow_record *record, char *out, size_t capacity);
extern const char flow_short_csv_header[]; /* with CRLF */

#define FLOW_SHORT_BYTES_MAX 16384
