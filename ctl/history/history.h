/* What the commands over the collector's history share: the choice of records, and the way of a
 * question. Private to ctl/history. Depends on: ctl. Threads: main. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/command.h"
#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/table.h"

/* Filter, range, sensors and dedup into a request of QueryService. 0 or -EINVAL. */
MUST_USE int history_begin(const struct ctl *ctl, struct request *request, const char *name,
                           struct error *err);

/* How a command goes on with an open connection. */
typedef enum ctl_exit (*history_use)(struct ctl *ctl, struct connection *connection,
                                     struct error *err);
/* Checks the filter (and prints it, where that is all that is asked for), finds a collector and
 * calls `use`. */
MUST_USE enum ctl_exit history_run(struct ctl *ctl, history_use use, struct error *err);

/* Asks `request` and calls `show` with the answer, a message `answer_name`; then tells what it does
 * not have. CTL_FAILED with `err` where `show` returns false: no memory, or a damaged answer. */
MUST_USE enum ctl_exit history_ask(struct ctl *ctl, struct connection *connection, const char *path,
                                   const struct request *request, const char *answer_name,
                                   bool (*show)(struct ctl *ctl, const struct view *answer,
                                                struct error *err),
                                   struct error *err);

/* Each of a list of the answer as a line of CSV: `columns` of `message`. False with `err`. */
MUST_USE bool history_put_csv(struct ctl *ctl, const struct view *answer, const char *list,
                              const char *message, const char *columns, struct error *err);
/* And as a row of a table. */
MUST_USE bool history_put_table(struct ctl *ctl, const struct view *answer, const char *list,
                                const struct table_column *columns, unsigned count,
                                void (*put)(struct table *table, const struct view *each),
                                struct error *err);

/* Cells of what was measured, or of nothing: a share such as "1.5%", red from 10 % on where it is
 * one of failures; "rtt". */
void history_put_share(struct table *table, const struct view *view, const char *field,
                       bool is_failure);
void history_put_rtt(struct table *table, const struct view *view);
