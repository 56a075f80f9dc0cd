#include "tests/support/ingest_store.h"

#include <string.h>

#include <time.h>

static bool take(void *context, const struct ingest_batch *batch)
{
    struct ingest_store *store = context;
    const uint64_t wait_ns = atomic_load(&store->wait_ns);

    if (wait_ns > 0) {
        const struct timespec wait = {0, (long)wait_ns};

        (void)nanosleep(&wait, NULL);
    }
    if (atomic_load(&store->refuses)) {
        return false;
    }
    atomic_fetch_add(&store->batches, 1);
    atomic_fetch_add(&store->records, batch->record_count);
    atomic_fetch_add(&store->by_stream[batch->stream], batch->record_count);
    return true;
}

static uint64_t position(void *context)
{
    (void)context;
    return 0;
}

static void each(void *context,
                 void (*tell)(void *argument, const char *sensor_id, const char *boot_id,
                              enum record_stream stream, uint32_t lane, uint64_t next_seq),
                 void *argument)
{
    (void)context;
    (void)tell;
    (void)argument;
}

static void gap(void *context, const char *sensor_id, const char *boot_id,
                enum record_stream stream, uint64_t from_seq, uint64_t to_seq)
{
    struct ingest_store *store = context;

    (void)sensor_id;
    (void)boot_id;
    (void)stream;
    atomic_fetch_add(&store->gaps, 1);
    atomic_fetch_add(&store->gap_records, to_seq - from_seq + 1);
}

static bool connected(void *context, const struct ingest_peer *peer)
{
    struct ingest_store *store = context;

    if (atomic_load(&store->refuses_sensors)) {
        return false;
    }
    if (store->wanted_hash != NULL && strcmp(peer->config_hash, store->wanted_hash) == 0) {
        atomic_fetch_add(&store->wanted_hellos, 1);
    }
    atomic_fetch_add(&store->connected, 1);
    return true;
}

static void disconnected(void *context, const char *sensor_id, const char *boot_id)
{
    struct ingest_store *store = context;

    (void)sensor_id;
    (void)boot_id;
    atomic_fetch_add(&store->disconnected, 1);
}

static void goodbye(void *context, const char *sensor_id)
{
    struct ingest_store *store = context;

    (void)sensor_id;
    atomic_fetch_add(&store->goodbyes, 1);
}

static void seen(void *context, const char *sensor_id, uint64_t now_ns)
{
    (void)context;
    (void)sensor_id;
    (void)now_ns;
}

static void clock_told(void *context, const char *sensor_id, double offset_ms)
{
    struct ingest_store *store = context;

    (void)sensor_id;
    (void)offset_ms;
    atomic_fetch_add(&store->clocks, 1);
}

static void records(void *context, const char *sensor_id, uint64_t received, uint64_t duplicate,
                    uint64_t lost)
{
    struct ingest_store *store = context;

    (void)sensor_id;
    atomic_fetch_add(&store->received, received);
    atomic_fetch_add(&store->duplicate, duplicate);
    atomic_fetch_add(&store->lost, lost);
}

static void stats(void *context, const char *sensor_id, const struct stats_record *record)
{
    struct ingest_store *store = context;

    (void)sensor_id;
    (void)record;
    atomic_fetch_add(&store->stats, 1);
}

struct ingest_events ingest_store_events(struct ingest_store *store)
{
    return (struct ingest_events){.context = store,
                                  .store = take,
                                  .stored_position = position,
                                  .each_position = each,
                                  .gap = gap,
                                  .connected = connected,
                                  .disconnected = disconnected,
                                  .goodbye = goodbye,
                                  .seen = seen,
                                  .clock = clock_told,
                                  .records = records,
                                  .stats = stats};
}
