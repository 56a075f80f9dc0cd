/* The methods of the sensor, one row each. Streams have no REST: they are on gRPC. */
#include "base/attributes.h"
#include "sensor/export/grpc_private.h"

#define SENSOR  "/netscope.v1.SensorService/"
#define FLOW    "/netscope.v1.FlowService/"
#define ALERT   "/netscope.v1.AlertService/"
#define STATS   "/netscope.v1.StatsService/"
#define PACKET  "/netscope.v1.PacketService/"
#define DNS     "/netscope.v1.DnsService/"
#define CONFIG_ "/netscope.v1.ConfigService/"

const struct grpc_row grpc_rows[] = {
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
    {.path = STATS "WatchStats", .ask = grpc_watch_stats, .is_stream = true},
    {.path = STATS "GetStats", .ask = grpc_get_stats, .rest = {"/v1/stats"}},
    {.path = PACKET "ObservePackets", .ask = grpc_observe_packets, .is_stream = true},
    {.path = PACKET "GetPacket", .ask = grpc_get_packet, .rest = {"/v1/packets/{id}"}},
    {.path = PACKET "CapturePackets", .ask = grpc_capture_packets},
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
};
const size_t grpc_rows_count = ARRAY_COUNT(grpc_rows);
static_assert(ARRAY_COUNT(grpc_rows) <= GRPC_METHODS, "room in struct grpc_server");
