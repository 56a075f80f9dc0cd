/* What the detectors have learnt, in a small file of the state directory, so that a restart does
 * not learn anew.
 *
 * A thread of its own asks each `interval_ns` for it and writes the file; whoever owns the
 * detection answers between two seconds, into memory, and waits for no disk. A file that is
 * damaged, foreign or of a later version is told, counted and gets the name PATH.refused. Depends
 * on: base. Threads: as said at each function. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/counter.h"
#include "base/error.h"
#include "detection/detection.h"

struct learnt_file;

struct learnt_file_settings {
    const char *path;     /* borrowed for life */
    uint64_t interval_ns; /* between two writings */
    uint64_t max_age_ns;  /* an older file is not used; 0: any age */
};

/* One writer each, any reader. */
struct learnt_file_counts {
    struct counter saved, failed;  /* writings */
    struct counter refused;        /* files that were set aside */
    struct counter subjects;       /* read at the start */
    struct counter left_out;       /* subjects that the last writing had no room for */
    struct counter bytes;          /* of the last writing */
    struct counter saved_wall_sec; /* when that was; 0: not so far */
};

/* Reads what is there and gives it to `detection`, which has decided nothing so far and keeps what
 * it learns. Logs what became of it: a file that is of no use stops nobody. Main. NULL with `err`:
 * no memory. */
MUST_USE struct learnt_file *learnt_file_open(const struct learnt_file_settings *settings,
                                              struct detection *detection, struct error *err);
MUST_USE int learnt_file_start(struct learnt_file *file, struct error *err);
/* Between two seconds: O(1) where nothing was asked for. The thread that owns `detection`. */
void learnt_file_offer(struct learnt_file *file, struct detection *detection);
/* Ends the thread and writes for the last time, waiting for the disk. When nobody else uses
 * `detection` any more. */
void learnt_file_end(struct learnt_file *file, struct detection *detection);
void learnt_file_free(struct learnt_file *file); /* NULL is allowed; after _end, where started */
DEFINE_AUTO(learnt_file, learnt_file_free);
/* Any thread. */
const struct learnt_file_counts *learnt_file_counts_of(const struct learnt_file *file);
