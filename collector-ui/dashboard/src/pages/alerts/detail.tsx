/* One alert: why it was raised, what shows it, what people have said of it. */
import { quote, term } from '../../lib/filter';
import { ago, digits, enum_words, moment, num, safe, si, span, whole, NONE } from '../../lib/format';
import { why_not } from '../../lib/session';
import { alert_entity, alert_filter, alert_title, type Alert, type Peer } from '../../live/records';
import type { Bag } from '../../live/rest';
import { session } from '../../live/session';
import { go, hello, href, notes, param, patch, sensor_name } from '../../live/store';
import { Severity } from '../../ui/icons';
import { CopyButton } from '../../ui/parts';
import { can_capture, capture_alert } from './capture';
import { Around } from './when';

/* What can be said of alerts; null where the collector takes nothing. */
export interface Acts {
    acknowledge: (alerts: Alert[]) => void;
    undo: (alerts: Alert[]) => void;
    silence: (alerts: Alert[]) => void;
}

const list_of = (v: unknown): unknown[] => (Array.isArray(v) ? v : []);

export function Detail({ a, now, related, acts }: { a: Alert; now: number; related: Alert[]; acts: Acts | null }) {
    const note = notes.value.get(a.id);
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
    const labels = Object.entries((typeof raw.labels === 'object' && raw.labels !== null ? raw.labels : {}) as Bag);
    if (labels.length) {
        rows.push(['Labels', safe(labels.map(([key, value]) => `${key}=${String(value)}`).join(', '))]);
    }
    const runbook = String(raw.runbook_url ?? '');
    if (/^https?:\/\/[^\s<>"]+$/.test(runbook)) {
        rows.push([
            'What to do',
            <a href={runbook} target="_blank" rel="noopener noreferrer">
                {safe(runbook)}
            </a>,
        ]);
    }
    if (raw.config_key) {
        rows.push(['Tuned by', <code>{safe(raw.config_key)}</code>]);
    }
    if (note?.who) {
        const when = note.at_ms === null ? '' : moment(note.at_ms, now);
        rows.push(['Acknowledged', `by ${safe(note.who)}, ${when}${note.acknowledged ? '' : `, when it was ${safe(note.at_severity)}`}${note.comment ? `: ${safe(note.comment)}` : ''}`]);
    }
    if (note?.silence) {
        rows.push(['Silenced', note.until_ms === null ? 'yes' : `until ${moment(note.until_ms, now)} UTC`]);
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
            <Around a={a} />
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
                    {acts && !note?.acknowledged && (
                        <button type="button" class="btn small primary" title="a" onClick={() => acts.acknowledge([a])}>
                            Acknowledge
                        </button>
                    )}
                    {acts && note?.who && (
                        <button type="button" class="btn small" onClick={() => acts.undo([a])}>
                            Take back
                        </button>
                    )}
                    {acts && !note?.silence && (
                        <button type="button" class="btn small" title="s" onClick={() => acts.silence([a])}>
                            Silence
                        </button>
                    )}
                    {filter && (
                        <button type="button" class="btn small" onClick={() => go('flows', { f: filter })}>
                            Flows
                        </button>
                    )}
                    {ids.length > 0 && (
                        <button type="button" class="btn small" onClick={() => go('flows', { f: ids.length === 1 ? term('community_id', ids[0]) : `community_id IN (${ids.slice(0, 16).map(quote).join(', ')})` })}>
                            Flows in evidence
                        </button>
                    )}
                    {can_capture(a) && (
                        <button type="button" class="btn small" title="c" onClick={() => capture_alert(a)}>
                            Capture packets
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
                {[why_not(session.value, 'triage', 'Acknowledging and silencing need'), samples.length > 0 ? why_not(session.value, 'packets', 'Its packets need') : '']
                    .filter((why) => why !== '')
                    .map((why) => (
                        <p class="dim why-not" key={why}>
                            {why}
                        </p>
                    ))}
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
