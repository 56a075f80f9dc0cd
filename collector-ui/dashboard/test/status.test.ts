import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rates_between, read_status, report_text } from '../src/lib/status.ts';

const answer = (more: Record<string, unknown> = {}) => ({
    version: '0.1.0', boot_id: 'b1', start_time: '2026-11-30T10:00:00Z', time: '2026-11-30T10:01:00Z', process: { resident_bytes: '1000', cpu_time: '6s', cpus: 2 }, ingest: { records: '100', batches: '10', log_failing: true },
    store: { bytes: '5', days: [{ date: '2026-11-30', bytes: '5' }], streams: [{ name: 'flows', rows: '70' }], retention: '604800s' }, queries: { total: '4', measured: 0 }, live: { frames: '60' },
    receivers: [{ name: 'pager', refused: '1', expired: '2', dropped: '4' }], ...more,
});

test('a status is read, and what is not told is not made up', () => {
    const s = read_status(answer());
    assert.deepEqual([s.version, s.resident, s.memory_limit, s.cpu_ms, s.ingest.records, s.log_failing, s.draining], ['0.1.0', 1000, null, 6000, 100, true, false]);
    assert.deepEqual([s.days.length, s.days[0].oldest_ms, s.retention_ms, s.query_ms.p50], [1, null, 604_800_000, null]);
    assert.equal(s.receivers[0].lost, 7);
    assert.equal(s.clickhouse, null);
    const ch = read_status(answer({ clickhouse: { failing: true, reason: 'no', waiting: '5', inserted: '7', refused: '1', dropped: '2', asked: true, questions: '3' } })).clickhouse;
    assert.deepEqual([ch?.failing, ch?.reason, ch?.waiting, ch?.inserted, ch?.lost, ch?.asked, ch?.questions, ch?.questions_failing], [true, 'no', null, 7, 3, true, 3, false]);
    assert.equal(read_status(answer({ clickhouse: { waiting: '5', waiting_known: true } })).clickhouse?.waiting, 5);
    const others = read_status(answer({ clickhouse_others: [{ stream: 'alerts', failing: true, waiting: '2', waiting_known: true, inserted: '1', dropped: '4' }] })).clickhouse_others;
    assert.deepEqual(others.map((o) => [o.stream, o.failing, o.waiting, o.inserted, o.lost]), [['alerts', true, 2, 1, 4]]);
    const none = read_status({});
    assert.deepEqual(none.clickhouse_others, []);
    assert.deepEqual([none.clients, none.receivers, none.start_ms, none.live.clients_total], [[], [], null, 0]);
});

test('two answers give rates', () => {
    const a = read_status(answer());
    const b = read_status(answer({ time: '2026-11-30T10:01:10Z', process: { cpu_time: '11s' }, ingest: { records: '300', batches: '12' }, store: { streams: [{ name: 'flows', rows: '170' }, { name: 'dns', rows: '3' }] }, live: { frames: '70' } }));
    const r = rates_between(a, b);
    assert.deepEqual([r.records, r.batches, r.cpu, r.frames, r.streams.get('flows'), r.streams.get('dns')], [20, 0.2, 0.5, 1, 10, null]);
});

test('no rate without a time between, over a restart, or of what went down', () => {
    const a = read_status(answer());
    assert.deepEqual([rates_between(null, a).records, rates_between(a, a).records], [null, null]);
    const later = { time: '2026-11-30T10:01:10Z' };
    assert.equal(rates_between(a, read_status(answer({ ...later, boot_id: 'b2', ingest: { records: '900' } }))).records, null);
    assert.equal(rates_between(a, read_status(answer({ ...later, ingest: { records: '90' } }))).records, null);
});

test('the report is plain text', () => {
    const text = report_text([{ title: 'Store', rows: [{ name: 'On disk', value: '1\u00a0GB' }, { name: 'State', value: 'full', bad: true }] }], ['more']);
    assert.equal(text, 'Store\n  On disk: 1 GB\n  State: full (!)\nmore\n');
});
