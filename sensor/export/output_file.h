/* A file of records, written in large pieces. It remembers its first failure. "-" is stdout.
 * Depends on: base. One thread; output_file_failure() from any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

struct output_file;

/* Makes or empties the file. NULL with `err`: "x/y.json: permission denied". Where a write to a
 * regular file fails (full, read-only), the file is cut behind its last whole record, and a second
 * later it is tried again: both are logged. */
MUST_USE struct output_file *output_file_open(const char *path, struct error *err);
/* The same for a file that is only of use as a whole: until output_file_finish it is
 * `path`.partial, and what stood under `path` before stays there. Pipes, devices and "-" are
 * written as they are. */
#define OUTPUT_FILE_PARTIAL ".partial"
MUST_USE struct output_file *output_file_open_whole(const char *path, struct error *err);
/* One record, or a part of a file that is only of use as a whole. */
void output_file_write(struct output_file *file, const void *bytes, size_t length);
/* What is in the buffer goes to the kernel. */
void output_file_flush(struct output_file *file);
/* All has been written: flushes, and gives a file of output_file_open_whole its name. A failure
 * leaves the other name. Once, before the close. */
void output_file_finish(struct output_file *file);
/* A write failed, and it is not yet time to try again, or there is none: what is written now is
 * lost. */
bool output_file_is_waiting(const struct output_file *file);
/* Records that were written and are not in the file, so far. */
uint64_t output_file_lost(const struct output_file *file);
/* The first failure: "x.jsonl: no space left on device", or NULL. Stays, also when writes work
 * again. */
const char *output_file_failure(const struct output_file *file);
/* Flushes and closes; NULL is allowed. Look at the failure after a flush, before. */
void output_file_close(struct output_file *file);
