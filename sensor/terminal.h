/* What people read on the terminal: packet lines, alerts, statistics, the summary at the end.
 *
 * Goes to stdout, or to stderr when a file output has taken stdout. Depends on: base, proto,
 * pipeline. Threads: lines, alerts and seconds come from the publisher, the rest from main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/record.h"
#include "sensor/pipeline/pipeline.h"

struct terminal;

/* `out` is borrowed; `top_flows`: with each line of statistics, 0: none. NULL with `err`: ENOMEM.
 */
MUST_USE struct terminal *terminal_new(FILE *out, uint32_t top_flows, struct error *err);
void terminal_free(struct terminal *terminal);
DEFINE_AUTO(terminal, terminal_free);

void terminal_line(struct terminal *terminal, const char *text, uint32_t length);
void terminal_alert(struct terminal *terminal, const struct alert_record *alert);
/* Adds the second's largest flows to what the next statistics line shows. */
void terminal_second(struct terminal *terminal, const struct stats_record *record);

/* "[stats] 942.13 Mbps | 100012 pps | 81234 flows | drops=0 (total=0) | kdrop=0 (total=0) ifdrop=0
 * (total=0)" over the time since the last call, then the top flows. */
void terminal_statistics(struct terminal *terminal, struct pipeline *pipeline, uint64_t now_ns);
void terminal_summary(struct terminal *terminal, struct pipeline *pipeline);
