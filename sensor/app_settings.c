/* Settings into what the pipeline is told. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "sensor/app_private.h"
#include "sensor/capture/capture.h"
#include "sensor/decode_rules.h"
#include "sensor/wire/community_id.h"

#define SHARDS_AUTO_MAX    8
#define HEADERS_ONLY_BYTES 256
#define FILE_PACKET_BYTES  32 /* no capture file has more packets than one in so many bytes */
#define RECORDS_PER_BATCH  512

static int count_shards(const struct sensor_settings *settings, uint32_t *out, struct error *err)
{
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t half = cpus > 1 ? (uint32_t)cpus / 2 : 1;
    char *end;

    half = half > SHARDS_AUTO_MAX ? SHARDS_AUTO_MAX : half;
    if (settings->pipeline.workers > 0) {
        *out = (uint32_t)settings->pipeline.workers;
        return 0;
    }
    if (settings->pipeline.enabled || strcmp(settings->pipeline.shards, "auto") == 0) {
        *out = half;
        return 0;
    }
    const unsigned long value = strtoul(settings->pipeline.shards, &end, 10);

    if (*end != '\0' || settings->pipeline.shards[0] < '0' || settings->pipeline.shards[0] > '9' ||
        value < 1 || value > PUBLISHER_SHARDS_MAX) {
        return error_set(err, EINVAL, "pipeline.shards: '%s' is neither 1 to %u nor auto",
                         settings->pipeline.shards, PUBLISHER_SHARDS_MAX);
    }
    *out = (uint32_t)value;
    return 0;
}

static int parse_cpus(struct app *app, struct error *err)
{
    const struct config_list *list = &app->settings->pipeline.cpus;

    for (uint32_t i = 0; i < list->count; i++) {
        if (cpu_list_add(&app->pipeline_settings.cpus, list->items[i], err) != 0) {
            error_prefix(err, "pipeline.cpus");
            return -err->code;
        }
    }
    return 0;
}

/* A file cannot hold more flows than packets: a small one does not need a large table. */
static uint64_t flows_for_input(const struct app *app, uint64_t wanted)
{
    const uint64_t bytes =
        app->is_live ? UINT64_MAX : capture_input_bytes(&app->pipeline_settings.capture);
    const uint64_t most = bytes / FILE_PACKET_BYTES + 1024;

    return most < wanted ? most : wanted;
}

/* flow.max_flows, or what fits in a quarter of the memory limit. */
static uint64_t count_flows(const struct app *app, const struct flow_settings *flow)
{
    struct flow_settings sample = *flow;

    if (app->settings->flow.max_flows > 0) {
        return app->settings->flow.max_flows;
    }
    sample.flows_max = 1U << 20;
    const uint64_t bytes_each = flow_table_memory_needed(&sample) / sample.flows_max + 1;
    const uint64_t fit = process_memory_limit() / 4 / bytes_each;

    log_info("flow", "flow table sized by the memory limit", "flows_max=%llu bytes_each=%llu",
             (unsigned long long)fit, (unsigned long long)bytes_each);
    return fit < UINT32_MAX ? fit : UINT32_MAX;
}

static void fill_capture(struct app *app)
{
    const struct capture_section *from = &app->settings->capture;
    struct capture_settings *to = &app->pipeline_settings.capture;

    *to = (struct capture_settings){
        .interfaces = app->interface,
        .read_paths = from->read_pcap.items,
        .read_paths_count = from->read_pcap.count,
        .filter = from->filter,
        .snaplen_bytes =
            (uint32_t)(from->headers_only && from->snaplen > HEADERS_ONLY_BYTES ? HEADERS_ONLY_BYTES
                                                                                : from->snaplen),
        .timeout_ns = from->timeout_ns,
        .buffer_bytes = from->buffer_bytes,
        .is_promiscuous = from->promiscuous,
        .is_immediate = from->immediate_mode,
        .direction = strcmp(from->direction, "in") == 0    ? CAPTURE_IN
                     : strcmp(from->direction, "out") == 0 ? CAPTURE_OUT
                                                           : CAPTURE_BOTH,
        .timestamps = strcmp(from->timestamps, "adapter") == 0       ? CAPTURE_TIME_ADAPTER
                      : strcmp(from->timestamps, "host_hiprec") == 0 ? CAPTURE_TIME_HIPREC
                                                                     : CAPTURE_TIME_HOST,
        .fanout = strcmp(from->fanout, "cbpf") == 0 ? CAPTURE_FANOUT_CBPF : CAPTURE_FANOUT_HASH};
}

static void fill_flow(struct app *app)
{
    const struct sensor_settings *from = app->settings;
    struct flow_settings *to = &app->pipeline_settings.flow;

    *to = (struct flow_settings){.idle_timeout_ns = from->flow.idle_timeout_ns,
                                 .active_timeout_ns = from->flow.active_timeout_ns,
                                 .first_update_ns = from->flow.first_update_ns,
                                 .measure_rtt = from->analysis.rtt,
                                 .measure_retransmissions = from->analysis.retrans,
                                 .measure_out_of_order = from->analysis.out_of_order,
                                 .emit_start = from->flow.emit_start,
                                 .key = hash_key_random(),
                                 .community_id_seed = (uint16_t)from->flow.community_id_seed,
                                 .internal = app->internal,
                                 .internal_count = from->networks.internal.count,
                                 .interface = {app->interface, (uint32_t)strlen(app->interface)}};
    const uint64_t flows = flows_for_input(app, count_flows(app, to));

    to->flows_max = flows < UINT32_MAX ? (uint32_t)flows : UINT32_MAX;
    /* Live, a flood must not wait for memory; a file waits for nobody, and often needs little of
     * it. */
    to->touched_flows = app->is_live ? to->flows_max / app->pipeline_settings.shards : 0;
    app->pipeline_settings.fragments =
        (struct fragment_settings){.datagrams_max = (uint32_t)from->flow.fragments_max,
                                   .held_max = (uint32_t)from->flow.fragments_held,
                                   .timeout_v4_ns = from->flow.fragment_timeout_ns,
                                   .timeout_v6_ns = from->flow.fragment_timeout_v6_ns};
    app->pipeline_settings.assets_max = (uint32_t)from->assets.max;
    app->pipeline_settings.handover_bytes = from->pipeline.handover_bytes;
    struct inspect_settings *inspect = &app->pipeline_settings.inspect;
    inspect->flows_max =
        (uint32_t)(from->flow.inspect_flows < flows ? from->flow.inspect_flows : flows);
    inspect->is_touched = app->is_live;
    inspect->stream_bytes = (uint32_t)from->flow.inspect_stream_bytes;
    inspect->datagrams_max = (uint32_t)from->flow.inspect_datagrams;
    inspect->datagram_timeout_ns = from->flow.fragment_timeout_ns;
    inspect->held_bytes = from->flow.inspect_held_bytes;
}

static void write_community_id(const struct detection_flow *flow, uint16_t seed, char out[31])
{
    community_id_v1(&(struct community_id_flow){.source = flow->source,
                                                .target = flow->target,
                                                .protocol = flow->protocol,
                                                .source_port = flow->source_port,
                                                .target_port = flow->target_port},
                    seed, out);
}

/* Hosts inside, and where they are looked at. */
static uint64_t hash_view(const struct app *app)
{
    const struct config_list *internal = &app->settings->networks.internal;
    const char *const texts[] = {app->interface, app->settings->capture.filter,
                                 app->settings->capture.direction};
    struct hash_key key = {0};

    for (uint32_t i = 0; i < internal->count; i++) {
        key.a = hash_bytes(key, internal->items[i], strlen(internal->items[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        key.a = hash_bytes(key, texts[i], strlen(texts[i]));
        key.b++;
    }
    return key.a;
}

/* From a file the same input gives the same answer, whatever was learnt before. */
static void fill_learnt(struct app *app)
{
    const struct analysis_section *from = &app->settings->analysis;
    const char *directory = app_state_directory(app->settings);
    struct detection_settings *to = &app->pipeline_settings.detection;

    to->keeps_learnt = app->is_live && from->keep_learnt;
    to->learnt_context = hash_view(app);
    if (to->keeps_learnt && directory[0] != '\0') {
        (void)snprintf(app->learnt_path, sizeof(app->learnt_path), "%s/learnt", directory);
        app->pipeline_settings.learnt =
            (struct learnt_file_settings){.path = app->learnt_path,
                                          .interval_ns = from->learnt_interval_ns,
                                          .max_age_ns = from->learnt_max_age_ns};
    }
}

static int fill_detection(struct app *app, struct error *err)
{
    struct detection_settings *to = &app->pipeline_settings.detection;

    if (detection_compile(&app->settings->anomalies, app->config, to, err) != 0) {
        return -err->code;
    }
    /* Live, an attacker must not know it; from a file the same input gives the same answer. */
    to->seed = app->is_live ? hash_key_random().a : 1;
    to->community_id = write_community_id;
    to->community_id_seed = (uint16_t)app->settings->flow.community_id_seed;
    to->identity = hash_bytes((struct hash_key){0}, app->sensor_id, strlen(app->sensor_id));
    to->warm_up_ns = app->is_live ? to->warm_up_ns : 0;
    memcpy(to->config_hash, app->config_hash, sizeof(to->config_hash));
    fill_learnt(app);
    return 0;
}
static enum shard_lines lines_wanted(const struct sensor_settings *settings, unsigned verbosity)
{
    if (settings->output.quiet) {
        return SHARD_LINES_NONE;
    }
    return settings->output.hex_dump || verbosity >= 2 ? SHARD_LINES_HEX : SHARD_LINES_SUMMARY;
}

bool app_wants_dns_records(const struct sensor_settings *settings)
{
    return settings->dns.records || settings->output.dns_jsonl[0] != '\0' ||
           settings->output.zeek_logs[0] != '\0';
}

static void fill_taps(const struct packets_section *from, struct tap_policy *to)
{
    *to = (struct tap_policy){.mode = strcmp(from->capture, "full") == 0      ? TAP_FULL
                                      : strcmp(from->capture, "headers") == 0 ? TAP_HEADERS
                                                                              : TAP_OFF,
                              .at_once = (uint32_t)from->capture_at_once,
                              .snaplen_bytes = (uint32_t)from->capture_snaplen,
                              .packets_max = from->capture_max_packets,
                              .bytes_max = from->capture_max_bytes,
                              .duration_ns = from->capture_max_duration_ns,
                              .queue_bytes = from->capture_queue_bytes};
}

int app_fill_pipeline(struct app *app, const struct sensor_command *command, struct error *err)
{
    const struct sensor_settings *from = app->settings;
    struct pipeline_settings *to = &app->pipeline_settings;

    if (count_shards(from, &to->shards, err) != 0 || parse_cpus(app, err) != 0 ||
        app_read_internal(from, &app->internal, err) != 0 || app_open_labels(app, err) != 0 ||
        decode_rules_from(&from->decode, &app->rules, err) != 0 || fill_detection(app, err) != 0) {
        return -err->code;
    }
    fill_capture(app);
    fill_flow(app);
    to->count_max = from->run.count;
    to->is_paced = from->capture.pace;
    to->is_looped = from->capture.loop;
    to->is_lossless = from->pipeline.lossless && !app->is_live;
    to->sensor_id = app->sensor_id;
    to->boot_id = app->boot_id;
    to->config_hash = app->config_hash;
    to->queue_batches = (uint32_t)from->pipeline.sink_queue;
    /* A sink's queue and what is on its way must fit in a shard's pool. */
    to->batches_per_shard = (uint32_t)(from->pipeline.channel_capacity / RECORDS_PER_BATCH + 1 +
                                       from->pipeline.sink_queue * 2 + 8);
    to->flush_ns = from->pipeline.flush_timeout_ns;
    to->rules = &app->rules;
    to->verify_checksums = from->analysis.checksums;
    to->sample_payload = from->packets.payload;
    to->sample_bytes = (uint32_t)from->packets.sample_bytes;
    to->evidence_per_second = (uint32_t)from->packets.evidence_per_second;
    /* Without a server or a collector nobody could ask for the packets. */
    to->evidence_bytes = app->is_service || from->collector.address[0] != '\0' ||
                                 strcmp(from->grpc.enabled, "on") == 0
                             ? from->packets.evidence_bytes
                             : 0;
    to->samples_per_second = app->is_service || from->collector.address[0] != '\0'
                                 ? from->packets.samples_per_second
                                 : 0;
    fill_taps(&from->packets, &to->taps);
    to->dns_records = app_wants_dns_records(from);
    to->inspect.dns_timeout_ns = from->dns.timeout_ns;
    to->names = (struct passive_names_settings){.answers_max = (uint32_t)from->names.max,
                                                .ttl_min_ns = from->names.ttl_min_ns,
                                                .ttl_max_ns = from->names.ttl_max_ns,
                                                .key = to->flow.key};
    to->lines = lines_wanted(from, command->verbosity);
    to->on_alert = app_on_alert;
    to->on_stats = app_on_stats;
    to->on_line = app_on_line;
    to->context = app;
    if (from->output.write_pcap[0] != '\0') {
        app_fill_pcap(&from->output, &app->write_pcap);
        to->write_pcap = &app->write_pcap;
    }
    return 0;
}

/* ---- before anything is opened ---- */

/* What the tables cannot say of one setting alone. Asks no peer. */
static int check_peers(const struct sensor_settings *settings, struct error *err)
{
    if (ipfix_settings_check(&settings->ipfix, err) != 0) {
        return -err->code;
    }
    if (settings->kafka.brokers[0] != '\0' && kafka_settings_check(&settings->kafka, err) != 0) {
        return -err->code;
    }
    for (int i = 0; i < KAFKA_CLUSTERS_MAX && settings->kafka_names[i] != NULL; i++) {
        if (kafka_settings_check(&settings->kafka_clusters[i], err) != 0) {
            error_prefix(err, "kafka_clusters.%s", settings->kafka_names[i]);
            return -err->code;
        }
    }
    return 0;
}

/* A collector would refuse it later, and again each half a minute. */
static int check_sensor_id(const char *id, const struct config *config, struct error *err)
{
    for (const char *at = id; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ' || *at == 0x7f) {
            (void)error_set(err, EINVAL,
                            "sensor.id: '%s' has a space or a control character; letters, digits, "
                            "'.', '-' and '_' are safe everywhere",
                            id);
            return config_refuse(config, "sensor.id", err);
        }
    }
    return 0;
}

bool app_fill_labels(const struct sensor_settings *settings, char out[SENSOR_LABELS_BYTES])
{
    const struct config_map *from = &settings->sensor.labels;

    out[0] = '\0';
    for (uint32_t i = 0; i < from->count; i++) {
        const struct sensor_label label = {.key = from->keys[i],
                                           .value = from->values[i],
                                           .key_length = strlen(from->keys[i]),
                                           .value_length = strlen(from->values[i])};

        if (!sensor_labels_put(out, &label)) {
            return false;
        }
    }
    return true;
}

static int check_parts(const struct sensor_settings *settings, const struct config *config,
                       struct app *scratch, struct error *err)
{
    FILE *human = NULL;
    uint32_t shards = 0;
    char own_labels[SENSOR_LABELS_BYTES];

    scratch->settings = settings;
    if (check_sensor_id(settings->sensor.id, config, err) != 0 ||
        detection_compile(&settings->anomalies, config, &scratch->pipeline_settings.detection,
                          err) != 0 ||
        decode_rules_from(&settings->decode, &scratch->rules, err) != 0 ||
        app_check_outputs(settings, &human, err) != 0 ||
        count_shards(settings, &shards, err) != 0 ||
        app_read_internal(settings, &scratch->internal, err) != 0) {
        return -err->code;
    }
    AUTO(netlabels) labels = app_read_labels(settings, err);
    if (labels == NULL) {
        return -err->code;
    }
    if (!app_fill_labels(settings, own_labels)) {
        (void)error_set(err, EINVAL, "sensor.labels: at most %d", SENSOR_LABELS_MAX);
        return config_refuse(config, "sensor.labels", err);
    }
    if (app_offer_check(settings, config, err) != 0 || check_peers(settings, err) != 0) {
        return -err->code;
    }
    app_tell_idle(settings);
    return 0;
}

int app_check_settings(const struct sensor_settings *settings, const struct config *config,
                       struct error *err)
{
    struct app *scratch = calloc(1, sizeof(*scratch));

    if (scratch == NULL) {
        return error_set(err, ENOMEM, "no memory");
    }
    const int result = check_parts(settings, config, scratch, err);

    free(scratch->internal);
    free(scratch);
    return result;
}

int app_check_filter(const struct sensor_settings *settings, const struct config *config,
                     struct error *err)
{
    static const uint16_t links[] = {LINK_ETHERNET, LINK_RAW, LINK_SLL2, LINK_RADIOTAP};
    const char *filter = settings->capture.filter;
    struct error other = {0};

    if (filter[0] == '\0' || capture_filter_check(filter, links[0], err) == 0) {
        return 0;
    }
    for (size_t i = 1; i < ARRAY_COUNT(links); i++) {
        if (capture_filter_check(filter, links[i], &other) == 0) {
            error_clear(err);
            return 0;
        }
    }
    return config_refuse(config, "capture.filter", err);
}

void app_set_log(const struct sensor_settings *settings, const struct sensor_command *command)
{
    static const enum log_level levels[] = {LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE};

    log_settings_apply(&settings->log, levels[command->verbosity < 3 ? command->verbosity : 3]);
}
