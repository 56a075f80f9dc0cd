/* The file of a capture that the collector keeps, written as it comes. Private to ctl/captures.
 *
 * Depends on: ctl. Threads: main. */
#pragma once

#include <stdbool.h>

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/command.h"
#include "ctl/connection.h"

/* A terminal shall get no packets: -EINVAL with `err` where standard output is one and there is no
 * -w. */
MUST_USE int capture_file_check(const struct ctl *ctl, struct error *err);
/* Writes it to -w, or standard output. `is_followed`: until the capture is over, else as far as it
 * has come. CTL_FAILED with `err` where it is not whole. */
MUST_USE enum ctl_exit capture_file_write(struct ctl *ctl, struct connection *connection,
                                          const char *capture_id, bool is_followed,
                                          struct error *err);
