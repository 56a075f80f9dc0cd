/* Flows: filter, facets, matching traffic, the list, and one flow in the drawer. All of it is in the address:
 * f = filter, o = order, sel = the flow shown, m = metric of the histogram, d = all: a flow once for each sensor,
 * c = its columns. */
import { useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { use_keys } from '../keys';
import { csv_line } from '../lib/csv';
import { click_value, type ClickKind } from '../lib/filter';
import { bytes, clock, moment, ms, num, plural, safe, whole } from '../lib/format';
import { flow_key, read_flow, type Flow } from '../live/records';
import { counted, get, Problem, type Bag, type Counted } from '../live/rest';
import { dict, go_live, is_live, on_frame, param, patch, paused_at, range, reload, sensor_name, sensors, subscribe, view } from '../live/store';
import { download, Failed, Loading, problem_text, use_seconds } from '../ui/parts';
import { Chips, QueryLine } from '../ui/query';
import { Drawer } from './flow_drawer';
import { CSV_HEADER, csv_row } from './flows/export';
import { Facet, FACETS, show_value } from './flows/facets';
import { Matching } from './flows/matching';
import { NoMatch } from './flows/no_match';
import { ChooseColumns, FlowRows, grid_of_columns, Head } from './flows/rows';

const PAGE = 200;
const REFRESH_MS = 5000;
const EXPORT_MAX = 50_000;

const SLOW_MS = 5_000; /* then a hint how to be answered sooner */

interface Listing {
    of: string; /* the question that it answers */
    rows: Flow[];
    next: string;
    about: Counted;
    paged: boolean;
}

const question = (query: string, r: unknown) => `${query}\n${JSON.stringify(r)}`;

export function Flows() {
    const filter = param('f');
    const order = param('o') || 'end_time desc';
    const selected = param('sel');
    const all = param('d') === 'all';
    const dedup = all ? { dedup: 'ALL' } : {};
    const metric = (['bps', 'pps', 'new_flows'].includes(param('m')) ? param('m') : 'bps') as 'bps' | 'pps' | 'new_flows';

    const listing = useSignal<Listing | null>(null);
    const pending = useSignal<Listing | null>(null);
    const failed = useSignal<unknown>(null);
    const loading = useSignal(false);
    const facets = useSignal<Bag | null>(null);
    const inside = useSignal(false);
    const exporting = useSignal<{ done: number; abort: AbortController } | null>(null);
    const note = useSignal('');
    const paging = useRef(false);
    const asked_ms = useRef(0);

    const run = (f: string) => patch({ f, sel: '' });
    const click = (field: string, value: string, kind: ClickKind) => run(click_value(filter, field, value, kind));

    useEffect(() => {
        subscribe({ flows: { top: 200, sort: 'bps', ...(filter ? { filter } : {}) } });
    }, [filter]);

    /* the list and its facets: at once, and while live again and again */
    const query = useSignal('');
    query.value = `${filter}\n${order}\n${all ? 'ALL' : ''}`;
    useSignalEffect(() => {
        const [f, o, d] = query.value.split('\n');
        const each = d ? { dedup: d } : {};
        const r = range.value;
        void reload.value;
        void paused_at.value;
        if (r === null) {
            return;
        }
        const abort = new AbortController();
        let timer = 0;
        loading.value = true;
        failed.value = null;
        asked_ms.current = performance.now();
        pending.value = null;
        const load = async (again: boolean) => {
            const w = view();
            const time = { from: Math.floor(w.from_ms), to: Math.ceil(w.to_ms) };
            try {
                const b = await get('/v1/flows', { filter: f, order_by: o, page_size: PAGE, ...each, ...time }, abort.signal);
                const next: Listing = {
                    of: question([f, o, d].join('\n'), r),
                    rows: (Array.isArray(b.flows) ? b.flows : []).map(read_flow),
                    next: typeof b.next_page_token === 'string' ? b.next_page_token : '',
                    about: counted(b),
                    paged: false,
                };
                failed.value = null;
                take(next, again);
            } catch (error) {
                if (!abort.signal.aborted) {
                    failed.value = error;
                }
            }
            loading.value = false;
            if (!abort.signal.aborted) {
                get('/v1/facets', { filter: f, ...each, ...time }, abort.signal)
                    .then((b) => (facets.value = b))
                    .catch(() => abort.signal.aborted || (facets.value ??= {})); /* the list has already said what is wrong */
                timer = window.setTimeout(() => {
                    if (is_live.peek() && !document.hidden) {
                        void load(true);
                    }
                }, REFRESH_MS);
            }
        };
        void load(false);
        return () => {
            abort.abort();
            window.clearTimeout(timer);
        };
    });

    /* Rows do not change places while one is selected, while the pointer is over them, or after further pages: then only
     * their figures change and a chip tells how many are new. */
    const take = (next: Listing, again: boolean) => {
        const now = listing.peek();
        const hold = again && now !== null && (inside.peek() || param('sel') !== '' || now.paged);
        if (!hold) {
            listing.value = next;
            pending.value = null;
            return;
        }
        const fresh = new Map(next.rows.map((r) => [r.key, r]));
        listing.value = { ...now, rows: now.rows.map((r) => fresh.get(r.key) ?? r), about: next.about };
        const known = new Set(now.rows.map((r) => r.key));
        pending.value = next.rows.some((r) => !known.has(r.key)) ? next : null;
    };
    const new_rows = () => {
        const known = new Set(listing.value?.rows.map((r) => r.key));
        return pending.value?.rows.filter((r) => !known.has(r.key)).length ?? 0;
    };

    const more = async () => {
        const now = listing.peek();
        if (!now || now.next === '' || paging.current) {
            return;
        }
        paging.current = true;
        const w = view();
        try {
            const b = await get('/v1/flows', { filter, order_by: order, page_size: PAGE, page_token: now.next, ...dedup, from: Math.floor(w.from_ms), to: Math.ceil(w.to_ms) });
            const known = new Set(now.rows.map((r) => r.key));
            listing.value = {
                ...now,
                rows: [...now.rows, ...(Array.isArray(b.flows) ? b.flows : []).map(read_flow).filter((r) => !known.has(r.key))],
                next: typeof b.next_page_token === 'string' ? b.next_page_token : '',
                paged: true,
            };
        } catch (error) {
            note.value = problem_text(error).text;
        }
        paging.current = false;
    };

    /* figures of running flows come with the frames */
    useEffect(
        () =>
            on_frame((frame) => {
                const now = listing.peek();
                if (!frame.flows || !now || !is_live.peek()) {
                    return;
                }
                const d = dict.value;
                const latest = new Map(frame.flows.map((f) => [flow_key(d.sensor[f.sensor]?.id ?? '', f.id), f]));
                let changed = false;
                const rows = now.rows.map((r) => {
                    const f = latest.get(r.key);
                    if (!f) {
                        return r;
                    }
                    changed = true;
                    return {
                        ...r, end_ms: r.ended ? r.end_ms : Math.max(r.end_ms ?? 0, frame.ts_ms), bps: f.bps ?? r.bps,
                        bytes_ab: f.bytes_ab ?? r.bytes_ab, bytes_ba: f.bytes_ba ?? r.bytes_ba,
                        rtt_ms: f.rtt_ms ?? r.rtt_ms, retransmits: f.retr ?? r.retransmits, state: d.state[f.st] || r.state,
                    };
                });
                if (changed) {
                    listing.value = { ...now, rows };
                }
            }),
        [],
    );

    const rows = listing.value?.rows ?? [];
    const index = rows.findIndex((r) => r.key === selected);
    const select = (i: number) => {
        const row = rows[Math.max(0, Math.min(rows.length - 1, i))];
        if (row) {
            patch({ sel: row.key }, selected !== '');
        }
    };
    use_keys([
        { keys: 'f', does: 'filter', group: 'Flows', run: () => document.getElementById('filter')?.focus() },
        { keys: 'j, ArrowDown', does: 'next flow', group: 'Flows', run: () => select(index + 1) },
        { keys: 'k, ArrowUp', does: 'flow before', group: 'Flows', run: () => select(index < 0 ? 0 : index - 1) },
        { keys: 'Enter', does: 'open', group: 'Flows', run: () => index < 0 && select(0) },
        { keys: 'x', does: 'leave out this server', group: 'Flows', run: () => index >= 0 && click('server.ip', rows[index].server_ip, 'exclude') },
        { keys: 'Escape', does: 'close the drawer', group: 'Flows', run: () => patch({ sel: '' }, true) },
        { keys: 'e', does: 'export CSV', group: 'Flows', run: () => void save('csv') },
    ]);

    const save = async (kind: 'csv' | 'json') => {
        if (exporting.peek()) {
            return;
        }
        const abort = new AbortController();
        exporting.value = { done: 0, abort };
        const w = view();
        const records: Bag[] = [];
        let token = '';
        try {
            do {
                const b = await get('/v1/flows', { filter, order_by: order, page_size: 1000, page_token: token, ...dedup, from: Math.floor(w.from_ms), to: Math.ceil(w.to_ms) }, abort.signal);
                records.push(...((Array.isArray(b.flows) ? b.flows : []) as Bag[]));
                token = typeof b.next_page_token === 'string' ? b.next_page_token : '';
                exporting.value = { done: records.length, abort };
            } while (token && records.length < EXPORT_MAX);
            const name = `flows-${new Date(w.to_ms).toISOString().slice(0, 19).replace(/:/g, '')}`;
            if (kind === 'csv') {
                download(`${name}.csv`, 'text/csv;charset=utf-8', [csv_line(CSV_HEADER), ...records.map((r) => csv_line(csv_row(r)))]);
            } else {
                download(`${name}.jsonl`, 'application/x-ndjson', records.map((r) => JSON.stringify(r) + '\n'));
            }
            note.value = token ? `Only the first ${whole(records.length)} flows were saved: narrow the filter for the rest.` : `${plural(records.length, 'flow')} saved.`;
        } catch (error) {
            note.value = abort.signal.aborted ? 'Export cancelled.' : `Export failed: ${problem_text(error).text}`;
        }
        exporting.value = null;
        window.setTimeout(() => (note.value = ''), 6000);
    };

    /* values for completion come from the facets */
    const facet = (name: string) =>
        (Array.isArray(facets.value?.[name]) ? (facets.value![name] as Bag[]) : []).map((v) => ({ value: String(v.value ?? ''), bytes: num(v.bytes) ?? 0 })).filter((v) => v.value !== '');
    const known_values = Object.fromEntries(FACETS.map(([name, , field]) => [field, facet(name).map((v) => ({ value: v.value, note: bytes(v.bytes) }))]));

    const about = listing.value?.about;
    /* A new question is under way: what is shown answers the one before. */
    const is_before = listing.value !== null && listing.value.of !== question(query.value, range.value);
    use_seconds(is_before);
    const slow = is_before && performance.now() - asked_ms.current > SLOW_MS;
    const filter_wrong = failed.value instanceof Problem && failed.value.status === 400;
    const columns = grid_of_columns();
    return (
        <div class={`explore ${selected ? 'with-drawer' : ''}`}>
            <QueryLine value={filter} run={run} values={known_values} />
            <Chips value={filter} run={run} show_value={show_value}>
                {range.value?.kind === 'fixed' && (
                    <span class="chip">
                        time <b>{moment(range.value.from_ms, range.value.to_ms)} – {clock(range.value.to_ms)}</b>
                        <button type="button" aria-label="Back to live" onClick={go_live}>
                            ×
                        </button>
                    </span>
                )}
                <span class="hint hide-m">click = include · alt-click = exclude · shift-click = only · drag chart = zoom</span>
            </Chips>
            <div class="ex">
                <section class="panel facets" aria-label="Facets">
                    {facets.value === null && !filter_wrong && <Loading rows={6} what="Adding up" />}
                    {FACETS.map(([name, title, field]) => (
                        <Facet key={name} title={title} values={facet(name)} field={field} filter={filter} click={click} />
                    ))}
                </section>
                <div class="mid-col">
                    <Matching filter={filter} metric={metric} all={all} failed={filter_wrong} />
                    <section class={`panel tblw ${is_before ? 'before' : ''} ${columns.class}`} style={columns.style} aria-label="Flows" aria-busy={is_before}>
                        <Head order={order} />
                        {failed.value !== null && (rows.length === 0 || is_before) ? (
                            <Failed what={filter_wrong ? 'The filter was not understood.' : 'The flows could not be read.'} error={failed.value} retry={() => reload.value++} />
                        ) : listing.value === null ? (
                            <Loading rows={12} what="Searching flows" hint="Narrow the filter or the time range: that is faster." />
                        ) : (
                            <FlowRows
                                rows={rows}
                                selected={index}
                                select={select}
                                more={() => void more()}
                                hover={(v) => (inside.value = v)}
                                click={click}
                                empty={<NoMatch filter={filter} all={all} run={run} />}
                            />
                        )}
                        {new_rows() > 0 && (
                            <button
                                type="button"
                                class="newer"
                                onClick={() => {
                                    listing.value = pending.value;
                                    pending.value = null;
                                }}
                            >
                                {new_rows()} new {order.startsWith('end_time desc') ? 'above' : 'in the list'}
                            </button>
                        )}
                        <footer class="ft">
                            <span>
                                {is_before ? (
                                    `asking …${slow ? ' a shorter time or a narrower filter is answered sooner' : ' these are the flows of before'}`
                                ) : about?.matched !== null && about?.matched !== undefined ? (
                                    <>
                                        <b>{whole(about.matched)}</b> flows{filter && ' match'}
                                        {about.scanned !== null && <span class="hide-m hide-t"> · {whole(about.scanned)} records read</span>}
                                    </>
                                ) : (
                                    <>
                                        <b>{whole(rows.length)}</b>
                                        {listing.value?.next ? ' or more' : ''} flows
                                    </>
                                )}
                            </span>
                            {about && !is_before && (
                                <span class="hide-m">
                                    {about.quality}
                                    {about.took_ms !== null && ` · ${ms(about.took_ms)}`}
                                    {about.missing.length > 0 && ` · without ${about.missing.map(sensor_name).map(safe).join(', ')}`}
                                </span>
                            )}
                            {loading.value && !is_before && <span>loading …</span>}
                            {failed.value !== null && !is_before && rows.length > 0 && (
                                <span class="warm" role="status">
                                    not read again: {safe(problem_text(failed.value).text)}
                                </span>
                            )}
                            {note.value && <span role="status">{safe(note.value)}</span>}
                            <span class="sp" />
                            {(all || (sensors.value?.length ?? 0) > 1) && (
                                <button
                                    type="button"
                                    class={`lnk ${all ? 'on' : ''}`}
                                    aria-pressed={all}
                                    title="A flow that several sensors saw: once for each of them, or once"
                                    onClick={() => patch({ d: all ? '' : 'all', sel: '' })}
                                >
                                    each sensor
                                </button>
                            )}
                            <ChooseColumns />
                            {exporting.value ? (
                                <button type="button" class="lnk" onClick={() => exporting.value?.abort.abort()}>
                                    {whole(exporting.value.done)} flows … cancel
                                </button>
                            ) : (
                                <>
                                    <button type="button" class="lnk" onClick={() => void save('csv')}>
                                        CSV
                                    </button>
                                    <button type="button" class="lnk" onClick={() => void save('json')}>
                                        JSON
                                    </button>
                                </>
                            )}
                        </footer>
                    </section>
                </div>
                {selected && <Drawer key={selected} selected={selected} row={rows[index] ?? null} filter={filter} click={click} close={() => patch({ sel: '' }, true)} />}
            </div>
        </div>
    );
}
