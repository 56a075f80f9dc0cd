/* The sink's side: copies batches into parcels, which the rpc thread takes into the rings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "sensor/export/grpc_private.h"
#include "sensor/export/grpc_sink.h"

/* One parcel a stream. False: no memory, nothing is left behind. */
static bool copy_batch(const struct record_batch *batch,
                       struct grpc_parcel *parcels[RECORD_STREAM_COUNT])
{
    size_t bytes[RECORD_STREAM_COUNT] = {0};
    uint32_t counts[RECORD_STREAM_COUNT] = {0};

    for (uint32_t i = 0; i < batch->count; i++) {
        bytes[batch->entries[i].stream] += batch->entries[i].full_length;
        counts[batch->entries[i].stream]++;
    }
    for (unsigned i = RECORD_FLOWS; i < RECORD_STREAM_COUNT; i++) {
        if (counts[i] == 0) {
            continue;
        }
        parcels[i] = grpc_parcel_new((uint8_t)i, counts[i], bytes[i]);
        if (parcels[i] == NULL) {
            while (i-- > 0) {
                grpc_parcel_free(parcels[i]);
            }
            return false;
        }
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];

        if (parcels[entry->stream] != NULL) {
            grpc_parcel_add(parcels[entry->stream], batch->bytes + entry->offset,
                            entry->full_length, entry->seq, entry->time_ns);
        }
    }
    return true;
}

static enum sink_verdict offer(void *sink, struct record_batch *batch)
{
    struct grpc_server *server = sink;
    struct grpc_parcel *parcels[RECORD_STREAM_COUNT] = {NULL};

    if (!grpc_inbox_has_room(server, batch->count, batch->used) || !copy_batch(batch, parcels)) {
        return SINK_BUSY;
    }
    grpc_inbox_push(server, parcels, ARRAY_COUNT(parcels));
    return SINK_TAKEN;
}

static uint64_t flush(void *sink, uint64_t deadline_ns)
{
    const struct timespec pause = {0, (long)NS_PER_MS};

    while (grpc_inbox_records(sink) > 0 && clock_monotonic_ns() < deadline_ns) {
        (void)nanosleep(&pause, NULL);
    }
    return grpc_inbox_records(sink);
}

static void statistics(void *sink, struct stats_sink *row)
{
    struct grpc_server *server = sink;

    *row = (struct stats_sink){.connected = counter_get(&server->streams) > 0,
                               .sent = counter_get(&server->taken),
                               .acked = counter_get(&server->taken)};
    (void)snprintf(row->name, sizeof(row->name), "grpc");
}

static const struct sink_ops grpc_sink_ops = {.name = "grpc",
                                              .when_full = SINK_DROPS,
                                              .offer = offer,
                                              .flush = flush,
                                              .statistics = statistics};

struct sink grpc_server_sink(struct grpc_server *server)
{
    return (struct sink){.ops = &grpc_sink_ops, .state = server};
}
