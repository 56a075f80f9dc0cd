/* A strip of cells: how busy each step was. No data is hatched, loss is underlined. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { hatch, palette } from './theme';

export interface HeatProps {
    values: (number | null)[];
    marks?: boolean[]; /* underlined cells: loss */
    scale_max: number;
    before?: number; /* cells at the left that lie before the first data: left empty, not hatched */
    label: string;
    choose?: (index: number) => void;
}

export function Heat(props: HeatProps) {
    const canvas = useRef<HTMLCanvasElement>(null);
    const [width, set_width] = useState(0);
    const colors = palette.value;

    useLayoutEffect(() => {
        const element = canvas.current!;
        const measure = () => set_width(element.clientWidth);
        measure();
        const observer = new ResizeObserver(measure);
        observer.observe(element);
        return () => observer.disconnect();
    }, []);

    useLayoutEffect(() => {
        const element = canvas.current!;
        const ratio = window.devicePixelRatio || 1;
        const w = Math.round(width * ratio);
        const h = Math.round(element.clientHeight * ratio);
        if (w === 0 || h === 0) {
            return;
        }
        if (element.width !== w || element.height !== h) {
            element.width = w;
            element.height = h;
        }
        const g = element.getContext('2d')!;
        g.clearRect(0, 0, w, h);
        const n = props.values.length;
        const cell = w / n;
        const gap = cell > 4 * ratio ? ratio : 0;
        for (let i = 0; i < n; i++) {
            const value = props.values[i];
            const x = Math.round(i * cell);
            const wide = Math.max(1, Math.round((i + 1) * cell) - x - gap);
            if (value === null) {
                if (i >= (props.before ?? 0)) {
                    hatch(g, x, 0, wide + gap, h, colors.line_strong, ratio);
                }
                continue;
            }
            /* squared: most strips live near their peak, and there the eye needs the difference */
            const level = props.scale_max > 0 ? Math.min(1, value / props.scale_max) ** 2 : 0;
            g.fillStyle = colors.heat[Math.min(5, Math.floor(level * 5.999))];
            g.fillRect(x, 0, wide, h);
            if (props.marks?.[i]) {
                g.fillStyle = colors.high;
                g.fillRect(x, h - 3 * ratio, wide, 3 * ratio);
            }
        }
    }, [width, props.values, props.marks, props.scale_max, props.before, colors]);

    return (
        <canvas
            ref={canvas}
            class="heat"
            role="img"
            aria-label={props.label}
            onClick={(e) => {
                if (props.choose) {
                    e.stopPropagation();
                    const box = e.currentTarget.getBoundingClientRect();
                    props.choose(Math.min(props.values.length - 1, Math.floor(((e.clientX - box.left) / box.width) * props.values.length)));
                }
            }}
        />
    );
}
