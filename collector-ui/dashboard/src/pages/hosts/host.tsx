/* One host: what it sends and receives, whom it meets, what it offers and asks for, and what is said of it. With `vs` another
 * one beside it. */
import { useState } from 'preact/hooks';
import { use_keys } from '../../keys';
import { app_name, bytes, moment, ms, NONE, safe, whole } from '../../lib/format';
import { both, host_filter, read_parties, type Parties, type Party } from '../../lib/hosts';
import { use_history, type Asked } from '../../live/query';
import { get, Problem } from '../../live/rest';
import { go, href, param, patch, reload, server_now } from '../../live/store';
import { CopyButton, Empty, Failed, Loading, Panel } from '../../ui/parts';
import { Chips, QueryLine } from '../../ui/query';
import { OnTheLink } from './assets';
import { Traffic } from './chart';
import { About, Applications, Names, Peers, Served, Used } from './panels';
import { ERRORS_MATTER, Partial, RETRANSMITS_MATTER, Share } from './parts';

const PEERS = 50;

/* The host itself and the largest of its peers, in one answer. */
export function use_host(address: string, filter: string): Asked<Parties> {
    return use_history(JSON.stringify(['host', address, filter]), async (span, signal) =>
        address === '' ? read_parties({}) : read_parties(await get('/v1/hosts', { peer_of: address, filter, limit: PEERS, from: span.from, to: span.to }, signal)),
    );
}

export function HostPage({ address }: { address: string }) {
    const filter = param('f');
    const beside = param('vs');
    const own = use_host(address, filter);
    const other = use_host(beside, filter);
    const run = (f: string) => patch({ f });
    const flows = () => go('flows', { f: both(filter, host_filter(address)) });
    use_keys([
        { keys: 'f', does: 'filter', group: 'Host', run: () => document.getElementById('filter')?.focus() },
        { keys: 'c', does: 'compare with another', group: 'Host', run: () => document.getElementById('host-vs')?.focus() },
        { keys: 'o', does: 'its flows', group: 'Host', run: flows },
        { keys: 'Escape', does: 'back to the list', group: 'Host', run: () => (beside ? patch({ vs: '' }) : go('hosts', { f: filter })) },
    ]);
    const self = own.answer?.self ?? null;
    const wrong = own.error instanceof Problem && own.error.reason === 'INVALID_FILTER';
    return (
        <div class="hostp">
            <QueryLine value={filter} run={run} values={{}} />
            <Chips value={filter} run={run} show_value={(field, value) => (field === 'app' ? app_name(value) : safe(value))}>
                <nav class="crumbs" aria-label="Host">
                    <a href={href('hosts', { f: filter })}>Hosts</a> <span aria-hidden="true">›</span> <b>{safe(address)}</b>
                    {self?.name && <span class="dim"> {safe(self.name)}</span>}
                </nav>
                <span class="acts">
                    <button type="button" class="btn small" onClick={flows}>
                        Flows
                    </button>
                    <a class="btn small" href={href('map', { f: both(filter, host_filter(address)) })}>
                        Map
                    </a>
                    <CopyButton text={address} label="Copy" />
                </span>
                <Compare address={address} beside={beside} />
            </Chips>
            {own.answer && <Partial about={own.answer} error={own.error} />}
            {own.error !== null && own.answer === null ? (
                <Failed what={wrong ? 'The filter was not understood.' : 'The host could not be read.'} error={own.error} retry={() => reload.value++} />
            ) : own.answer === null ? (
                <Loading rows={8} what="Reading the host" />
            ) : self === null ? (
                <>
                    <Empty>
                        <p>
                            {safe(address)} has no flow in this time{filter ? ' that matches the filter' : ''}. A longer time range may have some.
                        </p>
                        {filter && (
                            <button type="button" class="btn small" onClick={() => run('')}>
                                drop the filter
                            </button>
                        )}
                    </Empty>
                    <div class="grid hostg">
                        <OnTheLink address={address} quiet />
                    </div>
                </>
            ) : (
                <div class="grid hostg">
                    <Figures columns={beside ? [self, other.answer?.self ?? null] : [self]} names={beside ? [address, beside] : [address]} error={beside ? other.error : null} />
                    <Traffic address={address} filter={filter} wide={!beside} />
                    {beside ? <Traffic address={beside} filter={filter} wide={false} /> : <About address={address} />}
                    <OnTheLink address={address} />
                    <Peers host={address} filter={filter} peers={own.answer.rows} found={own.answer.found} self={self} />
                    <Served address={address} filter={filter} />
                    <Used address={address} filter={filter} />
                    <Applications address={address} filter={filter} />
                    <Names address={address} filter={filter} />
                    {beside && <About address={address} />}
                </div>
            )}
        </div>
    );
}

/* An address to be put beside this one. */
function Compare({ address, beside }: { address: string; beside: string }) {
    const [draft, set_draft] = useState('');
    return beside ? (
        <span class="chip">
            beside{' '}
            <b>
                <a href={href('hosts', { host: beside, vs: address, f: param('f') })}>{safe(beside)}</a>
            </b>
            <button type="button" aria-label="Show one host alone" onClick={() => patch({ vs: '' })}>
                ×
            </button>
        </span>
    ) : (
        <form
            class="find"
            onSubmit={(e) => {
                e.preventDefault();
                const wanted = draft.trim();
                if (wanted !== '' && wanted !== address) {
                    set_draft('');
                    patch({ vs: wanted });
                }
            }}
        >
            <input id="host-vs" value={draft} placeholder="Compare with an address" aria-label="Compare with an address" autocomplete="off" spellcheck={false} maxLength={45} onInput={(e) => set_draft(e.currentTarget.value)} onKeyDown={(e) => e.key === 'Escape' && e.currentTarget.blur()} />
        </form>
    );
}

const FIGURES: [string, (p: Party, now: number) => preact.ComponentChildren][] = [
    ['Received', (p) => bytes(p.received)],
    ['Sent', (p) => bytes(p.sent)],
    ['Packets', (p) => whole(p.packets)],
    ['Flows', (p) => whole(p.flows)],
    ['… it served', (p) => whole(p.served)],
    ['Peers', (p) => whole(p.peers)],
    ['Round trip', (p) => (p.rtt_ms === null ? NONE : ms(p.rtt_ms))],
    ['Retransmitted', (p) => <Share of={p.retransmit_ratio} matters={RETRANSMITS_MATTER} />],
    ['Failed flows', (p) => <Share of={p.error_rate} matters={ERRORS_MATTER} />],
    ['First seen', (p, now) => (p.first_ms === null ? NONE : moment(p.first_ms, now))],
    ['Last seen', (p, now) => (p.last_ms === null ? NONE : moment(p.last_ms, now))],
];

function Figures({ columns, names, error }: { columns: (Party | null)[]; names: string[]; error: unknown }) {
    const now = server_now();
    return (
        <Panel class="hp-fig" title="In this time" sub={columns.length > 1 ? 'side by side' : ''}>
            <table class="figures">
                {columns.length > 1 && (
                    <thead>
                        <tr>
                            <td />
                            {names.map((name) => (
                                <th key={name} scope="col" title={safe(name)}>
                                    {safe(name)}
                                </th>
                            ))}
                        </tr>
                    </thead>
                )}
                <tbody>
                    {FIGURES.map(([title, cell]) => (
                        <tr key={title}>
                            <th scope="row">{title}</th>
                            {columns.map((p, i) => (
                                <td key={i} class="num">
                                    {p === null ? NONE : cell(p, now)}
                                </td>
                            ))}
                        </tr>
                    ))}
                </tbody>
            </table>
            {columns.length > 1 && columns[1] === null && (
                <p class="map-note" role="status">
                    {error !== null ? `${safe(names[1])} could not be read${error instanceof Problem ? `: ${safe(error.detail)}` : '.'}` : `${safe(names[1])} has no flow in this time.`}
                </p>
            )}
        </Panel>
    );
}

