/* The methods of the sensor, one row each. Streams have no REST: they are on gRPC. */
#include "base/attributes.h"
#include "sensor/export/grpc_private.h"
#include "sensor/export/packet_layers.h"

#define SENSOR  "/netscope.v1.SensorService/"
#define FLOW    "/netscope.v1.FlowService/"
#define ALERT   "/netscope.v1.AlertService/"
#define STATS   "/netscope.v1.StatsService/"
#define PACKET  "/netscope.v1.PacketService/"
#define DNS     "/netscope.v1.DnsService/"
#define CONFIG_ "/netscope.v1.ConfigService/"

static const struct grpc_row rows[] = {
    {.path = SENSOR "GetInfo", .ask = grpc_get_info, .rest = {"/v1/info"}},
    {.path = SENSOR "GetStatus", .ask = grpc_get_status, .rest = {"/v1/status"}},
    {.path = SENSOR "GetLossLedger", .ask = grpc_get_loss_ledger, .rest = {"/v1/ledger"}},
    {.path = SENSOR "ListAssets", .ask = grpc_list_assets, .rest = {"/v1/assets"}},
    {.path = FLOW "ObserveFlows", .ask = grpc_observe_flows, .is_stream = true},
    {.path = FLOW "ListActiveFlows", .ask = grpc_list_active_flows, .rest = {"/v1/flows"}},
    {.path = FLOW "GetFlow",
     .ask = grpc_get_flow,
     .rest = {"/v1/flows/{flow_id}", "/v1/flows:find"}},
    {.path = FLOW "GetTopFlows", .ask = grpc_get_top_flows, .rest = {"/v1/flows:top"}},
    {.path = ALERT "ObserveAlerts", .ask = grpc_observe_alerts, .is_stream = true},
    {.path = ALERT "ListAlerts", .ask = grpc_list_alerts, .rest = {"/v1/alerts"}},
    {.path = ALERT "GetAlert", .ask = grpc_get_alert, .rest = {"/v1/alerts/{alert_id}"}},
    {.path = ALERT "AcknowledgeAlert", .ask = grpc_ask_collector},
    {.path = ALERT "CreateSilence", .ask = grpc_ask_collector},
    {.path = ALERT "ListSilences", .ask = grpc_ask_collector},
    {.path = ALERT "DeleteSilence", .ask = grpc_ask_collector},
    {.path = STATS "WatchStats", .ask = grpc_watch_stats, .is_stream = true},
    {.path = STATS "GetStats", .ask = grpc_get_stats, .rest = {"/v1/stats"}},
    {.path = PACKET "ObservePackets", .ask = grpc_observe_packets, .is_stream = true},
    {.path = PACKET "GetPacket", .ask = grpc_get_packet, .rest = {"/v1/packets/{id}"}},
    {.path = PACKET "CapturePackets",
     .ask = grpc_capture_packets,
     .is_stream = true,
     .on_writable = grpc_capture_writable,
     .on_drain = grpc_capture_drain,
     .on_done = grpc_capture_done},
    {.path = DNS "ObserveDns", .ask = grpc_observe_dns, .is_stream = true},
    {.path = CONFIG_ "GetConfig", .ask = grpc_get_config, .rest = {"/v1/config"}},
    {.path = CONFIG_ "ValidateConfig",
     .ask = grpc_validate_config,
     .rest = {"/v1/config:validate"},
     .is_changing = true},
    {.path = CONFIG_ "ReloadConfig",
     .ask = grpc_reload_config,
     .rest = {"/v1/config:reload"},
     .is_changing = true},
    {.path = CONFIG_ "ApplyConfig",
     .ask = grpc_apply_config,
     .rest = {"/v1/config:apply"},
     .is_changing = true},
    {.path = CONFIG_ "ConfirmConfig",
     .ask = grpc_confirm_config,
     .rest = {"/v1/config:confirm"},
     .is_changing = true},
};
static_assert(ARRAY_COUNT(rows) <= GRPC_METHODS, "room in struct grpc_server");

static const char *own_sensor(const struct grpc_server *server)
{
    return grpc_sensor_of(server)->identity.sensor_id;
}

static const char *own_boot(const struct grpc_server *server)
{
    return grpc_sensor_of(server)->identity.boot_id;
}

const struct grpc_program grpc_sensor_program = {
    .name = "sensor",
    .proof = "the unix socket, a token (grpc.token_file) or a client certificate "
             "(grpc.tls_client_ca)",
    .rows = rows,
    .rows_count = ARRAY_COUNT(rows),
    .title = "netscope-sensor",
    .about = "The methods of netscope.v1 that have one answer. Messages are proto3 JSON with "
             "snake_case names; lowerCamelCase is understood, too. Live streams are on gRPC.",
    .look_at_nodes = grpc_node_look,
    .write_node = grpc_node_write,
    .add_layers = packet_layers_append,
    .layers_bytes_max = PACKET_LAYERS_BYTES_MAX,
    .packet_flow = grpc_packet_flow,
    .own_sensor = own_sensor,
    .own_boot = own_boot,
};
