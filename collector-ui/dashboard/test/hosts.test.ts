import assert from 'node:assert/strict';
import { test } from 'node:test';
import { both, columns_of, keep_places, party_cells, PARTY_COLUMNS, party_filter, read_parties, read_party, read_sums } from '../src/lib/hosts.ts';

const host = { address: '10.0.0.1', name: 'a.example', bytes_sent: '10', bytes_received: '30', flows: '3', flows_served: '1', peers: '2', first_time: '2026-11-30T10:00:00Z', last_time: '2026-11-30T10:01:00.5Z', rtt: '0.012s' };

test('a host is read with what is not measured as null', () => {
    const p = read_party(host);
    assert.deepEqual([p.key, p.sent, p.received, p.flows, p.served, p.peers, p.rtt_ms], ['10.0.0.1', 10, 30, 3, 1, 2, 12]);
    assert.deepEqual([p.error_rate, p.retransmit_ratio], [null, null]);
    assert.equal(p.last_ms! - p.first_ms!, 60_500);
    assert.equal(party_cells(p).length, PARTY_COLUMNS.length);
});

test('an answer tells what is missing', () => {
    const a = read_parties({ hosts: [host, {}, null, 3], self: host, found: 7, bytes: '40', truncated: true, truncated_reason: 'too long', coverage: { sensors_asked: 3, sensors_answered: 2 } });
    assert.deepEqual([a.rows.length, a.self?.address, a.found, a.bytes, a.truncated, a.asked, a.answered], [1, '10.0.0.1', 7, 40, 'too long', 3, 2]);
    const none = read_parties({});
    assert.deepEqual([none.rows, none.self, none.truncated], [[], null, '']);
});

test('a service is chosen by its address, port and application', () => {
    const p = read_party({ address: '2001:db8::1', port: 443, ip_protocol: 'tcp', application: 'tls' });
    assert.equal(party_filter(p), 'server.ip = "2001:db8::1" AND server.port = 443 AND app = tls');
    assert.equal(party_filter(read_party(host)), 'ip = "10.0.0.1"');
    assert.notEqual(p.key, read_party({ address: '2001:db8::1', port: 443, ip_protocol: 'udp', application: 'quic' }).key);
});

test('a term goes with any filter, once', () => {
    assert.equal(both('', 'app = tls'), 'app = tls');
    assert.equal(both('app = tls', 'app = tls'), 'app = tls');
    assert.equal(both('app = tls OR app = dns', 'port = 1'), '(app = tls OR app = dns) AND port = 1');
    assert.equal(both('port = 1', ''), 'port = 1');
});

test('traffic over time: nothing is 0 where there is history, a gap where there is none', () => {
    const at = (s: number) => new Date(s * 1000).toISOString();
    const coverage = { oldest_time: at(1020), newest_time: at(1045) };
    const client = { coverage, rows: [{ time: at(1020), key: [], bytes_forward: '100', bytes_reverse: '200' }, { time: at(5000), bytes_forward: '1' }] };
    const server = { coverage, rows: [{ time: at(1030), bytes_forward: '50', bytes_reverse: '70' }] };
    const c = columns_of(client, server, 1_000_000, 1_060_000, 10_000);
    assert.deepEqual(c.t, [1000, 1010, 1020, 1030, 1040, 1050].map((s) => s * 1000));
    assert.deepEqual(c.sent, [null, null, 80, 56, 0, null]);
    assert.deepEqual(c.received, [null, null, 160, 40, 0, null]);
});

test('sums keep their keys and say which row is the rest', () => {
    const [a, b] = read_sums({ rows: [{ key: ['443', 'tls'], bytes_forward: '5' }, { key: ['other', 'other'], other: true }] });
    assert.deepEqual([a.key, a.forward, a.reverse, a.other, b.other], [['443', 'tls'], 5, 0, false, true]);
    assert.deepEqual(read_sums({}), []);
});

test('rows keep their places with new figures', () => {
    const row = (address: string, sent: number) => read_party({ address, bytes_sent: String(sent) });
    const kept = keep_places([row('a', 1), row('b', 2)], [row('b', 9), row('c', 5)]);
    assert.deepEqual(kept.rows.map((p) => [p.address, p.sent]), [['a', 1], ['b', 9]]);
    assert.equal(kept.fresh, 1);
});
