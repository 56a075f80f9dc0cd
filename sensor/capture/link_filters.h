/* A filter text compiled once for each link type that is met: interfaces of one file, and files of
 * one capture, may differ.
 *
 * Depends on: libpcap. Threads: one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/wire/frame.h"

struct bpf_program;
struct link_filters;

/* NULL with `err`: ENOMEM. `text` NULL or "": everything passes. It is copied. */
MUST_USE struct link_filters *link_filters_new(const char *text, struct error *err);
void link_filters_free(struct link_filters *filters); /* NULL is allowed */

/* The program for `link_type`, borrowed for the life of `filters`; NULL: everything passes. -EINVAL
 * with libpcap's words when the text does not compile for it: a filter that cannot be asked is no
 * filter that says no. */
MUST_USE int link_filters_program(struct link_filters *filters, uint16_t link_type,
                                  const struct bpf_program **out, struct error *err);

/* The same of what has been compiled, by any thread as long as nobody compiles; false: this link
 * type was not asked for before, or the text does not compile for it. */
MUST_USE bool link_filters_find(const struct link_filters *filters, uint16_t link_type,
                                const struct bpf_program **out);

/* `program` NULL: true. */
MUST_USE bool link_filter_passes(const struct bpf_program *program, const struct frame *frame);
