import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reconnect, retry_delay_ms } from '../src/lib/reconnect';

function bench(random = () => 0.5) {
    let now = 0;
    let timers: { at: number; f: () => void; id: number }[] = [];
    let next = 1;
    const dialled: number[] = [];
    const r = new Reconnect(
        () => dialled.push(now),
        () => now,
        (f, ms) => (timers.push({ at: now + ms, f, id: next }), next++),
        (id) => (timers = timers.filter((t) => t.id !== id)),
        random,
    );
    const pass = (ms: number) => {
        now += ms;
        const due = timers.filter((t) => t.at <= now);
        timers = timers.filter((t) => t.at > now);
        due.forEach((t) => t.f());
    };
    return { r, pass, dialled, pending: () => timers.length };
}

test('waits double from 0.5 s to 15 s', () => {
    assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 50].map((n) => retry_delay_ms(n, () => 0.5)), [500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
});

test('jitter stays within 20 %', () => {
    assert.equal(retry_delay_ms(1, () => 0), 400);
    assert.ok(retry_delay_ms(1, () => 1) < 600.001);
});

test('each loss tries once, success begins anew', () => {
    const b = bench();
    b.r.lost();
    b.pass(499);
    assert.deepEqual(b.dialled, []);
    b.pass(1);
    assert.deepEqual(b.dialled, [500]);
    b.r.lost();
    assert.equal(b.r.attempt, 2);
    assert.equal(b.r.retry_at_ms, 1500);
    b.pass(1000);
    b.r.succeeded();
    b.r.lost();
    assert.equal(b.r.attempt, 1);
});

test('coming back into sight tries at once and only once', () => {
    const b = bench();
    b.r.lost();
    b.r.lost();
    assert.equal(b.pending(), 1);
    b.r.hurry();
    assert.equal(b.dialled.length, 1);
    b.r.hurry();
    b.pass(60_000);
    assert.equal(b.dialled.length, 1);
});

test('the server may ask for more patience', () => {
    const b = bench();
    b.r.lost(5000);
    b.pass(4999);
    assert.equal(b.dialled.length, 0);
    b.pass(1);
    assert.equal(b.dialled.length, 1);
});
