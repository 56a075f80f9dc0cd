/* The collector's own part of the loss ledger: INGEST, STORE, FEED.
 *
 * Records that came twice are lost{duplicate}: they are in the store once. What sensors told lost
 * is lost{told_lost}: it never came. STORE's `in` joins INGEST's `out`; after a restart it begins
 * with what is read again from the log. Depends on: proto, history. Any thread. */
#pragma once

#include "collector-ui/api/api_private.h"
#include "proto/record.h"

#define COLLECTOR_LEDGER_ROWS 3

/* Fills the three rows. */
void collector_ledger(struct api *api, struct stats_ledger_row rows[COLLECTOR_LEDGER_ROWS]);
/* "store"; "none" out of range. Static. */
const char *ledger_stage_name(uint8_t stage);
