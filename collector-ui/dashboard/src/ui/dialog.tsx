/* A modal dialog. Escape closes it; keys of the page below are off meanwhile (keys.ts). */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

export function Dialog(props: { title: string; class?: string; close: () => void; children: ComponentChildren }) {
    const box = useRef<HTMLDialogElement>(null);
    useEffect(() => {
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
