import assert from 'node:assert/strict';
import { test } from 'node:test';
import { read_sensor_detail } from '../src/lib/sensor_detail';
import { sensor_record } from './fake_sensors.mjs';

const ROW = { sensor_id: 's-sgp-1', name: 'sgp-1', site: 'Singapore', state: 'LIVE', version: '0.1.0', boot_id: 'ab', config_hash: 'cd', packets_total: '300000', bytes_total: '90000000', kernel_dropped: '1200', flows_active: 4800, unacked: 2 };

test('what a sensor lost is told by cause, with the reasons that count', () => {
    const d = read_sensor_detail(sensor_record(ROW, 1_789_000_000_000));
    const of = Object.fromEntries(d.causes.map((c) => [c.key, c]));
    assert.deepEqual(d.causes.map((c) => c.key), ['interface', 'kernel', 'queues', 'decode', 'flow_table', 'uplink']);
    assert.equal(of.kernel.count, 1200);
    assert.equal(of.interface.count, 0);
    assert.deepEqual([of.queues.count, of.queues.reasons], [77, ['handover_full']]);
    assert.deepEqual([of.decode.count, of.decode.reasons], [42, ['non_ip', 'malformed']]);
    assert.equal(of.flow_table.count, 5);
    assert.deepEqual([of.uplink.count, of.uplink.reasons], [31, ['given_up_unsent']]);
    assert.deepEqual([d.bps, d.pps, d.flows, d.flows_max, d.cpu], [240_000, 100, 4800, 1048576, 0.25]);
    assert.deepEqual(d.interfaces.map((i) => [i.name, i.kernel_dropped, i.stall_s]), [['eno1', 1200, 0.012], ['eno2', 0, 1.4]]);
    assert.deepEqual(d.sinks.map((s) => [s.name, s.failed, s.oldest_ms]), [['collector', 31, 0], ['flows_jsonl', null, null]]);
    assert.equal(d.peer, '192.0.2.7:41212');
    assert.deepEqual(d.labels, [['role', 'edge'], ['site', 'Singapore']]);
});

test('a sensor that told nothing yet has no figure, not 0', () => {
    for (const answer of [null, {}, { sensor: 3 }, { sensor: { stats: [] } }]) {
        const d = read_sensor_detail(answer);
        assert.deepEqual([d.bps, d.pps, d.flows, d.flows_max, d.cpu, d.memory, d.memory_limit, d.records], [null, null, null, null, null, null, null, null]);
        assert.deepEqual(d.causes.map((c) => c.count), [null, null, null, null, null, null]);
        assert.deepEqual([d.interfaces, d.sinks, d.labels], [[], [], []]);
    }
});
