/* What a collector's log and a sensor's spool hold, record by record, as lines for tests.
 *
 * Depends on: base/spool, collector-ui/ingest, proto. One thread. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"

/* The log in `directory`: one line of sums, then one line for each process of a sensor. 0 or
 * -errno. */
MUST_USE int ingest_scan_log(const char *directory, struct error *err);
/* The files of the collector's spool in `directory` (with flows, alerts, ... below): one line for
 * each process with the last number of each stream. 0 or -errno. */
MUST_USE int ingest_scan_spool(const char *directory, struct error *err);
