/* What the files of the dialed sensors share. Private to collector-ui/ingest/dial_*.c. */
#pragma once

#include <pthread.h>

#include "collector-ui/ingest/dial_source.h"
#include "collector-ui/ingest/ingest_dial.h"
#include "proto/observe_message.h"

#define DIAL_COMPONENT   "dial"
#define DIAL_STREAMS_MAX 3
#define DIAL_CALLS_MAX   (1 + DIAL_STREAMS_MAX) /* GetInfo is the first */
#define DIAL_TOKEN_BYTES 4097
#define DIAL_TEXTS       7

struct dial;

/* One call of a dial. What the rpc thread brings belongs to the source's lock. */
struct dial_call {
    struct dial *dial;
    struct rpc_method method;
    struct rpc_call *call; /* NULL: none under way */
    enum record_stream stream;
    bool is_held; /* the next message has not been asked for */
    /* With the lock: */
    uint8_t *message; /* NULL: none; never a second, as each is asked for */
    size_t length;
    bool is_over;
    enum rpc_status status;
    uint64_t retry_ns;
    char reason[300];
};

/* A sensor that is dialed. The thread's, but for what is said of its calls and `counts`. */
struct dial {
    struct dial_source *source;
    struct dial *next;
    struct dial_settings settings; /* with texts of its own */
    char *texts[DIAL_TEXTS];
    enum record_stream streams[DIAL_STREAMS_MAX];
    uint32_t streams_count;
    struct rpc_channel *channel;
    struct ingest_dial *way;
    struct dial_call calls[DIAL_CALLS_MAX];
    enum dial_state state;
    enum dial_state next_state; /* behind DIAL_ENDING */
    struct observe_info info;
    bool has_info;
    bool is_leaving;  /* taken out of the settings, or replaced, or the collector stops */
    bool is_for_good; /* and nobody waits for the sensor */
    bool is_hidden;   /* with the lock: it leaves */
    uint64_t due_ns;  /* of the next attempt */
    uint64_t began_ns, backoff_ns;
    uint64_t heard_ns;
    char complaint[200]; /* why the streams are ended by us; "": they are not */
    enum rpc_status status;
    uint64_t retry_ns;
    char reason[300];
    char last_error[160];
    uint64_t error_logged_ns;
    struct dial_counts counts, shown; /* `shown`: with the lock */
};

struct dial_source {
    struct ingest *ingest;
    struct rpc_runtime *runtime;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct dial *dials; /* the list: changed by the thread alone, with the lock */
    /* With the lock: */
    struct dial *wanted; /* of dial_source_use, not taken up yet */
    bool has_wanted, has_news, is_stopping;
};

/* dial_settings.c */
/* The token of the file in `out` ("": there is no file). */
MUST_USE int dial_read_token(const char *name, const struct dial_settings *settings,
                             char out[DIAL_TOKEN_BYTES], struct error *err);
MUST_USE bool dial_stream_of(const char *name, enum record_stream *out);

/* dial_call.c */
/* Starts it with this request (taken). False with `err`. */
MUST_USE bool dial_call_start(struct dial_call *call, const char *path, const uint8_t *request,
                              size_t length, const char *bearer, uint64_t timeout_ns,
                              struct error *err);
/* Takes the message that has come; the caller frees it. NULL: none. */
uint8_t *dial_call_message(struct dial_call *call, size_t *length);
bool dial_call_is_over(struct dial_call *call);
/* With all that it held; it is over, or was never started. */
void dial_call_clear(struct dial_call *call);

/* dial_records.c */
/* A message of a stream: its records go to ingest. False: the dial's streams must end (complaint).
 */
MUST_USE bool dial_take_message(struct dial *dial, enum record_stream stream, const uint8_t *bytes,
                                size_t length);

/* dial_words.c */
/* What gRPC's words for the end mean here, with what to do. */
void dial_explain(const struct dial *dial, char *out, size_t room);
/* Says it once, and again when it changes or after a minute. */
void dial_tell(struct dial *dial, const char *what, const char *reason, uint64_t now_ns);

/* Says once that the sensor reports by another way. */
void dial_tell_passing(struct dial *dial);

/* dial_begin.c */
/* Asks who answers. */
void dial_ask(struct dial *dial, uint64_t now_ns);
void dial_take_info(struct dial *dial, const uint8_t *bytes, size_t length);
/* It has said who it is: its streams begin, or the dial ends. */
void dial_begin(struct dial *dial);

/* dial_sensor.c */
/* Nothing was begun: a file, the memory. */
void dial_postpone(struct dial *dial, const char *reason, uint64_t now_ns);
/* Calls that still run are cancelled; the rest follows when all are over. */
void dial_end(struct dial *dial);
/* NULL with `err`. */
MUST_USE struct dial *dial_new(struct dial_source *source, const char *name,
                               const struct dial_settings *settings, struct error *err);
bool dial_is_like(const struct dial *dial, const struct dial *other);
void dial_free(struct dial *dial); /* no call is under way; NULL is fine */
/* One turn: what has come, what is due. */
void dial_step(struct dial *dial, uint64_t now_ns);
/* Ends what runs; over when dial_is_idle. */
void dial_leave(struct dial *dial, bool is_for_good);
bool dial_is_idle(const struct dial *dial);
