import assert from 'node:assert/strict';
import { test } from 'node:test';
import { slices, SLICES_MAX } from '../src/lib/slices';

test('slices cover the range without a gap, and are not many', () => {
    for (const [from, to] of [[0, 300_000], [1_789_000_123_456, 1_789_003_723_456], [7, 8], [1_789_000_000_000, 1_789_604_800_000], [5, 31_536_000_005]]) {
        const list = slices(from, to);
        assert.ok(list.length >= 1 && list.length <= SLICES_MAX + 1, `${list.length}`);
        assert.equal(list[0].from_ms, from);
        assert.equal(list[list.length - 1].to_ms, to);
        list.forEach((s, i) => {
            assert.ok(s.from_ms < s.to_ms);
            assert.ok(i === 0 || list[i - 1].to_ms === s.from_ms);
        });
    }
});

test('a slice keeps its name while the range moves on', () => {
    const before = slices(1_789_000_000_000, 1_789_000_300_000);
    const after = slices(1_789_000_004_000, 1_789_000_304_000);
    const whole = before.slice(1, -1);
    assert.ok(whole.length > 10);
    for (const s of whole) {
        assert.deepEqual(after.find((x) => x.start_ms === s.start_ms), s);
    }
});

test('no time has no slice', () => {
    assert.deepEqual(slices(5, 5), []);
});
