/* Field masks: which fields of an encoded message are sent. Paths are the names of the .proto with
 * dots ("client.ip", "tcp.forward"); a path into a repeated message applies to each element.
 * Depends on: base, generated headers. A compiled mask is immutable: any thread. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define GRPC_MASK_PATHS_MAX 256

struct grpc_mask;

/* NULL with `err`: "field_mask.paths[1]: netscope.v1.FlowRecord has no field 'clinet'". */
MUST_USE struct grpc_mask *grpc_mask_new(const ProtobufCMessageDescriptor *message,
                                         const char *const *paths, size_t paths_count,
                                         struct error *err);
void grpc_mask_free(struct grpc_mask *mask); /* NULL is allowed */
DEFINE_AUTO(grpc_mask, grpc_mask_free);
/* Never longer than the input: `out` has room for `length`. Returns the bytes written; what is
 * damaged is cut there. */
size_t grpc_mask_apply(const struct grpc_mask *mask, const uint8_t *bytes, size_t length,
                       uint8_t *out);
