/* Throughput over time, split by application, sensor, site or direction, with a legend that filters. */
import { useSignal, type Signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { app_name, clock, safe, si, span } from '../../lib/format';
import { follow_charts, use_series, type SeriesData } from '../../live/series';
import { alerts, app_slot, connection, is_live, param, patch, reload, sensor_name, sensors, set_range, view } from '../../live/store';
import { Chart } from '../../ui/chart';
import { Icon } from '../../ui/icons';
import { alert_marks } from '../../ui/marks';
import { Dot, Failed, Loading, Panel, Segments } from '../../ui/parts';

const BY = { app: 'Application', sensor: 'Sensor', site: 'Site', direction: 'Direction' };
type By = keyof typeof BY;

/* What the address says; sites are offered where a sensor has one. */
export function split_by(): By {
    const by = param('by');
    return Object.hasOwn(BY, by) ? (by as By) : 'app';
}
const has_sites = () => sensors.value?.some((s) => s.site !== '') ?? false;

export function Throughput() {
    const by = split_by();
    const [hidden, set_hidden] = useState<Set<string>>(new Set());
    const [table, set_table] = useState(false);
    const hover = useSignal<Hover | null>(null);
    const data = use_series({ metric: 'bps', by: by === 'direction' ? 'none' : by, split: true, top: 6, points: 360 }).value;

    const name = (key: string) => (by === 'direction' ? 'All traffic' : key === 'other' ? 'Other' : by === 'app' ? app_name(key) : by === 'site' ? key || 'no site' : sensor_name(key));
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
            title={by === 'direction' ? 'Throughput' : `Throughput by ${BY[by].toLowerCase()}`}
            sub={
                <>
                    bit/s{data.step_ms > 0 && ` per ${span(data.step_ms)}`}
                    {by !== 'sensor' && (sensors.value?.length ?? 0) > 1 && (
                        <span class="hide-m" title="What passes two sensors is in it twice; split by sensor to see each by itself. Flows counts such a flow once.">
                            , sum of {sensors.value!.length} sensors
                        </span>
                    )}
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
                        options={(Object.entries(BY) as [By, string][]).filter(([value]) => value !== 'site' || by === 'site' || has_sites())}
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
                        markers={alert_marks([...alerts.value.values()].filter((a) => a.severity !== 'info'))}
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
