/* A server with test methods and a client that records, in one process. */
#pragma once

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rpc/rpc.h"

/* What a client's call has seen. */
struct outcome {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned messages;
    size_t bytes;
    char last[8192];
    size_t last_bytes;
    bool is_done;
    enum rpc_status status;
    char message[512];
    char details[64];
    size_t details_bytes;
    unsigned writable;
};

struct outcome *outcome_new(void);
void outcome_free(struct outcome *outcome);
/* Fails the test after ten seconds. */
void outcome_wait_done(struct outcome *outcome);
void outcome_wait_messages(struct outcome *outcome, unsigned count);

/* Callbacks that fill the outcome in the call's user data. */
#define RECORDING_CALLBACKS                                                                        \
    .on_message = record_message, .on_writable = record_writable, .on_done = record_done
void record_message(struct rpc_call *call, const uint8_t *bytes, size_t length);
void record_writable(struct rpc_call *call);
void record_done(struct rpc_call *call, const struct rpc_result *result);

/* Server and channel over a free port of the loopback. */
struct fixture {
    struct rpc_runtime *runtime;
    struct rpc_server *server;
    struct rpc_channel *channel;
    char target[64];
    int port;
};

/* Events on the server's side. */
extern atomic_uint server_started, server_done, server_cancelled, server_drained;
extern atomic_uint flood_accepted, flood_refused, flood_dropped, flood_writable;

extern const struct rpc_method echo_methods[];
extern const size_t echo_methods_count;

void fixture_open(struct fixture *fixture, const struct rpc_server_options *options,
                  const struct rpc_server_tls *tls);
void fixture_close(struct fixture *fixture);
/* One unary call of `path`; fills `outcome` and returns its status. */
enum rpc_status fixture_unary(struct rpc_channel *channel, const char *path, const void *request,
                              size_t length, const struct rpc_call_options *options,
                              struct outcome *outcome);
void wait_until_above(atomic_uint *value, unsigned above);
