/* Overview: what is going on, in one look. */
import { useSignal, useSignalEffect, type Signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { app_name, ago, clock, GAP, NONE, num, percent_of_ppm, safe, scaled, si, span, whole, bytes as bytes_text, ms as ms_text, digits } from '../lib/format';
import { situation, LOSS_MATTERS_PPM } from '../lib/situation';
import type { Talker } from '../lib/ribbon';
import { term } from '../lib/filter';
import { flow_key, read_flow, alert_entity, alert_title, SEVERITIES, type Alert, type Flow } from '../live/records';
import { get, type Bag } from '../live/rest';
import { follow_charts, use_series, type SeriesData } from '../live/series';
import {
    alerts, alerts_state, app_slot, connection, dict, go, hello, href, is_live, last_good_ms, live_flows, live_sensors, open_alerts, param, patch, paused_at,
    range, reload, sensor_name, sensors, sensors_error, server_now, set_range, subscribe, totals, view,
} from '../live/store';
import { use_keys } from '../keys';
import { Chart, use_mount, type Marker } from '../ui/chart';
import { Heat } from '../ui/heat';
import { Icon, Severity } from '../ui/icons';
import { Dot, Empty, Failed, Loading, Middle, Panel, Segments, use_seconds } from '../ui/parts';
import { Ribbons } from '../ui/ribbons';
import { Spark, thin } from '../ui/spark';

type By = 'app' | 'sensor' | 'direction';

export function Overview() {
    use_mount(() => subscribe({ by: { dim: 'app', top: 20 }, flows: { top: 10, sort: 'bps' } }));
    const nothing_yet = sensors.value !== null && sensors.value.length === 0 && connection.value.state === 'open' && hello.value?.data == null;
    if (nothing_yet) {
        return <FirstRun />;
    }
    return (
        <>
            <SituationLine />
            <Tiles />
            <div class="grid over">
                <Throughput />
                <Talkers />
                <Pulse />
                <TopFlows />
                <OpenAlerts />
            </div>
        </>
    );
}

/* No sensor has ever reported: how to connect one. Turns into the overview by itself with the first data. */
function FirstRun() {
    const host = location.hostname.includes(':') ? `[${location.hostname}]` : location.hostname;
    use_keys([]);
    return (
        <div class="first">
            <svg viewBox="0 0 320 90" width="320" height="90" aria-hidden="true">
                <path class="first-wave" d="M0 45c20 0 20-28 40-28s20 56 40 56 20-56 40-56 20 56 40 56 20-56 40-56 20 56 40 56 20-56 40-56 20 28 40 28" />
            </svg>
            <h2>Waiting for the first sensor</h2>
            <p>The collector runs and has no data yet. Start a sensor on this machine, or show it a capture file:</p>
            <pre>./netscope up{'\n'}./netscope up --replay trace.pcap</pre>
            <p>A sensor on another machine needs its own certificate. On the collector's machine ({safe(host)}):</p>
            <pre>netscope-collector enroll NAME</pre>
            <p class="dim">This page changes by itself when the first packets arrive.</p>
        </div>
    );
}

/* -- the sentence ------------------------------------------------------------------------------------------------ */

function sensor_health() {
    return (
        sensors.value?.map((s) => ({ name: s.name, state: s.state, loss_ppm: live_sensors.value.get(s.id)?.loss_ppm ?? null })) ?? null
    );
}

function SituationLine() {
    const known = alerts_state.value === 'ready' || alerts.value.size > 0 ? [...alerts.value.values()] : null;
    const s = situation(known, sensor_health(), connection.value.state !== 'lost', sensor_name);
    const at = paused_at.value ?? last_good_ms.value;
    return (
        <div class="sit">
            <span class="sit-mark">{s.level === 'unknown' ? <span class="dim">○</span> : <Severity level={s.level} />}</span>
            <p>
                {s.phrases.map((p, i) =>
                    p.link ? (
                        <a key={i} href={href(p.link.page, p.link.params)}>
                            {safe(p.text)}
                        </a>
                    ) : (
                        <span key={i} class="dim">
                            {safe(p.text)}
                        </span>
                    ),
                )}
            </p>
            <span class="sp" />
            <time>{at === null ? '' : `${clock(at)} UTC`}</time>
        </div>
    );
}

/* -- tiles ------------------------------------------------------------------------------------------------ */

interface TileProps {
    label: string;
    value: string;
    unit: string;
    note: string;
    warn?: boolean;
    data: SeriesData;
    sum?: boolean; /* in + out */
    href: string;
}

function line_of(d: SeriesData, both: boolean): (number | null)[] {
    if (!d.input || d.keys.length === 0) {
        return [];
    }
    const a = d.input.column(0);
    const b = both && d.output ? d.output.column(0) : null;
    return thin(b ? a.map((v, i) => (v === null && b[i] === null ? null : (v ?? 0) + (b[i] ?? 0))) : a, 60);
}

function Tile(p: TileProps) {
    return (
        <a class={`kpi ${p.warn ? 'warn' : ''}`} href={p.href}>
            <span class="l">{p.label}</span>
            <span class="v">
                {p.value}
                {p.value !== NONE && <small>{p.unit}</small>}
            </span>
            <span class="d">{p.note}</span>
            <Spark values={line_of(p.data, p.sum === true)} width={78} height={34} class={p.warn ? 'warn' : ''} />
        </a>
    );
}

function Tiles() {
    follow_charts();
    const bps = use_series({ metric: 'bps', by: 'none', points: 120 }).value;
    const pps = use_series({ metric: 'pps', by: 'none', points: 120 }).value;
    const flows = use_series({ metric: 'flows', by: 'none', points: 120 }).value;
    const fresh = use_series({ metric: 'new_flows', by: 'none', points: 120 }).value;
    const rtt = use_series({ metric: 'rtt', by: 'none', points: 120 }).value;
    const loss = use_series({ metric: 'loss', by: 'none', points: 120 }).value;

    /* live: the latest frame; held or a fixed range: the last value on screen */
    const t = is_live.value ? totals.value : null;
    const last = (d: SeriesData, side: 'input' | 'output' = 'input') => (d[side] && d.keys.length ? d[side]!.last(0) : null);
    const both = (a: number | null, b: number | null) => (a === null && b === null ? null : (a ?? 0) + (b ?? 0));
    const into = t ? t.bps_in : last(bps);
    const out = t ? t.bps_out : last(bps, 'output');
    const rate = both(into, out);
    const packets = t ? t.pps : both(last(pps), last(pps, 'output'));
    const active = t ? t.flows : last(flows);
    const new_ps = t ? t.new_ps : last(fresh);
    const rtt_ms = t ? t.rtt_ms : last(rtt);
    const loss_ppm = t ? t.loss_ppm : last(loss);

    const show = (v: number | null, unit: string): [string, string] => {
        if (v === null) {
            return [NONE, ''];
        }
        const s = scaled(v);
        return [s.value, `${s.prefix}${unit}`];
    };
    const peak = (d: SeriesData) => {
        const known = d.input && d.keys.length ? d.input.column(0).filter((v): v is number => v !== null) : [];
        return known.length ? Math.max(...known) : null;
    };
    let worst: { name: string; ppm: number } | null = null;
    for (const [id, s] of live_sensors.value) {
        if (s.loss_ppm !== null && s.loss_ppm > (worst?.ppm ?? 0)) {
            worst = { name: sensor_name(id), ppm: s.loss_ppm };
        }
    }
    const [rate_value, rate_unit] = show(rate, 'bit/s');
    const [packet_value, packet_unit] = show(packets, '/s');
    const [new_value, new_unit] = show(new_ps, '/s');
    const lossy = (loss_ppm ?? 0) >= LOSS_MATTERS_PPM || (worst?.ppm ?? 0) >= LOSS_MATTERS_PPM;
    /* the value now counts too: the series may be a frame behind */
    const top = (d: SeriesData, now: number | null, words: (v: number) => string) => {
        const high = Math.max(peak(d) ?? -Infinity, now ?? -Infinity);
        return Number.isFinite(high) ? words(high) : '';
    };
    return (
        <div class="kpis">
            <Tile label="Throughput" value={rate_value} unit={rate_unit} data={bps} sum href={href('overview', { by: 'direction' })} note={into === null && out === null ? 'no data yet' : `in ${si(into)} · out ${si(out)}`} />
            <Tile label="Packets" value={packet_value} unit={packet_unit} data={pps} sum href={href('flows', { o: 'packets desc' })} note={packets && rate !== null ? `${whole(rate / 8 / packets)}${GAP}B each` : ''} />
            <Tile label="Active flows" value={active === null ? NONE : active >= 1e6 ? show(active, '').join(GAP) : whole(active)} unit="" data={flows} href={href('flows')} note={top(flows, active, (v) => `peak ${v >= 1e6 ? si(v) : whole(v)} in this range`)} />
            <Tile label="New flows" value={new_ps !== null && new_ps < 1e5 && new_ps >= 100 ? whole(new_ps) : new_value} unit={new_ps !== null && new_ps < 1e5 && new_ps >= 100 ? '/s' : new_unit} data={fresh} href={href('flows', { o: 'start_time desc' })} note={top(fresh, new_ps, (v) => `peak ${si(v)}/s in this range`)} />
            <Tile label="Median RTT" value={rtt_ms === null ? NONE : digits(rtt_ms)} unit="ms" data={rtt} href={href('flows', { o: 'rtt desc' })} note={rtt_ms === null ? 'not measured' : top(rtt, rtt_ms, (v) => `highest ${ms_text(v)} in this range`)} />
            <Tile
                label="Unseen packets"
                value={percent_of_ppm(loss_ppm)}
                unit="%"
                data={loss}
                href={href('sensors')}
                warn={lossy}
                note={loss_ppm === null ? 'not measured' : worst ? `${worst.name}: ${percent_of_ppm(worst.ppm)}${GAP}% lost at sensor` : 'nothing lost at the sensors'}
            />
        </div>
    );
}

/* -- throughput ------------------------------------------------------------------------------------------------ */

function markers(): Marker[] {
    return [...alerts.value.values()]
        .filter((a) => a.first_ms !== null && a.severity !== 'info')
        .sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
        .slice(0, 24)
        .map((a) => ({ at_ms: a.first_ms!, severity: a.severity, label: safe(alert_title(a)).toLowerCase(), href: href('alerts', { sel: a.id }) }));
}

function Throughput() {
    const by = (['app', 'sensor', 'direction'].includes(param('by')) ? param('by') : 'app') as By;
    const [hidden, set_hidden] = useState<Set<string>>(new Set());
    const [table, set_table] = useState(false);
    const hover = useSignal<Hover | null>(null);
    const data = use_series({ metric: 'bps', by: by === 'direction' ? 'none' : by, top: 6, points: 360 }).value;

    const name = (key: string) => (by === 'direction' ? 'All traffic' : key === 'other' ? 'Other' : by === 'app' ? app_name(key) : sensor_name(key));
    const color = (key: string) => (key === 'other' ? 0 : by === 'app' ? app_slot(key) : by === 'direction' ? 1 : (data.keys.indexOf(key) % 6) + 1);
    const click = (key: string, alt: boolean) => {
        const others = data.keys.filter((k) => k !== key);
        const alone = others.every((k) => hidden.has(k)) && !hidden.has(key);
        if (alt) {
            const next = new Set(hidden);
            if (!next.delete(key)) {
                next.add(key);
            }
            set_hidden(next);
        } else {
            set_hidden(alone ? new Set() : new Set(others));
        }
    };
    return (
        <Panel
            class="p-chart"
            title={by === 'direction' ? 'Throughput' : `Throughput by ${by === 'app' ? 'application' : 'sensor'}`}
            sub={
                <>
                    bit/s{data.step_ms > 0 && ` per ${span(data.step_ms)}`}
                    <span class="hide-m">, drag to zoom</span>
                    {data.quality !== '' && data.quality !== 'exact' && <span class="tag">{data.quality}</span>}
                </>
            }
            tools={
                <>
                    <button type="button" class={`bare tool ${table ? 'on' : ''}`} aria-pressed={table} aria-label="Show as table" title="Show as table" onClick={() => set_table(!table)}>
                        <Icon name="table" size={14} />
                    </button>
                    <Segments<By>
                        label="Split by"
                        value={by}
                        options={[
                            ['app', 'Application'],
                            ['sensor', 'Sensor'],
                            ['direction', 'Direction'],
                        ]}
                        choose={(v) => {
                            set_hidden(new Set());
                            patch({ by: v === 'app' ? '' : v }, true);
                        }}
                    />
                </>
            }
        >
            {data.state === 'error' && !data.input ? (
                <Failed what="The time series could not be read." error={data.error} retry={() => reload.value++} />
            ) : data.state === 'loading' && !data.input ? (
                <Loading rows={6} what="Reading history" />
            ) : (
                <div class="chartwrap">
                    <Chart
                        data={data}
                        title="Throughput"
                        unit="bit/s"
                        name={name}
                        color={color}
                        window={view}
                        hidden={hidden}
                        markers={markers()}
                        stale={connection.value.state === 'lost'}
                        as_table={table}
                        zoom={(from_ms, to_ms) => set_range({ kind: 'fixed', from_ms: Math.floor(from_ms), to_ms: Math.ceil(to_ms) })}
                        hover={(v) => {
                            if (v?.at_ms !== hover.peek()?.at_ms) {
                                hover.value = v;
                            }
                        }}
                    />
                    <Legend data={data} name={name} color={color} hidden={hidden} click={click} at={hover} />
                </div>
            )}
        </Panel>
    );
}

interface Hover {
    in: (number | null)[];
    out: (number | null)[];
    at_ms: number;
}

function Legend(props: {
    data: SeriesData;
    name: (key: string) => string;
    color: (key: string) => number;
    hidden: Set<string>;
    click: (key: string, alt: boolean) => void;
    at: Signal<Hover | null>; /* read here only: moving the pointer must not draw the chart anew */
}) {
    follow_charts();
    const { data } = props;
    const at = props.at.value;
    const value = (k: number, side: 'in' | 'out') => (at ? at[side][k] : ((side === 'in' ? data.input : data.output)?.last(k) ?? null));
    const has_out = data.output !== null;
    const sum = (side: 'in' | 'out') =>
        data.keys.reduce<number | null>((a, key, k) => {
            const v = props.hidden.has(key) ? null : value(k, side);
            return v === null ? a : (a ?? 0) + v;
        }, null);
    return (
        <div class={`leg ${has_out ? '' : 'one'}`}>
            <div class="hd">
                <span>{at ? clock(at.at_ms) : is_live.value ? 'now' : 'last'}</span>
                <span class="num">{has_out ? 'in' : 'all'}</span>
                {has_out && <span class="num">out</span>}
            </div>
            {data.keys.map((key, k) => (
                <button
                    type="button"
                    class={`row ${props.hidden.has(key) ? 'off' : ''}`}
                    key={key}
                    aria-pressed={!props.hidden.has(key)}
                    title="Click: only this. Alt-click: hide."
                    onClick={(e) => props.click(key, e.altKey)}
                >
                    <Dot slot={props.color(key)} />
                    <span class="cut">{safe(props.name(key))}</span>
                    <span class="num">{si(value(k, 'in'))}</span>
                    {has_out && <span class="num">{si(value(k, 'out'))}</span>}
                </button>
            ))}
            <div class="row tot">
                <span />
                <span>Total</span>
                <span class="num">{si(sum('in'))}</span>
                {has_out && <span class="num">{si(sum('out'))}</span>}
            </div>
        </div>
    );
}

/* -- who talks to whom ------------------------------------------------------------------------------------------- */

const TALKERS_EVERY_MS = 5000;

function Talkers() {
    const talkers = useSignal<{ rows: Talker[]; from_ms: number; to_ms: number } | null>(null);
    const failed = useSignal<unknown>(null);
    const again = useSignal(0);

    useSignalEffect(() => {
        const r = range.value;
        void reload.value;
        void paused_at.value;
        void again.value;
        if (r === null) {
            return;
        }
        const abort = new AbortController();
        const load = () => {
            const w = view();
            /* live: the last minute; a chosen range: that range */
            const from = is_live.peek() ? Math.max(w.from_ms, w.to_ms - 60_000) : w.from_ms;
            get('/v1/summary', { from: Math.floor(from), to: Math.ceil(w.to_ms) }, abort.signal)
                .then((b) => {
                    failed.value = null;
                    talkers.value = {
                        rows: (Array.isArray(b.talkers) ? (b.talkers as Bag[]) : []).map((t) => ({
                            sensor: String(t.sensor ?? ''), app: String(t.app ?? ''), host: String(t.host ?? ''), bytes: num(t.bytes) ?? 0,
                        })),
                        from_ms: num(b.from_ms) ?? from,
                        to_ms: num(b.to_ms) ?? w.to_ms,
                    };
                })
                .catch((error: unknown) => {
                    if (!abort.signal.aborted) {
                        failed.value = error;
                    }
                });
        };
        load();
        const timer = window.setInterval(() => {
            if (is_live.peek() && !document.hidden) {
                load();
            }
        }, TALKERS_EVERY_MS);
        return () => {
            window.clearInterval(timer);
            abort.abort();
        };
    });

    const t = talkers.value;
    return (
        <Panel class="p-talk" title="Who talks to whom" sub={`bit/s, ${is_live.value ? 'last minute' : 'mean of this range'}`}>
            {failed.value !== null && t === null ? (
                <Failed what="The summary could not be read." error={failed.value} retry={() => again.value++} />
            ) : t === null ? (
                <Loading rows={5} />
            ) : t.rows.length === 0 ? (
                <Empty>No traffic in this time.</Empty>
            ) : (
                <Ribbons talkers={t.rows} seconds={Math.max(1, (t.to_ms - t.from_ms) / 1000)} />
            )}
        </Panel>
    );
}

/* -- fleet pulse ------------------------------------------------------------------------------------------------- */

const PULSE_CELLS = 60;

function Pulse() {
    follow_charts();
    const load = use_series({ metric: 'bps', by: 'sensor', points: PULSE_CELLS }).value;
    const loss = use_series({ metric: 'loss', by: 'sensor', points: PULSE_CELLS }).value;
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
    const order = [...rows].sort((a, b) => rank(b.sensor.state) - rank(a.sensor.state) || (a.sensor.name < b.sensor.name ? -1 : 1));
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
                                <a class="nm" href={href('flows', { f: term('sensor', sensor.id) })} title={safe(sensor.name)}>
                                    {safe(sensor.name)}
                                </a>
                                <Heat
                                    values={values.length ? values : new Array<null>(PULSE_CELLS).fill(null)}
                                    marks={lost.map((v) => (v ?? 0) >= LOSS_MATTERS_PPM)}
                                    scale_max={Math.max(0, ...values.map((v) => v ?? 0))}
                                    before={first < 0 ? 0 : first}
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

/* -- top flows ------------------------------------------------------------------------------------------------ */

interface TopRow {
    key: string;
    app: string;
    from: string;
    to: string;
    value: number | null;
}

function top_from_frame(): TopRow[] {
    const d = dict.value;
    return (live_flows.value ?? []).slice(0, 10).map((f) => ({
        key: flow_key(d.sensor[f.sensor]?.id ?? '', f.id),
        app: d.app[f.app]?.name ?? '',
        from: f.src,
        to: f.name || f.dst,
        value: f.bps,
    }));
}

function TopFlows() {
    const listed = useSignal<Flow[] | null>(null);
    const failed = useSignal<unknown>(null);
    const inside = useSignal(false);
    const kept = useSignal<TopRow[]>([]);

    useSignalEffect(() => {
        const r = range.value;
        const at = paused_at.value;
        void reload.value;
        if (r === null || is_live.value) {
            return;
        }
        const w = view();
        const abort = new AbortController();
        get('/v1/flows', { order_by: at !== null ? 'rate desc' : 'bytes desc', page_size: 10, from: Math.floor(at !== null ? at - 60_000 : w.from_ms), to: Math.ceil(w.to_ms) }, abort.signal)
            .then((b) => {
                listed.value = (Array.isArray(b.flows) ? b.flows : []).map(read_flow);
                failed.value = null;
            })
            .catch((error: unknown) => {
                if (!abort.signal.aborted) {
                    failed.value = error;
                }
            });
        return () => abort.abort();
    });
    const live = is_live.value;
    const held = paused_at.value !== null;
    /* rows do not change places under the pointer */
    if (live && live_flows.value !== null && !inside.value) {
        kept.value = top_from_frame();
    } else if (live && inside.value) {
        const now = new Map(top_from_frame().map((r) => [r.key, r]));
        kept.value = kept.peek().map((r) => ({ ...r, value: now.get(r.key)?.value ?? r.value }));
    }
    const rows: TopRow[] | null = live
        ? live_flows.value === null
            ? null
            : kept.value
        : (listed.value?.map((f) => ({ key: f.key, app: f.app, from: f.client_ip, to: f.server_name || f.server_ip, value: held ? f.bps : (f.bytes_ab ?? 0) + (f.bytes_ba ?? 0) })) ?? null);
    const rate = live || held;
    const top = Math.max(1, ...(rows ?? []).map((r) => r.value ?? 0));
    return (
        <Panel
            class="p-top"
            title="Top flows"
            sub={live ? 'bit/s, now' : held ? 'bit/s, then' : 'bytes in this range'}
            tools={
                <a class="go" href={href('flows', { o: rate ? 'rate desc' : 'bytes desc' })}>
                    Explore →
                </a>
            }
        >
            {failed.value !== null && !live ? (
                <Failed what="The flows could not be read." error={failed.value} retry={() => reload.value++} />
            ) : rows === null ? (
                <Loading rows={6} />
            ) : rows.length === 0 ? (
                <Empty>No flows {live ? 'now' : 'in this range'}.</Empty>
            ) : (
                <div class="tf" onPointerEnter={() => (inside.value = true)} onPointerLeave={() => (inside.value = false)}>
                    {rows.map((r) => (
                        <a class="tr" key={r.key} href={href('flows', { sel: r.key, o: rate ? 'rate desc' : 'bytes desc' })} title={safe(`${r.from} → ${r.to}, ${app_name(r.app)}`)}>
                            <Dot slot={app_slot(r.app)} />
                            <span class="who">
                                {safe(r.from)}
                                <span> → </span>
                                <Middle text={r.to} />
                            </span>
                            <span class="lenbar">
                                <i class={`k${app_slot(r.app)}`} style={{ width: `${Math.max(1, (100 * (r.value ?? 0)) / top)}%` }} />
                            </span>
                            <span class="num">{rate ? si(r.value) : bytes_text(r.value)}</span>
                        </a>
                    ))}
                </div>
            )}
        </Panel>
    );
}

/* -- open alerts ------------------------------------------------------------------------------------------------ */

export interface AlertGroup {
    worst: Alert;
    count: number;
}

/* One line for each (kind, whom). */
export function group_alerts(list: Alert[]): AlertGroup[] {
    const groups = new Map<string, AlertGroup>();
    for (const a of list) {
        const key = `${a.kind} ${alert_entity(a)}`;
        const size = 1 + (a.suppressed ?? 0);
        const found = groups.get(key);
        if (found) {
            found.count += size;
            if ((a.last_ms ?? 0) > (found.worst.last_ms ?? 0)) {
                found.worst = a;
            }
        } else {
            groups.set(key, { worst: a, count: size });
        }
    }
    return [...groups.values()].sort(
        (a, b) => SEVERITIES.indexOf(a.worst.severity) - SEVERITIES.indexOf(b.worst.severity) || (b.worst.last_ms ?? 0) - (a.worst.last_ms ?? 0),
    );
}

function OpenAlerts() {
    use_seconds(is_live.value);
    const state = alerts_state.value;
    const open = [...alerts.value.values()].filter((a) => a.open);
    const groups = group_alerts(open);
    const now = paused_at.value ?? (is_live.value ? server_now() : (last_good_ms.value ?? server_now()));
    const shown = groups.slice(0, 5);
    return (
        <Panel
            class="p-alerts"
            title="Open alerts"
            sub={open_alerts.value ? `${whole(open.length)}, grouped` : ''}
            tools={
                <a class="go" href={href('alerts')}>
                    Triage →
                </a>
            }
        >
            {typeof state === 'object' && open.length === 0 ? (
                <Failed what="The alerts could not be read." error={state.error} retry={() => reload.value++} />
            ) : state === 'loading' ? (
                <Loading rows={4} />
            ) : shown.length === 0 ? (
                <Empty>
                    <Severity level="ok" /> No alert is open.
                </Empty>
            ) : (
                <div class="al">
                    {shown.map(({ worst, count }) => (
                        <a class="ai" key={worst.id} href={href('alerts', { sel: worst.id })} title={safe(worst.description)}>
                            <Severity level={worst.severity} />
                            <span class="t">{safe(alert_title(worst))}</span>
                            <span class="w">{worst.last_ms === null ? '' : ago(now - worst.last_ms)}</span>
                            <span class="e">{safe(alert_entity(worst, sensor_name) || worst.description)}</span>
                            <span class="x">{count > 1 ? `×${whole(count)}` : ''}</span>
                        </a>
                    ))}
                    {groups.length > shown.length && (
                        <a class="more" href={href('alerts')}>
                            {groups.length - shown.length} more
                        </a>
                    )}
                </div>
            )}
        </Panel>
    );
}
