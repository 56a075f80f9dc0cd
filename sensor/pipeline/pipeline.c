#include "sensor/pipeline/pipeline.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/pipeline/live_run.h"
#include "sensor/pipeline/pipeline_private.h"

#define LIVE_WAIT_NS (100 * NS_PER_MS)
#define NAME_SLOTS   1024 /* answers of one shard on their way to the publisher */
/* Of a capture file; further interfaces go by the name of the first. */
#define INTERFACE_NAMES_MAX 1024

/* Closes the pcap file, if there is one; its figures stay. */
static int close_pcap(struct pipeline *pipeline, struct error *err)
{
    struct pcap_writer_counts *written = &pipeline->pcap_counts;

    if (pipeline->pcap == NULL) {
        return 0;
    }
    (void)pthread_mutex_lock(&pipeline->pcap_lock);
    int result = pcap_writer_close(pipeline->pcap, written, err);

    pipeline->pcap = NULL;
    (void)pthread_mutex_unlock(&pipeline->pcap_lock);
    if (result == 0 && written->disk_full > 0) {
        result =
            error_set(err, ENOSPC, "%s: the disk was full: %llu packets were not written",
                      pipeline->settings.write_pcap->path, (unsigned long long)written->disk_full);
    }
    if (result == 0 && written->last_trouble != 0) {
        result = error_set(err, written->last_trouble, "%s: %s: %llu packets were not written",
                           pipeline->settings.write_pcap->path, strerror(written->last_trouble),
                           (unsigned long long)written->failed);
    }
    if (result == 0 && written->link_type_refused > 0) {
        result = error_set(
            err, EPROTOTYPE,
            "%s: a pcap file has one link type: %llu packets of another one than the "
            "first were not written",
            pipeline->settings.write_pcap->path, (unsigned long long)written->link_type_refused);
    }
    return result;
}

/* ---- callbacks of the publisher, handed on with the owner's context ---- */

static void on_alert(void *context, const struct alert_record *alert)
{
    const struct pipeline *pipeline = context;

    if (pipeline->settings.on_alert != NULL) {
        pipeline->settings.on_alert(pipeline->settings.context, alert);
    }
}

static void on_stats(void *context, const struct stats_record *record)
{
    struct pipeline *pipeline = context;

    pipeline_health_add(&pipeline->health, record);
    if (pipeline->settings.on_stats != NULL) {
        pipeline->settings.on_stats(pipeline->settings.context, record);
    }
}

static void on_line(void *context, const char *text, uint32_t length)
{
    const struct pipeline *pipeline = context;

    if (pipeline->settings.on_line != NULL) {
        pipeline->settings.on_line(pipeline->settings.context, text, length);
    }
}

/* ---- building ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static int make_outlets(struct pipeline *pipeline, struct error *err)
{
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        struct shard_outlet *outlet = &pipeline->outlets[i];

        outlet->batches = ring_new(pipeline->settings.batches_per_shard);
        outlet->epochs = ring_new(32);
        outlet->epochs_free = ring_new(32);
        if (pipeline->settings.names.answers_max > 0) {
            outlet->names.queue = name_queue_new(NAME_SLOTS);
            if (outlet->names.queue == NULL) {
                return error_set(err, ENOMEM, "names: no memory for the queue of shard %u", i);
            }
        }
        if (outlet->batches == NULL || outlet->epochs == NULL || outlet->epochs_free == NULL) {
            return error_set(err, ENOMEM, "pipeline: no memory for rings of shard %u", i);
        }
    }
    return 0;
}

static uint32_t epochs_per_shard(const struct pipeline *pipeline)
{
    return SHARD_EPOCHS + (pipeline->handover != NULL ? SHARD_EPOCHS_HANDED : 0);
}

/* A shard's memory for evidence is that of all its seconds: open, under way, and kept. */
static uint32_t evidence_packets(const struct pipeline *pipeline)
{
    return pipeline->settings.detection.enabled
               ? evidence_room(pipeline->settings.evidence_bytes /
                               (epochs_per_shard(pipeline) + EVIDENCE_HISTORY + 1))
               : 0;
}

static int make_publisher(struct pipeline *pipeline, struct error *err)
{
    const struct pipeline_settings *from = &pipeline->settings;
    struct publisher_settings settings = {
        .identity = {pipeline_text(from->sensor_id), pipeline_text(from->boot_id), 0},
        .outlets = pipeline->outlets,
        .shards = from->shards,
        .sinks_count = from->sinks_count,
        .queue_batches = from->queue_batches,
        .is_lossless = from->is_lossless,
        .flush_ns = from->flush_ns,
        .stop = &pipeline->stop,
        .detection = from->detection.enabled ? &pipeline->settings.detection : NULL,
        .learnt = from->learnt,
        .epochs_per_shard = epochs_per_shard(pipeline),
        .sketch_seed = &pipeline->sketch_seed,
        .detection_now = &pipeline->detection_now,
        .names = from->names,
        .labels = from->labels,
        .assets_max = from->assets_max,
        .evidence = {.shards = from->shards,
                     .packets = evidence_packets(pipeline),
                     .per_second = from->evidence_per_second,
                     .key = from->flow.key,
                     .rules = from->rules,
                     .flow = &pipeline->settings.flow},
        .held_batches = from->batches_per_shard / 2,
        .fill_stats = pipeline_fill_stats,
        .on_alert = on_alert,
        .on_stats = on_stats,
        .on_line = on_line,
        .context = pipeline};

    memcpy(settings.sinks, from->sinks, sizeof(settings.sinks));
    pipeline->publisher = publisher_new(&settings, err);
    return pipeline->publisher == NULL ? -err->code : 0;
}

/* A file with several shards has one table, the reader's, so that their number makes no difference.
 */
static struct fragment_settings fragments_of_shard(const struct pipeline *pipeline)
{
    struct fragment_settings settings = pipeline->settings.fragments;
    const uint32_t shards = pipeline->settings.shards;

    if (!pipeline_is_live(pipeline) && shards > 1) {
        settings.datagrams_max = 0;
    } else {
        settings.datagrams_max = (settings.datagrams_max + shards - 1) / shards;
        settings.held_max = (settings.held_max + shards - 1) / shards;
    }
    return settings;
}

static int make_shard(struct pipeline *pipeline, uint32_t index, struct error *err)
{
    const struct pipeline_settings *from = &pipeline->settings;
    const struct shard_settings settings = {
        .index = index,
        .shards_count = from->shards,
        .flow = from->flow,
        .inspect = {.flows_max = (from->inspect.flows_max + from->shards - 1) / from->shards,
                    .memory_bytes = from->inspect.memory_bytes / from->shards,
                    .dns_timeout_ns = from->inspect.dns_timeout_ns,
                    .stream_bytes = from->inspect.stream_bytes,
                    .datagrams_max =
                        (from->inspect.datagrams_max + from->shards - 1) / from->shards,
                    .datagram_timeout_ns = from->inspect.datagram_timeout_ns,
                    .held_bytes = from->inspect.held_bytes / from->shards},
        .detection = from->detection.enabled ? &pipeline->settings.detection : NULL,
        .sketch_seed = &pipeline->sketch_seed,
        .detection_now = &pipeline->detection_now,
        .outlet = &pipeline->outlets[index],
        .publisher_wake = publisher_wake(pipeline->publisher),
        .sensor_id = pipeline_text(from->sensor_id),
        .boot_id = pipeline_text(from->boot_id),
        .interface = from->flow.interface,
        .batches = from->batches_per_shard,
        .is_lossless = !pipeline_is_live(pipeline),
        .rules = from->rules,
        .verify_checksums = from->verify_checksums,
        .sample_payload = from->sample_payload,
        .samples_per_second = from->samples_per_second / from->shards,
        .sample_bytes = from->sample_bytes,
        .evidence_packets = evidence_packets(pipeline),
        .dns_records = from->dns_records,
        .names = from->names.answers_max > 0 ? &pipeline->outlets[index].names : NULL,
        .has_labels = from->labels != NULL,
        .lines = from->lines,
        .packet_index = &pipeline->packet_index,
        .pcap = pipeline->pcap,
        .taps = pipeline->taps,
        .fragments = fragments_of_shard(pipeline),
        .assets_max = from->assets_max,
        .handover = pipeline->handover,
        .unread_links = &pipeline->unread_links};

    pipeline->shards[index] = shard_new(&settings, err);
    return pipeline->shards[index] == NULL ? -err->code : 0;
}

/* In the order of their numbers. */
static void name_interfaces(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < capture_live_interfaces(pipeline->live); i++) {
        struct capture_interface_status status;

        capture_live_status(pipeline->live, i, &status);
        (void)name_table_add(pipeline->names, status.name, strlen(status.name));
    }
}

static int open_input(struct pipeline *pipeline, struct error *warning, struct error *err)
{
    const struct pipeline_settings *from = &pipeline->settings;

    if (pipeline_is_live(pipeline)) {
        pipeline->live = capture_live_open(&from->capture, from->shards, warning, err);
        if (pipeline->live != NULL) {
            name_interfaces(pipeline);
        }
        return pipeline->live == NULL ? -err->code : 0;
    }
    struct reader_settings settings = {.capture = from->capture,
                                       .count_max = from->count_max,
                                       .is_paced = from->is_paced,
                                       .is_looped = from->is_looped,
                                       .key = from->flow.key,
                                       .rules = from->rules,
                                       .fragments = from->fragments,
                                       .packet_options =
                                           from->verify_checksums ? PACKET_CHECKSUMS : 0,
                                       .shards = pipeline->shards,
                                       .shards_count = from->shards,
                                       .stop = &pipeline->stop};

    settings.capture.stop = &pipeline->stop;
    pipeline->reader = reader_new(&settings, err);
    return pipeline->reader == NULL ? -err->code : 0;
}

static void wake_shard(void *context, uint32_t shard)
{
    const struct pipeline *pipeline = context;

    capture_wake(capture_live_shard(pipeline->live, shard));
}

static int open_handover(struct pipeline *pipeline, struct error *err)
{
    if (!pipeline_is_live(pipeline) || pipeline->settings.shards == 1) {
        return 0;
    }
    pipeline->handover = handover_new(pipeline->settings.shards, pipeline->settings.handover_bytes,
                                      wake_shard, pipeline, err);
    return pipeline->handover == NULL ? -err->code : 0;
}

void pipeline_write_name(void *context, uint16_t interface, char *out, size_t capacity)
{
    const struct pipeline *pipeline = context;
    const struct record_text name = pipeline_interface_name(pipeline, interface);

    (void)snprintf(out, capacity, "%.*s", (int)name.length, name.length > 0 ? name.data : "");
}

/* The pcap file keeps the input's link type and resolution. */
static int open_pcap(struct pipeline *pipeline, struct error *err)
{
    if (pipeline->settings.write_pcap == NULL) {
        return 0;
    }
    struct pcap_writer_settings settings = *pipeline->settings.write_pcap;

    settings.producers = pipeline->settings.shards;
    settings.link_type = PCAP_WRITER_LINK_OF_FIRST;
    settings.is_nanosecond = true;
    settings.is_lossless = !pipeline_is_live(pipeline);
    settings.name_of = pipeline_write_name;
    settings.name_context = pipeline;
    if (pipeline->reader != NULL) {
        struct capture_progress progress;

        reader_progress(pipeline->reader, &progress);
        settings.is_nanosecond = progress.is_nanosecond;
    }
    pipeline->pcap = pcap_writer_open(&settings, err);
    return pipeline->pcap == NULL ? -err->code : 0;
}

static int open_taps(struct pipeline *pipeline, struct error *err)
{
    if (pipeline->reader != NULL) {
        struct capture_progress progress;

        reader_progress(pipeline->reader, &progress);
        pipeline->first_link_type = progress.link_type;
    }
    pipeline->taps = tap_set_new(&pipeline->settings.taps, pipeline->settings.shards, err);
    return pipeline->taps == NULL ? -err->code : 0;
}

/* A fragment that has waited in vain must find its flow, if there is one, still there: half the
 * idle timeout is the longest wait. */
static void settle_fragments(struct pipeline *pipeline)
{
    struct fragment_settings *fragments = &pipeline->settings.fragments;
    const uint64_t idle_ns = pipeline->settings.flow.idle_timeout_ns;
    uint64_t *timeouts[] = {&fragments->timeout_v4_ns, &fragments->timeout_v6_ns};

    fragments->key = pipeline->settings.flow.key;
    for (size_t i = 0; i < ARRAY_COUNT(timeouts); i++) {
        if (idle_ns > 0 && *timeouts[i] > idle_ns / 2) {
            *timeouts[i] = idle_ns / 2;
        }
    }
}

struct pipeline *pipeline_new(const struct pipeline_settings *settings, struct error *warning,
                              struct error *err)
{
    assert(settings->shards >= 1 && settings->shards <= PUBLISHER_SHARDS_MAX);
    AUTO(pipeline) pipeline = calloc(1, sizeof(*pipeline));

    if (pipeline == NULL) {
        error_set(err, ENOMEM, "pipeline: no memory");
        return NULL;
    }
    (void)pthread_mutex_init(&pipeline->pcap_lock, NULL);
    pipeline->settings = *settings;
    pipeline->names = name_table_new(INTERFACE_NAMES_MAX);
    if (pipeline->names == NULL) {
        error_set(err, ENOMEM, "pipeline: no memory");
        return NULL;
    }
    settle_fragments(pipeline);
    pipeline->settings.capture.key = settings->flow.key;
    atomic_init(&pipeline->sketch_seed, settings->detection.seed);
    atomic_init(&pipeline->detection_now, &pipeline->settings.detection);
    atomic_init(&pipeline->config_hash, settings->config_hash);
    pipeline->started_ns = clock_monotonic_ns();
    flow_budget_init(&pipeline->budget, settings->flow.flows_max);
    if (settings->shards > 1) {
        pipeline->settings.flow.budget = &pipeline->budget;
    }
    if (!pipeline_is_live(pipeline)) {
        (void)snprintf(pipeline->file_name, sizeof(pipeline->file_name), "%s",
                       base_name(settings->capture.read_paths[0]));
        if (pipeline->settings.flow.interface.length == 0) {
            pipeline->settings.flow.interface = pipeline_text(pipeline->file_name);
        } else {
            name_table_free(pipeline->names); /* told by the caller: the same for all */
            pipeline->names = NULL;
        }
    }
    pipeline->settings.flow.names = pipeline->settings.capture.names = pipeline->names;
    /* The input first: its faults are the likely ones, and cheap to find before memory is taken. */
    if (open_input(pipeline, warning, err) != 0 || open_pcap(pipeline, err) != 0 ||
        open_taps(pipeline, err) != 0 || open_handover(pipeline, err) != 0 ||
        make_outlets(pipeline, err) != 0 || make_publisher(pipeline, err) != 0) {
        return NULL;
    }
    for (uint32_t i = 0; i < settings->shards; i++) {
        if (make_shard(pipeline, i, err) != 0) {
            return NULL;
        }
    }
    return TAKE(pipeline);
}

void pipeline_free(struct pipeline *pipeline)
{
    if (pipeline == NULL) {
        return;
    }
    reader_free(pipeline->reader);
    capture_live_close(pipeline->live);
    struct error err = {0};

    if (close_pcap(pipeline, &err) != 0) {
        log_error("pipeline", "the pcap file was not closed in order", NULL);
    }
    (void)pthread_mutex_destroy(&pipeline->pcap_lock);
    publisher_free(pipeline->publisher);
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        shard_free(pipeline->shards[i]);
        ring_free(pipeline->outlets[i].batches);
        ring_free(pipeline->outlets[i].epochs);
        ring_free(pipeline->outlets[i].epochs_free);
        name_queue_free(pipeline->outlets[i].names.queue);
    }
    tap_set_free(pipeline->taps);
    handover_free(pipeline->handover);
    name_table_free(pipeline->names);
    free(pipeline);
}

/* ---- threads ---- */

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
    shard_frames(pipeline->shards[self->index], frames, count, NULL);
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

bool pipeline_pcap_failed(const struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        if (counter_get(&shard_counts_of(pipeline->shards[i])->pcap_failed) > 0) {
            return true;
        }
    }
    return false;
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
    const int closed = close_pcap(pipeline, &failed);

    if (result == 0 && closed != 0) {
        result = closed;
        *err = failed;
    }
    return result != 0 ? result : sink_failures(pipeline, err);
}

uint32_t pipeline_ask(struct pipeline *pipeline, struct shard_question *const *questions)
{
    uint32_t asked = 0;

    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        asked += shard_ask(pipeline->shards[i], questions[i]);
    }
    return asked;
}
