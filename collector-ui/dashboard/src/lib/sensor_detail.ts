/* One sensor as the collector knows it (FleetService.GetSensor): its process, its interfaces, and where it lost what. Pure. */
import { enum_tail, num, parse_duration, parse_time } from './format';

type Bag = Record<string, unknown>;
const bag = (v: unknown): Bag => (typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Bag) : {});
const list = (v: unknown): Bag[] => (Array.isArray(v) ? v.map(bag) : []);
const text = (v: unknown): string => (typeof v === 'string' ? v : '');

export interface Interface {
    name: string;
    filter: string;
    up: boolean;
    received: number | null;
    bytes: number | null;
    kernel_dropped: number | null;
    interface_dropped: number | null;
    truncated: number | null;
    missed_bytes: number | null; /* acknowledged by receivers and never seen here: an estimate */
    stall_s: number | null; /* how long it may stand still before a ring is full; null: not known */
    reopened: number | null;
    error: string;
}

export interface Sink {
    name: string;
    connected: boolean;
    sent: number | null;
    unacked: number | null;
    spool_bytes: number | null;
    oldest_ms: number | null;
    failed: number | null;
    error: string;
}

/* What a sensor can lose, in the order in which a packet meets it. */
export interface Cause {
    key: 'interface' | 'kernel' | 'queues' | 'decode' | 'flow_table' | 'uplink';
    count: number | null; /* null: not told */
    reasons: string[]; /* which counters are above 0 */
}

export interface SensorDetail {
    id: string;
    boot_id: string;
    host_name: string;
    peer: string;
    up_ms: number | null;
    labels: [string, string][];
    records: number | null;
    duplicates: number | null;
    records_lost: number | null;
    bps: number | null; /* of its last second */
    pps: number | null;
    flows: number | null;
    flows_max: number | null;
    /* of one processor, by the thread that uses most */
    cpu: number | null;
    memory: number | null;
    memory_limit: number | null; /* null: none */
    flow_table_bytes: number | null;
    detectors_bytes: number | null;
    interfaces: Interface[];
    sinks: Sink[];
    causes: Cause[];
}

const add = (values: (number | null)[]): number | null => values.reduce<number | null>((a, v) => (v === null ? a : (a ?? 0) + v), null);
const above_0 = (value: number | null) => (value !== null && value > 0 ? value : null);

function read_interface(b: Bag): Interface {
    return {
        name: text(b.name), filter: text(b.filter), up: b.up !== false,
        received: num(b.received_packets), bytes: num(b.received_bytes), kernel_dropped: num(b.kernel_dropped), interface_dropped: num(b.interface_dropped),
        truncated: num(b.truncated_packets), missed_bytes: num(b.missed_bytes_estimate), stall_s: above_0(num(b.stall_tolerance_seconds)), reopened: num(b.reopened), error: text(b.last_error),
    };
}

function read_sink(b: Bag): Sink {
    return {
        name: text(b.name), connected: b.connected === true, sent: num(b.sent), unacked: num(b.unacked), spool_bytes: num(b.spool_bytes), oldest_ms: parse_duration(b.oldest_age),
        failed: num(b.failed), error: text(b.last_error) || text(b.spool_trouble),
    };
}

/* Reasons of the ledger that are the sensor's own queues between its threads. */
const QUEUES = new Set(['handover_full', 'no_batch', 'dispatch_full', 'ring_full']);

/* Losses of the ledger, by cause. What a sink other than the collector's lost is that sink's, not the way to here. */
function causes(stats: Bag, interfaces: Interface[]): Cause[] {
    const rows = list(stats.ledger).flatMap((row) =>
        list(row.lost).map((l) => ({ stage: enum_tail(row.stage).replace('LEDGER_STAGE_', ''), name: text(row.name), reason: text(l.reason), count: num(l.count) ?? 0 })),
    );
    const told = rows.length > 0;
    const of = (key: Cause['key'], want: (r: (typeof rows)[number]) => boolean): Cause => {
        const found = rows.filter(want);
        return { key, count: told ? found.reduce((n, r) => n + r.count, 0) : null, reasons: found.filter((r) => r.count > 0).map((r) => r.reason) };
    };
    const shards = list(stats.shards);
    return [
        { key: 'interface', count: add(interfaces.map((i) => i.interface_dropped)), reasons: [] },
        { key: 'kernel', count: add(interfaces.map((i) => i.kernel_dropped)), reasons: [] },
        of('queues', (r) => QUEUES.has(r.reason) && ['CAPTURE', 'DECODE', 'FLOW', 'PUBLISH'].includes(r.stage)),
        of('decode', (r) => r.stage === 'DECODE' && !QUEUES.has(r.reason)),
        { key: 'flow_table', count: add(shards.map((s) => num(s.evicted))), reasons: [] },
        of('uplink', (r) => r.name === 'collector' && ['SINK', 'SPOOL', 'WIRE'].includes(r.stage)),
    ];
}

export function read_sensor_detail(answer: unknown): SensorDetail {
    const b = bag(bag(answer).sensor);
    const stats = bag(b.stats);
    const totals = bag(stats.totals);
    const memory = bag(stats.memory);
    const start = parse_time(stats.start_time);
    const end = parse_time(stats.end_time);
    const seconds = start !== null && end !== null && end > start ? (end - start) / 1000 : null;
    const rate = (value: number | null) => (value === null || seconds === null ? null : value / seconds);
    const bytes = rate(num(totals.bytes));
    const interfaces = list(stats.interfaces).map(read_interface);
    const shards = list(stats.shards);
    return {
        id: text(b.sensor_id), boot_id: text(b.boot_id), host_name: text(b.host_name), peer: text(b.peer).replace(/^ipv[46]:/, ''), up_ms: parse_duration(stats.uptime),
        labels: Object.entries(bag(b.labels)).map(([key, value]): [string, string] => [key, text(value)]).sort(([x], [y]) => (x < y ? -1 : 1)),
        records: num(b.records_received), duplicates: num(b.records_duplicate), records_lost: num(b.records_lost),
        bps: bytes === null ? null : bytes * 8, pps: rate(num(totals.packets)),
        flows: num(totals.flows_active), flows_max: above_0(add(shards.map((s) => num(s.flows_max)))),
        cpu: above_0(Math.max(0, ...shards.map((s) => num(s.cpu_ratio) ?? 0))),
        memory: num(memory.rss_bytes), memory_limit: above_0(num(memory.limit_bytes)), flow_table_bytes: num(memory.flow_table_bytes), detectors_bytes: num(memory.detectors_bytes),
        interfaces, sinks: list(stats.sinks).map(read_sink), causes: causes(stats, interfaces),
    };
}
