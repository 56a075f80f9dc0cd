/* When nothing matches: which term of the filter is to blame, and one click that drops it. */
import { useEffect } from 'preact/hooks';
import { useSignal } from '@preact/signals';
import { chip, conjuncts, join } from '../../lib/filter';
import { plural, safe } from '../../lib/format';
import { counted, get } from '../../live/rest';
import { view } from '../../live/store';
import { Empty } from '../../ui/parts';
import { show_value } from './facets';

const TERMS_MAX = 8; /* a question each */

interface Without {
    piece: string;
    filter: string;
    matched: number;
}

/* How many flows there would be without each of the terms; the most first, null while it is being asked. */
function use_without(filter: string, all: boolean): Without[] | null {
    const found = useSignal<Without[] | null>(null);
    const pieces = conjuncts(filter);
    useEffect(() => {
        found.value = null;
        if (pieces.length < 2 || pieces.length > TERMS_MAX) {
            found.value = [];
            return undefined;
        }
        const abort = new AbortController();
        const { from_ms, to_ms } = view();
        const ask = async (piece: string, i: number): Promise<Without> => {
            const rest = join(pieces.filter((_, j) => j !== i));
            const answer = counted(await get('/v1/flows', { filter: rest, page_size: 1, ...(all ? { dedup: 'ALL' } : {}), from: Math.floor(from_ms), to: Math.ceil(to_ms) }, abort.signal));
            return { piece, filter: rest, matched: answer.matched ?? 0 };
        };
        Promise.all(pieces.map(ask))
            .then((list) => (found.value = list.filter((w) => w.matched > 0).sort((a, b) => b.matched - a.matched)))
            .catch(() => abort.signal.aborted || (found.value = []));
        return () => abort.abort();
    }, [filter, all]);
    return found.value;
}

function words(piece: string): string {
    const c = chip(piece);
    return c.field ? `${c.negated ? 'not ' : ''}${safe(c.field)} ${c.operator === '=' || c.operator === '!=' ? '' : `${c.operator} `}${show_value(c.field, c.value)}` : safe(piece);
}

export function NoMatch({ filter, all, run }: { filter: string; all: boolean; run: (f: string) => void }) {
    const without = use_without(filter, all);
    if (!filter) {
        return (
            <Empty>
                <p>No flow in this time.</p>
            </Empty>
        );
    }
    return (
        <Empty>
            <p>No flow in this time matches the filter.{without !== null && without.length > 0 && ' It would without:'}</p>
            {without?.map((w) => (
                <button type="button" class="btn small without" key={w.piece} title="Drop this term" onClick={() => run(w.filter)}>
                    <b class="cut">{words(w.piece)}</b> <span class="dim">{plural(w.matched, 'flow')}</span>
                </button>
            ))}
            <button type="button" class="btn small" onClick={() => run('')}>
                Show all flows
            </button>
        </Empty>
    );
}
