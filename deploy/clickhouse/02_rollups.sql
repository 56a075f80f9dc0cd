-- Sums by minute, five minutes and hour: without client addresses and ports, so that they stay small. A record's delta
-- goes to the bucket of its end_time. Records that Kafka delivered twice (only after a broker's trouble) count twice
-- here, what a collector sent twice does not; README.md says how a day is made anew from the raw table.
CREATE TABLE IF NOT EXISTS netscope.flows_1m
(
    time              DateTime('UTC')          CODEC(DoubleDelta, ZSTD(1)),
    sensor_id         LowCardinality(String),
    server_ip         IPv6                     CODEC(ZSTD(1)),
    server_port       UInt16                   CODEC(ZSTD(1)),
    ip_protocol       UInt8,
    app_protocol      LowCardinality(String),
    client_scope      LowCardinality(String),
    server_scope      LowCardinality(String),
    records           SimpleAggregateFunction(sum, UInt64) CODEC(T64, LZ4),
    flows_ended       SimpleAggregateFunction(sum, UInt64) CODEC(T64, LZ4),
    forward_packets   SimpleAggregateFunction(sum, UInt64) CODEC(T64, LZ4),
    forward_bytes     SimpleAggregateFunction(sum, UInt64) CODEC(T64, LZ4),
    reverse_packets   SimpleAggregateFunction(sum, UInt64) CODEC(T64, LZ4),
    reverse_bytes     SimpleAggregateFunction(sum, UInt64) CODEC(T64, LZ4),
    clients           AggregateFunction(uniq, IPv6),
    handshake_nanos   AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, sensor_id, server_port, server_ip, ip_protocol, app_protocol, client_scope, server_scope)
TTL time + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS netscope.flows_5m AS netscope.flows_1m
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (time, sensor_id, server_port, server_ip, ip_protocol, app_protocol, client_scope, server_scope)
TTL time + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS netscope.flows_1h AS netscope.flows_1m
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (time, sensor_id, server_port, server_ip, ip_protocol, app_protocol, client_scope, server_scope)
TTL time + INTERVAL 1 YEAR
SETTINGS ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS netscope.flows_1m_view TO netscope.flows_1m AS
SELECT
    toStartOfMinute(toDateTime(end_time, 'UTC')) AS time,
    sensor_id, server_ip, server_port, ip_protocol, app_protocol, client_scope, server_scope,
    count() AS records,
    countIf(event = 'end') AS flows_ended,
    sum(forward_delta_packets) AS forward_packets,
    sum(forward_delta_bytes) AS forward_bytes,
    sum(reverse_delta_packets) AS reverse_packets,
    sum(reverse_delta_bytes) AS reverse_bytes,
    uniqState(client_ip) AS clients,
    quantilesTDigestStateIf(0.5, 0.9, 0.99)(assumeNotNull(tcp_handshake_time_nanos),
        event = 'end' AND isNotNull(tcp_handshake_time_nanos)) AS handshake_nanos
FROM netscope.flows
GROUP BY time, sensor_id, server_ip, server_port, ip_protocol, app_protocol, client_scope, server_scope;

CREATE MATERIALIZED VIEW IF NOT EXISTS netscope.flows_5m_view TO netscope.flows_5m AS
SELECT
    toStartOfFiveMinutes(toDateTime(end_time, 'UTC')) AS time,
    sensor_id, server_ip, server_port, ip_protocol, app_protocol, client_scope, server_scope,
    count() AS records,
    countIf(event = 'end') AS flows_ended,
    sum(forward_delta_packets) AS forward_packets,
    sum(forward_delta_bytes) AS forward_bytes,
    sum(reverse_delta_packets) AS reverse_packets,
    sum(reverse_delta_bytes) AS reverse_bytes,
    uniqState(client_ip) AS clients,
    quantilesTDigestStateIf(0.5, 0.9, 0.99)(assumeNotNull(tcp_handshake_time_nanos),
        event = 'end' AND isNotNull(tcp_handshake_time_nanos)) AS handshake_nanos
FROM netscope.flows
GROUP BY time, sensor_id, server_ip, server_port, ip_protocol, app_protocol, client_scope, server_scope;

CREATE MATERIALIZED VIEW IF NOT EXISTS netscope.flows_1h_view TO netscope.flows_1h AS
SELECT
    toStartOfHour(toDateTime(end_time, 'UTC')) AS time,
    sensor_id, server_ip, server_port, ip_protocol, app_protocol, client_scope, server_scope,
    count() AS records,
    countIf(event = 'end') AS flows_ended,
    sum(forward_delta_packets) AS forward_packets,
    sum(forward_delta_bytes) AS forward_bytes,
    sum(reverse_delta_packets) AS reverse_packets,
    sum(reverse_delta_bytes) AS reverse_bytes,
    uniqState(client_ip) AS clients,
    quantilesTDigestStateIf(0.5, 0.9, 0.99)(assumeNotNull(tcp_handshake_time_nanos),
        event = 'end' AND isNotNull(tcp_handshake_time_nanos)) AS handshake_nanos
FROM netscope.flows
GROUP BY time, sensor_id, server_ip, server_port, ip_protocol, app_protocol, client_scope, server_scope;

-- As of the raw table: where an INSERT was taken there and failed here, it is made again, and each takes what it lacks.
ALTER TABLE netscope.flows_1m MODIFY SETTING non_replicated_deduplication_window = 1000;
ALTER TABLE netscope.flows_5m MODIFY SETTING non_replicated_deduplication_window = 1000;
ALTER TABLE netscope.flows_1h MODIFY SETTING non_replicated_deduplication_window = 1000;
