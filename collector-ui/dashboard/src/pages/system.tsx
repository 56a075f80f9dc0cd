/* System: how the collector fares, where records went, and what this page costs. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { use_keys } from '../keys';
import { bytes, digits, ms, NONE, plural, safe, si, span, whole } from '../lib/format';
import { rates_between, read_status, report_text, type Rates, type Section, type Status } from '../lib/status';
import { get } from '../live/rest';
import { connection, href, reload, subscribe } from '../live/store';
import { use_mount } from '../ui/chart';
import { Severity } from '../ui/icons';
import { CopyButton, Failed, Loading, Panel } from '../ui/parts';
import { use_perf } from '../ui/perf_panel';
import { Spark } from '../ui/spark';
import { ledger_lines, LedgerShort, use_ledger } from './system/ledger_short';
import { Clients, Days, Receivers } from './system/lists';

const EVERY_MS = 5000;
const SECOND_MS = 1000; /* then there are rates, too */
const KEPT = 60; /* answers, for the small lines */

interface Seen {
    status: Status;
    rates: Rates;
    records: (number | null)[];
    cpu: (number | null)[];
}

const per_second = (value: number | null) => (value === null ? NONE : `${si(value)}/s`);
const lost = (n: number) => ({ value: whole(n), bad: n > 0 });

function collector(s: Status, r: Rates): Section {
    const memory = s.memory_limit && s.resident !== null ? s.resident / s.memory_limit : null;
    return {
        title: 'Collector',
        rows: [
            { name: 'Version', value: safe(s.version) || NONE },
            { name: 'Machine', value: safe(s.host) || NONE },
            { name: 'Running for', value: s.start_ms === null || s.time_ms === null ? NONE : span(s.time_ms - s.start_ms) },
            { name: 'Processors', value: r.cpu === null ? NONE : `${digits(r.cpu * 100)}\u00a0% of one, ${whole(s.cpus)} there`, bad: r.cpu !== null && s.cpus > 0 && r.cpu > 0.9 * s.cpus },
            { name: 'Memory', value: bytes(s.resident) },
            { name: '… of what it may have', value: memory === null ? NONE : `${digits(memory * 100)}\u00a0% of ${bytes(s.memory_limit)}`, bad: (memory ?? 0) > 0.9 },
            { name: 'gRPC streams', value: whole(s.api.streams) },
            { name: '… records dropped', ...lost(s.api.records_dropped) },
            { name: 'Requests', value: whole(s.api.requests) },
            { name: '… refused', value: whole(s.api.requests_refused + s.api.logins_refused) },
            { name: '… failed', ...lost(s.api.server_errors) },
        ],
    };
}

function ingest(s: Status, r: Rates): Section {
    return {
        title: 'Ingest',
        rows: [
            { name: 'Records', value: per_second(r.records) },
            ...s.streams.map((one) => ({ name: `… ${safe(one.name)} stored`, value: per_second(r.streams.get(one.name) ?? null) })),
            { name: 'Batches', value: per_second(r.batches) },
            { name: 'Sensors connected', value: whole(s.ingest.connections) },
            { name: 'Came twice', value: whole(s.ingest.duplicates) },
            { name: 'Told lost', ...lost(s.ingest.told_lost) },
            { name: 'Not taken, sent again', ...lost(s.ingest.returned) },
            { name: 'Streams refused', value: whole(s.ingest.refused) },
            { name: 'Waits for the store', value: bytes(s.ingest.backlog_bytes) },
            { name: 'Log on disk', value: bytes(s.ingest.log_bytes) },
            { name: 'Log', value: s.log_failing ? 'takes nothing' : s.ingest.log_errors > 0 ? `well, after ${plural(s.ingest.log_errors, 'error')}` : 'well', bad: s.log_failing },
            ...(s.ingest.throttled > 0 ? [{ name: 'Sensors throttled', value: whole(s.ingest.throttled), bad: true }] : []),
            ...(s.draining ? [{ name: 'Sensors', value: 'are sent to another collector', bad: true }] : []),
        ],
    };
}

/* Where records go that are kept longer, and where questions about them are answered. */
function clickhouse(s: Status): Section['rows'] {
    const c = s.clickhouse;
    if (c === null) {
        return [];
    }
    return [
        { name: 'ClickHouse', value: c.failing ? safe(c.reason) || 'takes nothing' : 'well', bad: c.failing },
        { name: '… records written', value: whole(c.inserted) },
        { name: '… waiting', value: c.waiting === null ? 'being counted' : whole(c.waiting) },
        { name: '… given up', ...lost(c.lost) },
        { name: '… asked for older ones', value: c.asked ? `${plural(c.questions, 'time')}, ${plural(c.records_read, 'record')} read` : 'no (clickhouse.query)' },
        ...(c.questions_failing ? [{ name: '… its last answer', value: safe(c.questions_reason), bad: true }] : []),
        ...s.clickhouse_others.flatMap((o) => [
            { name: `ClickHouse, ${safe(o.stream)}`, value: o.failing ? safe(o.reason) || 'takes nothing' : 'well', bad: o.failing },
            { name: '… written, waiting', value: `${whole(o.inserted)}, ${o.waiting === null ? 'being counted' : whole(o.waiting)}` },
            ...(o.lost > 0 ? [{ name: '… given up', ...lost(o.lost) }] : []),
        ]),
    ];
}

function store(s: Status): Section {
    return {
        title: 'Store',
        rows: [
            { name: 'State', value: s.failure ? safe(s.failure) : 'well', bad: s.failure !== '' },
            { name: 'On disk', value: bytes(s.store_bytes) },
            { name: '… of what it may take', value: s.retention_bytes > 0 ? `${digits((100 * s.store_bytes) / s.retention_bytes)}\u00a0% of ${bytes(s.retention_bytes)}` : 'no bound' },
            { name: 'Kept for', value: s.retention_ms > 0 ? span(s.retention_ms) : 'ever' },
            { name: 'Batches waiting', value: whole(s.store.queue_batches) },
            { name: 'Stored already', value: whole(s.store.duplicates) },
            { name: 'Could not be read', ...lost(s.store.undecodable) },
            { name: 'Of no table (DNS)', value: whole(s.store.not_kept) },
            { name: 'Files set aside', ...lost(s.store.files_set_aside) },
            { name: 'Sums', value: s.sums.map((x) => `${span(x.step_ms)} for ${span(x.keep_ms)}`).join(' · ') || NONE },
            ...clickhouse(s),
        ],
    };
}

function queries(s: Status, r: Rates): Section {
    const q = s.queries;
    return {
        title: 'Queries and live feed',
        rows: [
            { name: 'Queries', value: `${whole(q.total)}${r.queries === null ? '' : `, ${per_second(r.queries)}`}` },
            { name: 'Running', value: `${whole(q.running)} of ${whole(q.running_max)}` },
            { name: 'Waiting', value: `${whole(q.waiting)} of ${whole(q.waiting_max)}`, bad: q.waiting_max > 0 && q.waiting > q.waiting_max / 2 },
            { name: 'Took p50 / p95 / p99', value: q.measured === 0 ? NONE : `${ms(s.query_ms.p50)} / ${ms(s.query_ms.p95)} / ${ms(s.query_ms.p99)}` },
            { name: '… longest', value: q.measured === 0 ? NONE : `${ms(s.query_ms.longest)} of the last ${whole(q.measured)}` },
            { name: 'Met a bound', value: whole(q.partial) },
            { name: 'Given up by the caller', value: whole(q.cancelled) },
            { name: 'Refused', ...lost(q.refused) },
            { name: 'Frames', value: per_second(r.frames) },
            { name: '… merged', value: whole(s.live.merged) },
            { name: '… lost', ...lost(s.live.lost) },
        ],
    };
}

function Figures({ section, class: name, children }: { section: Section; class: string; children?: preact.ComponentChildren }) {
    return (
        <Panel class={name} title={section.title}>
            <table class="figures">
                <tbody>
                    {section.rows.map((r) => (
                        <tr key={r.name}>
                            <th scope="row">{r.name}</th>
                            <td class={`num ${r.bad ? 'warm' : ''}`}>
                                {r.bad && <Severity level="high" />} {r.value}
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
            {children}
        </Panel>
    );
}

function Line({ values, label }: { values: (number | null)[]; label: string }) {
    return values.filter((v) => v !== null).length < 2 ? null : (
        <div class="sy-line" role="img" aria-label={label}>
            <Spark values={values} width={280} height={34} class="c1" area from_zero />
        </div>
    );
}

export function System() {
    use_mount(() => subscribe({}));
    const seen = useSignal<Seen | null>(null);
    const failed = useSignal<unknown>(null);
    const again = reload.value;
    useEffect(() => {
        const stop = new AbortController();
        let timer = 0;
        const load = async () => {
            try {
                const status = read_status(await get('/v1/status', {}, stop.signal));
                const before = seen.peek();
                const rates = rates_between(before?.status ?? null, status);
                const add = (kept: (number | null)[] | undefined, value: number | null) => [...(kept ?? []), value].slice(-KEPT);
                seen.value = { status, rates, records: add(before?.records, rates.records), cpu: add(before?.cpu, rates.cpu) };
                failed.value = null;
            } catch (error) {
                if (!stop.signal.aborted) {
                    failed.value = error;
                }
            }
            if (!stop.signal.aborted) {
                timer = window.setTimeout(() => void load(), seen.peek()?.records.length === 1 ? SECOND_MS : EVERY_MS);
            }
        };
        void load();
        return () => {
            stop.abort();
            window.clearTimeout(timer);
        };
    }, [again]);
    const ledger = use_ledger();
    const perf = use_perf();
    const page: Section = { title: 'This page', rows: perf.map(([name, value]) => ({ name, value })) };
    const now = seen.value;
    const sections = now ? [collector(now.status, now.rates), ingest(now.status, now.rates), store(now.status), queries(now.status, now.rates)] : [];
    const report = report_text([...sections, page], [...(ledger.value ? [ledger_lines(ledger.value)] : []), navigator.userAgent]);
    use_keys([{ keys: 'c', does: 'copy the report', group: 'System', run: () => document.querySelector<HTMLButtonElement>('.sy-copy button')?.click() }]);
    const stale = now !== null && (failed.value !== null || connection.value.state === 'lost');
    return (
        <div class="system">
            <div class="sy-head">
                <p class="dim">{now ? `Read each ${EVERY_MS / 1000} s; numbers without “/s” are since the start.` : ''}</p>
                <span class="sp" />
                <a class="btn small" href={href('sensors')}>
                    Sensors
                </a>
                <span class="sy-copy">
                    <CopyButton label="Copy report" text={report} />
                </span>
            </div>
            {stale && (
                <p class="map-note" role="status">
                    It could not be read again: these are the figures before.
                </p>
            )}
            <div class={`grid syg ${stale ? 'stale' : ''}`}>
                {now === null ? (
                    <Panel class="sy-all" title="Collector">
                        {failed.value !== null ? <Failed what="The collector did not say how it fares." error={failed.value} retry={() => reload.value++} /> : <Loading rows={8} what="Asking the collector" />}
                    </Panel>
                ) : (
                    <>
                        <Figures class="sy-quarter" section={sections[0]}>
                            <Line values={now.cpu} label={`Use of processors, now ${now.rates.cpu === null ? 'not known' : `${digits(now.rates.cpu * 100)} % of one`}`} />
                        </Figures>
                        <Figures class="sy-quarter" section={sections[1]}>
                            <Line values={now.records} label={`Records a second, now ${now.rates.records === null ? 'not known' : si(now.rates.records)}`} />
                        </Figures>
                        <Figures class="sy-quarter" section={sections[2]}>
                            <Days status={now.status} />
                        </Figures>
                        <Figures class="sy-quarter" section={sections[3]} />
                        <Clients status={now.status} />
                        <Receivers status={now.status} />
                    </>
                )}
                <LedgerShort ledger={ledger} />
                <Figures class="sy-half" section={page} />
            </div>
        </div>
    );
}

