/* What the files of the fleet's gRPC API share. Private to collector-ui/api. */
#pragma once

#include <stdatomic.h>

#include "collector-ui/api/fleet_grpc.h"
#include "collector-ui/capture/capture_filter.h"
#include "collector-ui/history/query.h"
#include "proto/serve/grpc_serve.h"

#define FLEET_RECORDS_MAX 4096 /* in one batch of ingest */
#define FLEET_NEWS_MAX    256

/* How a sensor stood when it was looked at last. */
struct fleet_seen {
    char sensor_id[129], boot_id[33], version[32], config_hash[17];
    enum sensor_state state;
    uint64_t labels; /* a hash of them */
};

struct fleet_news {
    char sensor_id[129];
    enum sensor_state state;
};

struct fleet_stats {
    char sensor_id[129];
    uint8_t *bytes; /* a StatsRecord with identity */
    uint32_t length;
    uint64_t end_ns;
};

struct fleet_grpc {
    struct grpc_server *server;
    struct fleet_grpc_parts parts;
    const char *token_file;
    struct grpc_access *access; /* read, and not yet used; main's */
    _Atomic uint32_t jobs;      /* handed to history and not over */
    _Atomic uint64_t unfed;
    _Atomic bool hides_packets;   /* from REST (web.sample_rate: 0) */
    _Atomic uint64_t shown_bytes; /* of a packet, to REST (web.payload_bytes) */
    /* The log thread's: */
    struct codec_slice *slices;
    uint64_t seq[RECORD_STREAM_COUNT];
    /* The rpc thread's: */
    struct fleet_seen *seen;
    uint32_t seen_count;
    uint64_t looked_ns, news_seq;
    struct fleet_news news[FLEET_NEWS_MAX]; /* number n at n % FLEET_NEWS_MAX */
    pthread_mutex_t stats_lock;             /* over what follows: the last of each sensor, by id */
    struct fleet_stats *stats;
    uint32_t stats_count, stats_room;
    pthread_mutex_t status_lock; /* over what follows, and while it is asked; NULL: not yet */
    void (*read_status)(struct api *api, struct collector_status *out);
    struct api *status_api;
};

static inline struct fleet_grpc *fleet_of(const struct grpc_server *server)
{
    return server->owner;
}

extern const struct grpc_program fleet_program; /* fleet_table.c */

/* ---- what a query could see (fleet_coverage.c) ---- */

struct fleet_coverage {
    uint8_t *bytes; /* a Coverage; malloc'ed */
    size_t length;
};
/* Of the sensors chosen: those that are heard of now have answered. `cost` NULL: the history was
 * not asked. Any thread. False: no memory. */
MUST_USE bool fleet_coverage_make(const struct fleet_grpc *fleet,
                                  const struct grpc_sensor_choice *sensors,
                                  const struct history_cost *cost, struct fleet_coverage *out);
/* All sensors known; malloc'ed, NULL: no memory. */
MUST_USE struct sensor_info *fleet_list(const struct fleet_grpc *fleet, uint32_t *count);

/* ---- questions to the history (fleet_job.c) ---- */

struct fleet_job {
    struct fleet_grpc *fleet;
    struct grpc_ask ask; /* kept */
    struct history_reader *reader;
    struct history_cost cost;
    uint64_t from_ns, to_ns;
    bool has_range;                     /* what is asked for lies in it */
    bool is_past_wanted, is_past_tried; /* of an id: it is looked for in the other store, too */
    struct filter *filter;
    struct grpc_sensor_choice sensors;
    struct alert_choice alerts;
    int acknowledged, silenced;   /* AlertInclusion */
    struct fleet_wish *wish;      /* NULL: it changes nothing */
    struct rollout_wish *desired; /* settings for sensors, owned; NULL: none */
    char *sensor_id, *labels;     /* of one sensor, owned; NULL: none */
    enum history_order order;
    enum history_group group;
    bool is_by_packets, has_cursor;
    bool is_all; /* a flow counts once for each sensor */
    struct history_cursor cursor;
    struct history_record_cursor record_cursor;
    struct history_aggregate_query sums;
    uint32_t map_nodes, map_edges; /* at most */
    struct history_parties_query parties;
    char self[64], search[132];
    uint64_t started_ns; /* monotonic */
    uint64_t question;   /* a hash of what pages have in common */
    uint32_t page_size;
    uint64_t offset;
    char id[64];
    struct fleet_capture_wish *capture; /* owned; NULL: none */
    /* Asks and answers, or refuses; on a query thread. */
    void (*run)(struct fleet_job *job);
};

/* Calls `each` for the newest record of every incident since `from_ns` that is chosen (`only_open`:
 * of those that are open), newest first, until it says stop. False: refused. */
MUST_USE bool fleet_each_alert(struct fleet_job *job, uint64_t from_ns, bool only_open,
                               bool (*each)(void *context, const struct history_bytes *record,
                                            const struct alert_record *alert),
                               void *context, struct history_list *list);

/* NULL: refused (no memory). */
MUST_USE struct fleet_job *fleet_job_new(struct grpc_ask *ask, void (*run)(struct fleet_job *job));
void fleet_job_free(struct fleet_job *job);
/* Hands it over; refuses when too many wait. */
void fleet_job_submit(struct fleet_job *job);
/* What is asked for by its id was not found: true where the job is run once more then, with the
 * other store; it must not have answered. */
MUST_USE bool fleet_job_tries_past(struct fleet_job *job);
/* Sums up the cost; false: refused (no memory, not wanted any more). */
MUST_USE bool fleet_job_succeeded(struct fleet_job *job, int result);
/* A Dedup of a request; false: refused. */
MUST_USE bool fleet_read_dedup(struct fleet_job *job, int dedup);
/* What the pages of one question have in common but for range and order: filter, sensors, dedup
 * (once those are read). */
uint64_t fleet_question(const struct fleet_job *job, const char *filter);
/* As what the answer counts. */
void fleet_write_dedup(struct wire_writer *w, uint32_t field, const struct fleet_job *job);
/* Why the answer is not whole; "" when it is. */
#define FLEET_REASON_BYTES 512
void fleet_job_reason(const struct fleet_job *job, char out[FLEET_REASON_BYTES]);
/* Answers with `records` as field `field`, one each, the token unless it is empty and the coverage;
 * further fields in `more`. */
struct fleet_answer {
    const struct history_bytes *records;
    uint64_t count;
    const char *next_page; /* field 2, as everywhere */
    uint32_t coverage_field;
    const uint8_t *more;
    size_t more_length;
};
void fleet_job_answer(struct fleet_job *job, const struct fleet_answer *answer);

/* `text` and the sensors as one filter; false: refused. *out NULL: all. */
MUST_USE bool fleet_read_filter(struct grpc_ask *ask, const char *text, const char *more,
                                const struct grpc_sensor_choice *sensors, struct filter **out);

/* ---- questions of QueryService (fleet_query.c) ---- */

/* `from` and `to` of a request: to = now, from = an hour before `to`. False: refused. */
MUST_USE bool fleet_read_range(struct fleet_job *job, const Google__Protobuf__Timestamp *from,
                               const Google__Protobuf__Timestamp *to);
/* The key of a label in a name of group_by: `prefix` ("labels.", "client.labels.") and the key; its
 * length is within bounds, its letters are not looked at. False, and `key` untouched: another name.
 */
MUST_USE bool fleet_read_label_key(const char *name, const char *prefix,
                                   char key[FLOW_LABEL_KEY_BYTES + 1]);
/* fleet_job_reason, and whether groups found no room: then the job's answer is partial too. */
void fleet_sums_reason(struct fleet_job *job, const struct history_aggregate *sums,
                       char out[FLEET_REASON_BYTES]);
/* A Duration. */
void fleet_write_duration(struct wire_writer *w, uint32_t field, uint64_t ns);

/* ---- what people say of alerts (fleet_triage.c) ---- */

/* What somebody wants to be changed. */
struct fleet_wish;
void fleet_wish_free(struct fleet_wish *wish); /* NULL is allowed */
void fleet_acknowledge_alert(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_create_silence(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_list_silences(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_delete_silence(struct grpc_ask *ask, const uint8_t *bytes, size_t length);

/* ---- settings for sensors (fleet_push.c) ---- */
void fleet_set_desired_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_get_config_status(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_clear_desired_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_desired_free(struct rollout_wish *desired); /* NULL is allowed */

/* ---- labels of sensors (fleet_labels.c) ---- */
void fleet_update_sensor(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
/* Of struct grpc_program. */
void fleet_each_labelled(const struct grpc_server *server, const struct grpc_sensor_choice *choice,
                         const char *labels, void (*each)(void *context, const char *sensor_id),
                         void *context);
/* As two maps. */
void fleet_write_labels(struct wire_writer *w, uint32_t all_field, uint32_t set_field,
                        const struct config_push_labels *labels);

/* ---- whose credentials count no more (fleet_revoke.c) ---- */
void fleet_revoke_sensor(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
#define FLEET_REVOCATION_BYTES                                                                     \
    (INGEST_SENSOR_ID_BYTES + REVOCATION_BY_BYTES + REVOCATION_REASON_BYTES + 64)
void fleet_write_revocation(struct wire_writer *w, uint32_t field, const struct revocation *one);

/* ---- news (fleet_watch.c) ---- */
void fleet_look_at_nodes(struct grpc_server *server, uint64_t now_ns);
size_t fleet_write_node(const struct grpc_server *server, uint32_t *told,
                        uint8_t out[GRPC_NODE_BYTES]);
/* A Sensor message, malloc'ed; `has_stats`: with its last statistics. NULL: no memory. */
MUST_USE uint8_t *fleet_encode_sensor(struct fleet_grpc *fleet, const struct sensor_info *info,
                                      bool has_stats, size_t *length);

/* ---- methods ---- */
void fleet_list_sensors(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_get_sensor(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_list_assets(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_watch_sensors(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_list_active_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_get_flow(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_get_top_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_query_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_aggregate(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_get_service_map(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_list_hosts(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_list_services(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_list_alerts(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_get_alert(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_get_collector_status(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_get_stats(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_get_loss_ledger(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
/* As grpc_packet_flow of a sensor, from the protocol tree that the sample came with; false without
 * one, or without IP in it. */
MUST_USE bool fleet_packet_flow(const uint8_t *bytes, size_t length, struct flow_record *out);
void fleet_get_packet(struct grpc_ask *ask, const uint8_t *bytes, size_t length);

/* ---- packets that sensors are asked for (fleet_capture.c) ---- */
/* A message that found the call's queue full. */
struct fleet_pending {
    struct rpc_bytes bytes;
    bool is_there;
};
/* Takes the bytes over. False: they wait until the call is writable. */
MUST_USE bool fleet_send(struct rpc_call *call, struct fleet_pending *pending,
                         struct rpc_bytes bytes);
/* What waits. False: nothing does, or it still finds no room. */
MUST_USE bool fleet_send_again(struct rpc_call *call, struct fleet_pending *pending);
void fleet_send_forget(struct fleet_pending *pending);
void fleet_capture_packets(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_capture_writable(struct rpc_call *call);
void fleet_capture_done(struct rpc_call *call, const struct rpc_result *result);
/* Who asks, for the audits. */
void fleet_capture_who(const struct grpc_ask *ask, char who[GRPC_WHO_BYTES],
                       char peer[RPC_PEER_BYTES]);
/* The order with who asks in it, and `peer` for as long as the request. */
struct captures_request fleet_capture_request(const struct grpc_ask *ask, const char *sensor_id,
                                              struct ingest_capture_order *order,
                                              char peer[RPC_PEER_BYTES]);
/* Is it the id of one sensor that is known? False: refused. */
MUST_USE bool fleet_capture_sensor(struct grpc_ask *ask, const char *field, const char *id);
/* A capture that did not begin. */
void fleet_capture_refuse_start(struct grpc_ask *ask, const struct error *err);
void fleet_capture_refuse_end(struct grpc_ask *ask, const struct captures_end *end);

/* ---- what somebody wants to capture (fleet_capture_start.c) ---- */

struct fleet_capture_wish {
    struct grpc_ask ask;
    struct ingest_capture_order order;
    char bpf_plain[CAPTURE_FILTER_BYTES]; /* without VLAN tags; "": order.bpf is */
    uint64_t sensor_packets_max, sensor_bytes_max;
    char flow_id[17], alert_id[40]; /* that the filter is made for; "": not for one */
    uint32_t sensors_count;
    char sensors[CAPTURE_SENSORS_MAX][INGEST_SENSOR_ID_BYTES];
};
bool fleet_capture_has_subject(const struct fleet_capture_wish *wish);
/* Each once. False: refused. */
MUST_USE bool fleet_capture_add_sensor(struct fleet_capture_wish *wish, const char *id);
/* Asks the sensors; takes the wish over. The rpc thread. */
void fleet_capture_go(struct fleet_capture_wish *wish);
/* The same when the history has told what the flow or alert is (fleet_capture_subject.c). */
void fleet_capture_look_up(struct fleet_capture_wish *wish);

/* ---- captures that are kept (fleet_captures.c, fleet_capture_start.c, fleet_capture_read.c) ----
 */
void fleet_stream_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_download_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_capture_read_writable(struct rpc_call *call);
void fleet_capture_read_done(struct rpc_call *call, const struct rpc_result *result);
void fleet_answer_capture(struct grpc_ask *ask, const struct capture_info *info);
/* None with this id. */
void fleet_refuse_capture(struct grpc_ask *ask, const char *id);
void fleet_start_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_get_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_list_captures(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_cancel_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
void fleet_delete_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length);
