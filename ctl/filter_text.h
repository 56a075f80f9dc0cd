/* The filter of the command line: what is wrong is shown where it stands. Depends on: proto/filter.
 */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/output.h"
#include "proto/filter/filter.h"

/* `text` NULL: all pass. NULL with `err` set, and a mark below the fault on standard error. */
MUST_USE struct filter *filter_read(const char *text, struct error *err);
/* How it was understood, as a line. */
void filter_print(const struct filter *filter, struct output *out);
