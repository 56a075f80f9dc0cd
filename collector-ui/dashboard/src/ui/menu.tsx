import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

/* A button with a small menu below it (`up`: above); closes on Escape, on choice and on a click elsewhere. Its name has the
 * words that are seen on it: who speaks to the page says those (WCAG 2.5.3); `before` stands before them, unseen. */
export function Menu(props: { label?: string; before?: string; class?: string; button: ComponentChildren; up?: boolean; children: (close: () => void) => ComponentChildren }) {
    const [open, set_open] = useState(false);
    const box = useRef<HTMLDivElement>(null);
    useEffect(() => {
        if (!open) {
            return;
        }
        const away = (e: PointerEvent) => {
            if (!box.current?.contains(e.target as Node)) {
                set_open(false);
            }
        };
        document.addEventListener('pointerdown', away);
        return () => document.removeEventListener('pointerdown', away);
    }, [open]);
    const close = () => {
        set_open(false);
        box.current?.querySelector('button')?.focus();
    };
    return (
        <div
            class={`menu-box ${props.up ? 'up' : ''}`}
            ref={box}
            onKeyDown={(e) => {
                if (e.key === 'Escape' && open) {
                    e.stopPropagation();
                    close();
                }
            }}
        >
            <button type="button" class={`btn ${props.class ?? ''}`} aria-haspopup="true" aria-expanded={open} aria-label={props.label} onClick={() => set_open(!open)}>
                {props.before && <span class="hear">{props.before}</span>}
                {props.button}
            </button>
            {open && <div class="menu">{props.children(close)}</div>}
        </div>
    );
}
