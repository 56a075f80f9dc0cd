/* A file that is written in large pieces and remembers its first failure. "-" is stdout. Depends
 * on: base. One thread; output_file_failure() from any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

struct output_file;

/* Makes or empties the file. NULL with `err`: "x/y.json: permission denied". */
MUST_USE struct output_file *output_file_open(const char *path, struct error *err);
/* The same for a file that is only of use as a whole: until output_file_finish it is
 * `path`.partial, and what stood under `path` before stays there. Pipes, devices and "-" are
 * written as they are. */
#define OUTPUT_FILE_PARTIAL ".partial"
MUST_USE struct output_file *output_file_open_whole(const char *path, struct error *err);
void output_file_write(struct output_file *file, const void *bytes, size_t length);
/* What is in the buffer goes to the kernel. */
void output_file_flush(struct output_file *file);
/* All has been written: flushes, and gives a file of output_file_open_whole its name. A failure
 * leaves the other name. Once, before the close. */
void output_file_finish(struct output_file *file);
/* "x.jsonl: no space left on device", or NULL. Stays for good: later writes are dropped. */
const char *output_file_failure(const struct output_file *file);
/* Flushes and closes; NULL is allowed. Look at the failure after a flush, before. */
void output_file_close(struct output_file *file);
