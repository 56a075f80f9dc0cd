/* Lines of "name  value" for people, and tables. Depends on: ctl/show, ctl/output. Threads: main.
 */
#pragma once

#include "ctl/output.h"
#include "ctl/show.h"

#define REPORT_LINE_BYTES 4096

/* One line that grows: `struct line line; line_begin(&line, out);` ... `line_end(&line);` */
struct line {
    struct output *out;
    struct show show;
    size_t cell; /* where the column under way begins */
    char text[REPORT_LINE_BYTES];
};

void line_begin(struct line *line, struct output *out);
/* Begins with a name and goes on in the column of values. */
void line_named(struct line *line, struct output *out, const char *name);
/* Ends a column, `width` wide; the next one begins. */
void line_cell(struct line *line, unsigned width);
void line_end(struct line *line);

struct report_column {
    const char *name;
    unsigned width;
};
/* The names of the columns. */
void report_header(struct output *out, const struct report_column *columns, size_t count);
