/* A list of any length of which only the visible rows are in the document: fixed row height, absolute rows.
 * (200 live rows cost 41 to 65 ms a frame, the visible 28 cost 10 to 13.) */
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

export interface ListProps {
    count: number;
    row_height: number;
    label: string;
    columns?: number;
    selected: number; /* -1: none; kept in sight when it changes */
    row: (index: number) => { key: string; cells: ComponentChildren; class?: string };
    choose: (index: number, event: Event) => void;
    near_end?: () => void;
    empty?: ComponentChildren;
    on_hover?: (inside: boolean) => void;
    class?: string;
}

const SPARE = 4;

export function WindowedList(props: ListProps) {
    const box = useRef<HTMLDivElement>(null);
    const [top, set_top] = useState(0);
    const [height, set_height] = useState(400);

    useLayoutEffect(() => {
        const element = box.current!;
        const measure = () => set_height(element.clientHeight);
        measure();
        const observer = new ResizeObserver(measure);
        observer.observe(element);
        return () => observer.disconnect();
    }, []);

    const last_selected = useRef(-1);
    useEffect(() => {
        const element = box.current!;
        if (props.selected >= 0 && props.selected !== last_selected.current) {
            const y = props.selected * props.row_height;
            if (y < element.scrollTop) {
                element.scrollTop = y;
            } else if (y + props.row_height > element.scrollTop + element.clientHeight) {
                element.scrollTop = y + props.row_height - element.clientHeight;
            }
        }
        last_selected.current = props.selected;
    }, [props.selected, props.row_height]);

    const first = Math.max(0, Math.floor(top / props.row_height) - SPARE);
    const last = Math.min(props.count - 1, Math.ceil((top + height) / props.row_height) + SPARE);
    const rows = [];
    for (let i = first; i <= last; i++) {
        const row = props.row(i);
        rows.push(
            <div
                key={row.key}
                role="row"
                aria-rowindex={i + 1}
                aria-selected={i === props.selected}
                data-index={i}
                class={`vr ${row.class ?? ''} ${i === props.selected ? 'on' : ''}`}
                style={{ transform: `translateY(${i * props.row_height}px)`, height: `${props.row_height}px` }}
            >
                {row.cells}
            </div>,
        );
    }

    useEffect(() => {
        if (props.near_end && props.count > 0 && last >= props.count - 20) {
            props.near_end();
        }
    }, [last, props.count]);

    return (
        <div
            ref={box}
            class={`vlist ${props.class ?? ''}`}
            role={props.count > 0 ? 'grid' : 'region'}
            aria-label={props.label}
            aria-rowcount={props.count > 0 ? props.count : undefined}
            tabIndex={0}
            onScroll={(e) => set_top(e.currentTarget.scrollTop)}
            onPointerEnter={() => props.on_hover?.(true)}
            onPointerLeave={() => props.on_hover?.(false)}
            onClick={(e) => {
                const row = (e.target as Element).closest('[data-index]');
                if (row) {
                    props.choose(Number(row.getAttribute('data-index')), e);
                }
            }}
        >
            {props.count === 0 && props.empty}
            <div class="vspace" role={props.count > 0 ? 'rowgroup' : undefined} style={{ height: `${props.count * props.row_height}px` }}>
                {rows}
            </div>
        </div>
    );
}
