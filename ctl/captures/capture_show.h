/* A kept capture as text. Private to ctl/captures. Depends on: ctl. Threads: main. */
#pragma once

#include "ctl/message.h"
#include "ctl/output.h"
#include "ctl/show.h"
#include "ctl/table.h"

#define CAPTURE_COLUMNS 9
extern const struct table_column capture_columns[CAPTURE_COLUMNS];

void capture_show_row(struct table *table, const struct view *capture);
/* "running" in its colour. */
enum show_colour capture_show_colour(const char *state);
/* All of it: names and values, then a line for each sensor. */
void capture_show_report(struct output *out, const struct view *capture);
/* What its sensors say that does not stand in a row of it: refusals, filters without VLAN. */
void capture_show_troubles(const struct view *capture);
