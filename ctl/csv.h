/* Messages as CSV (RFC 4180), a line each, by the names of their fields.
 *
 * A text that begins like a formula gets an apostrophe before it, as in the dashboard's exports:
 * names were chosen by strangers, and a spreadsheet would run them. Depends on: base, proto/json,
 * ctl/message, ctl/output. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/message.h"
#include "ctl/output.h"

#define CSV_COLUMNS_MAX 64
#define CSV_DEPTH_MAX   6

struct csv_column {
    const char *name; /* borrowed; not ended by a NUL */
    size_t length;
    const struct json_field *path[CSV_DEPTH_MAX];
    unsigned depth;
};

struct csv {
    struct output *out;
    struct csv_column columns[CSV_COLUMNS_MAX];
    unsigned count;
    unsigned cells; /* in the line under way */
};

void csv_begin(struct csv *csv, struct output *out);
/* Columns of `message` by a list of paths such as "end_time,client.ip"; of a list of messages one
 * text of each, parted by spaces ("attackers.ip"). 0 or -EINVAL with `err`:
 * "--columns: FlowRecord has no field 'clint.ip'; did you mean 'client'?" */
MUST_USE int csv_columns(struct csv *csv, const char *message, const char *paths,
                         struct error *err);
/* One cell. Those of csv_columns' names make the header. */
void csv_name(struct csv *csv, const char *name, size_t length);
void csv_text(struct csv *csv, struct record_text text); /* of a stranger */
void csv_header(struct csv *csv);
/* All of csv_columns from one message; numbers and times as JSON has them, without quotes; empty
 * what is not there. */
void csv_fields(struct csv *csv, const struct view *record);
void csv_end_line(struct csv *csv);
