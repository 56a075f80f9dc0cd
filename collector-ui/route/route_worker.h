/* A router and its receivers at work: what route.c, which has the queue, and route_worker.c, which
 * delivers, share. Nobody else includes it. Depends on: base, proto. Threads: a worker each; what
 * the router's lock guards is said below. */
#pragma once

#include <pthread.h>

#include "base/spool/spool_log.h"
#include "collector-ui/route/route_internal.h"

#define ROUTE_PATH_BYTES 4096

/* A receiver at work. What is counted belongs to the router's lock. */
struct route_worker {
    struct router *router;
    struct route_receiver receiver;
    struct route_told_list told;
    char told_path[ROUTE_PATH_BYTES];
    int cursor;
    pthread_t thread;
    bool has_thread;
    unsigned failures; /* tries in a row */
    struct route_counts counts;
    uint64_t waited;        /* records in the queue at the start */
    uint64_t repeat_at_ns;  /* monotonic: when it is looked again for what is due */
    uint64_t held_revision; /* of triage, when it was looked last for silences that have ended */
};

struct router {
    const struct route_settings *settings;
    const struct route_triage *triage; /* NULL: nobody says anything */
    struct spool_log *queue;
    pthread_mutex_t lock; /* of the queue and of all counts */
    pthread_cond_t changed;
    atomic_uint_fast64_t deadline_ns; /* monotonic; 0: it runs */
    uint64_t kept_ns;                 /* when the queue's state was written last */
    uint64_t offered;                 /* records since the start */
    uint64_t unqueued;                /* of them: the queue did not take them */
    struct route_incidents incidents; /* that are open */
    struct arena *arena;              /* to read records, of the caller's thread */
    struct alert_record *alert;
    struct route_worker workers[ROUTE_RECEIVERS_MAX];
    uint32_t count;
};

/* The thread of a worker: delivers until the end, and for a grace after that. */
void *route_worker_run(void *worker);

/* ---- route.c ---- */

bool router_is_stopping(struct router *router);
/* With the lock: waits, at most `ns`, for an alert or the end. */
void router_wait(struct router *router, uint64_t ns);
/* With the lock, once a second, by whoever comes first: what arrived is written down, and the queue
 * kept within its bound. */
void router_keep(struct router *router);
/* The disk takes something not. */
void router_complain(const struct error *err);
