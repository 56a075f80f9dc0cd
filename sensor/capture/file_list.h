/* Which files a list of paths means: files as they are, directories by the captures in them, and
 * patterns (glob(7)) where there is no file of that name.
 *
 * Inside sensor/capture only. Depends on: libc, file_reader.h. Threads: one. */
#pragma once

#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define FILE_LIST_MAX 1000000U

struct file_list {
    char **paths;
    uint32_t count, capacity;
};

/* In a directory what begins as a capture does, gzip and Zstandard included, is taken; hidden files
 * and directories below are not. Sorted by name. -errno with `err`: EINVAL (an empty path), ENOENT
 * (no file, no match, a directory without captures), EACCES, E2BIG, ENOMEM. A path without pattern
 * is taken unseen. */
MUST_USE int file_list_expand(struct file_list *list, const char *const *paths, uint32_t count,
                              struct error *err);
void file_list_fini(struct file_list *list);
