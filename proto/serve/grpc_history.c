#include "proto/serve/grpc_history.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct grpc_parcel *grpc_parcel_new(uint8_t stream, uint32_t count, size_t bytes)
{
    const size_t head = sizeof(struct grpc_parcel) + count * sizeof(struct grpc_record);
    struct grpc_parcel *parcel = malloc(head + bytes);

    if (parcel != NULL) {
        *parcel = (struct grpc_parcel){.stream = stream, .capacity = bytes, .memory = head + bytes};
        parcel->bytes = (uint8_t *)parcel + head;
    }
    return parcel;
}

void grpc_parcel_free(struct grpc_parcel *parcel)
{
    free(parcel);
}

void grpc_parcel_add_two(struct grpc_parcel *parcel, const uint8_t *bytes, uint32_t length,
                         const uint8_t *tail, uint32_t tail_length, uint64_t seq, uint64_t time_ns)
{
    assert(parcel->capacity - parcel->used >= (size_t)length + tail_length);
    uint8_t *copy = parcel->bytes + parcel->used;

    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    if (tail_length > 0) {
        memcpy(copy + length, tail, tail_length);
    }
    parcel->used += (size_t)length + tail_length;
    parcel->records[parcel->count++] = (struct grpc_record){.parcel = parcel,
                                                            .bytes = copy,
                                                            .length = length + tail_length,
                                                            .seq = seq,
                                                            .time_ns = time_ns};
}

void grpc_parcel_add(struct grpc_parcel *parcel, const uint8_t *bytes, uint32_t length,
                     uint64_t seq, uint64_t time_ns)
{
    grpc_parcel_add_two(parcel, bytes, length, NULL, 0, seq, time_ns);
}

int grpc_history_init(struct grpc_history *history, uint64_t records_max, uint64_t bytes_max,
                      struct error *err)
{
    assert(records_max > 0);
    *history = (struct grpc_history){.records_max = records_max, .bytes_max = bytes_max};
    history->slots = calloc(records_max, sizeof(*history->slots));
    if (history->slots == NULL) {
        return error_set(err, ENOMEM, "grpc: no memory for a history of %llu records",
                         (unsigned long long)records_max);
    }
    return 0;
}

static void evict(struct grpc_history *history)
{
    const struct grpc_record *record = grpc_history_at(history, history->first);
    struct grpc_parcel *parcel = record->parcel;

    if (history->on_evict != NULL) {
        history->on_evict(history->context, history, record, history->first);
    }
    history->first++;
    if (--parcel->live == 0) {
        history->bytes -= parcel->memory;
        grpc_parcel_free(parcel);
    }
}

void grpc_history_fini(struct grpc_history *history)
{
    if (history->slots == NULL) {
        return;
    }
    history->on_evict = NULL;
    while (history->first != history->end) {
        evict(history);
    }
    free(history->slots);
    history->slots = NULL;
}

void grpc_history_add(struct grpc_history *history, struct grpc_parcel *parcel)
{
    const uint32_t count = parcel->count;

    if (count == 0) {
        grpc_parcel_free(parcel);
        return;
    }
    /* One more than its records: it must outlive the loop even where the ring is smaller. */
    parcel->live = count + 1;
    history->bytes += parcel->memory;
    for (uint32_t i = 0; i < count; i++) {
        const struct grpc_record *record = &parcel->records[i];

        if (history->end - history->first == history->records_max) {
            evict(history);
        }
        history->slots[history->end++ % history->records_max] = *record;
        history->last_seq = record->seq;
        if (record->time_ns > history->newest_ns) {
            history->newest_ns = record->time_ns;
        }
    }
    if (--parcel->live == 0) {
        history->bytes -= parcel->memory;
        grpc_parcel_free(parcel);
    }
    while (history->bytes > history->bytes_max && history->first != history->end) {
        evict(history);
    }
}
