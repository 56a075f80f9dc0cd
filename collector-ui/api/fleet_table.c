/* The methods and routes of the collector, one row each: gRPC, REST and the OpenAPI document come
 * from it. Rows without a method are the dashboard's pages (docs/live-feed.md). */
#include "base/attributes.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/fleet_private.h"

#define FLEET   "/netscope.v1.FleetService/"
#define FLOW    "/netscope.v1.FlowService/"
#define ALERT   "/netscope.v1.AlertService/"
#define STATS   "/netscope.v1.StatsService/"
#define PACKET  "/netscope.v1.PacketService/"
#define DNS     "/netscope.v1.DnsService/"
#define QUERY   "/netscope.v1.QueryService/"
#define KEPT    "/netscope.v1.CaptureService/"
#define SENSORS "/netscope.v1.SensorService/"
#define CONFIG_ "/netscope.v1.ConfigService/"
#define SELF    "/netscope.v1.CollectorService/"

#define FROM                                                                                       \
    {                                                                                              \
        "from", "integer", "Begin of the range, Unix ms."                                          \
    }
#define TO                                                                                         \
    {                                                                                              \
        "to", "integer", "End of the range, Unix ms."                                              \
    }
#define FILTER                                                                                     \
    {                                                                                              \
        "filter", "string", "Which flows (proto/filter)."                                          \
    }
#define DEDUP                                                                                      \
    {                                                                                              \
        "dedup", "string",                                                                         \
            "MERGED (the default) or ALL: how often a flow counts that several sensors saw."       \
    }
#define SENSOR                                                                                     \
    {                                                                                              \
        "sensor_id", "string", "Of this sensor."                                                   \
    }

static const struct openapi_page
    page_summary = {"Sums of a range: traffic, applications, talkers, alerts.", {FROM, TO}},
    page_timeseries = {"A figure over time.",
                       {{"metric", "string", "bps, pps, flows, new_flows, rtt or loss."},
                        {"by", "string", "none, app, sensor, direction or site."},
                        {"step", "integer", "Wanted step in ms."},
                        {"top", "integer", "Series by name, 1 to 127 (20); the rest is other."},
                        {"sensor", "string", "Of this sensor alone; without a filter."},
                        FROM,
                        TO,
                        {"filter", "string", "Which flows; with bps, pps and new_flows."},
                        DEDUP}},
    page_flows = {"Flows of a range, the newest record of each.",
                  {FILTER,
                   FROM,
                   TO,
                   DEDUP,
                   {"page_size", "integer", "1 to 1000."},
                   {"page_token", "string", "From the page before."},
                   {"order_by", "string",
                    "end_time, start_time, bytes, packets, rate, rtt, retransmits or duration; "
                    "then ' desc' or ' asc'."}}},
    page_flow = {"One flow: its newest record.",
                 {{"id", "string", "Its id, 16 hexadecimal digits."}, SENSOR}},
    page_facets = {"What flows of a range have in common.", {FILTER, FROM, TO, DEDUP}},
    page_filter_check = {"Is this a filter?", {FILTER}},
    page_sensors = {.summary = "All sensors and how they stand."},
    page_sensor = {"One sensor.", {{"id", "string", "Its id."}}},
    page_ledger = {.summary = "The loss ledger of the collector and of each sensor."},
    page_alerts = {"Incidents, newest first.",
                   {{"state", "string", "open or all."},
                    {"acknowledged", "string", "all, exclude or only."},
                    {"silenced", "string", "all, exclude or only."},
                    FROM,
                    TO,
                    {"page_size", "integer", "1 to 1000."},
                    {"page_token", "string", "From the page before."}}},
    page_packets = {"Packet samples, newest first.",
                    {SENSOR,
                     {"flow_id", "string", "Of this flow."},
                     {"limit", "integer", "1 to 2000."}}},
    page_packet = {"One packet sample.", {{"id", "string", "Its id."}, SENSOR}},
    page_capture = {"The pcapng file of a capture, as far as it has come.",
                    {{"capture_id", "string", "Its id."}}};

static const struct grpc_row rows[] = {
    {.path = FLEET "ListSensors", .ask = fleet_list_sensors, .rest = {"/v1/fleet/sensors"}},
    {.path = FLEET "UpdateSensor",
     .ask = fleet_update_sensor,
     .rest = {"/v1/fleet/sensors/{sensor_id}:update"},
     .is_changing = true},
    {.path = FLEET "RevokeSensor",
     .ask = fleet_revoke_sensor,
     .rest = {"/v1/fleet/sensors/{sensor_id}:revoke"},
     .is_changing = true},
    {.path = FLEET "GetSensor", .ask = fleet_get_sensor, .rest = {"/v1/fleet/sensors/{sensor_id}"}},
    {.path = FLEET "WatchSensors", .ask = fleet_watch_sensors, .is_stream = true},
    {.path = FLEET "SetDesiredConfig",
     .ask = fleet_set_desired_config,
     .rest = {"/v1/fleet/config:set"},
     .is_changing = true},
    {.path = FLEET "GetConfigStatus", .ask = fleet_get_config_status, .rest = {"/v1/fleet/config"}},
    {.path = FLEET "ClearDesiredConfig",
     .ask = fleet_clear_desired_config,
     .rest = {"/v1/fleet/config:clear"},
     .is_changing = true},
    {.path = FLOW "ObserveFlows", .ask = grpc_observe_flows, .is_stream = true},
    {.path = FLOW "ListActiveFlows", .ask = fleet_list_active_flows, .rest = {"/v1/fleet/flows"}},
    {.path = FLOW "GetFlow",
     .ask = fleet_get_flow,
     .rest = {"/v1/fleet/flows/{flow_id}", "/v1/fleet/flows:find"}},
    {.path = FLOW "GetTopFlows", .ask = fleet_get_top_flows, .rest = {"/v1/fleet/flows:top"}},
    {.path = ALERT "ObserveAlerts", .ask = grpc_observe_alerts, .is_stream = true},
    {.path = ALERT "ListAlerts", .ask = fleet_list_alerts, .rest = {"/v1/fleet/alerts"}},
    {.path = ALERT "GetAlert", .ask = fleet_get_alert, .rest = {"/v1/fleet/alerts/{alert_id}"}},
    {.path = ALERT "AcknowledgeAlert",
     .ask = fleet_acknowledge_alert,
     .rest = {"/v1/fleet/alerts:acknowledge", "/v1/alerts:acknowledge"},
     .is_changing = true},
    {.path = ALERT "CreateSilence",
     .ask = fleet_create_silence,
     .rest = {"/v1/fleet/silences:create", "/v1/silences:create"},
     .is_changing = true},
    {.path = ALERT "ListSilences",
     .ask = fleet_list_silences,
     .rest = {"/v1/fleet/silences", "/v1/silences"}},
    {.path = ALERT "DeleteSilence",
     .ask = fleet_delete_silence,
     .rest = {"/v1/fleet/silences/{silence_id}:delete", "/v1/silences/{silence_id}:delete"},
     .is_changing = true},
    {.path = STATS "WatchStats", .ask = grpc_watch_stats, .is_stream = true},
    {.path = STATS "GetStats", .ask = fleet_get_stats, .rest = {"/v1/fleet/stats"}},
    {.path = PACKET "ObservePackets", .ask = grpc_observe_packets, .is_stream = true},
    {.path = PACKET "GetPacket", .ask = fleet_get_packet, .rest = {"/v1/fleet/packets/{id}"}},
    {.path = PACKET "CapturePackets",
     .ask = fleet_capture_packets,
     .is_stream = true,
     .on_writable = fleet_capture_writable,
     .on_done = fleet_capture_done},
    {.path = DNS "ObserveDns", .ask = grpc_observe_dns, .is_stream = true},
    {.path = QUERY "QueryFlows", .ask = fleet_query_flows, .rest = {"/v1/fleet/flows:query"}},
    {.path = QUERY "Aggregate",
     .ask = fleet_aggregate,
     .rest = {"/v1/fleet/query:aggregate", "/v1/query:aggregate"}},
    {.path = QUERY "GetServiceMap",
     .ask = fleet_get_service_map,
     .rest = {"/v1/fleet/map", "/v1/map"}},
    {.path = KEPT "StartCapture",
     .ask = fleet_start_capture,
     .rest = {"/v1/captures"},
     .is_changing = true},
    {.path = KEPT "ListCaptures", .ask = fleet_list_captures, .rest = {"/v1/captures"}},
    {.path = KEPT "StreamCapture",
     .ask = fleet_stream_capture,
     .is_stream = true,
     .on_writable = fleet_capture_read_writable,
     .on_done = fleet_capture_read_done},
    {.path = KEPT "DownloadCapture",
     .ask = fleet_download_capture,
     .is_stream = true,
     .on_writable = fleet_capture_read_writable,
     .on_done = fleet_capture_read_done},
    {.path = KEPT "CancelCapture",
     .ask = fleet_cancel_capture,
     .rest = {"/v1/captures/{capture_id}:cancel"},
     .is_changing = true},
    {.path = KEPT "DeleteCapture",
     .ask = fleet_delete_capture,
     .rest = {"/v1/captures/{capture_id}"},
     .is_changing = true,
     .verb = HTTP_DELETE},
    {.page = route_capture_file,
     .described = &page_capture,
     .rest = {"/v1/captures/{capture_id}.pcapng"}},
    {.path = KEPT "GetCapture", .ask = fleet_get_capture, .rest = {"/v1/captures/{capture_id}"}},
    {.path = SENSORS "GetLossLedger", .ask = fleet_get_loss_ledger, .rest = {"/v1/fleet/ledger"}},
    {.path = SENSORS "ListAssets",
     .ask = fleet_list_assets,
     .rest = {"/v1/fleet/assets", "/v1/assets"}},
    {.path = QUERY "ListHosts", .ask = fleet_list_hosts, .rest = {"/v1/fleet/hosts", "/v1/hosts"}},
    {.path = QUERY "ListServices",
     .ask = fleet_list_services,
     .rest = {"/v1/fleet/services", "/v1/services"}},
    {.path = SELF "GetCollectorStatus",
     .ask = fleet_get_collector_status,
     .rest = {"/v1/fleet/status", "/v1/status"}},
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
    {.page = route_summary, .described = &page_summary, .rest = {"/v1/summary"}},
    {.page = route_timeseries, .described = &page_timeseries, .rest = {"/v1/timeseries"}},
    {.page = route_flows, .described = &page_flows, .rest = {"/v1/flows"}},
    {.page = route_flow, .described = &page_flow, .rest = {"/v1/flows/{id}"}},
    {.page = route_facets, .described = &page_facets, .rest = {"/v1/facets"}},
    {.page = route_filter_check, .described = &page_filter_check, .rest = {"/v1/filter:check"}},
    {.page = route_sensors, .described = &page_sensors, .rest = {"/v1/sensors"}},
    {.page = route_sensor, .described = &page_sensor, .rest = {"/v1/sensors/{id}"}},
    {.page = route_ledger, .described = &page_ledger, .rest = {"/v1/ledger"}},
    {.page = route_alerts, .described = &page_alerts, .rest = {"/v1/alerts"}},
    {.page = route_packets, .described = &page_packets, .rest = {"/v1/packets"}},
    {.page = route_packet, .described = &page_packet, .rest = {"/v1/packets/{id}"}},
};
static_assert(ARRAY_COUNT(rows) <= GRPC_METHODS, "room in struct grpc_server");

const struct grpc_program fleet_program = {
    .packet_flow = fleet_packet_flow,
    .name = "collector",
    .proof = "a token (grpc.token_file)",
    .rows = rows,
    .rows_count = ARRAY_COUNT(rows),
    .title = "netscope-collector",
    .about = "The methods of netscope.v1 over the whole fleet that have one answer. Messages are "
             "proto3 JSON with snake_case names; lowerCamelCase is understood, too. Live streams "
             "are on gRPC. Paths outside of /v1/fleet are what the dashboard asks.",
    .look_at_nodes = fleet_look_at_nodes,
    .write_node = fleet_write_node,
    .each_labelled = fleet_each_labelled,
};
