/* One server and the calls to it, as a program without callbacks wants them: ask and wait.
 *
 * Depends on: base, base/rpc, base/service. Threads: main; what the rpc thread receives is handed
 * over one message at a time, so a slow terminal slows the server and fills no memory here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/rpc/rpc.h"
#include "ctl/command.h"
#include "ctl/message.h"
#include "ctl/output.h"
#include "ctl/stop.h"

#define CONNECTION_TARGET_BYTES 256
#define CONNECTION_TOKEN_BYTES  4096
#define CONNECTION_METHODS_MAX  16

/* Of this machine: a collector with its default settings, then a sensor. */
#define CONNECTION_DEFAULTS 2
extern const char *const connection_defaults[CONNECTION_DEFAULTS];

enum server_kind { SERVER_UNKNOWN, SERVER_COLLECTOR, SERVER_SENSOR };

struct connection {
    struct rpc_runtime *runtime;
    struct rpc_channel *channel;
    struct rpc_method methods[CONNECTION_METHODS_MAX]; /* that were called; calls borrow them */
    unsigned methods_count;
    uint64_t timeout_ns;
    char target[CONNECTION_TARGET_BYTES];
    char token[CONNECTION_TOKEN_BYTES]; /* "": none */
    bool is_tls;
    bool has_certificate; /* to show */
    bool is_explaining;   /* what a server lacks: its own questions are not explained */
    bool is_chosen;       /* of the addresses of this machine: nobody named it */
};

/* Whether calls to `server` go by TLS with these settings. */
bool connection_wants_tls(const struct ctl_settings *settings, const char *server);
/* The token of the settings in `out`, "" without one. 0 or -errno. */
MUST_USE int connection_token(const struct ctl_settings *settings, char out[CONNECTION_TOKEN_BYTES],
                              struct error *err);
/* Where nobody has named a server, the first address of this machine where one answers is taken and
 * told on standard error. CTL_OK; connection_close after both. Lets the signals of stop.h in. */
MUST_USE enum ctl_exit connection_open(struct connection *connection,
                                       const struct ctl_settings *settings, struct error *err);
void connection_close(struct connection *connection);

/* ---- calls ---- */

struct call;

enum call_event {
    CALL_MESSAGE,
    CALL_ENDED,   /* `call_end` tells how */
    CALL_STOPPED, /* by a signal */
};

/* One request, any number of answers. `path` is static. NULL with `err` set. */
MUST_USE struct call *call_new(struct connection *connection, const char *path,
                               const uint8_t *request, size_t length, struct error *err);
/* Ends it if it has not ended. NULL is allowed. */
void call_free(struct call *call);
DEFINE_AUTO(call, call_free);
/* The next answer, borrowed until the next call. `patience_ns` without one, and the call is ended
 * with DEADLINE_EXCEEDED; 0: no bound. */
enum call_event call_next(struct call *call, uint64_t patience_ns, const uint8_t **bytes,
                          size_t *length);
/* After CALL_ENDED. CTL_OK, or what to exit with and a sentence in `err` that names the server and
 * what to do. */
enum ctl_exit call_end(const struct call *call, struct error *err);
enum rpc_status call_status(const struct call *call);

/* A question with one answer, which the caller frees. */
struct answer {
    uint8_t *bytes;
    size_t length;
    enum rpc_status status;
};
MUST_USE enum ctl_exit ask(struct connection *connection, const char *path, const uint8_t *request,
                           size_t length, struct answer *answer, struct error *err);

/* Calls `take` for each answer until the last, a signal, or the end of `out`. Without `is_endless`
 * an answer must come within the time-out, and a signal is CTL_INTERRUPTED. */
MUST_USE enum ctl_exit
each_message(struct connection *connection, const char *path, const struct request *request,
             const struct output *out, bool is_endless,
             void (*take)(void *context, const uint8_t *bytes, size_t length), void *context,
             struct error *err);

/* grpc.health.v1.Health/Check of `service` ("": the server). CTL_OK with *state 1 (serving), 2 (not
 * serving), or 0 when it does not know the service. */
MUST_USE enum ctl_exit connection_health(struct connection *connection, const char *service,
                                         unsigned *state, struct error *err);
/* By the services that it has. */
MUST_USE enum ctl_exit connection_kind(struct connection *connection, enum server_kind *kind,
                                       struct error *err);

/* CTL_OK, or CTL_FAILED with "... is a sensor: `what` are asked of a collector". */
MUST_USE enum ctl_exit connection_needs_collector(struct connection *connection, const char *what,
                                                  struct error *err);

/* CTL_OK, or CTL_FAILED with "... is a collector: ...". */
MUST_USE enum ctl_exit connection_needs_sensor(struct connection *connection, struct error *err);

/* The server does not know `path`, as its `message` says: which program it is, of which version,
 * beside this one's, in `err`. CTL_FAILED. */
enum ctl_exit explain_missing(struct connection *connection, const char *path, const char *message,
                              struct error *err);

/* What to exit with when a call ended with `status`; the sentence in `err`. */
enum ctl_exit explain(const struct connection *connection, enum rpc_status status,
                      const char *message, struct error *err);
