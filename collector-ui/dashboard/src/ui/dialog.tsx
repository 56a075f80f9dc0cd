/* A modal dialog. Escape closes it; keys of the page below are off meanwhile (keys.ts). */
import { useSignal, type Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { safe } from '../lib/format';
import { problem_text } from './parts';

export function Dialog(props: { title: string; class?: string; close: () => void; children: ComponentChildren }) {
    const box = useRef<HTMLDialogElement>(null);
    /* Before anything else happens: the next key is for it. */
    useLayoutEffect(() => {
        const before = document.activeElement as HTMLElement | null;
        box.current?.showModal();
        box.current?.querySelector<HTMLElement>('[data-first]')?.focus();
        return () => before?.focus?.();
    }, []);
    return (
        <dialog ref={box} class={`help ${props.class ?? ''}`} onClose={props.close} aria-label={props.title}>
            <header>
                <h2>{props.title}</h2>
                <button type="button" class="btn small" onClick={() => box.current?.close()}>
                    Close
                </button>
            </header>
            {props.children}
        </dialog>
    );
}

export interface Deed {
    busy: boolean;
    error: unknown;
    go: () => Promise<void>;
}

/* What a dialog is for: done once at a time, and not while something is missing; then it closes, or says what went wrong. */
export function use_deed(run: () => Promise<void>, missing: string, close: (done: boolean) => void): Deed {
    const state = useSignal<{ busy: boolean; error: unknown }>({ busy: false, error: null });
    const go = async () => {
        if (state.value.busy || missing) {
            return;
        }
        state.value = { busy: true, error: null };
        try {
            await run();
            close(true);
        } catch (error) {
            state.value = { busy: false, error };
        }
    };
    return { ...state.value, go };
}

/* One line of text, where the dialog begins; Enter does it. */
export function FirstField({ label, placeholder, text, deed }: { label: string; placeholder: string; text: Signal<string>; deed: Deed }) {
    return (
        <label class="field">
            <span>{label}</span>
            <input
                data-first
                type="text"
                maxLength={500}
                placeholder={placeholder}
                value={text.value}
                onInput={(e) => (text.value = e.currentTarget.value)}
                onKeyDown={(e) => e.key === 'Enter' && void deed.go()}
            />
        </label>
    );
}

export function DeedButtons({ name, deed, missing, cancel }: { name: string; deed: Deed; missing: string; cancel: () => void }) {
    return (
        <>
            {deed.error !== null && (
                <p class="fault-text" role="alert">
                    {safe(problem_text(deed.error).text)}
                </p>
            )}
            <div class="acts">
                <button type="button" class="btn small primary" disabled={deed.busy || missing !== ''} title={missing || undefined} onClick={() => void deed.go()}>
                    {name}
                </button>
                <button type="button" class="btn small" onClick={cancel}>
                    Cancel
                </button>
                {missing && <span class="dim">{missing}</span>}
            </div>
        </>
    );
}
