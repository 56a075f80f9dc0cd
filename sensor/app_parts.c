/* The parts: sinks, servers, pipeline, opened in order and closed the other way round. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/app_private.h"
#include "sensor/export/file_sink.h"
#include "sensor/export/zeek_sink.h"

/* ---- sinks and servers ---- */

static int add_file_sink(struct app *app, enum file_sink_kind kind, const char *path,
                         struct error *err)
{
    struct pipeline_settings *to = &app->pipeline_settings;

    if (path[0] == '\0') {
        return 0;
    }
    const int result = file_sink_open(kind, path, 0, &to->sinks[to->sinks_count], err);

    to->sinks_count += result == 0;
    return result;
}

static int add_zeek_logs(struct app *app, struct error *err)
{
    const struct output_section *output = &app->settings->output;
    const struct zeek_sink_settings settings = {
        .directory = output->zeek_logs,
        .form = strcmp(output->zeek_format, "json") == 0 ? ZEEK_JSON : ZEEK_TSV,
        .rotate_ns = output->zeek_rotate_ns};
    struct pipeline_settings *to = &app->pipeline_settings;

    if (output->zeek_logs[0] == '\0') {
        return 0;
    }
    const int result = zeek_sink_open(&settings, &to->sinks[to->sinks_count], err);

    to->sinks_count += result == 0;
    return result;
}

static int add_file_sinks(struct app *app, struct error *err)
{
    const struct output_section *output = &app->settings->output;
    int result = add_file_sink(app, FILE_FLOWS_JSONL, output->flows_jsonl, err);

    if (result == 0) {
        result = add_file_sink(app, FILE_EXPIRED_FLOWS_JSONL, output->expired_flows_jsonl, err);
    }
    if (result == 0) {
        result = add_file_sink(app, FILE_ALERTS_JSONL, app->settings->analysis.alerts_jsonl, err);
    }
    if (result == 0) {
        result = add_file_sink(app, FILE_DNS_JSONL, output->dns_jsonl, err);
    }
    if (result == 0) {
        result = add_file_sink(app, FILE_EXPORT_JSON, output->export_json, err);
    }
    if (result == 0) {
        result = add_file_sink(app, FILE_EXPORT_CSV, output->export_csv, err);
    }
    return result == 0 ? add_zeek_logs(app, err) : result;
}

static bool is_wanted(const char *enabled, bool is_service)
{
    return strcmp(enabled, "on") == 0 || (strcmp(enabled, "auto") == 0 && is_service);
}

int app_check_addresses(const struct sensor_settings *settings, struct error *err)
{
    const bool is_service = settings->capture.read_pcap.count == 0 || settings->capture.pace;

    if (settings->collector.address[0] != '\0' &&
        collector_sink_check(&settings->collector, err) != 0) {
        return -err->code;
    }
    if (is_wanted(settings->grpc.enabled, is_service) &&
        grpc_server_check(&settings->grpc, err) != 0) {
        return -err->code;
    }
    return is_wanted(settings->http.enabled, is_service) ? http_export_check(&settings->http, err)
                                                         : 0;
}

static int add_grpc(struct app *app, struct error *err)
{
    static const char *const capabilities[] = {"flows", "alerts",    "stats", "packets",
                                               "dns",   "collector", "kafka", "ipfix"};
    const struct grpc_identity identity = {
        .sensor_id = app->sensor_id,
        .boot_id = app->boot_id,
        .config_hash = app->config_hash,
        .start_wall_ns = clock_wall_ns(),
        .flows_max = app->pipeline_settings.flow.flows_max,
        .idle_timeout_ns = app->settings->flow.idle_timeout_ns,
        .active_timeout_ns = app->settings->flow.active_timeout_ns,
        .shards = app->pipeline_settings.shards,
        .capabilities = capabilities,
        .capabilities_count = sizeof(capabilities) / sizeof(capabilities[0]),
        .has_dns_records = app_wants_dns_records(app->settings),
        .control = &app->control};
    struct pipeline_settings *to = &app->pipeline_settings;

    app->grpc = grpc_server_new(&app->settings->grpc, &identity, app->runtime, err);
    if (app->grpc == NULL) {
        return -err->code;
    }
    to->sinks[to->sinks_count++] = grpc_server_sink(app->grpc);
    return 0;
}

/* The cluster of section `kafka`, and those of `kafka_clusters`. */
static int add_kafka(struct app *app, struct error *err)
{
    const struct sensor_settings *from = app->settings;
    struct pipeline_settings *to = &app->pipeline_settings;
    int result = 0;

    if (from->kafka.brokers[0] != '\0') {
        result = kafka_sink_open(&from->kafka, NULL, &from->spool, app->sensor_id,
                                 &to->sinks[to->sinks_count], err);
        to->sinks_count += result == 0;
    }
    for (int i = 0; i < KAFKA_CLUSTERS_MAX && from->kafka_names[i] != NULL && result == 0; i++) {
        result = kafka_sink_open(&from->kafka_clusters[i], from->kafka_names[i], &from->spool,
                                 app->sensor_id, &to->sinks[to->sinks_count], err);
        if (result != 0) {
            error_prefix(err, "kafka_clusters.%s", from->kafka_names[i]);
        }
        to->sinks_count += result == 0;
    }
    return result;
}

/* One sink for each collector of section `ipfix`. */
static int add_ipfix(struct app *app, struct error *err)
{
    const struct ipfix_export_settings *from = &app->settings->ipfix;
    struct pipeline_settings *to = &app->pipeline_settings;
    int result = 0;

    for (uint32_t i = 0; i < from->collectors.count && result == 0; i++) {
        result = ipfix_sink_open(from, i, &to->sinks[to->sinks_count], err);
        to->sinks_count += result == 0;
    }
    return result;
}

static int add_collector(struct app *app, struct error *err)
{
    struct pipeline_settings *to = &app->pipeline_settings;
    char labels[SENSOR_LABELS_BYTES];

    if (!app_fill_labels(app->settings, labels)) {
        return error_set(err, EINVAL, "sensor.labels: at most %d", SENSOR_LABELS_MAX);
    }
    const struct collector_options options = {.sensor_id = app->sensor_id,
                                              .boot_id = app->boot_id,
                                              .config_hash = app->config_hash,
                                              .labels = labels,
                                              .spool = &app->settings->spool,
                                              .state_directory = app_state_directory(app->settings),
                                              .is_lossless = to->is_lossless,
                                              .waits_for_input = true,
                                              .on_offer = app_on_offer,
                                              .context = app};
    const int result = collector_sink_open(&app->settings->collector, &options, app->runtime,
                                           &to->sinks[to->sinks_count], err);

    if (result == 0) {
        app->collector = to->sinks[to->sinks_count++].state;
    }
    return result;
}

static int add_network_sinks(struct app *app, struct error *err)
{
    const struct sensor_settings *from = app->settings;
    const bool has_grpc = is_wanted(from->grpc.enabled, app->is_service);
    int result = 0;

    if (has_grpc || from->collector.address[0] != '\0') {
        app->runtime = rpc_runtime_new(NULL, err);
        if (app->runtime == NULL) {
            return -err->code;
        }
    }
    if (has_grpc) {
        result = add_grpc(app, err);
    }
    if (result == 0 && from->collector.address[0] != '\0') {
        result = add_collector(app, err);
    }
    if (result == 0) {
        result = add_kafka(app, err);
    }
    return result == 0 ? add_ipfix(app, err) : result;
}

int app_identify(struct app *app, struct error *err)
{
    if (app->is_live && app->settings->capture.interface[0] == '\0') {
        if (capture_default_interface(app->interface, err) != 0) {
            return -err->code;
        }
    } else if (app->is_live) {
        (void)snprintf(app->interface, sizeof(app->interface), "%s",
                       app->settings->capture.interface);
    }
    hash_random_hex(app->boot_id);
    config_hash_text(app->config, app->config_hash);
    memcpy(app->hash_now, app->config_hash, sizeof(app->hash_now));
    return identity_sensor_id(app->settings->sensor.id, app_state_directory(app->settings),
                              app->interface, app->sensor_id, err);
}

/* What the kernel's rings take in while nobody reads them. */
static void tell_ring(const struct app *app)
{
    const struct capture_ring ring = capture_ring_of(&app->pipeline_settings.capture);

    log_info("capture", "kernel ring of each shard and interface",
             "bytes=%llu blocks=%u stall_max_ms=%llu packets_60B=%llu packets_1514B=%llu "
             "stall_ms_at_100kpps_60B=%llu stall_ms_at_100kpps_1514B=%llu",
             (unsigned long long)ring.bytes, ring.blocks,
             (unsigned long long)(ring.is_by_frames
                                      ? 0
                                      : capture_ring_stall_ns(&ring, 0, 0) / NS_PER_MS),
             (unsigned long long)capture_ring_packets(&ring, 60),
             (unsigned long long)capture_ring_packets(&ring, 1514),
             (unsigned long long)capture_ring_stall_ns(&ring, 100000, 60) / NS_PER_MS,
             (unsigned long long)capture_ring_stall_ns(&ring, 100000, 1514) / NS_PER_MS);
}

/* Sinks of Kafka that tell assets have them from the pipeline. */
static void watch_assets(struct pipeline *pipeline)
{
    uint32_t count = 0;
    const struct sink *sinks = pipeline_sinks(pipeline, &count);

    for (uint32_t i = 0; i < count; i++) {
        if (kafka_is_sink(&sinks[i])) {
            kafka_sink_watch(&sinks[i], pipeline);
        }
    }
}

int app_build(struct app *app, const struct sensor_command *command, struct error *err)
{
    struct error warning = {0};

    if (app_fill_pipeline(app, command, err) != 0 || add_file_sinks(app, err) != 0 ||
        add_network_sinks(app, err) != 0) {
        return -err->code;
    }
    app->terminal = terminal_new(app->human, (uint32_t)app->settings->stats.top_flows, err);
    if (app->terminal == NULL) {
        return -err->code;
    }
    app->pipeline = pipeline_new(&app->pipeline_settings, &warning, err);
    if (app->pipeline == NULL) {
        return -err->code;
    }
    if (warning.code != 0) {
        log_warn("capture", warning.message, NULL);
    }
    if (app->is_live) {
        tell_ring(app);
    }
    struct pipeline_totals totals;

    pipeline_totals_read(app->pipeline, &totals);
    log_info("detect", "detectors sized",
             "memory_bytes=%llu keys_max=%u victims_max=%u "
             "scanners_max=%u",
             (unsigned long long)totals.detectors_bytes, app->pipeline_settings.detection.keys_max,
             app->pipeline_settings.detection.victims_max,
             app->pipeline_settings.detection.scanners_max);
    struct pipeline_evidence evidence;

    pipeline_evidence_read(app->pipeline, &evidence);
    log_info("detect", "room for packets as evidence of alerts", "memory_kib=%llu",
             (unsigned long long)evidence.memory_bytes >> 10);
    struct pipeline_names names;

    pipeline_names_read(app->pipeline, &names);
    log_info("names", "room for DNS answers", "answers_max=%llu memory_mib=%llu",
             (unsigned long long)names.answers_max, (unsigned long long)names.memory_bytes >> 20);
    if (app->grpc != NULL) {
        grpc_server_attach(app->grpc, app->pipeline);
        log_info("grpc", "serving", "port=%u", grpc_server_port(app->grpc));
    }
    if (is_wanted(app->settings->http.enabled, app->is_service)) {
        app->http = http_export_new(&app->settings->http, app->pipeline, app->grpc, err);
        if (app->http == NULL) {
            return -err->code;
        }
        http_export_tell_certificates(app->http, &app->certificates);
        log_info("http", "serving metrics and health", "port=%u", http_export_port(app->http));
    }
    watch_assets(app->pipeline);
    if (app->collector != NULL) {
        collector_sink_attach(app->collector, app->pipeline);
        collector_sink_begin(app->collector);
    }
    return pipeline_start(app->pipeline, err);
}
void app_take_down(struct app *app)
{
    http_export_free(app->http);
    if (app->grpc != NULL) {
        grpc_server_stop(app->grpc);
    }
    for (uint32_t i = 0; i < app->pipeline_settings.sinks_count; i++) {
        const struct sink *sink = &app->pipeline_settings.sinks[i];

        if (sink->ops->close != NULL) {
            sink->ops->close(sink->state);
        }
    }
    pipeline_free(app->pipeline);
    grpc_server_free(app->grpc);
    rpc_runtime_free(app->runtime);
    terminal_free(app->terminal);
    label_source_free(app->labels);
    free(app->internal);
}
