import assert from 'node:assert/strict';
import { test } from 'node:test';
import { is_silent, silent_after_ms } from '../src/lib/silence';

test('a feed is silent after two frames and some seconds, whatever its rate', () => {
    assert.deepEqual([30, 1, 0.2].map((hz) => Math.round(silent_after_ms(hz) ?? 0)), [4067, 6000, 14000]);
    assert.equal(is_silent(6_000, 0, 1), false);
    assert.equal(is_silent(6_001, 0, 1), true);
    assert.equal(is_silent(6_001, 0, 0.2), false);
    assert.equal(is_silent(6_001, 5_000, 1), false);
});

test('where nothing is awaited nobody is silent', () => {
    assert.equal(silent_after_ms(null), null);
    assert.equal(is_silent(1e9, 0, null), false);
});
