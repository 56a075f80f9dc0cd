/* What a host receives (up) and sends (down) over the time on screen. */
import { useState } from 'preact/hooks';
import { term } from '../../lib/filter';
import { safe, span } from '../../lib/format';
import { both, columns_of } from '../../lib/hosts';
import { step_for, TimeRing } from '../../lib/time_ring';
import { use_history, type Span } from '../../live/query';
import { get } from '../../live/rest';
import type { SeriesData } from '../../live/series';
import { connection, reload, set_range, view } from '../../live/store';
import { Chart } from '../../ui/chart';
import { Icon } from '../../ui/icons';
import { alert_marks } from '../../ui/marks';
import { Dot, Failed, Loading, Panel } from '../../ui/parts';
import { alerts_about } from './parts';

const POINTS = 240;

async function ask(address: string, filter: string, w: Span, signal: AbortSignal): Promise<SeriesData> {
    const step_ms = step_for(w.to_ms - w.from_ms, POINTS);
    const side = (field: string) => get('/v1/query:aggregate', { filter: both(filter, term(field, address)), step: `${step_ms / 1000}s`, from: w.from, to: w.to }, signal);
    const [as_client, as_server] = await Promise.all([side('client.ip'), side('server.ip')]);
    const { t, received, sent } = columns_of(as_client, as_server, w.from_ms, w.to_ms, step_ms);
    const make = (column: (number | null)[]) => {
        const ring = new TimeRing(['total'], step_ms, Math.max(2, t.length));
        ring.fill(t, [column], w.to_ms);
        return ring;
    };
    const partial = as_client.truncated === true || as_server.truncated === true;
    return { state: 'ready', error: null, keys: ['total'], input: make(received), output: make(sent), step_ms, quality: partial ? 'partial' : 'exact', merged: as_client.dedup === 'DEDUP_MERGED', from_ms: w.from_ms, to_ms: w.to_ms };
}

export function Traffic({ address, filter, wide }: { address: string; filter: string; wide: boolean }) {
    const [table, set_table] = useState(false);
    const { answer, error } = use_history(JSON.stringify([address, filter]), (w, signal) => ask(address, filter, w, signal));
    return (
        <Panel
            class={`hp-chart ${wide ? 'wide' : ''}`}
            title={wide ? 'Traffic' : safe(address)}
            label={`Traffic of ${safe(address)}`}
            sub={
                <>
                    bit/s{answer && ` per ${span(answer.step_ms)}`}
                    {answer && answer.quality !== 'exact' && <span class="tag">{answer.quality}</span>}
                </>
            }
            tools={
                <>
                    <span class="keys-inout hide-m">
                        <Dot slot={1} /> received above, sent below
                    </span>
                    <button type="button" class={`bare tool ${table ? 'on' : ''}`} aria-pressed={table} aria-label="Show as table" title="Show as table" onClick={() => set_table(!table)}>
                        <Icon name="table" size={14} />
                    </button>
                </>
            }
        >
            {error !== null && answer === null ? (
                <Failed what="The traffic could not be read." error={error} retry={() => reload.value++} />
            ) : answer === null ? (
                <Loading rows={5} what="Reading history" />
            ) : (
                <Chart
                    data={answer}
                    title={`Traffic of ${safe(address)}, received and sent`}
                    unit="bit/s"
                    name={() => 'received / sent'}
                    color={() => 1}
                    window={view}
                    markers={alert_marks(alerts_about(address))}
                    stale={connection.value.state === 'lost'}
                    as_table={table}
                    zoom={(from_ms, to_ms) => set_range({ kind: 'fixed', from_ms: Math.floor(from_ms), to_ms: Math.ceil(to_ms) })}
                />
            )}
        </Panel>
    );
}
