-- Questions that people ask, each answered from the smallest table that can. Times are UTC; {from:DateTime} and
-- {to:DateTime} are parameters (clickhouse-client --param_from=... --param_to=...).

-- name: top_talkers
-- Hosts inside with the most bytes, both ways.
SELECT
    client_ip AS host,
    sum(forward_delta_bytes) AS bytes_sent,
    sum(reverse_delta_bytes) AS bytes_received,
    uniqExact(server_ip) AS servers
FROM netscope.flows FINAL
WHERE end_time >= {from:DateTime} AND end_time < {to:DateTime} AND client_scope = 'internal'
GROUP BY host
ORDER BY bytes_sent + bytes_received DESC
LIMIT 20;

-- name: services
-- What is served where: bytes, flows and clients by server and port, from the five-minute sums.
SELECT
    server_ip, server_port, app_protocol,
    sum(forward_bytes + reverse_bytes) AS bytes,
    sum(flows_ended) AS flows,
    uniqMerge(clients) AS clients
FROM netscope.flows_5m
WHERE time >= {from:DateTime} AND time < {to:DateTime}
GROUP BY server_ip, server_port, app_protocol
ORDER BY bytes DESC
LIMIT 20;

-- name: traffic_by_minute
SELECT
    time,
    sum(forward_bytes + reverse_bytes) * 8 / 60 AS bits_per_second,
    sum(forward_packets + reverse_packets) / 60 AS packets_per_second
FROM netscope.flows_1m
WHERE time >= {from:DateTime} AND time < {to:DateTime}
GROUP BY time
ORDER BY time;

-- name: handshake_percentiles
-- How long TCP handshakes take, by service: median, 90 and 99 in a hundred, in milliseconds.
SELECT
    server_ip, server_port,
    arrayMap(nanos -> round(nanos / 1e6, 3), quantilesTDigestMerge(0.5, 0.9, 0.99)(handshake_nanos)) AS milliseconds,
    sum(flows_ended) AS flows
FROM netscope.flows_1h
WHERE time >= toStartOfHour({from:DateTime}) AND time < {to:DateTime} AND ip_protocol = 6
GROUP BY server_ip, server_port
HAVING flows >= 10
ORDER BY milliseconds[3] DESC
LIMIT 20;

-- name: retransmissions
-- Services that lose segments: of flows that ended, since a total counts once there.
SELECT
    server_ip, server_port,
    sum(tcp_forward_retransmitted_segments + tcp_reverse_retransmitted_segments) AS retransmitted,
    sum(forward_total_packets + reverse_total_packets) AS packets,
    round(100 * retransmitted / packets, 2) AS percent
FROM netscope.flows FINAL
WHERE end_time >= {from:DateTime} AND end_time < {to:DateTime} AND ip_protocol = 6 AND event = 'end'
GROUP BY server_ip, server_port
HAVING packets >= 100
ORDER BY percent DESC
LIMIT 20;

-- name: scans
-- Who tries many ports or hosts without getting an answer: Zeek's S0 and REJ.
SELECT
    client_ip,
    uniqExact(server_ip) AS hosts,
    uniqExact(server_port) AS ports,
    count() AS attempts,
    min(start_time) AS first, max(end_time) AS last
FROM netscope.flows FINAL
WHERE end_time >= {from:DateTime} AND end_time < {to:DateTime} AND event = 'end'
  AND tcp_conn_state IN ('S0', 'REJ', 'RSTOS0', 'SH')
GROUP BY client_ip
HAVING hosts >= 25 OR ports >= 25
ORDER BY attempts DESC
LIMIT 20;

-- name: names
-- Names asked for and not answered well, by client.
SELECT
    client_ip, name, rcode, count() AS times
FROM netscope.flows FINAL
ARRAY JOIN dns_queries_name AS name, dns_queries_rcode AS rcode
WHERE end_time >= {from:DateTime} AND end_time < {to:DateTime} AND rcode != 0
GROUP BY client_ip, name, rcode
ORDER BY times DESC
LIMIT 20;

-- name: lost_records
-- Holes in the numbers of a sensor: records that never arrived. END-only topics and filters make holes by intent.
SELECT
    sensor_id, boot_id,
    max(record_seq) - min(record_seq) + 1 - uniqExact(record_seq) AS missing,
    count() - uniqExact(record_seq) AS delivered_twice
FROM netscope.flows
WHERE end_time >= {from:DateTime} AND end_time < {to:DateTime}
GROUP BY sensor_id, boot_id
ORDER BY missing DESC;

-- name: networks
-- Traffic between networks by one of their labels, here "site" (docs/networks.md); empty where an end has none.
SELECT
    client_labels_value[indexOf(client_labels_key, 'site')] AS client_site,
    server_labels_value[indexOf(server_labels_key, 'site')] AS server_site,
    sum(forward_delta_bytes) AS bytes_sent,
    sum(reverse_delta_bytes) AS bytes_received,
    uniqExact(flow_id) AS flows
FROM netscope.flows FINAL
WHERE end_time >= {from:DateTime} AND end_time < {to:DateTime}
GROUP BY client_site, server_site
ORDER BY bytes_sent + bytes_received DESC
LIMIT 50;

-- name: incidents
-- Incidents of the range, the worst first, each in its last state. (Alerts, statistics and DNS: 04_alerts_stats.sql.)
SELECT last_time, severity, kind, state, sensor_id, attackers_ip, victims_ip, description
FROM
(
    SELECT * FROM netscope.alerts
    WHERE last_time >= {from:DateTime} AND last_time < {to:DateTime}
    ORDER BY last_time DESC, record_seq DESC
    LIMIT 1 BY alert_id
)
ORDER BY indexOf(['critical', 'high', 'medium', 'low', 'info'], severity), last_time DESC
LIMIT 100;

-- name: attackers
-- Who is behind the most incidents.
SELECT attacker, uniqExact(alert_id) AS incidents, groupUniqArray(kind) AS kinds, max(last_time) AS last_seen
FROM netscope.alerts
ARRAY JOIN attackers_ip AS attacker
WHERE last_time >= {from:DateTime} AND last_time < {to:DateTime}
GROUP BY attacker
ORDER BY incidents DESC, last_seen DESC
LIMIT 20;

-- name: flows_of_incidents
-- The flows that incidents name as evidence.
SELECT a.alert_id, a.kind, f.start_time, f.client_ip, f.server_ip, f.server_port, f.app_protocol, f.tcp_conn_state
FROM
(
    SELECT DISTINCT alert_id, kind, evidence_community_ids AS ids FROM netscope.alerts
    WHERE last_time >= {from:DateTime} AND last_time < {to:DateTime}
) AS a
ARRAY JOIN ids AS id
INNER JOIN
(
    SELECT * FROM netscope.flows FINAL
    WHERE end_time >= {from:DateTime} AND end_time < {to:DateTime} AND event = 'end'
) AS f ON f.community_id = id
ORDER BY f.start_time
LIMIT 1000;

-- name: sensor_health
-- Each sensor by minute: packets, what was lost before the flow stage, retransmissions, flows held.
SELECT
    toStartOfMinute(end_time) AS minute, sensor_id,
    sum(totals_packets) AS packets,
    sum(totals_bytes) * 8 / 60 AS bits_a_second,
    sum(totals_lost_packets) AS lost_packets,
    sum(tcp_health_retransmitted_segments) / greatest(sum(tcp_health_data_segments), 1) AS retransmitted,
    max(totals_flows_active) AS flows_active
FROM netscope.stats FINAL
WHERE end_time >= {from:DateTime} AND end_time < {to:DateTime}
GROUP BY minute, sensor_id
ORDER BY minute, sensor_id;

-- name: losses
-- Where records and packets were lost, and why: the last ledger of each sensor's process.
SELECT sensor_id, boot_id, entry.1 AS stage, entry.2 AS name, loss.1 AS reason, loss.2 AS lost
FROM
(
    SELECT sensor_id, boot_id,
        argMax(arrayZip(ledger_stage, ledger_name, arrayMap((r, c) -> arrayZip(r, c), ledger_lost_reason, ledger_lost_count)), record_seq) AS entries
    FROM netscope.stats
    WHERE end_time >= {from:DateTime} AND end_time < {to:DateTime}
    GROUP BY sensor_id, boot_id
)
ARRAY JOIN entries AS entry
ARRAY JOIN entry.3 AS loss
WHERE loss.2 > 0
ORDER BY lost DESC
LIMIT 50;

-- name: failing_names
-- Names that do not exist, by how many clients ask for them.
SELECT name, uniqExact(client_ip) AS clients, count() AS answers
FROM netscope.dns FINAL
WHERE time >= {from:DateTime} AND time < {to:DateTime} AND rcode_name = 'NXDOMAIN'
GROUP BY name
ORDER BY clients DESC, answers DESC
LIMIT 20;
