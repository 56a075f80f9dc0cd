/* The processes of this sensor whose records a collector may still lack: what each numbered, as far
 * as is known, and what of it the collector has.
 *
 * Records of an earlier process stay in the spool under its boot_id. This list tells where its
 * streams end, so that what was lost behind the last record that is left can be told as well. Kept
 * in a small text file beside the spool. Depends on: base, proto. One list, one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/ingest_message.h"

#define COLLECTOR_BOOTS_MAX 64
#define COLLECTOR_LANES     (RECORD_STREAM_COUNT - 1)

/* One stream of one process. */
struct collector_course {
    uint64_t last_seq;    /* highest that it numbered, as far as is known */
    uint64_t durable_seq; /* the collector has all up to here, as it says */
    uint64_t acked_seq;   /* the highest it ever said */
    uint64_t sent_seq;    /* sent or told on this connection */
    uint64_t highest_seq; /* ever sent or told by this process */
};

struct collector_boot {
    char boot_id[INGEST_BOOT_ID_BYTES];
    struct collector_course lanes[COLLECTOR_LANES]; /* by stream - 1 */
    bool has_moved; /* some of acked_seq may be with another collector (Redirect) */
};

struct collector_boots {
    struct collector_boot at[COLLECTOR_BOOTS_MAX]; /* oldest first; the last is this process */
    uint32_t count;
};

/* The list in `path`, in the order of its lines; a file that is missing or not ours is an empty
 * one. */
void collector_boots_load(struct collector_boots *boots, const char *path);
/* Replaces the file as a whole; boots of which the collector has all are left out. What is
 * acknowledged is kept for those that have moved: only a collector knows it else. 0 or -errno. */
MUST_USE int collector_boots_save(const struct collector_boots *boots, const char *path,
                                  struct error *err);
/* Its place in the list or -1. */
int collector_boots_find(const struct collector_boots *boots, const char *boot_id);
/* The same, put at the end when it is not there; with `is_before_last` before the last one. Of more
 * than COLLECTOR_BOOTS_MAX the oldest goes. Places found before move. */
uint32_t collector_boots_add(struct collector_boots *boots, const char *boot_id,
                             bool is_before_last);
/* True when the collector has all that is known of it. */
bool collector_boot_is_done(const struct collector_boot *boot);
