/* A store for tests of ingest: keeps nothing but counts, optionally waits or fails.
 *
 * Its position is always 0, so the log is never deleted and is read whole at each start: a test can
 * scan it. Depends on: collector-ui/ingest. Threads: any. */
#pragma once

#include <stdatomic.h>

#include "collector-ui/ingest/ingest.h"

struct ingest_store {
    _Atomic uint64_t by_stream[RECORD_STREAM_COUNT]; /* records */
    _Atomic uint64_t batches, records, gaps, gap_records, stats;
    _Atomic uint64_t received, duplicate, lost;
    _Atomic uint64_t connected, disconnected, goodbyes, clocks;
    _Atomic uint64_t wait_ns; /* each batch takes this long */
    atomic_bool refuses;
    atomic_bool refuses_sensors;
    const char *wanted_hash; /* of settings; who says hello with it is counted; NULL: nobody */
    _Atomic uint64_t wanted_hellos;
};

/* All functions of `store`, which must outlive them. */
struct ingest_events ingest_store_events(struct ingest_store *store);
