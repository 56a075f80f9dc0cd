/* The parts of a pipeline, each made from the settings of the whole. */
#include <errno.h>
#include <string.h>

#include "sensor/pipeline/pipeline_private.h"

#define NAME_SLOTS  1024 /* answers of one shard on their way to the publisher */
#define EPOCH_SLOTS 32   /* seconds of one shard on their way to the publisher, and back */

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

/* ---- parts ---- */

static int make_outlets(struct pipeline *pipeline, struct error *err)
{
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        struct shard_outlet *outlet = &pipeline->outlets[i];

        outlet->batches = ring_new(pipeline->settings.batches_per_shard);
        outlet->epochs = ring_new(EPOCH_SLOTS);
        outlet->epochs_free = ring_new(EPOCH_SLOTS);
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
        .flow = &pipeline->settings.flow,
        .labels = from->labels,
        .assets_max = from->assets_max,
        .evidence = {.shards = from->shards,
                     .packets = evidence_packets(pipeline),
                     .per_second = from->evidence_per_second,
                     .key = from->flow.key,
                     .rules = from->rules,
                     .flow = &pipeline->settings.flow},
        .held_batches = from->batches_per_shard / 2,
        .is_live = pipeline_is_live(pipeline),
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
        .unread_links = &pipeline->unread_links,
        .era = pipeline_is_live(pipeline) ? &pipeline->era : NULL};

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

int pipeline_make_parts(struct pipeline *pipeline, struct error *warning, struct error *err)
{
    /* The input first: its faults are the likely ones, and cheap to find before memory is taken. */
    if (open_input(pipeline, warning, err) != 0 || pipeline_pcap_open(pipeline, err) != 0 ||
        open_taps(pipeline, err) != 0 || open_handover(pipeline, err) != 0 ||
        make_outlets(pipeline, err) != 0 || make_publisher(pipeline, err) != 0) {
        return -err->code;
    }
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        if (make_shard(pipeline, i, err) != 0) {
            return -err->code;
        }
    }
    return 0;
}
