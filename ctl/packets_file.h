/* Where packets go that come in pieces of a pcapng file: a file, or a pipe.
 *
 * The file is opened by the first piece, so a refusal leaves an older one as it was. Depends on:
 * ctl/output. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/command.h"
#include "ctl/output.h"
#include "proto/record.h"

struct packets_file {
    const char *path; /* "-": standard output */
    bool is_open;
    uint64_t bytes;
    struct error failure; /* of opening it */
};

/* -EINVAL with `err`: `path` (NULL: none) is standard output and that is a terminal. */
MUST_USE int packets_file_check(const char *path, struct error *err);
void packets_file_init(struct packets_file *file, const char *path);
/* Where it is written; there is one at a time. */
struct output *packets_file_output(struct packets_file *file);
const char *packets_file_name(const struct packets_file *file); /* for sentences */
/* What is written is out at once: whoever looks on sees packets as they come. */
void packets_file_put(struct packets_file *file, struct record_text chunk);
/* `status`, or CTL_FAILED with `err` where it could not be opened or written. */
MUST_USE enum ctl_exit packets_file_close(struct packets_file *file, enum ctl_exit status,
                                          struct error *err);
