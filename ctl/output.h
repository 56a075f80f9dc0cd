/* Where results go: standard output or a file, in large pieces; and what is told beside them, on
 * standard error.
 *
 * A reader that has gone (| head) ends the output without an error: output_is_open turns false, and
 * whoever fills it stops. Depends on: base. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attributes.h"
#include "base/error.h"

struct output {
    int fd;
    bool is_owned;   /* a file that output_close closes */
    bool has_colour; /* texts for people may be coloured */
    bool is_closed;  /* nobody reads any more, or a stop was wanted while nobody did */
    struct error failure;
    size_t length;
    char bytes[1 << 16];
};

/* To standard output. `colour`: "auto" (a terminal, and no NO_COLOR), "always", "never". */
void output_standard(struct output *output, const char *colour);
/* To a new file at `path`, which may be there; "-" is standard output. -errno with `err`. */
MUST_USE int output_file(struct output *output, const char *path, struct error *err);

void output_write(struct output *output, const void *bytes, size_t length);
void output_flush(struct output *output);
bool output_is_open(const struct output *output);
/* Columns of the terminal that it is; 0: it is none, and lines may be of any length. */
unsigned output_width(const struct output *output);
/* What has not gone out goes. 0, or -errno with `err`: the disk is full. A reader that has gone is
 * no error. */
MUST_USE int output_close(struct output *output, struct error *err);

/* "netscopectl: " and a sentence on standard error; what a terminal would obey is escaped. */
void tell(const char *format, ...) PRINTF_LIKE(1, 2);
