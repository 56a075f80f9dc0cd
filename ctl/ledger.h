/* Rows of the loss ledger (LedgerRow) for people. Depends on: ctl/message, ctl/output. */
#pragma once

#include "ctl/message.h"
#include "ctl/output.h"

/* What was lost, a line a reason; "none" where nothing was. `field` of `view` has the rows. Returns
 * the packets and records that were lost. */
uint64_t ledger_put_loss(struct output *out, const struct view *view, const char *field);
/* All rows as a table below the name of the sensor; likewise. */
uint64_t ledger_put_table(struct output *out, struct record_text sensor, const struct view *view,
                          const char *field);
