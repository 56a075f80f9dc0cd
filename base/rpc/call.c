/* What both sides of a call share: its life, its end, and the receiving side.
 *
 * The core call lives until every batch is back and on_done has returned; the struct lives as long
 * as anyone holds a reference. In between, sends answer CLOSED. */
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "base/rpc/internal.h"

static void read_complete(struct rpc_tag *tag, bool ok);
static void end_complete(struct rpc_tag *tag, bool ok);

struct rpc_call *rpc_call_new(const struct rpc_method *method, struct rpc_queue *queue,
                              grpc_call *core)
{
    struct rpc_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        return NULL;
    }
    call->method = method;
    call->queue = queue;
    call->core = core;
    call->deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    call->end_text = grpc_empty_slice();
    call->read_tag.complete = read_complete;
    call->end_tag.complete = end_complete;
    atomic_init(&call->references, 1); /* of this layer, until the core call is released */
    pthread_mutex_init(&call->lock, NULL);
    grpc_metadata_array_init(&call->headers);
    grpc_metadata_array_init(&call->trailers);
    rpc_outbox_init(call);
    return call;
}

void rpc_ref(struct rpc_call *call)
{
    atomic_fetch_add_explicit(&call->references, 1, memory_order_relaxed);
}

void rpc_unref(struct rpc_call *call)
{
    if (call == NULL ||
        atomic_fetch_sub_explicit(&call->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    rpc_outbox_fini(call);
    grpc_metadata_array_destroy(&call->headers);
    grpc_metadata_array_destroy(&call->trailers);
    for (size_t i = 0; i < call->own_headers_count; i++) {
        grpc_slice_unref(call->own_headers[i].key);
        grpc_slice_unref(call->own_headers[i].value);
    }
    free(call->own_headers);
    grpc_slice_unref(call->end_text);
    gpr_free((void *)(uintptr_t)call->end_error);
    pthread_mutex_destroy(&call->lock);
    free(call);
}

void rpc_call_batch_begin(struct rpc_call *call)
{
    assert(call->core != NULL);
    call->batches++;
}

void rpc_call_batch_end(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->batches--;
    grpc_call *const core = call->core;
    const bool is_over = call->batches == 0 && call->is_told;
    if (is_over) {
        call->core = NULL;
        call->has_headers = false; /* the elements were the core call's */
    }
    pthread_mutex_unlock(&call->lock);
    if (!is_over) {
        return;
    }
    struct rpc_server *const server = call->server;
    grpc_call_unref(core);
    if (server != NULL) {
        rpc_server_forget(server, call);
    }
    rpc_unref(call);
}

/* ---- The end ---- */

static void tell_done(struct rpc_call *call)
{
    char text[RPC_MESSAGE_TEXT_MAX + 1] = "";
    struct rpc_result result = {.message = text, .is_cancelled = call->is_cancelled != 0};
    grpc_slice message = call->end_text;
    bool has_status = true;

    pthread_mutex_lock(&call->lock);
    rpc_outbox_drop_all(call);
    if (call->server != NULL) {
        has_status = call->outbox.finish_wanted;
        message = call->outbox.status_text;
    }
    const grpc_status_code status = call->server == NULL ? call->end_status : call->outbox.status;
    pthread_mutex_unlock(&call->lock);

    result.status = has_status ? (enum rpc_status)status : RPC_CANCELLED;
    const size_t length = GRPC_SLICE_LENGTH(message);
    const size_t kept = length < RPC_MESSAGE_TEXT_MAX ? length : RPC_MESSAGE_TEXT_MAX;
    memcpy(text, GRPC_SLICE_START_PTR(message), kept);
    text[kept] = '\0';
    for (size_t i = 0; i < call->trailers.count; i++) {
        const grpc_metadata *trailer = &call->trailers.metadata[i];
        if (grpc_slice_str_cmp(trailer->key, "grpc-status-details-bin") == 0) {
            result.details = GRPC_SLICE_START_PTR(trailer->value);
            result.details_bytes = GRPC_SLICE_LENGTH(trailer->value);
        }
    }
    if (call->method->on_done != NULL) {
        call->method->on_done(call, &result);
    }
    pthread_mutex_lock(&call->lock);
    call->is_told = true;
    pthread_mutex_unlock(&call->lock);
}

/* A client's status may overtake the last message, which is then delivered first. True: on_done has
 * come.  */
static void client_end(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    const bool is_now = call->is_ended && !call->is_reading && !call->is_done;
    if (is_now) {
        call->is_done = true;
    }
    pthread_mutex_unlock(&call->lock);
    if (is_now) {
        tell_done(call);
    }
}

static void end_complete(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = container_of(tag, struct rpc_call, end_tag);
    (void)ok; /* these two operations always succeed */

    pthread_mutex_lock(&call->lock);
    call->is_ended = true;
    if (call->server != NULL) {
        call->is_done = true;
    }
    pthread_mutex_unlock(&call->lock);
    if (call->server != NULL) {
        tell_done(call);
    } else {
        client_end(call);
    }
    rpc_call_batch_end(call);
}

void rpc_call_watch_end(struct rpc_call *call)
{
    grpc_op op = {.op = call->server != NULL ? GRPC_OP_RECV_CLOSE_ON_SERVER
                                             : GRPC_OP_RECV_STATUS_ON_CLIENT};
    if (call->server != NULL) {
        op.data.recv_close_on_server.cancelled = &call->is_cancelled;
    } else {
        op.data.recv_status_on_client.trailing_metadata = &call->trailers;
        op.data.recv_status_on_client.status = &call->end_status;
        op.data.recv_status_on_client.status_details = &call->end_text;
        op.data.recv_status_on_client.error_string = &call->end_error;
    }
    pthread_mutex_lock(&call->lock);
    rpc_call_batch_begin(call);
    grpc_call *const core = call->core;
    pthread_mutex_unlock(&call->lock);
    rpc_start_batch(core, &op, 1, &call->end_tag);
}

void rpc_cancel(struct rpc_call *call, enum rpc_status status, const char *message)
{
    char text[RPC_MESSAGE_TEXT_MAX + 1] = "";
    if (message != NULL) {
        memcpy(text, message, strnlen(message, RPC_MESSAGE_TEXT_MAX));
    }
    pthread_mutex_lock(&call->lock);
    rpc_outbox_drop_all(call);
    if (!call->outbox.finish_wanted) {
        call->outbox.finish_wanted = true;
        call->outbox.finish_sent = true;
        call->outbox.status = (grpc_status_code)status;
        call->outbox.status_text = grpc_slice_from_copied_string(text);
    }
    if (call->core != NULL) {
        (void)grpc_call_cancel_with_status(call->core, (grpc_status_code)status, text, NULL);
    }
    pthread_mutex_unlock(&call->lock);
}

void rpc_call_drain(struct rpc_call *call, void *unused)
{
    (void)unused;
    if (rpc_is_done(call)) {
        return;
    }
    if (call->method->on_drain != NULL) {
        call->method->on_drain(call);
    } else {
        rpc_finish(call, RPC_UNAVAILABLE, "server shutting down");
    }
}

/* ---- Receiving ---- */

/* In manual mode each read takes a credit; the first one is given at the start. */
void rpc_call_read(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    const bool has_credit = !call->method->is_manual_read || call->read_credits > 0;
    const bool is_wanted = has_credit && call->may_read && !call->is_reading &&
                           !call->is_read_closed && !call->is_done && call->core != NULL;
    grpc_call *const core = call->core;
    if (is_wanted) {
        call->read_credits -= call->method->is_manual_read ? 1 : 0;
        call->is_reading = true;
        rpc_call_batch_begin(call);
    }
    pthread_mutex_unlock(&call->lock);
    if (is_wanted) {
        grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
        op.data.recv_message.recv_message = &call->received;
        rpc_start_batch(core, &op, 1, &call->read_tag);
    }
}

void rpc_call_read_first(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->may_read = true;
    if (call->read_credits < UINT32_MAX) {
        call->read_credits++;
    }
    pthread_mutex_unlock(&call->lock);
    rpc_call_read(call);
}

void rpc_read_more(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    if (call->read_credits < UINT32_MAX) {
        call->read_credits++;
    }
    pthread_mutex_unlock(&call->lock);
    rpc_call_read(call);
}

static void deliver_slice(struct rpc_call *call, const grpc_slice *slice)
{
    call->delivered = slice;
    call->method->on_message(call, GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
    call->delivered = NULL;
}

/* A message in one piece is used where it is; else it is put together in a copy. */
static void deliver(struct rpc_call *call, grpc_byte_buffer *buffer)
{
    if (call->method->on_message == NULL) {
        return;
    }
    grpc_byte_buffer_reader reader;
    if (grpc_byte_buffer_reader_init(&reader, buffer) == 0) {
        rpc_cancel(call, RPC_INTERNAL, "the message cannot be read");
        return;
    }
    grpc_slice *first = NULL;
    if (grpc_byte_buffer_length(buffer) == 0) {
        call->method->on_message(call, (const uint8_t *)"", 0);
    } else if (grpc_byte_buffer_reader_peek(&reader, &first) != 0 &&
               GRPC_SLICE_LENGTH(*first) == grpc_byte_buffer_length(buffer)) {
        deliver_slice(call, first);
    } else {
        grpc_byte_buffer_reader_destroy(&reader);
        (void)grpc_byte_buffer_reader_init(&reader, buffer);
        grpc_slice whole = grpc_byte_buffer_reader_readall(&reader);
        deliver_slice(call, &whole);
        grpc_slice_unref(whole);
    }
    grpc_byte_buffer_reader_destroy(&reader);
}

/* The core reads into pieces of at most 64 KiB, which hold whatever came together. */
#define KEPT_BYTES_MIN 16384

bool rpc_message_keep(const struct rpc_call *call, const uint8_t *bytes, size_t length,
                      struct rpc_bytes *out)
{
    if (call->delivered == NULL || length < KEPT_BYTES_MIN ||
        length < GRPC_SLICE_LENGTH(*call->delivered) / 4) {
        return false;
    }
    const uint8_t *begin = GRPC_SLICE_START_PTR(*call->delivered);
    if (bytes < begin || bytes + length > begin + GRPC_SLICE_LENGTH(*call->delivered)) {
        return false;
    }
    *out = rpc_slice_bytes(grpc_slice_sub(*call->delivered, (size_t)(bytes - begin),
                                          (size_t)(bytes - begin) + length));
    return true;
}

/* No buffer is the half-close or a failure; which of them, only the end tells. */
static void read_closed(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->is_read_closed = true;
    const bool is_done = call->is_done;
    pthread_mutex_unlock(&call->lock);
    if (call->server == NULL || is_done) {
        return;
    }
    if (call->method->is_single_request && call->messages_received == 0) {
        rpc_finish(call, RPC_UNIMPLEMENTED, "one request message is expected, none came");
    } else if (call->method->on_half_close != NULL) {
        call->method->on_half_close(call);
    }
}

static void message_arrived(struct rpc_call *call, grpc_byte_buffer *buffer)
{
    call->messages_received++;
    atomic_store(&call->has_spoken, true);
    if (call->server != NULL && call->method->is_single_request && call->messages_received > 1) {
        rpc_finish(call, RPC_UNIMPLEMENTED, "one request message is expected, a second one came");
        return;
    }
    deliver(call, buffer);
    rpc_call_read(call);
}

static void read_complete(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = container_of(tag, struct rpc_call, read_tag);
    grpc_byte_buffer *const buffer = call->received;
    call->received = NULL;

    pthread_mutex_lock(&call->lock);
    call->is_reading = false;
    const bool is_done = call->is_done;
    pthread_mutex_unlock(&call->lock);
    if (buffer == NULL || !ok) {
        read_closed(call);
    } else if (!is_done) {
        message_arrived(call, buffer);
    }
    if (buffer != NULL) {
        grpc_byte_buffer_destroy(buffer);
    }
    if (call->server == NULL) {
        client_end(call);
    }
    rpc_call_batch_end(call);
}

/* ---- What callers may ask ---- */

void rpc_set_user_data(struct rpc_call *call, void *user_data)
{
    call->user_data = user_data;
}

void *rpc_user_data(const struct rpc_call *call)
{
    return call->user_data;
}

void *rpc_method_context(const struct rpc_call *call)
{
    return call->method->context;
}

const char *rpc_path(const struct rpc_call *call)
{
    return call->method->path;
}

bool rpc_is_done(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    const bool is_done = call->is_done;
    pthread_mutex_unlock(&call->lock);
    return is_done;
}

uint64_t rpc_dropped(struct rpc_call *call)
{
    return atomic_load_explicit(&call->dropped, memory_order_relaxed);
}

uint64_t rpc_deadline_remaining_ns(const struct rpc_call *call)
{
    const gpr_timespec never = gpr_inf_future(call->deadline.clock_type);
    if (gpr_time_cmp(call->deadline, never) == 0) {
        return UINT64_MAX;
    }
    const gpr_timespec left = gpr_time_sub(call->deadline, gpr_now(call->deadline.clock_type));
    if (left.tv_sec < 0 || (left.tv_sec == 0 && left.tv_nsec <= 0)) {
        return 0;
    }
    return (uint64_t)left.tv_sec * UINT64_C(1000000000) + (uint64_t)left.tv_nsec;
}
