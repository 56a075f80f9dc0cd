/* The chart: time along, "in" stacked upwards, "out" stacked downwards in the same hues, lighter. uPlot gives axes, cursor
 * and drag; the areas are painted here, so that gaps stay gaps. Arrow keys move the cursor; the same figures as a table. */
import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clock, day, moment, safe, si, span as span_text } from '../lib/format';
import { gaps, stack } from '../lib/stack';
import { follow_charts, type SeriesData } from '../live/series';
import { hatch, palette, rgba } from './theme';

export interface Marker {
    at_ms: number;
    severity: string;
    label: string;
    href: string;
}

export interface ChartProps {
    data: SeriesData;
    title: string;
    unit: string;
    name: (key: string) => string;
    color: (key: string) => number; /* slot */
    window: () => { from_ms: number; to_ms: number };
    hidden?: Set<string>;
    markers?: Marker[];
    stale?: boolean; /* hatch what is missing at the right end */
    zoom?: (from_ms: number, to_ms: number) => void;
    hover?: (values: { in: (number | null)[]; out: (number | null)[]; at_ms: number } | null) => void;
    as_table?: boolean;
    axis?: (value: number) => string;
}

const MARKER_APART = 25; /* px: what a finger or WCAG 2.2 asks for */

interface Painted {
    t: number[];
    up: (number | null)[][];
    down: (number | null)[][];
    keys: number[];
}

function compute(props: ChartProps): Painted {
    const { input, output, keys, step_ms } = props.data;
    if (!input) {
        return { t: [], up: [], down: [], keys: [] };
    }
    const shown = keys.map((_, k) => k).filter((k) => !props.hidden?.has(keys[k]));
    const half = step_ms / 2000;
    return {
        t: input.times_s().map((t) => t + half),
        up: stack(shown.map((k) => input.column(k))),
        down: output ? stack(shown.map((k) => output.column(k))) : [],
        keys: shown,
    };
}

const SIDE_MIN = 0.22; /* of the larger direction */

function nice_top(value: number): number {
    if (!(value > 0)) {
        return 1;
    }
    const power = 10 ** Math.floor(Math.log10(value));
    for (const f of [1, 1.2, 1.6, 2, 2.5, 3, 4, 5, 6, 8, 10]) {
        if (value <= f * power) {
            return f * power;
        }
    }
    return value;
}

export function Chart(props: ChartProps) {
    const host = useRef<HTMLDivElement>(null);
    const plot = useRef<uPlot | null>(null);
    const painted = useRef<Painted>({ t: [], up: [], down: [], keys: [] });
    const latest = useRef(props);
    latest.current = props;
    const [size, set_size] = useState({ width: 0, height: 0 });
    const [marks, set_marks] = useState<{ x: number; top: number; marker: Marker; label: boolean; rank: number; more: number }[]>([]);
    const spoken = useSignal('');
    const colors = palette.value;
    follow_charts();

    useLayoutEffect(() => {
        const element = host.current!;
        const measure = () => {
            const w = element.clientWidth;
            const h = element.clientHeight;
            set_size((s) => (s.width === w && s.height === h ? s : { width: w, height: h }));
        };
        measure();
        const observer = new ResizeObserver(measure);
        observer.observe(element);
        return () => observer.disconnect();
    }, []);

    /* made anew when colours change: uPlot keeps them from the start */
    useLayoutEffect(() => {
        if (size.width < 60 || size.height < 60) {
            return;
        }
        const u = new uPlot(options(size, colors), [[], [], []] as uPlot.AlignedData, host.current!);
        plot.current = u;
        return () => {
            u.destroy();
            plot.current = null;
        };
    }, [colors, size.width > 60 && size.height > 60]);

    useLayoutEffect(() => {
        if (plot.current && size.width > 60) {
            plot.current.setSize(size);
        }
    }, [size]);

    useLayoutEffect(() => {
        const u = plot.current;
        if (!u) {
            return;
        }
        const p = compute(props);
        painted.current = p;
        const top = p.up.length ? p.up[p.up.length - 1] : p.t.map(() => null);
        const bottom = p.down.length ? p.down[p.down.length - 1].map((v) => (v === null ? null : -v)) : p.t.map(() => null);
        const { from_ms, to_ms } = props.window();
        u.batch(() => {
            u.setData([p.t, top, bottom] as uPlot.AlignedData, false);
            u.setScale('x', { min: from_ms / 1000, max: to_ms / 1000 });
            const up = 1.06 * Math.max(0, ...top.map((v) => v ?? 0));
            const down = p.down.length ? Math.max(0, ...bottom.map((v) => -(v ?? 0))) * 1.12 : 0;
            /* one scale for both, but each keeps some height: the zero line is not an edge */
            const low = p.down.length ? Math.max(down, SIDE_MIN * up) : 0;
            u.setScale('y', { min: -low, max: nice_top(Math.max(up, SIDE_MIN * down)) });
        });
        place_markers(u);
    });

    function place_markers(u: uPlot): void {
        const list = latest.current.markers ?? [];
        const { from_ms, to_ms } = latest.current.window();
        const next: typeof marks = [];
        let free_from = -Infinity;
        for (const marker of [...list].sort((a, b) => a.at_ms - b.at_ms)) {
            if (marker.at_ms < from_ms || marker.at_ms > to_ms) {
                continue;
            }
            const x = u.valToPos(marker.at_ms / 1000, 'x') + u.bbox.left / uPlot.pxRatio;
            const before = next[next.length - 1];
            if (before && x - before.x < MARKER_APART) {
                /* too near to be hit by itself: the worse one stands for both, its line stays */
                const worse = list.indexOf(marker) < before.rank ? marker : before.marker;
                before.rank = Math.min(before.rank, list.indexOf(marker));
                before.more++;
                before.marker = worse;
                continue;
            }
            const wide = marker.label.length * 6 + 22;
            const label = x - wide > Math.max(free_from, u.bbox.left / uPlot.pxRatio);
            next.push({ x, top: u.bbox.top / uPlot.pxRatio, marker, label, rank: list.indexOf(marker), more: 0 });
            free_from = x + 8;
        }
        const same =
            next.length === marks.length &&
            next.every((m, i) => Math.abs(m.x - marks[i].x) < 0.5 && m.marker.href === marks[i].marker.href && m.label === marks[i].label && m.more === marks[i].more);
        if (!same) {
            set_marks(next);
        }
    }

    function paint(u: uPlot): void {
        const g = u.ctx;
        const p = painted.current;
        const { data } = latest.current;
        const c = palette.peek();
        const n = p.t.length;
        if (n === 0) {
            return;
        }
        g.save();
        g.beginPath();
        g.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
        g.clip();
        const x = new Float64Array(n);
        for (let i = 0; i < n; i++) {
            x[i] = u.valToPos(p.t[i], 'x', true);
        }
        const total = p.up.length ? p.up[p.up.length - 1] : [];
        for (const [a, b] of gaps(total, latest.current.stale)) {
            const half = n > 1 ? (x[1] - x[0]) / 2 : 0;
            hatch(g, x[a] - half, u.bbox.top, x[b] - x[a] + 2 * half, u.bbox.height, c.line, uPlot.pxRatio);
        }
        const y_of = (v: number) => u.valToPos(v, 'y', true);
        const zero = y_of(0);
        const layers = (sums: (number | null)[][], sign: 1 | -1, fill: number, line: number) => {
            for (let k = 0; k < sums.length; k++) {
                const color = c.categories[latest.current.color(data.keys[p.keys[k]])];
                const upper = sums[k];
                const lower = k > 0 ? sums[k - 1] : null;
                let i = 0;
                while (i < n) {
                    if (upper[i] === null) {
                        i++;
                        continue;
                    }
                    let end = i;
                    while (end + 1 < n && upper[end + 1] !== null) {
                        end++;
                    }
                    /* a single step still gets its width */
                    const widen = end === i ? Math.max(1, n > 1 ? (x[1] - x[0]) / 2 : 1) : 0;
                    g.beginPath();
                    for (let j = i; j <= end; j++) {
                        const py = y_of(sign * upper[j]!);
                        /* no outline where there is nothing of its own: it would cover the colour below */
                        const own = lower === null || Math.abs(y_of(sign * (lower[j] ?? 0)) - py) >= 1;
                        if (widen) {
                            g.moveTo(x[j] - widen, py);
                            g.lineTo(x[j] + widen, py);
                        } else if (j === i || !own) {
                            g.moveTo(x[j], py);
                        } else {
                            g.lineTo(x[j], py);
                        }
                    }
                    g.strokeStyle = rgba(color, line);
                    g.lineWidth = uPlot.pxRatio;
                    const edge = new Path2D();
                    for (let j = i; j <= end; j++) {
                        edge.lineTo(x[j] - widen, y_of(sign * upper[j]!));
                        if (widen) {
                            edge.lineTo(x[j] + widen, y_of(sign * upper[j]!));
                        }
                    }
                    for (let j = end; j >= i; j--) {
                        const base = lower === null ? zero : y_of(sign * (lower[j] ?? 0));
                        edge.lineTo(x[j] + widen, base);
                        if (widen) {
                            edge.lineTo(x[j] - widen, base);
                        }
                    }
                    edge.closePath();
                    g.fillStyle = rgba(color, fill);
                    g.fill(edge);
                    g.stroke();
                    i = end + 1;
                }
            }
        };
        layers(p.up, 1, 0.78, 1);
        layers(p.down, -1, 0.5, 0.75);
        g.restore();
    }

    function paint_front(u: uPlot): void {
        const g = u.ctx;
        const c = palette.peek();
        const zero = u.valToPos(0, 'y', true);
        g.save();
        if (painted.current.down.length) {
            g.fillStyle = c.page;
            g.fillRect(u.bbox.left, zero - uPlot.pxRatio, u.bbox.width, 2 * uPlot.pxRatio);
        }
        g.setLineDash([2 * uPlot.pxRatio, 3 * uPlot.pxRatio]);
        g.lineWidth = uPlot.pxRatio;
        for (const m of latest.current.markers ?? []) {
            const x = u.valToPos(m.at_ms / 1000, 'x', true);
            if (x >= u.bbox.left && x <= u.bbox.left + u.bbox.width) {
                g.strokeStyle = rgba(c.severity[m.severity] ?? c.dim, 0.6);
                g.beginPath();
                g.moveTo(x, u.bbox.top - 6 * uPlot.pxRatio);
                g.lineTo(x, u.bbox.top + u.bbox.height);
                g.stroke();
            }
        }
        g.setLineDash([]);
        if (painted.current.down.length) {
            g.font = `${11 * uPlot.pxRatio}px Inter, sans-serif`;
            g.textBaseline = 'top';
            g.textAlign = 'left';
            const tag = (text: string, y: number) => {
                g.lineWidth = 3 * uPlot.pxRatio;
                g.strokeStyle = c.panel;
                g.fillStyle = c.dim;
                g.strokeText(text, u.bbox.left + 6 * uPlot.pxRatio, y);
                g.fillText(text, u.bbox.left + 6 * uPlot.pxRatio, y);
            };
            tag('in ↑', u.bbox.top + 2 * uPlot.pxRatio);
            tag('out ↓', u.bbox.top + u.bbox.height - 13 * uPlot.pxRatio);
        }
        g.restore();
    }

    function options(box: { width: number; height: number }, c: typeof colors): uPlot.Options {
        /* "15 G", not "15.0 G" */
        const axis = (value: number) => (latest.current.axis ?? si)(Math.abs(value)).replace(/(\.\d*?)0+(?=\D|$)/, '$1').replace(/\.(?=\D|$)/, '');
        return {
            ...box,
            padding: [latest.current.markers ? 20 : 10, 8, 0, 0],
            legend: { show: false },
            cursor: {
                drag: { x: latest.current.zoom !== undefined, y: false, setScale: false },
                points: { show: false },
                y: false,
            },
            tzDate: (s) => uPlot.tzDate(new Date(s * 1000), 'Etc/UTC'),
            scales: { x: { time: true, auto: false }, y: { auto: false, range: (_u, min, max) => [min, max] } },
            series: [{}, { stroke: 'transparent', points: { show: false } }, { stroke: 'transparent', points: { show: false } }],
            axes: [
                {
                    stroke: c.dim,
                    font: '11px Inter, sans-serif',
                    size: 26,
                    gap: 6,
                    space: 74,
                    grid: { stroke: rgba(c.line_strong, 0.45), width: 1 },
                    ticks: { show: false },
                    values: (_u, splits, _a, _space, increment) =>
                        splits.map((s) => (increment >= 86400 ? day(s * 1000).slice(5) : clock(s * 1000, increment < 60))),
                },
                {
                    stroke: c.dim,
                    font: '11px Inter, sans-serif',
                    size: 52,
                    gap: 6,
                    space: 34,
                    grid: { stroke: rgba(c.line_strong, 0.45), width: 1 },
                    ticks: { show: false },
                    values: (_u, splits) => splits.map(axis),
                },
            ],
            hooks: {
                drawClear: [paint],
                draw: [paint_front],
                setSelect: [
                    (u) => {
                        if (u.select.width > 4) {
                            const from = u.posToVal(u.select.left, 'x') * 1000;
                            const to = u.posToVal(u.select.left + u.select.width, 'x') * 1000;
                            latest.current.zoom?.(from, to);
                        }
                        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
                    },
                ],
                setCursor: [(u) => latest.current.hover?.(values_at(u.cursor.idx ?? null))],
            },
        };
    }

    function values_at(index: number | null) {
        const { input, output, keys } = latest.current.data;
        if (index === null || !input || (plot.current?.cursor.left ?? -1) < 0) {
            return null;
        }
        return {
            in: keys.map((_, k) => input.at(k, index)),
            out: keys.map((_, k) => output?.at(k, index) ?? null),
            at_ms: input.start_ms + index * input.step_ms,
        };
    }

    function on_key(event: KeyboardEvent): void {
        const u = plot.current;
        const { input, keys } = props.data;
        if (!u || !input || (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight')) {
            return;
        }
        event.preventDefault();
        const now = u.cursor.idx ?? input.size - 1;
        const index = Math.max(0, Math.min(input.size - 1, now + (event.key === 'ArrowLeft' ? -1 : 1)));
        u.setCursor({ left: u.valToPos(painted.current.t[index], 'x'), top: 10 });
        const v = values_at(index);
        if (v) {
            const parts = keys.map((key, k) => (v.in[k] === null ? '' : `${props.name(key)} ${si(v.in[k])}${props.unit}`)).filter(Boolean);
            spoken.value = `${clock(v.at_ms)}: ${parts.join(', ') || 'no data'}`;
        }
    }

    const { input, keys } = props.data;
    const summary = input
        ? `${props.title}, ${props.unit}, one value each ${span_text(props.data.step_ms)}. Now: ` +
          (keys.slice(0, 4).map((key, k) => `${props.name(key)} ${si(input.last(k))}`).join(', ') || 'no data')
        : `${props.title}: loading`;

    return (
        <div class="uhost">
            {props.as_table && <ChartTable {...props} />}
            <div
                class={`uplot-box ${props.as_table ? 'gone' : ''}`}
                ref={host}
                role="img"
                aria-label={summary}
                tabIndex={0}
                onKeyDown={on_key}
                onPointerLeave={() => props.hover?.(null)}
            />
            {!props.as_table &&
                marks.map((m) => (
                    <a key={m.marker.href} class={`marker sev-${m.marker.severity}`} href={m.marker.href} title={m.more ? `${m.marker.label} and ${m.more} more` : m.marker.label} style={{ left: `${m.x}px`, top: `${m.top - 19}px` }}>
                        {m.label && <span class="marker-name">{m.marker.label}</span>}
                        <MarkerShape level={m.marker.severity} />
                    </a>
                ))}
            <div class="hear" aria-live="polite">
                {spoken}
            </div>
        </div>
    );
}

function MarkerShape({ level }: { level: string }) {
    const d = level === 'critical' ? 'M5.5 0 11 5.5 5.5 11 0 5.5z' : level === 'high' ? 'M5.5.5 11 10.5H0z' : level === 'medium' ? 'M1 1h9v9H1z' : 'M5.5 1a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z';
    return (
        <svg viewBox="0 0 11 11" width="11" height="11" role="img" aria-label={level}>
            <path d={d} fill="currentColor" />
        </svg>
    );
}

const TABLE_ROWS = 120;

function ChartTable(props: ChartProps) {
    const { input, output, keys } = props.data;
    if (!input) {
        return null;
    }
    const rows = [];
    const now = input.start_ms + input.size * input.step_ms;
    for (let i = input.size - 1; i >= Math.max(0, input.size - TABLE_ROWS); i--) {
        rows.push(
            <tr key={i}>
                <th scope="row">{moment(input.start_ms + i * input.step_ms, now)}</th>
                {keys.map((key, k) => (
                    <td key={key}>
                        {si(input.at(k, i))}
                        {output && <span class="dim"> / {si(output.at(k, i))}</span>}
                    </td>
                ))}
            </tr>,
        );
    }
    return (
        <div class="ctable" tabIndex={0}>
            <table>
                <caption>
                    {props.title}, {props.unit}
                    {output && ', in / out'}, the newest {Math.min(TABLE_ROWS, input.size)} of {input.size} steps of {span_text(props.data.step_ms)}
                </caption>
                <thead>
                    <tr>
                        <th scope="col">UTC</th>
                        {keys.map((key) => (
                            <th scope="col" key={key}>
                                {safe(props.name(key))}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    );
}

export type { uPlot };
/* keeps the type of effects' clean-up in one place */
export const use_mount = (f: () => void | (() => void)) => useEffect(f, []);
