/* The loss ledger in short: the collector's own stages, and of each sensor what it lost. The page Sensors has all rows. */
import { useSignal, type Signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { safe, whole } from '../../lib/format';
import { get } from '../../live/rest';
import { href, reload, sensor_name } from '../../live/store';
import { Empty, Failed, Loading, Panel } from '../../ui/parts';
import { Lost, read_parts, type LedgerPart } from '../ledger';

const EVERY_MS = 10_000;

export interface LedgerNow {
    value: LedgerPart[] | null;
    error: Signal<unknown>;
}

export function use_ledger(): LedgerNow {
    const parts = useSignal<LedgerPart[] | null>(null);
    const error = useSignal<unknown>(null);
    const again = reload.value;
    useEffect(() => {
        const stop = new AbortController();
        const load = () =>
            get('/v1/ledger', {}, stop.signal)
                .then((b) => {
                    parts.value = read_parts(b);
                    error.value = null;
                })
                .catch((e: unknown) => {
                    if (!stop.signal.aborted) {
                        error.value = e;
                    }
                });
        void load();
        const timer = window.setInterval(load, EVERY_MS);
        return () => {
            window.clearInterval(timer);
            stop.abort();
        };
    }, [again]);
    return { value: parts.value, error };
}

const lost_of = (part: LedgerPart) => part.rows.flatMap((r) => r.lost);
const own = (parts: LedgerPart[]) => parts.find((p) => p.title === 'collector') ?? { title: 'collector', rows: [] };

export function ledger_lines(parts: LedgerPart[]): string {
    const line = (what: string, lost: { reason: string; count: number }[]) => `  ${what}: ${lost.length === 0 ? 'nothing lost' : `lost ${lost.map((l) => `${whole(l.count)} ${l.reason}`).join(', ')}`}`;
    return ['Loss ledger', ...own(parts).rows.map((r) => line(`collector ${r.stage}${r.name ? ` ${r.name}` : ''}, ${whole(r.in)} ${r.unit} in, ${whole(r.out)} out, ${whole(r.held)} held`, r.lost)), ...parts.filter((p) => p.title !== 'collector').map((p) => line(`sensor ${p.title}`, lost_of(p)))].join('\n');
}

export function LedgerShort({ ledger }: { ledger: LedgerNow }) {
    const parts = ledger.value;
    const sensors = (parts ?? []).filter((p) => p.title !== 'collector');
    return (
        <Panel
            class="sy-half"
            title="Loss ledger"
            sub="where packets and records went"
            tools={
                <a class="go" href={href('sensors')}>
                    all stages
                </a>
            }
        >
            {parts === null && ledger.error.value !== null ? (
                <Failed what="The ledger could not be read." error={ledger.error.value} retry={() => reload.value++} />
            ) : parts === null ? (
                <Loading rows={5} />
            ) : parts.every((p) => p.rows.length === 0) ? (
                <Empty>Nothing has been counted yet.</Empty>
            ) : (
                <div class="tscroll hp-list" tabIndex={0} role="region" aria-label="Loss ledger in short">
                    <table class="mini">
                        <thead>
                            <tr>
                                <th scope="col">Of</th>
                                <th scope="col">Stage</th>
                                <th scope="col" class="num">In</th>
                                <th scope="col" class="num">Out</th>
                                <th scope="col" class="num hide-m">Held</th>
                                <th scope="col" class="num">Lost</th>
                            </tr>
                        </thead>
                        <tbody>
                            {own(parts).rows.map((r) => (
                                <tr key={`${r.stage} ${r.name}`}>
                                    <td>collector</td>
                                    <td>
                                        {r.stage} <span class="dim">{safe(r.name) || r.unit}</span>
                                    </td>
                                    <td class="num">{whole(r.in)}</td>
                                    <td class="num">{whole(r.out)}</td>
                                    <td class="num hide-m">{whole(r.held)}</td>
                                    <td class="num">
                                        <Lost of={r.lost} />
                                    </td>
                                </tr>
                            ))}
                            {sensors.map((p) => (
                                <tr key={p.title}>
                                    <td>{safe(sensor_name(p.title))}</td>
                                    <td class="dim">all stages</td>
                                    <td />
                                    <td />
                                    <td class="hide-m" />
                                    <td class="num">
                                        <Lost of={lost_of(p)} />
                                    </td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
        </Panel>
    );
}
