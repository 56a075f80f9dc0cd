/* How the collector fares, as it says (GetCollectorStatus), and what two answers say of the time between them. Pure. */
import { num, parse_duration, parse_time } from './format';

type Bag = Record<string, unknown>;
const bag = (value: unknown): Bag => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Bag) : {});
const list = (value: unknown): Bag[] => (Array.isArray(value) ? value.map(bag) : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export interface Day {
    date: string;
    bytes: number;
    oldest_ms: number | null;
    newest_ms: number | null;
}

export interface Client {
    user: string;
    since_ms: number | null;
    interval_ms: number | null;
    frames: number;
    unacked: number;
    lag_ms: number | null;
    queued: number;
    behind: boolean;
}

export interface Receiver {
    name: string;
    failing: boolean;
    waiting: number;
    sent: number;
    lost: number; /* refused, expired, dropped */
    silenced: number;
    retries: number;
}

/* A stream on its way into ClickHouse; null: it is in no setting. */
export interface ClickHouse {
    stream: string; /* "flows", ... */
    failing: boolean;
    reason: string;
    waiting: number | null; /* null: being counted */
    inserted: number;
    lost: number; /* refused, undecodable, dropped */
    asked: boolean;
    questions: number;
    records_read: number;
    questions_failing: boolean;
    questions_reason: string;
}

function clickhouse(value: unknown): ClickHouse | null {
    if (typeof value !== 'object' || value === null) {
        return null;
    }
    const b = bag(value);
    const n = numbers(b, ['waiting', 'inserted', 'refused', 'undecodable', 'dropped', 'questions', 'records_read']);
    return {
        stream: text(b.stream) || 'flows', failing: b.failing === true, reason: text(b.reason), waiting: b.waiting_known === true ? n.waiting : null, inserted: n.inserted, lost: n.refused + n.undecodable + n.dropped,
        asked: b.asked === true, questions: n.questions, records_read: n.records_read, questions_failing: b.questions_failing === true, questions_reason: text(b.questions_reason),
    };
}

export interface Status {
    version: string;
    boot: string;
    host: string;
    start_ms: number | null;
    time_ms: number | null;
    resident: number | null;
    memory_limit: number | null;
    cpu_ms: number | null;
    cpus: number;
    ingest: Record<'connections' | 'batches' | 'records' | 'duplicates' | 'told_lost' | 'returned' | 'refused' | 'elsewhere' | 'backlog_bytes' | 'log_bytes' | 'log_errors' | 'throttled', number>;
    log_failing: boolean;
    draining: boolean;
    streams: { name: string; rows: number }[];
    store_bytes: number;
    days: Day[];
    retention_ms: number;
    retention_bytes: number;
    store: Record<'queue_batches' | 'records' | 'duplicates' | 'undecodable' | 'not_kept' | 'files_set_aside', number>;
    failure: string;
    sums: { step_ms: number; keep_ms: number }[];
    queries: Record<'total' | 'partial' | 'cancelled' | 'refused' | 'running' | 'running_max' | 'waiting' | 'waiting_max' | 'measured', number>;
    query_ms: { p50: number | null; p95: number | null; p99: number | null; longest: number | null };
    clients: Client[];
    live: Record<'clients_total' | 'clients_max' | 'frames' | 'merged' | 'lost' | 'resyncs' | 'refused', number>;
    receivers: Receiver[];
    clickhouse: ClickHouse | null;
    clickhouse_others: ClickHouse[];
    api: Record<'streams' | 'records_sent' | 'records_dropped' | 'requests' | 'requests_refused' | 'logins_refused' | 'server_errors' | 'bytes_sent', number>;
}

function numbers<K extends string>(b: Bag, names: K[]): Record<K, number> {
    return Object.fromEntries(names.map((name) => [name, num(b[name]) ?? 0])) as Record<K, number>;
}

export function read_status(b: Bag): Status {
    const [process, ingest, store, queries, live] = [bag(b.process), bag(b.ingest), bag(b.store), bag(b.queries), bag(b.live)];
    return {
        version: text(b.version), boot: text(b.boot_id), host: text(b.host_name), start_ms: parse_time(b.start_time), time_ms: parse_time(b.time), resident: num(process.resident_bytes), memory_limit: num(process.memory_limit_bytes),
        cpu_ms: parse_duration(process.cpu_time), cpus: num(process.cpus) ?? 0,
        ingest: numbers(ingest, ['connections', 'batches', 'records', 'duplicates', 'told_lost', 'returned', 'refused', 'elsewhere', 'backlog_bytes', 'log_bytes', 'log_errors', 'throttled']),
        log_failing: ingest.log_failing === true, draining: ingest.draining === true,
        streams: list(store.streams).map((s) => ({ name: text(s.name), rows: num(s.rows) ?? 0 })),
        store_bytes: num(store.bytes) ?? 0,
        days: list(store.days).map((d) => ({ date: text(d.date), bytes: num(d.bytes) ?? 0, oldest_ms: parse_time(d.oldest_time), newest_ms: parse_time(d.newest_time) })),
        retention_ms: parse_duration(store.retention) ?? 0, retention_bytes: num(store.retention_bytes) ?? 0,
        store: numbers(store, ['queue_batches', 'records', 'duplicates', 'undecodable', 'not_kept', 'files_set_aside']),
        failure: text(store.failure),
        sums: list(store.sums).map((s) => ({ step_ms: parse_duration(s.step) ?? 0, keep_ms: parse_duration(s.keep) ?? 0 })),
        queries: numbers(queries, ['total', 'partial', 'cancelled', 'refused', 'running', 'running_max', 'waiting', 'waiting_max', 'measured']),
        query_ms: { p50: parse_duration(queries.p50), p95: parse_duration(queries.p95), p99: parse_duration(queries.p99), longest: parse_duration(queries.longest) },
        clients: list(live.clients).map((c) => ({
            user: text(c.user), since_ms: parse_time(c.connected_time), interval_ms: parse_duration(c.interval), frames: num(c.frames) ?? 0, unacked: num(c.unacked) ?? 0, lag_ms: parse_duration(c.lag), queued: num(c.queued_bytes) ?? 0,
            behind: c.behind === true,
        })),
        live: numbers(live, ['clients_total', 'clients_max', 'frames', 'merged', 'lost', 'resyncs', 'refused']),
        receivers: list(b.receivers).map((r) => {
            const n = numbers(r, ['waiting', 'sent', 'silenced', 'refused', 'expired', 'dropped', 'retries']);
            return { name: text(r.name), failing: r.failing === true, waiting: n.waiting, sent: n.sent, lost: n.refused + n.expired + n.dropped, silenced: n.silenced, retries: n.retries };
        }),
        clickhouse: clickhouse(b.clickhouse),
        clickhouse_others: list(b.clickhouse_others).map(clickhouse).filter((c) => c !== null),
        api: numbers(bag(b.api), ['streams', 'records_sent', 'records_dropped', 'requests', 'requests_refused', 'logins_refused', 'server_errors', 'bytes_sent']),
    };
}

/* A second, between two answers; null where it cannot be told: the first answer, or another process. */
export interface Rates {
    records: number | null;
    batches: number | null;
    queries: number | null;
    frames: number | null;
    cpu: number | null; /* of one processor */
    streams: Map<string, number | null>;
}

export function rates_between(before: Status | null, now: Status): Rates {
    const elapsed = before?.time_ms != null && now.time_ms !== null && before.boot === now.boot ? (now.time_ms - before.time_ms) / 1000 : 0;
    const rate = (a: number | null | undefined, b: number | null) => (elapsed > 0 && a != null && b !== null && b >= a ? (b - a) / elapsed : null);
    const cpu = rate(before?.cpu_ms, now.cpu_ms);
    return {
        records: rate(before?.ingest.records, now.ingest.records),
        batches: rate(before?.ingest.batches, now.ingest.batches),
        queries: rate(before?.queries.total, now.queries.total),
        frames: rate(before?.live.frames, now.live.frames),
        cpu: cpu === null ? null : cpu / 1000,
        streams: new Map(now.streams.map((s) => [s.name, rate(before?.streams.find((x) => x.name === s.name)?.rows, s.rows)])),
    };
}

export interface Section {
    title: string;
    rows: { name: string; value: string; bad?: boolean }[];
}

export function report_text(sections: Section[], more: string[]): string {
    const parts = sections.map((s) => `${s.title}\n${s.rows.map((r) => `  ${r.name}: ${r.value}${r.bad ? ' (!)' : ''}`).join('\n')}`);
    return `${[...parts, ...more].join('\n')}\n`.replace(/\u00a0/g, ' ');
}
