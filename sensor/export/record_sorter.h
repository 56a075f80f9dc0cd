/* Sorts records by a number, largest first, in bounded memory: sorted runs go to an unnamed
 * temporary file and are merged at the end. Depends on: base. One thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

struct record_sorter;

/* `memory_bytes` is taken as 64 KiB to 4 GiB. `directory` takes the temporary file, if one is
 * needed. NULL with `err`. */
MUST_USE struct record_sorter *record_sorter_new(uint64_t memory_bytes, const char *directory,
                                                 struct error *err);
void record_sorter_free(struct record_sorter *sorter);
DEFINE_AUTO(record_sorter, record_sorter_free);
/* Copies the record. -errno with `err`: EFBIG (larger than 64 KiB or the memory), ENOSPC and other
 * faults of the temporary file. */
MUST_USE int record_sorter_add(struct record_sorter *sorter, uint64_t key, const void *bytes,
                               uint32_t length, struct error *err);
/* Calls `each` for every record, largest key first, equal keys in the order they came. Once, at the
 * end. */
MUST_USE int record_sorter_each(struct record_sorter *sorter,
                                void (*each)(void *context, const void *bytes, uint32_t length),
                                void *context, struct error *err);
