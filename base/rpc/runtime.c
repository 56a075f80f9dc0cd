#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/rpc/internal.h"

#define QUEUES_MAX 64

void rpc_start_batch(grpc_call *core, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
    TSAN_RELEASE(tag);
    const grpc_call_error result = grpc_call_start_batch(core, ops, count, tag, NULL);
    assert(result == GRPC_CALL_OK);
    (void)result;
}

/* ---- Posted work ---- */

static void run_posted(struct rpc_posted *posted)
{
    while (posted != NULL) {
        struct rpc_posted *const next = posted->next;
        if (posted->call != NULL) {
            posted->run_call(posted->call, posted->argument);
            rpc_unref(posted->call);
        } else {
            posted->run(posted->argument);
        }
        free(posted);
        posted = next;
    }
}

static void wake_locked(struct rpc_queue *queue)
{
    if (!queue->wake_pending) {
        queue->wake_pending = true;
        rpc_start_batch(queue->wake_call, NULL, 0, &queue->wake_tag);
    }
}

static void wake_complete(struct rpc_tag *tag, bool ok)
{
    struct rpc_queue *queue = container_of(tag, struct rpc_queue, wake_tag);
    (void)ok;

    pthread_mutex_lock(&queue->lock);
    struct rpc_posted *posted = queue->posted_first;
    queue->posted_first = NULL;
    queue->posted_end = &queue->posted_first;
    queue->wake_pending = false;
    pthread_mutex_unlock(&queue->lock);
    run_posted(posted);
}

bool rpc_queue_post(struct rpc_queue *queue, const struct rpc_posted *what)
{
    struct rpc_posted *posted = malloc(sizeof *posted);
    if (posted == NULL) {
        return false;
    }
    *posted = *what;
    posted->next = NULL;

    pthread_mutex_lock(&queue->lock);
    const bool is_open = !queue->is_closing;
    if (is_open && posted->due_ns != 0) {
        struct rpc_posted **at = &queue->delayed;
        while (*at != NULL && (*at)->due_ns <= posted->due_ns) {
            at = &(*at)->next;
        }
        posted->next = *at;
        *at = posted;
    } else if (is_open) {
        *queue->posted_end = posted;
        queue->posted_end = &posted->next;
    }
    if (is_open) {
        if (posted->call != NULL) {
            rpc_ref(posted->call);
        }
        wake_locked(queue);
    }
    pthread_mutex_unlock(&queue->lock);
    if (!is_open) {
        free(posted);
    }
    return is_open;
}

/* Takes out what is due and returns when the next one is (UINT64_MAX: none). */
static uint64_t run_delayed(struct rpc_queue *queue, uint64_t now_ns)
{
    pthread_mutex_lock(&queue->lock);
    struct rpc_posted *due = queue->delayed;
    struct rpc_posted **end = &queue->delayed;
    while (*end != NULL && (*end)->due_ns <= now_ns) {
        end = &(*end)->next;
    }
    if (end == &queue->delayed) {
        due = NULL;
    } else {
        struct rpc_posted *const rest = *end;
        *end = NULL;
        queue->delayed = rest;
    }
    pthread_mutex_unlock(&queue->lock);
    run_posted(due);

    pthread_mutex_lock(&queue->lock);
    const uint64_t next_ns = queue->delayed == NULL ? UINT64_MAX : queue->delayed->due_ns;
    pthread_mutex_unlock(&queue->lock);
    return next_ns;
}

/* ---- Threads ----
 * The queues are polled by threads of our own: the callback kind of completion queue does not work
 * on Linux without the C++ layer (its pollers do not run in the background, so connections time
 * out). One thread a queue keeps the callbacks of a call in order. */
static void *queue_thread(void *argument)
{
    struct rpc_queue *queue = argument;
    uint64_t next_ns = UINT64_MAX;

    for (;;) {
        const uint64_t now_ns = clock_monotonic_ns();
        const gpr_timespec until = next_ns == UINT64_MAX
                                       ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                                       : rpc_time_from_now(next_ns > now_ns ? next_ns - now_ns : 0);
        const grpc_event event = grpc_completion_queue_next(queue->cq, until, NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            break;
        }
        if (event.type == GRPC_OP_COMPLETE) {
            struct rpc_tag *tag = event.tag;
            TSAN_ACQUIRE(tag);
            tag->complete(tag, event.success != 0);
            if (tag != &queue->wake_tag && next_ns == UINT64_MAX) {
                continue;
            }
        }
        next_ns = run_delayed(queue, clock_monotonic_ns());
    }
    wake_complete(&queue->wake_tag, false); /* what was posted last still runs */
    (void)run_delayed(queue, UINT64_MAX);
    return NULL;
}

static int queue_start(struct rpc_queue *queue, grpc_channel *lame)
{
    queue->posted_end = &queue->posted_first;
    queue->wake_tag.complete = wake_complete;
    pthread_mutex_init(&queue->lock, NULL);
    queue->cq = grpc_completion_queue_create_for_next(NULL);
    queue->wake_call =
        grpc_channel_create_call(lame, NULL, 0, queue->cq, grpc_slice_from_static_string("/wake"),
                                 NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    const int error = pthread_create(&queue->thread, NULL, queue_thread, queue);
    queue->has_thread = error == 0;
    if (queue->has_thread) {
        (void)pthread_setname_np(queue->thread, "rpc");
    }
    return error;
}

static void queue_stop(struct rpc_queue *queue)
{
    if (queue->cq == NULL) {
        return;
    }
    pthread_mutex_lock(&queue->lock);
    queue->is_closing = true;
    pthread_mutex_unlock(&queue->lock);
    grpc_call_unref(queue->wake_call);
    grpc_completion_queue_shutdown(queue->cq);
    if (queue->has_thread) {
        pthread_join(queue->thread, NULL);
    } else {
        while (
            grpc_completion_queue_next(queue->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
            GRPC_QUEUE_SHUTDOWN) {
        }
    }
    grpc_completion_queue_destroy(queue->cq);
    pthread_mutex_destroy(&queue->lock);
}

void rpc_process_begin(void)
{
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

struct rpc_runtime *rpc_runtime_new(const struct rpc_runtime_options *options, struct error *err)
{
    const unsigned wanted = options == NULL || options->queues == 0 ? 1 : options->queues;
    if (wanted > QUEUES_MAX) {
        error_set(err, EINVAL, "rpc: %u queues asked for, at most %u are possible", wanted,
                  QUEUES_MAX);
        return NULL;
    }
    struct rpc_runtime *runtime = calloc(1, sizeof *runtime + wanted * sizeof runtime->queues[0]);
    if (runtime == NULL) {
        error_set(err, ENOMEM, "rpc: no memory for the runtime");
        return NULL;
    }
    runtime->queues_count = wanted;
    pthread_mutex_init(&runtime->lock, NULL);
    gpr_set_log_function(rpc_core_log);
    rpc_process_begin();
    grpc_init();

    grpc_channel *lame =
        grpc_lame_client_channel_create("wake", GRPC_STATUS_UNAVAILABLE, "not a channel");
    int error = 0;
    for (unsigned i = 0; i < wanted && error == 0; i++) {
        error = queue_start(&runtime->queues[i], lame);
    }
    grpc_channel_destroy(lame);
    if (error != 0) {
        error_set(err, error, "rpc: a thread cannot be started: %s", strerror(error));
        rpc_runtime_free(runtime);
        return NULL;
    }
    return runtime;
}

void rpc_runtime_free(struct rpc_runtime *runtime)
{
    if (runtime == NULL) {
        return;
    }
    for (unsigned i = 0; i < runtime->queues_count; i++) {
        queue_stop(&runtime->queues[i]);
    }
    grpc_shutdown(); /* from an ordinary thread it is synchronous */
    rpc_tls_sources_free(runtime->tls_sources);
    pthread_mutex_destroy(&runtime->lock);
    free(runtime);
}

struct rpc_queue *rpc_runtime_pick(struct rpc_runtime *runtime)
{
    return &runtime
                ->queues[atomic_fetch_add_explicit(&runtime->next_queue, 1, memory_order_relaxed) %
                         runtime->queues_count];
}

bool rpc_runtime_post(struct rpc_runtime *runtime, void (*run)(void *argument), void *argument)
{
    return rpc_queue_post(&runtime->queues[0],
                          &(struct rpc_posted){.run = run, .argument = argument});
}

bool rpc_runtime_post_after(struct rpc_runtime *runtime, uint64_t delay_ns,
                            void (*run)(void *argument), void *argument)
{
    const uint64_t now_ns = clock_monotonic_ns();
    const uint64_t due_ns = delay_ns < UINT64_MAX - now_ns ? now_ns + delay_ns : UINT64_MAX;
    return rpc_queue_post(&runtime->queues[0],
                          &(struct rpc_posted){.run = run, .argument = argument, .due_ns = due_ns});
}

bool rpc_post(struct rpc_call *call, void (*run)(struct rpc_call *call, void *argument),
              void *argument)
{
    return rpc_queue_post(
        call->queue, &(struct rpc_posted){.run_call = run, .call = call, .argument = argument});
}
