-- Alerts, statistics and DNS transactions, which the collector writes where clickhouse.alerts_table, stats_table and
-- dns_table name their tables. A column's name is the way to its field in alert.proto, stats.proto or dns.proto, joined by
-- "_"; a list is an Array, a list inside a list an Array of Arrays; a Duration ends in _nanos; enums are words. Columns may
-- be added, left out, or have another type that holds the value. Run it again after an update: it adds what is new.
CREATE DATABASE IF NOT EXISTS netscope;

-- One row a state of an incident: open, then update, then close, all with the same alert_id.
CREATE TABLE IF NOT EXISTS netscope.alerts
(
    sensor_id                LowCardinality(String),          -- who decided; "fleet": the collector over all sensors
    boot_id                  LowCardinality(String),
    record_seq               UInt64                           CODEC(DoubleDelta, ZSTD(1)),
    alert_id                 String                           CODEC(ZSTD(1)),
    alert_key                String                           CODEC(ZSTD(1)),
    kind                     LowCardinality(String),          -- syn_flood, port_scan_vertical, ...
    state                    LowCardinality(String),          -- open, update, close
    severity                 LowCardinality(String),          -- info, low, medium, high, critical
    scope                    LowCardinality(String),          -- sensor, fleet
    close_reason             LowCardinality(String),          -- empty: not closed
    first_time               DateTime64(9, 'UTC')             CODEC(Delta, ZSTD(1)),
    last_time                DateTime64(9, 'UTC')             CODEC(Delta, ZSTD(1)),
    description              String                           CODEC(ZSTD(1)),
    score                    UInt8,
    confidence               UInt8,
    sensor_ids               Array(LowCardinality(String)),
    attackers_ip             Array(IPv6)                      CODEC(ZSTD(1)),
    attackers_port           Array(UInt16)                    CODEC(ZSTD(1)),
    attackers_name           Array(String)                    CODEC(ZSTD(1)),
    attackers_scope          Array(LowCardinality(String)),
    attackers_total_estimate UInt64                           CODEC(T64, LZ4),
    victims_ip               Array(IPv6)                      CODEC(ZSTD(1)),
    victims_port             Array(UInt16)                    CODEC(ZSTD(1)),
    victims_name             Array(String)                    CODEC(ZSTD(1)),
    victims_scope            Array(LowCardinality(String)),
    victims_total_estimate   UInt64                           CODEC(T64, LZ4),
    observed                 Float64                          CODEC(ZSTD(1)),
    threshold                Float64                          CODEC(ZSTD(1)),
    unit                     LowCardinality(String),
    window_nanos             UInt64                           CODEC(T64, LZ4),
    estimate_error           Float64                          CODEC(ZSTD(1)),
    baseline                 Nullable(Float64)                CODEC(ZSTD(1)),
    saturated                Bool,
    suppressed_count         UInt64                           CODEC(T64, LZ4),
    loss_during_window       UInt64                           CODEC(T64, LZ4),
    evidence_top_sources_key   Array(String)                  CODEC(ZSTD(1)),
    evidence_top_sources_count Array(UInt64)                  CODEC(ZSTD(1)),
    evidence_top_targets_key   Array(String)                  CODEC(ZSTD(1)),
    evidence_top_targets_count Array(UInt64)                  CODEC(ZSTD(1)),
    evidence_top_ports_key     Array(String)                  CODEC(ZSTD(1)),
    evidence_top_ports_count   Array(UInt64)                  CODEC(ZSTD(1)),
    evidence_top_names_key     Array(String)                  CODEC(ZSTD(1)),
    evidence_top_names_count   Array(UInt64)                  CODEC(ZSTD(1)),
    evidence_community_ids     Array(String)                  CODEC(ZSTD(1)), -- netscope.flows has their flows
    evidence_packet_sample_ids Array(String)                  CODEC(ZSTD(1)),
    mitre_tactic_id          Array(LowCardinality(String)),
    mitre_technique_id       Array(LowCardinality(String)),
    mitre_technique_name     Array(LowCardinality(String)),
    runbook_url              LowCardinality(String),
    config_key               LowCardinality(String),
    config_hash              LowCardinality(String),
    labels_key               Array(LowCardinality(String)),
    labels_value             Array(LowCardinality(String)),
    explains_alert_ids       Array(String)                    CODEC(ZSTD(1)),
    record                   String                           CODEC(ZSTD(3)), -- the AlertRecord itself (protobuf)
    INDEX attackers_index attackers_ip TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX victims_index victims_ip TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX alert_index alert_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(last_time)
ORDER BY (toStartOfHour(last_time), kind, sensor_id, boot_id, record_seq)
TTL toDateTime(last_time) + INTERVAL 1 YEAR
SETTINGS ttl_only_drop_parts = 1;

-- The last state of each incident: what the dashboard's list of alerts shows.
CREATE VIEW IF NOT EXISTS netscope.incidents AS
SELECT *
FROM netscope.alerts
ORDER BY last_time DESC, record_seq DESC
LIMIT 1 BY alert_id;

-- One row a second of each sensor. totals_ and top_ are of that second, all counters with `since start` in stats.proto
-- (interfaces_, ledger_, shards_, sinks_, pcap_) only rise while boot_id is the same.
CREATE TABLE IF NOT EXISTS netscope.stats
(
    sensor_id                  LowCardinality(String),
    boot_id                    LowCardinality(String),
    record_seq                 UInt64                         CODEC(DoubleDelta, ZSTD(1)),
    start_time                 DateTime64(9, 'UTC')           CODEC(DoubleDelta, ZSTD(1)),
    end_time                   DateTime64(9, 'UTC')           CODEC(DoubleDelta, ZSTD(1)),
    totals_packets             UInt64                         CODEC(T64, LZ4),
    totals_bytes               UInt64                         CODEC(T64, LZ4),
    totals_new_flows           UInt64                         CODEC(T64, LZ4),
    totals_ended_flows         UInt64                         CODEC(T64, LZ4),
    totals_flows_active        UInt64                         CODEC(T64, LZ4),
    totals_bytes_in            UInt64                         CODEC(T64, LZ4),
    totals_bytes_out           UInt64                         CODEC(T64, LZ4),
    totals_bytes_internal      UInt64                         CODEC(T64, LZ4),
    totals_malformed_packets   UInt64                         CODEC(T64, LZ4),
    totals_non_ip_packets      UInt64                         CODEC(T64, LZ4),
    totals_late_packets        UInt64                         CODEC(T64, LZ4),
    totals_lost_packets        UInt64                         CODEC(T64, LZ4),
    packets_total              UInt64                         CODEC(Delta, ZSTD(1)),
    bytes_total                UInt64                         CODEC(Delta, ZSTD(1)),
    uptime_nanos               UInt64                         CODEC(Delta, ZSTD(1)),
    top_dimension              Array(LowCardinality(String)), -- application, host, service, direction; the lists below
    top_items_key              Array(Array(String))           CODEC(ZSTD(1)), -- are side by side with it
    top_items_bytes_in         Array(Array(UInt64))           CODEC(ZSTD(1)),
    top_items_bytes_out        Array(Array(UInt64))           CODEC(ZSTD(1)),
    top_items_packets          Array(Array(UInt64))           CODEC(ZSTD(1)),
    interfaces_name            Array(LowCardinality(String)),
    interfaces_up              Array(Bool)                    CODEC(ZSTD(1)),
    interfaces_received_packets Array(UInt64)                 CODEC(ZSTD(1)),
    interfaces_received_bytes  Array(UInt64)                  CODEC(ZSTD(1)),
    interfaces_kernel_dropped  Array(UInt64)                  CODEC(ZSTD(1)),
    interfaces_interface_dropped Array(UInt64)                CODEC(ZSTD(1)),
    interfaces_missed_bytes_estimate Array(UInt64)            CODEC(ZSTD(1)),
    ledger_stage               Array(LowCardinality(String)), -- in = out + all of lost + held
    ledger_name                Array(LowCardinality(String)),
    ledger_unit                Array(LowCardinality(String)),
    ledger_in                  Array(UInt64)                  CODEC(ZSTD(1)),
    ledger_out                 Array(UInt64)                  CODEC(ZSTD(1)),
    ledger_held                Array(UInt64)                  CODEC(ZSTD(1)),
    ledger_lost_reason         Array(Array(String))           CODEC(ZSTD(1)),
    ledger_lost_count          Array(Array(UInt64))           CODEC(ZSTD(1)),
    shards_packets             Array(UInt64)                  CODEC(ZSTD(1)),
    shards_flows_active        Array(UInt64)                  CODEC(ZSTD(1)),
    shards_flows_max           Array(UInt64)                  CODEC(ZSTD(1)),
    shards_evicted             Array(UInt64)                  CODEC(ZSTD(1)),
    memory_rss_bytes           UInt64                         CODEC(T64, LZ4),
    memory_limit_bytes         UInt64                         CODEC(T64, LZ4),
    memory_flow_table_bytes    UInt64                         CODEC(T64, LZ4),
    memory_detectors_bytes     UInt64                         CODEC(T64, LZ4),
    detectors_kind             Array(LowCardinality(String)),
    detectors_open             Array(UInt64)                  CODEC(ZSTD(1)),
    detectors_saturated        Array(Bool)                    CODEC(ZSTD(1)),
    tcp_health_data_segments          UInt64                  CODEC(T64, LZ4),
    tcp_health_retransmitted_segments UInt64                  CODEC(T64, LZ4),
    tcp_health_out_of_order_segments  UInt64                  CODEC(T64, LZ4),
    tcp_health_zero_window_events     UInt64                  CODEC(T64, LZ4),
    tcp_health_resets                 UInt64                  CODEC(T64, LZ4),
    tcp_health_half_open              UInt64                  CODEC(T64, LZ4),
    tcp_health_rtt_bounds_seconds     Array(Float64)          CODEC(ZSTD(1)),
    tcp_health_rtt_counts             Array(UInt64)           CODEC(ZSTD(1)),
    tcp_health_rtt_sum_seconds        Float64                 CODEC(ZSTD(1)),
    dns_queries                UInt64                         CODEC(T64, LZ4),
    dns_responses              UInt64                         CODEC(T64, LZ4),
    dns_rcode_counts           Array(UInt64)                  CODEC(ZSTD(1)), -- by response code, from 0
    dns_response_sum_seconds   Float64                        CODEC(ZSTD(1)),
    sinks_name                 Array(LowCardinality(String)),
    sinks_connected            Array(Bool)                    CODEC(ZSTD(1)),
    sinks_sent                 Array(UInt64)                  CODEC(ZSTD(1)),
    sinks_acked                Array(UInt64)                  CODEC(ZSTD(1)),
    sinks_failed               Array(UInt64)                  CODEC(ZSTD(1)),
    sinks_spool_bytes          Array(UInt64)                  CODEC(ZSTD(1)),
    clock_offset_estimate_nanos Nullable(Int64)               CODEC(ZSTD(1)),
    clock_synced               Bool,
    version                    LowCardinality(String),
    config_hash                LowCardinality(String)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(end_time)
ORDER BY (sensor_id, end_time, boot_id, record_seq)
TTL toDateTime(end_time) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

-- One row a DNS transaction (sensors with dns.records).
CREATE TABLE IF NOT EXISTS netscope.dns
(
    sensor_id           LowCardinality(String),
    boot_id             LowCardinality(String),
    record_seq          UInt64                                CODEC(DoubleDelta, ZSTD(1)),
    time                DateTime64(9, 'UTC')                  CODEC(Delta, ZSTD(1)),
    flow_id             UInt64                                CODEC(ZSTD(1)),
    community_id        String                                CODEC(ZSTD(1)),
    client_ip           IPv6                                  CODEC(ZSTD(1)),
    client_port         UInt16                                CODEC(ZSTD(1)),
    server_ip           IPv6                                  CODEC(ZSTD(1)),
    server_port         UInt16                                CODEC(ZSTD(1)),
    protocol            LowCardinality(String),               -- dns, mdns, llmnr
    ip_protocol         UInt8,
    name                String                                CODEC(ZSTD(1)),
    type_name           LowCardinality(String),
    rcode               Nullable(UInt16)                      CODEC(ZSTD(1)), -- null: no answer
    rcode_name          LowCardinality(String),
    latency_nanos       Nullable(UInt64)                      CODEC(ZSTD(1)),
    has_query           Bool,
    has_response        Bool,
    truncated           Bool,
    authoritative       Bool,
    retries             UInt32                                CODEC(T64, LZ4),
    response_bytes      UInt32                                CODEC(T64, LZ4),
    transaction_id      UInt16                                CODEC(ZSTD(1)),
    answers_name        Array(String)                         CODEC(ZSTD(1)),
    answers_type_name   Array(LowCardinality(String)),
    answers_data        Array(String)                         CODEC(ZSTD(1)),
    answers_ttl_seconds Array(UInt32)                         CODEC(ZSTD(1)),
    INDEX name_index name TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX client_ip_index client_ip TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (toStartOfFiveMinutes(time), sensor_id, client_ip, boot_id, record_seq)
TTL toDateTime(time) + INTERVAL 15 DAY
SETTINGS ttl_only_drop_parts = 1;

-- As for flows: an INSERT that a collector makes again is known by its token and taken once.
ALTER TABLE netscope.alerts MODIFY SETTING non_replicated_deduplication_window = 1000;
ALTER TABLE netscope.stats MODIFY SETTING non_replicated_deduplication_window = 1000;
ALTER TABLE netscope.dns MODIFY SETTING non_replicated_deduplication_window = 1000;
