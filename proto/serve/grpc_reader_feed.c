/* Readers of streams are fed: batches, losses, heartbeats, as far as their calls take them. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proto/serve/grpc_reader_private.h"

#define SCAN_BUDGET    4096 /* records one reader may look at before the others have their turn */
#define MESSAGE_BUDGET 8
#define HEARTBEAT_NS   (10 * NS_PER_SEC)
#define RATE_TOLD_NS   NS_PER_SEC

enum { RESPONSE_BATCH = 1, RESPONSE_LOSS = 2 };
enum { LOSS_FROM = 1, LOSS_TO = 2, LOSS_COUNT = 3, LOSS_REASON = 4 };
enum { HEARTBEAT_TIME = 1, HEARTBEAT_LAST_SEQ = 2 };

static const char *const loss_reasons[GRPC_LOSS_COUNT] = {"slow_reader", "sink_full", "max_rate"};

/* ---- messages ---- */

/* False: the call's queue is full (the message waits in `pending`) or the call is over. */
static bool flush_pending(struct grpc_reader *reader)
{
    struct rpc_bytes pieces[GRPC_PIECES_MAX + 1];

    if (reader->pending_pieces == 0) {
        return true;
    }
    for (uint32_t i = 0; i < reader->pending_pieces; i++) {
        pieces[i] = rpc_bytes_ref(&reader->pending[i]);
    }
    const enum rpc_send_result result =
        rpc_send_pieces(reader->call, pieces, reader->pending_pieces);

    if (result == RPC_SEND_FULL) {
        return false;
    }
    grpc_reader_drop_pending(reader);
    if (result != RPC_SEND_QUEUED) {
        reader->is_finished = true;
        return false;
    }
    counter_add(&reader->server->records_sent, reader->pending_records);
    reader->last_sent_ns = clock_monotonic_ns();
    return true;
}

static bool send_bytes(struct grpc_reader *reader, struct rpc_bytes bytes, uint32_t records)
{
    reader->pending[0] = bytes;
    reader->pending_pieces = 1;
    reader->pending_records = records;
    return flush_pending(reader);
}

static bool tell_losses(struct grpc_reader *reader, bool is_end)
{
    const uint64_t now_ns = clock_monotonic_ns();

    for (unsigned i = 0; i < GRPC_LOSS_COUNT; i++) {
        if (reader->loss[i].count == 0 ||
            (i == GRPC_LOSS_RATE && !is_end && now_ns - reader->rate_told_ns < RATE_TOLD_NS)) {
            continue;
        }
        uint8_t text[96];
        struct wire_writer w = wire_writer_over(text, sizeof(text));
        const struct wire_mark mark = wire_begin(&w, RESPONSE_LOSS, 1);

        wire_write_varint(&w, LOSS_FROM, reader->loss[i].from);
        wire_write_varint(&w, LOSS_TO, reader->loss[i].to);
        wire_write_varint(&w, LOSS_COUNT, reader->loss[i].count);
        wire_write_text(&w, LOSS_REASON, loss_reasons[i]);
        wire_end(&w, mark);
        reader->loss[i].count = 0;
        if (i == GRPC_LOSS_RATE) {
            reader->rate_told_ns = now_ns;
        }
        if (!send_bytes(reader, rpc_bytes_copy(text, wire_written(&w)), 0)) {
            return false;
        }
    }
    return true;
}

static void send_heartbeat(struct grpc_reader *reader)
{
    /* FlowService has a node_status in front of it. */
    const uint32_t field = reader->stream == RECORD_FLOWS ? 4 : 3;
    uint8_t text[64];
    struct wire_writer w = wire_writer_over(text, sizeof(text));
    const struct wire_mark mark = wire_begin(&w, field, 1);

    grpc_write_time(&w, HEARTBEAT_TIME, clock_wall_ns());
    wire_write_varint(&w, HEARTBEAT_LAST_SEQ, reader->history->last_seq);
    wire_end(&w, mark);
    (void)send_bytes(reader, rpc_bytes_copy(text, wire_written(&w)), 0);
}

/* As many as the call's queue takes. */
static void send_nodes(struct grpc_reader *reader)
{
    uint8_t text[GRPC_NODE_BYTES];

    while (!reader->is_finished && reader->pending_pieces == 0) {
        const size_t length =
            reader->server->program->write_node(reader->server, &reader->node_told, text);

        if (length == 0) {
            return;
        }
        (void)send_bytes(reader, rpc_bytes_copy(text, length), 0);
    }
}

/* ---- batches ---- */

/* The record as this reader wants it, copied. False: no room in this message. */
static bool add_changed(struct grpc_reader *reader, struct grpc_batch *batch,
                        const struct grpc_record *record)
{
    struct arena *arena = reader->server->arena;
    const struct grpc_program *program = reader->server->program;
    const size_t room = record->length + (reader->mask == NULL ? program->layers_bytes_max : 0);
    uint8_t *out = arena_take(arena, room, 1);

    if (out == NULL) {
        return false;
    }
    const size_t length = reader->mask != NULL
                              ? grpc_mask_apply(reader->mask, record->bytes, record->length, out)
                              : program->add_layers(record->bytes, record->length, out, room);

    arena->used -= room - length; /* give back the rest: it is the last piece */
    grpc_batch_add_other(batch, out, (uint32_t)length);
    return true;
}

static bool wants_changed(const struct grpc_reader *reader)
{
    return reader->mask != NULL ||
           (reader->has_layers && reader->server->program->add_layers != NULL);
}

static bool add_record(struct grpc_reader *reader, struct grpc_batch *batch,
                       const struct grpc_record *record)
{
    if (wants_changed(reader)) {
        return add_changed(reader, batch, record);
    }
    grpc_batch_add(batch, record, 1);
    return true;
}

/* True: it may go out now; else it is counted as lost to the rate. */
static bool within_rate(struct grpc_reader *reader, uint64_t seq)
{
    if (reader->rate_max == 0) {
        return true;
    }
    const uint64_t now_ns = clock_monotonic_ns();

    if (now_ns - reader->rate_began_ns >= NS_PER_SEC) {
        reader->rate_began_ns = now_ns;
        reader->rate_used = 0;
    }
    if (reader->rate_used < reader->rate_max) {
        reader->rate_used++;
        return true;
    }
    grpc_reader_add_loss(reader, GRPC_LOSS_RATE, seq, seq);
    return false;
}

/* True: every record goes out as it is, but for the time from which on. */
static bool wants_all(const struct grpc_reader *reader)
{
    return reader->filter == NULL && !reader->has_choice && reader->sensors.count == 0 &&
           reader->until_ns == 0 && reader->rate_max == 0 && !wants_changed(reader);
}

/* How many records from the one at the reader's position on, at most `room`, can be taken at once,
 * nothing but their parcel looked at. 1: that one must be looked at. */
static uint32_t run_length(const struct grpc_reader *reader, const struct grpc_batch *batch,
                           uint32_t room)
{
    const struct grpc_record *first = grpc_history_at(reader->history, reader->position);
    uint64_t most = reader->history->end - reader->position;

    if (!first->parcel->is_dense || first->parcel->oldest_ns < reader->since_ns) {
        return 1;
    }
    most = most < room ? most : room;
    most = most < reader->remaining ? most : reader->remaining;
    most = most < reader->batch_max - batch->count ? most : reader->batch_max - batch->count;
    return grpc_batch_run(batch, first, (uint32_t)most);
}

/* The `count` records at the reader's position, as far as one that finds no room. */
static bool take_records(struct grpc_reader *reader, struct grpc_batch *batch,
                         const struct grpc_record *first, uint32_t count)
{
    if (count > 1) {
        grpc_batch_add(batch, first, count);
        reader->next_seq = first[count - 1].seq + 1;
    } else if (!grpc_reader_chooses(reader, first) || !within_rate(reader, first->seq)) {
        reader->position++;
        return true;
    } else if (!add_record(reader, batch, first)) {
        reader->next_seq = first->seq;
        return false;
    }
    reader->remaining -= reader->remaining != UINT64_MAX ? count : 0;
    reader->position += count;
    return true;
}

static uint32_t collect(struct grpc_reader *reader, struct grpc_batch *batch)
{
    const struct grpc_history *history = reader->history;
    const bool is_whole = wants_all(reader);
    uint32_t scanned = 0;

    arena_reset(reader->server->arena);
    while (reader->position != history->end && scanned < SCAN_BUDGET &&
           batch->count < reader->batch_max && reader->remaining > 0 &&
           batch->bytes < GRPC_MESSAGE_BYTES) {
        const struct grpc_record *record = grpc_history_at(history, reader->position);

        if (reader->next_seq != 0 && record->seq > reader->next_seq && batch->count > 0) {
            break; /* what is lost is told between what came before and after it */
        }
        grpc_reader_see_seq(reader, record->seq);
        if (reader->loss[GRPC_LOSS_SINK].count > 0 && batch->count == 0 &&
            reader->loss[GRPC_LOSS_SINK].to == record->seq - 1) {
            if (!tell_losses(reader, false)) {
                return UINT32_MAX;
            }
        }
        const uint32_t count = is_whole ? run_length(reader, batch, SCAN_BUDGET - scanned) : 1;

        scanned += count;
        if (!take_records(reader, batch, record, count)) {
            break;
        }
    }
    return scanned;
}

static bool send_batch(struct grpc_reader *reader, const struct grpc_batch *batch)
{
    /* News come one to a message, which is no batch. */
    reader->pending_pieces =
        grpc_batch_pieces(batch, reader->stream == GRPC_NEWS ? 0 : RESPONSE_BATCH, reader->pending);
    reader->pending_records = batch->count;
    return flush_pending(reader);
}

/* ---- turns ---- */

static bool is_past_until(const struct grpc_reader *reader)
{
    const struct grpc_server *server = reader->server;
    const uint64_t stats_ns = server->histories[RECORD_STATS].newest_ns;

    return reader->until_ns != 0 &&
           (reader->history->newest_ns >= reader->until_ns || stats_ns >= reader->until_ns);
}

static void end(struct grpc_reader *reader)
{
    if (tell_losses(reader, true)) {
        reader->is_finished = true;
        rpc_finish(reader->call, RPC_OK, NULL);
    }
}

/* True: there is more to do at once. */
static bool step(struct grpc_reader *reader)
{
    uint32_t scanned = 0;

    if (reader->is_finished || !flush_pending(reader)) {
        return false;
    }
    if (reader->interval_ns > 0 && clock_monotonic_ns() < reader->due_ns) {
        return false;
    }
    for (unsigned i = 0; i < MESSAGE_BUDGET && scanned < SCAN_BUDGET; i++) {
        struct grpc_batch batch;

        grpc_batch_reset(&batch);
        if (!tell_losses(reader, false)) {
            return false;
        }
        const uint32_t now = collect(reader, &batch);

        if (now == UINT32_MAX) {
            return false;
        }
        scanned += now;
        if (batch.count > 0) {
            if (reader->interval_ns > 0 && reader->position == reader->history->end) {
                reader->due_ns = clock_monotonic_ns() + reader->interval_ns;
            }
            if (!send_batch(reader, &batch)) {
                return false;
            }
        }
        if (reader->prelude != NULL && reader->position == reader->history->end) {
            grpc_reader_leave_prelude(reader);
        }
        if (reader->remaining == 0 || (reader->position == reader->history->end &&
                                       (!reader->is_following || is_past_until(reader)))) {
            end(reader);
            return false;
        }
        if (reader->position == reader->history->end) {
            return false;
        }
    }
    return true;
}

void grpc_reader_writable(struct rpc_call *call)
{
    struct grpc_reader *reader = rpc_user_data(call);

    if (reader != NULL && step(reader) && !reader->server->is_pump_posted) {
        reader->server->is_pump_posted = true;
        grpc_post(reader->server, grpc_pump);
    }
}

void grpc_pump(struct grpc_server *server)
{
    bool has_more = false;

    server->is_pump_posted = false;
    for (struct grpc_reader *reader = server->readers; reader != NULL; reader = reader->next) {
        has_more = step(reader) || has_more;
    }
    if (has_more && !server->is_pump_posted) {
        server->is_pump_posted = true;
        grpc_post(server, grpc_pump);
    }
}

/* It waits for what comes, and nothing of it waits. */
static bool is_free(const struct grpc_reader *reader)
{
    return !reader->is_finished && reader->pending_pieces == 0 && reader->is_following;
}

void grpc_tick(struct grpc_server *server)
{
    const uint64_t now_ns = clock_monotonic_ns();

    server->program->look_at_nodes(server, now_ns);
    for (struct grpc_reader *reader = server->readers; reader != NULL; reader = reader->next) {
        (void)step(reader);
        if (is_free(reader) && reader->stream == RECORD_FLOWS) {
            send_nodes(reader);
        }
        if (is_free(reader) && reader->interval_ns == 0 && now_ns > reader->last_sent_ns &&
            now_ns - reader->last_sent_ns >= HEARTBEAT_NS) {
            send_heartbeat(reader);
        }
    }
    server->is_ticking = server->readers != NULL;
    if (server->is_ticking) {
        grpc_post_after(server, GRPC_TICK_NS, grpc_tick);
    }
}
