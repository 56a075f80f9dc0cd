#include "sensor/pipeline/pipeline.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/pipeline/pipeline_private.h"

/* Of a capture file; further interfaces go by the name of the first. */
#define INTERFACE_NAMES_MAX 1024

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
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

/* What the input is called, and who keeps the names of its interfaces: of a file that the caller
 * has named, nobody. */
static void settle_names(struct pipeline *pipeline)
{
    if (!pipeline_is_live(pipeline)) {
        (void)snprintf(pipeline->file_name, sizeof(pipeline->file_name), "%s",
                       base_name(pipeline->settings.capture.read_paths[0]));
        if (pipeline->settings.flow.interface.length == 0) {
            pipeline->settings.flow.interface = pipeline_text(pipeline->file_name);
        } else {
            name_table_free(pipeline->names); /* told by the caller: the same for all */
            pipeline->names = NULL;
        }
    }
    pipeline->settings.flow.names = pipeline->settings.capture.names = pipeline->names;
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
    settle_names(pipeline);
    return pipeline_make_parts(pipeline, warning, err) == 0 ? TAKE(pipeline) : NULL;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (pipeline == NULL) {
        return;
    }
    reader_free(pipeline->reader);
    capture_live_close(pipeline->live);
    struct error err = {0};

    if (pipeline_pcap_close(pipeline, &err) != 0) {
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

uint32_t pipeline_ask(struct pipeline *pipeline, struct shard_question *const *questions)
{
    uint32_t asked = 0;

    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        asked += shard_ask(pipeline->shards[i], questions[i]);
    }
    return asked;
}
