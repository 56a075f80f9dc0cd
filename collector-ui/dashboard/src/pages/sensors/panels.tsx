/* The panels on the page of a sensor. */
import { ago, bytes, moment, NONE, plural, safe, span, whole } from '../../lib/format';
import type { Cause, Interface, SensorDetail } from '../../lib/sensor_detail';
import { alert_entity, alert_title, desired_reason, type Sensor } from '../../live/records';
import { alerts, alerts_state, href, param, sensor_name, server_now, why_hidden } from '../../live/store';
import { Severity } from '../../ui/icons';
import { MiniTable } from '../../ui/mini_table';
import { Empty, Panel } from '../../ui/parts';
import { Pushed } from './parts';

function Count({ of }: { of: number | null }) {
    return <span class={of === null || of === 0 ? 'dim' : 'warm'}>{whole(of)}</span>;
}

/* Shorter than this, a pause of the machine loses packets. */
const STALL_MATTERS_S = 0.05;

export function Interfaces({ of }: { of: Interface[] }) {
    return (
        <Panel class="hp-link" title="Interfaces" sub={of.length > 0 ? 'since the process began' : ''}>
            {of.length === 0 ? (
                <Empty>It has told of no interface yet.</Empty>
            ) : (
                <MiniTable
                    label="Interfaces"
                    head={[['Interface', false], ['State', false], ['Packets', true], ['Bytes', true, 'hide-m'], ['Lost: interface', true], ['Lost: kernel', true], ['Cut short', true, 'hide-m'], ['Never seen, about', true, 'hide-m'], ['Room for a pause', true, 'hide-m'], ['Opened again', true, 'hide-m']]}
                >
                    {of.map((i) => (
                        <tr key={i.name}>
                            <td class="who" title={i.filter ? `filter: ${safe(i.filter)}` : undefined}>
                                {safe(i.name)} {i.filter && <span class="mono dim">{safe(i.filter)}</span>}
                            </td>
                            <td>
                                <Severity level={i.up && i.error === '' ? 'ok' : 'high'} /> {i.up ? (i.error ? <span class="warm">{safe(i.error)}</span> : 'up') : <span class="warm">{safe(i.error) || 'down'}</span>}
                            </td>
                            <td class="num">{whole(i.received)}</td>
                            <td class="num hide-m">{bytes(i.bytes)}</td>
                            <td class="num">
                                <Count of={i.interface_dropped} />
                            </td>
                            <td class="num">
                                <Count of={i.kernel_dropped} />
                            </td>
                            <td class="num dim hide-m">{whole(i.truncated)}</td>
                            <td class="num dim hide-m" title="Bytes that TCP receivers acknowledged and this sensor never saw">
                                {bytes(i.missed_bytes)}
                            </td>
                            <td class={`num hide-m ${i.stall_s !== null && i.stall_s < STALL_MATTERS_S ? 'warm' : ''}`} title="How long the sensor may stand still at this rate before a ring is full">
                                {i.stall_s === null ? NONE : span(i.stall_s * 1000)}
                            </td>
                            <td class="num hide-m">{whole(i.reopened)}</td>
                        </tr>
                    ))}
                </MiniTable>
            )}
        </Panel>
    );
}

const CAUSES: Record<Cause['key'], { name: string; unit: string; about: string }> = {
    interface: { name: 'Network interface', unit: 'packets', about: 'dropped by the card or its driver' },
    kernel: { name: 'Kernel', unit: 'packets', about: 'its ring was full' },
    queues: { name: 'Queues of the sensor', unit: 'packets', about: 'a shard did not keep up' },
    decode: { name: 'Not decoded', unit: 'packets', about: 'no IP, cut short or malformed: counted, in no flow' },
    flow_table: { name: 'Flow table full', unit: 'flows', about: 'ended early to make room; no packet is lost' },
    uplink: { name: 'Way to the collector', unit: 'records', about: 'no room in the spool, or given up' },
};

export function Lost({ of }: { of: SensorDetail }) {
    return (
        <Panel
            class="hp-third"
            title="Lost, by cause"
            sub="since the process began"
            tools={
                <a class="go" href={href('sensors', { sensor: of.id, vs: param('vs'), m: 'loss' })}>
                    when
                </a>
            }
        >
            <table class="figures">
                <tbody>
                    {of.causes.map((c) => (
                        <tr key={c.key} title={CAUSES[c.key].about}>
                            <th scope="row">
                                {['interface', 'kernel', 'queues'].includes(c.key) ? <a href={href('sensors', { sensor: of.id, vs: param('vs'), m: 'loss' })}>{CAUSES[c.key].name}</a> : CAUSES[c.key].name}
                                {c.reasons.length > 0 && <span class="dim"> {safe([...new Set(c.reasons)].join(', ')).replace(/_/g, ' ')}</span>}
                            </th>
                            <td class="num">
                                <Count of={c.count} /> <span class="dim">{c.count === null ? '' : CAUSES[c.key].unit}</span>
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </Panel>
    );
}

export function Records({ of }: { of: SensorDetail }) {
    const rows: [string, string, boolean][] = [
        ['Records that came here', whole(of.records), false],
        ['… that came twice', whole(of.duplicates), false],
        ['… told lost or missing', whole(of.records_lost), (of.records_lost ?? 0) > 0],
    ];
    for (const k of of.sinks) {
        const name = safe(k.name).replace(/_/g, ' ');
        rows.push([`Sink ${name}`, k.error ? safe(k.error) : k.connected ? 'connected' : 'no peer now', k.error !== '']);
        rows.push(['… not confirmed', `${whole(k.unacked)}${k.oldest_ms !== null && k.oldest_ms > 0 ? `, the oldest ${span(k.oldest_ms)}` : ''}`, false]);
        if ((k.spool_bytes ?? 0) > 0) {
            rows.push(['… waits in its spool', bytes(k.spool_bytes), false]);
        }
        if ((k.failed ?? 0) > 0) {
            rows.push(['… given up', plural(k.failed!, 'record'), true]);
        }
    }
    return (
        <Panel class="hp-third" title="Where its records go">
            <table class="figures">
                <tbody>
                    {rows.map(([name, value, bad], i) => (
                        <tr key={i}>
                            <th scope="row">{name}</th>
                            <td class={`num ${bad ? 'warm' : ''}`}>{value}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </Panel>
    );
}

export function Configuration({ s, of }: { s: Sensor | null; of: SensorDetail }) {
    const d = s?.desired ?? null;
    const why = d === null ? '' : safe(desired_reason(d));
    return (
        <Panel class="hp-third" title="Settings in force" sub="as the sensor tells of them">
            <dl class="kv sn-kv">
                <dt>Hash</dt>
                <dd>
                    <span class="mono">{safe(s?.config_hash ?? '') || NONE}</span>
                </dd>
                <dt>Pushed from here</dt>
                <dd>
                    {d === null ? 'nothing' : <Pushed of={d} />}
                    {why && <div class={d !== null && ['failed', 'rolled back'].includes(d.state) ? 'warm' : 'dim'}>{why}</div>}
                </dd>
                <dt>Labels</dt>
                <dd>
                    {of.labels.length === 0
                        ? 'none'
                        : of.labels.map(([key, value]) => (
                              <div key={key}>
                                  <span class="dim">{safe(key)}</span> {safe(value)}
                              </div>
                          ))}
                </dd>
                <dt>Process</dt>
                <dd>
                    <span class="mono">{safe(of.boot_id) || NONE}</span>
                </dd>
            </dl>
        </Panel>
    );
}

/* What it raised, and what was raised about it: loss and silence. */
export function About({ id }: { id: string }) {
    const now = server_now();
    const list = [...alerts.value.values()].filter((a) => a.sensors.includes(id)).sort((a, b) => Number(b.open) - Number(a.open) || (b.last_ms ?? 0) - (a.last_ms ?? 0));
    return (
        <Panel
            class="hp-about"
            title="Its alerts"
            sub={list.length > 0 ? whole(list.length) : ''}
            tools={
                <a class="go" href={href('alerts')}>
                    all
                </a>
            }
        >
            {list.length === 0 ? (
                <Empty>{alerts_state.value === 'ready' ? 'No alert of this time names it.' : '…'}</Empty>
            ) : (
                <div class="al hp-al" tabIndex={0} role="region" aria-label={`Alerts of ${safe(sensor_name(id))}`}>
                    {list.slice(0, 50).map((a) => (
                        <a class="ai" key={a.id} href={href('alerts', { sel: a.id, ...(why_hidden(a) ? { hidden: '1' } : {}) })} title={safe(a.description)}>
                            <Severity level={a.severity} />
                            <span class="t">{safe(alert_title(a))}</span>
                            <span class="w">{a.last_ms === null ? '' : ago(now - a.last_ms)}</span>
                            <span class="e">{safe(alert_entity(a, sensor_name))}</span>
                            <span class="x">{a.open ? 'open' : a.first_ms === null ? '' : moment(a.first_ms, now, false)}</span>
                        </a>
                    ))}
                </div>
            )}
        </Panel>
    );
}
