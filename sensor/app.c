#include "sensor/app.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "sensor/compare.h"
#include "sensor/decode_rules.h"
#include "sensor/export/file_sink.h"
#include "sensor/identity.h"
#include "sensor/progress.h"
#include "sensor/terminal.h"
#include "sensor/wire/community_id.h"

#define SHARDS_AUTO_MAX   8
#define FILE_PACKET_BYTES 32 /* no capture file has more packets than one in so many bytes */
#define RECORDS_PER_BATCH 512
#define EXIT_FAILED       1
#define EXIT_USAGE        2

struct app {
    const struct sensor_settings *settings;
    const struct config *config;
    struct pipeline_settings pipeline_settings;
    struct packet_rules rules;
    struct pcap_writer_settings write_pcap;
    struct pipeline *pipeline;
    struct terminal *terminal;
    struct rpc_runtime *runtime;
    struct grpc_server *grpc;
    struct http_export *http;
    struct ip_prefix *internal;
    char sensor_id[SENSOR_ID_BYTES];
    char boot_id[33];
    char config_hash[17];
    char interface[64];
    FILE *human;
    struct alert_list *alerts; /* of a comparison; else NULL */
    struct progress progress;  /* on stderr, where it is a terminal */
    bool shows_progress;
    bool is_live;
    bool is_interface_down[STATS_ROWS_MAX]; /* as last told */
    bool is_service;                        /* live or paced: servers are on by default */
};

/* ---- settings into parts ---- */

static bool is_stdout(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* Each output has a path of its own, or the files would be mixed up without a word. `human` gets
 * where text for people goes: stdout is left alone when an output writes there. */
static int check_outputs(const struct sensor_settings *settings, FILE **human, struct error *err)
{
    const struct output_section *output = &settings->output;
    const struct {
        const char *key, *path;
    } outputs[] = {{"output.flows_jsonl", output->flows_jsonl},
                   {"output.expired_flows_jsonl", output->expired_flows_jsonl},
                   {"output.dns_jsonl", output->dns_jsonl},
                   {"output.export_json", output->export_json},
                   {"output.export_csv", output->export_csv},
                   {"output.write_pcap", output->write_pcap},
                   {"analysis.alerts_jsonl", settings->analysis.alerts_jsonl}};
    const size_t count = sizeof(outputs) / sizeof(outputs[0]);

    *human = stdout;
    for (size_t i = 0; i < count; i++) {
        if (is_stdout(outputs[i].path)) {
            *human = stderr;
        }
        for (size_t j = 0; j < i && outputs[i].path[0] != '\0'; j++) {
            if (strcmp(outputs[i].path, outputs[j].path) == 0 &&
                strncmp(outputs[i].path, "/dev/", 5) != 0) {
                return error_set(err, EINVAL, "%s and %s both write to %s: give one another path",
                                 outputs[j].key, outputs[i].key,
                                 is_stdout(outputs[i].path) ? "standard output" : outputs[i].path);
            }
        }
    }
    return 0;
}

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

static int parse_internal(struct app *app, struct error *err)
{
    const struct config_list *list = &app->settings->networks.internal;

    if (list->count == 0) {
        return 0;
    }
    app->internal = calloc(list->count, sizeof(*app->internal));
    if (app->internal == NULL) {
        return error_set(err, ENOMEM, "networks.internal: no memory");
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (!prefix_parse(list->items[i], strlen(list->items[i]), &app->internal[i])) {
            return error_set(err, EINVAL, "networks.internal: '%s' is no prefix such as 10.0.0.0/8",
                             list->items[i]);
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
        .snaplen_bytes = (uint32_t)from->snaplen,
        .timeout_ns = from->timeout_ns,
        .buffer_bytes = from->buffer_bytes,
        .is_promiscuous = from->promiscuous,
        .is_immediate = from->immediate_mode,
        .direction = strcmp(from->direction, "in") == 0    ? CAPTURE_IN
                     : strcmp(from->direction, "out") == 0 ? CAPTURE_OUT
                                                           : CAPTURE_BOTH,
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
    return 0;
}

/* The line of the progress goes before anything else is printed. Any thread. */
static void hide_progress(struct app *app)
{
    if (app->shows_progress) {
        progress_clear(&app->progress);
    }
}

static void on_alert(void *context, const struct alert_record *alert)
{
    struct app *app = context;

    if (app->alerts != NULL) {
        alert_list_add(app->alerts, alert);
        return;
    }
    hide_progress(app);
    terminal_alert(app->terminal, alert);
}

static void on_stats(void *context, const struct stats_record *record)
{
    const struct app *app = context;

    terminal_second(app->terminal, record);
}

static void on_line(void *context, const char *text, uint32_t length)
{
    struct app *app = context;

    hide_progress(app);
    terminal_line(app->terminal, text, length);
}

static enum shard_lines lines_wanted(const struct sensor_settings *settings, unsigned verbosity)
{
    if (settings->output.quiet) {
        return SHARD_LINES_NONE;
    }
    return settings->output.hex_dump || verbosity >= 2 ? SHARD_LINES_HEX : SHARD_LINES_SUMMARY;
}

static bool wants_dns_records(const struct sensor_settings *settings)
{
    return settings->dns.records || settings->output.dns_jsonl[0] != '\0';
}

static int fill_pipeline(struct app *app, const struct sensor_command *command, struct error *err)
{
    const struct sensor_settings *from = app->settings;
    struct pipeline_settings *to = &app->pipeline_settings;

    if (count_shards(from, &to->shards, err) != 0 || parse_internal(app, err) != 0 ||
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
    to->samples_per_second = app->is_service || from->collector.address[0] != '\0'
                                 ? from->packets.samples_per_second
                                 : 0;
    to->dns_records = wants_dns_records(from);
    to->inspect.dns_timeout_ns = from->dns.timeout_ns;
    to->names = (struct passive_names_settings){.answers_max = (uint32_t)from->names.max,
                                                .ttl_min_ns = from->names.ttl_min_ns,
                                                .ttl_max_ns = from->names.ttl_max_ns,
                                                .key = to->flow.key};
    to->lines = lines_wanted(from, command->verbosity);
    to->on_alert = on_alert;
    to->on_stats = on_stats;
    to->on_line = on_line;
    to->context = app;
    if (from->output.write_pcap[0] != '\0') {
        app->write_pcap =
            (struct pcap_writer_settings){.path = from->output.write_pcap,
                                          .rotate_bytes = from->output.write_pcap_rotate_bytes,
                                          .files_max = (uint32_t)from->output.write_pcap_max_files};
        to->write_pcap = &app->write_pcap;
    }
    return 0;
}

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
    return result == 0 ? add_file_sink(app, FILE_EXPORT_CSV, output->export_csv, err) : result;
}

static bool is_wanted(const char *enabled, bool is_service)
{
    return strcmp(enabled, "on") == 0 || (strcmp(enabled, "auto") == 0 && is_service);
}

static int add_grpc(struct app *app, struct error *err)
{
    static const char *const capabilities[] = {"flows", "alerts",    "stats", "packets",
                                               "dns",   "collector", "kafka"};
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
        .has_dns_records = wants_dns_records(app->settings)};
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

static int add_network_sinks(struct app *app, struct error *err)
{
    const struct sensor_settings *from = app->settings;
    struct pipeline_settings *to = &app->pipeline_settings;
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
        const struct collector_hello hello = {app->sensor_id, app->boot_id, app->config_hash};

        result = collector_sink_open(&from->collector, &hello, app->runtime,
                                     &to->sinks[to->sinks_count], err);
        to->sinks_count += result == 0;
    }
    return result == 0 ? add_kafka(app, err) : result;
}

static int identify(struct app *app, const struct config *config, struct error *err)
{
    const char *directory = app->settings->sensor.state_directory;

    if (app->is_live && app->settings->capture.interface[0] == '\0') {
        if (capture_default_interface(app->interface, err) != 0) {
            return -err->code;
        }
    } else if (app->is_live) {
        (void)snprintf(app->interface, sizeof(app->interface), "%s",
                       app->settings->capture.interface);
    }
    hash_random_hex(app->boot_id);
    config_hash_text(config, app->config_hash);
    if (directory[0] == '\0') {
        directory = getenv("STATE_DIRECTORY");
    }
    return identity_sensor_id(app->settings->sensor.id, directory, app->interface, app->sensor_id,
                              err);
}

static int build(struct app *app, const struct sensor_command *command, struct error *err)
{
    struct error warning = {0};

    if (fill_pipeline(app, command, err) != 0 || add_file_sinks(app, err) != 0 ||
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
    struct pipeline_totals totals;

    pipeline_totals_read(app->pipeline, &totals);
    log_info("detect", "detectors sized",
             "memory_bytes=%llu keys_max=%u victims_max=%u "
             "scanners_max=%u",
             (unsigned long long)totals.detectors_bytes, app->pipeline_settings.detection.keys_max,
             app->pipeline_settings.detection.victims_max,
             app->pipeline_settings.detection.scanners_max);
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
        log_info("http", "serving metrics and health", "port=%u", http_export_port(app->http));
    }
    return pipeline_start(app->pipeline, err);
}

/* ---- what the process may still do ---- */

static bool writes_files(const struct sensor_settings *settings)
{
    const struct output_section *output = &settings->output;

    return output->write_pcap[0] != '\0' || output->flows_jsonl[0] != '\0' ||
           output->expired_flows_jsonl[0] != '\0' || output->export_json[0] != '\0' ||
           output->export_csv[0] != '\0' || settings->analysis.alerts_jsonl[0] != '\0';
}

/* Before the first thread. Capturing needs one capability, also to take up an interface that went
 * away; root keeps the right to read the file given, and to write into a directory of another user
 * where an output is asked for (sudo in a home directory). */
static int give_up_privileges(const struct app *app, struct error *err)
{
    const char *const keep[] = {app->is_live ? "net_raw" : "dac_read_search",
                                writes_files(app->settings) ? "dac_override" : NULL};
    const struct confine_privileges privileges = {.user = app->settings->security.user,
                                                  .keep = keep,
                                                  .keep_count = sizeof(keep) / sizeof(keep[0]),
                                                  .keep_too =
                                                      &app->settings->security.keep_capabilities};
    const int result = confine_privileges(&privileges, err);

    if (result != 0) {
        error_prefix(err, "security");
    }
    return result;
}

/* Behind the start: all threads at once. A kernel that knows no such filter is told and lived
 * with. */
static void filter_system_calls(const struct app *app)
{
    const enum confine_mode mode = confine_mode_of(app->settings->security.seccomp);
    struct confine_state state;
    char capabilities[256];
    struct error err = {0};

    if (mode != CONFINE_OFF && !confine_can_filter()) {
        log_info("security", "this build is for tests: no system call filter", NULL);
    } else if (confine_system_calls(mode, &err) != 0) {
        log_warn("security", err.message, NULL);
    }
    confine_state_read(&state);
    log_info("security", "confined", "user=%u capabilities=%s seccomp=%s", state.user,
             confine_capabilities_text(state.capabilities, capabilities, sizeof(capabilities)),
             state.has_filter ? app->settings->security.seccomp : "off");
}

/* ---- running ---- */

static void block_signals(sigset_t *set)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* After a stop: what is held goes out, for at most pipeline.flush_timeout if all goes well. A disk
 * or pipe that blocks has no such limit, so a second signal ends the program at once. It must be a
 * second of its own: a terminal and the script behind it often send one each. */
static void wait_for_end(struct app *app, const sigset_t *signals)
{
    const struct timespec step = {0, 50 * (long)NS_PER_MS};
    const uint64_t deaf_until_ns = clock_monotonic_ns() + NS_PER_SEC;

    while (!pipeline_has_ended(app->pipeline)) {
        const int number = sigtimedwait(signals, NULL, &step);

        if (number > 0 && clock_monotonic_ns() >= deaf_until_ns) {
            (void)fputs("netscope-sensor: second signal: ending at once; records on their way to "
                        "outputs are lost\n",
                        stderr);
            (void)signal(number, SIG_DFL);
            (void)raise(number);
            (void)pthread_sigmask(SIG_UNBLOCK, signals, NULL);
        }
    }
}

/* Tells when an interface goes down or away and when it is back; the capture waits for it
 * meanwhile.
 */
static void watch_interfaces(struct app *app)
{
    struct stats_interface rows[STATS_ROWS_MAX];
    const uint32_t count =
        app->is_live ? pipeline_interfaces(app->pipeline, rows, STATS_ROWS_MAX) : 0;

    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].up == app->is_interface_down[i]) {
            app->is_interface_down[i] = !rows[i].up;
            if (rows[i].up) {
                log_warn("capture", "the interface is up again: capturing", "interface=%s",
                         app->interface);
            } else {
                log_warn("capture", "the interface is down or gone: waiting for it", "interface=%s",
                         app->interface);
            }
        }
    }
}

/* True when nobody reads what is printed any more, or the packets cannot be written: going on would
 * help nobody. */
static bool has_lost_its_output(const struct app *app)
{
    return ferror(app->human) != 0 || pipeline_pcap_failed(app->pipeline);
}

static void show_progress(struct app *app, uint64_t now_ns)
{
    struct pipeline_totals totals;

    if (app->shows_progress) {
        pipeline_totals_read(app->pipeline, &totals);
        progress_draw(&app->progress,
                      &(struct progress_facts){totals.file_bytes_read, totals.file_bytes_total,
                                               totals.packets},
                      now_ns);
    }
}

/* Until the end of the input, or the first signal; then the shards hand over what they hold. */
static void watch(struct app *app, const sigset_t *signals)
{
    const struct stats_section *stats = &app->settings->stats;
    const uint64_t step_ns = stats->enabled && stats->interval_ns < 100 * NS_PER_MS
                                 ? stats->interval_ns
                                 : 100 * NS_PER_MS;
    const struct timespec step = {0, (long)step_ns};
    uint64_t next_ns = clock_monotonic_ns() + stats->interval_ns;

    while (!pipeline_is_finished(app->pipeline)) {
        if (sigtimedwait(signals, NULL, &step) > 0) {
            log_info("app", "stopping", NULL);
            pipeline_stop(app->pipeline);
            wait_for_end(app, signals);
            break;
        }
        watch_interfaces(app);
        if (has_lost_its_output(app)) {
            pipeline_stop(app->pipeline);
        }
        const uint64_t now_ns = clock_monotonic_ns();

        if (stats->enabled && now_ns >= next_ns) {
            hide_progress(app);
            terminal_statistics(app->terminal, app->pipeline, now_ns);
            next_ns += stats->interval_ns;
        }
        show_progress(app, now_ns);
    }
}

static int finish(struct app *app, struct error *err)
{
    hide_progress(app);
    int result = pipeline_join(app->pipeline, err);
    const uint64_t owed = pipeline_owed(app->pipeline);

    if (app->settings->stats.enabled) {
        terminal_statistics(app->terminal, app->pipeline, clock_monotonic_ns());
    }
    terminal_summary(app->terminal, app->pipeline);
    if (owed > 0) {
        (void)fprintf(app->human, "records not delivered at the end (lost{shutdown}): %llu\n",
                      (unsigned long long)owed);
    }
    if (result == 0 && (fflush(app->human) != 0 || ferror(app->human) != 0)) {
        result = error_set(err, EIO, "standard output: a write failed (closed or full)");
    }
    return result;
}

static void take_down(struct app *app)
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
    free(app->internal);
}

/* A comparison tells people nothing but its result. */
static int silence(struct app *app, struct error *err)
{
    if (app->alerts == NULL) {
        return 0;
    }
    app->human = fopen("/dev/null", "we");
    return app->human == NULL ? error_set(err, errno, "open /dev/null: %s", strerror(errno)) : 0;
}

/* Everything up to the running pipeline; the exit status of what failed. */
static int prepare(struct app *app, const struct sensor_command *command, struct error *err)
{
    if (check_outputs(app->settings, &app->human, err) != 0 || silence(app, err) != 0 ||
        give_up_privileges(app, err) != 0) {
        return err->code == EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    if (identify(app, app->config, err) != 0) {
        return EXIT_FAILED;
    }
    if (build(app, command, err) != 0) {
        return err->code == EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    return EXIT_SUCCESS;
}

int app_run(const struct sensor_settings *settings, const struct config *config,
            const struct sensor_command *command, struct error *err)
{
    struct app *app = calloc(1, sizeof(*app));
    sigset_t signals;
    int status = EXIT_SUCCESS;

    if (app == NULL) {
        error_set(err, ENOMEM, "no memory");
        return EXIT_FAILED;
    }
    app->settings = settings;
    app->config = config;
    app->is_live = settings->capture.read_pcap.count == 0;
    app->is_service = app->is_live || settings->capture.pace;
    app->shows_progress = !app->is_service && !settings->output.quiet && progress_is_wanted(stderr);
    progress_init(&app->progress, stderr, clock_monotonic_ns());
    block_signals(&signals);
    app->alerts = command->alerts;
    status = prepare(app, command, err);
    if (status == EXIT_SUCCESS) {
        filter_system_calls(app);
        watch(app, &signals);
        status = finish(app, err) == 0 ? EXIT_SUCCESS : EXIT_FAILED;
    }
    take_down(app);
    progress_fini(&app->progress);
    free(app);
    return status;
}

/* ---- small commands ---- */

static void print_interface(void *context, const struct capture_interface *found)
{
    FILE *out = context;

    (void)fprintf(out, "%-16s %s%s%s%s\n", found->name, found->is_up ? "up" : "down",
                  found->is_loopback ? ", loopback" : "", found->description[0] != '\0' ? ", " : "",
                  found->description);
    if (found->addresses[0] != '\0') {
        (void)fprintf(out, "%-16s   %s\n", "", found->addresses);
    }
}

int app_list_interfaces(struct error *err)
{
    return capture_list_interfaces(print_interface, stdout, err) < 0 ? EXIT_FAILED : EXIT_SUCCESS;
}
