/* gRPC services of the sensor: SensorService, FlowService, AlertService, StatsService,
 * PacketService, DnsService, health, reflection.
 *
 * It is a sink, too: the publisher's batches feed a history ring and the live streams, both owned
 * by the rpc thread, so that a reader gets history and then live records without a gap or repeat at
 * the seam. Slow readers lose their own records and are told (LossNotice). Questions about live
 * flows go to the shards (pipeline_ask) and come back by rpc_post. Depends on: base, base/rpc,
 * proto, proto/json, proto/filter, wire, pipeline. */
#pragma once

#include "base/config/config.h"
#include "base/error.h"
#include "base/rpc/rpc.h"
#include "base/service/control.h"
#include "proto/serve/grpc_settings.h"
#include "sensor/pipeline/pipeline.h"
#include "sensor/pipeline/sink.h"

extern const struct config_field grpc_fields[];

/* What the unary methods tell; borrowed for life. */
struct grpc_identity {
    const char *sensor_id, *boot_id, *config_hash;
    uint64_t start_wall_ns;
    uint64_t flows_max, idle_timeout_ns, active_timeout_ns;
    uint32_t shards;
    const char *const *capabilities;
    uint32_t capabilities_count;
    bool has_dns_records;
    struct control *control; /* who answers ConfigService; NULL: nobody */
};

/* The form of `listen`, and whether it may be open to other machines; opens nothing. 0 or
 * -EINVAL. grpc_server_new asks it too. */
MUST_USE int grpc_server_check(const struct grpc_settings *settings, struct error *err);
/* Listens at once ("listen 127.0.0.1:50051: address in use"), serves after grpc_server_attach. NULL
 * with `err`. */
MUST_USE struct grpc_server *grpc_server_new(const struct grpc_settings *settings,
                                             const struct grpc_identity *identity,
                                             struct rpc_runtime *runtime, struct error *err);
struct sink grpc_server_sink(struct grpc_server *server);
/* The pipeline exists now: start serving. It must outlive grpc_server_stop. */
void grpc_server_attach(struct grpc_server *server, struct pipeline *pipeline);
/* Health NOT_SERVING, streams drained, port closed. */
void grpc_server_stop(struct grpc_server *server);
void grpc_server_free(struct grpc_server *server);
DEFINE_AUTO(grpc_server, grpc_server_free);
/* What a reload changes; taken up on the rpc thread. Any thread. */
struct grpc_tuning {
    const char *config_hash; /* copied */
    uint64_t idle_timeout_ns, active_timeout_ns;
};
void grpc_server_retune(struct grpc_server *server, const struct grpc_tuning *tuning);
/* The TCP port in use (0 = none). */
uint16_t grpc_server_port(const struct grpc_server *server);
/* Counts for /metrics and GetStatus: what is there now, records sent, records dropped for slow
 * readers, who was refused. */
struct grpc_server_counts {
    uint32_t streams, connections; /* connections of TCP */
    uint64_t records_sent, records_dropped, calls_refused, connections_refused;
    /* Settings by ApplyConfig. */
    uint64_t config_applied, config_confirmed, config_rolled_back, config_refused;
};
void grpc_server_counts_read(struct grpc_server *server, struct grpc_server_counts *out);
