/* Calls to a dialed sensor. What comes back is noted on gRPC's thread; all else is the source's. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/ingest/dial_private.h"

#define RETRY_MAX_NS (UINT64_C(3600) * NS_PER_SEC)

static void on_message(struct rpc_call *rpc, const uint8_t *bytes, size_t length)
{
    struct dial_call *call = rpc_user_data(rpc);
    struct dial_source *source = call->dial->source;
    uint8_t *copy = malloc(length + 1);

    if (copy == NULL) {
        rpc_cancel(rpc, RPC_RESOURCE_EXHAUSTED, "the collector has no memory for a message");
        return;
    }
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    (void)pthread_mutex_lock(&source->lock);
    free(call->message); /* none, unless GetInfo is answered twice */
    call->message = copy;
    call->length = length;
    source->has_news = true;
    (void)pthread_cond_signal(&source->wake);
    (void)pthread_mutex_unlock(&source->lock);
}

static void on_done(struct rpc_call *rpc, const struct rpc_result *result)
{
    struct dial_call *call = rpc_user_data(rpc);
    struct dial_source *source = call->dial->source;
    const uint64_t retry_ns = ingest_retry_delay(result->details, result->details_bytes);

    (void)pthread_mutex_lock(&source->lock);
    call->is_over = true;
    call->status = result->status;
    call->retry_ns = retry_ns < RETRY_MAX_NS ? retry_ns : RETRY_MAX_NS;
    (void)snprintf(call->reason, sizeof(call->reason), "%.*s", (int)sizeof(call->reason) - 1,
                   result->message);
    source->has_news = true;
    (void)pthread_cond_signal(&source->wake);
    (void)pthread_mutex_unlock(&source->lock); /* the dial may be gone from here on */
}

bool dial_call_start(struct dial_call *call, const char *path, const uint8_t *request,
                     size_t length, const char *bearer, uint64_t timeout_ns, struct error *err)
{
    struct rpc_call_options options = {.timeout_ns = timeout_ns,
                                       .bearer = bearer,
                                       .user_data = call,
                                       .is_single_request = true,
                                       .request = rpc_bytes_copy(request, length)};

    call->method = (struct rpc_method){
        .path = path, .on_message = on_message, .on_done = on_done, .is_manual_read = true};
    call->call = rpc_call_start(call->dial->channel, &call->method, &options, err);
    return call->call != NULL;
}

uint8_t *dial_call_message(struct dial_call *call, size_t *length)
{
    struct dial_source *source = call->dial->source;

    (void)pthread_mutex_lock(&source->lock);
    uint8_t *message = call->message;

    *length = call->length;
    call->message = NULL;
    (void)pthread_mutex_unlock(&source->lock);
    return message;
}

bool dial_call_is_over(struct dial_call *call)
{
    struct dial_source *source = call->dial->source;

    (void)pthread_mutex_lock(&source->lock);
    const bool is_over = call->is_over;
    (void)pthread_mutex_unlock(&source->lock);
    return is_over;
}

void dial_call_clear(struct dial_call *call)
{
    rpc_unref(call->call);
    free(call->message);
    *call = (struct dial_call){.dial = call->dial};
}
