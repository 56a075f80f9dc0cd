import assert from 'node:assert/strict';
import { test } from 'node:test';
import { step_for, TimeRing } from '../src/lib/time_ring';
import { gaps, stack } from '../src/lib/stack';

test('history keeps its gaps', () => {
    const ring = new TimeRing(['a'], 1000, 10);
    ring.fill([1000, 2000, 3000, 4000], [[1, null, 0, 4]], 5000);
    assert.deepEqual(ring.column(0), [1, null, 0, 4]);
    assert.deepEqual(ring.times_s(), [1, 2, 3, 4]);
});

test('steps that history skips are gaps too', () => {
    const ring = new TimeRing(['a'], 1000, 10);
    ring.fill([1000, 4000], [[1, 4]], 5000);
    assert.deepEqual(ring.column(0), [1, null, null, 4]);
});

test('frames within history are left out, later ones go on from it', () => {
    const ring = new TimeRing(['a'], 1000, 10);
    ring.fill([1000, 2000], [[1, 2]], 3000);
    assert.equal(ring.append(2500, 1000, [9]), false);
    assert.equal(ring.append(3000, 1000, [9]), false);
    assert.equal(ring.append(4000, 1000, [3]), true);
    assert.deepEqual(ring.column(0), [1, 2, 3]);
});

test('within a step windows are weighted by their length', () => {
    const ring = new TimeRing(['a'], 10_000, 10);
    ring.fill([], [[]], 0);
    ring.append(101_000, 1000, [10]);
    ring.append(104_000, 3000, [30]);
    assert.deepEqual(ring.column(0), [25]);
});

test('a step that history had begun goes on as its mean', () => {
    const ring = new TimeRing(['a'], 10_000, 10);
    ring.fill([100_000], [[10]], 105_000);
    ring.append(110_000, 5000, [20]);
    assert.deepEqual(ring.column(0), [15]);
});

test('time that passed without frames is a gap, never 0', () => {
    const ring = new TimeRing(['a'], 1000, 10);
    ring.fill([], [[]], 0);
    ring.append(2000, 1000, [1]);
    ring.append(6000, 1000, [5]);
    assert.deepEqual(ring.column(0), [1, null, null, null, 5]);
});

test('a missing value does not become 0 and does not spoil the mean', () => {
    const ring = new TimeRing(['a', 'b'], 1000, 10);
    ring.fill([], [[], []], 0);
    ring.append(2000, 1000, [null, 2]);
    assert.deepEqual(ring.column(0), [null]);
    assert.deepEqual(ring.column(1), [2]);
    assert.equal(ring.last(0), null);
});

test('it holds as many steps as it may, the oldest go', () => {
    const ring = new TimeRing(['a'], 1000, 3);
    ring.fill([], [[]], 0);
    for (let i = 1; i <= 50; i++) {
        ring.append((i + 1) * 1000, 1000, [i]);
    }
    assert.deepEqual(ring.column(0), [48, 49, 50]);
    assert.equal(ring.start_ms, 48_000);
    ring.append(1e9, 1000, [7]);
    assert.deepEqual(ring.column(0), [null, null, 7]);
    assert.equal(ring.size, 3);
});

test('frames from the past are refused', () => {
    const ring = new TimeRing(['a'], 1000, 5);
    ring.fill([], [[]], 0);
    ring.append(10_000, 1000, [1]);
    assert.equal(ring.append(9000, 1000, [2]), false);
    assert.equal(ring.append(NaN, 1000, [2]), false);
    assert.deepEqual(ring.column(0), [1]);
    assert.throws(() => new TimeRing(['a'], 0, 5));
});

test('the step fits the points', () => {
    assert.equal(step_for(300_000, 360), 1000);
    assert.equal(step_for(3_600_000, 360), 10_000);
    assert.equal(step_for(86_400_000, 360), 300_000);
    for (const span of [1e3, 1e6, 1e9, 4e10, 1e12]) {
        assert.ok(span / step_for(span, 360) <= 360);
    }
});

test('stacks add up, and a step without any value stays a gap', () => {
    assert.deepEqual(stack([[1, null, null, 0], [2, 3, null, null]]), [[1, 0, null, 0], [3, 3, null, 0]]);
    assert.deepEqual(stack([]), []);
});

test('gaps lie between values; at the end only when asked', () => {
    assert.deepEqual(gaps([null, 1, null, null, 2, null]), [[2, 3]]);
    assert.deepEqual(gaps([null, 1, null, null, 2, null], true), [[2, 3], [5, 5]]);
    assert.deepEqual(gaps([null, null], true), []);
});
