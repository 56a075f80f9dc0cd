/* Fleet pulse: each sensor's load and loss as a strip. */
import { GAP, NONE, percent_of_ppm, safe, si, span } from '../../lib/format';
import { LOSS_MATTERS_PPM } from '../../lib/situation';
import { term } from '../../lib/filter';
import { follow_charts, use_series, type SeriesData } from '../../live/series';
import { go, href, live_sensors, reload, sensors, sensors_error } from '../../live/store';
import { Heat } from '../../ui/heat';
import { Severity } from '../../ui/icons';
import { Failed, Loading, Panel } from '../../ui/parts';

const PULSE_CELLS = 60;
const SENSORS_MAX = 127; /* by name, in one answer */

export function Pulse() {
    follow_charts();
    const load = use_series({ metric: 'bps', by: 'sensor', top: SENSORS_MAX, points: PULSE_CELLS }).value;
    const loss = use_series({ metric: 'loss', by: 'sensor', top: SENSORS_MAX, points: PULSE_CELLS }).value;
    const list = sensors.value;

    const cells = (d: SeriesData, id: string): (number | null)[] => {
        const k = d.keys.indexOf(id);
        if (!d.input || k < 0) {
            return [];
        }
        const a = d.input.column(k);
        const b = d.output ? d.output.column(k) : null;
        return b ? a.map((v, i) => (v === null && b[i] === null ? null : (v ?? 0) + (b[i] ?? 0))) : a;
    };
    const rows = (list ?? []).map((s) => ({ sensor: s, values: cells(load, s.id), loss: cells(loss, s.id) }));
    const order = [...rows].sort((a, b) => rank(a.sensor.state) - rank(b.sensor.state) || (a.sensor.name < b.sensor.name ? -1 : 1));
    return (
        <Panel
            class="p-pulse"
            title="Fleet pulse"
            sub={load.step_ms > 0 ? `bit/s per ${span(load.step_ms)}, each against its own peak` : ''}
            tools={
                <span class="scale hide-m" aria-hidden="true">
                    quiet
                    {[0, 1, 2, 3, 4, 5].map((n) => (
                        <i key={n} class={`h${n}`} />
                    ))}
                    busy
                </span>
            }
        >
            {sensors_error.value !== null && list === null ? (
                <Failed what="The sensors could not be read." error={sensors_error.value} retry={() => reload.value++} />
            ) : list === null ? (
                <Loading rows={6} />
            ) : (
                <div class="pulse">
                    {order.map(({ sensor, values, loss: lost }) => {
                        const now = live_sensors.value.get(sensor.id);
                        const ppm = now?.loss_ppm ?? null;
                        const losing = (ppm ?? 0) >= LOSS_MATTERS_PPM;
                        const state = sensor.state;
                        const first = values.findIndex((v) => v !== null);
                        return (
                            <div class="pl" key={sensor.id} onClick={() => go('flows', { f: term('sensor', sensor.id) })}>
                                {state === 'LIVE' ? <Severity level={losing ? 'high' : 'ok'} /> : <Severity level={state === 'STALE' ? 'low' : 'high'} />}
                                <a class="nm" href={href('sensors', { sensor: sensor.id })} title={`${safe(sensor.name)}: its page`} onClick={(e) => e.stopPropagation()}>
                                    {safe(sensor.name)}
                                </a>
                                <Heat
                                    values={values.length ? values : new Array<null>(PULSE_CELLS).fill(null)}
                                    marks={lost.map((v) => (v ?? 0) >= LOSS_MATTERS_PPM)}
                                    scale_max={Math.max(0, ...values.map((v) => v ?? 0))}
                                    before={first >= 0 ? first : load.keys.includes(sensor.id) || !load.keys.includes('other') ? 0 : PULSE_CELLS}
                                    label={`${sensor.name}: ${state === 'LIVE' ? 'live' : state.toLowerCase()}, ${si(values[values.length - 1])}bit/s`}
                                    choose={(i) => {
                                        if (load.input) {
                                            const from = load.input.start_ms + i * load.step_ms;
                                            go('flows', { f: term('sensor', sensor.id), t: `${new Date(from).toISOString()}..${new Date(from + load.step_ms).toISOString()}`, at: '' });
                                        }
                                    }}
                                />
                                <span class="num">{state === 'LIVE' ? si(now?.bps ?? values[values.length - 1]) : NONE}</span>
                                <span class={`num ${losing ? 'bad' : ''}`}>{state !== 'LIVE' ? state.toLowerCase() : ppm === null ? NONE : losing ? `${percent_of_ppm(ppm)}${GAP}%` : '0 lost'}</span>
                            </div>
                        );
                    })}
                </div>
            )}
        </Panel>
    );
}

const rank = (state: string) => (state === 'LIVE' ? 0 : state === 'STALE' ? 1 : 2);
