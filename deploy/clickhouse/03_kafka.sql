-- Reads the topic of flow rows (kafka.value: flow_row): one message, one row. Last, when the tables are there: reading
-- begins with the view. KAFKA_BROKERS below is the one thing to fill in (README.md has the command). The schema is
-- looked up below the server's format_schema_path. The columns are those of flows (01_flows.sql) in the types of the
-- message. Enums come as numbers and become words here, so that a word which this file does not know yet loses no row:
-- it shows as its number.
CREATE TABLE IF NOT EXISTS netscope.flows_queue
(
    sensor_id String, boot_id String, record_seq UInt64, flow_id String, event UInt8,
    start_time_unix_nanos UInt64, end_time_unix_nanos UInt64, delta_start_time_unix_nanos UInt64,
    client_ip String, client_port UInt16, client_mac String, client_name String, client_scope UInt8,
    server_ip String, server_port UInt16, server_mac String, server_name String, server_scope UInt8,
    ip_version UInt8, ip_protocol UInt8, community_id String, initiator UInt8,
    vlan_id Nullable(UInt16), outer_vlan_id Nullable(UInt16),
    tunnel_type Array(UInt8), tunnel_id Array(UInt64), tunnel_outer_src Array(String), tunnel_outer_dst Array(String),
    interface String,
    forward_delta_packets UInt64, forward_delta_bytes UInt64, forward_delta_payload_bytes UInt64,
    forward_total_packets UInt64, forward_total_bytes UInt64, forward_missed_bytes UInt64,
    reverse_delta_packets UInt64, reverse_delta_bytes UInt64, reverse_delta_payload_bytes UInt64,
    reverse_total_packets UInt64, reverse_total_bytes UInt64, reverse_missed_bytes UInt64,
    app_protocol String, app_confidence UInt8,
    tcp_state UInt8, tcp_conn_state String, tcp_history String,
    tcp_forward_retransmitted_segments UInt64, tcp_reverse_retransmitted_segments UInt64,
    tcp_forward_zero_window_events UInt64, tcp_reverse_zero_window_events UInt64,
    tcp_client_rtt_mean_nanos Nullable(UInt64), tcp_server_rtt_mean_nanos Nullable(UInt64),
    tcp_handshake_time_nanos Nullable(UInt64), tcp_server_response_time_nanos Nullable(UInt64),
    end_reason UInt8, icmp_type UInt8, icmp_code UInt8,
    tls_version String, tls_sni String, tls_alpn Array(String), tls_ja3 String, tls_ja4 String, quic_version String,
    dns_query_count UInt32, dns_response_count UInt32,
    dns_queries_name Array(String), dns_queries_type Array(UInt16), dns_queries_rcode Array(Int16),
    http_method String, http_hosts Array(String), http_status UInt16, http_user_agent String, ssh_hassh String,
    alert_ids Array(String), flags Array(UInt8),
    forward_delta_ip_bytes UInt64, forward_total_ip_bytes UInt64, reverse_delta_ip_bytes UInt64,
    reverse_total_ip_bytes UInt64, tcp_forward_retransmitted_bytes UInt64, tcp_forward_fast_retransmissions UInt64,
    tcp_forward_spurious_retransmissions UInt64, tcp_forward_out_of_order_segments UInt64,
    tcp_forward_duplicate_acks UInt64, tcp_forward_sequence_gaps UInt64, tcp_forward_keepalives UInt64,
    tcp_forward_window_full_events UInt64, tcp_forward_zero_window_probes UInt64,
    tcp_reverse_retransmitted_bytes UInt64, tcp_reverse_fast_retransmissions UInt64,
    tcp_reverse_spurious_retransmissions UInt64, tcp_reverse_out_of_order_segments UInt64,
    tcp_reverse_duplicate_acks UInt64, tcp_reverse_sequence_gaps UInt64, tcp_reverse_keepalives UInt64,
    tcp_reverse_window_full_events UInt64, tcp_reverse_zero_window_probes UInt64,
    tcp_client_rtt_min_nanos Nullable(UInt64), tcp_client_rtt_max_nanos Nullable(UInt64),
    tcp_client_rtt_samples UInt32, tcp_server_rtt_min_nanos Nullable(UInt64),
    tcp_server_rtt_max_nanos Nullable(UInt64), tcp_server_rtt_samples UInt32, tcp_simultaneous_open Bool,
    app_method String, app_carrier String, tls_ja3s String, tls_ech_offered Bool, tls_cert_sha256 String,
    dns_response_time_nanos Nullable(UInt64), ssh_hassh_server String, ssh_client_banner String,
    ssh_server_banner String, client_labels_key Array(String), client_labels_value Array(String),
    server_labels_key Array(String), server_labels_value Array(String)
)
ENGINE = Kafka
SETTINGS kafka_broker_list = 'KAFKA_BROKERS',
         kafka_topic_list = 'netscope.flowrows.v1',
         kafka_group_name = 'clickhouse-netscope',
         kafka_format = 'ProtobufSingle',
         kafka_schema = 'netscope/v1/flow_row:FlowRow',
         kafka_num_consumers = 1,
         kafka_flush_interval_ms = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS netscope.flows_queue_view TO netscope.flows AS
WITH
    ['unspecified', 'start', 'update', 'end'] AS events,
    ['unspecified', 'internal', 'external', 'multicast', 'link_local'] AS scopes,
    ['unspecified', 'syn', 'first_packet', 'port_guess', 'unknown'] AS initiators,
    ['unspecified', 'guessed', 'port', 'dpi', 'certain'] AS confidences,
    ['', 'syn_sent', 'syn_ack', 'established', 'fin_wait', 'closed', 'reset'] AS tcp_states,
    ['', 'idle', 'active', 'end_of_flow', 'forced', 'lack_of_resources'] AS end_reasons,
    (words, number) -> if(number < length(words), words[number + 1], toString(number)) AS word,
    (bytes) -> toIPv6(IPv6NumToString(toFixedString(bytes, 16))) AS address
-- Columns go by their names as they come, but for the times, which change their names too, and these that change form.
SELECT
    * EXCEPT (start_time_unix_nanos, end_time_unix_nanos, delta_start_time_unix_nanos)
    REPLACE
    (
        reinterpretAsUInt64(reverse(unhex(flow_id))) AS flow_id,
        word(events, event) AS event,
        address(client_ip) AS client_ip, word(scopes, client_scope) AS client_scope,
        address(server_ip) AS server_ip, word(scopes, server_scope) AS server_scope,
        word(initiators, initiator) AS initiator,
        arrayMap(address, tunnel_outer_src) AS tunnel_outer_src,
        arrayMap(address, tunnel_outer_dst) AS tunnel_outer_dst,
        word(confidences, app_confidence) AS app_confidence,
        word(tcp_states, tcp_state) AS tcp_state,
        word(end_reasons, end_reason) AS end_reason
    ),
    fromUnixTimestamp64Nano(toInt64(start_time_unix_nanos), 'UTC') AS start_time,
    fromUnixTimestamp64Nano(toInt64(end_time_unix_nanos), 'UTC') AS end_time,
    fromUnixTimestamp64Nano(toInt64(delta_start_time_unix_nanos), 'UTC') AS delta_start_time
FROM netscope.flows_queue;
