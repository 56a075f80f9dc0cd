/* What the list and the page of one sensor share: states, settings that were pushed, the strip of a day. */
import { moment, safe, si, span } from '../../lib/format';
import { desired_reason, type Desired, type Revoked, type Sensor } from '../../live/records';
import { use_series, type SeriesData } from '../../live/series';
import { go, server_now } from '../../live/store';
import { Heat } from '../../ui/heat';
import { Severity } from '../../ui/icons';
import { LOSS_MATTERS_PPM } from '../../lib/situation';

export const SENSORS_MAX = 127; /* by name, in one answer */
const DAY_MS = 86_400_000;
const CELL_MS = 900_000;

export function State({ of, revoked }: { of: Sensor['state']; revoked: Revoked | null }) {
    if (revoked && of !== 'LIVE') {
        return (
            <span class="state-word" title={`Its credentials count no more since ${moment(revoked.since_ms, server_now())}, by ${safe(revoked.by)}: ${safe(revoked.reason)}`}>
                <Severity level="high" /> revoked
            </span>
        );
    }
    return (
        <span class="state-word">
            <Severity level={of === 'LIVE' ? 'ok' : of === 'OFFLINE' ? 'high' : 'low'} /> {of === '' ? 'unknown' : of.toLowerCase()}
        </span>
    );
}

/* Settings pushed from here: how they stand, and when somebody should act, why. */
export const CONFIG: Record<Desired['state'], { level: string; order: number }> = {
    failed: { level: 'high', order: 0 },
    'rolled back': { level: 'high', order: 1 },
    'needs restart': { level: 'medium', order: 2 },
    applying: { level: 'low', order: 3 },
    pending: { level: 'low', order: 4 },
    applied: { level: 'ok', order: 5 },
};

export function Pushed({ of }: { of: Desired }) {
    return (
        <span class="cfg-state" title={safe(desired_reason(of))}>
            <Severity level={CONFIG[of.state].level} /> {of.state}
        </span>
    );
}

/* The last 24 h in whole cells, so that the question stays the same for one of them. */
function last_day(): { from_ms: number; to_ms: number } {
    const to_ms = Math.ceil(server_now() / CELL_MS) * CELL_MS;
    return { from_ms: to_ms - DAY_MS, to_ms };
}

export function use_day(metric: 'bps' | 'loss', sensor?: string): SeriesData {
    return use_series({ metric, ...(sensor ? { by: 'none', sensor } : { by: 'sensor', top: SENSORS_MAX }), points: DAY_MS / CELL_MS, step_min_ms: CELL_MS, window: last_day() }).value;
}

function cells(d: SeriesData, key: string): (number | null)[] {
    const k = d.keys.indexOf(key);
    if (!d.input || k < 0) {
        return [];
    }
    const [a, b] = [d.input.column(k), d.output?.column(k)];
    return b ? a.map((v, i) => (v === null && b[i] === null ? null : (v ?? 0) + (b[i] ?? 0))) : a;
}

export function DayStrip({ s, load, loss, of }: { s: Sensor; load: SeriesData; loss: SeriesData; of: string }) {
    const values = cells(load, of);
    const lost = cells(loss, of);
    const first = values.findIndex((v) => v !== null);
    if (load.state !== 'ready' || first < 0) {
        return <span class="dim">{load.state === 'loading' ? '' : load.keys.includes('other') ? 'among the others' : 'no data'}</span>;
    }
    return (
        <Heat
            values={values}
            marks={lost.map((v) => (v ?? 0) >= LOSS_MATTERS_PPM)}
            scale_max={Math.max(0, ...values.map((v) => v ?? 0))}
            before={first}
            label={`${s.name}, the last 24 hours by ${span(load.step_ms)}, at most ${si(Math.max(0, ...values.map((v) => v ?? 0)))}bit/s`}
            choose={(i) => {
                const from = load.input!.start_ms + i * load.step_ms;
                go('sensors', { sensor: s.id, t: `${new Date(from).toISOString()}..${new Date(from + load.step_ms).toISOString()}`, at: '' });
            }}
        />
    );
}
