/* What a capture on request is sent by: it reads the capture (pipeline/tap.h), sends what the
 * call's queue takes and waits for the rest, while the capture's own queues drop and count. Each
 * has a thread of its own, so that neither a name in a filter nor a slow reader keeps the rpc
 * thread.
 *
 * For grpc_capture.c (a client of the sensor) and collector_sink_capture.c (the collector).
 * Depends on: base, base/rpc, pipeline. Threads: as the functions say. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/rpc/rpc.h"
#include "sensor/pipeline/tap.h"

#define CAPTURE_WHO_BYTES 192

/* Captures that run, each with a thread of its own. */
struct capture_threads {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    uint32_t count;
};

void capture_threads_init(struct capture_threads *threads);
void capture_threads_fini(struct capture_threads *threads);
/* Runs `run(argument)` on a thread of its own, whose last step is capture_threads_leave. 0 or the
 * error's number. */
MUST_USE int capture_threads_start(struct capture_threads *threads, void *(*run)(void *argument),
                                   void *argument);
void capture_threads_leave(struct capture_threads *threads);
uint32_t capture_threads_count(struct capture_threads *threads); /* any thread */
void capture_threads_join(struct capture_threads *threads);      /* waits for all */

struct capture_pump {
    struct tap *tap;       /* owned */
    struct rpc_call *call; /* NULL: none yet */
    char who[CAPTURE_WHO_BYTES], peer[RPC_PEER_BYTES];
    const char *what; /* the audit's name of the call */
    uint8_t *room;    /* TAP_ROOM_BYTES */
    uint64_t started_ns;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_writable, is_call_over;
};

/* A message around a piece of the file. */
typedef struct rpc_bytes capture_message(void *context, const uint8_t *chunk, size_t length);

/* Takes `tap` over, unless it fails (no memory). `pump` is zeroed. */
MUST_USE bool capture_pump_init(struct capture_pump *pump, struct tap *tap);
void capture_pump_fini(struct capture_pump *pump);

/* What a failure to begin is called, by the code of pipeline_tap_new and tap_start. */
struct capture_refusal {
    enum rpc_status status;
    const char *reason, *field; /* field NULL: of none */
};
struct capture_refusal capture_refusal_of(int code);

/* ---- the call's thread ---- */

void capture_pump_writable(struct capture_pump *pump);
void capture_pump_call_over(struct capture_pump *pump);
/* Lets no more packets in; what waits is still sent. `reason` lives for ever. Any thread. */
void capture_pump_stop(struct capture_pump *pump, const char *reason);

/* ---- the capture's thread ---- */

/* Takes the bytes over. False: the call is over, or its reader takes nothing any more. */
MUST_USE bool capture_pump_send(struct capture_pump *pump, struct rpc_bytes bytes);
/* All packets until the capture is over. False: the reader did not get all of it. */
MUST_USE bool capture_pump_run(struct capture_pump *pump, capture_message *message, void *context);
/* Until the call is over; one whose peer says nothing is cancelled. */
void capture_pump_await_call(struct capture_pump *pump);
/* The capture gives its place up. */
void capture_pump_close(struct capture_pump *pump);

/* ---- the audit; any thread ---- */

void capture_pump_note_start(const struct capture_pump *pump);
/* Before the reader has the summary: who has that finds the line. */
void capture_pump_note_end(const struct capture_pump *pump, const struct tap_counts *counts,
                           const char *reason);
/* A storm of them is cut. */
void capture_note_refusal(const char *who, const char *peer, const char *what, const char *why);
