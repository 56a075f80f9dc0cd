/* A question to the history about the time on screen: asked at once, again whenever the question, the time or the connection
 * changes, and while live every few seconds. The answer before stays until there is another one to the same question. */
import { signal, useSignal, useSignalEffect, type Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { is_live, paused_at, range, reload, view } from './store';

export interface Span {
    from_ms: number;
    to_ms: number;
    from: string; /* RFC 3339, as the methods of netscope.v1 take it */
    to: string;
}

export interface Asked<T> {
    answer: T | null; /* of this question */
    error: unknown; /* of the last attempt; null: it went well */
    asking: boolean;
}

export const REFRESH_MS = 10_000;
const REST_PART = 10; /* a slow answer is asked for less often: a tenth of the time at most is spent on it */

export function use_history<T>(question: string, ask: (span: Span, signal: AbortSignal) => Promise<T>, take?: (next: T, now: T | null, again: boolean) => T): Asked<T> {
    const held = useSignal<{ of: string; answer: T } | null>(null);
    const error = useSignal<unknown>(null);
    const asking = useSignal(false);
    const latest = useRef({ ask, take });
    latest.current = { ask, take };
    const wanted = useRef<Signal<string> | null>(null);
    wanted.current ??= signal(question);
    useEffect(() => {
        wanted.current!.value = question;
    }, [question]);

    useSignalEffect(() => {
        const of = wanted.current!.value;
        const r = range.value;
        void reload.value;
        void paused_at.value;
        if (r === null) {
            return;
        }
        const abort = new AbortController();
        let timer = 0;
        const load = async (again: boolean) => {
            const w = view();
            const started = performance.now();
            asking.value = true;
            try {
                const answer = await latest.current.ask({ ...w, from: new Date(Math.floor(w.from_ms)).toISOString(), to: new Date(Math.ceil(w.to_ms)).toISOString() }, abort.signal);
                const now = held.peek();
                held.value = { of, answer: latest.current.take?.(answer, now?.of === of ? now.answer : null, again) ?? answer };
                error.value = null;
            } catch (e) {
                if (abort.signal.aborted) {
                    return;
                }
                error.value = e;
            }
            asking.value = false;
            refresh(Math.max(REFRESH_MS, REST_PART * (performance.now() - started)));
        };
        const refresh = (after_ms: number) => {
            timer = window.setTimeout(() => (document.hidden ? refresh(after_ms) : is_live.peek() && void load(true)), after_ms);
        };
        void load(false);
        return () => {
            abort.abort();
            window.clearTimeout(timer);
        };
    });
    const now = held.value;
    return { answer: now !== null && now.of === question ? now.answer : null, error: error.value, asking: asking.value };
}
