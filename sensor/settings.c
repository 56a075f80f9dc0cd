#include "sensor/settings.h"

#include <assert.h>
#include <string.h>

#include "base/attributes.h"
#include "sensor/settings_fields.h"

static uint32_t add(struct config_section *out, uint32_t count, const struct config_section *rows,
                    uint32_t rows_count)
{
    memcpy(out + count, rows, rows_count * sizeof(*rows));
    return count + rows_count;
}

/* One environment may serve both programs: NETSCOPE_COLLECTOR_WEB__PORT is the collector's, while
 * NETSCOPE_COLLECTOR__ADDRESS is our section `collector`. */
static const char *const collector_sections[] = {
    "analysis", "assets",   "captures",     "clickhouse", "dial", "fleet",
    "grpc",     "ingest",   "kafka_source", "log",        "push", "receivers",
    "routing",  "security", "store",        "triage",     "web",  NULL};
static const struct config_neighbour collector = {"netscope-collector", "NETSCOPE_COLLECTOR",
                                                  collector_sections};

struct config *sensor_settings_new(struct sensor_settings *settings, struct error *err)
{
    const struct config_section before[] = {
        {"sensor", sensor_fields, &settings->sensor, "Who this sensor is."},
        {"capture", capture_fields, &settings->capture, "Where packets come from."},
        {"decode", decode_fields, &settings->decode, "Which layers and tunnels are opened."},
        {"run", run_fields, &settings->run, "How long it runs."},
        {"output", output_fields, &settings->output, "Files and the terminal."},
        {"flow", flow_fields, &settings->flow, "The flow table."},
        {"log", log_fields, &settings->log, "Lines about the program itself, on stderr."},
        {"stats", stats_fields, &settings->stats, "Statistics on the terminal."},
        {"analysis", analysis_fields, &settings->analysis, "What is measured."},
    };
    const struct config_section after[] = {
        {"pipeline", pipeline_fields, &settings->pipeline, "Threads and queues."},
        {"networks", networks_fields, &settings->networks, "What is inside."},
        {"packets", packets_fields, &settings->packets, "Packet samples, and captures on request."},
        {"dns", dns_fields, &settings->dns, "DNS transactions."},
        {"assets", assets_fields, &settings->assets, "Who is who on the link."},
        {"names", names_fields, &settings->names, "Names of servers from DNS answers."},
        {"grpc", grpc_fields, &settings->grpc, "gRPC services of the sensor."},
        {"http", http_export_fields, &settings->http, "Metrics and health over HTTP."},
        {"collector", collector_fields, &settings->collector, "Stream to a collector."},
        {"kafka", kafka_fields, &settings->kafka, "Records to Kafka."},
        {"ipfix", ipfix_fields, &settings->ipfix, "Flow records to IPFIX collectors."},
        {"security", confine_fields, &settings->security, "What the process may still do."},
        {"spool", spool_fields, &settings->spool,
         "Where records wait for the collector and Kafka through long outages and restarts."},
    };
    uint32_t count = add(settings->sections, 0, before, ARRAY_COUNT(before));

    static_assert(ARRAY_COUNT(before) + ARRAY_COUNT(after) + DETECTION_SECTIONS_MAX <=
                      SENSOR_SECTIONS_MAX,
                  "room for all sections");
    count += detection_sections(&settings->anomalies, settings->sections + count);
    count = add(settings->sections, count, after, ARRAY_COUNT(after));
    settings->named_clusters = (struct config_named){
        .path = "kafka_clusters",
        .fields = kafka_fields,
        .help = "Further Kafka clusters, each a sink of its own under a name of your choice, with "
                "the keys of `kafka`.",
        .names_max = KAFKA_CLUSTERS_MAX,
        .names = settings->kafka_names,
        .settings = settings->kafka_clusters,
        .bytes = sizeof(settings->kafka_clusters[0]),
    };
    struct config *config = config_new(settings->sections, count, "NETSCOPE", err);

    if (config != NULL && config_add_named(config, &settings->named_clusters, err) != 0) {
        config_free(config);
        return NULL;
    }
    if (config != NULL) {
        config_set_neighbour(config, &collector);
    }
    return config;
}
