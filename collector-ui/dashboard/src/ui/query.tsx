/* The filter line: coloured as it is typed, checked by the collector, errors underlined where they are, completion. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { safe } from '../lib/format';
import { chip, complete, conjuncts, index_of_byte, join, tokenize, type Suggestion } from '../lib/filter';
import { get, Problem } from '../live/rest';
import { Icon } from './icons';

export interface QueryProps {
    value: string;
    run: (filter: string) => void;
    values: Record<string, { value: string; note: string }[]>;
}

const CHECK_AFTER_MS = 250;

interface Fault {
    text: string;
    from: number;
    to: number;
}

export function QueryLine(props: QueryProps) {
    const [draft, set_draft] = useState(props.value);
    const [fault, set_fault] = useState<Fault | null>(null);
    const [list, set_list] = useState<Suggestion[]>([]);
    const [pick, set_pick] = useState(-1);
    const input = useRef<HTMLInputElement>(null);
    const paint = useRef<HTMLDivElement>(null);
    const next_caret = useRef<number | null>(null);

    useEffect(() => {
        set_draft(props.value);
        set_list([]);
    }, [props.value]);

    useEffect(() => {
        set_fault(null);
        if (draft.trim() === '') {
            return;
        }
        const abort = new AbortController();
        const timer = window.setTimeout(() => {
            get('/v1/filter:check', { filter: draft }, abort.signal).catch((error: unknown) => {
                if (error instanceof Problem && error.status === 400) {
                    const at = error.pos === null ? 0 : index_of_byte(draft, error.pos);
                    const token = tokenize(draft).find((t) => at >= t.at && at < t.at + t.text.length && t.kind !== 'space');
                    set_fault({ text: error.detail, from: token?.at ?? Math.max(0, Math.min(at, draft.length - 1)), to: token ? token.at + token.text.length : draft.length });
                }
            });
        }, CHECK_AFTER_MS);
        return () => {
            window.clearTimeout(timer);
            abort.abort();
        };
    }, [draft]);

    useLayoutEffect(() => {
        if (next_caret.current !== null && input.current) {
            input.current.setSelectionRange(next_caret.current, next_caret.current);
            next_caret.current = null;
        }
    });

    const sync = () => {
        if (paint.current && input.current) {
            paint.current.scrollLeft = input.current.scrollLeft;
        }
    };
    const suggest = (text: string) => {
        const caret = input.current?.selectionStart ?? text.length;
        set_list(complete(text, caret, props.values));
        set_pick(-1);
    };
    const take = (s: Suggestion) => {
        const after = draft.slice(s.to);
        const text = `${draft.slice(0, s.from)}${s.text} ${after.replace(/^ /, '')}`;
        next_caret.current = s.from + s.text.length + 1;
        set_draft(text);
        set_list([]);
        input.current?.focus();
    };
    const run = () => {
        set_list([]);
        props.run(draft.trim());
    };
    const on_key = (e: KeyboardEvent) => {
        if (e.key === 'ArrowDown' && list.length) {
            e.preventDefault();
            set_pick((pick + 1) % list.length);
        } else if (e.key === 'ArrowUp' && list.length) {
            e.preventDefault();
            set_pick((pick - 1 + list.length) % list.length);
        } else if ((e.key === 'Tab' || e.key === 'Enter') && list.length && pick >= 0 && !e.ctrlKey) {
            e.preventDefault();
            take(list[pick]);
        } else if (e.key === 'Enter') {
            e.preventDefault();
            run();
        } else if (e.key === 'Escape') {
            e.preventDefault();
            if (list.length) {
                set_list([]);
            } else {
                input.current?.blur();
            }
        }
    };

    return (
        <div class="qb">
            <div class={`q ${fault ? 'bad' : ''}`}>
                <Icon name="search" />
                <div class="q-edit">
                    <div class="q-paint" ref={paint} aria-hidden="true">
                        {tokenize(draft).map((t) => (
                            <span key={t.at} class={`t-${t.kind} ${fault && t.at >= fault.from && t.at < fault.to && t.kind !== 'space' ? 'wrong' : ''}`}>
                                {t.text}
                            </span>
                        ))}
                    </div>
                    <input
                        ref={input}
                        id="filter"
                        value={draft}
                        spellcheck={false}
                        autocomplete="off"
                        autocapitalize="off"
                        maxLength={2000}
                        placeholder="Filter, e.g. server.port = 443 AND NOT app = tls"
                        aria-label="Filter"
                        role="combobox"
                        aria-expanded={list.length > 0}
                        aria-controls="filter-list"
                        aria-autocomplete="list"
                        aria-activedescendant={pick >= 0 ? `filter-${pick}` : undefined}
                        aria-invalid={fault !== null}
                        onInput={(e) => {
                            set_draft(e.currentTarget.value);
                            suggest(e.currentTarget.value);
                        }}
                        onScroll={sync}
                        onKeyUp={sync}
                        onKeyDown={on_key}
                        onBlur={() => window.setTimeout(() => set_list([]), 150)}
                    />
                </div>
                {draft !== props.value && <kbd class="kbd hide-m">Enter</kbd>}
                {draft !== '' && (
                    <button type="button" class="bare" aria-label="Clear the filter" onClick={() => props.run('')}>
                        <Icon name="close" size={13} />
                    </button>
                )}
            </div>
            <button type="button" class="btn run" onClick={run}>
                Run
            </button>
            {fault && (
                <div class="fault" role="alert">
                    {safe(fault.text)} <span class="dim">at {fault.from + 1}</span>
                </div>
            )}
            {list.length > 0 && !(list.length === 1 && draft.endsWith(list[0].text)) && (
                <div class="sug" role="listbox" id="filter-list" aria-label="Suggestions">
                    {list.map((s, i) => (
                        <div key={s.text} id={`filter-${i}`} role="option" aria-selected={i === pick} class={i === pick ? 'on' : ''} onMouseDown={(e) => (e.preventDefault(), take(s))}>
                            <b class="mono">{safe(s.text)}</b>
                            <span>{safe(s.note)}</span>
                        </div>
                    ))}
                </div>
            )}
        </div>
    );
}

const SHORT: Record<string, string> = {
    'client.ip': 'source', 'server.ip': 'destination', 'server.port': 'port', 'server.name': 'name',
    'tls.sni': 'SNI', 'tcp.state': 'state', community_id: 'Community ID', flow_id: 'flow',
};

export function Chips(props: { value: string; run: (filter: string) => void; show_value: (field: string, value: string) => string; children?: preact.ComponentChildren }) {
    const pieces = conjuncts(props.value);
    return (
        <div class="chips">
            {pieces.map((piece, i) => {
                const c = chip(piece);
                return (
                    <span class={`chip ${c.negated ? 'not' : ''}`} key={`${i}${piece}`}>
                        {c.negated && 'not '}
                        {c.field && (SHORT[c.field] ?? safe(c.field))} <b>{c.field ? `${c.operator === '=' || c.operator === '!=' ? '' : `${c.operator} `}${props.show_value(c.field, c.value)}` : safe(c.value)}</b>
                        <button type="button" aria-label={`Remove ${piece}`} onClick={() => props.run(join(pieces.filter((_, j) => j !== i)))}>
                            ×
                        </button>
                    </span>
                );
            })}
            {props.children}
        </div>
    );
}
