/* The reference of what is usual: a figure on the days before the time on screen, by quarters of an hour. */
import { DAY_MS, DAYS, type Reference } from '../lib/usual';
import { use_series, type SeriesData, type SeriesSpec } from './series';
import { view } from './store';

export const STEP_MS = 900_000;
/* What is held against it: so much of the end of the time on screen. */
export const NOW_MS = 300_000;

/* In and out together, where a figure has both. */
export function both_ways(d: SeriesData): (number | null)[] {
    if (!d.input || d.keys.length === 0) {
        return [];
    }
    const [a, b] = [d.input.column(0), d.output?.column(0)];
    return b ? a.map((v, i) => (v === null && b[i] === null ? null : (v ?? 0) + (b[i] ?? 0))) : a;
}

/* null: it is not known yet, or the time on screen is longer than a day. */
export function use_usual(metric: SeriesSpec['metric']): Reference | null {
    const { from_ms, to_ms } = view();
    const end = Math.ceil(to_ms / STEP_MS) * STEP_MS;
    const span = Math.ceil((to_ms - from_ms) / STEP_MS) * STEP_MS + STEP_MS;
    const window = { from_ms: end - DAYS * DAY_MS - span, to_ms: end - DAY_MS };
    const data = use_series({ metric, by: 'none', points: Math.ceil((window.to_ms - window.from_ms) / STEP_MS), step_min_ms: STEP_MS, window }).value;
    if (to_ms - from_ms > DAY_MS || data.state !== 'ready' || !data.input || data.input.size === 0) {
        return null;
    }
    return { start_ms: data.input.start_ms, step_ms: data.step_ms, values: both_ways(data) };
}
