/* The keyboard: one registry, from which `?` makes its help. Bare keys are off inside inputs; a page adds its own keys
 * while it is shown. Two-key sequences are written "g o". */
import { signal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';

export interface Binding {
    keys: string;
    does: string;
    run: (event: KeyboardEvent) => void;
    group: string;
    in_inputs?: boolean;
}

export const bindings = signal<Binding[]>([]);

let prefix = '';
let prefix_timer: number | undefined;

export function add_keys(list: Binding[]): () => void {
    bindings.value = [...bindings.value, ...list];
    return () => {
        bindings.value = bindings.value.filter((b) => !list.includes(b));
    };
}

/* While the component is shown, from its first picture on. `run` always sees the newest render; keys that come or go with what
 * is known by then (a right, say) come and go here, too. */
export function use_keys(list: Binding[]): void {
    const box = useRef(list);
    box.current = list;
    useLayoutEffect(
        () => add_keys(box.current.map((b) => ({ ...b, run: (e) => box.current.find((now) => now.keys === b.keys)?.run(e) }))),
        [list.map((b) => b.keys).join('\n')],
    );
}

export function is_typing(target: EventTarget | null): boolean {
    const e = target as HTMLElement | null;
    const is_text = e?.tagName === 'INPUT' && !['checkbox', 'radio', 'button'].includes((e as HTMLInputElement).type);
    return !!e && (is_text || e.tagName === 'TEXTAREA' || e.tagName === 'SELECT' || e.isContentEditable);
}

export function name_of(event: KeyboardEvent): string {
    return event.key === ' ' ? 'space' : event.key;
}

function on_key(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) {
        return;
    }
    if (document.querySelector('dialog[open]')) {
        return; /* it has keys of its own */
    }
    const typing = is_typing(event.target);
    const key = name_of(event);
    /* a button or a box to tick that has the focus keeps its own keys */
    if (!typing && (key === 'space' || key === 'Enter') && (event.target as HTMLElement)?.closest?.('button, a, summary, input')) {
        return;
    }
    const wanted = prefix ? `${prefix} ${key}` : key;
    prefix = '';
    window.clearTimeout(prefix_timer);
    const list = bindings.peek();
    for (let i = list.length - 1; i >= 0; i--) {
        const b = list[i];
        if (b.keys.split(', ').includes(wanted) && (!typing || b.in_inputs)) {
            event.preventDefault();
            b.run(event);
            return;
        }
    }
    if (!typing && list.some((b) => b.keys.startsWith(`${key} `))) {
        prefix = key;
        prefix_timer = window.setTimeout(() => (prefix = ''), 1200);
    }
}

export function start_keys(): void {
    document.addEventListener('keydown', on_key);
}
