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
#include "base/name_table.h"
#include "base/process.h"
#include "sensor/pipeline/reader.h"

#define LIVE_WAIT_NS (100 * NS_PER_MS)
#define NAME_SLOTS   1024 /* answers of one shard on their way to the publisher */
/* Of a capture file; further interfaces go by the name of the first. */
#define INTERFACE_NAMES_MAX 1024

struct shard_thread {
    struct pipeline *pipeline;
    uint32_t index;
    pthread_t thread;
    bool is_started;
};

struct pipeline {
    struct pipeline_settings settings;
    struct shard_outlet outlets[PUBLISHER_SHARDS_MAX];
    struct shard *shards[PUBLISHER_SHARDS_MAX];
    struct shard_thread threads[PUBLISHER_SHARDS_MAX];
    struct shard_thread reader_thread;
    struct flow_budget budget;
    struct publisher *publisher;
    struct reader *reader;     /* files */
    struct capture_live *live; /* interfaces */
    struct pcap_writer *pcap;
    pthread_mutex_t pcap_lock; /* servers may ask for figures while the end closes the file */
    uint64_t pcap_dropped;     /* after that */
    struct counter packet_index;
    struct counter live_count; /* packets taken towards count_max */
    uint64_t started_ns;
    uint64_t lost_told; /* lost packets at the last second's statistics */
    char file_name[48];
    struct name_table *names; /* of frame.interface */
    atomic_bool stop, is_finished;
    int result;
    struct error fault;
};

static bool is_live(const struct pipeline *pipeline)
{
    return pipeline->settings.capture.read_paths_count == 0;
}

uint32_t pipeline_shards(const struct pipeline *pipeline)
{
    return pipeline->settings.shards;
}

void pipeline_names_read(struct pipeline *pipeline, struct pipeline_names *out)
{
    const struct name_join_counts *counts = publisher_names(pipeline->publisher);

    *out = (struct pipeline_names){0};
    if (counts == NULL) {
        return;
    }
    out->answers_used = counter_get(&counts->answers_used);
    out->answers_max = counter_get(&counts->answers_max);
    out->added = counter_get(&counts->added);
    out->replaced = counter_get(&counts->replaced);
    out->refused = counter_get(&counts->refused);
    out->memory_bytes = counter_get(&counts->memory_bytes);
    out->named_servers = counter_get(&counts->named_servers);
    out->named_clients = counter_get(&counts->named_clients);
    out->no_room = counter_get(&counts->no_room);
    out->early = counter_get(&counts->early);
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        out->lost += counter_get(&shard_counts_of(pipeline->shards[i])->lost_names);
    }
}

const struct publisher_counts *pipeline_publisher_counts(const struct pipeline *pipeline)
{
    return publisher_counts_of(pipeline->publisher);
}

uint64_t pipeline_owed(const struct pipeline *pipeline)
{
    return publisher_owed(pipeline->publisher);
}

/* ---- figures ---- */

static void add_shard(struct pipeline_totals *out, const struct shard_counts *counts)
{
    const uint64_t last_ns = counter_get(&counts->last_packet_ns);

    out->packets += counter_get(&counts->frames);
    out->bytes += counter_get(&counts->bytes);
    out->dispatch_dropped += counter_get(&counts->lost_records) + counter_get(&counts->lost_lines);
    out->lost_packets += counter_get(&counts->lost_packets);
    out->malformed += counter_get(&counts->malformed);
    out->truncated += counter_get(&counts->truncated);
    out->unsupported += counter_get(&counts->unsupported);
    out->non_ip += counter_get(&counts->non_ip);
    out->not_in_flow += counter_get(&counts->not_in_flow);
    for (unsigned reason = 0; reason < DECODE_REASON_COUNT; reason++) {
        out->not_in_flow_by[reason] += counter_get(&counts->not_in_flow_by[reason]);
        for (unsigned layer = 0; layer < LAYER_COUNT; layer++) {
            out->decode_faults[layer][reason] += counter_get(&counts->decode_faults[layer][reason]);
        }
    }
    out->tunnels_full += counter_get(&counts->tunnels_full);
    out->checksum_bad += counter_get(&counts->checksum_bad);
    out->late += counter_get(&counts->late_packets);
    out->flow_packets += counter_get(&counts->flow_packets);
    out->reported_packets += counter_get(&counts->reported_packets);
    out->flows_active += counter_get(&counts->flows_active);
    out->flows_max += counter_get(&counts->flows_max);
    out->flows_created += counter_get(&counts->flows_created);
    out->flows_evicted += counter_get(&counts->flows_evicted);
    out->flow_table_bytes += counter_get(&counts->flow_table_bytes);
    out->inspect_bytes += counter_get(&counts->inspect_bytes);
    out->samples += counter_get(&counts->samples);
    out->last_packet_ns = last_ns > out->last_packet_ns ? last_ns : out->last_packet_ns;
}

static uint64_t pcap_dropped(struct pipeline *pipeline)
{
    (void)pthread_mutex_lock(&pipeline->pcap_lock);
    uint64_t dropped = pipeline->pcap_dropped;

    if (pipeline->pcap != NULL) {
        struct pcap_writer_counts written;

        pcap_writer_counts_read(pipeline->pcap, &written);
        dropped = written.dropped + written.link_type_refused;
    }
    (void)pthread_mutex_unlock(&pipeline->pcap_lock);
    return dropped;
}

/* Closes the pcap file, if there is one; its figures stay. */
static int close_pcap(struct pipeline *pipeline, struct error *err)
{
    struct pcap_writer_counts written = {0};

    if (pipeline->pcap == NULL) {
        return 0;
    }
    (void)pthread_mutex_lock(&pipeline->pcap_lock);
    int result = pcap_writer_close(pipeline->pcap, &written, err);

    pipeline->pcap = NULL;
    pipeline->pcap_dropped = written.dropped + written.link_type_refused;
    (void)pthread_mutex_unlock(&pipeline->pcap_lock);
    if (result == 0 && written.link_type_refused > 0) {
        result = error_set(
            err, EPROTOTYPE,
            "%s: a pcap file has one link type: %llu packets of another one than the "
            "first were not written",
            pipeline->settings.write_pcap->path, (unsigned long long)written.link_type_refused);
    }
    return result;
}

void pipeline_totals_read(struct pipeline *pipeline, struct pipeline_totals *out)
{
    *out = (struct pipeline_totals){0};
    for (uint32_t i = 0; i < pipeline->settings.shards; i++) {
        add_shard(out, shard_counts_of(pipeline->shards[i]));
    }
    for (uint32_t i = 0; pipeline->live != NULL && i < capture_live_interfaces(pipeline->live);
         i++) {
        struct capture_interface_status status;

        capture_live_status(pipeline->live, i, &status);
        out->kernel_dropped += status.sum.kernel_dropped;
        out->interface_dropped += status.sum.interface_dropped;
    }
    out->pcap_dropped = pcap_dropped(pipeline);
    out->detectors_bytes = counter_get(&publisher_counts_of(pipeline->publisher)->detectors_bytes);
    if (pipeline->reader != NULL) {
        const struct reader_counts *counts = reader_counts_of(pipeline->reader);

        out->file_bytes_read = counter_get(&counts->file_bytes_read);
        out->file_bytes_total = counter_get(&counts->file_bytes_total);
        out->kernel_dropped = counter_get(&counts->kernel_dropped);
        out->interface_dropped = counter_get(&counts->interface_dropped);
    }
}

static struct record_text text_of(const char *text)
{
    return (struct record_text){text, text == NULL ? 0 : (uint32_t)strlen(text)};
}

uint32_t pipeline_interfaces(struct pipeline *pipeline, struct stats_interface *rows,
                             uint32_t rows_max)
{
    const struct capture_settings *capture = &pipeline->settings.capture;
    uint32_t written = 0;

    if (pipeline->reader != NULL && rows_max > 0) {
        const struct reader_counts *counts = reader_counts_of(pipeline->reader);

        rows[written++] =
            (struct stats_interface){.name = text_of(pipeline->file_name),
                                     .filter = text_of(capture->filter),
                                     .received_packets = counter_get(&counts->packets),
                                     .received_bytes = counter_get(&counts->bytes),
                                     .kernel_dropped = counter_get(&counts->kernel_dropped),
                                     .interface_dropped = counter_get(&counts->interface_dropped),
                                     .up = !atomic_load(&pipeline->is_finished)};
        return written;
    }
    for (uint32_t i = 0; pipeline->live != NULL && i < capture_live_interfaces(pipeline->live) &&
                         written < rows_max;
         i++) {
        struct capture_interface_status status;

        capture_live_status(pipeline->live, i, &status);
        rows[written++] = (struct stats_interface){
            .name = flow_interface_name(&pipeline->settings.flow, (uint16_t)i),
            .filter = text_of(capture->filter),
            .linktype = status.link_type,
            .snaplen = capture->snaplen_bytes,
            .received_packets = status.sum.received,
            .received_bytes = status.sum.processed_bytes,
            .kernel_dropped = status.sum.kernel_dropped,
            .interface_dropped = status.sum.interface_dropped,
            .promiscuous = capture->is_promiscuous,
            .up = status.state == CAPTURE_UP};
    }
    return written;
}

uint32_t pipeline_shard_rows(struct pipeline *pipeline, struct stats_shard *rows, uint32_t rows_max)
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < pipeline->settings.shards && written < rows_max; i++) {
        const struct shard_counts *counts = shard_counts_of(pipeline->shards[i]);

        rows[written++] =
            (struct stats_shard){.shard = i,
                                 .ring_used = ring_used(pipeline->outlets[i].batches),
                                 .ring_size = ring_capacity(pipeline->outlets[i].batches),
                                 .ring_high_water = (uint32_t)counter_get(&counts->ring_high_water),
                                 .packets = counter_get(&counts->frames),
                                 .bytes = counter_get(&counts->bytes),
                                 .flows_active = counter_get(&counts->flows_active),
                                 .flows_max = counter_get(&counts->flows_max),
                                 .evicted = counter_get(&counts->flows_evicted)};
    }
    return written;
}

uint32_t pipeline_sink_rows(struct pipeline *pipeline, struct stats_sink *rows, uint32_t rows_max)
{
    return publisher_sink_rows(pipeline->publisher, rows, rows_max);
}

static void add_reason(struct stats_ledger_row *row, const char *reason, uint64_t count)
{
    row->lost[row->lost_count++] = (struct stats_ledger_reason){reason, count};
}

/* INTERFACE and KERNEL as a capture file tells of the machine that wrote it. */
static uint32_t file_rows(struct pipeline *pipeline, struct stats_ledger_row *rows)
{
    const struct reader_counts *counts = reader_counts_of(pipeline->reader);
    const uint64_t packets = counter_get(&counts->packets);
    const uint64_t by_kernel = counter_get(&counts->kernel_dropped);
    const uint64_t by_interface = counter_get(&counts->interface_dropped);

    if (by_kernel == 0 && by_interface == 0) { /* most files say nothing */
        return 0;
    }
    rows[0] = (struct stats_ledger_row){.stage = LEDGER_INTERFACE,
                                        .unit = "packets",
                                        .in = packets + by_kernel + by_interface,
                                        .out = packets + by_kernel};
    add_reason(&rows[0], "interface_dropped", by_interface);
    rows[1] = (struct stats_ledger_row){
        .stage = LEDGER_KERNEL, .unit = "packets", .in = packets + by_kernel, .out = packets};
    add_reason(&rows[1], "ring_full", by_kernel);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(rows[i].name, sizeof(rows[i].name), "%s", pipeline->file_name);
    }
    return 2;
}

/* INTERFACE and KERNEL, one of each an interface. */
static uint32_t live_rows(struct pipeline *pipeline, struct stats_ledger_row *rows,
                          uint32_t rows_max)
{
    uint32_t written = 0;

    for (uint32_t i = 0; pipeline->live != NULL && i < capture_live_interfaces(pipeline->live) &&
                         written + 2 <= rows_max;
         i++) {
        struct capture_interface_status status;

        capture_live_status(pipeline->live, i, &status);
        const struct capture_counts *sum = &status.sum;
        struct stats_ledger_row *row = &rows[written++];

        *row = (struct stats_ledger_row){.stage = LEDGER_INTERFACE,
                                         .unit = "packets",
                                         .in = sum->received + sum->interface_dropped,
                                         .out = sum->received};
        memcpy(row->name, status.name, sizeof(status.name));
        add_reason(row, "interface_dropped", sum->interface_dropped);
        row = &rows[written++];
        *row = (struct stats_ledger_row){
            .stage = LEDGER_KERNEL, .unit = "packets", .in = sum->received, .out = sum->processed};
        memcpy(row->name, status.name, sizeof(status.name));
        add_reason(row, "ring_full", sum->kernel_dropped);
        add_reason(row, "before_start", sum->precut);
        const uint64_t gone = sum->processed + sum->kernel_dropped + sum->precut;

        row->held = row->in > gone ? row->in - gone : 0;
    }
    return written;
}

uint32_t pipeline_ledger(struct pipeline *pipeline, struct stats_ledger_row *rows,
                         uint32_t rows_max)
{
    struct pipeline_totals totals;
    uint32_t written = pipeline->reader != NULL && rows_max >= 2
                           ? file_rows(pipeline, rows)
                           : live_rows(pipeline, rows, rows_max);

    pipeline_totals_read(pipeline, &totals);
    if (written + 3 > rows_max) {
        return written;
    }
    rows[written++] = (struct stats_ledger_row){
        .stage = LEDGER_CAPTURE, .unit = "packets", .in = totals.packets, .out = totals.packets};
    struct stats_ledger_row *row = &rows[written++];

    *row = (struct stats_ledger_row){.stage = LEDGER_DECODE,
                                     .unit = "packets",
                                     .in = totals.packets,
                                     .out = totals.packets - totals.not_in_flow};
    add_reason(row, "non_ip", totals.not_in_flow_by[DECODE_WHOLE]);
    for (unsigned reason = DECODE_WHOLE + 1; reason < DECODE_REASON_COUNT; reason++) {
        add_reason(row, decode_reason_name((enum decode_reason)reason),
                   totals.not_in_flow_by[reason]);
    }
    row = &rows[written++];
    *row = (struct stats_ledger_row){.stage = LEDGER_FLOW,
                                     .unit = "packets",
                                     .in = totals.flow_packets,
                                     .out = totals.reported_packets - totals.lost_packets,
                                     .held = totals.flow_packets - totals.reported_packets};
    add_reason(row, "no_batch", totals.lost_packets);
    written += publisher_ledger(pipeline->publisher, rows + written, rows_max - written);
    return written;
}

static void fill_stats(void *context, struct stats_record *record)
{
    struct pipeline *pipeline = context;
    struct pipeline_totals totals;

    pipeline_totals_read(pipeline, &totals);
    const uint64_t lost = totals.kernel_dropped + totals.interface_dropped + totals.lost_packets;

    record->totals.lost_packets = lost - pipeline->lost_told;
    pipeline->lost_told = lost;
    record->packets_total = totals.packets;
    record->bytes_total = totals.bytes;
    record->uptime_ns = clock_monotonic_ns() - pipeline->started_ns;
    record->flow_table_bytes = totals.flow_table_bytes;
    record->detectors_bytes = totals.detectors_bytes;
    record->rss_bytes = process_resident_bytes();
    record->version = text_of(NETSCOPE_VERSION);
    record->config_hash = text_of(pipeline->settings.config_hash);
    record->interfaces_count = pipeline_interfaces(pipeline, record->interfaces, STATS_ROWS_MAX);
    record->shards_count = pipeline_shard_rows(pipeline, record->shards, STATS_ROWS_MAX);
    /* The publisher adds its own rows: keep to the packet stages here. */
    struct stats_ledger_row rows[STATS_ROWS_MAX];
    const uint32_t count = pipeline_ledger(pipeline, rows, STATS_ROWS_MAX);

    for (uint32_t i = 0; i < count && rows[i].stage < LEDGER_PUBLISH; i++) {
        record->ledger[record->ledger_count++] = rows[i];
    }
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
    const struct pipeline *pipeline = context;

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

static int make_publisher(struct pipeline *pipeline, struct error *err)
{
    const struct pipeline_settings *from = &pipeline->settings;
    struct publisher_settings settings = {
        .identity = {text_of(from->sensor_id), text_of(from->boot_id), 0},
        .outlets = pipeline->outlets,
        .shards = from->shards,
        .sinks_count = from->sinks_count,
        .queue_batches = from->queue_batches,
        .is_lossless = from->is_lossless,
        .flush_ns = from->flush_ns,
        .stop = &pipeline->stop,
        .detection = from->detection.enabled ? &pipeline->settings.detection : NULL,
        .epochs_per_shard = SHARD_EPOCHS,
        .names = from->names,
        .held_batches = from->batches_per_shard / 2,
        .fill_stats = fill_stats,
        .on_alert = on_alert,
        .on_stats = on_stats,
        .on_line = on_line,
        .context = pipeline};

    memcpy(settings.sinks, from->sinks, sizeof(settings.sinks));
    pipeline->publisher = publisher_new(&settings, err);
    return pipeline->publisher == NULL ? -err->code : 0;
}

static int make_shard(struct pipeline *pipeline, uint32_t index, struct error *err)
{
    const struct pipeline_settings *from = &pipeline->settings;
    const struct shard_settings settings = {
        .index = index,
        .flow = from->flow,
        .inspect = {.flows_max = (from->inspect.flows_max + from->shards - 1) / from->shards,
                    .memory_bytes = from->inspect.memory_bytes / from->shards,
                    .dns_timeout_ns = from->inspect.dns_timeout_ns,
                    .stream_bytes = from->inspect.stream_bytes,
                    .held_bytes = from->inspect.held_bytes / from->shards},
        .detection = from->detection.enabled ? &pipeline->settings.detection : NULL,
        .outlet = &pipeline->outlets[index],
        .publisher_wake = publisher_wake(pipeline->publisher),
        .sensor_id = text_of(from->sensor_id),
        .boot_id = text_of(from->boot_id),
        .interface = from->flow.interface,
        .batches = from->batches_per_shard,
        .is_lossless = !is_live(pipeline),
        .rules = from->rules,
        .verify_checksums = from->verify_checksums,
        .sample_payload = from->sample_payload,
        .samples_per_second = from->samples_per_second / from->shards,
        .sample_bytes = from->sample_bytes,
        .dns_records = from->dns_records,
        .names = from->names.answers_max > 0 ? &pipeline->outlets[index].names : NULL,
        .lines = from->lines,
        .packet_index = &pipeline->packet_index,
        .pcap = pipeline->pcap};

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

    if (is_live(pipeline)) {
        pipeline->live = capture_live_open(&from->capture, from->shards, warning, err);
        if (pipeline->live != NULL) {
            name_interfaces(pipeline);
        }
        return pipeline->live == NULL ? -err->code : 0;
    }
    const struct reader_settings settings = {.capture = from->capture,
                                             .count_max = from->count_max,
                                             .is_paced = from->is_paced,
                                             .is_looped = from->is_looped,
                                             .key = from->flow.key,
                                             .rules = from->rules,
                                             .shards = pipeline->shards,
                                             .shards_count = from->shards,
                                             .stop = &pipeline->stop};

    pipeline->reader = reader_new(&settings, err);
    return pipeline->reader == NULL ? -err->code : 0;
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
    settings.is_lossless = !is_live(pipeline);
    if (pipeline->reader != NULL) {
        struct capture_progress progress;

        reader_progress(pipeline->reader, &progress);
        settings.is_nanosecond = progress.is_nanosecond;
    }
    pipeline->pcap = pcap_writer_open(&settings, err);
    return pipeline->pcap == NULL ? -err->code : 0;
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
    pipeline->started_ns = clock_monotonic_ns();
    flow_budget_init(&pipeline->budget, settings->flow.flows_max);
    if (settings->shards > 1) {
        pipeline->settings.flow.budget = &pipeline->budget;
    }
    if (!is_live(pipeline)) {
        (void)snprintf(pipeline->file_name, sizeof(pipeline->file_name), "%s",
                       base_name(settings->capture.read_paths[0]));
        if (pipeline->settings.flow.interface.length == 0) {
            pipeline->settings.flow.interface = text_of(pipeline->file_name);
        } else {
            name_table_free(pipeline->names); /* told by the caller: the same for all */
            pipeline->names = NULL;
        }
    }
    pipeline->settings.flow.names = pipeline->settings.capture.names = pipeline->names;
    /* The input first: its faults are the likely ones, and cheap to find before memory is taken. */
    if (open_input(pipeline, warning, err) != 0 || open_pcap(pipeline, err) != 0 ||
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
    shard_frames(pipeline->shards[self->index], frames, count, 0, NULL);
}

static void run_live_shard(struct shard_thread *self)
{
    struct pipeline *pipeline = self->pipeline;
    struct shard *shard = pipeline->shards[self->index];
    struct capture_shard *input = capture_live_shard(pipeline->live, self->index);
    const uint64_t wait_ns = pipeline->settings.capture.timeout_ns > 0
                                 ? pipeline->settings.capture.timeout_ns
                                 : LIVE_WAIT_NS;

    for (;;) {
        const int32_t got = capture_live_poll(input, wait_ns, on_live_frames, self);

        if (got == CAPTURE_ENDED) {
            break;
        }
        /* The kernel hands a block over after `wait_ns`: what is older has been seen. */
        shard_time(shard, got == 0 ? clock_wall_ns() - 2 * wait_ns : 0);
    }
    shard_finish(shard, 0, FLOW_DETAIL_SHUTDOWN);
}

static void *run_shard(void *argument)
{
    struct shard_thread *self = argument;
    struct pipeline *pipeline = self->pipeline;

    if (is_live(pipeline)) {
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
    const int code = pthread_create(&thread->thread, NULL, run, thread);

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
