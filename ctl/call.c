/* One call: the rpc thread puts a message down, the main thread takes it and asks for the next. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/connection.h"
#include "ctl/stop.h"

#define STATUS_BYTES 640

struct call {
    struct connection *connection;
    const char *path;
    struct rpc_call *rpc;
    int event_fd;
    uint8_t *taken;       /* what call_next has handed out */
    pthread_mutex_t lock; /* over what follows */
    uint8_t *message;     /* put down, not taken yet */
    size_t length;
    bool has_message, is_done;
    bool has_answered; /* there was a message */
    bool is_short;     /* no memory for a message */
    enum rpc_status status;
    char text[STATUS_BYTES];
};

static void wake(struct call *call)
{
    const uint64_t one = 1;

    (void)!write(call->event_fd, &one, sizeof(one));
}

static void on_message(struct rpc_call *rpc, const uint8_t *bytes, size_t length)
{
    struct call *call = rpc_user_data(rpc);
    uint8_t *copy = malloc(length + 1); /* an empty message is one, too */

    if (copy != NULL) {
        memcpy(copy, bytes, length);
    }
    (void)pthread_mutex_lock(&call->lock);
    call->message = copy;
    call->length = length;
    call->has_message = copy != NULL;
    call->has_answered = true;
    call->is_short = copy == NULL;
    (void)pthread_mutex_unlock(&call->lock);
    if (copy == NULL) {
        rpc_cancel(rpc, RPC_RESOURCE_EXHAUSTED, "no memory");
    }
    wake(call);
}

static void on_done(struct rpc_call *rpc, const struct rpc_result *result)
{
    struct call *call = rpc_user_data(rpc);

    (void)pthread_mutex_lock(&call->lock);
    call->is_done = true;
    call->status = call->is_short ? RPC_RESOURCE_EXHAUSTED : result->status;
    (void)snprintf(call->text, sizeof(call->text), "%.600s",
                   call->is_short ? "no memory for an answer" : result->message);
    wake(call);
    (void)pthread_mutex_unlock(&call->lock);
}

/* It outlives its calls: the rpc thread may look at it a moment longer than at a call. */
static const struct rpc_method *method_of(struct connection *connection, const char *path)
{
    struct rpc_method *method = connection->methods;
    unsigned i = 0;

    while (i < connection->methods_count && strcmp(method[i].path, path) != 0) {
        i++;
    }
    assert(i < CONNECTION_METHODS_MAX);
    if (i == connection->methods_count) {
        connection->methods_count++;
        method[i] = (struct rpc_method){
            .path = path, .on_message = on_message, .on_done = on_done, .is_manual_read = true};
    }
    return &method[i];
}

struct call *call_new(struct connection *connection, const char *path, const uint8_t *request,
                      size_t length, struct error *err)
{
    struct call *call = calloc(1, sizeof(*call));
    const struct rpc_call_options options = {
        .bearer = connection->token[0] != '\0' ? connection->token : NULL,
        .user_data = call,
        .is_single_request = true,
        .request = rpc_bytes_copy(request, length),
    };

    if (call == NULL) {
        struct rpc_bytes bytes = options.request;

        rpc_bytes_unref(&bytes);
        (void)error_set(err, ENOMEM, "no memory for a call");
        return NULL;
    }
    call->connection = connection;
    call->path = path;
    call->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&call->lock, NULL);
    call->rpc = rpc_call_start(connection->channel, method_of(connection, path), &options, err);
    if (call->rpc == NULL) {
        call->is_done = true;
        call_free(call);
        return NULL;
    }
    return call;
}

static bool is_done(struct call *call)
{
    (void)pthread_mutex_lock(&call->lock);
    const bool done = call->is_done;
    (void)pthread_mutex_unlock(&call->lock);
    return done;
}

void call_free(struct call *call)
{
    if (call == NULL) {
        return;
    }
    if (!is_done(call)) {
        rpc_cancel(call->rpc, RPC_CANCELLED, "not wanted any more");
    }
    while (!is_done(call)) {
        struct pollfd wait = {.fd = call->event_fd, .events = POLLIN};
        uint64_t ignored;

        (void)poll(&wait, 1, 100);
        (void)!read(call->event_fd, &ignored, sizeof(ignored));
    }
    rpc_unref(call->rpc);
    (void)close(call->event_fd);
    (void)pthread_mutex_destroy(&call->lock);
    free(call->message);
    free(call->taken);
    free(call);
}

/* What is there without waiting. False: nothing yet. */
static bool take_waiting(struct call *call, enum call_event *event, const uint8_t **bytes,
                         size_t *length)
{
    bool is_there = true;

    (void)pthread_mutex_lock(&call->lock);
    if (call->has_message) {
        free(call->taken);
        call->taken = call->message;
        call->message = NULL;
        call->has_message = false;
        *bytes = call->taken;
        *length = call->length;
        *event = CALL_MESSAGE;
    } else {
        is_there = call->is_done;
        *event = CALL_ENDED;
    }
    (void)pthread_mutex_unlock(&call->lock);
    if (is_there && *event == CALL_MESSAGE) {
        rpc_read_more(call->rpc);
    }
    return is_there;
}

enum call_event call_next(struct call *call, uint64_t patience_ns, const uint8_t **bytes,
                          size_t *length)
{
    const uint64_t until_ns = clock_monotonic_ns() + patience_ns;
    enum call_event event = CALL_ENDED;

    for (bool is_late = false;;) {
        struct pollfd wait[] = {{.fd = call->event_fd, .events = POLLIN},
                                {.fd = stop_fd(), .events = POLLIN}};
        uint64_t ignored;

        (void)!read(call->event_fd, &ignored, sizeof(ignored));
        if (stop_is_wanted()) {
            return CALL_STOPPED;
        }
        if (take_waiting(call, &event, bytes, length)) {
            return event;
        }
        const uint64_t now_ns = clock_monotonic_ns();

        if (patience_ns != 0 && now_ns >= until_ns && !is_late) {
            rpc_cancel(call->rpc, RPC_DEADLINE_EXCEEDED, "nothing came");
            is_late = true;
        }
        (void)poll(wait, 2,
                   patience_ns == 0 || is_late ? -1 : (int)((until_ns - now_ns) / NS_PER_MS) + 1);
    }
}

enum rpc_status call_status(const struct call *call)
{
    return call->status;
}

enum ctl_exit call_end(const struct call *call, struct error *err)
{
    if (call->status == RPC_UNAVAILABLE && call->has_answered) {
        (void)error_set(err, ECONNRESET, "%s broke off: %s", call->connection->target, call->text);
        return CTL_UNREACHED;
    }
    return call->status == RPC_UNIMPLEMENTED && !call->connection->is_explaining
               ? explain_missing(call->connection, call->path, call->text, err)
               : explain(call->connection, call->status, call->text, err);
}

enum ctl_exit ask(struct connection *connection, const char *path, const uint8_t *request,
                  size_t length, struct answer *answer, struct error *err)
{
    AUTO(call) call = call_new(connection, path, request, length, err);
    const uint8_t *bytes = NULL;
    size_t got = 0;
    enum call_event event;

    *answer = (struct answer){.status = RPC_UNKNOWN};
    if (call == NULL) {
        return CTL_FAILED;
    }
    while ((event = call_next(call, connection->timeout_ns, &bytes, &got)) == CALL_MESSAGE) {
        free(answer->bytes);
        answer->bytes = call->taken;
        answer->length = got;
        call->taken = NULL;
    }
    if (event == CALL_STOPPED) {
        answer->status = RPC_CANCELLED;
        return CTL_INTERRUPTED;
    }
    answer->status = call->status;
    return call_end(call, err);
}

enum ctl_exit each_message(struct connection *connection, const char *path,
                           const struct request *request, const struct output *out, bool is_endless,
                           void (*take)(void *context, const uint8_t *bytes, size_t length),
                           void *context, struct error *err)
{
    AUTO(call) call = call_new(connection, path, request->bytes, request->length, err);
    const uint64_t patience_ns = is_endless ? 0 : connection->timeout_ns;
    const uint8_t *bytes = NULL;
    size_t length = 0;
    enum call_event event = CALL_ENDED;

    if (call == NULL) {
        return CTL_FAILED;
    }
    while (output_is_open(out) &&
           (event = call_next(call, patience_ns, &bytes, &length)) == CALL_MESSAGE) {
        take(context, bytes, length);
    }
    if (event == CALL_STOPPED || stop_is_wanted()) {
        return is_endless ? CTL_OK : CTL_INTERRUPTED;
    }
    return output_is_open(out) ? call_end(call, err) : CTL_OK; /* nobody reads any more */
}
