/* The fake collector's ListHosts, ListServices and Aggregate, over the totals of its flows. */

const time = (text) => Date.parse(`${text.slice(0, 23)}Z`);
const iso = (ms) => new Date(ms).toISOString().replace('Z', '000000Z');
const total = (r, way) => Number(r[way].total_bytes);
const retransmits = (r) => (r.tcp ? Number(r.tcp.forward.retransmitted_segments) + Number(r.tcp.reverse.retransmitted_segments) : 0);
const packets = (r) => Number(r.forward.total_packets) + Number(r.reverse.total_packets);
const rtt = (r) => parseFloat(r.tcp?.server_rtt?.mean ?? 'x');

const ORDERS = {
    UNSPECIFIED: (p) => p.sent + p.received, BYTES: (p) => p.sent + p.received, SENT: (p) => p.sent, RECEIVED: (p) => p.received, FLOWS: (p) => p.flows, PEERS: (p) => p.peers.size, FIRST_SEEN: (p) => p.first, LAST_SEEN: (p) => p.last,
    RTT: (p) => (p.rtts > 0 ? p.rtt / p.rtts : null), RETRANSMITS: (p) => (p.tcp > 0 ? p.retransmits / p.tcp : null), FAILURES: (p) => (p.ended > 0 ? p.failed / p.ended : null),
};

function add(parties, key, given, r, is_server) {
    const p = parties.get(key) ?? { ...given, name: '', sent: 0, received: 0, packets: 0, flows: 0, served: 0, peers: new Set(), first: Infinity, last: 0, ended: 0, failed: 0, retransmits: 0, tcp: 0, rtt: 0, rtts: 0 };
    p.sent += total(r, is_server ? 'reverse' : 'forward');
    p.received += total(r, is_server ? 'forward' : 'reverse');
    p.packets += packets(r);
    p.flows++;
    p.served += is_server ? 1 : 0;
    p.name = is_server && r.server.name ? r.server.name : p.name;
    p.peers.add(is_server ? r.client.ip : r.server.ip);
    p.first = Math.min(p.first, time(r.start_time));
    p.last = Math.max(p.last, time(r.end_time));
    if (r.event === 'FLOW_EVENT_END') {
        p.ended++;
        p.failed += r.tcp?.conn_state === 'RSTO' ? 1 : 0;
        p.retransmits += retransmits(r);
        p.tcp += r.tcp ? packets(r) : 0;
    }
    if (rtt(r) > 0) {
        p.rtt += rtt(r);
        p.rtts++;
    }
    parties.set(key, p);
}

function party(p) {
    return {
        address: p.address, name: p.name, port: p.port ?? 0, ip_protocol: p.ip_protocol ?? '', application: p.application ?? '', bytes_sent: String(p.sent), bytes_received: String(p.received), packets: String(p.packets), records: String(p.flows),
        flows: String(p.flows), flows_served: String(p.served), new_flows: String(p.flows), peers: String(p.peers.size), first_time: iso(p.first), last_time: iso(p.last), ended_flows: String(p.ended), failed_flows: String(p.failed),
        ...(p.ended > 0 ? { error_rate: p.failed / p.ended } : {}), retransmits: String(p.retransmits), tcp_packets: String(p.tcp), ...(p.tcp > 0 ? { retransmit_ratio: p.retransmits / p.tcp } : {}), ...(p.rtts > 0 ? { rtt: `${(p.rtt / p.rtts).toFixed(9)}s` } : {}),
    };
}

const about = (records, from, to, control) => ({
    coverage: { oldest_time: iso(0), newest_time: iso(Date.now() + 86_400_000), complete: !control.truncated, sensors_asked: 3, sensors_answered: control.truncated ? 2 : 3 }, from: iso(from), to: iso(to), groups_max: 65_536, truncated: Boolean(control.truncated),
    truncated_reason: control.truncated ? 'the query took its whole time (store.query_time): ask for a shorter range or a narrower filter' : '', matched: String(records.length), scanned: String(records.length), took: '0.003s',
});

/* `records`: those that the filter lets through. */
export function list_parties(records, q, from, to, control, services) {
    const peer_of = q.get('peer_of') ?? '';
    const parties = new Map();
    const chosen = peer_of ? records.filter((r) => r.client.ip === peer_of || r.server.ip === peer_of) : records;
    for (const r of chosen) {
        if (services) {
            const given = { address: r.server.ip, port: r.server.port, ip_protocol: r.ip_protocol === 6 ? 'tcp' : 'udp', application: r.app.protocol };
            add(parties, Object.values(given).join(' '), given, r, true);
        } else {
            add(parties, r.server.ip, { address: r.server.ip }, r, true);
            add(parties, r.client.ip, { address: r.client.ip }, r, false);
        }
    }
    const self = peer_of ? parties.get(peer_of) : undefined;
    const search = (q.get('search') ?? '').toLowerCase();
    const found = [...parties.values()].filter((p) => p !== self && (search === '' || [p.address, p.name, p.application ?? ''].some((t) => t.toLowerCase().includes(search)) || String(p.port ?? '') === search));
    const measure = ORDERS[(q.get('order_by') || 'PARTY_ORDER_BYTES').replace('PARTY_ORDER_', '')];
    if (!measure) {
        return null;
    }
    const way = q.get('ascending') === 'true' ? 1 : -1;
    found.sort((a, b) => {
        const [x, y] = [measure(a), measure(b)];
        return x === null || y === null ? Number(x === null) - Number(y === null) : (x - y) * way || (a.address < b.address ? -1 : 1);
    });
    const rows = found.slice(0, Number(q.get('limit') || 100)).map(party);
    return {
        ...(services ? { services: rows } : { hosts: rows }), ...(self ? { self: party(self) } : {}), found: found.length, groups: parties.size, bytes: String(chosen.reduce((n, r) => n + total(r, 'forward') + total(r, 'reverse'), 0)),
        ...about(chosen, from, to, control),
    };
}

const KEYS = { server_port: (r) => String(r.server.port), application: (r) => r.app.protocol, server_name: (r) => r.server.name, client: (r) => r.client.ip, server: (r) => r.server.ip, sensor: (r) => r.sensor_id };

/* Each record evenly over its time, as far as that lies in the range. */
export function aggregate(records, q, from, to, control) {
    const by = q.getAll('group_by');
    if (by.some((name) => !KEYS[name])) {
        return null;
    }
    const step = q.get('step') ? parseFloat(q.get('step')) * 1000 : 0;
    const cells = new Map();
    for (const r of records) {
        const key = by.map((name) => KEYS[name](r));
        const [start, end] = [time(r.start_time), time(r.end_time)];
        const first = step ? Math.floor(Math.max(from, start) / step) * step : from;
        for (let at = first; at < Math.min(to, end); at += step || Infinity) {
            const part = Math.max(0, Math.min(to, end, step ? at + step : to) - Math.max(from, start, at)) / Math.max(1, end - start);
            const name = `${at} ${key.join('\0')}`;
            const cell = cells.get(name) ?? { at, key, forward: 0, reverse: 0, flows: 0 };
            cell.forward += total(r, 'forward') * part;
            cell.reverse += total(r, 'reverse') * part;
            cell.flows += at === first ? 1 : 0;
            cells.set(name, cell);
        }
    }
    const rows = [...cells.values()].sort((a, b) => a.at - b.at || b.forward + b.reverse - a.forward - a.reverse);
    const limit = Number(q.get('limit') || 10);
    const shown = step ? rows : rows.slice(0, limit);
    const row = (c, other) => ({ time: iso(c.at), key: c.key, bytes_forward: String(Math.round(c.forward)), bytes_reverse: String(Math.round(c.reverse)), packets: '1', records: '1', other, bytes_in: '0', new_flows: String(c.flows) });
    const rest = rows.slice(shown.length).reduce((n, c) => ({ ...n, forward: n.forward + c.forward, reverse: n.reverse + c.reverse, flows: n.flows + c.flows }), { at: from, key: by.map(() => 'other'), forward: 0, reverse: 0, flows: 0 });
    return { rows: [...shown.map((c) => row(c, false)), ...(rest.flows > 0 ? [row(rest, true)] : [])], groups: rows.length, ...about(records, from, to, control) };
}
