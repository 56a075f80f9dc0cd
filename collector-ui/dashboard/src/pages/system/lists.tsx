/* Lists on the page System: days of the store, clients of the live feed, receivers of alerts. */
import { bytes, clock, day, ms, NONE, plural, safe, span, whole } from '../../lib/format';
import type { Status } from '../../lib/status';
import { server_now } from '../../live/store';
import { Severity } from '../../ui/icons';
import { Empty, Panel } from '../../ui/parts';

const DAYS_SHOWN = 14;

/* The newest days as bars, the oldest on the left. */
export function Days({ status }: { status: Status }) {
    const days = status.days.slice(-DAYS_SHOWN);
    const top = Math.max(1, ...days.map((d) => d.bytes));
    const at = (t: number | null) => (t === null ? NONE : `${day(t)} ${clock(t, false)}`);
    return (
        <ol class="sy-days" data-title={`by day, ${plural(days.length, 'day')}`} aria-label={`Bytes by day, ${plural(status.days.length, 'day')}`}>
            {days.map((d) => (
                <li key={d.date} title={`${d.date}: ${bytes(d.bytes)}, records from ${at(d.oldest_ms)} to ${at(d.newest_ms)}`}>
                    <i style={{ height: `${Math.max(4, (100 * d.bytes) / top)}%` }} />
                    <span class="hear">
                        {d.date}: {bytes(d.bytes)}
                    </span>
                </li>
            ))}
        </ol>
    );
}

const LAG_MATTERS_MS = 2000; /* a client acknowledges once a second */

export function Clients({ status }: { status: Status }) {
    const now = server_now();
    const { clients, live } = status;
    return (
        <Panel class="sy-half" title="Clients of the live feed" sub={`${whole(live.clients_total)} of ${whole(live.clients_max)}${live.refused > 0 ? `, ${whole(live.refused)} refused` : ''}`}>
            {clients.length === 0 ? (
                <Empty>Nobody looks at the live feed.</Empty>
            ) : (
                <div class="tscroll hp-list" tabIndex={0} role="region" aria-label="Clients of the live feed">
                    <table class="mini">
                        <thead>
                            <tr>
                                <th scope="col">Who</th>
                                <th scope="col" class="num">Each</th>
                                <th scope="col" class="num">Frames</th>
                                <th scope="col" class="num">Unacked</th>
                                <th scope="col" class="num">Lag</th>
                                <th scope="col" class="num hide-m">Queued</th>
                                <th scope="col" class="num hide-m">For</th>
                            </tr>
                        </thead>
                        <tbody>
                            {clients.map((c, i) => (
                                <tr key={i}>
                                    <td class="who">
                                        {c.behind && <Severity level="high" />} {safe(c.user) || <span class="dim">without a login</span>}
                                        {c.behind && <span class="warm"> does not keep up</span>}
                                    </td>
                                    <td class="num">{c.interval_ms ? span(c.interval_ms) : NONE}</td>
                                    <td class="num">{whole(c.frames)}</td>
                                    <td class="num">{whole(c.unacked)}</td>
                                    <td class={`num ${(c.lag_ms ?? 0) > LAG_MATTERS_MS ? 'warm' : ''}`}>{c.unacked === 0 ? NONE : ms(c.lag_ms)}</td>
                                    <td class="num hide-m">{bytes(c.queued)}</td>
                                    <td class="num dim hide-m">{c.since_ms === null ? NONE : span(Math.max(0, now - c.since_ms))}</td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
        </Panel>
    );
}

export function Receivers({ status }: { status: Status }) {
    return (
        <Panel class="sy-half" title="Receivers of alerts" sub={status.receivers.length > 0 ? whole(status.receivers.length) : ''}>
            {status.receivers.length === 0 ? (
                <Empty>Alerts go to nobody but this page: there is no section receivers in the settings.</Empty>
            ) : (
                <div class="tscroll hp-list" tabIndex={0} role="region" aria-label="Receivers of alerts">
                    <table class="mini">
                        <thead>
                            <tr>
                                <th scope="col">Receiver</th>
                                <th scope="col">State</th>
                                <th scope="col" class="num">Waiting</th>
                                <th scope="col" class="num">Sent</th>
                                <th scope="col" class="num hide-m">Silenced</th>
                                <th scope="col" class="num hide-m">Retries</th>
                                <th scope="col" class="num">Lost</th>
                            </tr>
                        </thead>
                        <tbody>
                            {status.receivers.map((r) => (
                                <tr key={r.name}>
                                    <td class="who">{safe(r.name)}</td>
                                    <td>
                                        <Severity level={r.failing ? 'high' : 'ok'} /> {r.failing ? <span class="warm">its last try failed</span> : 'well'}
                                    </td>
                                    <td class="num">{whole(r.waiting)}</td>
                                    <td class="num">{whole(r.sent)}</td>
                                    <td class="num hide-m">{whole(r.silenced)}</td>
                                    <td class="num hide-m">{whole(r.retries)}</td>
                                    <td class={`num ${r.lost > 0 ? 'warm' : ''}`}>{whole(r.lost)}</td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
        </Panel>
    );
}
