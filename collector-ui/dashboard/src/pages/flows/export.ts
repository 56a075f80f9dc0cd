/* Flows as a file of lines. */
import { read_flow } from '../../live/records';
import type { Bag } from '../../live/rest';

export const CSV_HEADER = [
    'sensor_id', 'flow_id', 'community_id', 'event', 'end_reason', 'start_time', 'end_time', 'ip_protocol', 'client_ip', 'client_port', 'client_name', 'server_ip',
    'server_port', 'server_name', 'app', 'forward_packets', 'reverse_packets', 'forward_bytes', 'reverse_bytes', 'rtt_ms', 'retransmits', 'tcp_state', 'conn_state', 'observers',
];

export function csv_row(record: Bag): unknown[] {
    const f = read_flow(record);
    return [
        f.sensor_id, f.id, f.community_id, String(record.event ?? ''), f.end_reason, String(record.start_time ?? ''), String(record.end_time ?? ''), f.protocol, f.client_ip,
        f.client_port, f.client_name, f.server_ip, f.server_port, f.server_name, f.app, f.packets_ab, f.packets_ba, f.bytes_ab, f.bytes_ba, f.rtt_ms, f.retransmits, f.state,
        f.conn_state, f.observers.map((o) => o.sensor_id).join(' '),
    ];
}
