/* Dark and light, and the colours for what is drawn on a canvas (read from the style sheet, so they are named once). */
import { computed, signal } from '@preact/signals';

export type ThemeName = 'dark' | 'light';

const STORED = 'netscope.theme';

function first(): ThemeName {
    const stored = localStorage.getItem(STORED);
    if (stored === 'dark' || stored === 'light') {
        return stored;
    }
    return matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
}

export const theme = signal<ThemeName>(first());
document.documentElement.dataset.theme = theme.value;

export function toggle_theme(): void {
    const next = theme.value === 'dark' ? 'light' : 'dark';
    document.documentElement.dataset.theme = next;
    localStorage.setItem(STORED, next);
    theme.value = next;
}

export interface Palette {
    categories: string[]; /* 0 = other, 1..6 */
    heat: string[];
    text: string;
    dim: string;
    line: string;
    line_strong: string;
    panel: string;
    page: string;
    accent: string;
    high: string;
    severity: Record<string, string>;
}

export const palette = computed<Palette>(() => {
    void theme.value;
    const style = getComputedStyle(document.documentElement);
    const v = (name: string) => style.getPropertyValue(name).trim();
    return {
        categories: [0, 1, 2, 3, 4, 5, 6].map((n) => v(`--c${n}`)),
        heat: [0, 1, 2, 3, 4, 5].map((n) => v(`--h${n}`)),
        text: v('--tx-1'),
        dim: v('--tx-3'),
        line: v('--line'),
        line_strong: v('--line-2'),
        panel: v('--bg-1'),
        page: v('--bg-0'),
        accent: v('--acc'),
        high: v('--sev-high'),
        severity: { critical: v('--sev-crit'), high: v('--sev-high'), medium: v('--sev-med'), low: v('--sev-low'), info: v('--tx-3') },
    };
});

export function rgba(color: string, alpha: number): string {
    const m = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color);
    return m ? `rgba(${parseInt(m[1], 16)},${parseInt(m[2], 16)},${parseInt(m[3], 16)},${alpha})` : color;
}

/* Diagonal hatch: no data. */
export function hatch(g: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, color: string, scale = 1): void {
    g.save();
    g.beginPath();
    g.rect(x, y, w, h);
    g.clip();
    g.strokeStyle = color;
    g.lineWidth = scale;
    g.beginPath();
    for (let at = x - h; at < x + w; at += 4 * scale) {
        g.moveTo(at, y + h);
        g.lineTo(at + h, y);
    }
    g.stroke();
    g.restore();
}
