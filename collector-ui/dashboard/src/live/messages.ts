/* Messages of /v1/live (docs/live-feed.md) and their check. What comes in is never trusted: a message that does not hold
 * what it must is rejected whole and counted, it never reaches the store half. Pure. */
import { num } from '../lib/format';

export interface Hello {
    boot: string;
    server: string;
    version: string;
    now_ms: number;
    tick_ms: number;
    min_tick_ms: number;
    history: { step_ms: number; span_s: number }[];
    data: { from_ms: number; to_ms: number } | null;
    caps: { capture: boolean; packets: boolean; ack: boolean; filtered_series: boolean };
}

export interface Dict {
    rev: number;
    app: { name: string; slot: number }[];
    sensor: { id: string; name: string; site: string }[];
    site: string[];
    state: string[];
    sev: string[];
}

export interface Totals {
    bps_in: number | null;
    bps_out: number | null;
    pps: number | null;
    flows: number | null;
    new_ps: number | null;
    rtt_ms: number | null;
    loss_ppm: number | null;
    cum: Record<string, number | null>;
}

export interface LiveFlow {
    id: string;
    sensor: number;
    proto: number | null;
    app: number;
    src: string;
    sport: number | null;
    dst: string;
    dport: number | null;
    name: string;
    bps: number | null;
    bytes_ab: number | null;
    bytes_ba: number | null;
    rtt_ms: number | null;
    retr: number | null;
    st: number;
}

export interface LiveSensor {
    sensor: number;
    state: number;
    bps: number | null;
    pps: number | null;
    loss_ppm: number | null;
    drops: number;
}

export interface Frame {
    seq: number;
    boot: string;
    rev: number;
    ts_ms: number;
    win_ms: number;
    merged: number;
    totals: Totals | null;
    by: { dim: string; k: number[]; in: (number | null)[]; out: (number | null)[] } | null;
    sensors: LiveSensor[] | null;
    flows: LiveFlow[] | null;
    /* said: another number whenever people have said something of alerts; null: the collector does not tell */
    alerts: { open: number; said: number | null; changed: Record<string, unknown>[]; notes: Record<string, unknown>[] } | null;
}

export type Message =
    | { t: 'hello'; hello: Hello }
    | { t: 'dict'; dict: Dict }
    | { t: 'frame'; frame: Frame }
    | { t: 'resync'; reason: string; from_ms: number | null; to_ms: number | null; from_seq: number | null; to_seq: number | null }
    | { t: 'pong'; id: number; c: number; r: number; s: number }
    | { t: 'err'; code: string; msg: string; pos: number | null; ref: number | null }
    | { t: 'bye'; reason: string; retry_ms: number | null }
    | { t: 'unknown'; name: string };

class Wrong extends Error {}

type Bag = Record<string, unknown>;

function bag(value: unknown, what: string): Bag {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new Wrong(`${what} is not an object`);
    }
    return value as Bag;
}

function list(value: unknown, what: string): unknown[] {
    if (!Array.isArray(value)) {
        throw new Wrong(`${what} is not a list`);
    }
    return value;
}

function must(value: unknown, what: string): number {
    const n = num(value);
    if (n === null) {
        throw new Wrong(`${what} is not a number`);
    }
    return n;
}

const text = (value: unknown) => (typeof value === 'string' ? value : '');

/* Columns of one group: equal lengths, or the group is worth nothing. Absent ones are all null. */
function columns(group: Bag, names: string[], required: string, what: string): { n: number; get: Record<string, unknown[]> } {
    const n = list(group[required], `${what}.${required}`).length;
    const get: Record<string, unknown[]> = {};
    for (const name of names) {
        const column = group[name];
        if (column === undefined || column === null) {
            get[name] = new Array<unknown>(n).fill(null);
            continue;
        }
        if (list(column, `${what}.${name}`).length !== n) {
            throw new Wrong(`${what}.${name} has ${(column as unknown[]).length} entries, ${required} has ${n}`);
        }
        get[name] = column as unknown[];
    }
    return { n, get };
}

function read_index(value: unknown): number {
    const n = num(value);
    return n !== null && Number.isInteger(n) && n >= -1 ? n : -1;
}

function read_totals(value: unknown): Totals {
    const b = bag(value, 'totals');
    const cum: Record<string, number | null> = {};
    if (b.cum !== undefined) {
        for (const [key, v] of Object.entries(bag(b.cum, 'totals.cum'))) {
            cum[key] = num(v);
        }
    }
    return {
        bps_in: num(b.bps_in), bps_out: num(b.bps_out), pps: num(b.pps), flows: num(b.flows),
        new_ps: num(b.new_ps), rtt_ms: num(b.rtt_ms), loss_ppm: num(b.loss_ppm), cum,
    };
}

const FLOW_COLUMNS = ['id', 'sensor', 'proto', 'app', 'src', 'sport', 'dst', 'dport', 'name', 'bps', 'bytes_ab', 'bytes_ba', 'rtt_ms', 'retr', 'st'];

function read_flows(value: unknown): LiveFlow[] {
    const { n, get } = columns(bag(value, 'flows'), FLOW_COLUMNS, 'id', 'flows');
    const flows = new Array<LiveFlow>(n);
    for (let i = 0; i < n; i++) {
        if (typeof get.id[i] !== 'string') {
            throw new Wrong('flows.id holds something that is not text');
        }
        flows[i] = {
            id: get.id[i] as string, sensor: read_index(get.sensor[i]), proto: num(get.proto[i]), app: read_index(get.app[i]),
            src: text(get.src[i]), sport: num(get.sport[i]), dst: text(get.dst[i]), dport: num(get.dport[i]), name: text(get.name[i]),
            bps: num(get.bps[i]), bytes_ab: num(get.bytes_ab[i]), bytes_ba: num(get.bytes_ba[i]),
            rtt_ms: num(get.rtt_ms[i]), retr: num(get.retr[i]), st: read_index(get.st[i]),
        };
    }
    return flows;
}

function read_sensors(value: unknown): LiveSensor[] {
    const group = bag(value, 'sensors');
    const { n, get } = columns(group, ['id', 'st', 'bps', 'pps', 'loss_ppm'], 'id', 'sensors');
    const causes = group.drops === undefined || group.drops === null ? {} : bag(group.drops, 'sensors.drops');
    for (const [cause, column] of Object.entries(causes)) {
        if (list(column, `sensors.drops.${cause}`).length !== n) {
            throw new Wrong(`sensors.drops.${cause} has another length than sensors.id`);
        }
    }
    const out = new Array<LiveSensor>(n);
    for (let i = 0; i < n; i++) {
        let drops = 0;
        for (const column of Object.values(causes)) {
            drops += num((column as unknown[])[i]) ?? 0;
        }
        out[i] = {
            sensor: read_index(get.id[i]), state: read_index(get.st[i]), bps: num(get.bps[i]),
            pps: num(get.pps[i]), loss_ppm: num(get.loss_ppm[i]), drops,
        };
    }
    return out;
}

function read_frame(b: Bag): Frame {
    const seq = must(b.seq, 'seq');
    const ts_ms = must(b.ts_ms, 'ts_ms');
    const win_ms = must(b.win_ms, 'win_ms');
    if (!Number.isSafeInteger(seq) || seq < 0 || ts_ms <= 0 || ts_ms > 4e12 || win_ms <= 0 || win_ms > 86_400_000) {
        throw new Wrong('seq, ts_ms or win_ms is out of bounds');
    }
    let by: Frame['by'] = null;
    if (b.by !== undefined && b.by !== null) {
        const { get } = columns(bag(b.by, 'by'), ['k', 'in', 'out'], 'k', 'by');
        by = { dim: text((b.by as Bag).dim), k: get.k.map(read_index), in: get.in.map(num), out: get.out.map(num) };
    }
    let alerts: Frame['alerts'] = null;
    if (b.alerts !== undefined && b.alerts !== null) {
        const group = bag(b.alerts, 'alerts');
        alerts = {
            open: must(group.open, 'alerts.open'),
            said: num(group.said),
            notes: group.notes === undefined ? [] : list(group.notes, 'alerts.notes').map((a) => bag(a, 'note')),
            changed: group.changed === undefined ? [] : list(group.changed, 'alerts.changed').map((a) => bag(a, 'alert')),
        };
    }
    return {
        seq, ts_ms, win_ms, boot: text(b.boot), rev: num(b.rev) ?? 0, merged: Math.max(1, num(b.merged) ?? 1),
        totals: b.totals === undefined || b.totals === null ? null : read_totals(b.totals),
        by,
        sensors: b.sensors === undefined || b.sensors === null ? null : read_sensors(b.sensors),
        flows: b.flows === undefined || b.flows === null ? null : read_flows(b.flows),
        alerts,
    };
}

function read_hello(b: Bag): Hello {
    const caps = b.caps === undefined ? {} : bag(b.caps, 'caps');
    let data: Hello['data'] = null;
    if (b.data !== undefined && b.data !== null) {
        const d = bag(b.data, 'data');
        data = { from_ms: must(d.from_ms, 'data.from_ms'), to_ms: must(d.to_ms, 'data.to_ms') };
    }
    return {
        boot: text(b.boot), server: text(b.server), version: text(b.version), now_ms: must(b.now_ms, 'now_ms'),
        tick_ms: num(b.tick_ms) ?? 1000, min_tick_ms: num(b.min_tick_ms) ?? 1000,
        history: (Array.isArray(b.history) ? b.history : [])
            .map((h) => bag(h, 'history'))
            .map((h) => ({ step_ms: must(h.step_ms, 'step_ms'), span_s: must(h.span_s, 'span_s') })),
        data,
        caps: { capture: caps.capture === true, packets: caps.packets !== false, ack: caps.ack === true, filtered_series: caps.filtered_series === true },
    };
}

function read_dict(b: Bag): Dict {
    const rows = (name: string) => list(b[name] ?? [], `dict.${name}`).map((row) => list(row, `dict.${name}`));
    return {
        rev: num(b.rev) ?? 0,
        app: rows('app').map((r) => {
            const slot = num(r[1]) ?? 0;
            return { name: text(r[0]), slot: Number.isInteger(slot) && slot >= 0 && slot <= 6 ? slot : 0 };
        }),
        sensor: rows('sensor').map((r) => ({ id: text(r[0]), name: text(r[1]) || text(r[0]), site: text(r[2]) })),
        site: list(b.site ?? [], 'dict.site').map(text),
        state: list(b.state ?? [], 'dict.state').map(text),
        sev: list(b.sev ?? [], 'dict.sev').map(text),
    };
}

/* Throws nothing: a text that is no message gives the reason. */
export function decode(raw: string): { ok: true; message: Message } | { ok: false; why: string } {
    try {
        const b = bag(JSON.parse(raw), 'message');
        switch (b.t) {
            case 'hello':
                return { ok: true, message: { t: 'hello', hello: read_hello(b) } };
            case 'dict':
                return { ok: true, message: { t: 'dict', dict: read_dict(b) } };
            case 'frame':
                return { ok: true, message: { t: 'frame', frame: read_frame(b) } };
            case 'resync':
                return {
                    ok: true,
                    message: {
                        t: 'resync', reason: text(b.reason), from_ms: num(b.from_ms), to_ms: num(b.to_ms),
                        from_seq: num(b.from_seq), to_seq: num(b.to_seq),
                    },
                };
            case 'pong':
                return { ok: true, message: { t: 'pong', id: must(b.id, 'id'), c: must(b.c, 'c'), r: must(b.r, 'r'), s: must(b.s, 's') } };
            case 'err':
                return { ok: true, message: { t: 'err', code: text(b.code), msg: text(b.msg), pos: num(b.pos), ref: num(b.ref) } };
            case 'bye':
                return { ok: true, message: { t: 'bye', reason: text(b.reason), retry_ms: num(b.retry_ms) } };
            default:
                return { ok: true, message: { t: 'unknown', name: text(b.t) } };
        }
    } catch (error) {
        return { ok: false, why: error instanceof Error ? error.message : 'not a message' };
    }
}
