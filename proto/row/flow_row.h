/* FlowRecord -> FlowRow: the nested record as one flat row, bytes to bytes.
 *
 * The way is read once from the two embedded descriptors by the rule that flow_row.proto is printed
 * with (flow_row_proto.py): names joined, numbers as digits to base 32. So a new field of
 * FlowRecord needs no line here. Depends on: base, proto, proto/json (descriptors). Pure after the
 * first call; any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/* Enough for a record of `flow_bytes`, as the sensor writes them. */
#define FLOW_ROW_BYTES_MAX(flow_bytes) (4 * (size_t)(flow_bytes) + 1024)

/* Writes netscope.v1.FlowRow and returns its length; 0: `flow` is no FlowRecord, or `capacity` is
 * too small. A field that FlowRow does not know is left out. An address that is no address is
 * empty. About 0.5 us. */
MUST_USE size_t flow_row_from_flow(const uint8_t *flow, size_t length, uint8_t *out,
                                   size_t capacity);

/* Fields of FlowRecord, at any depth, that have no field in FlowRow under the rule: 0, or the two
 * files have drifted apart. `name` gets the first one (a static buffer). */
unsigned flow_row_missing(const char **name);
