/* When the certificates that settings name end: told in the log two weeks before it and each day
 * from then on, and always on /metrics. Files are read again each hour, since a new one is taken up
 * without a restart.
 *
 * Depends on: base, libcrypto. Threads: one adds and ticks, any writes the page. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/metrics.h"

#define CERTIFICATES_WATCHED_MAX 8

struct certificate_watch {
    struct watched_certificate {
        const char *key;         /* "collector.certificate" */
        char *path;              /* a copy: settings may be read again */
        _Atomic uint64_t ends_s; /* Unix time; 0: there is none that can be read */
        uint64_t told_ns;        /* monotonic; 0: not yet */
    } rows[CERTIFICATES_WATCHED_MAX];
    unsigned count;
    uint64_t due_ns;
};

void certificate_watch_init(struct certificate_watch *watch);
void certificate_watch_fini(struct certificate_watch *watch);
/* An empty or NULL `path` is none. `key` lives longer. Before the first tick. */
void certificate_watch_add(struct certificate_watch *watch, const char *key, const char *path);
/* Call it each second or so; `wall_ns` says what is over. */
void certificate_watch_tick(struct certificate_watch *watch, uint64_t wall_ns, uint64_t now_ns);
/* The family `name` with a label `setting`; nothing where no certificate was read. */
void certificate_watch_write(struct certificate_watch *watch, const char *name,
                             struct metrics_page *page);
