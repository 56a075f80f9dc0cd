/* Small parts that every page uses: panels, switches, states, truncated names. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { middle_cut, safe } from '../lib/format';
import { Problem } from '../live/rest';
import { Icon } from './icons';

export function Panel(props: { title: string; sub?: ComponentChildren; tools?: ComponentChildren; class?: string; children: ComponentChildren; label?: string }) {
    return (
        <section class={`panel ${props.class ?? ''}`} aria-label={props.label ?? props.title}>
            <header class="ph">
                <h2>{props.title}</h2>
                {props.sub !== undefined && <span class="sub">{props.sub}</span>}
                {props.tools}
            </header>
            {props.children}
        </section>
    );
}

export function Segments<T extends string>(props: { label: string; value: T; options: [T, string][]; choose: (v: T) => void }) {
    return (
        <div class="seg" role="group" aria-label={props.label}>
            {props.options.map(([value, text]) => (
                <button type="button" key={value} class={value === props.value ? 'on' : ''} aria-pressed={value === props.value} onClick={() => props.choose(value)}>
                    {text}
                </button>
            ))}
        </div>
    );
}

/* Host names are cut in the middle: both the beginning and the domain stay readable. */
export function Middle({ text, title }: { text: string; title?: string }) {
    const shown = safe(text);
    if (shown.length <= 20) {
        return (
            <span class="mid" title={title ?? shown}>
                <span>{shown}</span>
            </span>
        );
    }
    const cut = middle_cut(shown);
    return (
        <span class="mid" title={title ?? shown}>
            <span>{shown.slice(0, cut)}</span>
            <span class="mid-end">{shown.slice(cut)}</span>
        </span>
    );
}

export function Dot({ slot }: { slot: number }) {
    return <i class={`sw k${slot}`} aria-hidden="true" />;
}

export function problem_text(error: unknown): { text: string; id: string } {
    if (error instanceof Problem) {
        return { text: error.detail, id: error.request_id };
    }
    return { text: error instanceof Error ? error.message : 'Something failed.', id: '' };
}

export function Failed(props: { what: string; error: unknown; retry: () => void }) {
    const { text, id } = problem_text(props.error);
    return (
        <div class="state" role="alert">
            <span class="sev sev-high">
                <Icon name="alerts" size={18} />
            </span>
            <p>
                <b>{props.what}</b>
                <br />
                {safe(text)}
                {id && <span class="dim"> Request {safe(id)}.</span>}
            </p>
            <button type="button" class="btn small" onClick={props.retry}>
                Retry
            </button>
        </div>
    );
}

/* Nothing for 100 ms, then a skeleton, after 1 s a word and a way out, after 5 s a hint. */
export function Loading(props: { rows?: number; what?: string; cancel?: () => void; hint?: string }) {
    const [stage, set_stage] = useState(0);
    useEffect(() => {
        const timers = [100, 1000, 5000].map((ms, i) => window.setTimeout(() => set_stage(i + 1), ms));
        return () => timers.forEach((t) => window.clearTimeout(t));
    }, []);
    if (stage === 0) {
        return <div class="state" aria-hidden="true" />;
    }
    return (
        <div class="skeleton" role="status" aria-label={props.what ?? 'Loading'}>
            {Array.from({ length: props.rows ?? 4 }, (_, i) => (
                <i key={i} />
            ))}
            {stage >= 2 && (
                <p>
                    {props.what ?? 'Loading'} …{' '}
                    {props.cancel && (
                        <button type="button" class="btn small" onClick={props.cancel}>
                            Cancel
                        </button>
                    )}
                    {stage >= 3 && <span class="dim"> {props.hint ?? 'This takes long: a shorter time range is faster.'}</span>}
                </p>
            )}
        </div>
    );
}

export function Empty({ children }: { children: ComponentChildren }) {
    return <div class="state empty">{children}</div>;
}

export function CopyButton({ text, label }: { text: string; label: string }) {
    const [done, set_done] = useState(false);
    return (
        <button
            type="button"
            class="btn small"
            onClick={() => {
                void copy(text).then((ok) => {
                    set_done(ok);
                    window.setTimeout(() => set_done(false), 1500);
                });
            }}
        >
            {done ? 'Copied' : label}
        </button>
    );
}

async function copy(text: string): Promise<boolean> {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        /* plain http on another host has no clipboard: the old way */
        const area = document.createElement('textarea');
        area.value = text;
        document.body.append(area);
        area.select();
        const ok = document.execCommand('copy');
        area.remove();
        return ok;
    }
}

const second = signal(0);
window.setInterval(() => second.value++, 1000);

/* Draws again once a second: for ages and countdowns. One clock for all, so that they cost one paint. */
export function use_seconds(active = true): void {
    if (active) {
        void second.value;
    }
}

export function download(name: string, type: string, parts: BlobPart[]): void {
    const url = URL.createObjectURL(new Blob(parts, { type }));
    const a = document.createElement('a');
    a.href = url;
    a.download = name;
    a.click();
    window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
