/* Records as the REST calls give them (proto3 JSON) -> flat values for the page. Absent stays null. Pure. */
import { enum_tail, num, parse_duration, parse_time, plural } from '../lib/format';

type Bag = Record<string, unknown>;
const bag = (v: unknown): Bag => (typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Bag) : {});
const text = (v: unknown) => (typeof v === 'string' ? v : typeof v === 'number' ? String(v) : '');
const list = (v: unknown): unknown[] => (Array.isArray(v) ? v : []);

/* A sensor that saw a flow which several did. */
export interface Observer {
    sensor_id: string;
    id: string; /* the sensor's own for the flow */
    first_ms: number | null;
    bytes: number | null;
    packets: number | null;
    missed: number | null;
    rtt_ms: number | null;
    primary: boolean; /* its figures are those of the flow */
}

export interface Flow {
    key: string; /* sensor~id: also the selection in the address */
    sensor_id: string;
    id: string;
    community_id: string;
    ended: boolean;
    end_reason: string;
    start_ms: number | null;
    end_ms: number | null;
    client_ip: string;
    client_port: number | null;
    client_name: string;
    server_ip: string;
    server_port: number | null;
    server_name: string;
    protocol: number | null;
    app: string;
    bytes_ab: number | null;
    bytes_ba: number | null;
    packets_ab: number | null;
    packets_ba: number | null;
    bps: number | null;
    rtt_ms: number | null;
    retransmits: number | null;
    state: string;
    conn_state: string;
    observers: Observer[]; /* empty: one sensor saw it, or each stands for itself */
    raw: Bag | null; /* the whole record; null when the row came from the live feed only */
}

export const flow_key = (sensor_id: string, id: string) => `${sensor_id}~${id}`;

function sum(a: number | null, b: number | null): number | null {
    return a === null && b === null ? null : (a ?? 0) + (b ?? 0);
}

export function read_rtt(v: unknown): { min: number | null; mean: number | null; max: number | null; samples: number | null } {
    const b = bag(v);
    return { min: parse_duration(b.min), mean: parse_duration(b.mean), max: parse_duration(b.max), samples: num(b.samples) };
}

/* In the order in which they saw it begin, by their own clocks. */
function read_observers(v: unknown): Observer[] {
    return list(v)
        .map(bag)
        .map((b) => ({
            sensor_id: text(b.sensor_id),
            id: text(b.flow_id),
            first_ms: parse_time(b.first_time),
            bytes: num(b.total_bytes),
            packets: num(b.total_packets),
            missed: num(b.missed_bytes),
            rtt_ms: parse_duration(b.rtt),
            primary: b.primary === true,
        }))
        .sort((a, b) => (a.first_ms ?? 0) - (b.first_ms ?? 0));
}

export function read_flow(record: unknown): Flow {
    const b = bag(record);
    const client = bag(b.client);
    const server = bag(b.server);
    const forward = bag(b.forward);
    const reverse = bag(b.reverse);
    const tcp = bag(b.tcp);
    const app = bag(b.app);
    const start_ms = parse_time(b.start_time);
    const end_ms = parse_time(b.end_time);
    const delta_start = parse_time(b.delta_start_time) ?? start_ms;
    const delta = sum(num(forward.delta_bytes), num(reverse.delta_bytes));
    const span = end_ms !== null && delta_start !== null ? end_ms - delta_start : null;
    const server_rtt = read_rtt(tcp.server_rtt).mean;
    const client_rtt = read_rtt(tcp.client_rtt).mean;
    return {
        key: flow_key(text(b.sensor_id), text(b.flow_id)),
        sensor_id: text(b.sensor_id),
        id: text(b.flow_id),
        community_id: text(b.community_id),
        ended: enum_tail(b.event) === 'END',
        end_reason: enum_tail(b.end_reason),
        start_ms,
        end_ms,
        client_ip: text(client.ip),
        client_port: num(client.port),
        client_name: text(client.name),
        server_ip: text(server.ip),
        server_port: num(server.port),
        server_name: text(server.name) || text(bag(b.tls).sni),
        protocol: num(b.ip_protocol),
        app: text(app.protocol),
        bytes_ab: num(forward.total_bytes),
        bytes_ba: num(reverse.total_bytes),
        packets_ab: num(forward.total_packets),
        packets_ba: num(reverse.total_packets),
        /* one packet has no duration, so no rate */
        bps: delta !== null && span !== null && span > 0 ? (delta * 8000) / span : null,
        rtt_ms: sum(server_rtt, client_rtt),
        retransmits: sum(num(bag(tcp.forward).retransmitted_segments), num(bag(tcp.reverse).retransmitted_segments)),
        state: enum_tail(tcp.state),
        conn_state: text(tcp.conn_state),
        observers: read_observers(b.observers),
        raw: b,
    };
}

/* Labels of an end's network, by key; a key that no filter could name is left out. */
export function read_labels(end: unknown): [string, string][] {
    return Object.entries(bag(bag(end).labels))
        .filter(([key, value]) => /^[a-z][a-z0-9_]{0,31}$/.test(key) && text(value) !== '')
        .map(([key, value]): [string, string] => [key, text(value)])
        .sort(([a], [b]) => (a < b ? -1 : 1));
}

export type Severity = 'critical' | 'high' | 'medium' | 'low' | 'info';
export const SEVERITIES: Severity[] = ['critical', 'high', 'medium', 'low', 'info'];

export interface Peer {
    ip: string;
    port: number | null;
    name: string;
}

export interface Alert {
    id: string;
    key: string;
    kind: string;
    open: boolean;
    severity: Severity;
    first_ms: number | null;
    last_ms: number | null;
    description: string;
    attackers: Peer[];
    attackers_total: number | null;
    victims: Peer[];
    victims_total: number | null;
    observed: number | null;
    threshold: number | null;
    unit: string;
    suppressed: number | null;
    sensors: string[];
    loss: number | null;
    raw: Bag;
}

/* What people have said of an alert (AlertNote). */
export interface Note {
    id: string;
    who: string; /* '': nobody has acknowledged it */
    at_ms: number | null;
    comment: string;
    acknowledged: boolean; /* and it has not become worse since */
    at_severity: string; /* how bad it was then */
    silence: string; /* id of the silence that hides it; '': none */
    until_ms: number | null;
}

export function read_note(record: unknown): Note {
    const b = bag(record);
    const said = bag(b.acknowledgement);
    return {
        id: text(b.alert_id),
        who: text(said.who),
        at_ms: parse_time(said.time),
        comment: text(said.comment),
        acknowledged: b.is_acknowledged === true,
        at_severity: enum_tail(said.severity).toLowerCase(),
        silence: text(b.silence_id),
        until_ms: parse_time(b.silence_expire_time),
    };
}

const peer = (v: unknown): Peer => ({ ip: text(bag(v).ip), port: num(bag(v).port), name: text(bag(v).name) });

export function read_alert(record: unknown): Alert {
    const b = bag(record);
    const severity = enum_tail(b.severity).toLowerCase();
    const sensors = list(b.sensor_ids).map(text).filter(Boolean);
    return {
        id: text(b.alert_id),
        key: text(b.alert_key) || text(b.alert_id),
        kind: enum_tail(b.kind) || text(b.kind_name).toUpperCase(),
        open: enum_tail(b.state) !== 'CLOSE' && enum_tail(b.state) !== 'CLOSED',
        severity: (SEVERITIES as string[]).includes(severity) ? (severity as Severity) : 'info',
        first_ms: parse_time(b.first_time),
        last_ms: parse_time(b.last_time),
        description: text(b.description),
        attackers: list(b.attackers).map(peer),
        attackers_total: num(b.attackers_total_estimate),
        victims: list(b.victims).map(peer),
        victims_total: num(b.victims_total_estimate),
        observed: num(b.observed),
        threshold: num(b.threshold),
        unit: text(b.unit),
        suppressed: num(b.suppressed_count),
        sensors: sensors.length ? sensors : text(b.sensor_id) ? [text(b.sensor_id)] : [],
        loss: num(b.loss_during_window),
        raw: b,
    };
}

const KIND_NAMES: Record<string, string> = {
    SYN_FLOOD: 'SYN flood',
    PORT_SCAN_VERTICAL: 'Port scan',
    PORT_SCAN_HORIZONTAL: 'Horizontal scan',
    HOST_SWEEP: 'Host sweep',
    UDP_FLOOD: 'UDP flood',
    ICMP_FLOOD: 'ICMP flood',
    DNS_TUNNEL: 'DNS tunnel',
    DNS_NXDOMAIN_BURST: 'NXDOMAIN burst',
    DGA: 'Generated domain names',
    DATA_EXFIL: 'Large upload',
    BRUTE_FORCE: 'Password guessing',
    BEACON: 'Beaconing',
    UNIDIRECTIONAL: 'One-way traffic',
    TCP_HEALTH: 'TCP health',
    SENSOR_LOSS: 'Sensor losing packets',
    SENSOR_SILENT: 'Sensor silent',
    ARP_SPOOF: 'ARP spoofing',
    ROGUE_DHCP: 'Rogue DHCP server',
};

const ACRONYMS = new Set(['tls', 'dns', 'syn', 'tcp', 'udp', 'ip', 'icmp', 'arp', 'dhcp', 'ra', 'http', 'ssh', 'smb', 'rdp', 'ntp', 'ipv6']);

export const alert_title = (a: Alert): string => kind_title(a.kind);

export function kind_title(kind: string): string {
    const name = KIND_NAMES[kind];
    if (name) {
        return name;
    }
    const words = kind
        .toLowerCase()
        .split('_')
        .map((w) => (ACRONYMS.has(w) ? w.toUpperCase() : w))
        .join(' ');
    return words ? words[0].toUpperCase() + words.slice(1) : 'Alert';
}

const peer_name = (p: Peer) => p.name || p.ip;

/* Whom it is about: "10.3.7.41 → 212 hosts". Unescaped: the caller shows it through safe(). */
export function alert_entity(a: Alert, sensor_name: (id: string) => string = (id) => id): string {
    const side = (peers: Peer[], total: number | null) => {
        const n = Math.max(total ?? 0, peers.length);
        return n === 0 ? '' : n === 1 && peers.length ? peer_name(peers[0]) : plural(Math.round(n), 'host');
    };
    const from = side(a.attackers, a.attackers_total);
    const to = side(a.victims, a.victims_total);
    if (from && to) {
        return `${from} → ${to}`;
    }
    return from || to || a.sensors.map(sensor_name).join(', ');
}

/* What makes two incidents one line: the same kind about the same. How many hosts stand on one side is another number each time,
 * so a side of many does not tell them apart; where both are many, the detector's own key does. */
export function alert_group(a: Alert): string {
    const side = (peers: Peer[], total: number | null) => (Math.max(total ?? 0, peers.length) > 1 ? '*' : peers.length ? peers[0].ip || peers[0].name : '');
    const [from, to] = [side(a.attackers, a.attackers_total), side(a.victims, a.victims_total)];
    const known = [from, to].some((s) => s !== '' && s !== '*');
    return `${a.kind} ${known ? `${from} ${to}` : from || to ? a.key : a.sensors.join(' ')}`;
}

const SIDE_MAX = 8; /* addresses in a filter */

/* A filter for the flows it is about; empty where there is no address. */
export function alert_filter(a: Alert): string {
    const one = (field: string, peers: Peer[]) => {
        const ips = [...new Set(peers.map((p) => p.ip).filter(Boolean))].slice(0, SIDE_MAX);
        return ips.length === 0 ? '' : ips.length === 1 ? `${field} = "${ips[0]}"` : `${field} IN (${ips.map((ip) => `"${ip}"`).join(', ')})`;
    };
    /* a side of which only a part is named would leave out most of the flows */
    const whole = (peers: Peer[], total: number | null) => peers.length > 0 && Math.max(total ?? 0, peers.length) <= SIDE_MAX;
    const [from, to] = [whole(a.attackers, a.attackers_total), whole(a.victims, a.victims_total)];
    const parts = [from || !to ? one('client.ip', a.attackers) : '', to ? one('server.ip', a.victims) : ''];
    return parts.filter(Boolean).join(' AND ');
}

export interface Sensor {
    id: string;
    name: string;
    site: string;
    state: 'LIVE' | 'STALE' | 'OFFLINE' | '';
    version: string;
    boot_id: string;
    connected_ms: number | null;
    seen_ms: number | null;
    packets: number | null;
    bytes: number | null;
    kernel_dropped: number | null;
    interface_dropped: number | null;
    flows: number | null;
    unacked: number | null;
    clock_offset_ms: number | null;
    config_hash: string;
    desired: Desired | null;
    revoked: Revoked | null;
}

/* Its credentials count no more: it is kept out. */
export interface Revoked {
    since_ms: number;
    by: string;
    reason: string;
}

/* What became of settings that the collector wants at a sensor. */
export interface Desired {
    state: 'pending' | 'applying' | 'applied' | 'needs restart' | 'failed' | 'rolled back';
    reason: string;
    path: string;
    line: number;
}

const DESIRED = new Map<string, Desired['state']>([['PENDING', 'pending'], ['APPLYING', 'applying'], ['APPLIED', 'applied'], ['NEEDS_RESTART', 'needs restart'], ['FAILED', 'failed'], ['ROLLED_BACK', 'rolled back']]);

/* One line for people: the sensor begins with the name of the text and the line in it, and mostly names the setting. */
export function desired_reason(d: Desired): string {
    const words = d.reason.replace(/^[a-z]+:\d+: /, '');
    const where = [d.path !== '' && !words.includes(d.path) ? d.path : '', d.line > 0 ? `line ${d.line}` : ''].filter(Boolean).join(', ');
    return where === '' || words === '' ? words : `${where}: ${words}`;
}

function read_desired(record: unknown): Desired | null {
    const b = bag(record);
    const state = DESIRED.get(enum_tail(b.state));
    return state === undefined ? null : { state, reason: text(b.reason), path: text(b.path), line: num(b.line) ?? 0 };
}

function read_revoked(record: unknown): Revoked | null {
    const b = bag(record);
    const since_ms = parse_time(b.time);
    return since_ms === null ? null : { since_ms, by: text(b.revoked_by), reason: text(b.reason) };
}

const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/* A sensor that nobody named has a UUID: people know its host, and the first digits tell two of one host apart. */
function name_of(b: Bag): string {
    const id = text(b.sensor_id);
    const name = text(b.name) || id;
    return name === id && UUID.test(id) && text(b.host_name) ? `${text(b.host_name)} ${id.slice(0, 4)}` : name;
}

export function read_sensor(record: unknown): Sensor {
    const b = bag(record);
    const state = enum_tail(b.state);
    return {
        id: text(b.sensor_id),
        name: name_of(b),
        site: text(b.site),
        state: state === 'LIVE' || state === 'STALE' || state === 'OFFLINE' ? state : '',
        version: text(b.version),
        boot_id: text(b.boot_id),
        connected_ms: parse_time(b.connected_time),
        seen_ms: parse_time(b.last_seen_time),
        packets: num(b.packets_total),
        bytes: num(b.bytes_total),
        kernel_dropped: num(b.kernel_dropped),
        interface_dropped: num(b.interface_dropped),
        flows: num(b.flows_active),
        unacked: num(b.unacked),
        clock_offset_ms: num(b.clock_offset_ms),
        config_hash: text(b.config_hash),
        desired: read_desired(b.desired_config),
        revoked: read_revoked(b.revocation),
    };
}

export interface PacketRow {
    id: string;
    sensor_id: string;
    at_ms: number | null;
    summary: string;
    wire_length: number | null;
    captured_length: number | null;
    flow_id: string;
    direction: '>' | '<' | '';
}

export function read_packet_row(record: unknown): PacketRow {
    const b = bag(record);
    const direction = enum_tail(b.direction);
    return {
        id: text(b.id),
        sensor_id: text(b.sensor_id),
        at_ms: parse_time(b.time),
        summary: text(b.summary),
        wire_length: num(b.wire_length),
        captured_length: num(b.captured_length),
        flow_id: text(b.flow_id),
        direction: direction === 'FORWARD' ? '>' : direction === 'REVERSE' ? '<' : '',
    };
}

export interface Field {
    name: string;
    value: string;
    offset: number;
    length: number;
}

export interface Layer {
    name: string;
    offset: number;
    length: number;
    fields: Field[];
}

export interface Packet extends PacketRow {
    data: Uint8Array;
    layers: Layer[];
    interface: string;
    linktype: number | null;
    redacted: boolean;
    reason: string;
    community_id: string;
}

export function from_base64(value: unknown): Uint8Array {
    if (typeof value !== 'string') {
        return new Uint8Array();
    }
    try {
        const raw = atob(value.replace(/-/g, '+').replace(/_/g, '/'));
        return Uint8Array.from(raw, (c) => c.charCodeAt(0));
    } catch {
        return new Uint8Array();
    }
}

/* A field of length 0 inside its layer is a part of one byte (packet.proto): that byte is marked. */
function within(f: { offset: number; length: number }, layer: { offset: number; length: number }) {
    const inside = f.offset >= layer.offset && f.offset < layer.offset + layer.length;
    return f.length === 0 && inside ? { offset: f.offset, length: 1 } : f;
}

/* Ranges outside the bytes are cut, so that no highlight points past the end. */
export function read_packet(record: unknown): Packet {
    const b = bag(record);
    const data = from_base64(b.data);
    const range = (v: Bag) => {
        const offset = Math.min(data.length, Math.max(0, Math.floor(num(v.offset) ?? 0)));
        return { offset, length: Math.min(data.length - offset, Math.max(0, Math.floor(num(v.length) ?? 0))) };
    };
    return {
        ...read_packet_row(record),
        data,
        layers: list(b.layers)
            .map(bag)
            .map((l) => ({
                name: text(l.name),
                ...range(l),
                fields: list(l.fields)
                    .map(bag)
                    .map((f) => ({ name: text(f.name), value: text(f.value), ...within(range(f), range(l)) })),
            })),
        interface: text(b.interface),
        linktype: num(b.linktype),
        redacted: b.payload_redacted === true,
        reason: enum_tail(b.reason),
        community_id: text(b.community_id),
    };
}
