/* One sensor as FleetService.GetSensor tells of it, made up: two interfaces, one of which loses packets at sgp-1. */

export function sensor_record(row, now) {
    const losing = Number(row.kernel_dropped) > 0;
    const packets = Number(row.packets_total);
    const second = Math.floor(now / 1000) * 1000;
    const time = (ms) => new Date(ms).toISOString();
    const link = (name, part, lost, error = '') => ({
        name, linktype: 1, snaplen: 65535, filter: name === 'eno2' ? 'not port 22' : '', received_packets: String(Math.round(packets * part)), received_bytes: String(Math.round(Number(row.bytes_total) * part)),
        kernel_dropped: String(lost), interface_dropped: '0', promiscuous: true, up: error === '', truncated_packets: '0', reopened: error ? '3' : '0', last_error: error,
        stall_tolerance_seconds: losing && lost ? 0.012 : 1.4, missed_bytes_estimate: lost ? '184000' : '0',
    });
    const stage = (name, unit, n, lost, of = '') => ({ stage: `LEDGER_STAGE_${name}`, name: of, unit, in: String(n), out: String(n - lost.reduce((a, [, c]) => a + c, 0)), held: '0', lost: lost.map(([reason, count]) => ({ reason, count: String(count) })) });
    return {
        sensor: {
            sensor_id: row.sensor_id, state: `SENSOR_STATE_${row.state}`, version: row.version, boot_id: row.boot_id, host_name: `${row.name}.example.net`, peer: 'ipv4:192.0.2.7:41212', config_hash: row.config_hash,
            records_received: '91204', records_duplicate: '12', records_lost: losing ? '31' : '0', labels: { role: 'edge', site: row.site },
            stats: {
                start_time: time(second - 1000), end_time: time(second), uptime: '93784.2s', packets_total: row.packets_total, bytes_total: row.bytes_total,
                totals: { packets: String(Math.round(packets / 3000)), bytes: String(Math.round(Number(row.bytes_total) / 3000)), flows_active: String(row.flows_active) },
                interfaces: [link('eno1', 0.8, losing ? Number(row.kernel_dropped) : 0), link('eno2', 0.2, 0, row.name === 'lab-7' ? 'the interface is gone' : '')],
                ledger: [stage('CAPTURE', 'packets', packets, [['count_reached', 0]]), stage('DECODE', 'packets', packets, [['non_ip', 40], ['malformed', 2], ['handover_full', losing ? 77 : 0]]), stage('FLOW', 'packets', packets, []), stage('SINK', 'records', 900, [['sink_full', 0]], 'collector'), stage('SPOOL', 'records', 900, [['given_up_unsent', losing ? 31 : 0]], 'collector')],
                shards: [{ shard: 0, flows_active: String(row.flows_active), flows_max: '524288', evicted: '0', cpu_ratio: 0.25 }, { shard: 1, flows_active: '0', flows_max: '524288', evicted: losing ? '5' : '0' }],
                memory: { flow_table_bytes: '201326592', detectors_bytes: '266966736', spool_bytes: '0', rss_bytes: '612368384', limit_bytes: '1073741824' },
                sinks: [{ name: 'collector', connected: row.state === 'LIVE', sent: '91204', acked: '91200', unacked: String(row.unacked), spool_bytes: row.name === 'gru-1' ? '4194304' : '0', oldest_age: row.name === 'gru-1' ? '9.2s' : '0s', failed: losing ? '31' : '0', last_error: '' }, { name: 'flows_jsonl', connected: true, sent: '91204', acked: '91204', unacked: '0', spool_bytes: '0', last_error: '' }],
            },
        },
    };
}
