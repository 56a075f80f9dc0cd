/* The state of the page as signals: address, connection, dictionary, the latest frame, alerts and sensors.
 * Components draw only when a signal they read changes. Frames are applied once per animation frame: gauges take the
 * latest, series take every frame. While the view is held nothing here changes except the counters of what waits. */
import { batch, computed, effect, signal } from '@preact/signals';
import { format_range, format_route, parse_instant, parse_range, parse_route, type PageName, type Range, type Route } from '../lib/route';
import { Window } from '../lib/quantiles';
import type { Dict, Frame, Hello, LiveFlow, LiveSensor, Totals } from './messages';
import { hidden_by } from '../lib/triage';
import { read_alert, read_note, read_sensor, type Alert, type Note, type Sensor } from './records';
import { get } from './rest';
import { look_again } from './session';
import { Live, now_ms, type Topics } from './socket';

/* -- address ------------------------------------------------------------------------------------------------ */

export const route = signal<Route>(parse_route(location.hash));
window.addEventListener('hashchange', () => {
    route.value = parse_route(location.hash);
});

export function href(page: PageName, params: Record<string, string> = {}): string {
    const kept: Record<string, string> = {};
    for (const key of ['t', 'at', 'perf']) {
        const value = route.value.params[key];
        if (value) {
            kept[key] = value;
        }
    }
    return format_route({ page, params: { ...kept, ...params } });
}

export function go(page: PageName, params: Record<string, string> = {}): void {
    location.hash = href(page, params);
}

/* Changes some parameters of this page. `replace`: no step in the Back button's history. */
export function patch(params: Record<string, string>, replace = false): void {
    const next = format_route({ page: route.value.page, params: { ...route.value.params, ...params } });
    if (next === location.hash) {
        return;
    }
    if (replace) {
        history.replaceState(null, '', next);
        route.value = parse_route(next);
    } else {
        location.hash = next;
    }
}

export const param = (name: string) => route.value.params[name] ?? '';

/* -- connection ------------------------------------------------------------------------------------------------ */

export type Connection = { state: 'connecting' | 'open' | 'lost'; since_ms: number; attempt: number; retry_at_ms: number | null };

export const connection = signal<Connection>({ state: 'connecting', since_ms: Date.now(), attempt: 0, retry_at_ms: null });
/* Page time of the last message, of a connection that stands while nothing comes. */
export const silent_since = signal<number | null>(null);
export const hello = signal<Hello | null>(null);
export const dict = signal<Dict>({ rev: 0, app: [], sensor: [], site: [], state: [], sev: [] });
export const last_good_ms = signal<number | null>(null); /* server time of the newest frame */
export const totals = signal<Totals | null>(null);
export const live_flows = signal<LiveFlow[] | null>(null);
export const live_sensors = signal<Map<string, LiveSensor>>(new Map());
export const alerts = signal<Map<string, Alert>>(new Map());
export const alerts_state = signal<'loading' | 'ready' | { error: unknown }>('loading');
export const open_alerts = signal<number | null>(null); /* hidden ones too */
export const notes = signal<Map<string, Note>>(new Map()); /* what people have said, by the alert's id */
export const sensors = signal<Sensor[] | null>(null);
export const sensors_error = signal<unknown>(null);
export const refused = signal<{ code: string; text: string } | null>(null);
export const rate_hz = signal<number>(Number(localStorage.getItem('netscope.rate')) || 1);
export const RATES = [0.2, 1, 4, 10, 30];

/* Goes up when what is on screen must be fetched again: reconnected, frames left out, resumed, tab shown again. */
export const reload = signal(0);
/* Goes up when series have new points; four times a second at most. */
export const chart_tick = signal(0);
export const held = signal<{ frames: number; alerts: number }>({ frames: 0, alerts: 0 });

/* -- time ------------------------------------------------------------------------------------------------ */

const DEFAULT_SPANS_MS = [5, 15, 60].map((m) => m * 60_000);
const fallback = signal<Range | null>(null);

/* Null until it is known what the collector has: nothing is fetched before. */
export const range = computed<Range | null>(() => parse_range(route.value.params.t) ?? fallback.value);
export const paused_at = computed<number | null>(() => parse_instant(route.value.params.at));
export const is_live = computed(() => range.value?.kind === 'live' && paused_at.value === null);

export const server_now = () => now_ms() + live.clock.offset_ms;

/* The window on screen now. A held view ends at its instant. */
export function view(): { from_ms: number; to_ms: number } {
    const r = range.value ?? { kind: 'live' as const, span_ms: DEFAULT_SPANS_MS[1] };
    if (r.kind === 'fixed') {
        return { from_ms: r.from_ms, to_ms: r.to_ms };
    }
    const to_ms = paused_at.value ?? server_now();
    return { from_ms: to_ms - r.span_ms, to_ms };
}

function choose_range(h: Hello): Range {
    const hour = 3_600_000;
    if (h.data && h.now_ms - h.data.to_ms > hour) {
        /* a file with its original times: open on it, with a little air on both sides */
        const air = Math.max(1000, (h.data.to_ms - h.data.from_ms) * 0.02);
        return { kind: 'fixed', from_ms: Math.floor(h.data.from_ms - air), to_ms: Math.ceil(h.data.to_ms + air) };
    }
    const known = h.data ? h.now_ms - h.data.from_ms : 0;
    return { kind: 'live', span_ms: DEFAULT_SPANS_MS.find((s) => known <= s) ?? hour };
}

export function set_range(r: Range): void {
    patch({ t: format_range(r), at: '' });
}

export function go_live(): void {
    const r = range.value;
    patch(r?.kind === 'live' ? { at: '' } : { at: '', t: 'now-15m..now' });
}

export function pause(): void {
    if (is_live.value) {
        patch({ at: String(Math.floor(Math.min(server_now(), last_good_ms.value ?? server_now()))) });
    }
}

export function toggle_pause(): void {
    if (paused_at.value !== null) {
        go_live();
    } else {
        pause();
    }
}

/* -- frames ------------------------------------------------------------------------------------------------ */

export const perf = {
    render: new Window(600),
    lag: new Window(600),
    decode_to_paint: new Window(600),
    painted: 0,
    coalesced: 0,
};

type FrameListener = (frame: Frame) => void;
const listeners = new Set<FrameListener>();

/* Every frame of a live view, in order. Returns the way to stop it. */
export function on_frame(listener: FrameListener): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

let waiting: { frame: Frame; received_ms: number }[] = [];
let scheduled = false;
let last_chart_ms = 0;
let chart_timer: number | undefined;

function schedule(): void {
    if (scheduled) {
        return;
    }
    scheduled = true;
    /* a hidden tab gets no animation frames, yet its counters must go on */
    if (document.hidden) {
        window.setTimeout(apply, 0);
    } else {
        requestAnimationFrame(apply);
    }
}

function apply(): void {
    scheduled = false;
    const frames = waiting;
    waiting = [];
    if (frames.length === 0) {
        return;
    }
    const started = performance.now();
    batch(() => {
        for (const { frame } of frames) {
            merge_alerts(frame);
            for (const listener of listeners) {
                listener(frame);
            }
        }
        const { frame } = frames[frames.length - 1];
        last_good_ms.value = frame.ts_ms;
        if (frame.totals) {
            totals.value = frame.totals;
        }
        if (frame.flows) {
            live_flows.value = frame.flows;
        }
        if (frame.sensors) {
            newest_sensors = frame.sensors;
        }
        tick_charts();
    });
    const done = performance.now();
    perf.render.add(done - started);
    perf.painted++;
    perf.coalesced += frames.length - 1;
    const newest = frames[frames.length - 1];
    /* the first frame of a subscription is the latest known one: its age says nothing about the way */
    if (newest.frame.seq > 1) {
        perf.lag.add(live.clock.lag_ms(newest.frame.ts_ms, now_ms()));
    }
    perf.decode_to_paint.add(now_ms() - newest.received_ms);
}

const CHART_EVERY_MS = 250;

let newest_sensors: LiveSensor[] | null = null;

/* What is drawn on canvases, and the figures beside it. */
function redraw(): void {
    batch(() => {
        last_chart_ms = performance.now();
        chart_tick.value++;
        if (newest_sensors) {
            const names = dict.value.sensor;
            live_sensors.value = new Map(newest_sensors.filter((s) => names[s.sensor]).map((s) => [names[s.sensor].id, s]));
            newest_sensors = null;
        }
    });
}

function tick_charts(): void {
    const now = performance.now();
    if (now - last_chart_ms >= CHART_EVERY_MS) {
        redraw();
    } else if (chart_timer === undefined) {
        chart_timer = window.setTimeout(
            () => {
                chart_timer = undefined;
                redraw();
            },
            CHART_EVERY_MS - (now - last_chart_ms),
        );
    }
}

/* The number of the frame before; another one: somebody has said something, or a silence has ended. */
let said: number | null = null;
let said_timer: number | undefined;

function look_what_was_said(now: number | null): void {
    const is_news = said !== null && now !== null && now !== said;
    said = now ?? said;
    if (is_news && said_timer === undefined) {
        said_timer = window.setTimeout(() => {
            said_timer = undefined;
            void load_alerts();
        }, 200);
    }
}

/* Why it is not shown at first; '': it is. */
export const why_hidden = (a: Alert) => hidden_by(notes.value.get(a.id), server_now());
export const is_shown = (a: Alert) => why_hidden(a) === '';
/* Hidden ones are wanted on this page, as in the list of alerts. */
export const hidden_wanted = () => param('hidden') === '1';
const hidden_open = computed(() => [...alerts.value.values()].filter((a) => a.open && !is_shown(a)).length);
/* Open alerts that nobody has acknowledged or silenced. */
export const open_shown = computed(() => (open_alerts.value === null ? null : Math.max(0, open_alerts.value - hidden_open.value)));
export const open_hidden = computed(() => hidden_open.value);

/* Spoken by the shell's live region: only alerts that are new and critical. */
export const announce = signal('');

function merge_alerts(frame: Frame): void {
    if (!frame.alerts) {
        return;
    }
    open_alerts.value = frame.alerts.open;
    look_what_was_said(frame.alerts.said);
    if (frame.alerts.changed.length === 0) {
        return;
    }
    const next = new Map(alerts.value);
    const said_of = new Map(notes.value);
    for (const record of frame.alerts.changed) {
        said_of.delete(String(record.alert_id));
    }
    for (const note of frame.alerts.notes.map(read_note)) {
        said_of.set(note.id, note);
    }
    notes.value = said_of;
    for (const record of frame.alerts.changed) {
        const alert = read_alert(record);
        if (alert.id === '') {
            continue;
        }
        if (!next.has(alert.id) && alert.severity === 'critical' && alert.open && is_shown(alert)) {
            announce.value = `Critical alert: ${alert.description || alert.kind}`;
        }
        next.set(alert.id, alert);
    }
    alerts.value = next;
}

/* -- the connection's handlers -------------------------------------------------------------------------------- */

let boot = '';

const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
export const live = new Live(`${scheme}//${location.host}/v1/live`, {
    silent(since_ms) {
        silent_since.value = since_ms;
    },
    open() {
        silent_since.value = null;
        const again = connection.value.state === 'lost';
        connection.value = { state: 'open', since_ms: Date.now(), attempt: 0, retry_at_ms: null };
        if (again) {
            reload.value++;
        }
    },
    lost() {
        silent_since.value = null;
        connection.value = {
            state: 'lost',
            since_ms: connection.value.state === 'lost' ? connection.value.since_ms : Date.now(),
            attempt: live.reconnect.attempt,
            retry_at_ms: live.reconnect.retry_at_ms,
        };
        fallback.value ??= { kind: 'live', span_ms: DEFAULT_SPANS_MS[1] };
        void look_again();
    },
    hello(h) {
        batch(() => {
            if (boot !== '' && h.boot !== boot) {
                reload.value++;
            }
            boot = h.boot;
            hello.value = h;
            fallback.value ??= choose_range(h);
        });
    },
    dict(d) {
        if (d.rev >= dict.value.rev || boot !== hello.value?.boot) {
            dict.value = d;
        }
    },
    frame(frame, received_ms) {
        if (paused_at.value !== null) {
            let opened = 0;
            for (const record of frame.alerts?.changed ?? []) {
                if (read_alert(record).open && !alerts.value.has(String(record.alert_id))) {
                    opened++;
                }
            }
            held.value = { frames: held.value.frames + frame.merged, alerts: held.value.alerts + opened };
            return;
        }
        waiting.push({ frame, received_ms });
        schedule();
    },
    resync() {
        reload.value++;
    },
    refused(code, text) {
        refused.value = { code, text };
    },
});

let wanted: Topics = { totals: {}, sensors: {}, alerts: {} };

export function subscribe(topics: Topics): void {
    wanted = { totals: {}, sensors: {}, alerts: {}, ...topics };
    refused.value = null;
    live.subscribe(wanted, document.hidden ? 0.2 : rate_hz.value);
}

export function set_rate(hz: number): void {
    rate_hz.value = hz;
    localStorage.setItem('netscope.rate', String(hz));
    live.subscribe(wanted, hz);
}

/* -- lists that every page shares ------------------------------------------------------------------------------ */

export async function load_alerts(): Promise<void> {
    const { from_ms, to_ms } = view();
    try {
        const next = new Map<string, Alert>();
        const said_of = new Map<string, Note>();
        let token = '';
        do {
            const b = await get('/v1/alerts', {
                state: 'all', from: Math.floor(from_ms), to: Math.ceil(to_ms), page_size: 500, page_token: token,
            });
            for (const record of Array.isArray(b.alerts) ? b.alerts : []) {
                const alert = read_alert(record);
                if (alert.id) {
                    next.set(alert.id, alert);
                }
            }
            for (const note of (Array.isArray(b.notes) ? b.notes : []).map(read_note)) {
                said_of.set(note.id, note);
            }
            token = typeof b.next_page_token === 'string' ? b.next_page_token : '';
        } while (token && next.size < 5000);
        batch(() => {
            alerts.value = next;
            notes.value = said_of;
            alerts_state.value = 'ready';
            open_alerts.value = [...next.values()].filter((a) => a.open).length;
        });
    } catch (error) {
        alerts_state.value = { error };
    }
}

export async function load_sensors(): Promise<void> {
    try {
        const b = await get('/v1/sensors');
        const list = (Array.isArray(b.sensors) ? b.sensors : []).map(read_sensor).filter((s) => s.id);
        list.sort((a, c) => (a.name < c.name ? -1 : a.name > c.name ? 1 : 0));
        batch(() => {
            sensors.value = list;
            sensors_error.value = null;
        });
    } catch (error) {
        sensors_error.value = error;
    }
}

export function sensor_name(id: string): string {
    return sensors.value?.find((s) => s.id === id)?.name ?? dict.value.sensor.find((s) => s.id === id)?.name ?? id;
}

/* -- colours of categories ------------------------------------------------------------------------------------- */

const own_slots = new Map<string, number>();

/* 1..6, or 0 for "other". The dictionary decides; a name it gives no colour gets a free one here, first come, and keeps
 * it while the page is open. */
export function app_slot(name: string): number {
    if (name === '' || name === 'other' || name === 'unknown') {
        return 0;
    }
    const given = dict.value.app.find((a) => a.name === name)?.slot ?? 0;
    if (given > 0) {
        return given;
    }
    const own = own_slots.get(name);
    if (own !== undefined) {
        return own;
    }
    const taken = new Set([...dict.value.app.map((a) => a.slot), ...own_slots.values()]);
    for (let slot = 1; slot <= 6; slot++) {
        if (!taken.has(slot)) {
            own_slots.set(name, slot);
            return slot;
        }
    }
    return 0;
}

/* -- start ------------------------------------------------------------------------------------------------ */

export function start(): void {
    live.start();
    live.subscribe(wanted, rate_hz.value);
    window.setTimeout(() => {
        fallback.value ??= { kind: 'live', span_ms: DEFAULT_SPANS_MS[1] };
    }, 1500);

    document.addEventListener('visibilitychange', () => {
        live.subscribe(wanted, document.hidden ? 0.2 : rate_hz.value);
        if (!document.hidden) {
            reload.value++;
        }
    });
    let was_paused = paused_at.value !== null;
    effect(() => {
        const paused = paused_at.value !== null;
        if (was_paused && !paused) {
            held.value = { frames: 0, alerts: 0 };
            reload.value++;
        }
        was_paused = paused;
    });
    effect(() => {
        const r = range.value;
        void reload.value;
        if (r !== null) {
            void load_alerts();
        }
    });
    effect(() => {
        void reload.value;
        void dict.value.sensor.length;
        void load_sensors();
    });
    window.setInterval(() => {
        if (!document.hidden && paused_at.value === null) {
            void load_sensors();
        }
    }, 10_000);
}
