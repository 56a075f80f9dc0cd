/* One flow: its rate, how it was set up, what it carried, and ways on from it. */
import { useSignal, useSignalEffect } from '@preact/signals';
import { use_keys } from '../keys';
import { bpf_of } from '../lib/capture';
import { term, type ClickKind } from '../lib/filter';
import { app_name, bytes, digits, endpoint, enum_words, ip_protocol, moment, ms, num, parse_duration, plural, safe, si, span, whole, NONE } from '../lib/format';
import { flow_key, read_flow, read_labels, read_rtt, type Flow, type Observer } from '../live/records';
import { get, Problem, type Bag } from '../live/rest';
import { use_series } from '../live/series';
import { go, hello, href, reload, sensor_name, server_now } from '../live/store';
import { Heat } from '../ui/heat';
import { CopyButton, Failed, Loading } from '../ui/parts';
import { Spark, thin } from '../ui/spark';

const CIPHERS: Record<number, string> = { 0x1301: 'AES-128-GCM', 0x1302: 'AES-256-GCM', 0x1303: 'CHACHA20', 0xc02b: 'ECDHE-ECDSA AES-128-GCM', 0xc02f: 'ECDHE-RSA AES-128-GCM', 0xc02c: 'ECDHE-ECDSA AES-256-GCM', 0xc030: 'ECDHE-RSA AES-256-GCM' };
function cipher(v: unknown): string {
    const n = num(v);
    return n === null || n === 0 ? '' : (CIPHERS[n] ?? `cipher 0x${n.toString(16).padStart(4, '0')}`);
}
const RR_TYPES: Record<number, string> = { 1: 'A', 2: 'NS', 5: 'CNAME', 6: 'SOA', 12: 'PTR', 15: 'MX', 16: 'TXT', 28: 'AAAA', 33: 'SRV', 64: 'SVCB', 65: 'HTTPS', 255: 'ANY' };
const RCODES = ['ok', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];
function asked(queries: unknown, omitted: number | null): string {
    const list = Array.isArray(queries) ? queries.map(bag) : [];
    const words = list.slice(0, 4).map((q) => {
        const type = num(q.type);
        const code = num(q.rcode);
        return [safe(text(q.name)), type === null ? '' : (RR_TYPES[type] ?? `type ${type}`), code === null ? 'no answer' : (RCODES[code] ?? `rcode ${code}`)].filter(Boolean).join(' ');
    });
    const rest = Math.max(0, list.length - 4) + (omitted ?? 0);
    return words.join('; ') + (rest > 0 ? `; ${rest} more` : '');
}

/* "TLS_VERSION_1_3", "TLS 1.3", "1.3" -> "1.3" */
const tls_version = (v: unknown) => safe(text(v).replace(/^TLS(_VERSION)?[_ ]?/, '').replace(/_/g, '.'));
const bag = (v: unknown): Bag => (typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Bag) : {});
const text = (v: unknown) => (v === null || v === undefined ? '' : Array.isArray(v) ? v.join(', ') : String(v));

export function Drawer(props: { selected: string; row: Flow | null; filter: string; click: (field: string, value: string, kind: ClickKind) => void; close: () => void }) {
    const cut = props.selected.lastIndexOf('~');
    const sensor_id = props.selected.slice(0, Math.max(0, cut));
    const id = props.selected.slice(cut + 1);
    const record = useSignal<Bag | null>(props.row?.raw ?? null);
    const failed = useSignal<unknown>(null);
    use_keys([]);

    useSignalEffect(() => {
        void reload.value;
        const abort = new AbortController();
        const load = () =>
            get(`/v1/flows/${encodeURIComponent(id)}`, { sensor_id }, abort.signal)
                .then((b) => {
                    record.value = b;
                    failed.value = null;
                })
                .catch((error: unknown) => {
                    if (!abort.signal.aborted) {
                        failed.value = error;
                    }
                });
        void load();
        const timer = window.setInterval(() => {
            if (record.peek() && !read_flow(record.peek()).ended && !document.hidden) {
                void load();
            }
        }, 5000);
        return () => {
            abort.abort();
            window.clearInterval(timer);
        };
    });

    const b = record.value ?? props.row?.raw ?? null;
    return (
        <aside class="panel dr" aria-label="Flow">
            <button type="button" class="bare dr-close" aria-label="Close (Esc)" onClick={props.close}>
                ×
            </button>
            {b === null ? (
                failed.value !== null ? (
                    <Failed what={failed.value instanceof Problem && failed.value.status === 404 ? 'This flow is no longer known.' : 'The flow could not be read.'} error={failed.value} retry={() => reload.value++} />
                ) : (
                    <Loading rows={8} />
                )
            ) : (
                <Detail record={b} live_row={props.row} click={props.click} />
            )}
        </aside>
    );
}

function Detail({ record, live_row, click }: { record: Bag; live_row: Flow | null; click: (field: string, value: string, kind: ClickKind) => void }) {
    const f = read_flow(record);
    const shown = live_row ?? f;
    const tcp = bag(record.tcp);
    const tls = bag(record.tls);
    const dns = bag(record.dns);
    const http = bag(record.http);
    const app = bag(record.app);
    const length = f.start_ms !== null && f.end_ms !== null ? f.end_ms - f.start_ms : null;
    const server = f.server_name || f.server_ip;
    const own_filter = `${term('flow_id', f.id)} AND ${term('sensor', f.sensor_id)}`;
    const pair_filter = `${term('client.ip', f.client_ip)} AND ${term('server.ip', f.server_ip)}`;

    const rows: [string, preact.ComponentChildren][] = [];
    const add = (name: string, value: preact.ComponentChildren) => {
        if (value !== '' && value !== null && value !== undefined) {
            rows.push([name, value]);
        }
    };
    const value_button = (field: string, value: string, shown_text?: string) =>
        value === '' ? '' : (
            <button type="button" class="val" title={`${safe(value)}: click = include, alt-click = exclude`} onClick={(e) => click(field, value, e.altKey ? 'exclude' : e.shiftKey ? 'only' : 'include')}>
                {safe(shown_text ?? value)}
            </button>
        );
    const network = (side: 'client' | 'server') => {
        const labels = read_labels(record[side]);
        return labels.length === 0
            ? ''
            : labels.map(([key, value], i) => (
                  <span key={key}>
                      {i > 0 && ' · '}
                      <span class="dim">{key}</span> {value_button(`${side}.labels.${key}`, value)}
                  </span>
              ));
    };
    const host_link = (ip: string) =>
        ip === '' ? null : (
            <a href={href('hosts', { host: ip })} aria-label={`The page of ${safe(ip)}`} title="its page">
                host
            </a>
        );
    add('Source', <>{value_button('client.ip', f.client_ip, endpoint(f.client_ip, f.client_port))} {host_link(f.client_ip)}</>);
    add('Source net', network('client'));
    add('Destination', <>{value_button('server.ip', f.server_ip, endpoint(f.server_ip, f.server_port))} {host_link(f.server_ip)}</>);
    add('Dest. net', network('server'));
    add('Name', f.server_name === '' ? '' : value_button('server.name', f.server_name));
    add('Application', f.app === '' ? '' : <>{value_button('app', f.app, app_name(f.app))} <span class="dim">{[enum_words(app.confidence), safe(text(app.method))].filter(Boolean).join(', ')}</span></>);
    add('Volume', `${bytes(shown.bytes_ba)} in · ${bytes(shown.bytes_ab)} out`);
    add('Packets', `${whole(f.packets_ba)} in · ${whole(f.packets_ab)} out`);
    const server_rtt = read_rtt(tcp.server_rtt);
    const client_rtt = read_rtt(tcp.client_rtt);
    if (server_rtt.mean !== null || client_rtt.mean !== null) {
        add('RTT', [client_rtt.mean !== null ? `client ${ms(client_rtt.mean)}` : '', server_rtt.mean !== null ? `server ${ms(server_rtt.mean)}` : '', `${whole((client_rtt.samples ?? 0) + (server_rtt.samples ?? 0))} samples`].filter(Boolean).join(' · '));
    }
    if (f.retransmits !== null) {
        const order = (num(bag(tcp.forward).out_of_order_segments) ?? 0) + (num(bag(tcp.reverse).out_of_order_segments) ?? 0);
        const packets = (f.packets_ab ?? 0) + (f.packets_ba ?? 0);
        add('Retransmits', `${whole(f.retransmits)}${packets > 0 && f.retransmits > 0 ? ` (${digits((100 * f.retransmits) / packets)}\u00a0%)` : ''} · ${order} out of order`);
    }
    add('TCP', [enum_words(tcp.state), safe(text(tcp.conn_state))].filter(Boolean).join(' · '));
    if (record.tls) {
        add('TLS', [tls_version(tls.version), safe(text(tls.alpn)), cipher(tls.cipher), tls.ech_offered === true ? 'ECH offered' : ''].filter(Boolean).join(' · '));
        add('SNI', value_button('tls.sni', text(tls.sni)));
        add('JA4', text(tls.ja4) === '' ? '' : <span class="mono" title={safe(text(tls.ja4))}>{safe(text(tls.ja4))}</span>);
    }
    if (record.dns) {
        add('Asked', asked(dns.queries, num(dns.queries_omitted)));
        add('DNS', [`${whole(num(dns.query_count))} asked, ${whole(num(dns.response_count))} answered`, parse_duration(dns.response_time) === null ? '' : `in ${ms(parse_duration(dns.response_time))}`].filter(Boolean).join(' · '));
    }
    if (record.http) {
        add('HTTP', [safe(text(http.method)), safe(text(http.hosts ?? http.host)), safe(text(http.status))].filter(Boolean).join(' '));
        add('User agent', safe(text(http.user_agent)));
    }
    const ssh = bag(record.ssh);
    add('SSH', [safe(text(ssh.client_banner)), safe(text(ssh.server_banner))].filter(Boolean).join(' → '));
    const weak = Array.isArray(record.flags) ? record.flags.map(enum_words).filter(Boolean) : [];
    add('Weak points', weak.join(', '));
    const alerts = Array.isArray(record.alert_ids) ? record.alert_ids.map(text).filter(Boolean) : [];
    add(
        'Alerts',
        alerts.length === 0
            ? ''
            : [
                  ...alerts.map((id, i) => [
                      i > 0 ? ', ' : '',
                      <a key={id} href={href('alerts', { sel: id })}>
                          {safe(id.slice(0, 13))}
                      </a>,
                  ]),
                  ` · risk ${whole(num(record.risk_score))} of 100`,
              ],
    );
    add('VLAN', record.vlan_id === undefined || record.vlan_id === null ? '' : safe(text(record.vlan_id)));
    add('Interface', safe(text(record.interface)));
    add('Seen', `${f.start_ms === null ? NONE : moment(f.start_ms, server_now())} – ${f.end_ms === null ? NONE : moment(f.end_ms, f.start_ms ?? 0)}`);
    add('Ended', f.ended ? enum_words(record.end_reason) || 'yes' : 'not yet');
    add('Community ID', f.community_id === '' ? '' : <span class="mono" title={safe(f.community_id)}>{safe(f.community_id)}</span>);

    const bpf = bpf_of({ ...f, vlan: num(record.vlan_id) });
    return (
        <>
            <div class="h">
                <div class="a" title={safe(`${f.client_ip} → ${server}`)}>
                    {safe(f.client_ip)} → {safe(server)}
                </div>
                <div class="b">
                    {[app_name(f.app), ip_protocol(f.protocol)].filter((v, i, all) => v && all.indexOf(v) === i).join(' over ')}
                    {f.server_port ? ` · port ${f.server_port}` : ''} · {safe(sensor_name(f.sensor_id))} · {span(length)}
                </div>
            </div>
            <RateOf flow={f} filter={own_filter} />
            <SetUp tcp={tcp} />
            <div class="sec">
                <dl class="kv">
                    {rows.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}=`}>{value}</dd>])}
                </dl>
            </div>
            {f.observers.length > 1 && <SeenBy observers={f.observers} community_id={f.community_id} />}
            <Pair flow={f} filter={pair_filter} />
            <div class="sec">
                <h3>Pivot</h3>
                <div class="acts">
                    <button type="button" class="btn small" onClick={() => go('flows', { f: term('client.ip', f.client_ip) })}>
                        Same source
                    </button>
                    <button type="button" class="btn small" onClick={() => go('flows', { f: pair_filter })}>
                        Same pair
                    </button>
                    {text(tls.sni) !== '' && (
                        <button type="button" class="btn small" onClick={() => go('flows', { f: term('tls.sni', text(tls.sni)) })}>
                            Same SNI
                        </button>
                    )}
                    {f.community_id !== '' && (
                        <button type="button" class="btn small" onClick={() => go('flows', { f: term('community_id', f.community_id), d: 'all' })}>
                            All sensors
                        </button>
                    )}
                    {hello.value?.caps.packets && (
                        <button type="button" class="btn small" onClick={() => go('packets', { flow: f.id, sensor: f.sensor_id })}>
                            Packets
                        </button>
                    )}
                    {hello.value?.caps.capture && bpf !== '' && (
                        <button type="button" class="btn small" onClick={() => go('packets', { cap: '1', sensor: f.sensor_id, cs: f.observers.length > 1 ? f.observers.map((o) => o.sensor_id).join(',') : '', bpf })}>
                            Capture packets
                        </button>
                    )}
                </div>
            </div>
            <div class="sec">
                <div class="acts">
                    <CopyButton label="Copy as filter" text={own_filter} />
                    <CopyButton label="Copy link" text={location.href} />
                    <CopyButton label="Copy JSON" text={JSON.stringify(record, null, 2)} />
                </div>
            </div>
        </>
    );
}

function RateOf({ flow, filter }: { flow: Flow; filter: string }) {
    const from_ms = Math.floor(flow.start_ms ?? 0);
    const to_ms = Math.ceil(Math.max(from_ms + 1000, flow.end_ms ?? 0));
    /* the window grows with the flow in whole steps, so that it is not asked for again with each frame */
    const grain = Math.max(10_000, Math.ceil((to_ms - from_ms) / 20 / 10_000) * 10_000);
    const data = use_series({ metric: 'bps', by: 'none', points: 90, filter, window: { from_ms, to_ms: from_ms + Math.ceil((to_ms - from_ms) / grain) * grain } }).value;
    if (flow.start_ms === null || data.state === 'error' || !data.input || data.keys.length === 0) {
        return null;
    }
    const into = data.input.column(0);
    const out = data.output?.column(0) ?? [];
    const peak = Math.max(0, ...into.map((v, i) => (v ?? 0) + (out[i] ?? 0)));
    if (into.filter((v) => v !== null).length < 2) {
        return null;
    }
    return (
        <div class="sec">
            <h3>
                Rate, both directions <span>peak {si(peak)}bit/s</span>
            </h3>
            <div class="rate-lines" role="img" aria-label={`Rate over the flow's time, at most ${si(peak)}bit/s`}>
                <Spark values={thin(into, 90)} width={296} height={40} class="c1" area from_zero />
                <Spark values={thin(out, 90)} width={296} height={28} class="c3" area from_zero />
            </div>
        </div>
    );
}

/* What is known of the set-up: the handshake's length, the half of it towards the server, the server's first answer. */
function SetUp({ tcp }: { tcp: Bag }) {
    const handshake = parse_duration(tcp.handshake_time);
    const response = parse_duration(tcp.server_response_time);
    if (handshake === null) {
        return null;
    }
    const steps: { text: string; left: boolean; at: string }[] = [
        { text: 'SYN', left: true, at: ms(0) },
        { text: 'SYN-ACK', left: false, at: '' },
        { text: 'ACK', left: true, at: ms(handshake) },
    ];
    if (response !== null) {
        steps.push({ text: 'request', left: true, at: '' }, { text: 'first byte', left: false, at: `+${ms(response)}` });
    }
    const row = 17;
    const height = steps.length * row + 8;
    return (
        <div class="sec">
            <h3>
                Connection set-up <span>client · server</span>
            </h3>
            <svg class="ladder" viewBox={`0 0 296 ${height}`} width="100%" height={height} role="img" aria-label={`Handshake took ${ms(handshake)}${response === null ? '' : `, the server answered after ${ms(response)}`}`}>
                <path d={`M78 2V${height}M218 2V${height}`} class="ladder-pole" />
                {steps.map((s, i) => {
                    const y = 12 + i * row;
                    return (
                        <g key={i} class={s.left ? 'to' : 'fro'}>
                            <path d={s.left ? `M78 ${y}L216 ${y + 5}` : `M218 ${y}L80 ${y + 5}`} />
                            <path d={s.left ? `M210 ${y + 2}L217 ${y + 5}L210 ${y + 7}z` : `M86 ${y + 2}L79 ${y + 5}L86 ${y + 7}z`} class="tip" />
                            <text x="148" y={y - 1} text-anchor="middle">
                                {s.text}
                            </text>
                            {s.at && (
                                <text x={s.left ? 70 : 226} y={y + 4} text-anchor={s.left ? 'end' : 'start'} class="when">
                                    {s.at}
                                </text>
                            )}
                        </g>
                    );
                })}
            </svg>
        </div>
    );
}

/* Who saw it, in the order in which they did: the way that it took, as far as their clocks agree. */
function SeenBy({ observers, community_id }: { observers: Observer[]; community_id: string }) {
    const first = observers[0].first_ms;
    return (
        <div class="sec seenby">
            <h3>
                Seen by {plural(observers.length, 'sensor')} <span>by their own clocks</span>
            </h3>
            <table>
                <thead>
                    <tr>
                        <th scope="col">Sensor</th>
                        <th scope="col">First</th>
                        <th scope="col">RTT</th>
                        <th scope="col">Packets</th>
                        <th scope="col">Missed</th>
                    </tr>
                </thead>
                <tbody>
                    {observers.map((o) => (
                        <tr key={flow_key(o.sensor_id, o.id)} class={o.primary ? 'on' : ''}>
                            <th scope="row">
                                <button type="button" class="val" title="As this sensor saw it" onClick={() => go('flows', { f: term('community_id', community_id), d: 'all', sel: flow_key(o.sensor_id, o.id) })}>
                                    {safe(sensor_name(o.sensor_id))}
                                </button>
                                {o.primary && <small> counts</small>}
                            </th>
                            <td>{o.first_ms === null || first === null ? NONE : o.first_ms === first ? 'first' : `+${ms(o.first_ms - first)}`}</td>
                            <td>{o.rtt_ms === null ? NONE : ms(o.rtt_ms)}</td>
                            <td>{whole(o.packets)}</td>
                            <td class={(o.missed ?? 0) > 0 ? 'warm' : ''}>{bytes(o.missed ?? 0)}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

function Pair({ flow, filter }: { flow: Flow; filter: string }) {
    const end = Math.ceil((flow.end_ms ?? server_now()) / 60_000) * 60_000;
    const data = use_series({ metric: 'bps', by: 'none', points: 60, filter, window: { from_ms: end - 3_600_000, to_ms: end } }).value;
    if (data.state === 'error' || !data.input || data.keys.length === 0) {
        return null;
    }
    const into = data.input.column(0);
    const out = data.output?.column(0) ?? [];
    const values = into.map((v, i) => (v === null && (out[i] ?? null) === null ? null : (v ?? 0) + (out[i] ?? 0)));
    const first = values.findIndex((v) => v !== null);
    const active = values.filter((v) => (v ?? 0) > 0).length;
    return (
        <div class="sec pair">
            <h3>
                Same pair, 60 min <span>busy in {plural(active, 'step')}</span>
            </h3>
            <Heat values={values} scale_max={Math.max(1, ...values.map((v) => v ?? 0))} before={first < 0 ? values.length : first} label={`Traffic of this pair in the hour before, in ${active} of ${values.length} steps`} />
        </div>
    );
}
