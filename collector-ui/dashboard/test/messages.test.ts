import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decode } from '../src/live/messages';

const frame = {
    t: 'frame', seq: 17, boot: 'b', rev: 1, ts_ms: 1789000000000, win_ms: 1000, merged: 1,
    totals: { bps_in: 1e9, bps_out: null, pps: 5, flows: 2, new_ps: 1, rtt_ms: null, loss_ppm: 0, cum: { bytes: '18446744073709551615' } },
    by: { dim: 'app', k: [0, 1, -1], in: [1, 2, 3], out: [4, 5, 6] },
    sensors: { id: [0, 1], st: [0, 2], bps: [7, null], loss_ppm: [0, null], drops: { kernel: [1, 0], interface: [2, 0] } },
    flows: { id: ['a', 'b'], sensor: [0, 0], proto: [6, 17], app: [0, 1], src: ['10.0.0.1', '::1'], sport: [1, 2], dst: ['10.0.0.2', '::2'], dport: [443, 53], name: ['x', ''], bps: [1, 2], bytes_ab: ['9007199254740993', 2], bytes_ba: [1, 2], rtt_ms: [null, 3], retr: [0, null], st: [2, 0] },
    alerts: { open: 1, changed: [{ alert_id: 'x' }] },
};
const read = (m: unknown) => decode(JSON.stringify(m));
const golden = (name: string) => readFileSync(`${process.env.NETSCOPE_GOLDEN_LIVE}/${name}.json`, 'utf8');
const changed = (edit: (f: typeof frame) => void) => {
    const copy = structuredClone(frame);
    edit(copy);
    return read(copy);
};

test('a whole frame is read, and null stays null', () => {
    const r = read(frame);
    assert.ok(r.ok && r.message.t === 'frame');
    const f = r.message.frame;
    assert.equal(f.totals!.bps_out, null);
    assert.equal(f.flows!.length, 2);
    assert.equal(f.flows![0].rtt_ms, null);
    assert.equal(f.flows![0].bytes_ab, 9007199254740992);
    assert.equal(f.sensors![0].drops, 3);
    assert.deepEqual(f.by!.k, [0, 1, -1]);
});

test('what the collector wrote is understood', () => {
    const dict = decode(golden('dict'));
    assert.ok(dict.ok && dict.message.t === 'dict');
    assert.deepEqual(dict.message.dict.site, ['', 'Frankfurt']);
    assert.deepEqual(dict.message.dict.sensor[1], { id: 's-2', name: 's-2', site: 'Frankfurt' });
    for (const [name, columns] of [['frame', ['totals', 'by', 'sensors', 'flows']], ['frame_merged', ['totals', 'by', 'sensors', 'flows']], ['frame_sites', ['by']]] as const) {
        const r = decode(golden(name));
        assert.ok(r.ok && r.message.t === 'frame', name);
        for (const column of columns) {
            assert.ok(r.message.frame[column], `${name} ${column}`);
        }
        assert.equal(r.message.frame.by!.dim, name === 'frame_sites' ? 'site' : 'app');
    }
});

test('what a collector does not say that it can do is not asked of it', () => {
    const caps_of = (caps?: unknown) => {
        const r = read({ t: 'hello', v: 1, boot: 'b', now_ms: 1, ...(caps === undefined ? {} : { caps }) });
        assert.ok(r.ok && r.message.t === 'hello');
        return r.message.hello.caps;
    };
    assert.equal(caps_of({ filtered_series: true }).filtered_series, true);
    for (const caps of [undefined, {}, { filtered_series: false }, { filtered_series: 1 }]) {
        assert.equal(caps_of(caps).filtered_series, false);
    }
});

test('what people have said of alerts comes with them; a collector that does not tell is no error', () => {
    const told = changed((f) => Object.assign(f.alerts, { said: 7, notes: [{ alert_id: 'x', is_acknowledged: true }] }));
    assert.ok(told.ok && told.message.t === 'frame');
    assert.equal(told.message.frame.alerts!.said, 7);
    assert.deepEqual(told.message.frame.alerts!.notes, [{ alert_id: 'x', is_acknowledged: true }]);
    const silent = read(frame);
    assert.ok(silent.ok && silent.message.t === 'frame');
    assert.deepEqual([silent.message.frame.alerts!.said, silent.message.frame.alerts!.notes], [null, []]);
    assert.equal(changed((f) => Object.assign(f.alerts, { notes: [3] })).ok, false);
});

test('columns of unequal length reject the frame', () => {
    assert.equal(changed((f) => f.flows.bps.pop()).ok, false);
    assert.equal(changed((f) => f.by.in.push(1)).ok, false);
    assert.equal(changed((f) => f.sensors.drops.kernel.pop()).ok, false);
    const r = changed((f) => f.sensors.bps.pop());
    assert.ok(!r.ok && /sensors\.bps/.test(r.why));
});

test('missing columns are not measured, unknown keys and kinds are no error', () => {
    const r = changed((f) => {
        delete (f.flows as Record<string, unknown>).retr;
        (f as Record<string, unknown>).later = { x: 1 };
    });
    assert.ok(r.ok && r.message.t === 'frame' && r.message.frame.flows![0].retr === null);
    const unknown = read({ t: 'weather' });
    assert.ok(unknown.ok && unknown.message.t === 'unknown');
});

test('numbers that are none reject what depends on them', () => {
    for (const edit of [
        (f: Record<string, unknown>) => (f.seq = 'x'), (f: Record<string, unknown>) => (f.seq = 1.5), (f: Record<string, unknown>) => (f.seq = 1e300), (f: Record<string, unknown>) => (f.ts_ms = null),
        (f: Record<string, unknown>) => (f.ts_ms = 1e18), (f: Record<string, unknown>) => (f.win_ms = 0), (f: Record<string, unknown>) => (f.win_ms = -1), (f: Record<string, unknown>) => (f.by = []), (f: Record<string, unknown>) => (f.flows = { id: [1] }),
        (f: Record<string, unknown>) => (f.alerts = { open: 'many' }), (f: Record<string, unknown>) => (f.totals = 3),
    ]) {
        assert.equal(changed(edit as (f: typeof frame) => void).ok, false);
    }
});

test('indexes outside the dictionary become "other", not a crash', () => {
    const r = changed((f) => (f.flows.app = [1e9, -7]));
    assert.ok(r.ok && r.message.t === 'frame');
    assert.deepEqual(r.message.frame.flows!.map((x) => x.app), [1e9, -1]);
});

test('what is not JSON, or not an object, is told', () => {
    for (const raw of ['', '{', 'null', '[]', '"x"', '1', '{"t":"frame"}', '{"t":"hello"}', '{"t":"pong","id":1}', '{"t":"dict","app":3}', '{"t":"dict","app":[3]}']) {
        assert.equal(decode(raw).ok, false, raw);
    }
});

/* Mutations of a good frame: the decoder answers, it never throws, and what it lets through has equal columns. */
test('no mutated frame gets through half', () => {
    let seed = 12345;
    const random = () => ((seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) / 0x7fffffff);
    const text = JSON.stringify(frame);
    const pieces = ['null', '[]', '{}', '-1', '1e999', '"\u202e"', '9'.repeat(40), ',', ']', '"', '\\', '0'];
    let good = 0;
    for (let i = 0; i < 20_000; i++) {
        let t = text;
        for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
            const at = Math.floor(random() * t.length);
            const cut = Math.floor(random() * 12);
            t = t.slice(0, at) + (random() < 0.6 ? pieces[Math.floor(random() * pieces.length)] : '') + t.slice(at + cut);
        }
        const r = decode(t);
        if (r.ok && r.message.t === 'frame') {
            good++;
            const f = r.message.frame;
            assert.ok(Number.isFinite(f.ts_ms) && f.win_ms > 0 && Number.isSafeInteger(f.seq));
            for (const x of f.flows ?? []) {
                assert.equal(typeof x.id, 'string');
                assert.ok(x.bps === null || Number.isFinite(x.bps));
            }
            if (f.by) {
                assert.equal(f.by.k.length, f.by.in.length);
                assert.equal(f.by.k.length, f.by.out.length);
            }
        }
    }
    assert.ok(good > 50);
});
