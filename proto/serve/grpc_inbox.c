/* Records on their way into the rings: any one thread puts parcels, the rpc thread takes them. */
#include <stdlib.h>

#include "proto/serve/grpc_serve.h"

/* What may wait for the rpc thread; then whoever puts keeps, or drops by its own rule. */
#define INBOX_RECORDS_MAX ((uint64_t)32768)
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

bool grpc_inbox_has_room(struct grpc_server *server, uint64_t records, uint64_t bytes)
{
    pthread_mutex_lock(&server->inbox_mutex);
    const bool room = server->inbox_records + records <= INBOX_RECORDS_MAX &&
                      server->inbox_bytes + bytes <= INBOX_BYTES_MAX;

    pthread_mutex_unlock(&server->inbox_mutex);
    return room;
}

void grpc_inbox_push(struct grpc_server *server, struct grpc_parcel *const *parcels, size_t count)
{
    uint64_t records = 0;

    pthread_mutex_lock(&server->inbox_mutex);
    for (size_t i = 0; i < count; i++) {
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
}

uint64_t grpc_inbox_records(struct grpc_server *server)
{
    pthread_mutex_lock(&server->inbox_mutex);
    const uint64_t records = server->inbox_records;

    pthread_mutex_unlock(&server->inbox_mutex);
    return records;
}
