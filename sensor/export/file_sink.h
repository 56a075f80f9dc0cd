/* Records to files: flow records, ended flows, alerts and DNS transactions as JSON lines as they
 * come; all flows of the run as JSON or CSV at the end.
 *
 * A path of "-" is stdout. Each is one `struct sink` that pushes back. A failed write is kept as
 * the sink's failure. Records are refused from then on; lines of a regular file are tried again
 * each second. What was lost is in `failed`. Depends on: base, proto, proto/json, pipeline.
 * Threads: the publisher's. */
#pragma once

#include "base/error.h"
#include "sensor/pipeline/sink.h"

enum file_sink_kind {
    FILE_FLOWS_JSONL,         /* every record, proto3 JSON with snake_case names */
    FILE_EXPIRED_FLOWS_JSONL, /* ts, reason and the short form (flow_short.h) of each flow that ends
                               */
    FILE_ALERTS_JSONL, /* {"ts":...,"kind":...,"description":...} and our fields behind them */
    FILE_DNS_JSONL,    /* every DNS transaction, proto3 JSON with snake_case names */
    FILE_EXPORT_JSON,  /* one array, sorted by total bytes, at the end */
    FILE_EXPORT_CSV,   /* the same as CSV (RFC 4180) with a header line */
};

/* 0 with `out` filled; -errno with `err`: "export_json /x/y.json: permission denied". The file is
 * made at once, so that a bad path is told at the start. `spill_bytes`: memory for the exports
 * before they sort on disk (a temporary file beside the target, removed); 0 = 64 MiB. */
MUST_USE int file_sink_open(enum file_sink_kind kind, const char *path, uint64_t spill_bytes,
                            struct sink *out, struct error *err);
