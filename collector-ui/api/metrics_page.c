/* /metrics: the collector's own figures, and the eight names of the first NetScope where they have
 * a meaning here. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/process.h"
#include "base/service/certificate_watch.h"
#include "collector-ui/api/fleet_grpc.h"
#include "collector-ui/api/ledger.h"

static void write_history(struct metrics_page *page, struct api *api)
{
    struct history_counts c;
    history_counts_read(api->history, &c);
    const struct {
        const char *name, *help;
        enum metrics_type type;
        uint64_t value;
    } rows[] = {
        {"netscope_collector_batches_total", "Batches given to the store.", METRICS_COUNTER,
         c.batches_in},
        {"netscope_collector_records_total", "Records given to the store.", METRICS_COUNTER,
         c.records_in},
        {"netscope_collector_records_stored_total", "Records stored.", METRICS_COUNTER,
         c.records_stored},
        {"netscope_collector_records_duplicate_total", "Records that were stored already.",
         METRICS_COUNTER, c.records_duplicate},
        {"netscope_collector_records_undecodable_total", "Records that could not be read.",
         METRICS_COUNTER, c.records_undecodable},
        {"netscope_collector_records_not_kept_total",
         "Records of streams that are not stored (DNS).", METRICS_COUNTER, c.records_not_kept},
        {"netscope_collector_sequence_gap_records_total", "Records that will never come.",
         METRICS_COUNTER, c.gap_records},
        {"netscope_collector_flow_packets_stored", "Packets in the stored flow records.",
         METRICS_GAUGE, c.packets_stored},
        {"netscope_collector_store_bytes", "Day files on disk.", METRICS_GAUGE, c.bytes_on_disk},
        {"netscope_collector_store_files", "Day files.", METRICS_GAUGE, c.files},
        {"netscope_collector_store_files_set_aside", "Damaged day files set aside.", METRICS_GAUGE,
         c.files_set_aside},
        {"netscope_collector_store_queue_batches", "Batches that wait for the store.",
         METRICS_GAUGE, c.queue_used},
        {"netscope_collector_store_failed", "1: the store has stopped.", METRICS_GAUGE,
         history_failure(api->history) != NULL},
        {"netscope_collector_queries_total", "Questions to the history.", METRICS_COUNTER,
         c.queries},
        {"netscope_collector_queries_partial_total", "Queries that met a bound.", METRICS_COUNTER,
         c.queries_partial},
        {"netscope_collector_queries_cancelled_total", "Queries whose caller went.",
         METRICS_COUNTER, c.queries_cancelled},
        {"netscope_collector_queries_refused_total", "Queries refused, too many waited.",
         METRICS_COUNTER, c.queries_refused},
        {"netscope_collector_live_frames_total", "Frames sent.", METRICS_COUNTER,
         atomic_load(&api->live_frames)},
        {"netscope_collector_live_frames_merged_total", "Frames of more than one tick.",
         METRICS_COUNTER, atomic_load(&api->live_merged)},
        {"netscope_collector_live_resyncs_total", "Times a client was told to fetch.",
         METRICS_COUNTER, atomic_load(&api->live_resyncs)},
        {"netscope_collector_live_lost_frames_total",
         "Frames that clients did not get, neither alone nor merged; each told by a resync.",
         METRICS_COUNTER, atomic_load(&api->live_lost)},
        {"netscope_collector_live_unknown_total", "Messages of clients not understood.",
         METRICS_COUNTER, atomic_load(&api->live_unknown)},
        {"netscope_collector_live_refused_total", "Clients refused.", METRICS_COUNTER,
         atomic_load(&api->live_refused)},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        metrics_one(page, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
    }
}

static void write_grpc(struct metrics_page *page, const struct api *api)
{
    struct fleet_grpc_counts c;
    if (api->fleet == NULL) {
        return;
    }
    fleet_grpc_counts_read(api->fleet, &c);
    metrics_one(page, "netscope_collector_grpc_streams", METRICS_GAUGE,
                "Live streams of the API now.", c.streams);
    metrics_one(page, "netscope_collector_grpc_records_taken_total", METRICS_COUNTER,
                "Records taken for live streams.", c.records_taken);
    metrics_one(page, "netscope_collector_grpc_records_unfed_total", METRICS_COUNTER,
                "Records that found no room in front of all live streams; they are stored.",
                c.records_unfed);
    metrics_one(page, "netscope_collector_grpc_records_sent_total", METRICS_COUNTER,
                "Records sent to live streams.", c.records_sent);
    metrics_one(page, "netscope_collector_grpc_records_dropped_total", METRICS_COUNTER,
                "Records that live streams did not get, each told by a LossNotice.",
                c.records_dropped);
}

#define KAFKA(name) "netscope_collector_kafka_source_" name

static void write_kafka(struct metrics_page *page, const struct api_ingest_counts *c)
{
    metrics_one(page, KAFKA("messages_total"), METRICS_COUNTER, "Messages read from Kafka.",
                c->kafka.messages);
    metrics_one(page, KAFKA("undecodable_total"), METRICS_COUNTER,
                "Of them: not what netscope-sensor writes.", c->kafka.undecodable);
    metrics_one(page, KAFKA("records_total"), METRICS_COUNTER, "Records in them.",
                c->kafka.records);
    metrics_one(page, KAFKA("taken_total"), METRICS_COUNTER, "Of them: new, and on disk.",
                c->kafka.taken);
    metrics_one(page, KAFKA("duplicates_total"), METRICS_COUNTER, "Of them: taken before.",
                c->kafka.known);
    metrics_one(page, KAFKA("by_stream_total"), METRICS_COUNTER,
                "Of them: of sensors that report here by their own stream too.",
                c->kafka.by_stream);
    metrics_one(
        page, KAFKA("refused_total"), METRICS_COUNTER,
        "Of them: no room for a further sensor (ingest.sensors_max), or a name that is none.",
        c->kafka.refused);
    metrics_one(page, KAFKA("assets_total"), METRICS_COUNTER,
                "Messages that say who is who (assets_topics).", c->kafka.assets);
    metrics_one(page, KAFKA("errors_total"), METRICS_COUNTER, "Errors of brokers and topics.",
                c->kafka.errors);
    metrics_one(page, KAFKA("commits_total"), METRICS_COUNTER, "Commits of offsets.",
                c->kafka.commits);
    metrics_one(page, KAFKA("commits_failed_total"), METRICS_COUNTER, "Of them: failed.",
                c->kafka.commits_failed);
    metrics_one(page, KAFKA("again_total"), METRICS_COUNTER,
                "Times that messages were asked for again, since the log did not take them.",
                c->kafka.again);
    metrics_one(page, KAFKA("partitions"), METRICS_GAUGE, "Partitions read by this collector now.",
                c->kafka.partitions);
    metrics_one(page, KAFKA("lag_messages"), METRICS_GAUGE,
                "Messages in them that are not read yet, as far as is known.", c->kafka.lag);
}

static void write_ingest(struct metrics_page *page, struct api *api)
{
    struct api_ingest_counts c = {0};
    if (api->ingest_counts == NULL) {
        return;
    }
    api->ingest_counts(api->context, &c);
    metrics_one(page, "netscope_collector_connections", METRICS_GAUGE, "Sensors connected.",
                c.connections);
    metrics_one(page, "netscope_collector_ingest_batches_total", METRICS_COUNTER,
                "Batches received.", c.batches);
    metrics_one(page, "netscope_collector_ingest_records_total", METRICS_COUNTER,
                "Records received.", c.records);
    metrics_one(page, "netscope_collector_ingest_duplicates_total", METRICS_COUNTER,
                "Records received twice.", c.duplicates);
    metrics_one(page, "netscope_collector_ingest_gap_records_total", METRICS_COUNTER,
                "Records told lost.", c.gap_records);
    metrics_one(page, "netscope_collector_ingest_refused_total", METRICS_COUNTER,
                "Streams refused.", c.refused);
    metrics_one(page, "netscope_collector_ingest_refused_rate_total", METRICS_COUNTER,
                "Of them: an address began more than ingest.streams_per_second.", c.refused_rate);
    metrics_one(page, "netscope_collector_ingest_sockets", METRICS_GAUGE, "TCP connections now.",
                c.sockets);
    metrics_one(page, "netscope_collector_ingest_sockets_refused_total", METRICS_COUNTER,
                "TCP connections closed at once: there were ingest.connections_max.",
                c.sockets_refused);
    metrics_one(page, "netscope_collector_ingest_throttles_total", METRICS_COUNTER,
                "Requests to sensors to send less, or all again.", c.throttles);
    metrics_one(page, "netscope_collector_ingest_throttled_sensors", METRICS_GAUGE,
                "Sensors whose rate is bounded now because the store is behind.", c.throttled);
    metrics_one(page, "netscope_collector_ingest_backlog_bytes", METRICS_GAUGE,
                "Batches taken and not yet in the store.", c.backlog_bytes);
    metrics_one(page, "netscope_collector_ingest_draining", METRICS_GAUGE,
                "1 while sensors are sent to another collector (ingest.redirect_to).",
                c.is_draining);
    metrics_one(page, "netscope_collector_ingest_redirects_total", METRICS_COUNTER,
                "Requests to sensors to go to another collector.", c.redirects);
    metrics_one(page, "netscope_collector_ingest_elsewhere_records_total", METRICS_COUNTER,
                "Records that sensors told as acknowledged by another collector: not lost.",
                c.elsewhere_records);
    metrics_one(page, "netscope_collector_ingest_returned_records_total", METRICS_COUNTER,
                "Records that the log did not take: not acknowledged, sent again.", c.returned);
    metrics_one(page, "netscope_collector_log_errors_total", METRICS_COUNTER,
                "Writes and syncs of the log that failed; nothing of them was acknowledged.",
                c.log_errors);
    metrics_one(page, "netscope_collector_log_bytes", METRICS_GAUGE, "Segment log on disk.",
                c.log_bytes);
    if (c.kafka.is_on) {
        write_kafka(page, &c);
    }
}

static void write_ledger(struct metrics_page *page, struct api *api)
{
    static const char name[] = "netscope_dropped_records_total";
    struct stats_ledger_row rows[COLLECTOR_LEDGER_ROWS_MAX];
    const uint32_t count = collector_ledger(api, rows);

    metrics_family(page, name, METRICS_COUNTER, "Records lost, by stage and reason.");
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < rows[i].lost_count; j++) {
            metrics_u64(page, name,
                        METRICS_LABELS("stage", ledger_stage_name(rows[i].stage), "name",
                                       rows[i].name, "reason", rows[i].lost[j].reason),
                        rows[i].lost[j].count);
        }
    }
}

static void write_receivers(struct metrics_page *page, struct api *api)
{
#define COLUMN(member) offsetof(struct api_receiver_counts, member)
    static const struct {
        const char *result;
        size_t offset;
    } results[] = {{"sent", COLUMN(sent)},         {"passed_over", COLUMN(passed_over)},
                   {"silenced", COLUMN(silenced)}, {"refused", COLUMN(refused)},
                   {"expired", COLUMN(expired)},   {"dropped", COLUMN(dropped)}};
    static const struct {
        const char *name, *help;
        enum metrics_type type;
        size_t offset;
    } families[] = {
        {"netscope_collector_receiver_waiting", "Alerts that wait for the receiver.", METRICS_GAUGE,
         COLUMN(waiting)},
        {"netscope_collector_receiver_retries_total", "Tries that failed and are made again.",
         METRICS_COUNTER, COLUMN(retries)},
        {"netscope_collector_receiver_repeated_total",
         "Alerts told again because repeat_interval had passed, or a silence had ended.",
         METRICS_COUNTER, COLUMN(repeated)},
        {"netscope_collector_receiver_forgotten_total",
         "Incidents told that are no longer known (routing.incidents_max).", METRICS_COUNTER,
         COLUMN(forgotten)}};
#undef COLUMN
    static const char name[] = "netscope_collector_receiver_alerts_total";
    struct api_receiver_counts c[API_RECEIVERS_MAX];
    const uint32_t count = ledger_receivers(api, c);

    if (count == 0) {
        return;
    }
    metrics_family(page, name, METRICS_COUNTER, "Alerts by receiver and what became of them.");
    for (uint32_t i = 0; i < count; i++) {
        for (size_t j = 0; j < ARRAY_COUNT(results); j++) {
            metrics_u64(page, name,
                        METRICS_LABELS("receiver", c[i].name, "result", results[j].result),
                        *(const uint64_t *)((const char *)&c[i] + results[j].offset));
        }
    }
    for (size_t j = 0; j < ARRAY_COUNT(families); j++) {
        metrics_family(page, families[j].name, families[j].type, families[j].help);
        for (uint32_t i = 0; i < count; i++) {
            metrics_u64(page, families[j].name, METRICS_LABELS("receiver", c[i].name),
                        *(const uint64_t *)((const char *)&c[i] + families[j].offset));
        }
    }
    metrics_family(page, "netscope_collector_receiver_up", METRICS_GAUGE,
                   "0: its last try failed.");
    for (uint32_t i = 0; i < count; i++) {
        metrics_u64(page, "netscope_collector_receiver_up", METRICS_LABELS("receiver", c[i].name),
                    !c[i].is_failing);
    }
}

#define CLICKHOUSE(name) "netscope_collector_clickhouse_" name

static void write_clickhouse_questions(struct metrics_page *page,
                                       const struct api_clickhouse_counts *c)
{
    metrics_one(page, CLICKHOUSE("questions_total"), METRICS_COUNTER,
                "Questions about records older than the store.", c->questions);
    metrics_one(page, CLICKHOUSE("questions_failed_total"), METRICS_COUNTER,
                "Of these, not answered.", c->questions_failed);
    metrics_one(page, CLICKHOUSE("questions_bounded_total"), METRICS_COUNTER,
                "Answered up to clickhouse.query_rows or query_size.", c->questions_bounded);
    metrics_one(page, CLICKHOUSE("records_read_total"), METRICS_COUNTER,
                "Records read for answers.", c->records_read);
    metrics_one(page, CLICKHOUSE("questions_up"), METRICS_GAUGE, "0: the last question failed.",
                !c->is_question_failing);
}

static void write_clickhouse_records(struct metrics_page *page,
                                     const struct api_clickhouse_counts *counts, uint32_t count)
{
    metrics_family(page, CLICKHOUSE("records_total"), METRICS_COUNTER,
                   "Records for ClickHouse by what became of them.");
    for (uint32_t i = 0; i < count; i++) {
        const struct api_clickhouse_counts *c = &counts[i];
        const struct {
            const char *result;
            uint64_t value;
        } results[] = {{"inserted", c->inserted},
                       {"refused", c->refused},
                       {"undecodable", c->undecodable},
                       {"dropped", c->dropped}};

        for (size_t j = 0; j < ARRAY_COUNT(results); j++) {
            metrics_u64(page, CLICKHOUSE("records_total"),
                        METRICS_LABELS("stream", c->stream, "result", results[j].result),
                        results[j].value);
        }
    }
}

/* What each stream has one of. */
static uint64_t clickhouse_figure(const struct api_clickhouse_counts *c, size_t which)
{
    const uint64_t figures[] = {c->waiting, c->is_waiting_known, c->backlog_bytes, c->inserts,
                                c->retries, c->missing_bytes,    !c->is_failing};

    return figures[which];
}

static void write_clickhouse(struct metrics_page *page, struct api *api)
{
    static const struct {
        const char *name;
        enum metrics_type type;
        const char *help;
    } families[] = {
        {CLICKHOUSE("waiting"), METRICS_GAUGE, "Records that wait for ClickHouse."},
        {CLICKHOUSE("waiting_known"), METRICS_GAUGE,
         "0: those that waited at the start are being counted."},
        {CLICKHOUSE("backlog_bytes"), METRICS_GAUGE,
         "Of the log: kept for ClickHouse (clickhouse.queue_size)."},
        {CLICKHOUSE("inserts_total"), METRICS_COUNTER, "Statements that were taken."},
        {CLICKHOUSE("retries_total"), METRICS_COUNTER, "Tries that failed and are made again."},
        {CLICKHOUSE("log_missing_bytes_total"), METRICS_COUNTER,
         "Of the log: damaged or gone before it was read."},
        {CLICKHOUSE("up"), METRICS_GAUGE, "0: its last try failed."},
    };
    struct api_clickhouse_counts counts[API_CLICKHOUSE_MAX];
    const uint32_t count = ledger_clickhouse(api, counts);

    if (count == 0) {
        return;
    }
    write_clickhouse_records(page, counts, count);
    for (size_t which = 0; which < ARRAY_COUNT(families); which++) {
        metrics_family(page, families[which].name, families[which].type, families[which].help);
        for (uint32_t i = 0; i < count; i++) {
            metrics_u64(page, families[which].name, METRICS_LABELS("stream", counts[i].stream),
                        clickhouse_figure(&counts[i], which));
        }
    }
    if (counts[0].is_asked) {
        write_clickhouse_questions(page, &counts[0]);
    }
}

static void write_captures(struct metrics_page *page, struct api *api)
{
    static const char name[] = "netscope_collector_captures_total";
    struct capture_files_counts files;
    struct captures_counts c;

    if (api->fleet == NULL) {
        return;
    }
    captures_counts_read(fleet_grpc_captures(api->fleet), &c);
    metrics_one(page, "netscope_collector_captures", METRICS_GAUGE,
                "Captures of sensors that run now.", c.running);
    metrics_family(page, name, METRICS_COUNTER,
                   "Captures by what became of them; refused: no sensor was asked.");
    metrics_u64(page, name, METRICS_LABELS("result", "ended"), c.ended);
    metrics_u64(page, name, METRICS_LABELS("result", "failed"), c.failed);
    metrics_u64(page, name, METRICS_LABELS("result", "refused"), c.refused);
    metrics_one(page, "netscope_collector_capture_packets_total", METRICS_COUNTER,
                "Packets of captures that have ended.", c.packets);
    metrics_one(page, "netscope_collector_capture_bytes_total", METRICS_COUNTER,
                "Bytes of the files of captures.", c.bytes);
    metrics_one(page, "netscope_collector_capture_dropped_total", METRICS_COUNTER,
                "Packets that found no room at their sensor: the reader did not keep up.",
                c.dropped);
    capture_files_counts_read(fleet_grpc_files(api->fleet), &files);
    metrics_one(page, "netscope_collector_capture_files", METRICS_GAUGE, "Captures kept.",
                files.kept);
    metrics_one(page, "netscope_collector_capture_files_bytes", METRICS_GAUGE,
                "Bytes of their files.", files.bytes);
    metrics_family(page, "netscope_collector_capture_files_removed_total", METRICS_COUNTER,
                   "Kept captures that went: for their age, or to make room for a new one.");
    metrics_u64(page, "netscope_collector_capture_files_removed_total",
                METRICS_LABELS("reason", "age"), files.aged);
    metrics_u64(page, "netscope_collector_capture_files_removed_total",
                METRICS_LABELS("reason", "room"), files.displaced);
    metrics_one(page, "netscope_collector_capture_files_failed_total", METRICS_COUNTER,
                "Files of captures that could not be written.", files.failed);
}

static void write_triage(struct metrics_page *page, struct api *api)
{
    struct triage *const triage = atomic_load(&api->triage);
    struct triage_counts c;

    if (triage == NULL) {
        return;
    }
    triage_counts_read(triage, clock_wall_ns(), &c);
    metrics_one(page, "netscope_collector_acknowledgements", METRICS_GAUGE,
                "Acknowledgements kept.", c.acknowledgements);
    metrics_one(page, "netscope_collector_acknowledgements_forgotten_total", METRICS_COUNTER,
                "Acknowledgements that made room for others (triage.acknowledgements_max).",
                c.forgotten);
    metrics_one(page, "netscope_collector_silences", METRICS_GAUGE, "Silences that are on.",
                c.silences);
}

static void write_assets(struct metrics_page *page, struct api *api)
{
    struct fleet_assets *const assets = atomic_load(&api->assets);
    struct fleet_assets_counts c;

    if (assets == NULL) {
        return;
    }
    fleet_assets_counts_read(assets, &c);
    metrics_one(page, "netscope_collector_assets", METRICS_GAUGE,
                "Pairs of address and MAC that sensors know.", c.assets);
    metrics_one(page, "netscope_collector_assets_told_total", METRICS_COUNTER,
                "Assets in reports of sensors.", c.told);
    metrics_one(
        page, "netscope_collector_assets_malformed_total", METRICS_COUNTER,
        "Of these, not taken: malformed, more than a report may hold, or no room for the sensor.",
        c.malformed);
    metrics_one(page, "netscope_collector_assets_replaced_total", METRICS_COUNTER,
                "Unseen for the longest, that made room (assets.max, assets.sensor_max).",
                c.replaced);
    metrics_one(page, "netscope_collector_assets_expired_total", METRICS_COUNTER,
                "Forgotten since nothing new was told of them (assets.keep).", c.expired);
}

static void write_push(struct metrics_page *page, struct api *api)
{
    static const char *const states[INGEST_CONFIG_STATE_COUNT] = {
        NULL, NULL, "pending", "applying", "applied", "needs_restart", "failed", "rolled_back"};
    static const char *const stages[ROLLOUT_STAGE_COUNT] = {NULL, "canary", "all", "stopped"};
    struct config_push *const push = atomic_load(&api->push);
    struct config_push_counts c;

    if (push == NULL) {
        return;
    }
    config_push_counts_read(push, &c);
    metrics_one(page, "netscope_collector_desired_configs", METRICS_GAUGE,
                "Settings that sensors shall have (SetDesiredConfig).", c.configs);
    metrics_family(
        page, "netscope_collector_rollouts", METRICS_GAUGE,
        "Of these, how far they are; stopped: a sensor failed, or was waited for in vain.");
    for (unsigned i = ROLLOUT_CANARY; i < ROLLOUT_STAGE_COUNT; i++) {
        metrics_u64(page, "netscope_collector_rollouts", METRICS_LABELS("stage", stages[i]),
                    c.stages[i]);
    }
    metrics_family(page, "netscope_collector_desired_config_sensors", METRICS_GAUGE,
                   "Sensors that shall have some, by what became of it.");
    for (unsigned i = 0; i < INGEST_CONFIG_STATE_COUNT; i++) {
        if (states[i] != NULL) {
            metrics_u64(page, "netscope_collector_desired_config_sensors",
                        METRICS_LABELS("state", states[i]), c.sensors[i]);
        }
    }
}

static void write_http(struct metrics_page *page, struct api *api)
{
    struct http_server_stats s;
    http_server_stats(api->server, &s);
    metrics_one(page, "netscope_collector_http_requests_total", METRICS_COUNTER, "Requests.",
                s.requests);
    metrics_one(page, "netscope_collector_http_refused_total", METRICS_COUNTER, "Requests refused.",
                s.requests_refused);
    metrics_one(page, "netscope_collector_http_auth_refused_total", METRICS_COUNTER,
                "Logins refused.", s.auth_refused);
    metrics_one(page, "netscope_collector_live_clients", METRICS_GAUGE, "Live clients.",
                s.ws_clients);
    metrics_one(page, "netscope_collector_live_full_total", METRICS_COUNTER,
                "Sends that found a full queue.", s.ws_full);
    metrics_family(page, "netscope_collector_http_responses_total", METRICS_COUNTER,
                   "Answers by class.");
    static const char *const classes[] = {"", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (unsigned i = 1; i < 6; i++) {
        metrics_u64(page, "netscope_collector_http_responses_total",
                    METRICS_LABELS("class", classes[i]), s.responses_by_class[i]);
    }
}

static void write_sensors(struct metrics_page *page, struct api *api)
{
    uint32_t count;
    struct sensor_info *const list = sensor_registry_all(api->registry, clock_wall_ns(), &count);
    uint64_t active = 0;
    metrics_family(page, "netscope_sensor_up", METRICS_GAUGE, "1: the sensor is live.");
    for (uint32_t i = 0; i < count; i++) {
        metrics_u64(page, "netscope_sensor_up", METRICS_LABELS("sensor", list[i].sensor_id),
                    list[i].state == SENSOR_LIVE);
        active += list[i].state == SENSOR_LIVE ? list[i].flows_active : 0;
    }
    metrics_family(page, "netscope_collector_sensor_last_seen_timestamp_seconds", METRICS_GAUGE,
                   "When it was heard last.");
    for (uint32_t i = 0; i < count; i++) {
        metrics_double(page, "netscope_collector_sensor_last_seen_timestamp_seconds",
                       METRICS_LABELS("sensor", list[i].sensor_id),
                       (double)list[i].last_seen_ns / 1e9);
    }
    metrics_one(page, "netscope_active_flows", METRICS_GAUGE, "Flows active on all live sensors.",
                active);
    free(list);
}

static void write_access(struct metrics_page *page, const struct api *api)
{
    struct access_counts c;
    access_counts_read(api->access, &c);
    const struct {
        const char *result;
        uint64_t value;
    } logins[] = {{"ok", c.logins}, {"wrong", c.wrong}, {"limited", c.limited}, {"busy", c.busy}};
    metrics_family(page, "netscope_collector_logins_total", METRICS_COUNTER,
                   "Logins by what became of them.");
    for (size_t i = 0; i < ARRAY_COUNT(logins); i++) {
        metrics_u64(page, "netscope_collector_logins_total",
                    METRICS_LABELS("result", logins[i].result), logins[i].value);
    }
    metrics_one(page, "netscope_collector_sessions", METRICS_GAUGE,
                "Sessions of whoever is logged in.", c.sessions);
    metrics_family(page, "netscope_collector_sessions_ended_total", METRICS_COUNTER,
                   "Sessions ended before their time.");
    metrics_u64(page, "netscope_collector_sessions_ended_total", METRICS_LABELS("reason", "logout"),
                c.logouts);
    metrics_u64(page, "netscope_collector_sessions_ended_total", METRICS_LABELS("reason", "full"),
                c.evicted);
    metrics_u64(page, "netscope_collector_sessions_ended_total", METRICS_LABELS("reason", "user"),
                c.revoked);
    metrics_family(page, "netscope_collector_users", METRICS_GAUGE, "Who may log in.");
    metrics_u64(page, "netscope_collector_users", METRICS_LABELS("kind", "user"), c.users);
    metrics_u64(page, "netscope_collector_users", METRICS_LABELS("kind", "token"), c.tokens);
}

static void write_certificates(struct metrics_page *page, struct api *api)
{
    struct certificate_watch *watch = atomic_load(&api->certificates);

    if (watch != NULL) {
        certificate_watch_write(watch, "netscope_collector_certificate_not_after_seconds", page);
    }
}

void route_metrics(struct http_request *request)
{
    struct api *const api = http_request_context(request);
    struct metrics_page page;
    metrics_page_init(&page, (size_t)4 << 20);
    metrics_family(&page, "netscope_build_info", METRICS_GAUGE, "Version of the program.");
    metrics_u64(&page, "netscope_build_info",
                METRICS_LABELS("version", NETSCOPE_VERSION, "program", "collector"), 1);
    metrics_family(&page, "netscope_uptime_seconds", METRICS_GAUGE, "Since the start.");
    metrics_double(&page, "netscope_uptime_seconds", NULL,
                   (double)(clock_wall_ns() - api->started_ns) / 1e9);
    process_write_metrics(&page);
    metrics_one(&page, "netscope_capture_packets_total", METRICS_COUNTER,
                "Packets told by sensors since the start.", atomic_load(&api->cum_packets));
    metrics_one(&page, "netscope_capture_bytes_total", METRICS_COUNTER,
                "Bytes told by sensors since the start.", atomic_load(&api->cum_bytes));
    metrics_one(&page, "netscope_kernel_drops_total", METRICS_COUNTER,
                "Dropped by sensors' kernels since the start.", atomic_load(&api->cum_kernel));
    metrics_one(&page, "netscope_kernel_if_drops_total", METRICS_COUNTER,
                "Dropped by sensors' interfaces since the start.",
                atomic_load(&api->cum_interface));
    metrics_one(&page, "netscope_dispatch_drops_total", METRICS_COUNTER,
                "Packets and records that sensors lost because no batch was free, since the start.",
                atomic_load(&api->cum_dispatch));
    write_sensors(&page, api);
    write_history(&page, api);
    write_ingest(&page, api);
    write_grpc(&page, api);
    metrics_write_detection(&page, api);
    write_clickhouse(&page, api);
    write_receivers(&page, api);
    metrics_write_dials(&page, api);
    write_ledger(&page, api);
    write_captures(&page, api);
    write_triage(&page, api);
    write_assets(&page, api);
    write_push(&page, api);
    write_access(&page, api);
    write_http(&page, api);
    write_certificates(&page, api);
    http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8",
               page.text == NULL ? "" : page.text, page.length);
    metrics_page_fini(&page);
}
