/* The sink's side: copies batches into parcels, which the rpc thread takes into the histories. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "sensor/export/grpc_private.h"
#include "sensor/export/grpc_sink.h"

/* What may wait for the rpc thread: then the publisher's queue fills, and drops by its rule. */
#define INBOX_RECORDS_MAX ((uint64_t)64 * BATCH_RECORDS_MAX)
#define INBOX_BYTES_MAX   ((uint64_t)32 * 1024 * 1024)

static void drain_inbox(struct grpc_server *server)
{
    pthread_mutex_lock(&server->inbox_mutex);
    struct grpc_parcel *parcel = server->inbox_first;

    server->inbox_first = NULL;
    server->inbox_last = NULL;
    server->inbox_records = 0;
    server->inbox_bytes = 0;
    server->is_inbox_posted = false;
    pthread_mutex_unlock(&server->inbox_mutex);

    while (parcel != NULL) {
        struct grpc_parcel *next = parcel->next;

        grpc_history_add(&server->histories[parcel->stream], parcel);
        parcel = next;
    }
    grpc_pump(server);
}

void grpc_inbox_free(struct grpc_server *server)
{
    while (server->inbox_first != NULL) {
        struct grpc_parcel *next = server->inbox_first->next;

        grpc_parcel_free(server->inbox_first);
        server->inbox_first = next;
    }
}

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

static bool has_room(struct grpc_server *server, const struct record_batch *batch)
{
    pthread_mutex_lock(&server->inbox_mutex);
    const bool room = server->inbox_records + batch->count <= INBOX_RECORDS_MAX &&
                      server->inbox_bytes + batch->used <= INBOX_BYTES_MAX;

    pthread_mutex_unlock(&server->inbox_mutex);
    return room;
}

static enum sink_verdict offer(void *sink, struct record_batch *batch)
{
    struct grpc_server *server = sink;
    struct grpc_parcel *parcels[RECORD_STREAM_COUNT] = {NULL};
    uint64_t records = 0;

    if (!has_room(server, batch)) {
        return SINK_BUSY;
    }
    if (!copy_batch(batch, parcels)) {
        return SINK_BUSY;
    }
    pthread_mutex_lock(&server->inbox_mutex);
    for (unsigned i = 0; i < RECORD_STREAM_COUNT; i++) {
        struct grpc_parcel *parcel = parcels[i];

        if (parcel == NULL) {
            continue;
        }
        if (server->inbox_last == NULL) {
            server->inbox_first = parcel;
        } else {
            server->inbox_last->next = parcel;
        }
        server->inbox_last = parcel;
        server->inbox_records += parcel->count;
        server->inbox_bytes += parcel->memory;
        records += parcel->count;
    }
    const bool is_first = !server->is_inbox_posted && records > 0;

    server->is_inbox_posted = server->is_inbox_posted || is_first;
    pthread_mutex_unlock(&server->inbox_mutex);
    counter_add(&server->taken, records);
    if (is_first) {
        grpc_post(server, drain_inbox);
    }
    return SINK_TAKEN;
}

static uint64_t waiting_records(struct grpc_server *server)
{
    pthread_mutex_lock(&server->inbox_mutex);
    const uint64_t records = server->inbox_records;

    pthread_mutex_unlock(&server->inbox_mutex);
    return records;
}

static uint64_t flush(void *sink, uint64_t deadline_ns)
{
    const struct timespec pause = {0, (long)NS_PER_MS};

    while (waiting_records(sink) > 0 && clock_monotonic_ns() < deadline_ns) {
        (void)nanosleep(&pause, NULL);
    }
    return waiting_records(sink);
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
