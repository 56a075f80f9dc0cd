/* Link types without a decoder: the log names each of them once, whichever shard meets it first.
 * Depends on: base, proto/record.h, capture, wire. Any thread. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "proto/record_identity.h"

#define UNREAD_LINKS_MAX 16 /* further ones are not told */

struct unread_links {                        /* all zero: none was met */
    _Atomic uint32_t told[UNREAD_LINKS_MAX]; /* link type + 1; 0: free */
};

/* A frame of `link_type` had no decoder, on `interface`. Nothing where it has one that the settings
 * switch off, and for links inside of others. */
void unread_links_tell(struct unread_links *links, uint16_t link_type,
                       struct record_text interface);
