/* Hosts and services as the collector sends them (ListHosts, ListServices), sums of Aggregate, and a host's traffic over time. Pure. */
import { num, parse_duration, parse_time } from './format';
import { conjuncts, join, term } from './filter';

export interface Party {
    key: string;
    address: string;
    name: string;
    port: number;
    protocol: string;
    app: string;
    sent: number;
    received: number;
    packets: number;
    flows: number;
    served: number;
    peers: number;
    first_ms: number | null;
    last_ms: number | null;
    failed: number;
    error_rate: number | null;
    retransmits: number;
    retransmit_ratio: number | null;
    rtt_ms: number | null;
}

export interface About {
    matched: number | null;
    scanned: number | null;
    took_ms: number | null;
    asked: number;
    answered: number;
    truncated: string; /* why figures are too low or rows missing; '' when they are not */
}

export interface Parties extends About {
    rows: Party[];
    self: Party | null;
    found: number;
    bytes: number; /* of all records that match, each counted once */
}

type Bag = Record<string, unknown>;
const list = (value: unknown): Bag[] => (Array.isArray(value) ? (value as Bag[]).filter((v) => typeof v === 'object' && v !== null) : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const bag = (value: unknown): Bag => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Bag) : {});

export function read_party(b: Bag): Party {
    const [address, port, protocol, app] = [text(b.address), num(b.port) ?? 0, text(b.ip_protocol), text(b.application)];
    return {
        key: protocol === '' ? address : `${address} ${port} ${protocol} ${app}`,
        address, port, protocol, app,
        name: text(b.name),
        sent: num(b.bytes_sent) ?? 0,
        received: num(b.bytes_received) ?? 0,
        packets: num(b.packets) ?? 0,
        flows: num(b.flows) ?? 0,
        served: num(b.flows_served) ?? 0,
        peers: num(b.peers) ?? 0,
        first_ms: parse_time(b.first_time),
        last_ms: parse_time(b.last_time),
        failed: num(b.failed_flows) ?? 0,
        error_rate: num(b.error_rate),
        retransmits: num(b.retransmits) ?? 0,
        retransmit_ratio: num(b.retransmit_ratio),
        rtt_ms: parse_duration(b.rtt),
    };
}

export function read_about(b: Bag): About {
    const coverage = bag(b.coverage);
    return {
        matched: num(b.matched), scanned: num(b.scanned), took_ms: parse_duration(b.took), asked: num(coverage.sensors_asked) ?? 0, answered: num(coverage.sensors_answered) ?? 0,
        truncated: b.truncated === true ? text(b.truncated_reason) || 'a bound was met' : '',
    };
}

export function read_parties(b: Bag): Parties {
    const rows = list(b.hosts ?? b.services).map(read_party).filter((p) => p.address !== '');
    const self = b.self === undefined || b.self === null ? null : read_party(bag(b.self));
    return { ...read_about(b), rows, self, found: num(b.found) ?? rows.length, bytes: num(b.bytes) ?? 0 };
}

export interface Sum {
    key: string[];
    forward: number;
    reverse: number;
    flows: number;
    other: boolean;
    at_ms: number | null;
}

export function read_sums(b: Bag): Sum[] {
    return list(b.rows).map((r) => ({
        key: Array.isArray(r.key) ? r.key.map(text) : [], forward: num(r.bytes_forward) ?? 0, reverse: num(r.bytes_reverse) ?? 0, flows: num(r.new_flows) ?? 0,
        other: r.other === true, at_ms: parse_time(r.time),
    }));
}

export const bytes_of = (p: Party) => p.sent + p.received;

/* What is known of it is drawn as a number, 0 too; what lies before or behind the history as a gap. */
export function columns_of(as_client: Bag, as_server: Bag, from_ms: number, to_ms: number, step_ms: number): { t: number[]; received: (number | null)[]; sent: (number | null)[] } {
    const coverage = bag(as_client.coverage);
    const oldest = parse_time(coverage.oldest_time) ?? Infinity;
    const newest = parse_time(coverage.newest_time) ?? -Infinity;
    const t: number[] = [];
    for (let at = Math.floor(from_ms / step_ms) * step_ms; at < to_ms; at += step_ms) {
        t.push(at);
    }
    const sums = (): (number | null)[] => t.map((at) => (at + step_ms > oldest && at <= newest ? 0 : null));
    const [received, sent] = [sums(), sums()];
    const add = (b: Bag, into_sent: (r: Sum) => number, into_received: (r: Sum) => number) => {
        for (const r of read_sums(b)) {
            const i = r.at_ms === null ? -1 : Math.floor((r.at_ms - (t[0] ?? 0)) / step_ms);
            if (i >= 0 && i < t.length) {
                sent[i] = (sent[i] ?? 0) + (into_sent(r) * 8000) / step_ms;
                received[i] = (received[i] ?? 0) + (into_received(r) * 8000) / step_ms;
            }
        }
    };
    add(as_client, (r) => r.forward, (r) => r.reverse);
    add(as_server, (r) => r.reverse, (r) => r.forward);
    return { t, received, sent };
}

/* The filter and a term, whatever the filter is. */
export const both = (filter: string, wanted: string) => (wanted === '' ? filter : join([...conjuncts(filter).filter((p) => p !== wanted), wanted]));

export const host_filter = (address: string) => term('ip', address);

/* What chooses the flows of a host or service. */
export function party_filter(p: Party): string {
    if (p.protocol === '') {
        return host_filter(p.address);
    }
    const terms = [term('server.ip', p.address), ...(p.port > 0 ? [term('server.port', String(p.port))] : []), ...(p.app ? [term('app', p.app)] : [])];
    return terms.join(' AND ');
}

/* Rows in the places that they have now, with new figures; how many of the next are not among them. */
export function keep_places(now: Party[], next: Party[]): { rows: Party[]; fresh: number } {
    const by_key = new Map(next.map((p) => [p.key, p]));
    const known = new Set(now.map((p) => p.key));
    return { rows: now.map((p) => by_key.get(p.key) ?? p), fresh: next.filter((p) => !known.has(p.key)).length };
}

export const PARTY_COLUMNS = [
    'address', 'port', 'ip_protocol', 'application', 'name', 'bytes_sent', 'bytes_received', 'packets', 'flows', 'flows_served', 'peers', 'first_seen', 'last_seen', 'rtt_ms', 'retransmit_ratio',
    'error_rate',
];

export function party_cells(p: Party): unknown[] {
    const time = (ms: number | null) => (ms === null ? '' : new Date(ms).toISOString());
    return [
        p.address, p.protocol === '' ? '' : p.port, p.protocol, p.app, p.name, p.sent, p.received, p.packets, p.flows, p.served, p.peers, time(p.first_ms), time(p.last_ms), p.rtt_ms, p.retransmit_ratio,
        p.error_rate,
    ];
}
