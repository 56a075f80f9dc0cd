import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bpf_of, failures_of, missing_of, read_capture, request_of, say_outcome, say_reason } from '../src/lib/capture';

const flow = { client_ip: '10.0.0.7', client_port: 50123, server_ip: '192.0.2.80', server_port: 443, protocol: 6, vlan: null };

test('a flow becomes a filter of both its directions', () => {
    assert.equal(bpf_of(flow), 'tcp and host 10.0.0.7 and host 192.0.2.80 and port 50123 and port 443');
    assert.equal(bpf_of({ ...flow, protocol: 17, client_port: 53, server_port: 53 }), 'udp and host 10.0.0.7 and host 192.0.2.80 and port 53');
    assert.equal(bpf_of({ ...flow, protocol: 1, client_port: null, server_port: 0 }), 'icmp and host 10.0.0.7 and host 192.0.2.80');
    assert.equal(bpf_of({ ...flow, client_ip: '2001:db8::7', server_ip: '2001:db8::1', protocol: 89 }), 'ip6 proto 89 and host 2001:db8::7 and host 2001:db8::1');
    assert.equal(bpf_of({ ...flow, server_ip: '10.0.0.7', server_port: null }), 'tcp and host 10.0.0.7 and port 50123');
    assert.equal(bpf_of({ ...flow, protocol: 1, vlan: 12 }), '(icmp and host 10.0.0.7 and host 192.0.2.80) or (vlan and icmp and host 10.0.0.7 and host 192.0.2.80)');
});

test('what a stranger calls an address goes into no filter', () => {
    assert.equal(bpf_of({ ...flow, client_ip: '10.0.0.7 or tcp' }), '');
    assert.equal(bpf_of({ ...flow, server_ip: '' }), '');
});

test('a form asks for what is set, and for nothing else', () => {
    const form = { sensors: ['s-1'], alert: '', interface: ' ', bpf: '', seconds: 0, bytes: 0, history: false };
    assert.deepEqual(request_of(form), { sensor_id: 's-1' });
    assert.deepEqual(request_of({ ...form, interface: 'eth0', bpf: ' tcp ', seconds: 30, bytes: 1e6, history: true }), { sensor_id: 's-1', interface: 'eth0', bpf: 'tcp', max_duration: '30s', max_bytes: '1000000', include_history: true });
    assert.equal(missing_of(form), '');
    assert.deepEqual(request_of({ ...form, sensors: ['s-1', 's-2'], bpf: 'tcp' }), { sensor_selector: { sensor_ids: ['s-1', 's-2'] }, bpf: 'tcp' });
    assert.deepEqual(request_of({ ...form, sensors: [], alert: 'a-1', bpf: 'tcp' }), { alert_id: 'a-1' });
    assert.notEqual(missing_of({ ...form, sensors: [] }), '');
    assert.equal(missing_of({ ...form, sensors: [], alert: 'a-1' }), '');
    assert.notEqual(missing_of({ ...form, bpf: 'x'.repeat(4097) }), '');
});

test('a capture says how far it is and what came of it', () => {
    const running = read_capture({ capture_id: 'a', sensor_id: 's-1', state: 'CAPTURE_STATE_RUNNING', bytes: '2000000', max_bytes: '10000000', start_time: '2023-11-14T22:13:20Z' });
    assert.deepEqual([running.state, running.bytes, running.max_bytes, running.start_ms, running.packets], ['RUNNING', 2e6, 1e7, 1_700_000_000_000, null]);
    assert.match(say_outcome(running), /^2.*MB so far$/);
    const ended = read_capture({ capture_id: 'a', state: 'CAPTURE_STATE_ENDED', bytes: '1500', summary: { packets: '12345', dropped: '7', reason: 'packets.capture_max_bytes' } });
    assert.match(say_outcome(ended), /^12,345 packets, .*, 7 had no room; a limit of the sensor \(packets\.capture_max_bytes\)$/);
    assert.equal(say_outcome(read_capture({ capture_id: 'a', state: 'CAPTURE_STATE_FAILED', error: 'the disk' })), 'the disk');
    assert.equal(say_reason('what nobody knows yet'), 'what nobody knows yet');
    assert.deepEqual([read_capture(null).id, read_capture({ state: 7, bytes: 'x' }).state], ['', '']);
});

test('each sensor of a capture is told, and which failed where the others did not', () => {
    const c = read_capture({ capture_id: 'a', sensor_id: 's-1', alert_id: 'a-1', state: 'CAPTURE_STATE_ENDED', sensors: [{ sensor_id: 's-1', state: 'CAPTURE_STATE_ENDED' }, { sensor_id: 's-2', state: 'CAPTURE_STATE_FAILED', error: 'it left' }, 7] });
    assert.deepEqual([c.sensors.map((s) => s.id), c.alert_id], [['s-1', 's-2'], 'a-1']);
    assert.deepEqual(failures_of(c).map((s) => s.error), ['it left']);
    const alone = read_capture({ capture_id: 'a', sensor_id: 's-1', state: 'CAPTURE_STATE_FAILED', error: 'it left', sensors: [{ sensor_id: 's-1', state: 'CAPTURE_STATE_FAILED', error: 'it left' }] });
    assert.deepEqual(failures_of(alone), [], 'the capture says it');
    assert.deepEqual(read_capture({ capture_id: 'a', sensor_id: 's-1', state: 'CAPTURE_STATE_RUNNING' }).sensors.map((s) => s.id), ['s-1']);
});
