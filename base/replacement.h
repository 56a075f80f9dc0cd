/* A small file that is replaced as a whole: who reads it, also after the program was killed amid
 * the writing, finds all of the old one or all of the new one. Depends on: attributes. One writer a
 * path at a time; any thread. */
#pragma once

#include <stdio.h>

#include "base/attributes.h"

#define REPLACEMENT_PATH_BYTES 4224

struct replacement {
    FILE *file; /* what to write to; an error of it is found at the end */
    char path[REPLACEMENT_PATH_BYTES];
    char fresh[REPLACEMENT_PATH_BYTES]; /* path.new, until it takes the place */
};

enum replacement_sync {
    REPLACEMENT_QUICK, /* a power cut may leave the old one, or an empty one */
    REPLACEMENT_SYNCED /* it is on the disk, under its name, when this returns */
};

/* Makes `path`.new for writing, with `mode` less the umask. 0 or -errno, with nothing left open. */
MUST_USE int replacement_begin(struct replacement *replacement, const char *path, unsigned mode);
/* Puts it in the place of the old one; where anything of it failed, the old one stays and the new
 * one is removed. 0 or -errno of what failed first. */
MUST_USE int replacement_end(struct replacement *replacement, enum replacement_sync sync);
/* In place of the end: the old one stays. */
void replacement_drop(struct replacement *replacement);
