/* The list of flows: its headings and its rows. */
import type { ClickKind } from '../../lib/filter';
import { app_name, bytes, enum_words, moment, ms, NONE, safe, short_moment, si, whole } from '../../lib/format';
import type { Flow } from '../../live/records';
import { app_slot, patch, sensor_name, server_now } from '../../live/store';
import { WindowedList } from '../../ui/list';
import { Dot, Middle } from '../../ui/parts';

const ROW = 25;
const ROW_PHONE = 53;

const COLUMNS: [string, string, string][] = [
    ['c-t', 'Last seen', 'end_time'],
    ['c-s', 'Sensor', ''],
    ['c-src', 'Source', ''],
    ['c-dst', 'Destination', ''],
    ['c-rate', 'Rate', 'rate'],
    ['c-b', 'Bytes', 'bytes'],
    ['c-r', 'RTT', 'rtt'],
    ['c-x', 'Retr.', 'retransmits'],
    ['c-d', 'State', ''],
];

export function Head({ order }: { order: string }) {
    const [name, way] = order.split(' ');
    return (
        <div class="th" role="presentation">
            {COLUMNS.map(([cls, title, key]) =>
                key ? (
                    <button
                        type="button"
                        key={cls}
                        class={`${cls} ${name === key ? 'so' : ''}`}
                        aria-label={`Sort by ${title}`}
                        onClick={() => {
                            const next = `${key} ${name === key && way !== 'asc' ? 'asc' : 'desc'}`;
                            patch({ o: next === 'end_time desc' ? '' : next });
                        }}
                    >
                        {title}
                        {name === key ? (way === 'asc' ? ' ↑' : ' ↓') : ''}
                    </button>
                ) : (
                    <span key={cls} class={cls}>
                        {title}
                    </span>
                ),
            )}
        </div>
    );
}

const SLOW_RTT_MS = 150;

export function FlowRows(props: {
    rows: Flow[];
    selected: number;
    select: (i: number) => void;
    more: () => void;
    hover: (inside: boolean) => void;
    click: (field: string, value: string, kind: ClickKind) => void;
    empty: preact.ComponentChildren;
}) {
    const phone = matchMedia('(max-width: 720px)').matches;
    const now = server_now();
    const top = Math.max(1, ...props.rows.slice(0, 400).map((r) => (r.bytes_ab ?? 0) + (r.bytes_ba ?? 0)));
    return (
        <WindowedList
            count={props.rows.length}
            row_height={phone ? ROW_PHONE : ROW}
            label="Flows"
            selected={props.selected}
            near_end={props.more}
            on_hover={props.hover}
            empty={props.empty}
            choose={(i, e) => {
                /* with Alt, Ctrl or Shift a value is filtered on; a plain click opens the flow */
                const m = e as MouseEvent;
                const value = (e.target as Element).closest('[data-field]');
                if (value && (m.altKey || m.ctrlKey || m.shiftKey)) {
                    props.click(value.getAttribute('data-field')!, value.getAttribute('data-value')!, m.altKey ? 'exclude' : m.shiftKey ? 'only' : 'include');
                } else {
                    props.select(i);
                }
            }}
            row={(i) => {
                const r = props.rows[i];
                const total = (r.bytes_ab ?? 0) + (r.bytes_ba ?? 0);
                const wide = 44 * Math.sqrt(total / top);
                const out = total ? (wide * (r.bytes_ab ?? 0)) / total : 0;
                return {
                    key: r.key,
                    class: 'fl',
                    cells: (
                        <>
                            <span role="gridcell" class="c-t num" title={r.end_ms === null ? undefined : `${moment(r.end_ms, 0)} UTC`}>
                                {r.end_ms === null ? NONE : short_moment(r.end_ms, now)}
                            </span>
                            <span role="gridcell" class="c-s d" data-field="sensor" data-value={r.sensor_id}>
                                <span class="cut">{safe(sensor_name(r.sensor_id))}</span>
                                {r.observers.length > 1 && (
                                    <b class="seen" title={`${r.observers.length} sensors saw it: ${r.observers.map((o) => safe(sensor_name(o.sensor_id))).join(', ')}`} aria-label={`${r.observers.length} sensors`}>
                                        {r.observers.length}
                                    </b>
                                )}
                            </span>
                            <span role="gridcell" class="c-src" data-field="client.ip" data-value={r.client_ip} title={r.client_name ? safe(r.client_name) : undefined}>
                                {safe(r.client_ip)}
                                {r.client_port !== null && r.client_port > 0 && <span class="d">:{r.client_port}</span>}
                            </span>
                            <span role="gridcell" class="c-dst" data-field="server.ip" data-value={r.server_ip} title={`${safe(r.server_name)} ${safe(r.server_ip)}:${r.server_port ?? ''} ${app_name(r.app)}`}>
                                <Dot slot={app_slot(r.app)} />
                                <Middle text={r.server_name || r.server_ip} />
                                {r.server_port !== null && r.server_port > 0 && <span class="d">:{r.server_port}</span>}
                            </span>
                            <span role="gridcell" class="c-rate num">
                                {si(r.bps)}
                            </span>
                            <span role="gridcell" class="c-b">
                                <span class="bar">
                                    <i class="k1" style={{ width: `${Math.max(total ? 1 : 0, wide - out)}px` }} />
                                    <i class="k3" style={{ width: `${Math.max(total ? 1 : 0, out)}px` }} />
                                </span>
                                <span class="num">{bytes(total)}</span>
                            </span>
                            <span role="gridcell" class={`c-r num ${(r.rtt_ms ?? 0) >= SLOW_RTT_MS ? 'warm' : ''}`}>
                                {r.rtt_ms === null ? NONE : ms(r.rtt_ms)}
                            </span>
                            <span role="gridcell" class="c-x num d">
                                {r.retransmits === null ? NONE : whole(r.retransmits)}
                            </span>
                            <span role="gridcell" class="c-d d">
                                {r.state ? enum_words(r.state) : r.ended ? 'ended' : 'open'}
                            </span>
                        </>
                    ),
                };
            }}
        />
    );
}
