/* A time series on screen: history by REST, then live frames appended to it. */
import { computed, signal, useSignalEffect, type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { step_for, TimeRing } from '../lib/time_ring';
import type { Frame } from './messages';
import { timeseries, type Series } from './rest';
import { chart_tick, dict, hello, is_live, on_frame, paused_at, range, reload, server_now, view } from './store';

export interface SeriesSpec {
    metric: 'bps' | 'pps' | 'flows' | 'new_flows' | 'rtt' | 'loss';
    by: 'none' | 'app' | 'sensor' | 'site' | 'direction';
    split?: boolean; /* of sensors: both directions, which frames hold that are asked for "by" */
    top?: number; /* series shown by themselves; the rest is added up as "other" */
    points?: number;
    step_min_ms?: number;
    sensor?: string; /* what this one measured alone */
    filter?: string;
    all?: boolean; /* with a filter: a flow counts once for each sensor that saw it */
    window?: { from_ms: number; to_ms: number }; /* instead of the page's range: no live frames then */
}

export interface SeriesData {
    state: 'loading' | 'ready' | 'error' | 'unknown'; /* unknown: this collector has no such series, it is not asked */
    error: unknown;
    keys: string[];
    input: TimeRing | null;
    output: TimeRing | null; /* the other direction, where the metric has one */
    step_ms: number;
    quality: string;
    merged: boolean;
    from_ms: number;
    to_ms: number;
}

const EMPTY: SeriesData = { state: 'loading', error: null, keys: [], input: null, output: null, step_ms: 0, quality: '', merged: false, from_ms: 0, to_ms: 0 };

/* Largest first, "other" last. */
function choose_keys(s: Series, top: number): string[] {
    const sum = (c: (number | null)[] | null) => (c ?? []).reduce<number>((a, v) => a + (v ?? 0), 0);
    const named = s.series.filter((x) => x.key !== 'other').map((x) => ({ key: x.key, size: sum(x.in) + sum(x.out) }));
    named.sort((a, b) => b.size - a.size || (a.key < b.key ? -1 : 1));
    const keys = named.slice(0, top).map((x) => x.key);
    if (named.length > keys.length || s.series.some((x) => x.key === 'other')) {
        keys.push('other');
    }
    return keys;
}

function gather(s: Series, keys: string[], side: 'in' | 'out'): (number | null)[][] {
    const out = keys.map(() => new Array<number | null>(s.t.length).fill(null));
    for (const row of s.series) {
        const k = keys.includes(row.key) ? keys.indexOf(row.key) : keys.indexOf('other');
        const column = row[side];
        if (k < 0 || !column) {
            continue;
        }
        for (let i = 0; i < column.length; i++) {
            const value = column[i];
            if (value !== null) {
                out[k][i] = (out[k][i] ?? 0) + value;
            }
        }
    }
    return out;
}

/* The same figures out of a frame; null where the frame does not carry them. */
function from_frame(frame: Frame, spec: SeriesSpec, keys: string[]): { in: (number | null)[]; out: (number | null)[] } | null {
    const t = frame.totals;
    if (spec.by === 'none') {
        if (!t) {
            return null;
        }
        switch (spec.metric) {
            case 'bps':
                return { in: [t.bps_in], out: [t.bps_out] };
            case 'pps':
                return { in: [t.pps], out: [null] };
            case 'flows':
                return { in: [t.flows], out: [null] };
            case 'new_flows':
                return { in: [t.new_ps], out: [null] };
            case 'rtt':
                return { in: [t.rtt_ms], out: [null] };
            case 'loss':
                return { in: [t.loss_ppm], out: [null] };
        }
    }
    const nothing = () => new Array<number | null>(keys.length).fill(null);
    const into = { in: nothing(), out: nothing() };
    const add = (key: string, a: number | null, b: number | null) => {
        const k = keys.includes(key) ? keys.indexOf(key) : keys.indexOf('other');
        if (k >= 0) {
            into.in[k] = a === null ? into.in[k] : (into.in[k] ?? 0) + a;
            into.out[k] = b === null ? into.out[k] : (into.out[k] ?? 0) + b;
        }
    };
    if (spec.by === 'app' || spec.by === 'site' || (spec.by === 'sensor' && spec.split)) {
        if (!frame.by || frame.by.dim !== spec.by || spec.metric !== 'bps') {
            return null;
        }
        const { app, sensor, site } = dict.value;
        const name = (k: number) => (spec.by === 'app' ? app[k]?.name : spec.by === 'site' ? site[k] : sensor[k]?.id) ?? 'other';
        frame.by.k.forEach((k, i) => add(k < 0 ? 'other' : name(k), frame.by!.in[i], frame.by!.out[i]));
        /* a frame that names some of them says that the others are silent */
        if (frame.by.k.length > 0) {
            for (let k = 0; k < keys.length; k++) {
                into.in[k] ??= 0;
                into.out[k] ??= 0;
            }
        }
        return into;
    }
    if (spec.by === 'sensor') {
        if (!frame.sensors) {
            return null;
        }
        for (const s of frame.sensors) {
            const id = dict.value.sensor[s.sensor]?.id;
            if (id) {
                add(id, s.state === 0 ? (spec.metric === 'loss' ? s.loss_ppm : spec.metric === 'pps' ? s.pps : s.bps) : null, null);
            }
        }
        return into;
    }
    return t ? { in: keys.map((k) => (k === 'in' ? t.bps_in : t.bps_out)), out: nothing() } : null;
}

/* Whether a filter goes with a time series; null: the collector has not said yet. */
const can_filter = computed(() => hello.value?.caps.filtered_series ?? null);

const EMPTY_RETRY_MS = 5000;
/* Frames tell nothing of a filter, and not all of one sensor: while live such a series is asked again, as the list of flows is. */
const FILTERED_REFRESH_MS = 5000;
const NAMED_BY_COLLECTOR = 20; /* series that it names when no number is asked for */

export function use_series(spec: SeriesSpec): Signal<SeriesData> {
    const data = useSignal<SeriesData>(EMPTY);
    const again = useSignal(0);
    const last_retry = useRef(0);
    const current = useRef(spec);
    current.current = spec;
    const identity = JSON.stringify(spec);
    const identity_signal = useRef<Signal<string> | null>(null);
    identity_signal.current ??= signal(identity);
    useEffect(() => {
        identity_signal.current!.value = identity;
    }, [identity]);

    useSignalEffect(() => {
        const name = identity_signal.current!.value;
        const r = range.value;
        void reload.value;
        void again.value;
        void paused_at.value;
        if (r === null) {
            return;
        }
        const s = JSON.parse(name) as SeriesSpec;
        if (s.filter && can_filter.value !== true) {
            data.value = { ...EMPTY, state: can_filter.value === null ? 'loading' : 'unknown' };
            return;
        }
        const { from_ms, to_ms } = s.window ?? view();
        const wanted = Math.max(s.step_min_ms ?? 1000, step_for(to_ms - from_ms, s.points ?? 360));
        const abort = new AbortController();
        let timer = 0;
        const refresh_later = () => {
            if ((s.filter || s.sensor) && !s.window && is_live.peek() && !abort.signal.aborted) {
                timer = window.setTimeout(() => (document.hidden ? refresh_later() : again.value++), FILTERED_REFRESH_MS);
            }
        };
        timeseries({ metric: s.metric, by: s.by, from: from_ms, to: to_ms, step: wanted, filter: s.filter, ...(s.sensor ? { sensor: s.sensor } : {}), ...((s.top ?? 0) > NAMED_BY_COLLECTOR ? { top: s.top } : {}), ...(s.all ? { dedup: 'ALL' } : {}) }, abort.signal)
            .then((answer) => {
                /* a metric without any value yet still has its one series: frames fill it */
                const keys = s.by === 'none' && answer.series.length === 0 ? ['total'] : choose_keys(answer, s.top ?? 20);
                const capacity = Math.max(answer.t.length, Math.ceil((to_ms - from_ms) / answer.step_ms) + 1, 2);
                const input = new TimeRing(keys, answer.step_ms, capacity);
                const known = Math.min(to_ms, answer.t.length ? answer.t[answer.t.length - 1] + answer.step_ms : from_ms);
                input.fill(answer.t, gather(answer, keys, 'in'), known);
                let output: TimeRing | null = null;
                if (answer.series.some((x) => x.out) || (s.by === 'none' && s.metric === 'bps')) {
                    output = new TimeRing(keys, answer.step_ms, capacity);
                    output.fill(answer.t, gather(answer, keys, 'out'), known);
                }
                data.value = { state: 'ready', error: null, keys, input, output, step_ms: answer.step_ms, quality: answer.quality, merged: answer.merged, from_ms, to_ms };
            })
            .catch((error: unknown) => {
                if (!abort.signal.aborted) {
                    data.value = { ...data.peek(), state: 'error', error };
                }
            })
            .finally(refresh_later);
        return () => {
            abort.abort();
            window.clearTimeout(timer);
        };
    });

    useEffect(
        () =>
            on_frame((frame) => {
                const d = data.peek();
                const s = current.current;
                if (!is_live.peek() || s.window || s.filter || s.sensor || !d.input) {
                    return;
                }
                if (d.keys.length === 0) {
                    /* there was no history at all: ask again for the names of the series */
                    const now = server_now();
                    if (((frame.by && frame.by.k.length > 0) || frame.sensors?.length) && now - last_retry.current > EMPTY_RETRY_MS) {
                        last_retry.current = now;
                        again.value++;
                    }
                    return;
                }
                const values = from_frame(frame, s, d.keys);
                if (values) {
                    d.input.append(frame.ts_ms, frame.win_ms, values.in);
                    d.output?.append(frame.ts_ms, frame.win_ms, values.out);
                }
            }),
        [],
    );
    return data;
}

/* Reading it makes a component draw again when series have new points. */
export const follow_charts = () => chart_tick.value;
