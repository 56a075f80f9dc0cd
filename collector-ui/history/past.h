/* What is older than the day files, fetched from a store that keeps more (ClickHouse): rows of a
 * range in a file of the same form, which is read with the others and kept for a minute, for the
 * questions that follow.
 *
 * A record that a day file has too is left out of it, so nothing counts twice, but for one that
 * comes into a day file while a question reads: sums may have it twice this time, pages of records
 * have it once. One file is fetched at a time; who wants the same waits for it. Depends on:
 * history.h, day_file.h. Threads: query threads, but for past_forget (any). */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define PAST_FILE      1 /* its number among day files: the oldest of all */
#define PAST_FILES_MAX 4

struct history;
struct history_reader;

/* What is asked for; a question with the same key has the same rows. */
struct past_key {
    uint64_t from_ns, until_ns, before_ns;
    char *condition; /* owned */
};

struct past_file {
    struct past_key key;
    char path[4096];     /* "": there are no rows */
    uint64_t generation; /* of the day files that it leaves rows out for */
    uint64_t used_ns;    /* monotonic; the last time */
    uint32_t users;
    uint64_t rows, from_ns; /* as struct history_cost tells them */
    bool has_failed;
    char reason[300];
};

struct past {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct past_file *files[PAST_FILES_MAX];
    uint64_t generation, serial;
    bool is_loading;
};

void past_init(struct history *h);
void past_clean(struct history *h); /* of what an earlier life left */
void past_fini(struct history *h);
/* A day file goes, and what was left out for it is fetched anew; or old records have come into one,
 * which may be among what was fetched. */
void past_forget(struct history *h);
/* Whether a question about records from this time on asks the other store. */
bool past_is_asked(struct history *h, uint64_t from_ns);

/* past_load.c: fills `file` (path, rows, from_ns, reason) by its key. 0, -ENOMEM or -ECANCELED;
 * what else went wrong is told in the file. */
MUST_USE int past_load(struct history_reader *reader, struct past_file *file);
