/* Map: who talks to whom. A drawing in two layers, and beside it the list of its edges, which says the same in words. In
 * the address: f = filter, by = what stands on the side of servers, sel = the edge chosen,
 * w = the slice of the time that is shown, by its start. */
import { useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { use_keys } from '../keys';
import { app_name, bytes, digits, ms, NONE, plural, safe, si, whole } from '../lib/format';
import { edge_bytes, edge_filter, edge_key, label_of, map_layout, node_filter, read_map, within, type MapEdge, type MapNode, type ServiceMap } from '../lib/map';
import { slices, type Slice } from '../lib/slices';
import { read_labels } from '../live/records';
import { get, Problem } from '../live/rest';
import { app_slot, go, href, is_live, param, patch, paused_at, range, reload, subscribe, view } from '../live/store';
import { Empty, Failed, Loading, Middle, Panel, Segments } from '../ui/parts';
import { use_mount } from '../ui/chart';
import { shorten } from '../ui/names';
import { Chips, QueryLine } from '../ui/query';
import { TimeSlider } from './map/time_slider';

const EVERY_MS = 10_000;
const LABEL = 190;
const GROUPS = ['host', 'application', 'server_name'] as const;
type Group = (typeof GROUPS)[number] | 'network';

/* Of these an edge is drawn as one that has trouble. */
const ERRORS_MATTER = 0.05;
const RETRANSMITS_MATTER = 0.02;
const has_trouble = (e: MapEdge) => (e.error_rate ?? 0) >= ERRORS_MATTER || (e.retransmit_ratio ?? 0) >= RETRANSMITS_MATTER;

function name_of(n: MapNode): string {
    if (n.other) {
        return n.members > 0 ? `${whole(n.members)} others` : 'others';
    }
    if (n.kind === 'network' && n.name === '') {
        return `no ${n.label}`;
    }
    return n.kind === 'application' ? app_name(n.name) : n.name;
}

const share = (value: number | null) => (value === null ? NONE : `${digits(value * 100)}\u00a0%`);

export function ServiceMapPage() {
    const filter = param('f');
    const label = label_of(param('by'));
    const by = label !== '' ? param('by') : (GROUPS.find((g) => g === param('by')) ?? 'host');
    const keys = useSignal<string[] | null>(null); /* of labels that flows have */
    const selected = param('sel');
    const map = useSignal<{ of: string; map: ServiceMap; seconds: number } | null>(null);
    const failed = useSignal<unknown>(null);
    const hovered = useSignal('');

    use_mount(() => subscribe({}));

    const whole_range = view();
    const parts = slices(whole_range.from_ms, whole_range.to_ms);
    const slice = parts.find((s) => String(s.start_ms) === param('w')) ?? null;
    const question = useSignal('');
    question.value = [by, slice?.start_ms ?? '', filter].join('\n');
    useSignalEffect(() => {
        const of = question.value;
        const [group_by, start, f] = of.split('\n');
        const r = range.value;
        void reload.value;
        void paused_at.value;
        if (r === null) {
            return;
        }
        const abort = new AbortController();
        let timer = 0;
        const load = async () => {
            const all = view();
            const w = slices(all.from_ms, all.to_ms).find((s) => String(s.start_ms) === start) ?? all;
            const time = { from: new Date(Math.floor(w.from_ms)).toISOString(), to: new Date(Math.ceil(w.to_ms)).toISOString() };
            try {
                const b = await get('/v1/map', { group_by, filter: f, ...time }, abort.signal);
                map.value = { of, map: read_map(b, group_by), seconds: (w.to_ms - w.from_ms) / 1000 };
                failed.value = null;
            } catch (error) {
                if (!abort.signal.aborted) {
                    failed.value = error;
                }
            }
            if (!abort.signal.aborted) {
                timer = window.setTimeout(() => is_live.peek() && !document.hidden && void load(), EVERY_MS);
            }
        };
        void load();
        return () => {
            abort.abort();
            window.clearTimeout(timer);
        };
    });

    /* What networks can be called by: what the largest flows of this time say. */
    const by_network = async () => {
        const w = view();
        const b = await get('/v1/flows', { page_size: 200, order_by: 'bytes desc', from: Math.floor(w.from_ms), to: Math.ceil(w.to_ms) }).catch(() => ({ flows: [] }));
        const found = new Set<string>();
        for (const flow of Array.isArray(b.flows) ? b.flows : []) {
            for (const end of [flow?.client, flow?.server]) {
                read_labels(end).forEach(([key]) => found.add(key));
            }
        }
        keys.value = [...found].sort();
        if (label === '' && keys.value.length > 0) {
            patch({ by: `labels.${keys.value.includes('site') ? 'site' : keys.value[0]}`, sel: '' }, true);
        }
    };
    useEffect(() => {
        if (label !== '' && keys.peek() === null) {
            void by_network();
        }
    }, [label]);

    const run = (f: string) => patch({ f, sel: '' });
    const shown = map.value !== null && map.value.of === question.value ? map.value : null;
    const edges = shown?.map.edges ?? [];
    const index = edges.findIndex((e) => edge_key(e) === selected);
    const select = (i: number) => {
        const edge = edges[Math.max(0, Math.min(edges.length - 1, i))];
        if (edge) {
            patch({ sel: edge_key(edge) }, true);
        }
    };
    use_keys([
        { keys: 'f', does: 'filter', group: 'Map', run: () => document.getElementById('filter')?.focus() },
        { keys: 'j, ArrowDown', does: 'next edge', group: 'Map', run: () => select(index + 1) },
        { keys: 'k, ArrowUp', does: 'edge before', group: 'Map', run: () => select(index < 0 ? 0 : index - 1) },
        {
            keys: 'Enter', does: 'its flows', group: 'Map',
            run: () => {
                const f = index >= 0 ? edge_filter(edges[index], filter) : '';
                if (f) {
                    go('flows', { f, ...time_of(slice) });
                }
            },
        },
        { keys: 'Escape', does: 'choose none', group: 'Map', run: () => patch({ sel: '' }, true) },
    ]);

    const wrong = failed.value instanceof Problem && failed.value.reason === 'INVALID_FILTER';
    const lit = hovered.value || selected;
    return (
        <div class="whole mapp">
            <QueryLine value={filter} run={run} values={{}} />
            <Chips value={filter} run={run} show_value={(_, value) => safe(value)}>
                <span class="hint hide-m">click an edge = choose it · a name = its flows · dashed = 5 % failed or 2 % retransmitted</span>
            </Chips>
            <Panel
                class="map"
                title="Service map"
                sub={shown && edges.length > 0 ? about(shown.map) : ''}
                tools={
                    <div class="map-tools">
                        {label !== '' && (
                            <select aria-label="Label of the networks" value={label} onChange={(e) => patch({ by: `labels.${e.currentTarget.value}`, sel: '' }, true)}>
                                {[...new Set([label, ...(keys.value ?? [])])].map((key) => (
                                    <option key={key} value={key}>
                                        {key}
                                    </option>
                                ))}
                            </select>
                        )}
                        <Segments
                            label="What is called"
                            value={label !== '' ? 'network' : (by as Group)}
                            options={[
                                ['host', 'host'],
                                ['application', 'application'],
                                ['server_name', 'server name'],
                                ['network', 'network'],
                            ]}
                            choose={(v) => (v === 'network' ? void by_network() : patch({ by: v === 'host' ? '' : v, sel: '' }, true))}
                        />
                    </div>
                }
            >
                <TimeSlider filter={filter} slices={parts} chosen={slice} choose={(s) => patch({ w: s === null ? '' : String(s.start_ms), sel: '' }, true)} />
                {label === '' && keys.value?.length === 0 && (
                    <p class="map-note" role="status">
                        No flow of this time says what its networks are called: networks.labels in the settings of the sensors does.
                    </p>
                )}
                {shown !== null && (failed.value !== null || shown.map.truncated !== '' || shown.map.answered < shown.map.asked) && (
                    <p class="map-note" role="status">
                        {failed.value !== null && 'The map could not be read again: this is the one before. '}
                        {shown.map.truncated !== '' && `Not all of it: ${safe(shown.map.truncated)}. `}
                        {shown.map.answered < shown.map.asked && `${shown.map.answered} of ${plural(shown.map.asked, 'sensor')} are heard of now.`}
                    </p>
                )}
                {failed.value !== null && shown === null ? (
                    <Failed what={wrong ? 'The filter was not understood.' : 'The map could not be read.'} error={failed.value} retry={() => reload.value++} />
                ) : shown === null ? (
                    <Loading rows={10} what="Drawing the map" />
                ) : edges.length === 0 ? (
                    <Empty>{filter ? 'No traffic in this time matches the filter.' : 'No traffic in this time.'}</Empty>
                ) : (
                    <div class="map-both">
                        <Drawing map={shown.map} seconds={shown.seconds} lit={lit} open={(f) => f && go('flows', { f: within(filter, f), ...time_of(slice) })} hover={(key) => (hovered.value = key)} choose={(key) => patch({ sel: key }, true)} />
                        <Edges edges={edges} filter={filter} time={time_of(slice)} selected={selected} hover={(key) => (hovered.value = key)} choose={(key) => patch({ sel: key }, true)} />
                    </div>
                )}
            </Panel>
        </div>
    );
}

/* What the links to Flows have of a slice. */
const time_of = (s: Slice | null): Record<string, string> => (s === null ? {} : { t: `${new Date(s.from_ms).toISOString()}..${new Date(s.to_ms).toISOString()}`, at: '' });

function about(map: ServiceMap): string {
    const cut = map.nodes_total > map.nodes.length || map.edges_total > map.edges.length;
    return cut ? `the largest of ${plural(map.nodes_total, 'node')} and ${plural(map.edges_total, 'edge')}, the rest is others` : `${plural(map.nodes.length, 'node')}, ${plural(map.edges.length, 'edge')}`;
}

interface DrawingProps {
    map: ServiceMap;
    seconds: number;
    lit: string;
    open: (filter: string) => void;
    hover: (key: string) => void;
    choose: (key: string) => void;
}

function Drawing(props: DrawingProps) {
    const box = useRef<HTMLDivElement>(null);
    const [width, set_width] = useState(0);
    useEffect(() => {
        const element = box.current!;
        const observer = new ResizeObserver(() => set_width(element.clientWidth));
        observer.observe(element);
        return () => observer.disconnect();
    }, []);
    const layout = map_layout(props.map);
    const label = Math.min(LABEL, width * 0.32);
    const [x1, x2] = [label, Math.max(label + 40, width - label)];
    const bend = (x2 - x1) / 2;
    const rate = (e: MapEdge) => si((edge_bytes(e) * 8) / Math.max(1, props.seconds));
    const largest = props.map.edges[0];
    const summary = `${plural(props.map.nodes.length, 'node')}, ${plural(props.map.edges.length, 'edge')}. Largest: ${safe(name_of(largest.client))} to ${safe(name_of(largest.server))}, ${bytes(edge_bytes(largest))}. The list beside it has all edges.`;
    return (
        <div class="map-draw" ref={box} tabIndex={0} role="region" aria-label="Drawing of the map">
            {width > 0 && (
                <svg width={width} height={layout.height + 8} viewBox={`0 -4 ${width} ${layout.height + 8}`} role="img" aria-label={`Who talks to whom: ${summary}`}>
                    {[...layout.edges].reverse().map((e) => {
                        const key = edge_key(e.edge);
                        return (
                            <path
                                key={key}
                                class={`map-edge ${has_trouble(e.edge) ? 'trouble' : e.edge.server.kind === 'application' ? `s${app_slot(e.edge.server.name)}` : ''} ${props.lit === key ? 'lit' : props.lit ? 'dimmed' : ''}`}
                                stroke-width={e.width}
                                d={`M${x1} ${e.y_from}C${x1 + bend} ${e.y_from} ${x2 - bend} ${e.y_to} ${x2} ${e.y_to}`}
                                onPointerEnter={() => props.hover(key)}
                                onPointerLeave={() => props.hover('')}
                                onClick={() => props.choose(key)}
                            >
                                <title>{`${safe(name_of(e.edge.client))} – ${safe(name_of(e.edge.server))}: ${rate(e.edge)}bit/s`}</title>
                            </path>
                        );
                    })}
                    {layout.nodes.map((n) => (
                        <circle key={`c${n.side}${n.node.id}`} cx={n.side === 0 ? x1 : x2} cy={n.y} r="3.5" class={n.node.other ? 'map-other' : 'map-node'} />
                    ))}
                    {layout.nodes.map((n) => (
                        <text
                            key={`t${n.side}${n.node.id}`}
                            x={n.side === 0 ? x1 - 8 : x2 + 8}
                            y={n.y + 4}
                            text-anchor={n.side === 0 ? 'end' : 'start'}
                            class={`ribbon-name ${n.node.other ? 'map-rest' : ''}`}
                            onClick={() => props.open(node_filter(n.node, n.side))}
                        >
                            {shorten(safe(name_of(n.node)) || 'unknown', label - 10)}
                            <title>{`${safe(name_of(n.node)) || 'unknown'}: ${bytes(n.bytes)}`}</title>
                        </text>
                    ))}
                </svg>
            )}
        </div>
    );
}

function Edges(props: { edges: MapEdge[]; filter: string; time: Record<string, string>; selected: string; hover: (key: string) => void; choose: (key: string) => void }) {
    const box = useRef<HTMLDivElement>(null);
    useEffect(() => {
        box.current?.querySelector('tr.sel')?.scrollIntoView({ block: 'nearest' });
    }, [props.selected]);
    return (
        <div class="tscroll map-list" ref={box} tabIndex={0} role="region" aria-label="Edges of the map">
            <table class="grid-table">
                <thead>
                    <tr>
                        <th scope="col">Client</th>
                        <th scope="col">Calls</th>
                        <th scope="col" class="num">
                            Bytes
                        </th>
                        <th scope="col" class="num">
                            New flows
                        </th>
                        <th scope="col" class="num">
                            RTT
                        </th>
                        <th scope="col" class="num">
                            Retr.
                        </th>
                        <th scope="col" class="num">
                            Failed
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {props.edges.map((e) => {
                        const key = edge_key(e);
                        const f = edge_filter(e, props.filter);
                        return (
                            <tr key={key} class={key === props.selected ? 'sel' : ''} aria-selected={key === props.selected} onPointerEnter={() => props.hover(key)} onPointerLeave={() => props.hover('')} onClick={() => props.choose(key)}>
                                <td data-title="Client">
                                    <Middle text={name_of(e.client) || 'unknown'} />
                                </td>
                                <td data-title="Calls">
                                    {f ? (
                                        <a href={href('flows', { f, ...props.time })} aria-label={`Flows of ${safe(name_of(e.client))} with ${safe(name_of(e.server)) || 'unknown'}`}>
                                            <Middle text={name_of(e.server) || 'unknown'} />
                                        </a>
                                    ) : (
                                        <span class="dim">{safe(name_of(e.server)) || 'unknown'}</span>
                                    )}
                                </td>
                                <td data-title="Bytes" class="num">{bytes(edge_bytes(e))}</td>
                                <td data-title="New flows" class="num">{whole(e.flows)}</td>
                                <td data-title="RTT" class="num">{e.rtt_ms === null ? NONE : ms(e.rtt_ms)}</td>
                                <td data-title="Retr." class={`num ${(e.retransmit_ratio ?? 0) >= RETRANSMITS_MATTER ? 'warm' : ''}`}>{share(e.retransmit_ratio)}</td>
                                <td data-title="Failed" class={`num ${(e.error_rate ?? 0) >= ERRORS_MATTER ? 'warm' : ''}`}>{share(e.error_rate)}</td>
                            </tr>
                        );
                    })}
                </tbody>
            </table>
        </div>
    );
}
