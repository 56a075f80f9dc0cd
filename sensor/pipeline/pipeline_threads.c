/* The threads of a pipeline: started, stopped and joined. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/pipeline/live_run.h"
#include "sensor/pipeline/pipeline_private.h"

#define LIVE_WAIT_NS (100 * NS_PER_MS)

static void on_live_frames(void *context, const struct frame *frames, uint32_t count)
{
    const struct shard_thread *self = context;
    struct pipeline *pipeline = self->pipeline;

    if (pipeline->settings.count_max > 0) {
        const uint64_t before =
            atomic_fetch_add_explicit(&pipeline->live_count.value, count, memory_order_relaxed);

        if (before >= pipeline->settings.count_max) {
            return;
        }
        if (before + count >= pipeline->settings.count_max) {
            count = (uint32_t)(pipeline->settings.count_max - before);
            pipeline_stop(pipeline);
        }
    }
    shard_live_frames(pipeline->shards[self->index], frames, count);
}

static void run_live_shard(struct shard_thread *self)
{
    const struct pipeline *pipeline = self->pipeline;
    const struct live_run run = {.input = capture_live_shard(pipeline->live, self->index),
                                 .shard = pipeline->shards[self->index],
                                 .handover = pipeline->handover,
                                 .index = self->index,
                                 .wait_ns = pipeline->settings.capture.timeout_ns > 0
                                                ? pipeline->settings.capture.timeout_ns
                                                : LIVE_WAIT_NS,
                                 .on_frames = on_live_frames,
                                 .context = self};

    live_run(&run);
}

static void *run_shard(void *argument)
{
    struct shard_thread *self = argument;
    struct pipeline *pipeline = self->pipeline;

    if (pipeline_is_live(pipeline)) {
        run_live_shard(self);
    } else if (pipeline->settings.shards > 1) {
        reader_shard_run(pipeline->reader, self->index);
    } else {
        pipeline->result = reader_run(pipeline->reader, &pipeline->fault);
    }
    return NULL;
}

static void *run_reader(void *argument)
{
    struct shard_thread *self = argument;

    self->pipeline->result = reader_run(self->pipeline->reader, &self->pipeline->fault);
    return NULL;
}

static int start_thread(struct pipeline *pipeline, struct shard_thread *thread, uint32_t index,
                        void *(*run)(void *), struct error *err)
{
    thread->pipeline = pipeline;
    thread->index = index;
    const struct cpu_list *cpus = &pipeline->settings.cpus;
    pthread_attr_t attributes;
    int code = pthread_attr_init(&attributes);

    if (code == 0 && cpus->count > 0 && run == run_shard) {
        code = -cpu_list_pin(&attributes, cpus->cpus[index % cpus->count]);
    }
    if (code == 0) {
        code = pthread_create(&thread->thread, &attributes, run, thread);
    }
    (void)pthread_attr_destroy(&attributes);
    if (code != 0) {
        return error_set(err, code, "shard thread %u: %s", index, strerror(code));
    }
    thread->is_started = true;
    return 0;
}

/* A thread could not be made: ends those that run, so that the pipeline may be freed. */
static void abandon_start(struct pipeline *pipeline)
{
    struct error ignored = {0};

    pipeline_stop(pipeline);
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        if (!pipeline->threads[i].is_started) {
            if (pipeline->handover != NULL) { /* nobody shall wait for it */
                handover_reached(pipeline->handover, i, HANDOVER_RECEIVED, UINT64_MAX);
                handover_reached(pipeline->handover, i, HANDOVER_SETTLED, UINT64_MAX);
            }
            atomic_store_explicit(&pipeline->outlets[i].is_finished, true, memory_order_release);
        }
    }
    if (pipeline->reader != NULL && pipeline->settings.shards > 1) {
        /* Stopped, it only tells the shards that it is over. */
        pipeline->result = reader_run(pipeline->reader, &ignored);
    }
    if (pipeline_join(pipeline, &ignored) != 0) {
        log_warn("pipeline", "ended at the start", "reason=\"%s\"", ignored.message);
    }
}

int pipeline_start(struct pipeline *pipeline, struct error *err)
{
    int result = publisher_start(pipeline->publisher, err);

    for (uint32_t i = 0; result == 0 && i < pipeline->settings.shards; i++) {
        result = start_thread(pipeline, &pipeline->threads[i], i, run_shard, err);
    }
    if (result == 0 && pipeline->reader != NULL && pipeline->settings.shards > 1) {
        result = start_thread(pipeline, &pipeline->reader_thread, 0, run_reader, err);
    }
    if (result != 0) {
        abandon_start(pipeline);
    }
    return result;
}

void pipeline_stop(struct pipeline *pipeline)
{
    if (!atomic_exchange(&pipeline->stop, true) && pipeline->live != NULL) {
        capture_live_stop(pipeline->live);
    }
}

bool pipeline_is_finished(const struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        if (!atomic_load_explicit(&pipeline->outlets[i].is_finished, memory_order_acquire)) {
            return false;
        }
    }
    return true;
}

bool pipeline_has_ended(const struct pipeline *pipeline)
{
    return publisher_has_ended(pipeline->publisher);
}

/* First failure that a sink keeps, into `err`. */
static int sink_failures(const struct pipeline *pipeline, struct error *err)
{
    for (uint32_t i = 0; i < pipeline->settings.sinks_count; i++) {
        const struct sink *sink = &pipeline->settings.sinks[i];
        const char *failure = sink->ops->failure == NULL ? NULL : sink->ops->failure(sink->state);

        if (failure != NULL) {
            return error_set(err, EIO, "%s: %s", sink->ops->name, failure);
        }
    }
    return 0;
}

int pipeline_join(struct pipeline *pipeline, struct error *err)
{
    if (pipeline->reader_thread.is_started) {
        (void)pthread_join(pipeline->reader_thread.thread, NULL);
        pipeline->reader_thread.is_started = false;
    }
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        if (pipeline->threads[i].is_started) {
            (void)pthread_join(pipeline->threads[i].thread, NULL);
            pipeline->threads[i].is_started = false;
        }
    }
    publisher_join(pipeline->publisher);
    atomic_store(&pipeline->is_finished, true);
    int result = pipeline->result;

    if (result != 0) {
        *err = pipeline->fault;
    }
    struct error failed = {0};
    const int closed = pipeline_pcap_close(pipeline, &failed);

    if (result == 0 && closed != 0) {
        result = closed;
        *err = failed;
    }
    return result != 0 ? result : sink_failures(pipeline, err);
}
