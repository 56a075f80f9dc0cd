/* Who may ask what: bearer tokens with scopes, from a file.
 *
 * A line of the file is a token alone (all scopes), or "NAME SCOPES TOKEN" with scopes such as
 * "flows,packets" or a role such as "operator"; '#' begins a comment. Depends on: base,
 * base/service. Threads: read-only once made. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/rpc/rpc.h"
#include "base/service/role.h"

/* A scope is a right: roles are sets of them. */
enum grpc_scope {
    GRPC_SCOPE_FLOWS = RIGHT_FLOWS,
    GRPC_SCOPE_PACKETS = RIGHT_PACKETS,
    GRPC_SCOPE_CONFIG = RIGHT_CONFIG,
    GRPC_SCOPE_TRIAGE = RIGHT_TRIAGE,
    GRPC_SCOPE_ALL = RIGHT_ALL,
};

#define GRPC_WHO_BYTES 64

struct grpc_access;

/* NULL with `err`: unreadable, open to others, or a line that is none ("grpc.token_file: x:3:
 * ..."). */
MUST_USE struct grpc_access *grpc_access_read(const char *path, struct error *err);
void grpc_access_free(struct grpc_access *access);
DEFINE_AUTO(grpc_access, grpc_access_free);

/* The one scope that a method ("/netscope.v1.FlowService/GetFlow") or a page of REST
 * ("/v1/packets") needs: the one table for gRPC, REST and the dashboard. */
enum grpc_scope grpc_scope_of(const char *path);
/* Whose token this is, of which scopes: false, nobody's. Constant time over the tokens' bytes. */
MUST_USE bool grpc_access_find(const struct grpc_access *access, const char *token, size_t length,
                               char who[GRPC_WHO_BYTES], unsigned *scopes);
/* RPC_OK with the token's name in `who`; RPC_UNAUTHENTICATED: no such token; RPC_PERMISSION_DENIED:
 * it lacks the scope. `token` need not end with a NUL; NULL: none was given. Constant time over the
 * tokens' bytes. */
enum rpc_status grpc_access_check(const struct grpc_access *access, const char *token,
                                  size_t length, enum grpc_scope scope, char who[GRPC_WHO_BYTES],
                                  struct error *reason);
