/* Captures that sensors are asked for: what a flow is as a BPF expression, what a form asks, how a capture stands. Pure. */
import { bytes, num } from './format';

type Bag = Record<string, unknown>;

/* One sensor of a capture. */
export interface CaptureSensor {
    id: string;
    state: string;
    error: string;
}

export interface Capture {
    id: string;
    sensors: CaptureSensor[];
    alert_id: string;
    bpf: string;
    interface: string;
    state: 'RUNNING' | 'ENDED' | 'FAILED' | '';
    by: string;
    start_ms: number | null;
    end_ms: number | null;
    bytes: number;
    max_bytes: number | null;
    packets: number | null; /* of one that has ended */
    dropped: number | null;
    reason: string;
    error: string;
}

const bag = (v: unknown): Bag => (typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Bag) : {});
const text = (v: unknown) => (typeof v === 'string' ? v : '');
const instant = (v: unknown) => {
    const at = Date.parse(text(v));
    return Number.isFinite(at) ? at : null;
};

const state_of = (v: unknown): Capture['state'] => {
    const state = text(v).replace(/^CAPTURE_STATE_/, '');
    return state === 'RUNNING' || state === 'ENDED' || state === 'FAILED' ? state : '';
};

/* A collector that knows of one sensor alone names it by sensor_id. */
function read_sensors(b: Bag): CaptureSensor[] {
    const list = (Array.isArray(b.sensors) ? b.sensors : []).map(bag);
    const sensors = list.map((s) => ({ id: text(s.sensor_id), state: state_of(s.state), error: text(s.error) })).filter((s) => s.id);
    return sensors.length > 0 || text(b.sensor_id) === '' ? sensors : [{ id: text(b.sensor_id), state: state_of(b.state), error: '' }];
}

export function read_capture(record: unknown): Capture {
    const b = bag(record);
    const summary = b.summary === undefined || b.summary === null ? null : bag(b.summary);
    return {
        id: text(b.capture_id),
        sensors: read_sensors(b),
        alert_id: text(b.alert_id),
        bpf: text(b.bpf),
        interface: text(b.interface),
        state: state_of(b.state),
        by: text(b.requester),
        start_ms: instant(b.start_time),
        end_ms: instant(b.end_time),
        bytes: num(b.bytes) ?? 0,
        max_bytes: num(b.max_bytes),
        packets: summary ? (num(summary.packets) ?? 0) : null,
        dropped: summary ? (num(summary.dropped) ?? 0) : null,
        reason: summary ? text(summary.reason) : '',
        error: text(b.error),
    };
}

const REASONS: Record<string, string> = {
    max_packets: 'as many packets as asked for',
    max_bytes: 'as large as it may get',
    max_duration: 'its time was over',
    packets_until: 'all of the time asked for',
    input_ended: 'the input of the sensor ended',
    sensor_stopped: 'the sensor stopped',
    cancelled: 'stopped',
};

/* Why it ended, for people. "packets.capture_max_bytes": a limit of the sensor's own. */
export function say_reason(reason: string): string {
    return REASONS[reason] ?? (reason.startsWith('packets.capture_') ? `a limit of the sensor (${reason})` : reason);
}

/* One line: how far it is, or what came of it. Unescaped. */
export function say_outcome(c: Capture): string {
    if (c.state === 'FAILED') {
        return c.error || 'broke off';
    }
    if (c.state !== 'ENDED') {
        return `${bytes(c.bytes)} so far`;
    }
    const lost = c.dropped ? `, ${c.dropped.toLocaleString('en')} had no room` : '';
    return `${(c.packets ?? 0).toLocaleString('en')} packets, ${bytes(c.bytes)}${lost}; ${say_reason(c.reason)}`;
}

/* What is said of sensors that failed while the capture did not. */
export function failures_of(c: Capture): CaptureSensor[] {
    return c.state === 'FAILED' && c.sensors.length < 2 ? [] : c.sensors.filter((s) => s.state === 'FAILED');
}

export interface Form {
    sensors: string[]; /* none, of an alert: those that raised it */
    alert: string; /* the collector makes the filter for it; '': by `bpf` */
    interface: string;
    bpf: string;
    seconds: number; /* 0: as long as the sensor allows */
    bytes: number; /* likewise */
    history: boolean;
}

/* "" or what is missing before it can start. */
export function missing_of(form: Form): string {
    return form.sensors.length === 0 && form.alert === '' ? 'Which sensor?' : form.bpf.length > 4096 ? 'The filter is too long.' : '';
}

export function request_of(form: Form): Bag {
    const asked: Bag = form.sensors.length === 0 ? {} : form.sensors.length === 1 ? { sensor_id: form.sensors[0] } : { sensor_selector: { sensor_ids: form.sensors } };
    if (form.alert) {
        asked.alert_id = form.alert;
    } else if (form.bpf.trim()) {
        asked.bpf = form.bpf.trim();
    }
    if (form.interface.trim()) {
        asked.interface = form.interface.trim();
    }
    if (form.seconds > 0) {
        asked.max_duration = `${form.seconds}s`;
    }
    if (form.bytes > 0) {
        asked.max_bytes = String(form.bytes);
    }
    if (form.history) {
        asked.include_history = true;
    }
    return asked;
}

const PROTOCOLS: Record<number, string> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmp6', 132: 'sctp' };
const ADDRESS = /^[0-9a-fA-F:.]{2,45}$/;

/* Both directions of one flow, as pcap-filter(7); behind VLAN tags too where the flow has one. "" where its addresses are none. */
export function bpf_of(flow: { client_ip: string; client_port: number | null; server_ip: string; server_port: number | null; protocol: number | null; vlan: number | null }): string {
    const { client_ip, server_ip, protocol } = flow;
    if (!ADDRESS.test(client_ip) || !ADDRESS.test(server_ip)) {
        return '';
    }
    const is_v6 = client_ip.includes(':');
    const terms: string[] = [];
    if (protocol !== null) {
        terms.push(PROTOCOLS[protocol] ?? `${is_v6 ? 'ip6' : 'ip'} proto ${protocol}`);
    }
    terms.push(`host ${client_ip}`, ...(client_ip === server_ip ? [] : [`host ${server_ip}`]));
    if (protocol === 6 || protocol === 17 || protocol === 132) {
        for (const port of new Set([flow.client_port, flow.server_port])) {
            if (port) {
                terms.push(`port ${port}`);
            }
        }
    }
    const all = terms.join(' and ');
    return flow.vlan === null ? all : `(${all}) or (vlan and ${all})`;
}
