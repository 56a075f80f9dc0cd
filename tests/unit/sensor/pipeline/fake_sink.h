/* A sink that keeps what it got and refuses, is busy or lets go as a test tells it. One publisher
 * thread; figures are read after it has ended. */
#pragma once

#include <stdatomic.h>

#include "sensor/pipeline/sink.h"

#define FAKE_RECORDS_MAX 200000

struct fake_sink {
    atomic_int busy; /* answer SINK_BUSY while not 0 */
    bool refuses;
    uint64_t count, packets, wire_bytes;
    uint64_t seq_faults; /* a record_seq that did not follow the one before it in its stream */
    uint64_t last_seq[RECORD_STREAM_COUNT];
    uint64_t records[RECORD_STREAM_COUNT];
    uint64_t undecodable;
    /* Flows in canonical form (without seq and boot id), one allocation each. */
    char **flows;
    uint32_t flows_count;
    bool keeps_flows;
};

struct sink fake_sink_of(struct fake_sink *state, enum sink_when_full when_full);
void fake_sink_sort(struct fake_sink *state);
void fake_sink_clear(struct fake_sink *state);
