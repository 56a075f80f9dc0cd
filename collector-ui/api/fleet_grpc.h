/* The fleet over gRPC: FleetService, and FlowService, AlertService, StatsService, PacketService and
 * DnsService with the messages that a sensor serves; on the port of ingest.
 *
 * Streams walk rings of the last records that came (fleet_grpc_feed), lists ask the history as the
 * routes of REST do. One table of methods (fleet_table.c) is behind gRPC, REST and the OpenAPI
 * document. Depends on: base/rpc, proto/serve, fleet, history. Threads: its own is the rpc thread;
 * feed: the log thread; queries on history's threads. */
#pragma once

#include "base/config/config.h"
#include "base/error.h"
#include "base/rpc/rpc.h"
#include "base/service/control.h"
#include "collector-ui/capture/capture_files.h"
#include "collector-ui/capture/captures.h"
#include "collector-ui/fleet/config_push.h"
#include "collector-ui/fleet/fleet_assets.h"
#include "collector-ui/fleet/revocations.h"
#include "collector-ui/fleet/sensor_registry.h"
#include "collector-ui/history/history.h"
#include "collector-ui/triage/triage.h"
#include "proto/serve/grpc_settings.h"

extern const struct config_field fleet_grpc_fields[]; /* section "grpc", in struct grpc_settings */

struct fleet_grpc;

struct fleet_grpc_parts {
    struct rpc_runtime *runtime;
    struct history *history;
    struct sensor_registry *registry;
    struct captures *captures;
    struct capture_files *files;     /* of them */
    struct triage *triage;           /* what people say of alerts; NULL: nobody can */
    struct config_push *push;        /* settings for sensors; NULL: none */
    struct revocations *revocations; /* whose credentials count no more; NULL: nobody's */
    /* Ends the streams of those; how many. Any thread but a call's. */
    uint32_t (*check_streams)(void *context);
    void *context;
    struct fleet_assets *assets; /* what sensors know of their links */
    struct control *control;     /* who answers ConfigService */
    bool is_remote;              /* other machines reach the port */
    bool is_exposed; /* likewise, and may not: then nobody is answered without a token */
};

/* NULL with `err`: no memory, or tokens that cannot be read. The parts live longer. */
MUST_USE struct fleet_grpc *fleet_grpc_new(const struct grpc_settings *settings,
                                           const struct fleet_grpc_parts *parts, struct error *err);
/* Adds the services to the server of ingest, before its start. */
MUST_USE int fleet_grpc_add(struct fleet_grpc *fleet, struct rpc_server *server, struct error *err);
/* May a call that is not ingest's be answered? On the call's thread. */
enum rpc_status fleet_grpc_authorize(struct fleet_grpc *fleet, struct rpc_call *call,
                                     const char *path, struct error *reason);
/* Health of all services at once. */
void fleet_grpc_tell_health(struct rpc_health *health, bool is_serving);
/* A batch that is on disk, as ingest tells it. What finds no room is lost to readers alone, who are
 * told ("sink_full"). Log thread. */
void fleet_grpc_feed(struct fleet_grpc *fleet, const char *sensor_id, const uint8_t *message,
                     uint32_t length);
/* Reads grpc.token_file again, for fleet_grpc_use_tokens; on failure the tokens before stay. One
 * thread. */
MUST_USE int fleet_grpc_read_tokens(struct fleet_grpc *fleet, struct error *err);
/* What was read last counts, and streams of those whose token is gone end. The same thread. */
void fleet_grpc_use_tokens(struct fleet_grpc *fleet);

struct fleet_grpc_counts {
    uint64_t streams, records_sent, records_dropped, records_taken, records_unfed;
};
/* Captures on request. */
struct captures *fleet_grpc_captures(const struct fleet_grpc *fleet);
struct capture_files *fleet_grpc_files(const struct fleet_grpc *fleet);
void fleet_grpc_counts_read(struct fleet_grpc *fleet, struct fleet_grpc_counts *out);

struct api;
struct collector_status;
/* Who knows how the collector fares; NULL: nobody any more, and none is being asked. Any thread. */
void fleet_grpc_tell_status(struct fleet_grpc *fleet,
                            void (*read)(struct api *api, struct collector_status *out),
                            struct api *api);

/* After the rpc server has stopped and before history is freed: waits for its queries. NULL is
 * allowed. */
void fleet_grpc_free(struct fleet_grpc *fleet);
DEFINE_AUTO(fleet_grpc, fleet_grpc_free);
