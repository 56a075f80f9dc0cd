/* The list of sensors: each with its state, what it saw and what it lost. The worst first. */
import { bytes, NONE, offset_text, percent_of_ppm, plural, safe, si, span, whole } from '../../lib/format';
import { LOSS_MATTERS_PPM } from '../../lib/situation';
import { desired_reason, type Sensor } from '../../live/records';
import { go, href, live_sensors, param, patch, reload, sensors, sensors_error, server_now } from '../../live/store';
import { Empty, Failed, Loading, Panel, use_seconds } from '../../ui/parts';
import { Ledger } from '../ledger';
import { CONFIG, DayStrip, Pushed, State, use_day } from './parts';

const BAD: Record<string, number> = { OFFLINE: 3, STALE: 2, '': 1, LIVE: 0 };

interface Column {
    key: string;
    title: string;
    sort: (s: Sensor) => number | string;
    text: boolean;
    class?: string; /* wide: not on narrow screens */
    cell: (s: Sensor) => preact.ComponentChildren;
}

function loss_of(s: Sensor): number | null {
    const lost = s.kernel_dropped === null && s.interface_dropped === null ? null : (s.kernel_dropped ?? 0) + (s.interface_dropped ?? 0);
    return lost === null || s.packets === null || lost + s.packets === 0 ? null : (1e6 * lost) / (lost + s.packets);
}

const bps_of = (s: Sensor) => live_sensors.value.get(s.id)?.bps ?? null;

const COLUMNS: Column[] = [
    {
        key: 'state', title: 'State', sort: (s) => -BAD[s.state], text: true,
        cell: (s) => <State of={s.state} revoked={s.revoked} />,
    },
    { key: 'name', title: 'Name', sort: (s) => s.name, text: true, cell: (s) => <a href={href('sensors', { sensor: s.id })} title={safe(s.id)}>{safe(s.name)}{s.site && <span class="dim"> {safe(s.site)}</span>}</a> },
    { key: 'day', title: '24 h', sort: (s) => bps_of(s) ?? -1, text: true, class: 'day', cell: () => null },
    { key: 'version', title: 'Version', sort: (s) => s.version, text: true, class: 'wide', cell: (s) => safe(s.version) || NONE },
    { key: 'rate', title: 'bit/s now', sort: (s) => bps_of(s) ?? -1, text: false, cell: (s) => (s.state === 'LIVE' ? si(bps_of(s)) : NONE) },
    { key: 'packets', title: 'Packets', sort: (s) => s.packets ?? -1, text: false, class: 'wide', cell: (s) => whole(s.packets) },
    { key: 'bytes', title: 'Bytes', sort: (s) => s.bytes ?? -1, text: false, cell: (s) => bytes(s.bytes) },
    { key: 'flows', title: 'Active flows', sort: (s) => s.flows ?? -1, text: false, class: 'middling', cell: (s) => whole(s.flows) },
    {
        key: 'loss', title: 'Lost', sort: (s) => loss_of(s) ?? -1, text: false,
        cell: (s) => {
            const ppm = loss_of(s);
            return ppm === null ? (
                NONE
            ) : (
                <a class={ppm >= LOSS_MATTERS_PPM ? 'warm' : ppm === 0 ? 'dim' : ''} href={href('sensors', { sensor: s.id, m: 'loss' })} title={`kernel ${whole(s.kernel_dropped)}, interface ${whole(s.interface_dropped)} packets: see when`} onClick={(e) => e.stopPropagation()}>
                    {percent_of_ppm(ppm)}
                    {'\u00a0%'}
                </a>
            );
        },
    },
    { key: 'unacked', title: 'Unacked', sort: (s) => s.unacked ?? -1, text: false, class: 'wide', cell: (s) => whole(s.unacked) },
    { key: 'clock', title: 'Clock', sort: (s) => Math.abs(s.clock_offset_ms ?? 0), text: false, class: 'wide', cell: (s) => offset_text(s.clock_offset_ms) },
    { key: 'up', title: 'Connected', sort: (s) => s.connected_ms ?? 0, text: false, class: 'wide', cell: (s) => (s.connected_ms === null || s.state !== 'LIVE' ? NONE : span(server_now() - s.connected_ms)) },
    { key: 'seen', title: 'Last seen', sort: (s) => s.seen_ms ?? 0, text: false, cell: (s) => (s.seen_ms === null ? 'never' : `${span(Math.max(0, server_now() - s.seen_ms))} ago`) },
    { key: 'config', title: 'Configuration', sort: (s) => `${s.desired === null ? 9 : CONFIG[s.desired.state].order} ${s.config_hash}`, text: true, class: 'conf', cell: (s) => <Config s={s} /> },
];

function Config({ s }: { s: Sensor }) {
    const d = s.desired;
    const why = d === null ? '' : safe(desired_reason(d));
    return (
        <span class="cfg">
            <span class="mono dim">{safe(s.config_hash.slice(0, 10)) || NONE}</span>
            {d !== null && <Pushed of={d} />}
            {d !== null && CONFIG[d.state].order < 2 && why !== '' && <span class="cfg-why warm">{why}</span>}
        </span>
    );
}

export function SensorList() {
    use_seconds();
    const load = use_day('bps');
    const loss = use_day('loss');
    const list = sensors.value;
    const [key, way] = (param('o') || 'state').split(' ');
    const column = COLUMNS.find((c) => c.key === key) ?? COLUMNS[0];
    const down = way === 'desc';
    const rows = [...(list ?? [])].sort((a, b) => {
        const x = column.sort(a);
        const y = column.sort(b);
        return (x < y ? -1 : x > y ? 1 : a.name < b.name ? -1 : 1) * (down ? -1 : 1);
    });
    const well = rows.filter((s) => s.state === 'LIVE').length;
    return (
        <Panel class="whole" title="Sensors" sub={list ? `${plural(list.length, 'sensor')}, ${well} live` : ''}>
            {sensors_error.value !== null && list === null ? (
                <Failed what="The sensors could not be read." error={sensors_error.value} retry={() => reload.value++} />
            ) : list === null ? (
                <Loading rows={6} />
            ) : rows.length === 0 ? (
                <Empty>
                    <p>
                        No sensor has reported yet. Enrol one with <code>netscope-collector enroll NAME</code>.
                    </p>
                </Empty>
            ) : (
                <div class="tscroll" tabIndex={0} role="region" aria-label="Table of sensors">
                    <table class="grid-table">
                        <thead>
                            <tr>
                                {COLUMNS.map((c) => (
                                    <th key={c.key} scope="col" class={`${c.text ? '' : 'num'} ${c.class ?? ''}`} aria-sort={c === column ? (down ? 'descending' : 'ascending') : 'none'}>
                                        <button type="button" class={c === column ? 'so' : ''} onClick={() => patch({ o: `${c.key} ${c === column ? (down ? 'asc' : 'desc') : c.text ? 'asc' : 'desc'}` }, true)}>
                                            {c.title}
                                            {c === column ? (down ? ' ↓' : ' ↑') : ''}
                                        </button>
                                    </th>
                                ))}
                            </tr>
                        </thead>
                        <tbody>
                            {rows.map((s) => (
                                <tr key={s.id} class={s.state === 'LIVE' ? '' : 'stale'} onClick={() => go('sensors', { sensor: s.id })}>
                                    {COLUMNS.map((c) => (
                                        <td key={c.key} data-title={c.title} class={`${c.text ? '' : 'num'} ${c.class ?? ''}`}>
                                            {c.key === 'day' ? <DayStrip s={s} load={load} loss={loss} of={s.id} /> : c.cell(s)}
                                        </td>
                                    ))}
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
            {rows.length > 0 && <Ledger />}
        </Panel>
    );
}
