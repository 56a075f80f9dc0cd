/* The list of hosts, or of services. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { use_keys } from '../../keys';
import { csv_line } from '../../lib/csv';
import { click_value } from '../../lib/filter';
import { app_name, bytes, endpoint, moment, ms, NONE, plural, safe, short_moment, whole } from '../../lib/format';
import { both, bytes_of, keep_places, party_cells, PARTY_COLUMNS, party_filter, read_parties, type Parties, type Party } from '../../lib/hosts';
import { use_history } from '../../live/query';
import type { Alert } from '../../live/records';
import { get, Problem } from '../../live/rest';
import { app_slot, go, href, param, patch, reload, server_now } from '../../live/store';
import { Severity } from '../../ui/icons';
import { WindowedList } from '../../ui/list';
import { Dot, download, Empty, Failed, Loading, Middle, Segments } from '../../ui/parts';
import { Chips, QueryLine } from '../../ui/query';
import { FoundOnLinks } from './assets';
import { alert_words, ERRORS_MATTER, open_by_host, Partial, RETRANSMITS_MATTER, RTT_MATTERS_MS, Share } from './parts';

const LIMIT = 1000; /* what an answer may hold; behind it filter and search choose */
const ROW = 26;
const ROW_PHONE = 53;
const SEARCH_AFTER_MS = 300;

interface Column {
    cls: string;
    title: string;
    order: string; /* of PartyOrder, without its prefix; '': not sorted by */
}

const HOST_COLUMNS: Column[] = [
    { cls: 'h-n', title: 'Host', order: '' },
    { cls: 'h-a', title: 'Alerts', order: '' },
    { cls: 'h-b', title: 'Bytes', order: 'BYTES' },
    { cls: 'h-s', title: 'Sent', order: 'SENT' },
    { cls: 'h-v', title: 'Received', order: 'RECEIVED' },
    { cls: 'h-f', title: 'Flows', order: 'FLOWS' },
    { cls: 'h-p', title: 'Peers', order: 'PEERS' },
    { cls: 'h-r', title: 'RTT', order: 'RTT' },
    { cls: 'h-x', title: 'Retr.', order: 'RETRANSMITS' },
    { cls: 'h-e', title: 'Failed', order: 'FAILURES' },
    { cls: 'h-t', title: 'First seen', order: 'FIRST_SEEN' },
    { cls: 'h-l', title: 'Last seen', order: 'LAST_SEEN' },
];
const title_of = (c: Column, services: boolean) => (services && c.cls === 'h-n' ? 'Service' : services && c.cls === 'h-p' ? 'Clients' : c.title);

export function HostList() {
    const services = param('v') === 'services';
    const filter = param('f');
    const search = param('q');
    const [order, way] = (param('o') || 'BYTES desc').split(' ');
    const selected = param('sel');
    const inside = useSignal(false);
    const fresh = useSignal(0);

    /* Rows keep their places while the pointer is over them or one is selected. */
    const waiting = useRef<Parties | null>(null);
    const take = (next: Parties, now: Parties | null, again: boolean): Parties => {
        if (!again || now === null || !(inside.peek() || param('sel') !== '')) {
            waiting.current = null;
            fresh.value = 0;
            return next;
        }
        const kept = keep_places(now.rows, next.rows);
        waiting.current = next;
        fresh.value = kept.fresh;
        return { ...next, rows: kept.rows };
    };
    const path = services ? '/v1/services' : '/v1/hosts';
    const { answer, error, asking } = use_history(
        JSON.stringify([path, filter, search, order, way]),
        async (span, signal) => read_parties(await get(path, { filter, search, order_by: `PARTY_ORDER_${order}`, ascending: way === 'asc' ? 'true' : '', limit: LIMIT, from: span.from, to: span.to }, signal)),
        take,
    );
    const rows = answer?.rows ?? [];
    const index = rows.findIndex((p) => p.key === selected);
    const run = (f: string) => patch({ f, sel: '' });
    const open = (p: Party) => (services ? go('flows', { f: both(filter, party_filter(p)) }) : go('hosts', { host: p.address, f: filter }));
    const select = (i: number) => {
        const row = rows[Math.max(0, Math.min(rows.length - 1, i))];
        if (row) {
            patch({ sel: row.key }, true);
        }
    };
    const save = () => {
        if (answer) {
            download(`${services ? 'services' : 'hosts'}-${new Date(server_now()).toISOString().slice(0, 19).replace(/:/g, '')}.csv`, 'text/csv;charset=utf-8', [csv_line(PARTY_COLUMNS), ...rows.map((p) => csv_line(party_cells(p)))]);
        }
    };
    use_keys([
        { keys: 'f', does: 'filter', group: 'Hosts', run: () => document.getElementById('filter')?.focus() },
        { keys: 's', does: 'search the list', group: 'Hosts', run: () => document.getElementById('host-search')?.focus() },
        { keys: 'j, ArrowDown', does: 'next', group: 'Hosts', run: () => select(index + 1) },
        { keys: 'k, ArrowUp', does: 'before', group: 'Hosts', run: () => select(index < 0 ? 0 : index - 1) },
        { keys: 'Enter', does: 'open', group: 'Hosts', run: () => (index < 0 ? select(0) : open(rows[index])) },
        { keys: 'x', does: 'leave out', group: 'Hosts', run: () => index >= 0 && run(click_value(filter, services ? 'server.ip' : 'ip', rows[index].address, 'exclude')) },
        { keys: 'v', does: 'hosts or services', group: 'Hosts', run: () => patch({ v: services ? '' : 'services', o: '', sel: '' }) },
        { keys: 'Escape', does: 'select none', group: 'Hosts', run: () => patch({ sel: '' }, true) },
        { keys: 'e', does: 'export CSV', group: 'Hosts', run: save },
    ]);

    const wrong = error instanceof Problem && error.reason === 'INVALID_FILTER';
    const what = services ? 'service' : 'host';
    return (
        <div class="whole hosts">
            <QueryLine value={filter} run={run} values={{}} />
            <Chips value={filter} run={run} show_value={(field, value) => (field === 'app' ? value.split(', ').map(app_name).join(', ') : safe(value))}>
                <Find value={search} services={services} />
                <Segments
                    label="What is listed"
                    value={services ? 'services' : 'hosts'}
                    options={[
                        ['hosts', 'Hosts'],
                        ['services', 'Services'],
                    ]}
                    choose={(v) => patch({ v: v === 'services' ? v : '', o: '', sel: '' })}
                />
            </Chips>
            <section class="panel tblw" aria-label={services ? 'Services' : 'Hosts'}>
                {answer && <Partial about={answer} error={error} />}
                {!services && <FoundOnLinks search={search} />}
                <Head services={services} order={order} way={way} />
                {error !== null && answer === null ? (
                    <Failed what={wrong ? 'The filter was not understood.' : `The ${what}s could not be read.`} error={error} retry={() => reload.value++} />
                ) : answer === null ? (
                    <Loading rows={12} what={`Looking for ${what}s`} hint="Narrow the filter or the time range: that is faster." />
                ) : (
                    <Rows
                        rows={rows}
                        whole={answer.bytes}
                        services={services}
                        selected={index}
                        hover={(v) => (inside.value = v)}
                        choose={(p, e) => {
                            const m = e as MouseEvent;
                            if (m.altKey || m.shiftKey) {
                                run(click_value(filter, services ? 'server.ip' : 'ip', p.address, m.altKey ? 'exclude' : 'only'));
                            } else {
                                open(p);
                            }
                        }}
                        empty={<Nothing what={what} filter={filter} search={search} run={run} />}
                    />
                )}
                {fresh.value > 0 && (
                    <button type="button" class="newer" onClick={() => (patch({ sel: '' }, true), (inside.value = false), reload.value++)}>
                        {fresh.value} new in the list
                    </button>
                )}
                <footer class="ft">
                    {answer && (
                        <span>
                            {rows.length < answer.found && (
                                <>
                                    the first <b>{whole(rows.length)}</b> of{' '}
                                </>
                            )}
                            <b>{whole(answer.found)}</b> {answer.found === 1 ? what : `${what}s`}
                            {(filter || search) && ' match'}
                            {answer.scanned !== null && <span class="hide-m hide-t"> · {whole(answer.scanned)} records read</span>}
                        </span>
                    )}
                    {answer && (
                        <span class="hide-m">
                            {answer.truncated ? 'partial' : 'exact'}
                            {answer.took_ms !== null && ` · ${ms(answer.took_ms)}`}
                        </span>
                    )}
                    {asking && <span>loading …</span>}
                    <span class="sp" />
                    <span class="hint hide-m hide-t">click = open · alt-click = leave out · shift-click = only</span>
                    <button type="button" class="lnk" onClick={save}>
                        CSV
                    </button>
                </footer>
            </section>
        </div>
    );
}

/* Looks through what the filter left, at the collector: it knows all rows, not only those on screen. */
function Find({ value, services }: { value: string; services: boolean }) {
    const [draft, set_draft] = useState(value);
    const timer = useRef(0);
    useEffect(() => set_draft(value), [value]);
    const run = (text: string) => patch({ q: text.trim(), sel: '' }, true);
    return (
        <label class="find">
            <input
                id="host-search"
                value={draft}
                placeholder={services ? 'Search address, name, application, port' : 'Search address, name or MAC'}
                aria-label={services ? 'Search the services' : 'Search the hosts'}
                autocomplete="off"
                spellcheck={false}
                maxLength={100}
                onInput={(e) => {
                    const text = e.currentTarget.value;
                    set_draft(text);
                    window.clearTimeout(timer.current);
                    timer.current = window.setTimeout(() => run(text), SEARCH_AFTER_MS);
                }}
                onKeyDown={(e) => {
                    if (e.key === 'Enter' || e.key === 'Escape') {
                        window.clearTimeout(timer.current);
                        run(e.key === 'Enter' ? draft : '');
                        e.currentTarget.blur();
                    }
                }}
            />
        </label>
    );
}

function Nothing(props: { what: string; filter: string; search: string; run: (f: string) => void }) {
    return (
        <Empty>
            {props.search ? (
                <>
                    <p>
                        No {props.what} in this time has <b>{safe(props.search)}</b> in it.
                    </p>
                    <button type="button" class="btn small" onClick={() => patch({ q: '' })}>
                        drop the search
                    </button>
                </>
            ) : props.filter ? (
                <>
                    <p>No flow in this time matches the filter. Drop a term above, or</p>
                    <button type="button" class="btn small" onClick={() => props.run('')}>
                        show all {props.what}s
                    </button>
                </>
            ) : (
                <p>No {props.what} in this time.</p>
            )}
        </Empty>
    );
}

function Head({ services, order, way }: { services: boolean; order: string; way: string | undefined }) {
    return (
        <div class="th hs" role="presentation">
            {HOST_COLUMNS.map((c) =>
                c.order ? (
                    <button
                        type="button"
                        key={c.cls}
                        class={`${c.cls} ${order === c.order ? 'so' : ''}`}
                        aria-label={`Sort by ${title_of(c, services)}`}
                        onClick={() => {
                            const next = `${c.order} ${order === c.order && way !== 'asc' ? 'asc' : 'desc'}`;
                            patch({ o: next === 'BYTES desc' ? '' : next });
                        }}
                    >
                        {title_of(c, services)}
                        {order === c.order ? (way === 'asc' ? ' ↑' : ' ↓') : ''}
                    </button>
                ) : (
                    <span key={c.cls} class={c.cls}>
                        {title_of(c, services)}
                    </span>
                ),
            )}
        </div>
    );
}

interface RowsProps {
    rows: Party[];
    whole: number;
    services: boolean;
    selected: number;
    hover: (inside: boolean) => void;
    choose: (p: Party, e: Event) => void;
    empty: preact.ComponentChildren;
}

function Rows(props: RowsProps) {
    const phone = matchMedia('(max-width: 720px)').matches;
    const now = server_now();
    const top = Math.max(1, ...props.rows.map(bytes_of));
    const open = open_by_host();
    return (
        <WindowedList
            count={props.rows.length}
            row_height={phone ? ROW_PHONE : ROW}
            label={props.services ? 'Services' : 'Hosts'}
            selected={props.selected}
            on_hover={props.hover}
            choose={(i, e) => props.choose(props.rows[i], e)}
            empty={props.empty}
            row={(i) => {
                const p = props.rows[i];
                return { key: p.key, class: `fl hs ${props.services ? 'sv' : ''}`, cells: <Cells p={p} top={top} whole={props.whole} now={now} services={props.services} alerts={open.get(p.address) ?? []} /> };
            }}
        />
    );
}

function Cells({ p, top, whole: all, now, services, alerts }: { p: Party; top: number; whole: number; now: number; services: boolean; alerts: Alert[] }) {
    const total = bytes_of(p);
    const wide = 48 * Math.sqrt(total / top);
    const sent = total ? (wide * p.sent) / total : 0;
    return (
        <>
            <span role="gridcell" class="h-n" title={[safe(p.name), safe(services ? endpoint(p.address, p.port) : p.address), app_name(p.app)].filter((t) => t && t !== 'Unknown').join(' · ')}>
                {services && <Dot slot={app_slot(p.app)} />}
                <a href={href('hosts', { host: p.address, f: param('f') })} tabIndex={-1} onClick={(e) => (e.altKey || e.shiftKey ? e.preventDefault() : e.stopPropagation())}>
                    {safe(p.address)}
                </a>
                {services && (
                    <span class="d">
                        :{p.port} {app_name(p.app)}
                        {p.protocol !== 'tcp' && ` ${safe(p.protocol)}`}
                    </span>
                )}
                {p.name && (
                    <span class="d h-name">
                        <Middle text={p.name} />
                    </span>
                )}
            </span>
            <span role="gridcell" class="h-a">
                {alerts.length > 0 && (
                    <a href={href('alerts', { sel: alerts[0].id })} title={alerts.map(alert_words).join('\n')} tabIndex={-1} onClick={(e) => e.stopPropagation()}>
                        <Severity level={alerts[0].severity} /> {alerts.length}
                    </a>
                )}
            </span>
            <span role="gridcell" class="h-b" title={all > 0 ? `${((100 * total) / all).toFixed(1)} % of ${bytes(all)}` : undefined}>
                <span class="bar">
                    <i class="k1" style={{ width: `${Math.max(total ? 1 : 0, wide - sent)}px` }} />
                    <i class="k3" style={{ width: `${Math.max(total ? 1 : 0, sent)}px` }} />
                </span>
                <span class="num">{bytes(total)}</span>
            </span>
            <span role="gridcell" class="h-s num d">
                {bytes(p.sent)}
            </span>
            <span role="gridcell" class="h-v num d">
                {bytes(p.received)}
            </span>
            <span role="gridcell" class="h-f num" title={services ? undefined : `${plural(p.served, 'flow')} as the server`}>
                {whole(p.flows)}
            </span>
            <span role="gridcell" class={`h-p num ${p.peers === 1 ? 'one' : ''}`}>
                {whole(p.peers)}
            </span>
            <span role="gridcell" class={`h-r num ${(p.rtt_ms ?? 0) >= RTT_MATTERS_MS ? 'warm' : ''}`}>
                {p.rtt_ms === null ? NONE : ms(p.rtt_ms)}
            </span>
            <span role="gridcell" class="h-x num">
                <Share of={p.retransmit_ratio} matters={RETRANSMITS_MATTER} />
            </span>
            <span role="gridcell" class="h-e num">
                <Share of={p.error_rate} matters={ERRORS_MATTER} />
            </span>
            <span role="gridcell" class="h-t num d" title={p.first_ms === null ? undefined : `${moment(p.first_ms, 0)} UTC`}>
                {p.first_ms === null ? NONE : short_moment(p.first_ms, now)}
            </span>
            <span role="gridcell" class="h-l num" title={p.last_ms === null ? undefined : `${moment(p.last_ms, 0)} UTC`}>
                {p.last_ms === null ? NONE : short_moment(p.last_ms, now)}
            </span>
        </>
    );
}

