/* Bars over time, both directions stacked, drag to choose a time. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { clock, si, span } from '../lib/format';
import { follow_charts, type SeriesData } from '../live/series';
import { hatch, palette, rgba } from './theme';

export function Histogram(props: { data: SeriesData; unit: string; zoom: (from_ms: number, to_ms: number) => void }) {
    const canvas = useRef<HTMLCanvasElement>(null);
    const [size, set_size] = useState({ width: 0, height: 0 });
    const [drag, set_drag] = useState<[number, number] | null>(null);
    const colors = palette.value;
    follow_charts();
    const { input, output } = props.data;

    useLayoutEffect(() => {
        const element = canvas.current!;
        const measure = () => set_size({ width: element.clientWidth, height: element.clientHeight });
        measure();
        const observer = new ResizeObserver(measure);
        observer.observe(element);
        return () => observer.disconnect();
    }, []);

    const sum = (ring: typeof input, i: number) => {
        let total: number | null = null;
        for (let k = 0; ring && k < ring.keys.length; k++) {
            const v = ring.at(k, i);
            total = v === null ? total : (total ?? 0) + v;
        }
        return total;
    };
    const n = input?.size ?? 0;
    const first = input?.start_ms ?? 0;
    const step = props.data.step_ms || 1;

    useLayoutEffect(() => {
        const element = canvas.current!;
        const ratio = window.devicePixelRatio || 1;
        const w = Math.round(size.width * ratio);
        const h = Math.round(size.height * ratio);
        if (!w || !h) {
            return;
        }
        if (element.width !== w || element.height !== h) {
            element.width = w;
            element.height = h;
        }
        const g = element.getContext('2d')!;
        g.clearRect(0, 0, w, h);
        if (!input || n === 0) {
            return;
        }
        const values: [number | null, number | null][] = [];
        let top = 0;
        for (let i = 0; i < n; i++) {
            const pair: [number | null, number | null] = [sum(input, i), sum(output, i)];
            values.push(pair);
            top = Math.max(top, (pair[0] ?? 0) + (pair[1] ?? 0));
        }
        const wide = w / n;
        const gap = wide > 4 * ratio ? ratio : 0;
        const started = values.findIndex((v) => v[0] !== null || v[1] !== null);
        let ended = n - 1;
        while (ended > started && values[ended][0] === null && values[ended][1] === null) {
            ended--;
        }
        values.forEach(([a, b], i) => {
            const x = Math.round(i * wide);
            const bar = Math.max(1, Math.round((i + 1) * wide) - x - gap);
            if (a === null && b === null) {
                if (started >= 0 && i > started && i < ended) {
                    hatch(g, x, 0, bar + gap, h, colors.line, ratio);
                }
                return;
            }
            const inside = !drag || (i * wide >= Math.min(...drag) * ratio - wide && (i + 1) * wide <= Math.max(...drag) * ratio + wide);
            const ha = top ? ((a ?? 0) / top) * (h - 2) : 0;
            const hb = top ? ((b ?? 0) / top) * (h - 2) : 0;
            g.fillStyle = rgba(colors.categories[1], inside ? 0.95 : 0.4);
            g.fillRect(x, h - ha, bar, ha);
            g.fillStyle = rgba(colors.categories[3], inside ? 0.9 : 0.35);
            g.fillRect(x, h - ha - hb, bar, Math.max(hb - ratio, 0));
        });
        if (drag) {
            g.fillStyle = rgba(colors.accent, 0.14);
            g.fillRect(Math.min(...drag) * ratio, 0, Math.abs(drag[1] - drag[0]) * ratio, h);
        }
    });

    const at = (x: number) => first + (x / Math.max(1, size.width)) * n * step;
    let most = 0;
    for (let i = 0; i < n; i++) {
        most = Math.max(most, (sum(input, i) ?? 0) + (sum(output, i) ?? 0));
    }
    const ticks = size.width > 520 ? 5 : 3;
    return (
        <div class="histo">
            <canvas
                ref={canvas}
                role="img"
                aria-label={`Matching traffic over time, one bar each ${span(step)}, at most ${si(most)}${props.unit}`}
                onPointerDown={(e) => {
                    e.currentTarget.setPointerCapture(e.pointerId);
                    set_drag([e.offsetX, e.offsetX]);
                }}
                onPointerMove={(e) => drag && set_drag([drag[0], Math.max(0, Math.min(size.width, e.offsetX))])}
                onPointerUp={() => {
                    if (drag && Math.abs(drag[1] - drag[0]) > 5 && n > 0) {
                        props.zoom(at(Math.min(...drag)), at(Math.max(...drag)));
                    }
                    set_drag(null);
                }}
                onPointerCancel={() => set_drag(null)}
            />
            <div class="histo-axis" aria-hidden="true">
                {n > 0 && Array.from({ length: ticks }, (_, i) => <span key={i}>{clock(first + (i / (ticks - 1)) * n * step, n * step < 600_000)}</span>)}
            </div>
        </div>
    );
}
