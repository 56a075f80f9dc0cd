/* Short names by small numbers: given once, never changed, so that a number can travel with each
 * packet instead of its text.
 *
 * Depends on: attributes. Threads: one adds; any thread may read a number that it was handed
 * (through a ring or after a join). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define NAME_TABLE_TEXT_BYTES 64 /* longer names are cut */

struct name_table;

/* NULL when the memory cannot be had. `names_max`: 1 to 65535. */
MUST_USE struct name_table *name_table_new(uint32_t names_max);
void name_table_free(struct name_table *table); /* NULL is allowed */
DEFINE_AUTO(name_table, name_table_free);

/* The number of `text`, the same for the same text; a full table gives 0, the first name. Bytes
 * that are no printable UTF-8 become '?'. */
uint16_t name_table_add(struct name_table *table, const char *text, size_t length);

/* Lives as long as the table; "" for a number that was never given. */
const char *name_table_text(const struct name_table *table, uint16_t number, uint32_t *length);
