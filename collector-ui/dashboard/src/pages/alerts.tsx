/* Alerts: one line for each (kind, whom), the worst first; beside it why it was raised and what shows it. */
import { useSignal } from '@preact/signals';
import { use_keys } from '../keys';
import { quote, term } from '../lib/filter';
import { ago, digits, enum_words, moment, num, plural, safe, si, span, whole, NONE } from '../lib/format';
import { alert_entity, alert_filter, alert_title, SEVERITIES, type Alert, type Peer } from '../live/records';
import type { Bag } from '../live/rest';
import { alerts, alerts_state, go, hello, href, is_live, param, patch, paused_at, reload, sensor_name, server_now, subscribe } from '../live/store';
import { use_mount } from '../ui/chart';
import { Severity } from '../ui/icons';
import { WindowedList } from '../ui/list';
import { CopyButton, Empty, Failed, Loading, Panel, Segments, use_seconds } from '../ui/parts';

type Which = 'open' | 'all';

interface Line {
    key: string;
    worst: Alert;
    count: number;
    first_ms: number | null;
    last_ms: number | null;
    members: Alert[];
}

function lines(list: Alert[]): Line[] {
    const groups = new Map<string, Line>();
    for (const a of list) {
        const key = `${a.kind} ${alert_entity(a)}`;
        const size = 1 + (a.suppressed ?? 0);
        const g = groups.get(key);
        if (!g) {
            groups.set(key, { key, worst: a, count: size, first_ms: a.first_ms, last_ms: a.last_ms, members: [a] });
            continue;
        }
        g.members.push(a);
        g.count += size;
        g.first_ms = Math.min(g.first_ms ?? Infinity, a.first_ms ?? Infinity);
        g.last_ms = Math.max(g.last_ms ?? 0, a.last_ms ?? 0);
        if ((a.open && !g.worst.open) || (a.open === g.worst.open && (a.last_ms ?? 0) > (g.worst.last_ms ?? 0))) {
            g.worst = a;
        }
    }
    return [...groups.values()].sort(
        (a, b) =>
            Number(b.worst.open) - Number(a.worst.open) ||
            SEVERITIES.indexOf(a.worst.severity) - SEVERITIES.indexOf(b.worst.severity) ||
            (b.last_ms ?? 0) - (a.last_ms ?? 0),
    );
}

export function Alerts() {
    use_mount(() => subscribe({}));
    use_seconds(is_live.value);
    const which: Which = param('state') === 'open' ? 'open' : 'all';
    const level = param('sev');
    const selected = param('sel');
    const held = useSignal<{ inside: boolean; order: string[] }>({ inside: false, order: [] });

    const all = [...alerts.value.values()];
    const matching = all.filter((a) => (which === 'all' || a.open) && (level === '' || a.severity === level));
    let rows = lines(matching);
    /* no changing of places under the pointer or beside an open detail */
    if (held.value.inside || selected) {
        const place = new Map(held.peek().order.map((k, i) => [k, i]));
        if (place.size > 0) {
            rows = [...rows].sort((a, b) => (place.get(a.key) ?? -1) - (place.get(b.key) ?? -1));
        }
    }
    held.peek().order = rows.map((r) => r.key);

    const index = rows.findIndex((r) => r.members.some((m) => m.id === selected));
    const alert = index >= 0 ? (rows[index].members.find((m) => m.id === selected) ?? null) : (all.find((a) => a.id === selected) ?? null);
    const select = (i: number) => {
        const row = rows[Math.max(0, Math.min(rows.length - 1, i))];
        if (row) {
            patch({ sel: row.worst.id }, selected !== '');
        }
    };
    use_keys([
        { keys: 'j, ArrowDown', does: 'next alert', group: 'Alerts', run: () => select(index + 1) },
        { keys: 'k, ArrowUp', does: 'alert before', group: 'Alerts', run: () => select(index < 0 ? 0 : index - 1) },
        { keys: 'o', does: 'its flows', group: 'Alerts', run: () => alert && alert_filter(alert) && go('flows', { f: alert_filter(alert) }) },
        { keys: 'Escape', does: 'close', group: 'Alerts', run: () => patch({ sel: '' }, true) },
    ]);
    const now = paused_at.value ?? server_now();
    const state = alerts_state.value;
    const counts = SEVERITIES.map((s) => [s, all.filter((a) => (which === 'all' || a.open) && a.severity === s).length] as const).filter(([, n]) => n > 0);
    return (
        <div class={`al-page ${alert ? 'with-drawer' : ''}`}>
            <Panel
                class="al-list"
                title="Alerts"
                sub={`${plural(matching.length, 'alert')}${rows.length !== matching.length ? ` in ${plural(rows.length, 'group')}` : ''}`}
                tools={
                    <>
                        <span class="sevs">
                            {counts.map(([s, n]) => (
                                <button type="button" key={s} class={`chip ${level === s ? 'on' : ''}`} aria-pressed={level === s} onClick={() => patch({ sev: level === s ? '' : s }, true)}>
                                    <Severity level={s} /> {s} <b>{whole(n)}</b>
                                </button>
                            ))}
                        </span>
                        <Segments<Which>
                            label="Which alerts"
                            value={which}
                            options={[
                                ['all', 'All'],
                                ['open', 'Open'],
                            ]}
                            choose={(v) => patch({ state: v === 'all' ? '' : v }, true)}
                        />
                    </>
                }
            >
                {typeof state === 'object' && all.length === 0 ? (
                    <Failed what="The alerts could not be read." error={state.error} retry={() => reload.value++} />
                ) : state === 'loading' ? (
                    <Loading rows={8} />
                ) : (
                    <>
                        <div class="th al-cols" aria-hidden="true">
                            <span />
                            <span>Alert</span>
                            <span>Whom</span>
                            <span class="num">Count</span>
                            <span class="num">First</span>
                            <span class="num">Last</span>
                            <span>State</span>
                        </div>
                        <WindowedList
                            count={rows.length}
                            row_height={matchMedia('(max-width: 720px)').matches ? 56 : 34}
                            label="Alerts"
                            selected={index}
                            on_hover={(inside) => (held.value = { ...held.peek(), inside })}
                            choose={select}
                            empty={
                                <Empty>
                                    <Severity level="ok" /> {which === 'open' ? 'No alert is open.' : level ? `No alert is ${level} in this time.` : 'No alert in this time.'}
                                </Empty>
                            }
                            row={(i) => {
                                const r = rows[i];
                                return {
                                    key: r.key,
                                    class: `al-cols al-row ${r.worst.open ? '' : 'closed'}`,
                                    cells: (
                                        <>
                                            <span role="gridcell">
                                                <Severity level={r.worst.severity} />
                                            </span>
                                            <span role="gridcell" class="a-t" title={safe(r.worst.description)}>
                                                {safe(alert_title(r.worst))} <span class="dim hide-m">{r.worst.severity}</span>
                                            </span>
                                            <span role="gridcell" class="a-e">
                                                {safe(alert_entity(r.worst, sensor_name))}
                                            </span>
                                            <span role="gridcell" class="num a-n">
                                                {r.count > 1 ? `×${whole(r.count)}` : ''}
                                            </span>
                                            <span role="gridcell" class="num d a-f">
                                                {r.first_ms === null ? NONE : moment(r.first_ms, now)}
                                            </span>
                                            <span role="gridcell" class="num a-l">
                                                {r.last_ms === null ? NONE : ago(now - r.last_ms)}
                                            </span>
                                            <span role="gridcell" class="d a-s">
                                                {r.worst.open ? 'open' : 'closed'}
                                            </span>
                                        </>
                                    ),
                                };
                            }}
                        />
                    </>
                )}
            </Panel>
            {alert && <Detail a={alert} now={now} related={index >= 0 ? rows[index].members.filter((m) => m.id !== alert.id) : []} />}
        </div>
    );
}

const list_of = (v: unknown): unknown[] => (Array.isArray(v) ? v : []);

function Detail({ a, now, related }: { a: Alert; now: number; related: Alert[] }) {
    const raw = a.raw;
    const evidence = (typeof raw.evidence === 'object' && raw.evidence !== null ? raw.evidence : {}) as Bag;
    const filter = alert_filter(a);
    const ids = list_of(evidence.community_ids).map(String);
    const unit = safe(a.unit);
    const rows: [string, preact.ComponentChildren][] = [
        ['Severity', <Severity level={a.severity} word />],
        ['State', `${a.open ? 'open' : 'closed'}${raw.close_reason && !a.open ? `, ${enum_words(raw.close_reason)}` : ''}`],
        ['First', a.first_ms === null ? NONE : moment(a.first_ms, now)],
        ['Last', a.last_ms === null ? NONE : `${moment(a.last_ms, now)} (${ago(now - a.last_ms)} ago)`],
        ['Lasted', a.first_ms !== null && a.last_ms !== null ? span(a.last_ms - a.first_ms) : NONE],
    ];
    if (a.observed !== null) {
        const error = num(raw.estimate_error);
        rows.push(['Observed', `${number(a.observed)} ${unit}${error ? ` ± ${digits(error * 100)}\u00a0%` : ''}`]);
    }
    if (a.threshold !== null) {
        rows.push(['Threshold', `${number(a.threshold)} ${unit}`]);
    }
    if (a.attackers.length) {
        rows.push(['From', peers(a.attackers, a.attackers_total, 'client.ip')]);
    }
    if (a.victims.length) {
        rows.push(['To', peers(a.victims, a.victims_total, 'server.ip')]);
    }
    for (const [key, title] of [['top_ports', 'Ports'], ['top_sources', 'Sources'], ['top_targets', 'Targets'], ['top_names', 'Names']] as const) {
        const values = list_of(evidence[key]);
        if (values.length) {
            rows.push([title, safe(values.slice(0, 12).map(plain).join(', ')) + (values.length > 12 ? ` and ${values.length - 12} more` : '')]);
        }
    }
    if (a.sensors.length) {
        rows.push(['Seen by', safe(a.sensors.map(sensor_name).join(', '))]);
    }
    if (a.loss !== null) {
        rows.push(['Loss meanwhile', a.loss === 0 ? 'none: the figures are whole' : `${whole(a.loss)} packets: the figures may be too low`]);
    }
    if ((a.suppressed ?? 0) > 0) {
        rows.push(['Repeats', whole(a.suppressed)]);
    }
    for (const m of list_of(raw.mitre)) {
        const b = (typeof m === 'object' && m !== null ? m : {}) as Bag;
        rows.push(['MITRE', safe(`${String(b.technique_id ?? '')} ${String(b.technique_name ?? '')}`.trim())]);
    }
    if (raw.config_key) {
        rows.push(['Tuned by', <code>{safe(raw.config_key)}</code>]);
    }
    const samples = list_of(evidence.packet_sample_ids).map(String);
    return (
        <aside class="panel dr" aria-label="Alert">
            <button type="button" class="bare dr-close" aria-label="Close (Esc)" onClick={() => patch({ sel: '' }, true)}>
                ×
            </button>
            <div class="h">
                <div class="a">{safe(alert_title(a))}</div>
                <div class="b">{safe(alert_entity(a, sensor_name))}</div>
            </div>
            {a.description && (
                <div class="sec">
                    <h3>Why</h3>
                    <p class="why">{safe(a.description)}</p>
                    {a.observed !== null && a.threshold !== null && a.threshold > 0 && (
                        <div class="meter" role="img" aria-label={`observed ${number(a.observed)}, threshold ${number(a.threshold)}`}>
                            <i style={{ width: `${Math.min(100, (100 * a.observed) / Math.max(a.observed, a.threshold))}%` }} class={`sev-bg-${a.severity}`} />
                            <b style={{ left: `${Math.min(100, (100 * a.threshold) / Math.max(a.observed, a.threshold))}%` }} />
                        </div>
                    )}
                </div>
            )}
            <div class="sec">
                <dl class="kv">
                    {rows.map(([name, value], i) => [<dt key={`${name}${i}`}>{name}</dt>, <dd key={`${name}${i}=`}>{value}</dd>])}
                </dl>
            </div>
            {related.length > 0 && (
                <div class="sec">
                    <h3>Same kind and whom</h3>
                    {related.slice(0, 8).map((r) => (
                        <a class="rel" key={r.id} href={href('alerts', { sel: r.id, state: param('state'), sev: param('sev') })}>
                            <Severity level={r.severity} /> {r.first_ms === null ? NONE : moment(r.first_ms, now)} <span class="dim">{r.open ? 'open' : 'closed'}</span>
                        </a>
                    ))}
                </div>
            )}
            <div class="sec">
                <div class="acts">
                    {filter && (
                        <button type="button" class="btn small primary" onClick={() => go('flows', { f: filter })}>
                            Flows
                        </button>
                    )}
                    {ids.length > 0 && (
                        <button type="button" class="btn small" onClick={() => go('flows', { f: ids.length === 1 ? term('community_id', ids[0]) : `community_id IN (${ids.slice(0, 16).map(quote).join(', ')})` })}>
                            Flows in evidence
                        </button>
                    )}
                    {samples.length > 0 && hello.value?.caps.packets && (
                        <button type="button" class="btn small" onClick={() => go('packets', { sel: samples[0] })}>
                            Packets
                        </button>
                    )}
                    <CopyButton label="Copy link" text={location.href} />
                    <CopyButton label="Copy JSON" text={JSON.stringify(raw, null, 2)} />
                </div>
            </div>
        </aside>
    );
}

const number = (v: number) => (Math.abs(v) >= 1e5 ? si(v) : Number.isInteger(v) ? whole(v) : digits(v));

/* evidence entries are words or {key, count} */
function plain(v: unknown): string {
    if (typeof v === 'object' && v !== null) {
        const b = v as Bag;
        const name = b.key ?? b.name ?? b.ip ?? b.port ?? b.value ?? '';
        return String(name);
    }
    return String(v);
}

function peers(list: Peer[], total: number | null, field: string) {
    const rest = Math.round(total ?? 0) - list.length;
    return (
        <>
            {list.slice(0, 6).map((p, i) => (
                <span key={`${p.ip}${p.port}${i}`}>
                    {i > 0 && ', '}
                    <a href={href('flows', { f: term(field, p.ip) })}>{safe(p.name || p.ip)}</a>
                    {p.port ? <span class="dim">:{p.port}</span> : null}
                </span>
            ))}
            {(rest > 0 || list.length > 6) && <span class="dim"> and {whole(Math.max(rest + Math.max(0, list.length - 6), list.length - 6))} more</span>}
        </>
    );
}
