/* A gRPC server without a pipeline, fed through its sink, and a client that keeps what it gets. */
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
#include "base/wire_format.h"
#include "proto/codec.h"
#include "sensor/export/grpc_server.h"

#define FIXTURE_SENSOR "test-sensor"
#define FIXTURE_BOOT   "00112233445566778899aabbccddeeff"

struct grpc_fixture {
    bool expects_holes; /* of readings started from now on: their filter leaves records out */
    struct rpc_runtime *runtime;
    struct grpc_server *server;
    struct rpc_channel *channel;
    struct batch_pool *pool;
    struct sink sink;
    uint64_t seq[RECORD_STREAM_COUNT];
    uint32_t busy; /* offers that found no room */
};

/* `change` may alter the settings; NULL: the defaults with port 0. */
void grpc_fixture_open(struct grpc_fixture *fixture, void (*change)(struct grpc_settings *));
/* Likewise, and DnsService answers. */
void grpc_fixture_open_dns(struct grpc_fixture *fixture);
void grpc_fixture_close(struct grpc_fixture *fixture);
/* Publishes `count` flow records with the next numbers; server port = 1000 + seq % 100, `padding`
 * bytes of server name. Waits where the inbox is full. */
void grpc_fixture_flows(struct grpc_fixture *fixture, uint32_t count, uint32_t padding);
/* One batch of at most 64 flows; `skipped` numbers are missing after the first `before`. */
void grpc_fixture_flows_with_hole(struct grpc_fixture *fixture, uint32_t count, uint32_t before,
                                  uint32_t skipped);
void grpc_fixture_alert(struct grpc_fixture *fixture, const struct alert_record *alert);
/* Questions 0.example.com, 1.example.com, ... of type A from 10.0.0.1, the odd ones NXDOMAIN. */
void grpc_fixture_dns(struct grpc_fixture *fixture, uint32_t count);
/* Skips numbers, as where the publisher's queue has dropped batches. */
void grpc_fixture_skip(struct grpc_fixture *fixture, enum record_stream stream, uint64_t count);
/* Until the rpc thread has taken all. */
void grpc_fixture_settle(struct grpc_fixture *fixture);

/* What a stream of flows has delivered. */
struct grpc_reading {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t records, messages, first_seq, last_seq, most_in_message;
    uint64_t order_faults; /* a record or notice that does not follow the one before it */
    uint64_t lost, notices, heartbeats;
    char reason[32];
    size_t record_bytes; /* of the last record */
    uint8_t record[4096];
    size_t answer_bytes; /* of the last message, as for unary calls */
    uint8_t answer[65536];
    bool is_done, expects_holes;
    enum rpc_status status;
    char message[512];
    uint8_t details[1024];
    size_t details_bytes;
    struct rpc_call *call;
};

struct grpc_reading *grpc_reading_start(struct grpc_fixture *fixture, const char *path,
                                        const void *request, size_t length, bool is_manual);
void grpc_reading_wait(struct grpc_reading *reading, uint64_t records_and_lost);
void grpc_reading_wait_done(struct grpc_reading *reading);
void grpc_reading_free(struct grpc_reading *reading); /* cancels what still runs */
