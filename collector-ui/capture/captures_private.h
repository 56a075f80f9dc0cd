/* What the files of capture share. Private to collector-ui/capture. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "collector-ui/capture/captures.h"

/* A capture that runs. */
struct captures_entry {
    struct captures_entry *next;
    char id[CAPTURES_COMMAND_BYTES]; /* also of its command */
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    char who[INGEST_REQUESTER_BYTES], peer[RPC_PEER_BYTES];
    const char *what;
    struct captures_reader reader;
    struct rpc_call *upload; /* a reference; NULL: not yet */
    bool has_begun;
    bool is_paused; /* the next piece has not been asked for */
    bool is_cancelled;
    uint64_t bytes;
};

struct captures {
    const struct captures_settings *settings;
    struct captures_parts parts;
    struct rpc_method method;
    struct captures_entry *list;
    bool is_stopping;
    atomic_uint_fast64_t running, started, refused, failed, ended, packets, bytes, dropped;
    struct captures_link *link; /* the way back from timers and posts */
};

/* captures.c */

/* By its id; NULL: it is over. */
struct captures_entry *captures_find(struct captures *captures, const char *id);
/* The sensor captures: told once. */
void captures_begin(struct captures *captures, struct captures_entry *entry);
/* Tells the reader and forgets the entry. */
void captures_finish(struct captures *captures, struct captures_entry *entry,
                     const struct captures_end *end);
void captures_fail(struct captures *captures, struct captures_entry *entry, enum rpc_status status,
                   const char *reason, const char *message);

/* captures_upload.c */
void captures_upload_methods(struct captures *captures);
/* Its upload, if there is one, is ended with this status and belongs to nobody any more. */
void captures_upload_end(struct captures_entry *entry, enum rpc_status status, const char *message);
