/* The collector's own part of the loss ledger: INGEST, STORE, FEED, a SINK each: streams to
 * ClickHouse and receivers of alerts, and a WIRE each sensor that is dialed (its part of INGEST).
 *
 * Records that came twice are lost{duplicate}: they are in the store once. What sensors told lost
 * is lost{told_lost}: it never came. STORE's `in` joins INGEST's `out`; after a restart it begins
 * with what is read again from the log. Depends on: proto, history. Any thread. */
#pragma once

#include "collector-ui/api/api_private.h"
#include "proto/record.h"

#define COLLECTOR_LEDGER_ROWS_MAX (3 + API_CLICKHOUSE_MAX + API_RECEIVERS_MAX + API_DIALS_MAX)

/* Returns how many rows it filled. */
uint32_t collector_ledger(struct api *api, struct stats_ledger_row rows[COLLECTOR_LEDGER_ROWS_MAX]);
/* What came of sensors that are dialed; how many. */
uint32_t ledger_dials(struct api *api, struct api_dial_counts out[API_DIALS_MAX]);
/* What became of alerts, a receiver each; how many. */
uint32_t ledger_receivers(struct api *api, struct api_receiver_counts out[API_RECEIVERS_MAX]);
/* What became of rows for ClickHouse, a stream each, flows first; how many. */
uint32_t ledger_clickhouse(struct api *api, struct api_clickhouse_counts out[API_CLICKHOUSE_MAX]);
