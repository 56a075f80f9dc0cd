/* The list of flows: its headings and its rows. */
import { chosen_columns, COLUMNS, toggle_column } from '../../lib/columns';
import type { ClickKind } from '../../lib/filter';
import { app_name, bytes, enum_words, moment, ms, NONE, safe, short_moment, si, span, whole } from '../../lib/format';
import type { Flow } from '../../live/records';
import { app_slot, param, patch, sensor_name, server_now } from '../../live/store';
import { WindowedList } from '../../ui/list';
import { Menu } from '../../ui/menu';
import { Dot, Middle } from '../../ui/parts';

const ROW = 25;
const ROW_PHONE = 53;

const ON_PHONES = chosen_columns('');
const is_phone = () => matchMedia('(max-width: 720px)').matches;

/* A phone has two lines a row and always the same in them. */
const shown_columns = () => (is_phone() ? ON_PHONES : chosen_columns(param('c')));

/* Widths of chosen columns; without a choice the style sheet has them, by the width of the page. */
export function grid_of_columns(): { class: string; style?: Record<string, string> } {
    return param('c') === '' || is_phone() ? { class: '' } : { class: 'own-cols', style: { '--cols': chosen_columns(param('c')).map((c) => c.width).join(' ') } };
}

export function Head({ order }: { order: string }) {
    const [name, way] = order.split(' ');
    return (
        <div class="th" role="presentation">
            {shown_columns().map((c) =>
                c.order ? (
                    <button
                        type="button"
                        key={c.key}
                        class={`c-${c.key} ${name === c.order ? 'so' : ''}`}
                        aria-label={`Sort by ${c.title}${c.head ? `, ${c.head}` : ''}`}
                        onClick={() => {
                            const next = `${c.order} ${name === c.order && way !== 'asc' ? 'asc' : 'desc'}`;
                            patch({ o: next === 'end_time desc' ? '' : next });
                        }}
                    >
                        {c.head ?? c.title}
                        {name === c.order ? (way === 'asc' ? ' ↑' : ' ↓') : ''}
                    </button>
                ) : (
                    <span key={c.key} class={`c-${c.key}`}>
                        {c.head ?? c.title}
                    </span>
                ),
            )}
        </div>
    );
}

/* Which columns there are. */
export function ChooseColumns() {
    const shown = new Set(chosen_columns(param('c')).map((c) => c.key));
    return (
        <Menu label="Columns" class="lnk hide-m" button="columns" up>
            {() => (
                <div class="menu-checks" role="group" aria-label="Columns">
                    {COLUMNS.filter((c) => !c.fixed).map((c) => (
                        <button type="button" key={c.key} aria-pressed={shown.has(c.key)} class={shown.has(c.key) ? 'on' : ''} onClick={() => patch({ c: toggle_column(param('c'), c.key) }, true)}>
                            {c.title}
                        </button>
                    ))}
                </div>
            )}
        </Menu>
    );
}

const SLOW_RTT_MS = 150;

interface CellOf {
    r: Flow;
    now: number;
    top: number; /* bytes of the largest */
}

const at = (ms_: number | null) => (ms_ === null ? undefined : `${moment(ms_, 0)} UTC`);

function BytesCell({ r, top }: CellOf) {
    const total = (r.bytes_ab ?? 0) + (r.bytes_ba ?? 0);
    const wide = 44 * Math.sqrt(total / top);
    const out = total ? (wide * (r.bytes_ab ?? 0)) / total : 0;
    return (
        <>
            <span class="bar">
                <i class="k1" style={{ width: `${Math.max(total ? 1 : 0, wide - out)}px` }} />
                <i class="k3" style={{ width: `${Math.max(total ? 1 : 0, out)}px` }} />
            </span>
            <span class="num">{bytes(total)}</span>
        </>
    );
}

const both = (a: number | null, b: number | null) => (a === null && b === null ? null : (a ?? 0) + (b ?? 0));

const CELLS: Record<string, (of: CellOf) => preact.JSX.Element> = {
    t: ({ r, now }) => (
        <span key="t" role="gridcell" class="c-t num" title={at(r.end_ms)}>
            {r.end_ms === null ? NONE : short_moment(r.end_ms, now)}
        </span>
    ),
    start: ({ r, now }) => (
        <span key="start" role="gridcell" class="c-t num" title={at(r.start_ms)}>
            {r.start_ms === null ? NONE : short_moment(r.start_ms, now)}
        </span>
    ),
    dur: ({ r }) => (
        <span key="dur" role="gridcell" class="num">
            {r.start_ms === null || r.end_ms === null ? NONE : span(r.end_ms - r.start_ms)}
        </span>
    ),
    s: ({ r }) => (
        <span key="s" role="gridcell" class="c-s d" data-field="sensor" data-value={r.sensor_id}>
            <span class="cut">{safe(sensor_name(r.sensor_id))}</span>
            {r.observers.length > 1 && (
                <b class="seen" title={`${r.observers.length} sensors saw it: ${r.observers.map((o) => safe(sensor_name(o.sensor_id))).join(', ')}`} aria-label={`${r.observers.length} sensors`}>
                    {r.observers.length}
                </b>
            )}
        </span>
    ),
    src: ({ r }) => (
        <span key="src" role="gridcell" class="c-src" data-field="client.ip" data-value={r.client_ip} title={r.client_name ? safe(r.client_name) : undefined}>
            {safe(r.client_ip)}
            {r.client_port !== null && r.client_port > 0 && <span class="d">:{r.client_port}</span>}
        </span>
    ),
    dst: ({ r }) => (
        <span key="dst" role="gridcell" class="c-dst" data-field="server.ip" data-value={r.server_ip} title={`${safe(r.server_name)} ${safe(r.server_ip)}:${r.server_port ?? ''} ${app_name(r.app)}`}>
            <Dot slot={app_slot(r.app)} />
            <Middle text={r.server_name || r.server_ip} />
            {r.server_port !== null && r.server_port > 0 && <span class="d">:{r.server_port}</span>}
        </span>
    ),
    app: ({ r }) => (
        <span key="app" role="gridcell" class="d" data-field="app" data-value={r.app}>
            {app_name(r.app)}
        </span>
    ),
    rate: ({ r }) => (
        <span key="rate" role="gridcell" class="c-rate num">
            {si(r.bps)}
        </span>
    ),
    b: (of) => (
        <span key="b" role="gridcell" class="c-b">
            <BytesCell {...of} />
        </span>
    ),
    pkts: ({ r }) => (
        <span key="pkts" role="gridcell" class="num">
            {whole(both(r.packets_ab, r.packets_ba))}
        </span>
    ),
    r: ({ r }) => (
        <span key="r" role="gridcell" class={`c-r num ${(r.rtt_ms ?? 0) >= SLOW_RTT_MS ? 'warm' : ''}`}>
            {r.rtt_ms === null ? NONE : ms(r.rtt_ms)}
        </span>
    ),
    x: ({ r }) => (
        <span key="x" role="gridcell" class="c-x num d">
            {r.retransmits === null ? NONE : whole(r.retransmits)}
        </span>
    ),
    d: ({ r }) => (
        <span key="d" role="gridcell" class="c-d d">
            {r.state ? enum_words(r.state) : r.ended ? 'ended' : 'open'}
        </span>
    ),
    cid: ({ r }) => (
        <span key="cid" role="gridcell" class="mono d" data-field="community_id" data-value={r.community_id} title={safe(r.community_id)}>
            {safe(r.community_id) || NONE}
        </span>
    ),
};

export function FlowRows(props: {
    rows: Flow[];
    selected: number;
    select: (i: number) => void;
    more: () => void;
    hover: (inside: boolean) => void;
    click: (field: string, value: string, kind: ClickKind) => void;
    empty: preact.ComponentChildren;
}) {
    const phone = is_phone();
    const columns = shown_columns();
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
                return {
                    key: r.key,
                    class: 'fl',
                    cells: columns.map((c) => CELLS[c.key]({ r, now, top })),
                };
            }}
        />
    );
}
