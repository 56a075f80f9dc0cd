/* One line on a terminal that tells how far the reading of files is: share, rates, time left.
 *
 * Depends on: base. Threads: all calls are safe from any thread. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PROGRESS_TEXT_BYTES 160

struct progress_facts {
    uint64_t bytes_done, bytes_total; /* of all files; total 0: unknown */
    uint64_t packets;
};

struct progress {
    FILE *out;
    pthread_mutex_t lock; /* of what follows */
    bool is_drawn;        /* the cursor stands behind the line */
    uint64_t begun_ns, then_ns;
    struct progress_facts then;
    double packets_per_second, bytes_per_second; /* smoothed over about two seconds */
};

/* `out` is a terminal (see progress_is_wanted) and borrowed. */
void progress_init(struct progress *progress, FILE *out, uint64_t now_ns);
void progress_fini(struct progress *progress);

/* True where a line that is drawn over again makes sense. */
bool progress_is_wanted(FILE *out);

/* Draws at most five times a second, and not in the first half second: short files need none. */
void progress_draw(struct progress *progress, const struct progress_facts *facts, uint64_t now_ns);
/* Before other text goes to the same terminal, and at the end. */
void progress_clear(struct progress *progress);

/* " 42 %  1.25 Mpackets/s  410 MB/s  0:12 left"; without a total "1.2 GB  ...". */
void progress_text(const struct progress *progress, const struct progress_facts *facts,
                   char out[PROGRESS_TEXT_BYTES]);
