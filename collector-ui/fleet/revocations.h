/* Whose credentials count no more: names of sensors, or of what several share ("node-*"), since
 * when, by whom and why; in a file, so that a restart lets nobody in again.
 *
 * A name here is compared as it is: whether a certificate was made later, and so counts, is for
 * ingest to say. Depends on: base, proto. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/ingest_message.h"

#define REVOCATIONS_MAX         4096
#define REVOCATION_REASON_BYTES 257
#define REVOCATION_BY_BYTES     128

struct revocation {
    char name[INGEST_SENSOR_ID_BYTES];    /* without spaces and control characters */
    uint64_t time_ns;                     /* wall clock */
    char by[REVOCATION_BY_BYTES];         /* UTF-8; control characters become spaces */
    char reason[REVOCATION_REASON_BYTES]; /* likewise */
};

struct revocations;

/* Reads the file at `path`, if there is one. NULL with `err`: it cannot be read, or is damaged:
 * then nobody knows who must not come in. */
MUST_USE struct revocations *revocations_open(const char *path, struct error *err);
void revocations_free(struct revocations *revocations); /* NULL is allowed */
DEFINE_AUTO(revocations, revocations_free);

/* On the disk when this returns 0; one of the same name is replaced. -ENOSPC: there are
 * REVOCATIONS_MAX; else -errno: it was not written, and nothing has changed. */
MUST_USE int revocations_add(struct revocations *revocations, const struct revocation *one,
                             struct error *err);
/* The same, to take one away; *was is what it was. -ENOENT: there is none. */
MUST_USE int revocations_remove(struct revocations *revocations, const char *name,
                                struct revocation *was, struct error *err);
/* False: this name is not revoked. `out` may be NULL. */
bool revocations_find(struct revocations *revocations, const char *name, struct revocation *out);
/* All, by name, malloc'ed; NULL with *count 0: there are none, or no memory. */
MUST_USE struct revocation *revocations_list(struct revocations *revocations, uint32_t *count);
