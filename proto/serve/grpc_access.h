/* Who may ask what: bearer tokens with scopes, from a file.
 *
 * A line of the file is a token alone (all scopes), or "NAME SCOPES TOKEN" with scopes such as
 * "flows,packets"; '#' begins a comment. Depends on: base, base/service. Threads: read-only once
 * made. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/rpc/rpc.h"

enum grpc_scope {
    GRPC_SCOPE_FLOWS = 1 << 0,   /* sensor, flows, alerts, statistics, DNS: to read */
    GRPC_SCOPE_PACKETS = 1 << 1, /* packet bytes and captures */
    GRPC_SCOPE_CONFIG = 1 << 2,  /* settings, also to reload them */
    GRPC_SCOPE_TRIAGE = 1 << 3,  /* to acknowledge alerts and to silence them */
    GRPC_SCOPE_ALL = 15,
};

#define GRPC_WHO_BYTES 64

struct grpc_access;

/* NULL with `err`: unreadable, open to others, or a line that is none ("grpc.token_file: x:3:
 * ..."). */
MUST_USE struct grpc_access *grpc_access_read(const char *path, struct error *err);
void grpc_access_free(struct grpc_access *access);
DEFINE_AUTO(grpc_access, grpc_access_free);

/* The scope that a method ("/netscope.v1.FlowService/GetFlow") needs. */
enum grpc_scope grpc_scope_of(const char *path);
/* "packets" */
const char *grpc_scope_name(enum grpc_scope scope);
/* RPC_OK with the token's name in `who`; RPC_UNAUTHENTICATED: no such token; RPC_PERMISSION_DENIED:
 * it lacks the scope. `token` need not end with a NUL; NULL: none was given. Constant time over the
 * tokens' bytes. */
enum rpc_status grpc_access_check(const struct grpc_access *access, const char *token,
                                  size_t length, enum grpc_scope scope, char who[GRPC_WHO_BYTES],
                                  struct error *reason);
