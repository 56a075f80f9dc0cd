-- The raw table: one row a flow record (UPDATE and END). Sum the delta_ columns; the total_ columns are since the
-- start of the flow. A record that comes twice (from Kafka, or from a collector that did not hear the answer) has the
-- same sort key and is merged away: FINAL does so at once.
CREATE DATABASE IF NOT EXISTS netscope;

CREATE TABLE IF NOT EXISTS netscope.flows
(
    sensor_id            LowCardinality(String),
    boot_id              LowCardinality(String),
    record_seq           UInt64                           CODEC(DoubleDelta, ZSTD(1)),
    flow_id              UInt64                           CODEC(ZSTD(1)),
    event                LowCardinality(String),          -- start, update, end
    start_time           DateTime64(9, 'UTC')             CODEC(Delta, ZSTD(1)),
    end_time             DateTime64(9, 'UTC')             CODEC(Delta, ZSTD(1)),
    delta_start_time     DateTime64(9, 'UTC')             CODEC(Delta, ZSTD(1)),
    client_ip            IPv6                             CODEC(ZSTD(1)),
    client_port          UInt16                           CODEC(ZSTD(1)),
    client_mac           String                           CODEC(ZSTD(1)),
    client_name          String                           CODEC(ZSTD(1)),
    client_scope         LowCardinality(String),          -- internal, external, multicast, link_local
    server_ip            IPv6                             CODEC(ZSTD(1)),
    server_port          UInt16                           CODEC(ZSTD(1)),
    server_mac           String                           CODEC(ZSTD(1)),
    server_name          String                           CODEC(ZSTD(1)),
    server_scope         LowCardinality(String),
    ip_version           UInt8,
    ip_protocol          UInt8,
    community_id         String                           CODEC(ZSTD(1)),
    initiator            LowCardinality(String),          -- syn, first_packet, port_guess, unknown
    vlan_id              Nullable(UInt16)                 CODEC(ZSTD(1)),
    outer_vlan_id        Nullable(UInt16)                 CODEC(ZSTD(1)),
    tunnel_type          Array(UInt8)                     CODEC(ZSTD(1)), -- numbers of netscope.v1.TunnelType
    tunnel_id            Array(UInt64)                    CODEC(ZSTD(1)),
    tunnel_outer_src     Array(IPv6)                      CODEC(ZSTD(1)),
    tunnel_outer_dst     Array(IPv6)                      CODEC(ZSTD(1)),
    interface            LowCardinality(String),
    forward_delta_packets       UInt64                    CODEC(T64, LZ4),
    forward_delta_bytes         UInt64                    CODEC(T64, LZ4),
    forward_delta_payload_bytes UInt64                    CODEC(T64, LZ4),
    forward_total_packets       UInt64                    CODEC(T64, LZ4),
    forward_total_bytes         UInt64                    CODEC(T64, LZ4),
    forward_missed_bytes        UInt64                    CODEC(T64, LZ4),
    reverse_delta_packets       UInt64                    CODEC(T64, LZ4),
    reverse_delta_bytes         UInt64                    CODEC(T64, LZ4),
    reverse_delta_payload_bytes UInt64                    CODEC(T64, LZ4),
    reverse_total_packets       UInt64                    CODEC(T64, LZ4),
    reverse_total_bytes         UInt64                    CODEC(T64, LZ4),
    reverse_missed_bytes        UInt64                    CODEC(T64, LZ4),
    app_protocol         LowCardinality(String),
    app_confidence       LowCardinality(String),          -- guessed, port, dpi, certain
    tcp_state            LowCardinality(String),
    tcp_conn_state       LowCardinality(String),          -- Zeek's: S0, SF, REJ, ...
    tcp_history          LowCardinality(String),
    tcp_forward_retransmitted_segments UInt64             CODEC(T64, LZ4),
    tcp_reverse_retransmitted_segments UInt64             CODEC(T64, LZ4),
    tcp_forward_zero_window_events     UInt64             CODEC(T64, LZ4),
    tcp_reverse_zero_window_events     UInt64             CODEC(T64, LZ4),
    tcp_client_rtt_mean_nanos   Nullable(UInt64)          CODEC(ZSTD(1)),
    tcp_server_rtt_mean_nanos   Nullable(UInt64)          CODEC(ZSTD(1)),
    tcp_handshake_time_nanos    Nullable(UInt64)          CODEC(ZSTD(1)),
    tcp_server_response_time_nanos Nullable(UInt64)       CODEC(ZSTD(1)),
    end_reason           LowCardinality(String),          -- idle, active, end_of_flow, forced, lack_of_resources
    icmp_type            UInt8,
    icmp_code            UInt8,
    tls_version          LowCardinality(String),
    tls_sni              String                           CODEC(ZSTD(1)),
    tls_alpn             Array(LowCardinality(String)),
    tls_ja3              String                           CODEC(ZSTD(1)),
    tls_ja4              LowCardinality(String),
    quic_version         LowCardinality(String),
    dns_query_count      UInt32                           CODEC(T64, LZ4),
    dns_response_count   UInt32                           CODEC(T64, LZ4),
    dns_queries_name     Array(String)                    CODEC(ZSTD(1)),
    dns_queries_type     Array(UInt16)                    CODEC(ZSTD(1)),
    dns_queries_rcode    Array(Int16)                     CODEC(ZSTD(1)), -- -1: no answer
    http_method          LowCardinality(String),
    http_hosts           Array(String)                    CODEC(ZSTD(1)),
    http_status          UInt16,
    http_user_agent      String                           CODEC(ZSTD(1)),
    ssh_hassh            LowCardinality(String),
    alert_ids            Array(String)                    CODEC(ZSTD(1)),
    flags                Array(UInt8)                     CODEC(ZSTD(1)), -- numbers of netscope.v1.FlowFlag
    INDEX client_ip_index client_ip TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX server_ip_index server_ip TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX community_id_index community_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX name_index server_name TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(end_time)
ORDER BY (toStartOfFiveMinutes(end_time), sensor_id, server_port, server_ip, client_ip, boot_id, record_seq)
TTL toDateTime(end_time) + INTERVAL 15 DAY
SETTINGS ttl_only_drop_parts = 1;

-- Columns of later versions: tables that are there get them too, empty for the rows that they have (README.md, Upgrade).
ALTER TABLE netscope.flows
    ADD COLUMN IF NOT EXISTS forward_delta_ip_bytes               UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS forward_total_ip_bytes               UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS reverse_delta_ip_bytes               UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS reverse_total_ip_bytes               UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_forward_retransmitted_bytes      UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_forward_fast_retransmissions     UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_forward_spurious_retransmissions UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_forward_out_of_order_segments    UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_forward_duplicate_acks           UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_forward_sequence_gaps            UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_forward_keepalives               UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_forward_window_full_events       UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_forward_zero_window_probes       UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_reverse_retransmitted_bytes      UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_reverse_fast_retransmissions     UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_reverse_spurious_retransmissions UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_reverse_out_of_order_segments    UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_reverse_duplicate_acks           UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_reverse_sequence_gaps            UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_reverse_keepalives               UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_reverse_window_full_events       UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_reverse_zero_window_probes       UInt64                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_client_rtt_min_nanos             Nullable(UInt64)       CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS tcp_client_rtt_max_nanos             Nullable(UInt64)       CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS tcp_client_rtt_samples               UInt32                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_server_rtt_min_nanos             Nullable(UInt64)       CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS tcp_server_rtt_max_nanos             Nullable(UInt64)       CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS tcp_server_rtt_samples               UInt32                 CODEC(T64, LZ4),
    ADD COLUMN IF NOT EXISTS tcp_simultaneous_open                Bool,
    ADD COLUMN IF NOT EXISTS app_method                           LowCardinality(String),
    ADD COLUMN IF NOT EXISTS app_carrier                          LowCardinality(String),
    ADD COLUMN IF NOT EXISTS tls_ja3s                             LowCardinality(String),
    ADD COLUMN IF NOT EXISTS tls_ech_offered                      Bool,
    ADD COLUMN IF NOT EXISTS tls_cert_sha256                      String                 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS dns_response_time_nanos              Nullable(UInt64)       CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS ssh_hassh_server                     LowCardinality(String),
    ADD COLUMN IF NOT EXISTS ssh_client_banner                    LowCardinality(String),
    ADD COLUMN IF NOT EXISTS ssh_server_banner                    LowCardinality(String),
    -- What the networks of both ends are called, keys and values (docs/networks.md).
    ADD COLUMN IF NOT EXISTS client_labels_key                    Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS client_labels_value                  Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS server_labels_key                    Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS server_labels_value                  Array(LowCardinality(String)),
    -- The FlowRecord itself (protobuf), which the collector reads again when it is asked for what it keeps no more.
    -- Rows that Kafka brought, and those from before this column, have none: README.md, Questions.
    ADD COLUMN IF NOT EXISTS record                               String                 CODEC(ZSTD(3));

-- For a flow by its id.
ALTER TABLE netscope.flows ADD INDEX IF NOT EXISTS flow_id_index flow_id TYPE bloom_filter(0.01) GRANULARITY 4;

-- An INSERT that a collector makes again, since it did not hear the answer, is known by its token and taken once, here
-- and in the sums. (Replicated tables know their last ones without this.)
ALTER TABLE netscope.flows MODIFY SETTING non_replicated_deduplication_window = 1000;
