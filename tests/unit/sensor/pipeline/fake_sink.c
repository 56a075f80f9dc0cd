#include "tests/unit/sensor/pipeline/fake_sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

/* A flow record as text, without what differs from run to run. */
static char *canonical(const struct flow_record *record)
{
    char client[ADDRESS_TEXT_BYTES];
    char server[ADDRESS_TEXT_BYTES];
    char *text = malloc(512);

    if (text == NULL) {
        abort();
    }
    (void)address_text(&record->client.ip, client);
    (void)address_text(&record->server.ip, server);
    (void)snprintf(
        text, 512, "%016llx %u %u %u %s:%u>%s:%u p%u %llu/%llu %llu/%llu %llu %llu %s %s",
        (unsigned long long)record->flow_id, record->event, record->end_reason,
        record->update_index, client, record->client.port, server, record->server.port,
        record->ip_protocol, (unsigned long long)record->forward.delta_packets,
        (unsigned long long)record->reverse.delta_packets,
        (unsigned long long)record->forward.total_bytes,
        (unsigned long long)record->reverse.total_bytes, (unsigned long long)record->start_ns,
        (unsigned long long)record->end_ns, record->has_tcp ? record->tcp.conn_state : "-",
        record->has_tcp ? record->tcp.history : "-");
    return text;
}

static void take(struct fake_sink *sink, const struct record_batch *batch,
                 const struct batch_entry *entry)
{
    struct flow_record record;

    sink->count++;
    sink->packets += entry->packets;
    sink->wire_bytes += entry->wire_bytes;
    sink->records[entry->stream]++;
    sink->seq_faults += entry->seq != sink->last_seq[entry->stream] + 1;
    sink->last_seq[entry->stream] = entry->seq;
    if (entry->stream != RECORD_FLOWS) {
        return;
    }
    if (!codec_decode_flow(batch->bytes + entry->offset, entry->full_length, &record) ||
        record.identity.seq != entry->seq) {
        sink->undecodable++;
        return;
    }
    if (sink->keeps_flows && sink->flows_count < FAKE_RECORDS_MAX) {
        if (sink->flows == NULL) {
            sink->flows = calloc(FAKE_RECORDS_MAX, sizeof(char *));
        }
        sink->flows[sink->flows_count++] = canonical(&record);
    }
}

static enum sink_verdict offer(void *state, struct record_batch *batch)
{
    struct fake_sink *sink = state;

    if (atomic_load(&sink->busy) != 0) {
        return SINK_BUSY;
    }
    if (sink->refuses) {
        return SINK_REFUSED;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->entries[i].stream != RECORD_STREAM_NONE) {
            take(sink, batch, &batch->entries[i]);
        }
    }
    return SINK_TAKEN;
}

static const struct sink_ops fake_ops[] = {
    [SINK_PUSHES_BACK] = {.name = "patient", .when_full = SINK_PUSHES_BACK, .offer = offer},
    [SINK_DROPS] = {.name = "hasty", .when_full = SINK_DROPS, .offer = offer},
};

struct sink fake_sink_of(struct fake_sink *state, enum sink_when_full when_full)
{
    return (struct sink){&fake_ops[when_full], state};
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void fake_sink_sort(struct fake_sink *state)
{
    if (state->flows_count > 0) {
        qsort(state->flows, state->flows_count, sizeof(char *), by_text);
    }
}

void fake_sink_clear(struct fake_sink *state)
{
    for (uint32_t i = 0; i < state->flows_count; i++) {
        free(state->flows[i]);
    }
    free(state->flows);
    *state = (struct fake_sink){0};
}
