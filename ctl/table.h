/* A table whose columns are as wide as what is in them. On a terminal that is too narrow texts that
 * may be are cut, with a mark; into a file or a pipe everything goes as it is.
 *
 * Rows are held until the end: for answers that are bounded. Depends on: ctl/output, ctl/show.
 * Threads: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/output.h"
#include "ctl/show.h"

#define TABLE_COLUMNS_MAX 24
#define TABLE_CELL_BYTES  1024

/* A text may be cut, a word (an address, an id) and a figure never. */
struct table_column {
    const char *name;
    enum { TABLE_WORD, TABLE_FIGURE, TABLE_TEXT } kind;
};

struct table;

/* The columns are borrowed. NULL with `err` set. */
MUST_USE struct table *table_new(const struct table_column *columns, unsigned count,
                                 struct error *err);
void table_free(struct table *table);
DEFINE_AUTO(table, table_free);
/* An empty text for the next cell, row by row, from left to right; table_keep takes it. */
struct show *table_cell(struct table *table);
void table_keep(struct table *table, enum show_colour colour);
/* Both, for a text of our own. */
void table_put(struct table *table, enum show_colour colour, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* A cell each. */
void table_put_name(struct table *table, enum show_colour colour, struct record_text name);
void table_put_bytes(struct table *table, uint64_t bytes);
void table_put_count(struct table *table, uint64_t count);
void table_put_time(struct table *table, uint64_t wall_ns);
/* Writes the header and the rows. False with `err` set: there was no memory for all of them. */
MUST_USE bool table_write(struct table *table, struct output *out, struct error *err);
