/* The lists on the page of a host: each asks by itself, so that one that fails leaves the others. */
import type { ComponentChildren } from 'preact';
import { term } from '../../lib/filter';
import { ago, app_name, bytes, moment, ms, NONE, safe, whole } from '../../lib/format';
import { both, bytes_of, host_filter, read_about, read_parties, read_sums, type About as Told, type Party, type Sum } from '../../lib/hosts';
import { use_history, type Asked } from '../../live/query';
import { alert_title } from '../../live/records';
import { get } from '../../live/rest';
import { alerts_state, app_slot, href, param, reload, server_now, why_hidden } from '../../live/store';
import { Severity } from '../../ui/icons';
import { MiniTable } from '../../ui/mini_table';
import { Dot, Empty, Failed, Loading, Middle, Panel } from '../../ui/parts';
import { alerts_about, ERRORS_MATTER, Pivot, RETRANSMITS_MATTER, RTT_MATTERS_MS, Share } from './parts';

const ROWS = 50;

interface Listed {
    about: Told;
    rows: Sum[];
}

function use_sums(group_by: string[], own: string, filter: string): Asked<Listed> {
    return use_history(JSON.stringify([group_by, own, filter]), async (span, signal) => {
        const b = await get('/v1/query:aggregate', { group_by, filter: both(filter, own), limit: ROWS, from: span.from, to: span.to }, signal);
        return { about: read_about(b), rows: read_sums(b) };
    });
}

function Listing<T>(props: { of: Asked<T>; truncated: string; empty: string; rows: number; children: ComponentChildren }) {
    if (props.of.error !== null && props.of.answer === null) {
        return <Failed what="This could not be read." error={props.of.error} retry={() => reload.value++} />;
    }
    if (props.of.answer === null) {
        return <Loading rows={4} />;
    }
    return props.rows === 0 ? (
        <Empty>{props.empty}</Empty>
    ) : (
        <>
            {props.truncated && (
                <p class="map-note" role="status">
                    Not all of it: {safe(props.truncated)}.
                </p>
            )}
            {props.children}
        </>
    );
}

function Bar({ part, top, slot = 1 }: { part: number; top: number; slot?: number }) {
    return <i class={`under k${slot}`} aria-hidden="true" style={{ width: `${top > 0 ? (100 * part) / top : 0}%` }} />;
}

const RTT = ({ of }: { of: number | null }) => <span class={(of ?? 0) >= RTT_MATTERS_MS ? 'warm' : ''}>{of === null ? NONE : ms(of)}</span>;

export function Peers(props: { host: string; filter: string; peers: Party[]; found: number; self: Party }) {
    const top = Math.max(1, ...props.peers.map(bytes_of));
    const all = href('hosts', { f: both(props.filter, host_filter(props.host)) });
    return (
        <Panel
            class="hp-half"
            title="Peers"
            sub={props.found > props.peers.length ? `the largest ${props.peers.length} of ${whole(props.found)}` : whole(props.found)}
            tools={
                <a class="go" href={all}>
                    in the list
                </a>
            }
        >
            {props.peers.length === 0 ? (
                <Empty>It talks with nobody but itself.</Empty>
            ) : (
                <MiniTable label="Peers" head={[['Peer', false], ['Bytes', true], ['From it', true, 'hide-m'], ['To it', true, 'hide-m'], ['Flows', true], ['RTT', true, 'hide-m'], ['Retr.', true, 'hide-m'], ['Failed', true]]}>
                    {props.peers.map((p) => (
                        <tr key={p.key}>
                            <td class="who">
                                <Bar part={bytes_of(p)} top={top} />
                                <a href={href('hosts', { host: p.address, f: props.filter })} title={`the page of ${safe(p.address)}`}>
                                    {safe(p.address)}
                                </a>
                                {p.name && (
                                    <span class="dim">
                                        {' '}
                                        <Middle text={p.name} />
                                    </span>
                                )}
                            </td>
                            <td class="num">{bytes(bytes_of(p))}</td>
                            <td class="num dim hide-m">{bytes(p.sent)}</td>
                            <td class="num dim hide-m">{bytes(p.received)}</td>
                            <td class="num">
                                <Pivot field="ip" value={p.address} within={both(props.filter, host_filter(props.host))}>
                                    {whole(p.flows)}
                                </Pivot>
                            </td>
                            <td class="num hide-m">
                                <RTT of={p.rtt_ms} />
                            </td>
                            <td class="num hide-m">
                                <Share of={p.retransmit_ratio} matters={RETRANSMITS_MATTER} />
                            </td>
                            <td class="num">
                                <Share of={p.error_rate} matters={ERRORS_MATTER} />
                            </td>
                        </tr>
                    ))}
                </MiniTable>
            )}
        </Panel>
    );
}

export function Served({ address, filter }: { address: string; filter: string }) {
    const own = both(filter, term('server.ip', address));
    const of = use_history(JSON.stringify([own]), async (span, signal) => read_parties(await get('/v1/services', { filter: own, limit: ROWS, from: span.from, to: span.to }, signal)));
    const rows = of.answer?.rows ?? [];
    const top = Math.max(1, ...rows.map(bytes_of));
    return (
        <Panel class="hp-half" title="Ports it serves" sub={of.answer && of.answer.found > rows.length ? `the largest ${rows.length} of ${whole(of.answer.found)}` : ''}>
            <Listing of={of} truncated={of.answer?.truncated ?? ''} empty="Nobody asked it for anything in this time." rows={rows.length}>
                <MiniTable label="Ports it serves" head={[['Port', false], ['Application', false], ['Clients', true], ['Bytes', true], ['Flows', true, 'hide-m'], ['RTT', true, 'hide-m'], ['Retr.', true, 'hide-m'], ['Failed', true]]}>
                    {rows.map((p) => (
                        <tr key={p.key}>
                            <td class="who">
                                <Bar part={bytes_of(p)} top={top} slot={app_slot(p.app)} />
                                <Pivot field="server.port" value={String(p.port)} within={own}>
                                    {p.port}
                                </Pivot>
                                <span class="dim"> {safe(p.protocol)}</span>
                            </td>
                            <td>{p.app ? <Pivot field="app" value={p.app} within={own}>{app_name(p.app)}</Pivot> : <span class="dim">unknown</span>}</td>
                            <td class="num">{whole(p.peers)}</td>
                            <td class="num">{bytes(bytes_of(p))}</td>
                            <td class="num hide-m">{whole(p.flows)}</td>
                            <td class="num hide-m">
                                <RTT of={p.rtt_ms} />
                            </td>
                            <td class="num hide-m">
                                <Share of={p.retransmit_ratio} matters={RETRANSMITS_MATTER} />
                            </td>
                            <td class="num">
                                <Share of={p.error_rate} matters={ERRORS_MATTER} />
                            </td>
                        </tr>
                    ))}
                </MiniTable>
            </Listing>
        </Panel>
    );
}

const sum_bytes = (r: Sum) => r.forward + r.reverse;

interface SumsProps {
    label: string;
    head: string;
    of: Asked<Listed>;
    empty: string;
    cell: (r: Sum) => ComponentChildren;
    slot?: (r: Sum) => number;
}

/* Values with their bytes and flows. */
function Sums(props: SumsProps) {
    const rows = props.of.answer?.rows ?? [];
    const top = Math.max(1, ...rows.map(sum_bytes));
    return (
        <Listing of={props.of} truncated={props.of.answer?.about.truncated ?? ''} empty={props.empty} rows={rows.length}>
            <MiniTable label={props.label} head={[[props.head, false], ['Bytes', true], ['New flows', true]]}>
                {rows.map((r, i) => (
                    <tr key={`${i}${r.key.join(' ')}`}>
                        <td class="who">
                            <Bar part={sum_bytes(r)} top={top} slot={props.slot?.(r) ?? 1} />
                            {r.other ? <span class="dim">all others</span> : props.cell(r)}
                        </td>
                        <td class="num">{bytes(sum_bytes(r))}</td>
                        <td class="num dim">{whole(r.flows)}</td>
                    </tr>
                ))}
            </MiniTable>
        </Listing>
    );
}

export function Used({ address, filter }: { address: string; filter: string }) {
    const own = term('client.ip', address);
    return (
        <Panel class="hp-third" title="Ports it uses">
            <Sums
                label="Ports it uses"
                head="Port"
                of={use_sums(['server_port', 'application'], own, filter)}
                empty="It opened no flow in this time."
                slot={(r) => app_slot(r.key[1] ?? '')}
                cell={(r) => (
                    <>
                        <Pivot field="server.port" value={r.key[0] ?? ''} within={both(filter, own)}>
                            {safe(r.key[0])}
                        </Pivot>
                        <span class="dim"> {app_name(r.key[1] ?? '')}</span>
                    </>
                )}
            />
        </Panel>
    );
}

export function Applications({ address, filter }: { address: string; filter: string }) {
    const own = host_filter(address);
    return (
        <Panel class="hp-third" title="Applications">
            <Sums
                label="Applications"
                head="Application"
                of={use_sums(['application'], own, filter)}
                empty="No traffic."
                slot={(r) => app_slot(r.key[0] ?? '')}
                cell={(r) => (
                    <>
                        <Dot slot={app_slot(r.key[0] ?? '')} /> {r.key[0] ? <Pivot field="app" value={r.key[0]} within={both(filter, own)}>{app_name(r.key[0])}</Pivot> : <span class="dim">unknown</span>}
                    </>
                )}
            />
        </Panel>
    );
}

/* What others call it by, and what it calls others. */
export function Names({ address, filter }: { address: string; filter: string }) {
    const served = term('server.ip', address);
    const used = term('client.ip', address);
    const own = use_sums(['server_name'], served, filter);
    const called = use_sums(['server_name'], used, filter);
    const named = (of: Asked<Listed>): Asked<Listed> => (of.answer ? { ...of, answer: { ...of.answer, rows: of.answer.rows.filter((r) => r.other || r.key[0]) } } : of);
    const cell = (within: string) => (r: Sum) => (
        <Pivot field="server.name" value={r.key[0]} within={both(filter, within)} title={safe(r.key[0])}>
            <Middle text={r.key[0]} />
        </Pivot>
    );
    return (
        <Panel class="hp-third" title="Names">
            <Sums label="Names it is called by" head="Called by" of={named(own)} empty="Nobody called it by a name." cell={cell(served)} />
            <Sums label="Names that it calls" head="Calls" of={named(called)} empty="It called nobody by a name." cell={cell(used)} />
        </Panel>
    );
}

/* Alerts of this time that name it. */
export function About({ address }: { address: string }) {
    const found = alerts_about(address);
    const now = server_now();
    const state = alerts_state.value;
    return (
        <Panel
            class="hp-about"
            title="Alerts about it"
            sub={found.length > 0 ? `${whole(found.filter((a) => a.open).length)} open of ${whole(found.length)}` : ''}
            tools={
                <a class="go" href={href('alerts', param('state') ? { state: param('state') } : {})}>
                    all
                </a>
            }
        >
            {typeof state === 'object' ? (
                <Failed what="The alerts could not be read." error={state.error} retry={() => reload.value++} />
            ) : found.length === 0 ? (
                <Empty>
                    <Severity level="ok" /> No alert of this time names it.
                </Empty>
            ) : (
                <div class="al hp-al" tabIndex={0} role="region" aria-label="Alerts about it">
                    {found.slice(0, 30).map((a) => (
                        <a class="ai" key={a.id} href={href('alerts', { sel: a.id })} title={safe(a.description)}>
                            <Severity level={a.severity} />
                            <span class="t">{safe(alert_title(a))}</span>
                            <span class="w" title={a.first_ms === null ? '' : moment(a.first_ms, now)}>
                                {a.last_ms === null ? NONE : ago(now - a.last_ms)}
                            </span>
                            <span class="e">{a.attackers.some((p) => p.ip === address) ? 'from it' : 'against it'}</span>
                            <span class="x">{why_hidden(a) || (a.open ? 'open' : 'closed')}</span>
                        </a>
                    ))}
                </div>
            )}
        </Panel>
    );
}
