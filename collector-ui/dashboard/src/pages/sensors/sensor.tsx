/* One sensor: how it stands, what it sees, where it loses what, and what it says of its settings. With `vs` another one beside it. */
import { use_keys } from '../../keys';
import { term } from '../../lib/filter';
import { ago, bytes, NONE, offset_text, safe, span, whole, with_unit } from '../../lib/format';
import { read_sensor_detail, type SensorDetail } from '../../lib/sensor_detail';
import type { Sensor } from '../../live/records';
import { use_history, type Asked } from '../../live/query';
import { get, Problem } from '../../live/rest';
import { go, hello, href, param, patch, reload, sensor_name, sensors, server_now } from '../../live/store';
import { Failed, Loading, Panel, use_seconds } from '../../ui/parts';
import { About, Configuration, Interfaces, Lost, Records } from './panels';
import { DayStrip, State, use_day } from './parts';
import { Course } from './course';

export function use_sensor(id: string): Asked<SensorDetail> {
    return use_history(JSON.stringify(['sensor', id]), async (_, signal) => read_sensor_detail(id === '' ? {} : await get(`/v1/fleet/sensors/${encodeURIComponent(id)}`, {}, signal)));
}

export function SensorPage({ id }: { id: string }) {
    use_seconds();
    const beside = param('vs');
    const own = use_sensor(id);
    const other = use_sensor(beside);
    const list = sensors.value;
    const s = list?.find((x) => x.id === id) ?? null;
    const flows = () => go('flows', { f: term('sensor', id) });
    use_keys([
        { keys: 'o', does: 'its flows', group: 'Sensor', run: flows },
        { keys: 'c', does: 'compare with another', group: 'Sensor', run: () => document.getElementById('sensor-vs')?.focus() },
        { keys: 'Escape', does: 'back to the list', group: 'Sensor', run: () => (beside ? patch({ vs: '' }) : go('sensors')) },
    ]);
    const unknown = own.error instanceof Problem && own.error.status === 404;
    return (
        <div class="hostp">
            <div class="chips">
                <nav class="crumbs" aria-label="Sensor">
                    <a href={href('sensors')}>Sensors</a> <span aria-hidden="true">›</span> <b>{safe(sensor_name(id))}</b>
                    {s?.site && <span class="dim"> {safe(s.site)}</span>}
                </nav>
                {s && <State of={s.state} revoked={s.revoked} />}
                <span class="acts">
                    <button type="button" class="btn small" onClick={flows}>
                        Flows
                    </button>
                    <a class="btn small" href={href('map', { f: term('sensor', id) })}>
                        Map
                    </a>
                    {hello.value?.caps.packets && (
                        <a class="btn small" href={href('packets', { sensor: id })}>
                            Packets
                        </a>
                    )}
                    {hello.value?.caps.capture && (
                        <a class="btn small" href={href('packets', { sensor: id, cap: '1' })}>
                            Capture here
                        </a>
                    )}
                </span>
                <Compare id={id} beside={beside} list={list ?? []} />
            </div>
            {own.error !== null && own.answer === null ? (
                <Failed what={unknown ? 'No sensor of this name was ever seen here.' : 'The sensor could not be read.'} error={own.error} retry={() => reload.value++} />
            ) : own.answer === null || list === null ? (
                <Loading rows={8} what="Reading the sensor" />
            ) : (
                <div class="grid hostg">
                    <Figures
                        columns={[{ s, d: own.answer }, ...(beside ? [{ s: list.find((x) => x.id === beside) ?? null, d: other.answer }] : [])]}
                        names={[id, ...(beside ? [beside] : [])]}
                        error={own.error ?? (beside ? other.error : null)}
                    />
                    <Course id={id} wide={!beside} />
                    {beside ? <Course id={beside} wide={false} /> : <About id={id} />}
                    <Day id={id} s={s} />
                    <Interfaces of={own.answer.interfaces} />
                    <Lost of={own.answer} />
                    <Records of={own.answer} />
                    <Configuration s={s} of={own.answer} />
                    {beside && <About id={id} />}
                </div>
            )}
        </div>
    );
}

function Compare({ id, beside, list }: { id: string; beside: string; list: Sensor[] }) {
    const others = list.filter((x) => x.id !== id);
    return others.length === 0 ? null : (
        <label class="find compare">
            <span class="hear">Compare with another sensor</span>
            <select id="sensor-vs" value={beside} onChange={(e) => patch({ vs: e.currentTarget.value })}>
                <option value="">Compare with …</option>
                {others.map((x) => (
                    <option key={x.id} value={x.id}>
                        {safe(x.name)}
                    </option>
                ))}
            </select>
        </label>
    );
}

interface Both {
    s: Sensor | null;
    d: SensorDetail | null;
}

const of_limit = (value: number | null, limit: number | null, words: (v: number) => string) => (value === null ? NONE : limit === null ? words(value) : `${words(value)} of ${words(limit)}`);

/* Of these somebody should act. */
const MEMORY_MATTERS = 0.9;
const FLOWS_MATTER = 0.9;
const CPU_MATTERS = 0.9;
const CLOCK_MATTERS_MS = 1000;

const FIGURES: [string, (b: Both) => preact.ComponentChildren, ((b: Both) => boolean)?][] = [
    ['Version', ({ s }) => safe(s?.version ?? '') || NONE],
    ['Machine', ({ d }) => safe(d?.host_name ?? '') || NONE],
    ['Dials from', ({ d }) => safe(d?.peer ?? '') || NONE],
    ['Process runs for', ({ d }) => span(d?.up_ms ?? null)],
    ['Connected for', ({ s }) => (s?.state === 'LIVE' && s.connected_ms !== null ? span(server_now() - s.connected_ms) : NONE)],
    ['Last heard of', ({ s }) => (s?.seen_ms == null ? NONE : `${ago(server_now() - s.seen_ms)} ago`)],
    ['Clock against here', ({ s }) => offset_text(s?.clock_offset_ms ?? null), ({ s }) => Math.abs(s?.clock_offset_ms ?? 0) >= CLOCK_MATTERS_MS],
    ['Load, its last second', ({ d }) => with_unit(d?.bps ?? null, 'bit/s')],
    ['… packets', ({ d }) => with_unit(d?.pps ?? null, '/s')],
    ['Flows held', ({ d }) => of_limit(d?.flows ?? null, d?.flows_max ?? null, whole), ({ d }) => (d?.flows ?? 0) >= FLOWS_MATTER * (d?.flows_max ?? Infinity)],
    ['Busiest shard', ({ d }) => (d === null || d.cpu === null ? NONE : `${whole(100 * d.cpu)} % of a processor`), ({ d }) => (d?.cpu ?? 0) >= CPU_MATTERS],
    ['Memory', ({ d }) => of_limit(d?.memory ?? null, d?.memory_limit ?? null, bytes), ({ d }) => (d?.memory ?? 0) >= MEMORY_MATTERS * (d?.memory_limit ?? Infinity)],
    ['… set aside: flow table', ({ d }) => bytes(d?.flow_table_bytes ?? null)],
    ['… set aside: detectors', ({ d }) => bytes(d?.detectors_bytes ?? null)],
];

function Figures({ columns, names, error }: { columns: Both[]; names: string[]; error: unknown }) {
    return (
        <Panel class="hp-fig" title="How it stands" sub={columns.length > 1 ? 'side by side' : ''}>
            <table class="figures">
                {columns.length > 1 && (
                    <thead>
                        <tr>
                            <td />
                            {names.map((name) => (
                                <th key={name} scope="col" title={safe(name)}>
                                    {safe(sensor_name(name))}
                                </th>
                            ))}
                        </tr>
                    </thead>
                )}
                <tbody>
                    {FIGURES.map(([title, cell, matters]) => (
                        <tr key={title}>
                            <th scope="row">{title}</th>
                            {columns.map((b, i) => (
                                <td key={i} class={`num ${matters?.(b) ? 'warm' : ''}`}>
                                    {cell(b)}
                                </td>
                            ))}
                        </tr>
                    ))}
                </tbody>
            </table>
            {error !== null && (
                <p class="map-note" role="status">
                    It could not be read again: {safe(error instanceof Problem ? error.detail : '')}
                </p>
            )}
        </Panel>
    );
}

function Day({ id, s }: { id: string; s: Sensor | null }) {
    const load = use_day('bps', id);
    const loss = use_day('loss', id);
    return s === null ? null : (
        <Panel class="hp-link sn-day" title="Last 24 hours" sub={`bit/s${load.step_ms > 0 ? ` per ${span(load.step_ms)}` : ''}, against its own peak; underlined: packets lost; hatched: it told nothing`}>
            <DayStrip s={s} load={load} loss={loss} of="total" />
        </Panel>
    );
}
