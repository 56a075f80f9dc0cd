/* When incidents were: bars along the time on screen. And what their traffic did around it. */
import { clock, si, span } from '../../lib/format';
import { alert_filter, type Alert } from '../../live/records';
import { use_series, type SeriesSpec } from '../../live/series';
import { Spark, thin } from '../../ui/spark';

const BARS_MAX = 60;

interface Between {
    from_ms: number;
    to_ms: number;
}

function bars(list: Alert[], { from_ms, to_ms }: Between) {
    const place = (at: number) => (100 * Math.min(1, Math.max(0, (at - from_ms) / (to_ms - from_ms)))).toFixed(2);
    return list
        .filter((a) => a.first_ms !== null && a.last_ms !== null && a.last_ms >= from_ms)
        .slice(0, BARS_MAX)
        .map((a) => <i key={a.id} class={`sev-bg-${a.severity}`} style={{ left: `min(${place(a.first_ms!)}%, calc(100% - 3px))`, width: `${Number(place(a.last_ms!)) - Number(place(a.first_ms!))}%` }} />);
}

export function When({ list, between }: { list: Alert[]; between: Between }) {
    return (
        <span class="when" aria-hidden="true">
            {bars(list, between)}
        </span>
    );
}

/* Of these the number of flows tells more than bytes. */
const BY_FLOWS = /SCAN|SWEEP|FLOOD|BRUTE|BEACON|NXDOMAIN|NEW_HOST|ROGUE|LATERAL/;
const AROUND_MS = 300_000;
const POINTS = 80;
const GRAIN_MS = 60_000; /* an alert that goes on moves the window by whole minutes, so that it is not asked for again each second */

/* The traffic that the alert is about, some time before and behind it; of one about a sensor what that lost. */
export function Around({ a }: { a: Alert }) {
    const first = a.first_ms ?? 0;
    const last = Math.max(first, a.last_ms ?? 0);
    const pad = Math.max(AROUND_MS, (last - first) / 2);
    const window = { from_ms: Math.floor((first - pad) / GRAIN_MS) * GRAIN_MS, to_ms: Math.ceil((last + pad) / GRAIN_MS) * GRAIN_MS };
    const filter = alert_filter(a);
    if (filter !== '') {
        return <Course a={a} spec={{ metric: BY_FLOWS.test(a.kind) ? 'new_flows' : 'bps', by: 'none', points: POINTS, window, filter }} />;
    }
    return a.sensors.length === 1 ? <Course a={a} spec={{ metric: 'loss', by: 'none', points: POINTS, window, sensor: a.sensors[0] }} /> : null;
}

const UNITS: Partial<Record<SeriesSpec['metric'], string>> = { loss: ' lost in a million', bps: 'bit/s', new_flows: ' new flows/s' };

function Course({ a, spec }: { a: Alert; spec: SeriesSpec & { window: Between } }) {
    const { window } = spec;
    const data = use_series(spec).value;
    if (data.state !== 'ready' || !data.input || data.keys.length === 0) {
        return null;
    }
    const values = data.input.column(0);
    const out = data.output?.column(0);
    const both = out ? values.map((v, i) => (v === null && out[i] === null ? null : (v ?? 0) + (out[i] ?? 0))) : values;
    const known = both.filter((v): v is number => v !== null);
    if (known.length < 2) {
        return null;
    }
    const peak = `${si(Math.max(...known))}${UNITS[spec.metric]}`;
    return (
        <div class="sec around">
            <h3>
                {spec.metric === 'loss' ? 'Its loss' : 'Its traffic'}, around it <span>peak {peak}</span>
            </h3>
            <div class="rate-lines" role="img" aria-label={`From ${clock(window.from_ms)} to ${clock(window.to_ms)} by ${span(data.step_ms)}: at most ${peak}`}>
                <Spark values={thin(both, POINTS)} width={332} height={44} class="c1" area from_zero />
            </div>
            <When list={[a]} between={{ from_ms: data.input.start_ms, to_ms: data.input.start_ms + both.length * data.step_ms }} />
            <div class="histo-axis">
                <span>{clock(window.from_ms, false)}</span>
                <span>{clock(window.to_ms, false)}</span>
            </div>
        </div>
    );
}
