-- Reads the topic of flow rows (kafka.value: flow_row): one message, one row. Last, when the tables are there: reading
-- begins with the view. KAFKA_BROKERS below is the one thing to fill in (README.md has the command). The schema is
-- looked up below the server's format_schema_path. Enums come as numbers and become words here, so that a word which
-- this file does not know yet loses no row: it shows as its number.
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
    alert_ids Array(String), flags Array(UInt8)
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
SELECT
    sensor_id, boot_id, record_seq,
    reinterpretAsUInt64(reverse(unhex(flow_id))) AS flow_id,
    word(events, event) AS event,
    fromUnixTimestamp64Nano(toInt64(start_time_unix_nanos), 'UTC') AS start_time,
    fromUnixTimestamp64Nano(toInt64(end_time_unix_nanos), 'UTC') AS end_time,
    fromUnixTimestamp64Nano(toInt64(delta_start_time_unix_nanos), 'UTC') AS delta_start_time,
    address(client_ip) AS client_ip, client_port, client_mac, client_name, word(scopes, client_scope) AS client_scope,
    address(server_ip) AS server_ip, server_port, server_mac, server_name, word(scopes, server_scope) AS server_scope,
    ip_version, ip_protocol, community_id, word(initiators, initiator) AS initiator,
    vlan_id, outer_vlan_id, tunnel_type, tunnel_id,
    arrayMap(address, tunnel_outer_src) AS tunnel_outer_src, arrayMap(address, tunnel_outer_dst) AS tunnel_outer_dst,
    interface,
    forward_delta_packets, forward_delta_bytes, forward_delta_payload_bytes,
    forward_total_packets, forward_total_bytes, forward_missed_bytes,
    reverse_delta_packets, reverse_delta_bytes, reverse_delta_payload_bytes,
    reverse_total_packets, reverse_total_bytes, reverse_missed_bytes,
    app_protocol, word(confidences, app_confidence) AS app_confidence,
    word(tcp_states, tcp_state) AS tcp_state, tcp_conn_state, tcp_history,
    tcp_forward_retransmitted_segments, tcp_reverse_retransmitted_segments,
    tcp_forward_zero_window_events, tcp_reverse_zero_window_events,
    tcp_client_rtt_mean_nanos, tcp_server_rtt_mean_nanos, tcp_handshake_time_nanos, tcp_server_response_time_nanos,
    word(end_reasons, end_reason) AS end_reason, icmp_type, icmp_code,
    tls_version, tls_sni, tls_alpn, tls_ja3, tls_ja4, quic_version,
    dns_query_count, dns_response_count, dns_queries_name, dns_queries_type, dns_queries_rcode,
    http_method, http_hosts, http_status, http_user_agent, ssh_hassh, alert_ids, flags
FROM netscope.flows_queue;
