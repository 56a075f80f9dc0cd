/* The sending side of a call: a bounded ring of messages and one batch in flight. Two SEND_MESSAGE
 * at once would be refused by the core (TOO_MANY_OPERATIONS), and the completion of one is the
 * flow-control signal to start the next, so memory held behind a slow reader is what the ring's
 * bounds allow. */
#include <stdlib.h>
#include <string.h>

#include "base/rpc/internal.h"

#define MESSAGES_MAX_DEFAULT 64
#define BYTES_MAX_DEFAULT    ((size_t)4 << 20)
#define RING_START           4

static uint32_t messages_max(const struct rpc_call *call)
{
    const uint32_t configured = call->method->queue.messages_max;
    return configured == 0 ? MESSAGES_MAX_DEFAULT : configured;
}

static size_t bytes_max(const struct rpc_call *call)
{
    const size_t configured = call->method->queue.bytes_max;
    return configured == 0 ? BYTES_MAX_DEFAULT : configured;
}

static bool ring_grow(struct rpc_outbox *box, uint32_t limit)
{
    uint32_t capacity = box->capacity == 0 ? RING_START : box->capacity * 2;
    if (capacity > limit || capacity < box->capacity) {
        capacity = limit;
    }
    struct rpc_outgoing *ring = calloc(capacity, sizeof *ring);
    if (ring == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < box->count; i++) {
        ring[i] = box->ring[(box->head + i) % box->capacity];
    }
    free(box->ring);
    box->ring = ring;
    box->head = 0;
    box->capacity = capacity;
    return true;
}

static struct rpc_outgoing ring_take(struct rpc_outbox *box)
{
    const struct rpc_outgoing oldest = box->ring[box->head];
    box->head = (box->head + 1) % box->capacity;
    box->count--;
    return oldest;
}

static void ring_drop_oldest(struct rpc_outbox *box)
{
    const struct rpc_outgoing oldest = ring_take(box);
    box->bytes -= oldest.bytes;
    grpc_byte_buffer_destroy(oldest.message);
}

void rpc_outbox_drop_all(struct rpc_call *call)
{
    while (call->outbox.count > 0) {
        ring_drop_oldest(&call->outbox);
    }
}

static bool has_room(const struct rpc_call *call, size_t length)
{
    const struct rpc_outbox *box = &call->outbox;
    if (box->count >= messages_max(call)) {
        return false;
    }
    const size_t limit = bytes_max(call);
    return box->bytes == 0 || (length <= limit && box->bytes <= limit - length);
}

static void count_dropped(struct rpc_call *call, uint64_t count)
{
    atomic_fetch_add_explicit(&call->dropped, count, memory_order_relaxed);
    if (call->server != NULL) {
        rpc_server_count_dropped(call->server, count);
    }
}

/* Room for one message by the method's rule. Lock held. */
static enum rpc_send_result make_room(struct rpc_call *call, size_t length)
{
    struct rpc_outbox *box = &call->outbox;
    if (has_room(call, length)) {
        return RPC_SEND_QUEUED;
    }
    box->was_full = true;
    if (call->method->queue.when_full == RPC_REJECT) {
        return RPC_SEND_FULL;
    }
    if (call->method->queue.when_full == RPC_DROP_OLD) {
        uint64_t count = 0;
        while (box->count > 0 && !has_room(call, length)) {
            ring_drop_oldest(box);
            count++;
        }
        count_dropped(call, count);
    }
    if (!has_room(call, length)) {
        count_dropped(call, 1);
        return RPC_SEND_DROPPED;
    }
    return RPC_SEND_QUEUED;
}

/* Takes the message over. */
static enum rpc_send_result send_message(struct rpc_call *call, struct rpc_outgoing message)
{
    struct rpc_outbox *box = &call->outbox;

    pthread_mutex_lock(&call->lock);
    enum rpc_send_result result = RPC_SEND_CLOSED;
    if (!call->is_done && !box->finish_wanted) {
        result = make_room(call, message.bytes);
        if (result == RPC_SEND_QUEUED && box->count == box->capacity &&
            !ring_grow(box, messages_max(call))) {
            result = call->method->queue.when_full == RPC_REJECT ? RPC_SEND_FULL : RPC_SEND_DROPPED;
        }
    }
    if (result == RPC_SEND_QUEUED) {
        box->ring[(box->head + box->count) % box->capacity] = message;
        box->count++;
        box->bytes += message.bytes;
    }
    pthread_mutex_unlock(&call->lock);

    if (result != RPC_SEND_QUEUED) {
        grpc_byte_buffer_destroy(message.message);
        return result;
    }
    rpc_outbox_pump(call);
    return result;
}

enum rpc_send_result rpc_send_pieces(struct rpc_call *call, const struct rpc_bytes *pieces,
                                     size_t count)
{
    grpc_slice slices[RPC_PIECES_MAX];
    struct rpc_outgoing message = {.bytes = 0};

    assert(count <= RPC_PIECES_MAX);
    for (size_t i = 0; i < count; i++) {
        slices[i] = rpc_bytes_slice(&pieces[i]);
        message.bytes += GRPC_SLICE_LENGTH(slices[i]);
    }
    message.message = grpc_raw_byte_buffer_create(slices, count);
    for (size_t i = 0; i < count; i++) {
        grpc_slice_unref(slices[i]); /* the buffer has references of its own */
    }
    return send_message(call, message);
}

enum rpc_send_result rpc_send(struct rpc_call *call, struct rpc_bytes bytes)
{
    return rpc_send_pieces(call, &bytes, 1);
}

void rpc_send_headers(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->outbox.headers_wanted = true;
    pthread_mutex_unlock(&call->lock);
    rpc_outbox_pump(call);
}

void rpc_finish_details(struct rpc_call *call, enum rpc_status status, const char *message,
                        const void *details, size_t details_bytes)
{
    struct rpc_outbox *box = &call->outbox;
    pthread_mutex_lock(&call->lock);
    const bool is_first = !box->finish_wanted && !call->is_done;
    if (is_first) {
        box->finish_wanted = true;
        box->status = (grpc_status_code)status;
        if (message != NULL) {
            box->status_text =
                grpc_slice_from_copied_buffer(message, strnlen(message, RPC_MESSAGE_TEXT_MAX));
        }
        if (details_bytes > 0 && details_bytes <= RPC_DETAILS_BYTES_MAX) {
            box->trailer.key = grpc_slice_from_static_string("grpc-status-details-bin");
            box->trailer.value = grpc_slice_from_copied_buffer(details, details_bytes);
            box->trailers_count = 1;
        }
    }
    pthread_mutex_unlock(&call->lock);
    if (is_first) {
        rpc_outbox_pump(call);
    }
}

void rpc_finish(struct rpc_call *call, enum rpc_status status, const char *message)
{
    rpc_finish_details(call, status, message, NULL, 0);
}

void rpc_half_close(struct rpc_call *call)
{
    rpc_finish_details(call, RPC_OK, NULL, NULL, 0);
}

static size_t add_headers(struct rpc_call *call, grpc_op *op)
{
    *op = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    op->data.send_initial_metadata.metadata = call->own_headers;
    op->data.send_initial_metadata.count = call->own_headers_count;
    call->outbox.headers_sent = true;
    return 1;
}

static size_t add_message(struct rpc_call *call, grpc_op *op)
{
    struct rpc_outbox *box = &call->outbox;
    box->sending = ring_take(box);
    *op = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
    op->flags = box->count > 0 ? GRPC_WRITE_BUFFER_HINT : 0;
    op->data.send_message.send_message = box->sending.message;
    return 1;
}

static size_t add_finish(struct rpc_call *call, grpc_op *op)
{
    struct rpc_outbox *box = &call->outbox;
    box->finish_sent = true;
    if (call->server == NULL) {
        *op = (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
        return 1;
    }
    *op = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op->data.send_status_from_server.status = box->status;
    op->data.send_status_from_server.status_details = &box->status_text;
    op->data.send_status_from_server.trailing_metadata =
        box->trailers_count > 0 ? &box->trailer : NULL;
    op->data.send_status_from_server.trailing_metadata_count = box->trailers_count;
    return 1;
}

/* Starts the next batch if none is out: headers once, one message, and the end with the last of
 * them, so that a unary reply is a single batch. Headers of a server wait for the first message
 * unless asked for. */
void rpc_outbox_pump(struct rpc_call *call)
{
    struct rpc_outbox *box = &call->outbox;
    grpc_op ops[3];
    size_t count = 0;

    pthread_mutex_lock(&call->lock);
    if (!box->in_flight && !box->finish_sent && !call->is_done) {
        const bool has_message = box->count > 0;
        const bool is_last = box->finish_wanted && box->count <= 1;
        if (!box->headers_sent && (has_message || is_last || box->headers_wanted)) {
            count += add_headers(call, &ops[count]);
        }
        if (has_message) {
            count += add_message(call, &ops[count]);
        }
        if (is_last) {
            count += add_finish(call, &ops[count]);
        }
    }
    grpc_call *const core = call->core;
    if (count > 0) {
        box->in_flight = true;
        rpc_call_batch_begin(call);
    }
    pthread_mutex_unlock(&call->lock);
    if (count > 0) {
        rpc_start_batch(core, ops, count, &call->send_tag);
    }
}

static void send_complete(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = container_of(tag, struct rpc_call, send_tag);
    struct rpc_outbox *box = &call->outbox;

    pthread_mutex_lock(&call->lock);
    grpc_byte_buffer *const sent = box->sending.message;
    box->bytes -= box->sending.bytes;
    box->sending = (struct rpc_outgoing){0};
    box->in_flight = false;
    if (!ok) {
        rpc_outbox_drop_all(call); /* the end of the call is on its way and tells why */
    }
    const bool is_writable =
        box->was_full && box->count <= messages_max(call) / 2 && box->bytes <= bytes_max(call) / 2;
    if (is_writable) {
        box->was_full = false;
    }
    const bool is_told = ok && is_writable && !call->is_done && !box->finish_wanted;
    pthread_mutex_unlock(&call->lock);

    if (sent != NULL) {
        grpc_byte_buffer_destroy(sent);
    }
    if (ok) {
        rpc_outbox_pump(call);
    }
    if (is_told && call->method->on_writable != NULL) {
        call->method->on_writable(call);
    }
    rpc_call_batch_end(call);
}

void rpc_outbox_init(struct rpc_call *call)
{
    call->send_tag.complete = send_complete;
    call->outbox.status_text = grpc_empty_slice();
}

void rpc_outbox_fini(struct rpc_call *call)
{
    struct rpc_outbox *box = &call->outbox;
    rpc_outbox_drop_all(call);
    free(box->ring);
    grpc_slice_unref(box->status_text);
    if (box->trailers_count > 0) {
        grpc_slice_unref(box->trailer.value);
    }
}
