/* Captures that somebody here asks a sensor for: who asked, how they stand, and who reads them.
 *
 * The sensor is told on its stream (ingest.proto, Command), answers there, and sends the file by
 * IngestService.UploadCapture, which is served here. One piece is asked for when its reader has
 * taken the one before, so memory is bounded by the window of the connection; what a sensor has to
 * drop meanwhile it counts in the summary. Depends on: base, base/config, base/rpc, base/service,
 * proto. Threads: the one rpc thread, also for all it calls; what says "any thread" is for others.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"
#include "base/rpc/rpc.h"
#include "proto/ingest_message.h"

struct captures_settings {
    uint64_t at_once;
    uint64_t sensors_max, readers_max;                   /* of capture_files.h, as the next ones */
    uint64_t file_bytes, total_bytes, files_max, age_ns; /* of capture_files.h */
    uint64_t alert_margin_ns; /* of the packets of an alert, before it and after */
    uint64_t answer_ns;       /* a sensor that has not answered by then is not waited for */
};

extern const struct config_field captures_fields[];

struct captures_parts {
    struct rpc_runtime *runtime; /* with one queue */
    /* Sends the command on the stream of the sensor. 0, -ENOTCONN, -EPROTONOSUPPORT (it does not
     * say that it can capture), -EAGAIN (its queue is full). */
    int (*send)(void *context, const char *sensor_id, const struct ingest_command *command);
    /* RPC_OK: the call is made by this sensor. */
    enum rpc_status (*bind)(void *context, struct rpc_call *call, const char *sensor_id,
                            struct error *reason);
    void *context;
};

struct captures;

/* `settings` is borrowed. NULL: no memory. */
MUST_USE struct captures *captures_new(const struct captures_settings *settings,
                                       const struct captures_parts *parts, struct error *err);
/* Adds UploadCapture to the server of ingest, before its start. */
MUST_USE int captures_add(struct captures *captures, struct rpc_server *server, struct error *err);
/* Ends all that run and takes none any more, on the rpc thread; waits for that. */
void captures_stop(struct captures *captures);
void captures_free(struct captures *captures); /* when the runtime is gone; NULL is allowed */
DEFINE_AUTO(captures, captures_free);

/* ---- who asks ---- */

#define CAPTURES_ID_BYTES      33
#define CAPTURES_COMMAND_BYTES 48 /* of one sensor in a capture: an id with what is behind it */

struct captures_request {
    const char *command_id; /* NULL: a random one */
    const char *sensor_id;
    const struct ingest_capture_order *order; /* with the requester */
    const char *peer, *what;                  /* for the audit; `what` lives for ever */
};

/* How a capture ended. Borrowed for the call. */
struct captures_end {
    enum rpc_status status;               /* RPC_OK: the summary says how */
    const char *reason, *message, *field; /* else; field NULL: of none */
    struct ingest_capture_summary summary;
};

struct captures_reader {
    void (*begun)(void *context); /* the sensor captures */
    /* The next piece of the file. False: the next one when captures_read_on says so. */
    bool (*chunk)(void *context, const uint8_t *bytes, size_t length);
    void (*over)(void *context, const struct captures_end *end); /* once, the last */
    void *context;
};

/* 0 with `id`; else -errno with `err`, and the reader is not called: as send of captures_parts,
 * -EBUSY (captures.at_once run), -ESHUTDOWN, -ENOMEM. */
MUST_USE int captures_start(struct captures *captures, const struct captures_request *request,
                            const struct captures_reader *reader, char id[CAPTURES_COMMAND_BYTES],
                            struct error *err);
/* What is unknown is over: nothing happens. */
void captures_read_on(struct captures *captures, const char *id);
/* The sensor is told to end it in order: the reader gets the rest and the summary. */
void captures_cancel(struct captures *captures, const char *id);
/* The reader is gone and is not called any more. */
void captures_leave(struct captures *captures, const char *id);
/* Ends it now: the reader is told that it failed, and why. */
void captures_drop(struct captures *captures, const char *id, const char *why);
/* The same on the rpc thread, soon; any thread. */
void captures_read_on_soon(struct captures *captures, const char *id);
void captures_cancel_soon(struct captures *captures, const char *id);
void captures_drop_soon(struct captures *captures, const char *id);

/* ---- what sensors say ---- */

void captures_result(struct captures *captures, const char *sensor_id,
                     const struct ingest_command_result *result);
/* Its stream has ended. Any thread, with any lock. */
void captures_disconnected(struct captures *captures, const char *sensor_id);

struct captures_counts {
    uint64_t running, started, refused, failed, ended; /* started = failed + ended + running */
    uint64_t packets, bytes, dropped;                  /* dropped: packets, by sensors */
};
void captures_counts_read(struct captures *captures, struct captures_counts *out); /* any thread */
