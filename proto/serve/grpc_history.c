#include "proto/serve/grpc_history.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"

#define LIST_FIELD  1
#define LINE_BYTES  64
#define AHEAD_BYTES 4096 /* of room that is asked for before it is written: it is in no cache */

struct grpc_parcel *grpc_parcel_new(uint8_t stream, uint32_t count, size_t bytes)
{
    const size_t head = sizeof(struct grpc_parcel) + count * sizeof(struct grpc_record);
    struct grpc_parcel *parcel = malloc(head);

    if (parcel != NULL) {
        *parcel = (struct grpc_parcel){.stream = stream, .is_dense = true, .oldest_ns = UINT64_MAX};
        parcel->room = rpc_buffer_new(bytes + (size_t)count * GRPC_RECORD_HEAD_MAX);
        parcel->memory = head + parcel->room.capacity;
    }
    return parcel;
}

void grpc_parcel_free(struct grpc_parcel *parcel)
{
    if (parcel != NULL) {
        rpc_buffer_discard(&parcel->room);
        free(parcel);
    }
}

size_t grpc_record_head(const struct grpc_record *record)
{
    return 1 + wire_varint_bytes(record->length);
}

/* What is true of all records, for those who take them without a look at each. */
static void note_record(struct grpc_parcel *parcel, uint64_t seq, uint64_t time_ns)
{
    if (parcel->count > 0 && seq != parcel->records[parcel->count - 1].seq + 1) {
        parcel->is_dense = false;
    }
    if (time_ns < parcel->oldest_ns) {
        parcel->oldest_ns = time_ns;
    }
    if (time_ns > parcel->newest_ns) {
        parcel->newest_ns = time_ns;
    }
}

void grpc_parcel_add_two(struct grpc_parcel *parcel, const uint8_t *bytes, uint32_t length,
                         const uint8_t *tail, uint32_t tail_length, uint64_t seq, uint64_t time_ns)
{
    const uint32_t whole = length + tail_length;

    assert(parcel->room.capacity - parcel->used >= (size_t)whole + GRPC_RECORD_HEAD_MAX);
    uint8_t *head = parcel->room.data + parcel->used;
    uint8_t *copy = wire_put_varint(head, WIRE_TAG(LIST_FIELD, WIRE_BYTES));

    copy = wire_put_varint(copy, whole);
    for (uint32_t i = 0; i < whole; i += LINE_BYTES) {
        __builtin_prefetch(copy + AHEAD_BYTES + i, 1);
    }
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    if (tail_length > 0) {
        memcpy(copy + length, tail, tail_length);
    }
    parcel->used += (size_t)(copy - head) + whole;
    note_record(parcel, seq, time_ns);
    parcel->records[parcel->count++] = (struct grpc_record){
        .parcel = parcel, .bytes = copy, .length = whole, .seq = seq, .time_ns = time_ns};
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
    uint64_t slots = 1;

    while (slots < records_max) {
        slots *= 2;
    }
    *history = (struct grpc_history){
        .records_max = records_max, .bytes_max = bytes_max, .slots_mask = slots - 1};
    history->slots = calloc(
        slots, sizeof(*history->slots)); /* NOLINT(bugprone-sizeof-expression): of pointers */
    if (history->slots == NULL) {
        return error_set(err, ENOMEM, "grpc: no memory for a history of %llu records",
                         (unsigned long long)records_max);
    }
    return 0;
}

/* The oldest `count` records leave, and the parcels that have none any more. */
static void evict(struct grpc_history *history, uint64_t count)
{
    if (history->on_evict != NULL) {
        history->on_evict(history->context, history, history->first, history->first + count);
    }
    history->first += count;
    while (count > 0) {
        struct grpc_parcel *parcel = history->oldest;

        assert(parcel != NULL); /* records are in parcels */
        const uint32_t leaving = count < parcel->live ? (uint32_t)count : parcel->live;

        count -= leaving;
        parcel->live -= leaving;
        if (parcel->live == 0) {
            history->oldest = parcel->next;
            history->bytes -= parcel->memory;
            grpc_parcel_free(parcel);
        }
    }
}

void grpc_history_fini(struct grpc_history *history)
{
    if (history->slots == NULL) {
        return;
    }
    history->on_evict = NULL;
    evict(history, history->end - history->first);
    free(history->slots);
    history->slots = NULL;
}

/* At most as many as the ring holds. */
static void add_records(struct grpc_history *history, const struct grpc_record *records,
                        uint32_t count)
{
    const uint64_t held = history->end - history->first;

    if (held + count > history->records_max) {
        evict(history, held + count - history->records_max);
    }
    for (uint32_t i = 0; i < count; i++) {
        history->slots[history->end++ & history->slots_mask] = &records[i];
    }
    history->last_seq = records[count - 1].seq;
}

void grpc_history_add(struct grpc_history *history, struct grpc_parcel *parcel)
{
    const uint32_t count = parcel->count;

    if (count == 0) {
        grpc_parcel_free(parcel);
        return;
    }
    if (history->oldest == NULL) {
        history->oldest = parcel;
    } else {
        history->newest->next = parcel;
    }
    history->newest = parcel;
    parcel->next = NULL;
    parcel->live = count;
    history->bytes += parcel->memory;
    if (parcel->newest_ns > history->newest_ns) {
        history->newest_ns = parcel->newest_ns;
    }
    for (uint32_t done = 0; done < count;) {
        const uint32_t left = count - done;
        const uint32_t now = left < history->records_max ? left : (uint32_t)history->records_max;

        add_records(history, &parcel->records[done], now);
        done += now;
    }
    while (history->bytes > history->bytes_max && history->first != history->end) {
        evict(history, history->oldest->live);
    }
}
