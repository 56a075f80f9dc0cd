/* gRPC alone: a server of base/rpc that sends the same message over and over. What export costs
 * beyond it is our own. Depends on: base/rpc. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/rpc/rpc.h"

struct export_floor;

/* `tls` NULL: plaintext. Listens on loopback; NULL with `err` set. */
MUST_USE struct export_floor *export_floor_new(struct rpc_runtime *runtime,
                                               const struct rpc_server_tls *tls,
                                               size_t message_bytes, struct error *err);
int export_floor_port(const struct export_floor *floor);
/* Readers that wait. */
unsigned export_floor_readers(const struct export_floor *floor);
/* Sends `messages` to each reader, `burst` at once; returns when gRPC has taken the last. */
void export_floor_send(struct export_floor *floor, uint32_t messages, uint32_t burst);
void export_floor_free(struct export_floor *floor); /* NULL is allowed */
