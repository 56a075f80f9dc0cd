import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alert_entity, alert_filter, alert_group, alert_title, desired_reason, from_base64, read_alert, read_flow, read_labels, read_packet, read_sensor } from '../src/live/records';
import { situation } from '../src/lib/situation';
import { hex_rows, layer_at, smallest_field_at } from '../src/lib/hex';
import { Window } from '../src/lib/quantiles';
import { whole } from '../src/lib/format';
import { make_world, parse_filter } from './fake_server.mjs';

test('a flow record is read, and what is absent is null', () => {
    const f = read_flow({
        sensor_id: 's', flow_id: 'f', event: 'FLOW_EVENT_END', start_time: '2026-01-01T00:00:00Z', end_time: '2026-01-01T00:00:10Z', delta_start_time: '2026-01-01T00:00:05Z',
        client: { ip: '10.0.0.1', port: 4000 }, server: { ip: '10.0.0.2', port: 443 }, ip_protocol: 6, forward: { delta_bytes: '1000', total_bytes: '3000', total_packets: '3' }, reverse: { delta_bytes: '4000', total_bytes: '9000', total_packets: '9' },
        tls: { sni: 'example.org' }, tcp: { state: 'TCP_STATE_CLOSED', server_rtt: { mean: '0.010s' } },
    });
    assert.equal(f.bps, 8000);
    assert.equal(f.server_name, 'example.org');
    assert.equal(f.rtt_ms, 10);
    assert.equal(f.retransmits, null);
    assert.equal(f.state, 'CLOSED');
    assert.equal(f.ended, true);
});

test('who saw a flow stands in the order in which they did', () => {
    const f = read_flow({
        sensor_id: 'core', flow_id: 'a', observers: [
            { sensor_id: 'core', flow_id: 'a', first_time: '2026-01-01T00:00:00.002Z', total_bytes: '900', total_packets: '9', missed_bytes: '0', primary: true, rtt: '0.004s' },
            { sensor_id: 'edge', flow_id: 'b', first_time: '2026-01-01T00:00:00.001Z', total_bytes: '800', total_packets: '8', missed_bytes: '100' },
        ],
    });
    assert.deepEqual(f.observers.map((o) => [o.sensor_id, o.id, o.primary, o.missed, o.rtt_ms]), [['edge', 'b', false, 100, null], ['core', 'a', true, 0, 4]]);
    assert.deepEqual(read_flow({}).observers, []);
    assert.deepEqual(read_flow({ observers: [3, null] }).observers.length, 2);
});

test('labels of a network stand by key, and what no filter could name is left out', () => {
    assert.deepEqual(read_labels({ labels: { site: 'berlin', country: 'DE', 'x y': 'z', __proto__: 'p', empty: '', n: 3 } }), [['country', 'DE'], ['n', '3'], ['site', 'berlin']]);
    assert.deepEqual(read_labels({ labels: 'site' }), []);
    assert.deepEqual(read_labels(null), []);
});

test('a flow of one packet has no rate', () => {
    const at = '2026-01-01T00:00:00Z';
    assert.equal(read_flow({ start_time: at, end_time: at, forward: { delta_bytes: '60' } }).bps, null);
});

test('records that are nonsense give empty rows, not a crash', () => {
    for (const record of [null, 3, 'x', [], { client: 3, tcp: [], forward: 'y' }]) {
        assert.equal(read_flow(record).client_ip, '');
        assert.equal(read_alert(record).severity, 'info');
        assert.equal(read_sensor(record).state, '');
        assert.equal(read_packet(record).data.length, 0);
    }
});

test('a sensor without a name of its own is called by its host', () => {
    const sensor_id = '5c7a06f2-6800-45c8-9d3b-1c57a9efd4da';
    assert.equal(read_sensor({ sensor_id, name: sensor_id, host_name: 'gate' }).name, 'gate 5c7a');
    assert.equal(read_sensor({ sensor_id, name: sensor_id }).name, sensor_id);
    assert.equal(read_sensor({ sensor_id, name: 'paris', host_name: 'gate' }).name, 'paris');
    assert.equal(read_sensor({ sensor_id: 'gate-eth0', host_name: 'gate' }).name, 'gate-eth0');
});

test('what became of settings that were pushed is read, and nonsense is none', () => {
    const failed = read_sensor({ desired_config: { state: 'FAILED', reason: 'no such key', path: 'flow.x', line: 4 } }).desired;
    assert.deepEqual(failed, { state: 'failed', reason: 'no such key', path: 'flow.x', line: 4 });
    assert.equal(desired_reason(failed!), 'flow.x, line 4: no such key');
    assert.equal(desired_reason({ state: 'failed', reason: 'offer:4: flow.x: no such key', path: 'flow.x', line: 4 }), 'line 4: flow.x: no such key');
    assert.equal(desired_reason({ state: 'failed', reason: 'it is off', path: '', line: 0 }), 'it is off');
    assert.equal(read_sensor({ desired_config: { state: 'ROLLED_BACK' } }).desired?.state, 'rolled back');
    for (const desired_config of [null, undefined, 3, [], {}, { state: 'UNSET' }, { state: 'x' }]) {
        assert.equal(read_sensor({ desired_config }).desired, null);
    }
});

test('whose credentials count no more is read, and nonsense is nobody', () => {
    const revoked = read_sensor({ revocation: { time: '2026-03-01T12:00:00Z', revoked_by: 'ops', reason: 'stolen' } }).revoked;
    assert.deepEqual(revoked, { since_ms: Date.UTC(2026, 2, 1, 12), by: 'ops', reason: 'stolen' });
    for (const revocation of [null, undefined, 3, [], {}, { time: 'x', reason: 'y' }]) {
        assert.equal(read_sensor({ revocation }).revoked, null);
    }
});

test('field ranges never point past the bytes', () => {
    const p = read_packet({ id: 'p', data: 'AAECAw==', layers: [{ name: 'x', offset: 0, length: 99, fields: [{ name: 'a', value: 'b', offset: 3, length: 9 }, { name: 'c', value: 'd', offset: -5, length: 2 }, { name: 'e', value: 'f', offset: 1e9, length: 1e9 }] }] });
    assert.equal(p.data.length, 4);
    assert.equal(p.layers[0].length, 4);
    assert.deepEqual(p.layers[0].fields.map((f) => [f.offset, f.length]), [[3, 1], [0, 2], [4, 0]]);
    assert.equal(from_base64('***').length, 0);
});

test('a byte belongs to the smallest field and the innermost layer', () => {
    const layers = [
        { offset: 0, length: 14, fields: [{ offset: 0, length: 6 }] },
        { offset: 14, length: 20, fields: [{ offset: 14, length: 1 }, { offset: 14, length: 20 }] },
        { offset: 20, length: 14, fields: [] },
    ];
    assert.deepEqual(smallest_field_at(layers, 14), { offset: 14, length: 1 });
    assert.deepEqual(smallest_field_at(layers, 15), { offset: 14, length: 20 });
    assert.equal(smallest_field_at(layers, 8), null);
    assert.equal(layer_at(layers, 25), 2);
    assert.equal(layer_at(layers, 15), 1);
    assert.equal(layer_at(layers, 99), null);
    const rows = hex_rows(Uint8Array.from({ length: 17 }, (_, i) => 0x40 + i));
    assert.deepEqual([rows.length, rows[0].bytes[1], rows[1].bytes, rows[0].text[1]], [2, '41', ['50'], 'A']);
});

const world = make_world({ now: Date.UTC(2026, 10, 23, 14, 4), frozen: true });
const alerts = world.alerts.map((a: unknown) => read_alert(world.alert_record(a)));

test('alerts are named, and the filter for their flows is one the collector takes', () => {
    assert.equal(alert_title(alerts[0]), 'Port scan');
    assert.equal(alert_entity(alerts[0]), '10.3.7.41 → 212 hosts');
    assert.equal(alert_entity({ ...alerts[0], victims_total: 1400 }), `10.3.7.41 → ${whole(1400)} hosts`);
    assert.equal(alert_title(read_alert({ kind: 'ALERT_KIND_DNS_LONG_NAMES' })), 'DNS long names');
    for (const a of alerts) {
        parse_filter(alert_filter(a));
    }
    assert.equal(alert_filter(alerts[1]), 'client.ip = "10.3.7.41" AND server.ip = "198.51.100.23"');
});

const text = (s: ReturnType<typeof situation>) => s.phrases.map((p) => p.text).join('');
const good = { name: 'a', state: 'LIVE', loss_ppm: 0 };

test('the sentence says what is open, the worst first', () => {
    const s = situation(alerts, [good, { name: 'b', state: 'LIVE', loss_ppm: 4100 }], true);
    assert.equal(s.level, 'critical');
    assert.match(text(s), /^10\.3\.7\.41 is scanning ports of 10\.20\.0\.5, /);
    assert.match(text(s), /; 3 more alerts open\. /);
});

test('the sentence never says that all is well when it does not know', () => {
    assert.equal(situation(null, null, true).level, 'unknown');
    assert.equal(situation([], [good], false).level, 'unknown');
    assert.match(text(situation([], [good], false)), /No connection/);
    assert.equal(text(situation([], [good, good], true)), 'No alert is open. All 2 sensors report and lose nothing.');
    assert.equal(situation([], [good, good], true).level, 'ok');
    assert.notEqual(situation([], [good, { name: 'b', state: 'STALE', loss_ppm: null }], true).level, 'ok');
    assert.equal(text(situation([], [good, good], true, undefined, 3)), 'No alert is open but 3 acknowledged or silenced. All 2 sensors report and lose nothing.');
    assert.match(text(situation([], [{ name: 'b', state: 'LIVE', loss_ppm: 5000 }, good, good], true)), /One sensor of 3 loses packets/);
});

test('quantiles are those of the last values', () => {
    const w = new Window(4);
    assert.deepEqual(w.quantiles([0.5]), [null]);
    for (const v of [100, 1, 2, 3, 4]) {
        w.add(v);
    }
    assert.deepEqual(w.quantiles([0, 0.5, 0.95, 1]), [1, 2, 4, 4]);
});

test('incidents of one kind about the same are one line, however many hosts take part each time', () => {
    const flood = (id: string, sources: number) =>
        read_alert({ alert_id: id, alert_key: 'k', kind: 'ALERT_KIND_SYN_FLOOD', victims: [{ ip: '10.0.1.80' }], victims_total_estimate: 1, attackers: [{ ip: `198.51.100.${id}` }, { ip: '198.51.100.9' }], attackers_total_estimate: sources });
    assert.notEqual(alert_entity(flood('1', 3344)), alert_entity(flood('2', 3376)));
    assert.equal(alert_group(flood('1', 3344)), alert_group(flood('2', 3376)));
    const scan = (from: string, to: string, more: object = {}) => read_alert({ kind: 'ALERT_KIND_PORT_SCAN_VERTICAL', attackers: [{ ip: from }], victims: [{ ip: to }], ...more });
    assert.equal(alert_group(scan('10.0.0.1', '10.0.0.2', { alert_key: 'fast' })), alert_group(scan('10.0.0.1', '10.0.0.2', { alert_key: 'slow' })));
    assert.notEqual(alert_group(scan('10.0.0.1', '10.0.0.2')), alert_group(scan('10.0.0.2', '10.0.0.1')));
    const many = (key: string) => read_alert({ kind: 'ALERT_KIND_BEACON', alert_key: key, attackers_total_estimate: 9, victims_total_estimate: 9 });
    assert.notEqual(alert_group(many('a')), alert_group(many('b')));
    const silent = (sensor: string) => read_alert({ alert_key: 'k', kind: 'ALERT_KIND_SENSOR_SILENT', sensor_ids: [sensor] });
    assert.notEqual(alert_group(silent('a')), alert_group(silent('b')));
});

test('the filter of a flood from thousands names its victim, not the few sources that are known', () => {
    const attackers = Array.from({ length: 16 }, (_, i) => ({ ip: `198.51.100.${i}` }));
    assert.equal(alert_filter(read_alert({ attackers, attackers_total_estimate: 3344, victims: [{ ip: '10.0.1.80' }] })), 'server.ip = "10.0.1.80"');
    assert.equal(alert_filter(read_alert({ attackers: attackers.slice(0, 1), victims: attackers, victims_total_estimate: 212 })), 'client.ip = "198.51.100.0"');
    assert.match(alert_filter(read_alert({ attackers, attackers_total_estimate: 99, victims: attackers, victims_total_estimate: 99 })), /^client\.ip IN \(("[\d.]+"(, )?){8}\)$/);
});
